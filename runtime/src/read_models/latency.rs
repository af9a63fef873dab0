//! Latency: quantiles of durations by surface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ReadModel;
use super::sketch::LatencySketch;
use super::windows::{Bucket, Windowed};
use crate::event::DatasetEvent;

/// Keeps a sketch of durations for each surface, in each window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency;

/// A sketch for each surface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SurfaceSketches(BTreeMap<String, LatencySketch>);

/// The latency of one surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SurfaceLatency {
    /// The surface.
    pub surface: String,
    /// Its calls.
    pub count: u64,
    /// Half of them took at most so long, in nanoseconds.
    pub p50_ns: u64,
    /// 90 % of them did.
    pub p90_ns: u64,
    /// 99 % of them did.
    pub p99_ns: u64,
    /// The longest one, exactly.
    pub max_ns: u64,
}

impl SurfaceSketches {
    /// The latency of each surface, in order.
    pub fn by_surface(&self) -> Vec<SurfaceLatency> {
        let surfaces = self.0.iter().filter_map(|(surface, sketch)| {
            let [p50_ns, p90_ns, p99_ns] = sketch.quantiles([0.5, 0.9, 0.99])?;
            let (count, max_ns) = (sketch.count(), sketch.max_ns());
            Some(SurfaceLatency { surface: surface.clone(), count, p50_ns, p90_ns, p99_ns, max_ns })
        });
        surfaces.collect()
    }

    /// The sketch of one surface.
    pub fn sketch(&self, surface: &str) -> Option<&LatencySketch> {
        self.0.get(surface)
    }

    /// The sketch of all surfaces together.
    pub fn overall(&self) -> LatencySketch {
        let mut all = LatencySketch::default();
        self.0.values().for_each(|sketch| all.merge(sketch));
        all
    }
}

impl Bucket for SurfaceSketches {
    fn merge(&mut self, other: &Self) {
        for (surface, sketch) in &other.0 {
            self.0.entry(surface.clone()).or_default().merge(sketch);
        }
    }
}

impl ReadModel for Latency {
    type State = Windowed<SurfaceSketches>;
    const NAME: &'static str = "latency";
    const VERSION: u32 = 1;

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        state.add(event.recorded_at, |sketches| {
            if let Some(sketch) = sketches.0.get_mut(&event.surface) {
                sketch.record(event.duration_ns);
            } else {
                sketches.0.entry(event.surface.clone()).or_default().record(event.duration_ns);
            }
        });
    }
}
