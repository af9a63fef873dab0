//! Carries a query out: what the index has read by its rows, the rest of the log by scanning it.

use super::filter::Filter;
use super::indexed::{Candidate, Indexed};
use super::lines::{LineStore, Lines};
use super::{ReadError, ReadParts};
use crate::ids::Scope;
use crate::index::fields::{EventFields, Fields};
use crate::index::{IndexError, log_start};
use crate::log::LogPosition;
use crate::log::cut::is_dropped;
use crate::log::reader::RawLine;

/// The selected lines, one after the other.
///
/// What is selected is fixed when the query begins: everything that was durable then. An index that fails
/// on the way is given up and the rest is scanned; the answers are the same.
pub(crate) struct Hits {
    parts: ReadParts,
    scope: Option<Scope>,
    filter: Filter,
    is_newest_first: bool,
    ledger_id: String,
    until: LogPosition,
    store: LineStore,
    /// In the order in which they are read.
    stages: Vec<Stage>,
    last: Option<LogPosition>,
    line: RawLine,
}

enum Stage {
    Indexed(Box<Indexed>),
    Scanned(Lines),
}

impl Hits {
    pub(crate) fn new(
        parts: &ReadParts,
        scope: Option<Scope>,
        filter: Filter,
        is_newest_first: bool,
    ) -> Result<Self, ReadError> {
        let (index, until) = parts.source();
        let mut hits = Self {
            parts: parts.clone(),
            scope,
            filter,
            is_newest_first,
            ledger_id: parts.ledger_id.to_string(),
            until,
            store: LineStore::new(parts.storage.clone()),
            stages: Vec::new(),
            last: None,
            line: RawLine { position: LogPosition::START, bytes: Vec::new(), is_terminated: false },
        };
        let indexed = Indexed::new(&index, hits.scope.as_ref(), &hits.filter, is_newest_first);
        let indexed = indexed.unwrap_or_else(|error| {
            parts.distrust(&error);
            None
        });
        let Some((indexed, indexed_until)) = indexed else {
            hits.scan_the_rest()?;
            return Ok(hits);
        };
        hits.stages.push(Stage::Indexed(Box::new(indexed)));
        // The index may already be ahead of what was durable a moment ago; then it is the newer bound.
        hits.until = until.max(indexed_until);
        if indexed_until < until {
            let start = hits.log_start()?.max(indexed_until);
            let lines = Lines::new(parts.storage.clone(), start, until, is_newest_first);
            hits.stages.push(Stage::Scanned(lines));
            if is_newest_first {
                hits.stages.reverse();
            }
        }
        // The next stage is taken from the end.
        hits.stages.reverse();
        Ok(hits)
    }

    /// Replaces what is left to read by a scan of the log.
    fn scan_the_rest(&mut self) -> Result<(), ReadError> {
        let start = self.log_start()?;
        // A bound from outside may lie inside a line; the start of its segment never does.
        let after = self.filter.after.map(|after| LogPosition { offset: 0, ..after });
        let (from, until) = match (self.is_newest_first, self.last) {
            (false, Some(last)) => (last, self.until),
            (true, Some(last)) => (after.unwrap_or(start), last),
            (_, None) => (after.unwrap_or(start), self.until),
        };
        let lines = Lines::new(self.parts.storage.clone(), from.max(start), until, self.is_newest_first);
        self.stages = vec![Stage::Scanned(lines)];
        Ok(())
    }

    fn log_start(&self) -> Result<LogPosition, ReadError> {
        Ok(log_start(&self.parts.storage)?)
    }

    /// The place and the bytes of the next selected line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(LogPosition, Vec<u8>)>, ReadError> {
        loop {
            match self.stages.last_mut() {
                None => return Ok(None),
                Some(Stage::Indexed(indexed)) => match indexed.next() {
                    Ok(Some(candidate)) => {
                        if let Some(line) = self.read_back(&candidate)? {
                            self.last = Some(candidate.row.position);
                            return Ok(Some((candidate.row.position, line)));
                        }
                    }
                    Ok(None) => {
                        self.stages.pop();
                    }
                    Err(error) => {
                        self.parts.distrust(&error);
                        self.scan_the_rest()?;
                    }
                },
                Some(Stage::Scanned(lines)) => {
                    if !lines.next_into(&mut self.line)? {
                        self.stages.pop();
                        continue;
                    }
                    match self.judge() {
                        Verdict::Selected => {
                            let position = self.line.position;
                            self.last = Some(position);
                            return Ok(Some((position, std::mem::take(&mut self.line.bytes))));
                        }
                        Verdict::Other => {}
                        Verdict::NoneLeft => {
                            self.stages.pop();
                        }
                    }
                }
            }
        }
    }

    /// Reads the line that a row leads to, and makes sure that it is the one the row speaks of.
    ///
    /// `None` for a candidate that its line does not confirm, or whose line was dropped since. A line of another scope never comes out.
    fn read_back(&mut self, candidate: &Candidate) -> Result<Option<Vec<u8>>, ReadError> {
        let position = candidate.row.position;
        let line = match self.store.read(position, candidate.row.len_bytes) {
            Err(_) if is_dropped(&*self.parts.storage, position.segment) => return Ok(None),
            line => line?,
        };
        let event = line.as_deref().and_then(|line| match Fields::parse(line) {
            Some(Fields::Event(event)) => Some(event),
            _ => None,
        });
        let is_selected = event
            .filter(|event| {
                event.ledger_id == self.ledger_id
                    && event.seq == candidate.seq
                    && is_of(event, &candidate.scope)
            })
            .map(|event| self.filter.accepts(&event, position));
        match is_selected {
            Some(true) => Ok(line),
            Some(false) if candidate.is_unconfirmed => Ok(None),
            _ => {
                let error = ReadError::NotTheEvent {
                    position,
                    scope: candidate.scope.to_string(),
                    seq: candidate.seq,
                };
                self.parts.distrust(&IndexError::Damaged(error.to_string()));
                Err(error)
            }
        }
    }

    fn judge(&self) -> Verdict {
        let Some(Fields::Event(event)) = Fields::parse(&self.line.bytes) else { return Verdict::Other };
        if !self.line.is_terminated || event.ledger_id != self.ledger_id {
            return Verdict::Other;
        }
        if let Some(scope) = &self.scope {
            if !is_of(&event, scope) {
                return Verdict::Other;
            }
            let is_past = match self.is_newest_first {
                false => self.filter.is_behind(&event),
                true => self.filter.is_before(&event),
            };
            if is_past {
                return Verdict::NoneLeft;
            }
        }
        match self.last != Some(self.line.position) && self.filter.accepts(&event, self.line.position) {
            true => Verdict::Selected,
            false => Verdict::Other,
        }
    }

    /// Counts, without reading lines where rows decide alone.
    pub(crate) fn count(mut self) -> Result<u64, ReadError> {
        let mut count = 0;
        let at = self.stages.iter().position(|stage| matches!(stage, Stage::Indexed(_)));
        if let Some(at) = at
            && let Stage::Indexed(indexed) = &self.stages[at]
        {
            match indexed.count() {
                Ok(None) => {}
                Ok(Some(rows)) => {
                    count = rows;
                    self.stages.remove(at);
                }
                Err(error) => {
                    self.parts.distrust(&error);
                    self.scan_the_rest()?;
                }
            }
        }
        while self.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

enum Verdict {
    Selected,
    Other,
    /// Neither this line nor any after it in this direction.
    NoneLeft,
}

fn is_of(event: &EventFields<'_>, scope: &Scope) -> bool {
    *scope.tenant_id() == *event.tenant_id && *scope.env() == *event.env
}
