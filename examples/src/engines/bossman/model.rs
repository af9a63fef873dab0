//! What the dashboard is asked, and what it answers. Names of fields are stable: programs read them.

use std::fmt;
use std::str::FromStr;

use dataset_events::{
    Access, DatasetEvent, EventId, LedgerId, LineHash, Outcome, RequestId, SourceRef, SpanId, TraceId, UserId,
};
use serde::{Deserialize, Serialize};

/// The longest window: 31 days, in microseconds.
pub const MAX_WINDOW_US: i64 = 31 * 24 * HOUR_US;
/// The most events of a page.
pub const MAX_PAGE: u32 = 200;
/// How many of the latest failures an overview holds.
pub const LATEST_FAILURES: usize = 20;
/// The most events that a trace is shown with.
pub const MAX_TRACE_EVENTS: usize = 2_000;
/// The deepest nesting that a trace is shown with.
pub const MAX_TRACE_DEPTH: usize = 50;
/// An hour in microseconds.
pub(super) const HOUR_US: i64 = 3_600_000_000;

/// A span of time by when events were recorded: from `since_us` to before `until_us`, in microseconds since
/// 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first microsecond.
    pub since_us: i64,
    /// The first microsecond after it.
    pub until_us: i64,
}

impl Window {
    /// The hours that end with `now_us`.
    pub fn hours_until(now_us: i64, hours: u32) -> Self {
        let until_us = now_us.saturating_add(1);
        Self { since_us: until_us.saturating_sub(i64::from(hours) * HOUR_US), until_us }
    }

    pub(super) fn is_valid(self) -> bool {
        self.until_us.checked_sub(self.since_us).is_some_and(|length| (1..=MAX_WINDOW_US).contains(&length))
    }
}

/// The dashboard of a scope, folded from its events alone. Events of the dashboard itself (`bossman.*`) are
/// in no count: looking does not change what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The tenant.
    pub tenant_id: String,
    /// The env.
    pub env: String,
    /// The window that was asked for.
    pub window: Window,
    /// When reading began: what was durable then is counted.
    pub as_of_us: i64,
    /// How far each ledger was read.
    pub freshness: Freshness,
    /// All events of the window.
    pub totals: Counts,
    /// By surface, access and outcome, in this order; combinations that occur.
    pub by_surface: Vec<SurfaceCount>,
    /// By code, the most frequent first.
    pub by_code: Vec<CodeCount>,
    /// By hour (UTC), oldest first; hours without events too.
    pub by_hour: Vec<HourCount>,
    /// The latest failures, newest first, at most [`LATEST_FAILURES`].
    pub latest_failures: Vec<Failure>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// How far the ledgers were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// When the newest event of the scope was recorded; `None` without one.
    pub newest_event_us: Option<i64>,
    /// How long before `as_of_us` that was: age of the data, also when nothing happened since.
    pub age_us: Option<i64>,
    /// Each ledger that was read, by id.
    pub ledgers: Vec<LedgerHead>,
}

/// The end of a scope's stream in one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerHead {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Whether this process writes it; of others the log is read as it lies on disk.
    pub is_own: bool,
    /// The newest event's number; 0 without one. Each is one more than the one before.
    pub seq: u64,
    /// SHA-256 of the newest event's line; kept elsewhere, it shows later that nothing was changed.
    pub hash: Option<LineHash>,
    /// When the newest event was recorded.
    pub recorded_at_us: Option<i64>,
}

/// Which events are asked for; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Surfaces that a glob describes, as `chat.*`.
    pub surface: Option<String>,
    /// How the calls ended.
    pub outcome: Option<Outcome>,
    /// The code of a failure.
    pub code: Option<String>,
    /// Who called.
    pub user_id: Option<UserId>,
    /// The request.
    pub request_id: Option<RequestId>,
    /// The trace.
    pub trace_id: Option<TraceId>,
    /// Recorded at or after this time, in microseconds since 1970 (UTC).
    pub since_us: Option<i64>,
    /// Recorded before this time.
    pub until_us: Option<i64>,
}

