//! What the dashboard is asked, and what it answers. Names of fields are stable: programs read them.

use dataset_events::{
    Access, DatasetEvent, EventId, LedgerId, LineHash, Outcome, RequestId, SourceRef, SpanId, TraceId,
    Unread, UserId,
};
use serde::{Deserialize, Serialize};

use super::BossmanError;
use crate::read_models::{
    ChatActivity, CodeCount, Counts, Failure, HourCount, MediaActivity, Span, SurfaceCount, VectorActivity,
    Window,
};

/// The most events of a page.
pub const MAX_PAGE: u32 = 200;
/// How many of the latest failures an overview holds.
pub const LATEST_FAILURES: usize = 20;
/// The most events that a trace is shown with.
pub const MAX_TRACE_EVENTS: usize = 2_000;
/// The deepest nesting that a trace is shown with.
pub const MAX_TRACE_DEPTH: usize = 50;

/// The dashboard of a scope, folded from its events alone. What reading leaves (`bossman.*`, `ledger.read`) is
/// in no count: looking does not change what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The tenant.
    pub tenant_id: String,
    /// The env.
    pub env: String,
    /// The window that was asked for.
    pub window: Window,
    /// The whole five minutes, hours or days that hold it: what the counts are of.
    pub span: Span,
    /// When reading began: what was durable then is counted.
    pub as_of_us: i64,
    /// How far each ledger was read.
    pub freshness: Freshness,
    /// All events of the span.
    pub totals: Counts,
    /// By surface, access and outcome, in this order; combinations that occur.
    pub by_surface: Vec<SurfaceCount>,
    /// By code, the most frequent first.
    pub by_code: Vec<CodeCount>,
    /// The hours of the window (UTC), oldest first; hours without events too. Whole hours, kept for 35 days.
    pub by_hour: Vec<HourCount>,
    /// Of the scope's latest 100 failures those of the span, newest first, at most [`LATEST_FAILURES`].
    pub latest_failures: Vec<Failure>,
}

/// How far the ledgers were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// When the newest event of the scope was recorded; `None` without one.
    pub newest_event_us: Option<i64>,
    /// How long before `as_of_us` that was: age of the data, also when nothing happened since.
    pub age_us: Option<i64>,
    /// Whether every ledger was read. If not, the view is a part: events may be missing from it.
    pub is_complete: bool,
    /// What could not be read now and may hold events of the scope.
    pub unread: Vec<UnreadLedger>,
    /// Each ledger that holds events of the scope, by id.
    pub ledgers: Vec<LedgerHead>,
}

/// What could not be read. Files and reasons are for the operator, not for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadLedger {
    /// The ledger, where its id is known.
    pub ledger_id: Option<LedgerId>,
}

impl UnreadLedger {
    pub(super) fn all(unread: &[Unread]) -> Vec<Self> {
        unread.iter().map(|unread| Self { ledger_id: unread.ledger_id }).collect()
    }
}

/// The end of a scope's stream in one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerHead {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Whether this process writes it; of others the log is read as it lies on disk.
    pub is_own: bool,
    /// The newest event's number. Each is one more than the one before.
    pub seq: u64,
    /// SHA-256 of the newest event's line; kept elsewhere, it shows later that nothing was changed.
    pub hash: LineHash,
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
    /// Whether every ledger was read. If not, events may be missing.
    pub is_complete: bool,
    /// What could not be read now and may hold events of the scope.
    pub unread: Vec<UnreadLedger>,
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
    /// Whether every ledger was read. If not, calls may be missing.
    pub is_complete: bool,
    /// What could not be read now and may hold calls of the trace.
    pub unread: Vec<UnreadLedger>,
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

/// A view of a scope, with what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown<T> {
    /// The tenant.
    pub tenant_id: String,
    /// The env.
    pub env: String,
    /// When reading began: what was durable then is in the view.
    pub as_of_us: i64,
    /// How far each ledger was read.
    pub freshness: Freshness,
    /// The view; its fields stand beside those above.
    #[serde(flatten)]
    pub view: T,
}

/// What was done in chat, with media and with vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activities {
    /// The window that was asked for.
    pub window: Window,
    /// The chat.
    pub chat: ChatActivity,
    /// The media.
    pub media: MediaActivity,
    /// The vectors.
    pub vector: VectorActivity,
}

/// The ledgers that hold a scope's events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgersView {
    /// How many ledgers hold events of the scope.
    pub total: u64,
    /// The newest of them, by id.
    pub ledgers: Vec<LedgerRow>,
    /// What could not be read now and may hold events of the scope; the id where it is known.
    pub unreadable: Vec<Option<LedgerId>>,
    /// Where this process forwards its own ledger to.
    pub sinks: Vec<SinkRow>,
}

/// How a sink fares. Its target, its errors and its counts are of all tenants, and for the operator alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkRow {
    /// The operator's name of it.
    pub name: String,
    /// What it is: `firestore`.
    pub kind: &'static str,
    /// The ledger that it gets.
    pub ledger_id: LedgerId,
    /// `starting`, `running`, `waiting`, `hanging`, `paused`, `stopped` or `closed`.
    pub state: &'static str,
    /// Whether retention waits for it.
    pub required: bool,
    /// The age of the oldest line that it has not acknowledged; 0 when there is none.
    pub lag_seconds: f64,
    /// When it acknowledged last, in microseconds since 1970 (UTC).
    pub last_write_us: Option<i64>,
}

/// One ledger of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// The end of the scope's stream in it.
    #[serde(flatten)]
    pub head: LedgerHead,
    /// How it is.
    pub condition: Condition,
    /// Which program wrote its newest event.
    pub service: Option<String>,
    /// How many events of the scope it holds, those of reading too.
    pub events: u64,
    /// When the first was recorded.
    pub first_at_us: Option<i64>,
    /// Calls that its process died in.
    pub interrupted: u64,
    /// Events that were lost under overload, as its gaps tell.
    pub lost: u64,
    /// How often it told of a gap.
    pub gaps: u64,
}

/// How a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// This process writes it.
    Own,
    /// Another process writes it.
    Live,
    /// Nobody writes it: closed, or left by a process that died.
    Closed,
    /// It was put together from a replica, and is nowhere else.
    Restored,
    /// It cannot be read now.
    Unreadable,
}

/// A calendar month (UTC), as `YYYY-MM`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Month(String);

impl Month {
    /// The month as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn of(unix_us: i64) -> Self {
        Self(crate::engines::budget::month_of(unix_us))
    }
}

impl std::str::FromStr for Month {
    type Err = BossmanError;

    fn from_str(text: &str) -> Result<Self, BossmanError> {
        let is_month = match text.as_bytes() {
            [year @ .., b'-', tens, ones] if year.len() == 4 => {
                year.iter().all(u8::is_ascii_digit)
                    && matches!((tens, ones), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'))
            }
            _ => false,
        };
        match is_month {
            true => Ok(Self(text.to_owned())),
            false => Err(BossmanError::InvalidMonth { len_bytes: text.len() }),
        }
    }
}
