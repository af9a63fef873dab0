//! Puts one ledger together again from the pieces of a source.

use std::io;
use std::path::PathBuf;

use super::cuts::Cuts;
use super::error::{Failed, RestoreError, io_failed};
use super::marker::{LogGap, Marker};
use crate::ids::LedgerId;
use crate::log::checkpoint::{CHECKPOINTS_NAME, Checkpoint, CheckpointFile};
use crate::log::head_table::HeadTable;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::storage::{Storage, StorageFile};
use crate::log::{LogPosition, RESTORED_NAME, head_table_name, segment_name};
use crate::sources::{Source, SourceError, SourcePiece, SourceStart};

/// How far a ledger is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoredLedger {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Where its log ends.
    pub end: LogPosition,
    /// Its newest checkpoint before which none is missing; 0 for none.
    pub checkpoint: u64,
    /// What the source lacks in the middle of the log.
    pub gap: Option<LogGap>,
    /// The first checkpoint that the source lacks, though it has later ones.
    pub missing_checkpoint: Option<u64>,
    /// Bytes of the log that came with this restoring.
    pub new_bytes: u64,
}

/// Restores what is new of a ledger. What was restored before an error stays.
pub(crate) fn restore(
    storage: &dyn Storage,
    source: &dyn Source,
    ledger_id: LedgerId,
) -> Result<RestoredLedger, RestoreError> {
    let marker = begin(storage, ledger_id)?;
    let mut restoring = Restoring::new(storage, marker).map_err(|failed| failed.into_error(ledger_id))?;
    let start = SourceStart::new(restoring.marker.end, restoring.marker.checkpoint);
    let read = source
        .read(ledger_id, &start, &mut |piece| restoring.take(piece).map_err(|failed| restoring.fail(failed)));
    let finished = restoring.finish();
    if let Some(failed) = restoring.failed.take() {
        return Err(failed.into_error(ledger_id));
    }
    read.map_err(RestoreError::Source)?;
    finished.map_err(|failed| failed.into_error(ledger_id))?;
    if restoring.identity.is_none() {
        let attempted = format!("restore ledger {ledger_id} from its {}", source.kind());
        let error = SourceError::corrupt(attempted, "it does not hold the contents of ledger.json");
        return Err(RestoreError::Source(error));
    }
    Ok(restoring.told())
}

/// The marker of a directory, which is that of a restored ledger or empty.
fn begin(storage: &dyn Storage, ledger_id: LedgerId) -> Result<Marker, RestoreError> {
    let failed =
        |attempted: &str, source| RestoreError::Directory { attempted: attempted.to_owned(), source };
    let path = || storage.path().map(PathBuf::from).unwrap_or_default();
    if let Some(marker) = Marker::load(storage).map_err(|error| failed("read restored.json", error))? {
        return match marker.ledger_id == ledger_id {
            true => Ok(marker),
            false => Err(RestoreError::NotRestored { path: path(), holds: "another ledger" }),
        };
    }
    let holds_log = !storage.list("log").map_err(|error| failed("list log", error))?.is_empty();
    let holds_identity =
        storage.read(IDENTITY_NAME).map_err(|error| failed("read ledger.json", error))?.is_some();
    if holds_log || holds_identity {
        return Err(RestoreError::NotRestored { path: path(), holds: "a ledger that was not restored" });
    }
    // Before anything else: what is here from now on is restored.
    let marker = Marker::new(ledger_id);
    marker.save(storage).map_err(|error| failed("write restored.json", error))?;
    Ok(marker)
}

/// A ledger while it is restored.
struct Restoring<'a> {
    storage: &'a dyn Storage,
    marker: Marker,
    old: Marker,
    identity: Option<(Vec<u8>, LedgerIdentity)>,
    segment: Option<(u32, Box<dyn StorageFile>)>,
    checkpoints: Option<Box<dyn StorageFile>>,
    /// Where the next checkpoint is written, and the number of the one before.
    next_checkpoint: (u64, u64),
    cuts: Cuts,
    new_bytes: u64,
    failed: Option<Failed>,
}

