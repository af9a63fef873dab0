//! What each page says: read from the events, served as JSON, shown as HTML.

mod coverage;
mod event;
mod events;
mod health;
mod operator;
mod overview;
mod session_pages;
mod sinks;
mod trace;

use dataset_events::{Scope, Unread};
use serde::Serialize;

pub(super) use coverage::{Coverage, coverage_page};
pub(super) use event::{EventView, event_page, read_event};
pub(super) use events::{EventList, EventsQuery, events_page};
pub(super) use health::{Health, VerificationState, health_page, verify};
pub(super) use operator::{ScopeList, operator_page};
pub(super) use overview::{Overview, overview_page};
pub(super) use session_pages::{continue_page, failure_page, sign_in_page};
pub(super) use trace::{TraceView, trace_page};

/// Which scope an answer is of, and when it was made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Heading {
    pub(super) tenant_id: String,
    pub(super) env: String,
    pub(super) now_us: i64,
}

impl Heading {
    pub(super) fn new(scope: &Scope, now_us: i64) -> Self {
        Self { tenant_id: scope.tenant_id().to_string(), env: scope.env().to_string(), now_us }
    }
}

/// What could not be read, as JSON for a tenant: without files and reasons, which are the operator's.
pub(super) fn unread_json<S: serde::Serializer>(unread: &[Unread], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named {
        ledger_id: Option<String>,
    }
    serializer.collect_seq(
        unread.iter().map(|unread| Named { ledger_id: unread.ledger_id.map(|id| id.to_string()) }),
    )
}