impl EventFilter {
    /// The names of the fields that are given. Their values may be what a user typed, and stay out of the
    /// ledger.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let given = [
            (self.surface.is_some(), "surface"),
            (self.outcome.is_some(), "outcome"),
            (self.code.is_some(), "code"),
            (self.user_id.is_some(), "user_id"),
            (self.request_id.is_some(), "request_id"),
            (self.trace_id.is_some(), "trace_id"),
            (self.since_us.is_some(), "since_us"),
            (self.until_us.is_some(), "until_us"),
        ];
        given.into_iter().filter_map(|(is_given, name)| is_given.then_some(name)).collect()
    }
}

/// How much of a list is asked for, and behind what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// At most so many events, 1 to [`MAX_PAGE`].
    pub limit: u32,
    /// The `next` of the page before; `None` for the first.
    #[serde(default)]
    pub after: Option<String>,
}

/// Events, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventEntry>,
    /// What to ask for the next page with; `None` when there are no more.
    pub next: Option<String>,
    /// When reading began.
    pub as_of_us: i64,
}

/// One event with its payload.
#[derive(Debug, Clone, Serialize)]
pub struct EventEntry {
    /// SHA-256 of the stored line.
    pub hash: LineHash,
    /// The event, in the form of `docs/formats.md`.
    pub event: DatasetEvent,
}

/// The events of one trace as a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The trace.
    pub trace_id: TraceId,
    /// How many events the tree holds.
    pub events: u64,
    /// Whether there are more than [`MAX_TRACE_EVENTS`]; then the earliest recorded are shown.
    pub is_truncated: bool,
    /// The calls whose parent is not among the events, as that of a client, by their beginning.
    pub roots: Vec<TraceNode>,
}

/// One call of a trace, with those made inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceNode {
    /// The ledger that holds the event.
    pub ledger_id: LedgerId,
    /// Its place in the scope's stream of that ledger.
    pub seq: u64,
    /// The event.
    pub event_id: EventId,
    /// The service that recorded it.
    pub service: String,
    /// The surface.
    pub surface: String,
    /// What it does to the data.
    pub access: Access,
    /// How the call ended.
    pub outcome: Outcome,
    /// The code of a failure.
    pub code: Option<String>,
    /// When the call began, in microseconds since 1970 (UTC).
    pub started_at_us: i64,
    /// How long it took.
    pub duration_ns: u64,
    /// Its span.
    pub span_id: SpanId,
    /// The span that it ran in.
    pub parent_span_id: Option<SpanId>,
    /// The request.
    pub request_id: RequestId,
    /// Who called.
    pub user_id: Option<UserId>,
    /// What it read or wrote.
    pub source_refs: Vec<SourceRef>,
    /// The calls made inside it, by their beginning. Below [`MAX_TRACE_DEPTH`] they stand beside their parent.
    pub children: Vec<TraceNode>,
}

/// A place in the order of events over several ledgers: by time, then ledger, then number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) recorded_at_us: i64,
    pub(super) ledger_id: LedgerId,
    pub(super) seq: u64,
}

impl Place {
    pub(super) fn of(event: &DatasetEvent) -> Self {
        Self { recorded_at_us: event.recorded_at, ledger_id: event.ledger_id, seq: event.seq }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.recorded_at_us, self.ledger_id, self.seq)
    }
}

/// A text is no place.
#[derive(Debug)]
pub(super) struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let mut parts = text.splitn(3, '_');
        let mut part = || parts.next().ok_or(InvalidPlace);
        Ok(Self {
            recorded_at_us: part()?.parse().map_err(|_| InvalidPlace)?,
            ledger_id: part()?.parse().map_err(|_| InvalidPlace)?,
            seq: part()?.parse().map_err(|_| InvalidPlace)?,
        })
    }
}
