//! What is asked: windows, lengths of lists, filters.

use dataset_events::SetQuery;

use super::error::BossmanError;
use super::model::{EventFilter, MAX_PAGE};
use crate::read_models::Window;

/// Refuses a window that is empty or too long.
pub(super) fn require(window: Window) -> Result<(), BossmanError> {
    let Window { since_us, until_us } = window;
    if window.is_valid() { Ok(()) } else { Err(BossmanError::InvalidWindow { since_us, until_us }) }
}

/// Refuses a list of nothing or of too much.
pub(super) fn require_limit(limit: u32) -> Result<usize, BossmanError> {
    if (1..=MAX_PAGE).contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(BossmanError::InvalidPage { limit })
    }
}

/// Narrows a query to what all of a filter holds for.
pub(super) fn select(mut query: SetQuery, filter: &EventFilter) -> SetQuery {
    let EventFilter { surface, outcome, code, user_id, request_id, trace_id, since_us, until_us } = filter;
    if let Some(surface) = surface {
        query = query.surface(surface);
    }
    if let Some(outcome) = outcome {
        query = query.outcome(*outcome);
    }
    if let Some(code) = code {
        query = query.code(code);
    }
    if let Some(user_id) = user_id {
        query = query.user(user_id);
    }
    if let Some(request_id) = request_id {
        query = query.request(request_id);
    }
    if let Some(trace_id) = trace_id {
        query = query.trace(*trace_id);
    }
    if let Some(since_us) = since_us {
        query = query.since(*since_us);
    }
    if let Some(until_us) = until_us {
        query = query.until(*until_us);
    }
    query
}
