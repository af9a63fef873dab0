//! Failures of the dashboard.

use std::error::Error;

use dataset_events::{ErrorCode, TraceId, Unread};
use thiserror::Error;

use super::model::MAX_PAGE;
use crate::read_models::MAX_WINDOW_US;

/// Why the dashboard could not be read.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum BossmanError {
    /// The window is empty or too long.
    #[error(
        "the window from {since_us} to {until_us}: expected it to end after it begins, within {MAX_WINDOW_US} \
         microseconds (31 days)"
    )]
    #[code("bossman.invalid_window", status = 422)]
    InvalidWindow {
        /// Where the refused window begins.
        since_us: i64,
        /// Where it ends.
        until_us: i64,
    },
    /// The page asked for is empty or too large, or does not continue an earlier one.
    #[error(
        "a page of {limit}: expected 1 to {MAX_PAGE}, and for the next page the `next` of an earlier one, \
         unchanged"
    )]
    #[code("bossman.invalid_page", status = 422)]
    InvalidPage {
        /// The size that was asked for.
        limit: u32,
    },
    /// The scope has no event of the trace. A trace of another scope is no different.
    #[error("no event of trace {trace_id} in this scope")]
    #[code("bossman.trace_not_found", status = 404)]
    TraceNotFound {
        /// The trace.
        trace_id: TraceId,
    },
    /// A text is no month.
    #[error("a text of {len_bytes} bytes is no month: expected YYYY-MM")]
    #[code("bossman.invalid_month", status = 422)]
    InvalidMonth {
        /// The length of the refused text.
        len_bytes: usize,
    },
    /// A ledger could not be read, and a part is not what was asked for, or not what can be told.
    #[error("read {ledger}, without which the answer would be a part of what there is")]
    #[code("bossman.ledger_unreadable", status = 500)]
    LedgerUnreadable {
        /// The ledger: its id, its directory, or the root.
        ledger: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl BossmanError {
    pub(super) fn unreadable(
        ledger: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::LedgerUnreadable { ledger: ledger.into(), source: source.into() }
    }

    /// Refuses a part.
    pub(super) fn if_unread(unread: &[Unread]) -> Result<(), Self> {
        let Some(first) = unread.first() else { return Ok(()) };
        let ledger = match (&first.ledger_id, &first.path) {
            (Some(ledger_id), _) => format!("ledger {ledger_id}"),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => "the ledgers".to_owned(),
        };
        Err(Self::unreadable(ledger, first.clone()))
    }
}