impl<'a> Restoring<'a> {
    /// Takes back what stands behind the marker: it was written by a restoring that did not come to its end.
    fn new(storage: &'a dyn Storage, mut marker: Marker) -> Result<Self, Failed> {
        let old = marker.clone();
        if !is_whole(storage, &marker)? {
            marker = Marker::new(marker.ledger_id);
        }
        // What is missing is looked for each time.
        marker.gap = None;
        marker.missing_checkpoint = None;
        for name in io_failed("list", "log", storage.list("log"))? {
            let Some(segment) = name.strip_suffix(".ndjson").and_then(|number| number.parse::<u32>().ok())
            else {
                continue;
            };
            let name = segment_name(segment);
            if marker.start.is_none() || segment > marker.end.segment {
                io_failed("remove", &name, storage.remove(&name))?;
            } else if segment == marker.end.segment {
                let cut = storage.open(&name, false).and_then(|file| match file.len()? > marker.end.offset {
                    true => file.set_len(marker.end.offset),
                    false => Ok(()),
                });
                io_failed("cut", &name, cut)?;
            }
        }
        if let Some(file) =
            io_failed("open", CHECKPOINTS_NAME, optional(storage.open(CHECKPOINTS_NAME, false)))?
        {
            let cut = file.len().and_then(|len| match len > marker.checkpoint_bytes {
                true => file.set_len(marker.checkpoint_bytes),
                false => Ok(()),
            });
            io_failed("cut", CHECKPOINTS_NAME, cut)?;
        }
        let identity = match io_failed("read", IDENTITY_NAME, storage.read(IDENTITY_NAME))? {
            Some(bytes) => Some(parse_identity(marker.ledger_id, bytes)?),
            None => None,
        };
        let next_checkpoint = (marker.checkpoint_bytes, marker.checkpoint);
        Ok(Self {
            storage,
            marker,
            old,
            identity,
            segment: None,
            checkpoints: None,
            next_checkpoint,
            cuts: Cuts::load(storage)?,
            new_bytes: 0,
            failed: None,
        })
    }

    /// Keeps why a piece was not taken, and makes of it what the source is told.
    fn fail(&mut self, failed: Failed) -> SourceError {
        let found = match &failed {
            Failed::Corrupt(found) => found.clone(),
            Failed::Io(attempted, error) => format!("{attempted}: {error}"),
        };
        self.failed = Some(failed);
        SourceError::corrupt(format!("restore ledger {}", self.marker.ledger_id), found)
    }

    fn take(&mut self, piece: SourcePiece) -> Result<(), Failed> {
        match piece {
            SourcePiece::Identity(bytes) => self.identity(bytes),
            SourcePiece::Log { position, bytes } => self.log(position, &bytes),
            SourcePiece::HeadTable { position, bytes } => self.head_table(position, &bytes),
            SourcePiece::Checkpoint { number, line } => self.checkpoint(number, &line),
            SourcePiece::Cut { number, line } => self.cuts.take(number, line),
        }
    }

    /// Keys are only added, so of two identities one begins as the other does.
    fn identity(&mut self, bytes: Vec<u8>) -> Result<(), Failed> {
        let (bytes, new) = parse_identity(self.marker.ledger_id, bytes)?;
        if let Some((known_bytes, known)) = &self.identity {
            let common = known.keys.len().min(new.keys.len());
            let agree = known.created_at == new.created_at && known.keys[..common] == new.keys[..common];
            if !agree || (known.keys.len() == new.keys.len() && *known_bytes != bytes) {
                return Err(Failed::Corrupt("two contents of ledger.json contradict each other".to_owned()));
            }
            if new.keys.len() <= known.keys.len() {
                return Ok(());
            }
        }
        io_failed("write", IDENTITY_NAME, self.storage.replace(IDENTITY_NAME, &bytes))?;
        self.identity = Some((bytes, new));
        Ok(())
    }

