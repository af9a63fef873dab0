//! Where the log begins: at its first segment, or at the newest cut.
//!
//! A process that made a cut may have died before the event that tells of it was durable, or before it had
//! removed what it dropped. Both are made up for here.

use std::sync::Arc;

use super::{Recovery, io_error};
use crate::ids::LedgerId;
use crate::ledger::OpenError;
use crate::log::LogPosition;
use crate::log::checkpoint::Checkpoint;
use crate::log::cut::{CUTS_NAME, CutFile, StoredCut};
use crate::log::head_table::HeadTable;
use crate::log::head_table_name;
use crate::log::heads::Heads;
use crate::log::storage::Storage;
use crate::retention::{cut_event_input, is_cut_event, mark_told, remove_dropped, told};

/// Where the log begins, and what each stream goes on from.
pub(super) struct Begin {
    pub(super) position: LogPosition,
    pub(super) heads: Heads,
    newest: Option<StoredCut>,
    /// Whether the event that tells of the newest cut may not be in the log.
    is_untold: bool,
}

impl Begin {
    fn at_start(ledger_id: LedgerId) -> Self {
        Self { position: LogPosition::START, heads: Heads::new(ledger_id), newest: None, is_untold: false }
    }

    /// Refuses a newest checkpoint that is older than the one that the cut names.
    pub(super) fn check(&self, newest: Option<&Checkpoint>) -> Result<(), OpenError> {
        let Some(stored) = &self.newest else { return Ok(()) };
        let (cut, named) = (stored.cut.number, stored.cut.checkpoint.number);
        match newest {
            Some(checkpoint) if checkpoint.number >= named => Ok(()),
            _ => Err(OpenError::Cut {
                reason: format!("cut {cut} names checkpoint {named}, which is not there"),
            }),
        }
    }

    /// The input of the event that tells of the newest cut, when the log does not have it.
    pub(super) fn untold(
        &self,
        storage: &Arc<dyn Storage>,
        end: LogPosition,
    ) -> Result<Option<String>, OpenError> {
        let Some(stored) = self.newest.as_ref().filter(|_| self.is_untold) else { return Ok(None) };
        let from = stored.cut.log_end.max(self.position);
        let is_there = is_cut_event(storage, stored.cut.number, from, end)
            .map_err(io_error("look for the event that tells of the newest cut"))?;
        Ok((!is_there).then(|| cut_event_input(stored)))
    }

    /// Removes what lies before the cut. The log has the event that tells of it by now.
    pub(super) fn finish(&self, storage: &dyn Storage) -> Result<(), OpenError> {
        let Some(stored) = &self.newest else { return Ok(()) };
        if self.is_untold {
            mark_told(storage, stored.cut.number).map_err(io_error("note that the newest cut is told of"))?;
        }
        // What cannot be removed now is no part of the log; retention tries again.
        let _ = remove_dropped(storage, &stored.cut);
        Ok(())
    }
}

impl Recovery<'_> {
    /// Reads the newest cut, if there is one, and makes sure that it is on the disk.
    pub(super) fn begin(&self) -> Result<Begin, OpenError> {
        let cuts = CutFile::read(&*self.storage).map_err(io_error(format!("read {CUTS_NAME}")))?;
        if cuts.torn_bytes > 0 {
            self.cut(CUTS_NAME, cuts.end, cuts.end + cuts.torn_bytes)?;
        }
        let newest = cuts.newest().map_err(|error| OpenError::Cut { reason: error.to_string() })?;
        let Some(stored) = newest else { return Ok(Begin::at_start(self.ledger_id)) };
        let cut = &stored.cut;
        let refused =
            |reason: String| Err(OpenError::Cut { reason: format!("cut {}: {reason}", cut.number) });
        if cut.ledger_id != self.ledger_id {
            return refused(format!("it is of ledger {}", cut.ledger_id));
        }
        if !self.public_keys.iter().any(|key| cut.is_signed_by(&stored.line, key)) {
            return refused("it is not signed by a key that ledger.json lists".to_owned());
        }
        let name = head_table_name(cut.table_segment());
        let table = self.storage.read(&name).map_err(io_error(format!("read {name}")))?;
        let table = table.filter(|bytes| HeadTable::hash(bytes) == cut.head_table);
        let table = table.and_then(|bytes| HeadTable::parse(&bytes, self.ledger_id).ok());
        let Some(table) = table else {
            return refused(format!("the head table {name} is not the one that it names"));
        };
        let told = told(&*self.storage).map_err(io_error("read which cut was told of"))?;
        let is_untold = told < cut.number;
        if is_untold {
            // After a failed fsync the line may be in the page cache alone, and what it drops is still there.
            self.storage
                .replace(CUTS_NAME, &cuts.bytes())
                .map_err(io_error(format!("write {CUTS_NAME} once more")))?;
        }
        let position = cut.position;
        Ok(Begin { position, heads: table.heads, newest: Some(stored), is_untold })
    }
}
