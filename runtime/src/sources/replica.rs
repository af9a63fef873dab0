//! Reading back what the replica holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Source, SourceError, SourcePage, SourcePiece, SourceQuery, SourceStart, scan_events};
use crate::event::LineHash;
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::sinks::replica::{
    Folder, ObjectError, Objects, RangeName, ReplicaSettings, checkpoint_folder, parse_cut, parse_head_table,
};

/// What a [`ReplicaSink`](crate::sinks::replica::ReplicaSink) stored, read back.
///
/// It may be read while sinks write: what a checkpoint covers is always given with it. Objects that overlap must
/// agree. Objects whose names the sink does not write are left alone.
///
/// A replica has no index: [`events`](Source::events) reads all of it. To query often, put the ledgers together again
/// with [`Restored`](crate::sources::Restored) and read them as a [`LedgerSet`](crate::LedgerSet).
pub struct ReplicaSource {
    settings: ReplicaSettings,
    objects: Mutex<Option<Arc<Objects>>>,
}

impl ReplicaSource {
    /// A source with the settings of the sink. Connects to nothing before it is read.
    pub fn new(settings: ReplicaSettings) -> Self {
        Self { settings, objects: Mutex::new(None) }
    }

    fn objects(&self) -> Result<Arc<Objects>, SourceError> {
        let mut open = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(objects) = &*open {
            return Ok(Arc::clone(objects));
        }
        let objects = Arc::new(Objects::open(&self.settings, false)?);
        Ok(Arc::clone(open.insert(objects)))
    }
}

impl Source for ReplicaSource {
    fn kind(&self) -> &'static str {
        "replica"
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError> {
        let folders = self.objects()?.folders()?;
        let mut ledgers: Vec<LedgerId> = folders.iter().filter_map(|name| name.parse().ok()).collect();
        ledgers.sort_unstable();
        Ok(ledgers)
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let objects = self.objects()?;
        let reading = Reading { objects: &objects, ledger_id, from };
        // Listed before the log: each of them was stored behind the lines that it covers.
        let checkpoints = reading.list_checkpoints()?;
        let tables = reading.list_head_tables()?;
        reading.identities(take)?;
        let end = reading.log(take)?;
        // Listed after the log: each was stored before the first line of a log that begins at it.
        reading.cuts(take)?;
        // Listed after the log: the table of a place was stored before the lines behind it.
        reading.head_tables(end, &tables, take)?;
        reading.checkpoints(&checkpoints, take)
    }

    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError> {
        scan_events(self, scope, query)
    }
}

impl fmt::Debug for ReplicaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplicaSource").field(&self.settings).finish()
    }
}

impl From<ObjectError> for SourceError {
    fn from(error: ObjectError) -> Self {
        Self::unavailable(error.attempted, error.reason)
    }
}

struct Reading<'a> {
    objects: &'a Objects,
    ledger_id: LedgerId,
    from: &'a SourceStart,
}

type Take<'a> = &'a mut dyn FnMut(SourcePiece) -> Result<(), SourceError>;