    fn log(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), Failed> {
        if bytes.last() != Some(&b'\n') {
            return Err(Failed::Corrupt(format!("{position}: the bytes do not end with a line")));
        }
        if self.marker.gap.is_some() {
            return Ok(());
        }
        let end = self.marker.end;
        let Some(start) = self.marker.start else {
            if position.offset > 0 {
                let begin = LogPosition { segment: position.segment, offset: 0 };
                self.marker.gap = Some(LogGap { end: begin, next: position });
                return Ok(());
            }
            self.marker.start = Some(position);
            return self.write(position, bytes);
        };
        if position == end || (position.segment == end.segment + 1 && position.offset == 0) {
            return self.write(position, bytes);
        }
        if position > end {
            self.marker.gap = Some(LogGap { end, next: position });
            return Ok(());
        }
        if position < start {
            return Err(Failed::Corrupt(format!("{position} lies before {start}, where the log began")));
        }
        self.overlap(position, bytes)
    }

    /// Bytes that begin before the end: what is there must be the same.
    fn overlap(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), Failed> {
        let name = segment_name(position.segment);
        let read = self.storage.open(&name, false).and_then(|file| {
            let mut held = vec![0; bytes.len()];
            let len = file.read_at(position.offset, &mut held)?;
            held.truncate(len);
            Ok(held)
        });
        let held = io_failed("read", &name, read)?;
        if bytes[..held.len()] != held[..] {
            let at = bytes.iter().zip(&held).take_while(|(new, held)| new == held).count() as u64;
            let at = LogPosition { segment: position.segment, offset: position.offset + at };
            return Err(Failed::Corrupt(format!("{at}: there are two different bytes for one place")));
        }
        let new = &bytes[held.len()..];
        if new.is_empty() {
            return Ok(());
        }
        if position.segment < self.marker.end.segment {
            // A hole at the end of a segment shows only now. From the start the pieces come in order.
            self.marker = Marker::new(self.marker.ledger_id);
            return Err(Failed::Corrupt(format!(
                "{name} is longer than it was taken to be; it is restored anew the next time"
            )));
        }
        self.write(self.marker.end, new)
    }

    fn write(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), Failed> {
        let name = segment_name(position.segment);
        if self.segment.as_ref().is_none_or(|(segment, _)| *segment != position.segment) {
            self.sync_segment()?;
            let file = io_failed("open", &name, self.storage.open(&name, true))?;
            self.segment = Some((position.segment, file));
        }
        if let Some((_, file)) = &self.segment {
            io_failed("write", &name, file.write_all_at(position.offset, bytes))?;
        }
        self.new_bytes += bytes.len() as u64;
        self.marker.end = LogPosition { offset: position.offset + bytes.len() as u64, ..position };
        Ok(())
    }

    fn sync_segment(&mut self) -> Result<(), Failed> {
        let Some((segment, file)) = &self.segment else { return Ok(()) };
        io_failed("sync", &segment_name(*segment), file.sync_data())
    }

    /// Something speaks of the beginning of the next segment: it was begun, and has no lines yet.
    fn reach(&mut self, position: LogPosition) -> Result<(), Failed> {
        let end = self.marker.end;
        let is_next = position.offset == 0 && position.segment == end.segment + 1;
        if !is_next || self.marker.gap.is_some() || self.marker.start.is_none() {
            return Ok(());
        }
        self.write(position, &[])
    }

    /// Beside a segment lies the newest of its tables.
    fn head_table(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), Failed> {
        self.reach(position)?;
        // That of a cut can come before the log that begins at it.
        if position > self.marker.end && !self.cuts.name_table(position.segment, HeadTable::hash(bytes)) {
            return Ok(());
        }
        let name = head_table_name(position.segment);
        let held = io_failed("read", &name, self.storage.read(&name))?;
        if held.as_deref() == Some(bytes) {
            return Ok(());
        }
        let ledger_id = self.marker.ledger_id;
        let held = held.and_then(|held| HeadTable::parse(&held, ledger_id).ok()).map(|table| table.position);
        if held == Some(position) {
            return Err(Failed::Corrupt(format!("there are two different head tables of {position}")));
        }
        match held.is_some_and(|held| held > position) {
            true => Ok(()),
            false => io_failed("write", &name, self.storage.replace(&name, bytes)),
        }
    }

