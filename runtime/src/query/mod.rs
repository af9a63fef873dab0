//! Queries: events of one scope, or of all, by what their envelope says; lazily, in either direction.

mod error;
mod filter;
mod glob;
mod hits;
mod indexed;
mod lines;
mod stored;
mod summary;
#[cfg(test)]
pub(crate) mod synthetic;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Weak};

use crate::event::Outcome;
use crate::ids::{LedgerId, RequestId, Scope, TraceId, UserId};
use crate::index::{Index, IndexError, IndexFollower};
use crate::ledger::Ledger;
use crate::ledger_set::TailIndex;
use crate::log::LogPosition;
use crate::log::storage::Storage;

pub(crate) use filter::Filter;
pub(crate) use glob::glob_matches;
use hits::Hits;

pub use error::ReadError;
pub use stored::{Page, StoredEvent};
pub(crate) use summary::summarize;

/// What reads need of a ledger.
#[derive(Clone)]
pub(crate) struct ReadParts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) ledger_id: LedgerId,
    pub(crate) source: ReadSource,
}

impl Ledger {
    pub(crate) fn read_parts(&self) -> ReadParts {
        ReadParts {
            storage: Arc::clone(&self.owner.storage),
            ledger_id: self.id(),
            source: ReadSource::Indexed(Arc::clone(&self.owner.index)),
        }
    }
}

/// Where a read finds events, and up to where it may look.
#[derive(Clone)]
pub(crate) enum ReadSource {
    /// By the index, and by scanning what it has not read yet.
    Indexed(Arc<IndexFollower>),
    /// By scanning the log up to a place: a ledger of another process.
    Scanned { until: LogPosition },
    /// By an index of the reader's own: a ledger of another process, in a set.
    Tailed(Arc<TailIndex>),
}

impl ReadParts {
    pub(crate) fn source(&self) -> (Weak<Index>, LogPosition) {
        match &self.source {
            ReadSource::Indexed(follower) => follower.current(),
            ReadSource::Scanned { until } => (Weak::new(), *until),
            ReadSource::Tailed(tail) => tail.current(),
        }
    }

    pub(crate) fn distrust(&self, error: &IndexError) {
        match &self.source {
            ReadSource::Indexed(follower) => follower.distrust(error.to_string()),
            ReadSource::Scanned { .. } => {}
            ReadSource::Tailed(tail) => tail.distrust(),
        }
    }
}

/// The settings that both kinds of query share.
#[derive(Clone)]
pub(crate) struct Selection {
    parts: ReadParts,
    scope: Option<Scope>,
    pub(crate) filter: Filter,
    pub(crate) is_newest_first: bool,
    pub(crate) limit: usize,
    /// A tenant's query cannot read `$system`.
    is_operator: bool,
}

impl Selection {
    pub(crate) fn new(parts: ReadParts, scope: Option<Scope>, is_operator: bool) -> Self {
        let filter = Filter::default();
        Self { parts, scope, filter, is_newest_first: false, limit: usize::MAX, is_operator }
    }

    fn hits(self) -> Result<Hits, ReadError> {
        if !self.is_operator && self.scope.as_ref().is_none_or(Scope::is_system) {
            return Err(ReadError::OperatorOnly);
        }
        Hits::new(&self.parts, self.scope, self.filter, self.is_newest_first)
    }

    pub(crate) fn iter(self) -> Events {
        let left = self.limit;
        Events { state: State::Pending(Box::new(self)), left }
    }

    /// Reads one event more than the page holds, to know whether another follows.
    fn page(mut self, len: usize) -> Result<(Vec<StoredEvent>, bool), ReadError> {
        let len = len.min(self.limit);
        let has_limit = len == self.limit;
        self.limit = len.saturating_add(usize::from(!has_limit));
        let mut events = self.iter().collect::<Result<Vec<_>, _>>()?;
        let has_more = events.len() > len;
        events.truncate(len);
        Ok((events, has_more))
    }

