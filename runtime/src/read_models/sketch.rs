//! Quantiles of durations in little space, merged by addition.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// 24 hours in nanoseconds; longer durations count as this long.
const MAX_NS: u64 = 86_400_000_000_000;
/// Two digits: a relative error below 1 %.
const DIGITS: u8 = 2;

/// Counts of durations by the buckets of an HDR histogram; only those that have any.
///
/// Integer counts at fixed bounds, so that merging is addition and the order of arrival does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySketch {
    /// The bucket's smallest value to its count.
    counts: BTreeMap<u64, u64>,
    max_ns: u64,
}

fn new_histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, MAX_NS, DIGITS).ok()
}

/// The start of the bucket that holds a duration.
fn bucket_of(duration_ns: u64) -> u64 {
    static LAYOUT: OnceLock<Option<Histogram<u64>>> = OnceLock::new();
    let value = duration_ns.clamp(1, MAX_NS);
    // The bounds are constants that the histogram accepts.
    LAYOUT.get_or_init(new_histogram).as_ref().map_or(value, |layout| layout.lowest_equivalent(value))
}

impl LatencySketch {
    /// Counts one duration.
    pub fn record(&mut self, duration_ns: u64) {
        *self.counts.entry(bucket_of(duration_ns)).or_insert(0) += 1;
        self.max_ns = self.max_ns.max(duration_ns);
    }

    /// Adds another sketch.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_insert(0) += count;
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The longest duration, exactly.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The durations below which these shares of all lie, each share between 0 and 1; at most 1 % too long.
    /// `None` without any duration.
    pub fn quantiles<const N: usize>(&self, shares: [f64; N]) -> Option<[u64; N]> {
        let mut histogram = new_histogram().filter(|_| !self.counts.is_empty())?;
        for (bucket, count) in &self.counts {
            // A bucket of a state is one of the layout's.
            histogram.saturating_record_n(*bucket, *count);
        }
        Some(shares.map(|share| histogram.value_at_quantile(share).min(self.max_ns)))
    }
}
