//! What a query selects.

use std::ops::RangeInclusive;

use super::glob::glob_matches;
use crate::event::Outcome;
use crate::ids::{RequestId, TraceId, UserId};
use crate::index::fields::EventFields;
use crate::index::links::Link;
use crate::log::LogPosition;

/// All of these must hold; within a list, one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) surfaces: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) codes: Vec<String>,
    pub(crate) users: Vec<UserId>,
    /// Inclusive.
    pub(crate) since: Option<i64>,
    /// Exclusive.
    pub(crate) until: Option<i64>,
    pub(crate) request: Option<RequestId>,
    pub(crate) trace: Option<String>,
    /// Exclusive.
    pub(crate) after_seq: Option<u64>,
    /// Exclusive.
    pub(crate) before_seq: Option<u64>,
    /// Exclusive.
    pub(crate) after: Option<LogPosition>,
    /// Exclusive.
    pub(crate) before: Option<LogPosition>,
}

impl Filter {
    pub(crate) fn set_trace(&mut self, trace_id: TraceId) {
        self.trace = Some(trace_id.to_string());
    }

    pub(crate) fn accepts_surface(&self, surface: &str) -> bool {
        self.surfaces.is_empty() || self.surfaces.iter().any(|glob| glob_matches(glob, surface))
    }

    pub(crate) fn accepts_outcome(&self, outcome: Outcome) -> bool {
        self.outcomes.is_empty() || self.outcomes.contains(&outcome)
    }

    fn accepts_code(&self, code: Option<&str>) -> bool {
        self.codes.is_empty() || code.is_some_and(|code| self.codes.iter().any(|wanted| wanted == code))
    }

    fn accepts_user(&self, user: Option<&str>) -> bool {
        self.users.is_empty() || user.is_some_and(|user| self.users.iter().any(|wanted| wanted == user))
    }

    pub(crate) fn accepts_position(&self, position: LogPosition) -> bool {
        self.after.is_none_or(|after| position > after) && self.before.is_none_or(|before| position < before)
    }

    /// Whether the event is selected, by everything but its scope.
    pub(crate) fn accepts(&self, event: &EventFields<'_>, position: LogPosition) -> bool {
        self.accepts_position(position)
            && !self.is_before(event)
            && !self.is_behind(event)
            && self.accepts_outcome(event.outcome)
            && self.accepts_surface(&event.surface)
            && self.accepts_code(event.code.as_deref())
            && self.accepts_user(event.user_id.as_deref())
            && self.request.as_ref().is_none_or(|request| *request == *event.request_id)
            && self.trace.as_ref().is_none_or(|trace| trace == event.trace_id)
    }

    /// Whether the event lies before the range of times and numbers; so does all that precedes it in its
    /// stream, because neither ever decreases there.
    pub(crate) fn is_before(&self, event: &EventFields<'_>) -> bool {
        self.since.is_some_and(|since| event.recorded_at < since)
            || self.after_seq.is_some_and(|after| event.seq <= after)
    }

    /// Whether the event lies behind the range; so does all that follows it in its stream.
    pub(crate) fn is_behind(&self, event: &EventFields<'_>) -> bool {
        self.until.is_some_and(|until| event.recorded_at >= until)
            || self.before_seq.is_some_and(|before| event.seq >= before)
    }

    /// The sequence numbers that the bounds leave of those that are there.
    pub(crate) fn bound_seqs(&self, there: RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
        let mut low = *there.start();
        let mut high = *there.end();
        if let Some(after) = self.after_seq {
            low = low.max(after.checked_add(1)?);
        }
        if let Some(before) = self.before_seq {
            high = high.min(before.checked_sub(1)?);
        }
        (low <= high).then_some(low..=high)
    }

    /// The link that leads to few candidates, if there is one.
    pub(crate) fn link(&self) -> Option<Link<'_>> {
        let request = self.request.as_ref().map(|request| Link::Request(request.as_str()));
        request.or(self.trace.as_deref().map(Link::Trace))
    }
}
