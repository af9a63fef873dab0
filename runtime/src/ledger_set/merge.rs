//! Events of several ledgers, merged by their place.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;

use super::unread::{Unread, chain};
use crate::event::EventPlace;
use crate::ids::LedgerId;
use crate::query::{Events, ReadError, StoredEvent};

/// The events of a [`SetQuery`](crate::SetQuery), read one after the other.
///
/// What cannot be read comes out as an error, and reading goes on with the other ledgers.
pub struct SetEvents {
    sources: Vec<Source>,
    /// The next event of each source that has one.
    heads: BTreeMap<EventPlace, (usize, StoredEvent)>,
    unread: VecDeque<Unread>,
    is_newest_first: bool,
    is_started: bool,
    left: usize,
}

pub(crate) struct Source {
    pub(crate) ledger_id: LedgerId,
    pub(crate) path: Option<PathBuf>,
    pub(crate) events: Events,
}

impl SetEvents {
    pub(crate) fn new(
        sources: Vec<Source>,
        unread: Vec<Unread>,
        is_newest_first: bool,
        limit: usize,
    ) -> Self {
        let (heads, unread) = (BTreeMap::new(), unread.into());
        Self { sources, heads, unread, is_newest_first, is_started: false, left: limit }
    }

    fn pull(&mut self, at: usize) {
        let source = &mut self.sources[at];
        loop {
            match source.events.next() {
                Some(Ok(event)) => {
                    self.heads.insert(EventPlace::of(&event.event), (at, event));
                    return;
                }
                Some(Err(error)) => {
                    let goes_on = matches!(error, ReadError::Unreadable { .. });
                    let path = source.path.as_deref();
                    self.unread.push_back(Unread::new(Some(source.ledger_id), path, &chain(&error)));
                    if !goes_on {
                        return;
                    }
                }
                None => return,
            }
        }
    }
}

impl Iterator for SetEvents {
    type Item = Result<StoredEvent, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.is_started {
            self.is_started = true;
            for at in 0..self.sources.len() {
                self.pull(at);
            }
        }
        if let Some(unread) = self.unread.pop_front() {
            return Some(Err(unread));
        }
        if self.left == 0 {
            return None;
        }
        let head = if self.is_newest_first { self.heads.pop_last() } else { self.heads.pop_first() };
        let (_, (at, event)) = head?;
        self.left -= 1;
        if self.left > 0 {
            self.pull(at);
        }
        Some(Ok(event))
    }
}

impl fmt::Debug for SetEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetEvents").field("ledgers", &self.sources.len()).finish_non_exhaustive()
    }
}
