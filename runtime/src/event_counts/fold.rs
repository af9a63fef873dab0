//! Reading what is not counted yet: first by the index, then from the log.

use std::collections::HashMap;
use std::sync::Weak;

use super::EventCounts;
use super::table::{Kind, Table};
use crate::event::Outcome;
use crate::index::fields::Fields;
use crate::index::{Index, IndexError, guarded, log_start};
use crate::log::LogPosition;
use crate::log::cut::cut_heads;
use crate::log::reader::{LogReader, RawLine};
use crate::query::ReadError;

/// What the index counted, and up to where.
struct Indexed {
    table: Table,
    position: LogPosition,
}

impl EventCounts {
    /// Counts what became durable since the last time; returns how many events these are.
    ///
    /// It costs what is new, not what is there. Of a ledger that another process writes it sees what was there
    /// when its reader was opened.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the log cannot be read. What was counted stays counted; the next call goes on there.
    pub fn refresh(&mut self) -> Result<u64, ReadError> {
        let before = self.table.total();
        let failed = |source| ReadError::Log { attempted: "read where the log begins".to_owned(), source };
        let cut = cut_heads(&*self.parts.storage, self.parts.ledger_id).map_err(failed)?;
        if let Some(cut) = cut.filter(|cut| cut.position > self.position) {
            // All that was counted lies before the cut; what else does was dropped.
            let dropped: u64 = cut.heads.iter().map(|(_, head)| head.seq).sum();
            self.dropped = dropped.saturating_sub(before);
        }
        let (index, until) = self.parts.source();
        if self.position == LogPosition::START {
            let begin = log_start(&self.parts.storage)?;
            match indexed(&index, begin, self.table.max_series()) {
                Ok(Some(indexed)) => (self.table, self.position) = (indexed.table, indexed.position),
                Ok(None) => {}
                Err(error) => self.parts.distrust(&error),
            }
        }
        let read = self.scan(until);
        self.table.sort();
        read.map(|()| self.table.total() - before)
    }

    fn scan(&mut self, until: LogPosition) -> Result<(), ReadError> {
        if self.position >= until {
            return Ok(());
        }
        let from = log_start(&self.parts.storage)?.max(self.position);
        let ledger_id = self.parts.ledger_id.to_string();
        let mut reader = LogReader::new(self.parts.storage.clone(), from, until).over_cuts();
        let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
        loop {
            match reader.next_into(&mut line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => {
                    let attempted = format!("read the log behind {} to count events", self.position);
                    return Err(ReadError::Log { attempted, source });
                }
            }
            let is_taken = match Fields::parse(&line.bytes) {
                Some(Fields::Event(event)) if line.is_terminated && event.ledger_id == ledger_id => {
                    let kind = Kind {
                        tenant_id: event.tenant_id,
                        env: event.env,
                        surface: &event.surface,
                        outcome: event.outcome,
                        code: event.code.as_deref(),
                    };
                    self.table.add(kind, 1)
                }
                Some(Fields::Attempt) => line.is_terminated,
                _ => false,
            };
            self.skipped_lines += u64::from(!is_taken);
            let offset = line.position.offset + line.bytes.len() as u64 + u64::from(line.is_terminated);
            self.position = LogPosition { segment: line.position.segment, offset };
        }
        // Also where the range ended with a segment that the next one has yet to follow.
        self.position = until;
        Ok(())
    }
}

/// Counts the rows of the index, which are small. `None` where the lines must be counted themselves: there is
/// no index yet, the log is not gapless, or there are more series than are told apart, of which the first in
/// the log are kept.
fn indexed(
    index: &Weak<Index>,
    begin: LogPosition,
    max_series: usize,
) -> Result<Option<Indexed>, IndexError> {
    let Some(index) = index.upgrade() else { return Ok(None) };
    guarded(|| {
        let snapshot = index.snapshot()?;
        if snapshot.meta.begin < begin
            || snapshot.meta.irregular_events > 0
            || snapshot.meta.skipped_lines > 0
        {
            return Ok(None);
        }
        let by_number = |names: Vec<(String, u32)>| -> HashMap<u32, String> {
            names.into_iter().map(|(name, number)| (number, name)).collect()
        };
        let surfaces = by_number(snapshot.surfaces()?);
        let codes = by_number(snapshot.codes()?);
        let mut table = Table::new(max_series);
        let mut of_scope: HashMap<(u32, u32, Outcome), u64> = HashMap::new();
        for (number, scope) in snapshot.scopes()? {
            let Some(seqs) = snapshot.seqs(number)? else { continue };
            for row in snapshot.rows(number, &seqs, false)? {
                let (_, row) = row?;
                *of_scope.entry((row.surface, row.code, row.outcome)).or_default() += 1;
            }
            for ((surface, code, outcome), events) in of_scope.drain() {
                let name = |names: &HashMap<u32, String>, number: u32| {
                    let found = names.get(&number).cloned();
                    found.ok_or_else(|| IndexError::Damaged(format!("a row has the unknown name {number}")))
                };
                let surface = name(&surfaces, surface)?;
                let code = if code == 0 { None } else { Some(name(&codes, code)?) };
                let kind = Kind {
                    tenant_id: scope.tenant_id().as_str(),
                    env: scope.env().as_str(),
                    surface: &surface,
                    outcome,
                    code: code.as_deref(),
                };
                table.add(kind, events);
            }
            if table.cut_series().events > 0 {
                return Ok(None);
            }
        }
        Ok(Some(Indexed { table, position: snapshot.meta.cursor }))
    })
}
