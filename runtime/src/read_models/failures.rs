//! Failures: the latest ones, and how many by code and surface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::activity::{count_one, merge_counts};
use super::latest::LatestN;
use super::windows::{Bucket, Windowed};
use super::{ReadModel, is_reading};
use crate::event::{DatasetEvent, EventPlace, Outcome};
use crate::ids::{EventId, TraceId};

/// Keeps the latest 100 failures, and counts all by code and surface in each window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failures;

/// What is known of failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailuresState {
    /// The latest 100.
    pub latest: LatestN<Failure, 100>,
    /// All, counted.
    pub counts: Windowed<FailureCounts>,
}

/// One event with an outcome other than `ok`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The event.
    pub event_id: EventId,
    /// Its surface.
    pub surface: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its code.
    pub code: Option<String>,
    /// Whether the same call may succeed later.
    pub is_retryable: bool,
    /// Its trace.
    pub trace_id: TraceId,
    /// How long the call took.
    pub duration_ns: u64,
}

/// The failures of a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureCounts {
    /// All of them.
    pub failures: u64,
    /// By error code; those without one are not in it.
    pub by_code: BTreeMap<String, u64>,
    /// By surface.
    pub by_surface: BTreeMap<String, u64>,
}

impl Bucket for FailureCounts {
    fn merge(&mut self, other: &Self) {
        self.failures += other.failures;
        merge_counts(&mut self.by_code, &other.by_code);
        merge_counts(&mut self.by_surface, &other.by_surface);
    }
}

impl ReadModel for Failures {
    type State = FailuresState;
    const NAME: &'static str = "failures";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.outcome.is_failure() && !is_reading(event)
    }

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        state.latest.offer(EventPlace::of(event), || Failure {
            event_id: event.event_id,
            surface: event.surface.clone(),
            outcome: event.outcome,
            code: event.code().map(str::to_owned),
            is_retryable: event.error.as_ref().is_some_and(|error| error.retryable),
            trace_id: event.trace_id,
            duration_ns: event.duration_ns,
        });
        state.counts.add(event.recorded_at, |counts| {
            counts.failures += 1;
            count_one(&mut counts.by_surface, &event.surface);
            if let Some(code) = event.code() {
                count_one(&mut counts.by_code, code);
            }
        });
    }
}