    pub(crate) fn count(self) -> Result<u64, ReadError> {
        self.hits()?.count()
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("scope", &self.scope)
            .field("filter", &self.filter)
            .field("is_newest_first", &self.is_newest_first)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The setters of every query; its settings are in `self.selection`.
macro_rules! filter_setters {
    () => {
        /// Only surfaces that a glob describes: `*` stands for any run of characters, dots among them, so
        /// that `chat.*` is every surface below chat; all else is itself. Given more than once: any of them.
        pub fn surface(mut self, glob: impl Into<String>) -> Self {
            self.selection.filter.surfaces.push(glob.into());
            self
        }

        /// Only this outcome. Given more than once: any of them.
        pub fn outcome(mut self, outcome: Outcome) -> Self {
            self.selection.filter.outcomes.push(outcome);
            self
        }

        /// Only failures with this code. Given more than once: any of them.
        pub fn code(mut self, code: impl Into<String>) -> Self {
            self.selection.filter.codes.push(code.into());
            self
        }

        /// Only what this user did. Given more than once: any of them.
        pub fn user(mut self, user_id: &UserId) -> Self {
            self.selection.filter.users.push(user_id.clone());
            self
        }

        /// Only events recorded at or after a time, in microseconds since 1970 (UTC).
        pub fn since(mut self, recorded_at_us: i64) -> Self {
            self.selection.filter.since = Some(recorded_at_us);
            self
        }

        /// Only events recorded before a time, in microseconds since 1970 (UTC).
        pub fn until(mut self, recorded_at_us: i64) -> Self {
            self.selection.filter.until = Some(recorded_at_us);
            self
        }

        /// Only events of one request.
        pub fn request(mut self, request_id: &RequestId) -> Self {
            self.selection.filter.request = Some(request_id.clone());
            self
        }

        /// Only events of one trace.
        pub fn trace(mut self, trace_id: TraceId) -> Self {
            self.selection.filter.set_trace(trace_id);
            self
        }

        /// Newest first.
        pub fn newest_first(mut self) -> Self {
            self.selection.is_newest_first = true;
            self
        }

        /// Oldest first. The default.
        pub fn oldest_first(mut self) -> Self {
            self.selection.is_newest_first = false;
            self
        }

        /// At most this many events. Has no effect on [`count`](Self::count).
        pub fn limit(mut self, events: usize) -> Self {
            self.selection.limit = events;
            self
        }
    };
}
pub(crate) use filter_setters;

macro_rules! query_setters {
    () => {
        filter_setters!();

        /// Reads the events lazily. Those that were durable when the first is asked for are selected.
        pub fn iter(self) -> Events {
            self.selection.iter()
        }

        /// Counts the selected events, by the index alone where it can.
        ///
        /// # Errors
        ///
        /// [`ReadError`] when the log cannot be read.
        pub fn count(self) -> Result<u64, ReadError> {
            self.selection.count()
        }
    };
}

/// Selects events of one scope.
///
/// Made by [`ScopedReader::events`](crate::ScopedReader::events). Filters narrow each other down; values are
/// plain data, whatever they hold.
#[derive(Debug, Clone)]
#[must_use = "a query reads nothing until `iter`, `page` or `count`"]
pub struct EventQuery {
    selection: Selection,
}

impl EventQuery {
    pub(crate) fn new(parts: ReadParts, scope: Scope, is_operator: bool) -> Self {
        Self { selection: Selection::new(parts, Some(scope), is_operator) }
    }

    query_setters!();

    /// Only events behind this sequence number.
    pub fn after_seq(mut self, seq: u64) -> Self {
        self.selection.filter.after_seq = Some(seq);
        self
    }

    /// Only events before this sequence number.
    pub fn before_seq(mut self, seq: u64) -> Self {
        self.selection.filter.before_seq = Some(seq);
        self
    }

    /// Goes on behind the event with this sequence number, in the order that was chosen before.
    pub fn resume(self, seq: u64) -> Self {
        match self.selection.is_newest_first {
            true => self.before_seq(seq),
            false => self.after_seq(seq),
        }
    }

    /// Reads at most `events` events, and says where the next page begins.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the log cannot be read.
    pub fn page(self, events: usize) -> Result<Page<u64>, ReadError> {
        let (events, has_more) = self.selection.page(events)?;
        let next = events.last().filter(|_| has_more).map(|last| last.event.seq);
        Ok(Page { events, next })
    }
}

/// Selects events of all scopes, in the order of the log.
///
/// Made by [`OperatorReader::events`](crate::OperatorReader::events), and by nothing else.
#[derive(Debug, Clone)]
#[must_use = "a query reads nothing until `iter`, `page` or `count`"]
pub struct OperatorQuery {
    selection: Selection,
}

impl OperatorQuery {
    pub(crate) fn new(parts: ReadParts) -> Self {
        Self { selection: Selection::new(parts, None, true) }
    }

    query_setters!();

    /// Only events behind this place in the log.
    pub fn after(mut self, position: LogPosition) -> Self {
        self.selection.filter.after = Some(position);
        self
    }

    /// Only events before this place in the log.
    pub fn before(mut self, position: LogPosition) -> Self {
        self.selection.filter.before = Some(position);
        self
    }

    /// Goes on behind the event at this place, in the order that was chosen before.
    pub fn resume(self, position: LogPosition) -> Self {
        match self.selection.is_newest_first {
            true => self.before(position),
            false => self.after(position),
        }
    }

    /// Reads at most `events` events, and says where the next page begins.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the log cannot be read.
    pub fn page(self, events: usize) -> Result<Page<LogPosition>, ReadError> {
        let (events, has_more) = self.selection.page(events)?;
        let next = events.last().filter(|_| has_more).map(|last| last.position);
        Ok(Page { events, next })
    }
}

/// The events of a query, read one after the other.
///
/// After an error other than [`ReadError::Unreadable`] it ends.
#[derive(Debug)]
pub struct Events {
    state: State,
    left: usize,
}

enum State {
    /// Nothing was read yet.
    Pending(Box<Selection>),
    Reading(Box<Hits>),
    Ended,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending(_) => "pending",
            Self::Reading(_) => "reading",
            Self::Ended => "ended",
        })
    }
}

impl Iterator for Events {
    type Item = Result<StoredEvent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut hits = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return None,
            State::Reading(hits) => hits,
            State::Pending(selection) => match selection.hits() {
                Ok(hits) => Box::new(hits),
                Err(error) => return Some(Err(error)),
            },
        };
        match hits.next() {
            Ok(Some((position, line))) => {
                self.left -= 1;
                self.state = State::Reading(hits);
                Some(StoredEvent::new(position, line))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl std::iter::FusedIterator for Events {}