    fn checkpoint(&mut self, number: u64, line: &[u8]) -> Result<(), Failed> {
        if line.contains(&b'\n') {
            return Err(Failed::Corrupt(format!("checkpoint {number} is more than a line")));
        }
        let (at, before) = self.next_checkpoint;
        if number <= before {
            return self.same_checkpoint(number, line);
        }
        if let Ok(checkpoint) = Checkpoint::from_line(line) {
            self.reach(checkpoint.position)?;
        }
        let file = match &self.checkpoints {
            Some(file) => file,
            None => {
                let opened = self.storage.open(CHECKPOINTS_NAME, true);
                self.checkpoints.insert(io_failed("open", CHECKPOINTS_NAME, opened)?)
            }
        };
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        io_failed("write", CHECKPOINTS_NAME, file.write_all_at(at, &bytes))?;
        let end = at + bytes.len() as u64;
        self.next_checkpoint = (end, number);
        if number == before + 1 && self.marker.missing_checkpoint.is_none() {
            (self.marker.checkpoint, self.marker.checkpoint_bytes) = (number, end);
        } else {
            self.marker.missing_checkpoint.get_or_insert(before + 1);
        }
        Ok(())
    }

    /// A checkpoint that comes again must be the one that came before.
    fn same_checkpoint(&self, number: u64, line: &[u8]) -> Result<(), Failed> {
        let find = || -> io::Result<bool> {
            let Some(file) = CheckpointFile::open(self.storage)? else { return Ok(true) };
            let mut lines = file.lines(0);
            let is_of_number = |stored: &[u8]| {
                let number_of = serde_json::from_slice::<serde_json::Value>(stored).ok();
                number_of.and_then(|value| value.get("number")?.as_u64()) == Some(number)
            };
            while let Some(stored) = lines.next_line()? {
                if stored.line == line {
                    return Ok(true);
                }
                if is_of_number(&stored.line) {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        match io_failed("read", CHECKPOINTS_NAME, find())? {
            true => Ok(()),
            false => Err(Failed::Corrupt(format!("there are two different checkpoints {number}"))),
        }
    }

    /// Makes what was written durable, then the marker.
    fn finish(&mut self) -> Result<(), Failed> {
        self.sync_segment()?;
        if let Some(file) = &self.checkpoints {
            io_failed("sync", CHECKPOINTS_NAME, file.sync_data())?;
        }
        self.cuts.save(self.storage, self.marker.start)?;
        if self.marker == self.old {
            return Ok(());
        }
        if self.segment.is_some() {
            io_failed("sync", "log", self.storage.sync_folder("log"))?;
        }
        io_failed("write", RESTORED_NAME, self.marker.save(self.storage))
    }

    fn told(&self) -> RestoredLedger {
        RestoredLedger {
            ledger_id: self.marker.ledger_id,
            end: self.marker.end,
            checkpoint: self.marker.checkpoint,
            gap: self.marker.gap,
            missing_checkpoint: self.marker.missing_checkpoint,
            new_bytes: self.new_bytes,
        }
    }
}

fn parse_identity(ledger_id: LedgerId, bytes: Vec<u8>) -> Result<(Vec<u8>, LedgerIdentity), Failed> {
    let identity = LedgerIdentity::parse(&bytes)
        .map_err(|error| Failed::Corrupt(format!("ledger.json cannot be understood: {error}")))?;
    match identity.ledger_id == ledger_id {
        true => Ok((bytes, identity)),
        false => Err(Failed::Corrupt(format!("ledger.json is that of ledger {}", identity.ledger_id))),
    }
}

/// Whether the files hold what the marker says.
fn is_whole(storage: &dyn Storage, marker: &Marker) -> Result<bool, Failed> {
    let has = |name: &str, bytes: u64| {
        let len =
            optional(storage.open(name, false)).and_then(|file| file.map(|file| file.len()).transpose());
        io_failed("open", name, len).map(|len| len.is_some_and(|len| len >= bytes))
    };
    Ok((marker.start.is_none() || has(&segment_name(marker.end.segment), marker.end.offset)?)
        && (marker.checkpoint == 0 || has(CHECKPOINTS_NAME, marker.checkpoint_bytes)?))
}

/// `None` for a file that is not there.
fn optional<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
