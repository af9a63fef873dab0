//! The cuts of a ledger that is restored.

use std::collections::BTreeMap;

use super::error::{Failed, io_failed};
use crate::event::LineHash;
use crate::log::LogPosition;
use crate::log::cut::{CUTS_NAME, Cut, CutFile};
use crate::log::storage::Storage;

/// What the source gave, and what stands in the directory.
pub(super) struct Cuts {
    lines: BTreeMap<u64, Vec<u8>>,
}

impl Cuts {
    /// Those of a directory.
    pub(super) fn load(storage: &dyn Storage) -> Result<Self, Failed> {
        let file = io_failed("read", CUTS_NAME, CutFile::read(storage))?;
        Ok(Self { lines: (1..).zip(file.lines).collect() })
    }

    /// A cut that comes again must be the one that came before.
    pub(super) fn take(&mut self, number: u64, line: Vec<u8>) -> Result<(), Failed> {
        if line.contains(&b'\n') {
            return Err(Failed::Corrupt(format!("cut {number} is more than a line")));
        }
        match self.lines.get(&number) {
            Some(held) if *held != line => {
                Err(Failed::Corrupt(format!("there are two different cuts {number}")))
            }
            _ => {
                self.lines.insert(number, line);
                Ok(())
            }
        }
    }

    /// Whether a cut names a head table, beside a segment.
    pub(super) fn name_table(&self, segment: u32, hash: LineHash) -> bool {
        let mut cuts = self.lines.values().filter_map(|line| Cut::from_line(line).ok());
        cuts.any(|cut| cut.table_segment() == segment && cut.head_table == hash)
    }

    /// Writes those that the log needs, whose beginning is `start`: up to the one with which it begins. Where the source
    /// holds more than the ledger had left, a later cut would only hide it; where it holds all of it, none is needed.
    pub(super) fn save(&self, storage: &dyn Storage, start: Option<LogPosition>) -> Result<(), Failed> {
        let is_needed = |line: &[u8]| match (start, Cut::from_line(line)) {
            (None | Some(LogPosition::START), _) => false,
            (Some(start), Ok(cut)) => cut.position <= start,
            // One that somebody changed: `verify` says so.
            (Some(_), Err(_)) => true,
        };
        let needed = self.lines.values().filter(|line| is_needed(line));
        let bytes: Vec<u8> = needed.flat_map(|line| line.iter().copied().chain([b'\n'])).collect();
        let held = io_failed("read", CUTS_NAME, storage.read(CUTS_NAME))?.unwrap_or_default();
        if bytes == held {
            return Ok(());
        }
        let written = match bytes.is_empty() {
            true => storage.remove(CUTS_NAME),
            false => storage.replace(CUTS_NAME, &bytes),
        };
        io_failed("write", CUTS_NAME, written)
    }
}
