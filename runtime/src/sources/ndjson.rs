//! Reads what an [`NdjsonSink`](crate::sinks::ndjson::NdjsonSink) wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Source, SourceError, SourceEvent, SourcePage, SourcePiece, SourceQuery, SourceStart};
use crate::event::DatasetEvent;
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::log::storage::{DiskStorage, Storage};
use crate::sinks::ndjson::folder::{self, FileName};
use crate::sinks::ndjson::line::{Header, Lines};
use crate::sinks::ndjson::read::FileLines;
use crate::sinks::{Entry, EntryKey, EntryKind};

/// Lines are given in pieces of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// The most events of a page.
const MAX_LIMIT: usize = 1_000;

/// A directory with the files of an [`NdjsonSink`](crate::sinks::ndjson::NdjsonSink).
///
/// It may be read while the sink writes it: a last line that is not whole yet is left out. A query reads all files of
/// the directory, so it costs what they are long.
pub struct NdjsonSource {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
}

impl fmt::Debug for NdjsonSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdjsonSource").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl NdjsonSource {
    /// Reads below a directory. Nothing is looked at yet.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref().to_owned();
        let storage = Arc::new(DiskStorage::new(directory.clone()));
        Self { directory, storage }
    }

    #[cfg(test)]
    pub(crate) fn on(storage: Arc<dyn Storage>) -> Self {
        Self { directory: PathBuf::new(), storage }
    }

    /// The entries of a ledger, in the order in which they were stored.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the folder cannot be listed. The entries themselves are errors where a file cannot be
    /// read, or holds what the sink does not write.
    pub fn entries(&self, ledger_id: LedgerId) -> Result<NdjsonEntries, SourceError> {
        let mut files = folder::files(&*self.storage, ledger_id)
            .map_err(|error| SourceError::unavailable(self.text("list", &ledger_id.to_string()), error))?;
        // One that was being compressed when the process died is there twice.
        files.dedup_by_key(|file| file.number);
        Ok(NdjsonEntries {
            storage: Arc::clone(&self.storage),
            directory: self.directory.clone(),
            ledger_id,
            files: files.into_iter(),
            open: None,
            line: Vec::new(),
        })
    }

    fn text(&self, what: &str, path: &str) -> String {
        format!("{what} {}", self.directory.join(path).display())
    }
}

/// The entries of a ledger, in the order in which they were stored. Made by [`NdjsonSource::entries`].
pub struct NdjsonEntries {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    ledger_id: LedgerId,
    files: std::vec::IntoIter<FileName>,
    open: Option<OpenFile>,
    line: Vec<u8>,
}

impl fmt::Debug for NdjsonEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdjsonEntries").field("ledger_id", &self.ledger_id).finish_non_exhaustive()
    }
}

struct OpenFile {
    path: String,
    from: FileLines,
    lines: Lines,
    is_behind_header: bool,
}

impl NdjsonEntries {
    fn next_entry(&mut self) -> Result<Option<Entry>, SourceError> {
        loop {
            let text = |path: &str| format!("read {}", self.directory.join(path).display());
            let Some(open) = &mut self.open else {
                let Some(name) = self.files.next() else { return Ok(None) };
                let path = name.path(self.ledger_id);
                match FileLines::open(&*self.storage, self.ledger_id, &name) {
                    Ok(from) => {
                        let lines = Lines::new(self.ledger_id);
                        self.open = Some(OpenFile { path, from, lines, is_behind_header: false });
                    }
                    // Compressed or removed since the folder was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let reason = "it went while the folder was read; read again";
                        return Err(SourceError::unavailable(text(&path), reason));
                    }
                    Err(error) => return Err(SourceError::unavailable(text(&path), error)),
                }
                continue;
            };
            let read = open.from.next_into(&mut self.line);
            let read = read.map_err(|error| SourceError::unavailable(text(&open.path), error))?;
            let corrupt = |error: &dyn fmt::Display| {
                let at = open.from.offset();
                SourceError::corrupt(text(&open.path), format!("before byte {at}: {error}"))
            };
            match read {
                None => self.open = None,
                Some(false) if self.files.len() == 0 => self.open = None,
                Some(false) => return Err(corrupt(&"the last line has no end")),
                Some(true) if !open.is_behind_header => {
                    Header::parse(&self.line).map_err(|error| corrupt(&error))?;
                    open.is_behind_header = true;
                }
                Some(true) => {
                    let taken = open.lines.take(&self.line);
                    if let Some(entry) = taken.map_err(|error| corrupt(&error))? {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }
}

impl Iterator for NdjsonEntries {
    type Item = Result<Entry, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_entry().transpose();
        if matches!(next, Some(Err(_))) {
            // Behind an error there is nothing to rely on.
            (self.files, self.open) = (Vec::new().into_iter(), None);
        }
        next
    }
}

/// Joins lines that follow one another to pieces.
struct Joined<'a> {
    position: LogPosition,
    bytes: Vec<u8>,
    take: &'a mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
}

impl Joined<'_> {
    fn line(&mut self, entry: &Entry) -> Result<(), SourceError> {
        let end = LogPosition { offset: self.position.offset + self.bytes.len() as u64, ..self.position };
        if end != entry.position() || self.bytes.len() >= PIECE_BYTES {
            self.give()?;
            self.position = entry.position();
        }
        self.bytes.extend_from_slice(entry.bytes());
        self.bytes.push(b'\n');
        Ok(())
    }