impl Reading<'_> {
    fn list(&self, folder: Folder, from: Option<&str>) -> Result<Vec<String>, SourceError> {
        Ok(self.objects.list(&folder.of(self.ledger_id), from)?)
    }

    fn name(&self, folder: Folder, name: &str) -> String {
        format!("{}/{name}", folder.of(self.ledger_id))
    }

    fn corrupt(&self, folder: Folder, name: &str, found: impl Into<String>) -> SourceError {
        let attempted = format!("read {}/{}", self.objects.target(), self.name(folder, name));
        SourceError::corrupt(attempted, found)
    }

    fn identities(&self, take: Take<'_>) -> Result<(), SourceError> {
        for name in self.list(Folder::Identity, None)? {
            let Some(hash) = name.strip_suffix(".json").and_then(|hash| hash.parse::<LineHash>().ok()) else {
                continue;
            };
            let bytes = self.objects.read(&self.name(Folder::Identity, &name))?;
            if LineHash(Sha256::digest(&bytes).into()) != hash {
                return Err(self.corrupt(
                    Folder::Identity,
                    &name,
                    "its bytes do not have the hash of its name",
                ));
            }
            take(SourcePiece::Identity(bytes))?;
        }
        Ok(())
    }

    /// Gives the bytes of the log; returns where they end.
    fn log(&self, take: Take<'_>) -> Result<LogPosition, SourceError> {
        let from = self.from.position;
        let listed = self.list(Folder::Log, Some(&format!("{:08}", from.segment)))?;
        let mut ranges: Vec<RangeName> =
            listed.iter().filter_map(|name| RangeName::parse_log(name)).collect();
        ranges.retain(|range| range.end() > from);
        ranges.sort_unstable();
        let names: Vec<String> = ranges.iter().map(|range| self.name(Folder::Log, &range.of_log())).collect();
        let mut window = LogWindow::default();
        self.objects.read_each(&names, &mut |index, bytes| {
            let range = ranges[index];
            let name = range.of_log();
            if bytes.len() as u64 != range.to - range.from || bytes.last() != Some(&b'\n') {
                return Err(self.corrupt(Folder::Log, &name, "it does not hold the lines of its name"));
            }
            let new = window.push(range, bytes).map_err(|at| {
                self.corrupt(Folder::Log, &name, format!("another object holds other bytes for {at}"))
            })?;
            let Some((position, mut bytes)) = new else { return Ok(()) };
            if position >= from || position.segment != from.segment {
                return take(SourcePiece::Log { position, bytes });
            }
            let known = usize::try_from(from.offset - position.offset).unwrap_or(usize::MAX).min(bytes.len());
            let bytes = bytes.split_off(known);
            if bytes.is_empty() { Ok(()) } else { take(SourcePiece::Log { position: from, bytes }) }
        })?;
        Ok(ranges.iter().map(|range| range.end()).max().unwrap_or(from))
    }

    fn list_head_tables(&self) -> Result<Vec<String>, SourceError> {
        self.list(Folder::Heads, Some(&format!("{:08}", self.from.position.segment)))
    }

    /// Gives the head tables from the start on. That of the beginning of a segment says that the one before is whole:
    /// so it is only given when it was there before the log was listed.
    fn head_tables(&self, end: LogPosition, before: &[String], take: Take<'_>) -> Result<(), SourceError> {
        for name in self.list_head_tables()? {
            let Some(position) = parse_head_table(&name) else { continue };
            let begins_later = position.offset == 0 && position.segment > end.segment;
            if position < self.from.position || (begins_later && !before.contains(&name)) {
                continue;
            }
            let bytes = self.objects.read(&self.name(Folder::Heads, &name))?;
            take(SourcePiece::HeadTable { position, bytes })?;
        }
        Ok(())
    }

    fn cuts(&self, take: Take<'_>) -> Result<(), SourceError> {
        for name in self.list(Folder::Cuts, None)? {
            let Some(number) = parse_cut(&name) else { continue };
            let mut line = self.objects.read(&self.name(Folder::Cuts, &name))?;
            if line.pop() != Some(b'\n') {
                return Err(self.corrupt(Folder::Cuts, &name, "it does not end in a newline"));
            }
            take(SourcePiece::Cut { number, line })?;
        }
        Ok(())
    }

    fn list_checkpoints(&self) -> Result<Vec<RangeName>, SourceError> {
        let next = self.from.checkpoint.saturating_add(1);
        let listed = self.list(Folder::Checkpoints, Some(&format!("{:016}", checkpoint_folder(next))))?;
        let ranges = listed.iter().filter_map(|name| RangeName::parse_checkpoints(name));
        let mut ranges: Vec<RangeName> = ranges.filter(|range| range.to > next).collect();
        ranges.sort_unstable();
        Ok(ranges)
    }

    fn checkpoints(&self, ranges: &[RangeName], take: Take<'_>) -> Result<(), SourceError> {
        let names: Vec<String> =
            ranges.iter().map(|range| self.name(Folder::Checkpoints, &range.of_checkpoints())).collect();
        // Lines that a later object may hold too.
        let mut held: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        self.objects.read_each(&names, &mut |index, bytes| {
            let range = ranges[index];
            let corrupt = |found: &str| self.corrupt(Folder::Checkpoints, &range.of_checkpoints(), found);
            let Some(bytes) = bytes.strip_suffix(b"\n") else {
                return Err(corrupt("it does not end in a newline"));
            };
            let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if lines.len() as u64 != range.to - range.from {
                return Err(corrupt("it does not hold the checkpoints of its name"));
            }
            held = held.split_off(&range.from);
            for (number, line) in (range.from..).zip(lines) {
                match held.get(&number) {
                    Some(held) if held == line => {}
                    Some(_) => {
                        return Err(corrupt(&format!("another object holds another checkpoint {number}")));
                    }
                    None => {
                        held.insert(number, line.to_vec());
                        if number > self.from.checkpoint {
                            take(SourcePiece::Checkpoint { number, line: line.to_vec() })?;
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

/// The newest bytes of the log that were read, as far back as the next object may begin.
#[derive(Default)]
struct LogWindow {
    folder: u64,
    from: u64,
    bytes: Vec<u8>,
}

impl LogWindow {
    /// Takes in the next object, by segment and place; returns what is new of it. The error is the place of bytes
    /// that differ from those that were read before.
    fn push(
        &mut self,
        range: RangeName,
        bytes: Vec<u8>,
    ) -> Result<Option<(LogPosition, Vec<u8>)>, LogPosition> {
        let end = self.from + self.bytes.len() as u64;
        if range.folder != self.folder || range.from > end {
            (self.folder, self.from) = (range.folder, range.from);
            self.bytes.clone_from(&bytes);
            return Ok(Some((range.start(), bytes)));
        }
        let passed = usize::try_from(range.from - self.from).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..passed);
        self.from = range.from;
        let common = self.bytes.len().min(bytes.len());
        if let Some(at) = (0..common).find(|at| self.bytes[*at] != bytes[*at]) {
            return Err(RangeName { from: range.from + at as u64, ..range }.start());
        }
        let Some(new) = bytes.get(common..).filter(|new| !new.is_empty()) else { return Ok(None) };
        self.bytes.extend_from_slice(new);
        let position = RangeName { from: range.from + common as u64, ..range }.start();
        Ok(Some((position, new.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(folder: u64, from: u64, to: u64) -> RangeName {
        RangeName { folder, from, to }
    }

    #[test]
    fn overlapping_objects_give_each_byte_once() {
        let text: Vec<u8> = (0..100).collect();
        let ranges = [(0, 10), (0, 30), (5, 20), (20, 40), (30, 41), (50, 60), (55, 60)];
        let mut window = LogWindow::default();
        let mut got = Vec::new();
        for (from, to) in ranges {
            let bytes = text[from as usize..to as usize].to_vec();
            if let Some((position, bytes)) = window.push(range(1, from, to), bytes).unwrap() {
                got.push((position.offset, bytes));
            }
        }
        let bounds = [(0, 10), (10, 30), (30, 40), (40, 41), (50, 60)];
        let expected = bounds.map(|(from, to)| (from, text[from as usize..to as usize].to_vec()));
        assert_eq!(got, expected);
        // The next segment has nothing to do with it.
        assert!(window.push(range(2, 55, 57), vec![1, 2]).unwrap().is_some());
    }

    #[test]
    fn overlapping_objects_that_differ_are_told_by_the_place() {
        let mut window = LogWindow::default();
        window.push(range(3, 0, 10), vec![7; 10]).unwrap();
        let error = window.push(range(3, 4, 8), vec![7, 7, 8, 7]).unwrap_err();
        assert_eq!(error, LogPosition { segment: 3, offset: 6 });
    }
}
