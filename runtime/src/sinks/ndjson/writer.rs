//! Appends to the newest file, and makes new ones.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::failed;
use super::folder::{self, FileName};
use super::line::{Header, Lines};
use super::newest::Newest;
use super::settings::NdjsonSettings;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::storage::{Storage, StorageFile};
use crate::sinks::known::Known;
use crate::sinks::{Ack, Entry, EntryKind, Rejected, SinkError};

/// The newest file of a ledger, open.
pub(super) struct Writer {
    storage: Arc<dyn Storage>,
    ledger_id: LedgerId,
    /// Held until the sink is closed, so that nobody else writes there.
    _lock: Option<File>,
    file: Box<dyn StorageFile>,
    name: FileName,
    created_at: i64,
    /// Of its header.
    first_bytes: u64,
    /// Synced.
    len: u64,
    lines: Lines,
    known: Known,
    damaged_from: Option<LogPosition>,
}

/// What is not written yet of a batch, and how things stand when it is.
struct Pending {
    bytes: Vec<u8>,
    lines: Lines,
    known: Known,
}

impl Writer {
    /// Goes on with the newest file, or makes one.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        ledger_id: LedgerId,
        newest: Option<Newest>,
        lock: Option<File>,
        now_us: i64,
    ) -> Result<Self, SinkError> {
        let (number, known) = match newest {
            Some(newest) if !newest.name.is_compressed => {
                let path = newest.name.path(ledger_id);
                let file = storage.open(&path, false);
                let file = file.map_err(|error| SinkError::retry(failed(&*storage, "open", &path), error))?;
                return Ok(Self {
                    first_bytes: newest.header.encode().len() as u64 + 1,
                    created_at: newest.header.created_at,
                    name: newest.name,
                    len: newest.len,
                    lines: newest.lines,
                    known: newest.known,
                    damaged_from: newest.damaged_from,
                    storage,
                    ledger_id,
                    _lock: lock,
                    file,
                });
            }
            Some(newest) => (newest.header.number + 1, newest.known),
            None => (1, Known::default()),
        };
        let (name, file, len) = begin(&storage, ledger_id, number, &known, now_us)?;
        let lines = Lines::new(ledger_id);
        let (first_bytes, created_at, damaged_from) = (len, now_us, None);
        let _lock = lock;
        Ok(Self {
            storage,
            ledger_id,
            _lock,
            file,
            name,
            created_at,
            first_bytes,
            len,
            lines,
            known,
            damaged_from,
        })
    }

    /// The file, and up to where it is certain to be on the disk.
    pub(super) fn sure(&self) -> (String, u64) {
        (self.name.path(self.ledger_id), self.len)
    }

    pub(super) fn append(
        &mut self,
        batch: &[Entry],
        settings: &NdjsonSettings,
        now_us: i64,
    ) -> Result<Ack, SinkError> {
        let age = u64::try_from(now_us.saturating_sub(self.created_at)).unwrap_or(0);
        if self.len > self.first_bytes && u128::from(age) >= settings.rotate_age.as_micros() {
            self.rotate(settings, now_us)?;
        }
        let (mut rejected, mut duplicates) = (Vec::new(), 0);
        let mut pending = self.pending();
        for (index, entry) in batch.iter().enumerate() {
            if pending.known.has(entry) {
                duplicates += 1;
                continue;
            }
            self.check_for_a_hole(entry)?;
            let Some(mut lines) = pending.lines.encode(entry) else {
                rejected.push(Rejected::new(index, "it is no line that this sink could give back as it is"));
                continue;
            };
            let len = self.len + (pending.bytes.len() + lines.len()) as u64;
            let is_begun = self.len > self.first_bytes || !pending.bytes.is_empty();
            if is_begun && len > settings.rotate_bytes {
                // Without what was just encoded: that is the first of the next file.
                self.write(&pending.bytes)?;
                self.known = pending.known;
                self.rotate(settings, now_us)?;
                pending = self.pending();
                lines = pending.lines.encode(entry).unwrap_or(lines);
            }
            pending.bytes.extend_from_slice(&lines);
            pending.known.note(entry.key(), entry.position());
        }
        self.write(&pending.bytes)?;
        (self.lines, self.known) = (pending.lines, pending.known);
        Ok(Ack::all().with_rejected(rejected).with_duplicates(duplicates))
    }

    fn pending(&self) -> Pending {
        Pending { bytes: Vec::new(), lines: self.lines.clone(), known: self.known.clone() }
    }

    /// After lines in the middle were lost, the next must follow on what is left: acknowledged ones do not come again.
    fn check_for_a_hole(&mut self, entry: &Entry) -> Result<(), SinkError> {
        let is_log = matches!(entry.kind(), EntryKind::Event | EntryKind::Attempt);
        match self.damaged_from {
            Some(from) if is_log => {
                self.damaged_from = None;
                if entry.position() <= from {
                    return Ok(());
                }
                let path = self.name.path(self.ledger_id);
                let text = failed(&*self.storage, "go on with", &path);
                let reason = format!(
                    "it was damaged, and lines from {from} on are lost; what was cut off is in `torn`. Replay the sink \
                     from there into a new directory, or resume it to go on without them"
                );
                Err(SinkError::fatal(text, reason))
            }
            _ => Ok(()),
        }
    }

    /// Writes and syncs, or leaves the file as it was.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let path = self.name.path(self.ledger_id);
        let text = |what| failed(&*self.storage, what, &path);
        if let Err(error) = self.file.write_all_at(self.len, bytes) {
            return Err(match self.file.set_len(self.len) {
                Ok(()) => SinkError::retry(text("append to"), error),
                Err(_) => SinkError::reopen(text("append to"), error),
            });
        }
        if let Err(error) = self.file.sync_data() {
            // Never tried again on the same pages, which the system takes for written now. Should this fail as well,
            // they are cut off when the sink is opened.
            let _ = self.file.set_len(self.len);
            return Err(SinkError::reopen(text("sync"), error));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes the next file, then looks after those that have ended.
    fn rotate(&mut self, settings: &NdjsonSettings, now_us: i64) -> Result<(), SinkError> {
        let number = self.name.number + 1;
        let (name, file, len) = begin(&self.storage, self.ledger_id, number, &self.known, now_us)?;
        (self.name, self.file, self.len, self.first_bytes) = (name, file, len, len);
        (self.created_at, self.lines) = (now_us, Lines::new(self.ledger_id));
        self.tidy(settings)
    }

    /// Compresses files that have ended, and removes the oldest, as far as the settings ask for it.
    pub(super) fn tidy(&self, settings: &NdjsonSettings) -> Result<(), SinkError> {
        let folder = self.ledger_id.to_string();
        let tidied = self.tidied(settings);
        tidied.map_err(|error| {
            SinkError::retry(failed(&*self.storage, "look after the files in", &folder), error)
        })
    }

    fn tidied(&self, settings: &NdjsonSettings) -> io::Result<()> {
        let mut files = folder::files(&*self.storage, self.ledger_id)?;
        files.retain(|file| file.number < self.name.number);
        if let Some(keep) = settings.keep_files {
            let oldest = (self.name.number + 1).saturating_sub(u64::from(keep));
            for file in files.iter().filter(|file| file.number < oldest) {
                self.storage.remove(&file.path(self.ledger_id))?;
            }
            files.retain(|file| file.number >= oldest);
        }
        for plain in files.iter().filter(|file| !file.is_compressed) {
            let compressed = plain.compressed();
            if files.contains(&compressed) {
                // It was put there as a whole; the process died before it removed this.
                self.storage.remove(&plain.path(self.ledger_id))?;
                continue;
            }
            #[cfg(feature = "ndjson-zstd")]
            if settings.compress {
                let (from, to) = (plain.path(self.ledger_id), compressed.path(self.ledger_id));
                let bytes = super::read::compressed(&*self.storage, &from)?;
                self.storage.replace(&to, &bytes)?;
                folder::restrict(&self.storage, &to)?;
                self.storage.sync_folder(&self.ledger_id.to_string())?;
                self.storage.remove(&from)?;
            }
        }
        Ok(())
    }
}

type Begun = (FileName, Box<dyn StorageFile>, u64);

/// Makes a file with its first line.
fn begin(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    number: u64,
    known: &Known,
    now_us: i64,
) -> Result<Begun, SinkError> {
    let name = FileName::new(number, now_us);
    let path = name.path(ledger_id);
    let mut first = Header::new(ledger_id, number, now_us, known.clone()).encode();
    first.push(b'\n');
    let begun = folder::create(storage, &path).and_then(|file| {
        file.write_all_at(0, &first)?;
        file.sync_data()?;
        storage.sync_folder(&ledger_id.to_string())?;
        Ok(file)
    });
    // What was begun is found, and removed, when the sink is opened again.
    let file = begun.map_err(|error| SinkError::reopen(failed(&**storage, "make", &path), error))?;
    Ok((name, file, first.len() as u64))
}
