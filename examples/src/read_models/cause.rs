//! Which event a value came from, and who called.

use dataset_events::{DatasetEvent, EventId, EventPlace, LedgerId, TraceId};
use serde::{Deserialize, Serialize};

/// The event that a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The event.
    pub event_id: EventId,
    /// The ledger that holds it.
    pub ledger_id: LedgerId,
    /// Its place in the scope's stream of that ledger.
    pub seq: u64,
    /// When it was recorded, in microseconds since 1970 (UTC).
    pub recorded_at_us: i64,
    /// Its trace.
    pub trace_id: TraceId,
}

impl Cause {
    /// The event itself.
    pub fn of(event: &DatasetEvent) -> Self {
        Self {
            event_id: event.event_id,
            ledger_id: event.ledger_id,
            seq: event.seq,
            recorded_at_us: event.recorded_at,
            trace_id: event.trace_id,
        }
    }

    /// Where the event stands.
    pub fn place(&self) -> EventPlace {
        EventPlace { recorded_at: self.recorded_at_us, ledger_id: self.ledger_id, seq: self.seq }
    }
}

/// Who called, in the engines' words: the user, or the kind of actor in parentheses.
pub(super) fn acting(event: &DatasetEvent) -> String {
    match (event.user_id(), &event.actor) {
        (Some(user_id), _) => user_id.to_string(),
        (None, Some(actor)) => format!("({})", actor.actor_type.as_str()),
        (None, None) => "(anonymous)".to_owned(),
    }
}
