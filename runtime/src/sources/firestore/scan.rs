//! The lines of a ledger in the order of the log, put together from the two collections that hold them.

use std::collections::VecDeque;

use super::query::Query;
use super::{FirestoreSource, Found, PAGE, SourceError, lines_of};
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::sinks::firestore::{ATTEMPTS, EVENTS};

/// How large a piece may become, in bytes.
const MAX_PIECE_BYTES: usize = 1024 * 1024;

/// Lines that follow each other come in one piece.
pub(super) struct Lines<'a> {
    source: &'a FirestoreSource,
    collections: [Collection; 2],
}

struct Collection {
    query: Query,
    found: VecDeque<(LogPosition, Found)>,
    is_read: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a FirestoreSource, ledger_id: LedgerId, from: LogPosition) -> Self {
        let collections = [EVENTS, ATTEMPTS].map(|kind| {
            let mut query = lines_of(ledger_id, kind, from);
            query.limit = PAGE;
            Collection { query, found: VecDeque::new(), is_read: false }
        });
        Self { source, collections }
    }

    /// Whole lines with their newlines, and where the first begins; `None` at the end.
    pub(super) fn next_piece(&mut self) -> Result<Option<(LogPosition, Vec<u8>)>, SourceError> {
        let Some((position, found)) = self.pop()? else { return Ok(None) };
        let mut bytes = Vec::new();
        push_line(&mut bytes, &found)?;
        while bytes.len() < MAX_PIECE_BYTES {
            let expected = LogPosition { offset: position.offset + bytes.len() as u64, ..position };
            let Some(at) = self.nearest()? else { break };
            if self.collections[at].found.front().is_none_or(|(position, _)| *position != expected) {
                break;
            }
            let Some((_, found)) = self.collections[at].found.pop_front() else { break };
            push_line(&mut bytes, &found)?;
        }
        Ok(Some((position, bytes)))
    }

    fn pop(&mut self) -> Result<Option<(LogPosition, Found)>, SourceError> {
        Ok(self.nearest()?.and_then(|at| self.collections[at].found.pop_front()))
    }

    /// Which collection holds the next line.
    fn nearest(&mut self) -> Result<Option<usize>, SourceError> {
        for collection in &mut self.collections {
            collection.fill(self.source)?;
        }
        let fronts = self.collections.iter().enumerate();
        let fronts = fronts.filter_map(|(at, collection)| Some((collection.found.front()?.0, at)));
        Ok(fronts.min().map(|(_, at)| at))
    }
}

impl Collection {
    fn fill(&mut self, source: &FirestoreSource) -> Result<(), SourceError> {
        if self.is_read || !self.found.is_empty() {
            return Ok(());
        }
        let page = source.page(&self.query)?;
        self.is_read = page.len() < PAGE;
        if let Some(last) = page.last() {
            self.query.start_after = Some(self.query.cursor_at(last)?);
        }
        for found in page {
            self.found.push_back((found.place()?, found));
        }
        Ok(())
    }
}

fn push_line(bytes: &mut Vec<u8>, found: &Found) -> Result<(), SourceError> {
    bytes.extend_from_slice(found.text("line")?.as_bytes());
    bytes.push(b'\n');
    Ok(())
}
