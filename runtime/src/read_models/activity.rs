//! Activity: how many events, by surface, access, outcome and code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ReadModel;
use super::windows::{Bucket, Windowed};
use crate::event::{DatasetEvent, Outcome};
use crate::surface::Access;

/// Counts events by surface, access, outcome and code, in each window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Activity;

/// The counts of a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActivityCounts {
    /// All events.
    pub events: u64,
    /// Those with an outcome other than `ok`.
    pub failures: u64,
    /// By outcome.
    pub by_outcome: BTreeMap<Outcome, u64>,
    /// By access.
    pub by_access: BTreeMap<Access, u64>,
    /// By error code.
    pub by_code: BTreeMap<String, u64>,
    /// By surface.
    pub by_surface: BTreeMap<String, SurfaceCounts>,
}

/// The counts of one surface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SurfaceCounts {
    /// All its events.
    pub events: u64,
    /// Those with an outcome other than `ok`.
    pub failures: u64,
}

/// Adds counts by key.
pub(super) fn merge_counts<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_insert(0) += count;
    }
}

/// Adds one to a count by name, without a copy of a name that is there.
pub(super) fn count_one(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

impl Bucket for ActivityCounts {
    fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.failures += other.failures;
        merge_counts(&mut self.by_outcome, &other.by_outcome);
        merge_counts(&mut self.by_access, &other.by_access);
        merge_counts(&mut self.by_code, &other.by_code);
        for (surface, counts) in &other.by_surface {
            let into = self.by_surface.entry(surface.clone()).or_default();
            into.events += counts.events;
            into.failures += counts.failures;
        }
    }
}

impl ReadModel for Activity {
    type State = Windowed<ActivityCounts>;
    const NAME: &'static str = "activity";
    const VERSION: u32 = 1;

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        let failed = u64::from(event.outcome.is_failure());
        state.add(event.recorded_at, |counts| {
            counts.events += 1;
            counts.failures += failed;
            *counts.by_outcome.entry(event.outcome).or_insert(0) += 1;
            *counts.by_access.entry(event.access).or_insert(0) += 1;
            if let Some(code) = event.code() {
                count_one(&mut counts.by_code, code);
            }
            if !counts.by_surface.contains_key(&event.surface) {
                counts.by_surface.insert(event.surface.clone(), SurfaceCounts::default());
            }
            if let Some(surface) = counts.by_surface.get_mut(&event.surface) {
                surface.events += 1;
                surface.failures += failed;
            }
        });
    }
}
