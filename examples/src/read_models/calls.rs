//! Calls: how many, by surface, access and outcome, by code, by hour; the latest failures.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use dataset_events::read_models::{Bucket, EventPlace, LatestN, ReadModel, Step, Windowed};
use dataset_events::{Access, DatasetEvent, LedgerId, Outcome, RequestId, TraceId, UserId};
use serde::{Deserialize, Serialize};

use super::window::HOUR_US;
use super::{Span, Window};

/// Counts calls, and keeps the latest 100 failures. What reading leaves is not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls;

/// What is known of a scope's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsState {
    counts: Windowed<CallCounts>,
    failures: LatestN<Failure, 100>,
}

/// The calls of a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    events: u64,
    failures: u64,
    by_surface: BTreeMap<String, BTreeMap<Access, BTreeMap<Outcome, u64>>>,
    by_code: BTreeMap<String, Coded>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Coded {
    events: u64,
    latest_at_us: i64,
}

/// How many events, and how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All of them.
    pub events: u64,
    /// Those with outcome `ok`.
    pub ok: u64,
    /// Those with outcome `error`.
    pub error: u64,
    /// Those with outcome `denied`.
    pub denied: u64,
    /// Those with outcome `panic`.
    pub panic: u64,
    /// Those with outcome `cancelled`.
    pub cancelled: u64,
    /// Those with outcome `interrupted`.
    pub interrupted: u64,
}

/// The events of one surface, access and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurfaceCount {
    /// The surface.
    pub surface: String,
    /// What it does to the data.
    pub access: Access,
    /// How the calls ended.
    pub outcome: Outcome,
    /// How many.
    pub events: u64,
}

/// The failures with one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCount {
    /// The code.
    pub code: String,
    /// How many.
    pub events: u64,
    /// When the latest was recorded.
    pub latest_at_us: i64,
}

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HourCount {
    /// When it begins, in microseconds since 1970 (UTC).
    pub hour_us: i64,
    /// Its events.
    pub events: u64,
    /// Those that are no success.
    pub failures: u64,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The ledger that holds it.
    pub ledger_id: LedgerId,
    /// Its place in the scope's stream of that ledger.
    pub seq: u64,
    /// When it was recorded.
    pub recorded_at_us: i64,
    /// The surface.
    pub surface: String,
    /// How the call ended.
    pub outcome: Outcome,
    /// Its code.
    pub code: Option<String>,
    /// Who called.
    pub user_id: Option<UserId>,
    /// The request.
    pub request_id: RequestId,
    /// The trace.
    pub trace_id: TraceId,
}

impl CallCounts {
    /// All, by outcome.
    pub fn totals(&self) -> Counts {
        let mut totals = Counts { events: self.events, ..Counts::default() };
        for by_outcome in self.by_surface.values().flat_map(BTreeMap::values) {
            for (outcome, events) in by_outcome {
                *match outcome {
                    Outcome::Ok => &mut totals.ok,
                    Outcome::Denied => &mut totals.denied,
                    Outcome::Panic => &mut totals.panic,
                    Outcome::Cancelled => &mut totals.cancelled,
                    Outcome::Interrupted => &mut totals.interrupted,
                    // An outcome of a later version is a failure of some kind.
                    _ => &mut totals.error,
                } += events;
            }
        }
        totals
    }

    /// By surface, access and outcome, in this order; combinations that occur.
    pub fn surfaces(&self) -> Vec<SurfaceCount> {
        let mut rows = Vec::new();
        for (surface, by_access) in &self.by_surface {
            for (access, by_outcome) in by_access {
                rows.extend(by_outcome.iter().map(|(outcome, events)| SurfaceCount {
                    surface: surface.clone(),
                    access: *access,
                    outcome: *outcome,
                    events: *events,
                }));
            }
        }
        rows
    }

    /// By code, the most frequent first; those that are as frequent by name.
    pub fn codes(&self) -> Vec<CodeCount> {
        let codes = self.by_code.iter().map(|(code, counted)| CodeCount {
            code: code.clone(),
            events: counted.events,
            latest_at_us: counted.latest_at_us,
        });
        let mut codes: Vec<CodeCount> = codes.collect();
        codes.sort_by_key(|code| Reverse(code.events));
        codes
    }
}

impl CallsState {
    /// What was counted in a window, and the span that the counts are of.
    pub fn counts(&self, window: Window) -> (Span, CallCounts) {
        let span = Span::over(&self.counts, window);
        (span, span.sum(&self.counts))
    }

    /// Each hour of a window, oldest first; hours without events too. Hours are kept for 35 days.
    pub fn hours(&self, window: Window) -> Vec<HourCount> {
        let first = Step::Hour.start_of(window.since_us);
        let last = Step::Hour.start_of(window.until_us.saturating_sub(1));
        let counted: BTreeMap<i64, &CallCounts> =
            self.counts.series(Step::Hour, first, last.saturating_add(1)).collect();
        let hours = (first / HOUR_US..=last / HOUR_US).map(|hour| hour * HOUR_US);
        hours
            .map(|hour_us| {
                let counted = counted.get(&hour_us);
                let (events, failures) = counted.map_or((0, 0), |counted| (counted.events, counted.failures));
                HourCount { hour_us, events, failures }
            })
            .collect()
    }

    /// Those of the latest 100 failures that lie in a span, newest first, at most `limit`.
    pub fn failures(&self, span: Span, limit: usize) -> Vec<Failure> {
        let failures = self.failures.newest_first();
        let within = failures
            .filter(|(place, _)| (span.since_us..span.until_us).contains(&place.recorded_at))
            .map(|(_, failure)| failure.clone());
        within.take(limit).collect()
    }
}

impl Bucket for CallCounts {
    fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.failures += other.failures;
        for (surface, by_access) in &other.by_surface {
            let into = self.by_surface.entry(surface.clone()).or_default();
            for (access, by_outcome) in by_access {
                let into = into.entry(*access).or_default();
                for (outcome, events) in by_outcome {
                    *into.entry(*outcome).or_default() += events;
                }
            }
        }
        for (code, counted) in &other.by_code {
            let into = self.by_code.entry(code.clone()).or_default();
            into.events += counted.events;
            into.latest_at_us = into.latest_at_us.max(counted.latest_at_us);
        }
    }
}

impl ReadModel for Calls {
    type State = CallsState;
    const NAME: &'static str = "calls";
    const VERSION: u32 = 1;

    fn apply(&self, state: &mut CallsState, event: &DatasetEvent) {
        let is_failure = event.outcome.is_failure();
        state.counts.add(event.recorded_at, |counts| {
            counts.events += 1;
            counts.failures += u64::from(is_failure);
            let by_access = counts.by_surface.entry(event.surface.clone()).or_default();
            *by_access.entry(event.access).or_default().entry(event.outcome).or_default() += 1;
            if let Some(code) = event.code() {
                let coded = counts.by_code.entry(code.to_owned()).or_default();
                coded.events += 1;
                coded.latest_at_us = coded.latest_at_us.max(event.recorded_at);
            }
        });
        if is_failure {
            state.failures.offer(EventPlace::of(event), || Failure {
                ledger_id: event.ledger_id,
                seq: event.seq,
                recorded_at_us: event.recorded_at,
                surface: event.surface.clone(),
                outcome: event.outcome,
                code: event.code().map(str::to_owned),
                user_id: event.user_id().cloned(),
                request_id: event.request_id.clone(),
                trace_id: event.trace_id,
            });
        }
    }
}
