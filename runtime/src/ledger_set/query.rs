//! Queries over the ledgers of a set.

use std::fmt;

use super::LedgerSet;
use super::members::Member;
use super::merge::{SetEvents, Source};
use super::unread::{Unread, chain};
use crate::event::{EventPlace, Outcome};
use crate::ids::{RequestId, Scope, TraceId, UserId};
use crate::query::{Filter, ReadError, Selection, StoredEvent, filter_setters};

/// Some events of a set, where the next ones begin, and what could not be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SetPage {
    /// The events, in the order asked for.
    pub events: Vec<StoredEvent>,
    /// What to give to `resume` for the next page; `None` when there are no more.
    pub next: Option<EventPlace>,
    /// What could not be read; empty when the page is complete.
    pub unread: Vec<Unread>,
}

/// A count over a set, and what could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetCount {
    /// The events that were counted.
    pub events: u64,
    /// What could not be read; empty when the count is complete.
    pub unread: Vec<Unread>,
}

/// Settings that do not depend on a ledger.
#[derive(Debug, Clone)]
struct SetSelection {
    filter: Filter,
    is_newest_first: bool,
    limit: usize,
    behind: Option<EventPlace>,
}

impl SetSelection {
    fn new() -> Self {
        Self { filter: Filter::default(), is_newest_first: false, limit: usize::MAX, behind: None }
    }

    /// The filter for one ledger: what lies behind the cursor there, in the order of places.
    fn filter_for(&self, member: &Member) -> Filter {
        let mut filter = self.filter.clone();
        let Some(place) = self.behind else { return filter };
        let ledger_id = member.ledger_id;
        // At the cursor's own time, smaller ledger ids stand before it and greater ones behind it.
        let bound = place.recorded_at.saturating_add(i64::from(ledger_id < place.ledger_id));
        match (self.is_newest_first, ledger_id == place.ledger_id) {
            (true, true) => {
                filter.before_seq = Some(filter.before_seq.map_or(place.seq, |s| s.min(place.seq)))
            }
            (false, true) => {
                filter.after_seq = Some(filter.after_seq.map_or(place.seq, |s| s.max(place.seq)))
            }
            (true, false) => {
                filter.until = Some(filter.until.map_or(bound, |until| until.min(bound)));
            }
            (false, false) => {
                filter.since = Some(filter.since.map_or(bound, |since| since.max(bound)));
            }
        }
        filter
    }

    fn selection(&self, member: &Member, scope: Option<Scope>, is_operator: bool) -> Selection {
        let mut selection = Selection::new(member.parts.clone(), scope, is_operator);
        selection.filter = self.filter_for(member);
        selection.is_newest_first = self.is_newest_first;
        selection.limit = self.limit;
        selection
    }

    fn iter(self, set: &LedgerSet, scope: Option<&Scope>, is_operator: bool) -> SetEvents {
        let found = set.members.refresh();
        let sources = found.members.iter().map(|member| Source {
            ledger_id: member.ledger_id,
            path: member.path.clone(),
            events: self.selection(member, scope.cloned(), is_operator).iter(),
        });
        SetEvents::new(sources.collect(), found.unread, self.is_newest_first, self.limit)
    }

    fn count(self, set: &LedgerSet, scope: Option<&Scope>, is_operator: bool) -> SetCount {
        let found = set.members.refresh();
        let mut count = SetCount { events: 0, unread: found.unread };
        for member in &found.members {
            match self.selection(member, scope.cloned(), is_operator).count() {
                Ok(events) => count.events += events,
                Err(error) => {
                    let path = member.path.as_deref();
                    count.unread.push(Unread::new(Some(member.ledger_id), path, &chain(&error)));
                }
            }
        }
        count
    }
}

/// Selects events of one scope in all ledgers of a set, ordered by [`EventPlace`].
///
/// Made by [`SetScope::events`](crate::SetScope::events). The filters are those of
/// [`EventQuery`](crate::EventQuery).
#[derive(Clone)]
#[must_use = "a query reads nothing until `iter`, `page` or `count`"]
pub struct SetQuery {
    set: LedgerSet,
    scope: Scope,
    is_operator: bool,
    selection: SetSelection,
}

impl SetQuery {
    pub(crate) fn new(set: LedgerSet, scope: Scope, is_operator: bool) -> Self {
        Self { set, scope, is_operator, selection: SetSelection::new() }
    }

    filter_setters!();

    /// Goes on behind the event at this place, in the order that was chosen.
    ///
    /// Oldest first, an event that another ledger writes later with an earlier time is not met again; to
    /// follow ledgers without missing any, use a read model.
    pub fn resume(mut self, place: EventPlace) -> Self {
        self.selection.behind = Some(place);
        self
    }

    /// Reads the events lazily; ledgers are looked for at once.
    ///
    /// # Errors
    ///
    /// [`ReadError::OperatorOnly`] for `$system` by its tenant and env.
    pub fn iter(self) -> Result<SetEvents, ReadError> {
        if self.scope.is_system() && !self.is_operator {
            return Err(ReadError::OperatorOnly);
        }
        Ok(self.selection.iter(&self.set, Some(&self.scope), self.is_operator))
    }

    /// Reads at most `events` events, and says where the next page begins.
    ///
    /// # Errors
    ///
    /// [`ReadError::OperatorOnly`] for `$system` by its tenant and env. What else fails is in
    /// [`SetPage::unread`].
    pub fn page(mut self, events: usize) -> Result<SetPage, ReadError> {
        let len = events.min(self.selection.limit);
        let has_limit = len == self.selection.limit;
        self.selection.limit = len.saturating_add(usize::from(!has_limit));
        let mut page = SetPage { events: Vec::new(), next: None, unread: Vec::new() };
        for event in self.iter()? {
            match event {
                Ok(event) => page.events.push(event),
                Err(unread) => page.unread.push(unread),
            }
        }
        if page.events.len() > len {
            page.events.truncate(len);
            page.next = page.events.last().map(|last| EventPlace::of(&last.event));
        }
        Ok(page)
    }

    /// Counts the selected events, by the indexes alone where they can.
    ///
    /// # Errors
    ///
    /// As [`page`](Self::page).
    pub fn count(self) -> Result<SetCount, ReadError> {
        if self.scope.is_system() && !self.is_operator {
            return Err(ReadError::OperatorOnly);
        }
        Ok(self.selection.count(&self.set, Some(&self.scope), self.is_operator))
    }
}

impl fmt::Debug for SetQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetQuery").field("scope", &self.scope).field("selection", &self.selection).finish()
    }
}

/// Selects events of all scopes in all ledgers of a set.
///
/// Made by [`SetOperator::events`](crate::SetOperator::events), and by nothing else. Ledgers are merged by
/// time; within one, events come in the order of its log.
#[derive(Clone)]
#[must_use = "a query reads nothing until `iter` or `count`"]
pub struct SetOperatorQuery {
    set: LedgerSet,
    selection: SetSelection,
}

impl SetOperatorQuery {
    pub(crate) fn new(set: LedgerSet) -> Self {
        Self { set, selection: SetSelection::new() }
    }

    filter_setters!();

    /// Reads the events lazily; ledgers are looked for at once.
    pub fn iter(self) -> SetEvents {
        self.selection.iter(&self.set, None, true)
    }

    /// Counts the selected events, by the indexes alone where they can.
    pub fn count(self) -> SetCount {
        self.selection.count(&self.set, None, true)
    }
}

impl fmt::Debug for SetOperatorQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOperatorQuery").field("selection", &self.selection).finish_non_exhaustive()
    }
}
