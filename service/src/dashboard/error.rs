//! What can go wrong on a page.

use dataset_events::{ErrorCode, ReadError, Unread};
use thiserror::Error;

use super::panel::PanelError;

/// Why a page or an API read has no answer.
#[derive(Debug, ErrorCode, Error)]
pub(super) enum DashboardError {
    /// Nothing is there, or it is of another scope: which of the two is not told.
    #[error("there is nothing of that name in this scope")]
    #[code("dashboard.not_found", status = 404)]
    NotFound,
    #[error("the filter `{0}` is not of the expected form")]
    #[code("dashboard.invalid_filter", status = 400)]
    InvalidFilter(&'static str),
    #[error("the page is for operators")]
    #[code("dashboard.operator_only", status = 403)]
    OperatorOnly,
    #[error("the form was sent from another site")]
    #[code("dashboard.cross_site", status = 403)]
    CrossSite,
    #[error(
        "the token is not of a form that an `Authorization` header can hold, or has more than 3,800 bytes, the most that a cookie can"
    )]
    #[code("dashboard.invalid_token", status = 400)]
    InvalidToken,
    #[error("the form is not of the expected form")]
    #[code("dashboard.invalid_form", status = 400)]
    InvalidForm,
    /// The first reading of a large scope takes longer than a request may.
    #[error("the scope's events are still being read")]
    #[code("dashboard.still_reading", status = 503, retryable)]
    StillReading,
    /// An operator's reading has to be recorded, and no ledger of the set is open here.
    #[error("no ledger of the set is open in this process, so that an operator's reading cannot be recorded")]
    #[code("dashboard.unrecorded", status = 503)]
    Unrecorded,
    #[error("read the scope's events: {0}")]
    #[code("dashboard.unreadable", status = 500)]
    Unreadable(String),
    #[error("make the page")]
    #[code("dashboard.failed", status = 500)]
    Failed,
}

impl From<ReadError> for DashboardError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<Unread> for DashboardError {
    fn from(unread: Unread) -> Self {
        Self::Unreadable(unread.to_string())
    }
}

impl From<PanelError> for DashboardError {
    fn from(error: PanelError) -> Self {
        match error {
            PanelError::Read(error) => error.into(),
            PanelError::Failed(_) => Self::Failed,
        }
    }
}
