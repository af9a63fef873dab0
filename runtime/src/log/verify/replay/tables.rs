//! Head tables: whether they are the signed ones, and agree with the log.

use super::Replay;
use crate::event::LineHash;
use crate::log::LogPosition;
use crate::log::verify::finding::{Finding, Verdict};
use crate::log::verify::snapshot::StoredTable;

/// The hash of a segment's head table, as the newest checkpoint that speaks of it says.
pub(super) struct NamedTable {
    pub(super) hash: LineHash,
    pub(super) position: LogPosition,
    pub(super) checkpoint: u64,
}

impl Replay<'_> {
    /// Compares the head tables that were written at or before a place.
    pub(super) fn check_tables(&mut self, at: LogPosition, is_line_start: bool) {
        while let Some(table) = self.tables.get(self.next_table) {
            let Ok((position, root)) = table.content else { return };
            if position > at {
                return;
            }
            self.next_table += 1;
            // One that was written before a loss was accepted may speak of what was lost.
            let named = self.named_tables.get(&table.segment);
            if self.has_accepted_loss && named.is_none_or(|named| named.hash != table.hash) {
                continue;
            }
            // The start of a segment is the same place as the end of the one before.
            let is_here = position == at || (is_line_start && at.offset == 0 && position == self.position);
            let is_intact = is_here && self.heads.root() == root;
            if !is_intact {
                let message = "its heads are not those of the log at its place";
                let finding = Finding::new(Verdict::HeadTableMismatch, message).at(position);
                self.unexplained.get_or_insert(finding);
            }
        }
    }

    /// Reports tables that are not the signed ones. Of a restored ledger only those of the signed places: the ledger
    /// itself may have replaced the table of a place before it could be forwarded.
    pub(super) fn report_tables(&mut self, tables: &[StoredTable], is_restored: bool) {
        for table in tables {
            let place = LogPosition { segment: table.segment, offset: 0 };
            let named = self.named_tables.remove(&table.segment);
            let finding = match (&table.content, named) {
                (_, Some(named)) if named.hash == table.hash => continue,
                // Written again later, by a process that died before the checkpoint, or in this moment.
                (Ok((position, _)), Some(named)) if *position > named.position => continue,
                (Ok((position, _)), Some(named)) if is_restored && *position < named.position => continue,
                (Ok((position, _)), None)
                    if self.newest.is_none_or(|newest| *position >= newest.position)
                        || !self.is_history_whole
                        || self.has_accepted_loss =>
                {
                    continue;
                }
                (Err(reason), named) => {
                    let finding = Finding::new(Verdict::HeadTableMismatch, reason.clone()).at(place);
                    match named {
                        Some(named) => finding.checkpoint(named.checkpoint),
                        None => finding,
                    }
                }
                (Ok(_), Some(named)) => {
                    let message = "the head table is not the one that was signed";
                    let finding = Finding::new(Verdict::HeadTableMismatch, message).at(place);
                    finding.checkpoint(named.checkpoint)
                }
                (Ok(_), None) => {
                    let message = "no checkpoint names the head table";
                    Finding::new(Verdict::HeadTableMismatch, message).at(place)
                }
            };
            self.push(finding);
        }
        let missing = std::mem::take(&mut self.named_tables);
        for (segment, named) in missing.into_iter().filter(|_| !is_restored) {
            let place = LogPosition { segment, offset: 0 };
            let finding = Finding::new(Verdict::HeadTableMismatch, "the head table is not there").at(place);
            self.push(finding.checkpoint(named.checkpoint));
        }
    }
}