    fn give(&mut self) -> Result<(), SourceError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        (self.take)(SourcePiece::Log { position: self.position, bytes: std::mem::take(&mut self.bytes) })
    }
}

impl Source for NdjsonSource {
    fn kind(&self) -> &'static str {
        "ndjson"
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError> {
        let unavailable = |error| SourceError::unavailable(self.text("list", ""), error);
        let folders = match std::fs::read_dir(&self.directory) {
            Ok(folders) => folders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unavailable(error)),
        };
        let mut ledgers = Vec::new();
        for folder in folders {
            let name = folder.map_err(unavailable)?.file_name();
            let Some(ledger_id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if !folder::files(&*self.storage, ledger_id).map_err(unavailable)?.is_empty() {
                ledgers.push(ledger_id);
            }
        }
        ledgers.sort();
        Ok(ledgers)
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        // Identities come first, wherever they stand: keys are added to a ledger over time.
        for entry in self.entries(ledger_id)? {
            let entry = entry?;
            if entry.kind() == EntryKind::Identity {
                take(SourcePiece::Identity(entry.bytes().to_vec()))?;
            }
        }
        let mut joined = Joined { position: LogPosition::START, bytes: Vec::new(), take };
        for entry in self.entries(ledger_id)? {
            let entry = entry?;
            let (position, is_behind) = (entry.position(), entry.position() > from.position);
            match entry.key() {
                EntryKey::Event(_) | EntryKey::Attempt(_) if position >= from.position => {
                    joined.line(&entry)?
                }
                EntryKey::HeadTable(_) if is_behind || from.position == LogPosition::START => {
                    joined.give()?;
                    (joined.take)(SourcePiece::HeadTable { position, bytes: entry.bytes().to_vec() })?;
                }
                EntryKey::Checkpoint(number) if number > from.checkpoint => {
                    joined.give()?;
                    (joined.take)(SourcePiece::Checkpoint { number, line: entry.bytes().to_vec() })?;
                }
                EntryKey::Cut(number) => {
                    joined.give()?;
                    (joined.take)(SourcePiece::Cut { number, line: entry.bytes().to_vec() })?;
                }
                _ => {}
            }
        }
        joined.give()
    }

    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError> {
        let limit = match query.limit {
            0 => 50,
            limit => limit.min(MAX_LIMIT),
        };
        let after = query.after.as_deref().map(Place::parse).transpose()?;
        // The newest so far; one more than is given, to know whether there is more.
        let mut found: BTreeMap<Place, String> = BTreeMap::new();
        for ledger_id in self.ledgers()? {
            for entry in self.entries(ledger_id)? {
                let entry = entry?;
                let is_of_scope =
                    entry.kind() == EntryKind::Event && entry.scope().ok().flatten().as_ref() == Some(scope);
                let Some(event) = is_of_scope.then(|| entry.event()).flatten() else { continue };
                let place = Place { recorded_at: event.recorded_at, ledger_id, seq: event.seq };
                if !is_asked_for(event, query) || after.is_some_and(|after| place >= after) {
                    continue;
                }
                found.insert(place, entry.text().into_owned());
                if found.len() > limit + 1 {
                    found.pop_first();
                }
            }
        }
        let has_more = found.len() > limit;
        if has_more {
            found.pop_first();
        }
        let next = found.first_key_value().filter(|_| has_more).map(|(place, _)| place.to_string());
        let events = found.into_values().rev().map(|line| SourceEvent::of_scope(scope, line));
        Ok(SourcePage::new(events.collect::<Result<_, _>>()?, next))
    }
}

fn is_asked_for(event: &DatasetEvent, query: &SourceQuery) -> bool {
    let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
    is(&query.surface, Some(&event.surface))
        && is(&query.outcome, Some(event.outcome.as_str()))
        && is(&query.trace_id, Some(&event.trace_id.to_string()))
        && is(&query.user_id, event.user_id().map(|user| user.as_str()))
        && query.since_us.is_none_or(|since| event.recorded_at >= since)
        && query.until_us.is_none_or(|until| event.recorded_at < until)
}

/// Where an event stands among those of its scope, over all ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    recorded_at: i64,
    ledger_id: LedgerId,
    seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.recorded_at, self.ledger_id, self.seq)
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self, SourceError> {
        let mut parts = text.split('.');
        let mut place = || {
            let recorded_at = parts.next()?.parse().ok()?;
            let (ledger_id, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            parts.next().is_none().then_some(Self { recorded_at, ledger_id, seq })
        };
        let reason = || format!("query events after {text:?}: only `next` of a page before is accepted");
        place().ok_or_else(|| SourceError::Refused { reason: reason() })
    }
}
