//! What a sink refused for good, kept beside its cursor with the reason.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cursor::folder;
use crate::log::LogPosition;
use crate::log::storage::{Storage, StorageFile};
use crate::sinks::{Entry, EntryKey};

/// So many keys are remembered, so that an entry that comes again is not written again.
const MAX_KEYS: usize = 100_000;
const CHUNK_BYTES: usize = 256 * 1024;

/// An entry that a sink will never hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What it is: `event`, `checkpoint`; `unknown` for bytes of which no entry can be made.
    pub kind: String,
    /// Under what it would be stored; empty for bytes of which no entry can be made.
    pub key: String,
    /// Its place.
    pub position: LogPosition,
    /// Why it was refused.
    pub reason: String,
    /// When, in microseconds since 1970 (UTC).
    pub at_us: i64,
    /// Its exact bytes when they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its bytes in hexadecimal when they are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl DeadLetter {
    pub(super) fn of_entry(entry: &Entry, reason: String, at_us: i64) -> Self {
        let kind = entry.kind().as_str().to_owned();
        Self::new(kind, key_text(entry), entry.position(), entry.bytes(), reason, at_us)
    }

    pub(super) fn unreadable(position: LogPosition, bytes: &[u8], reason: &str, at_us: i64) -> Self {
        Self::new("unknown".to_owned(), String::new(), position, bytes, reason.to_owned(), at_us)
    }

    fn new(
        kind: String,
        key: String,
        position: LogPosition,
        bytes: &[u8],
        reason: String,
        at_us: i64,
    ) -> Self {
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let hex = text.is_none().then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        Self { kind, key, position, reason, at_us, text, hex }
    }

    /// What tells one from another.
    fn identity(&self) -> String {
        format!("{} {} {}", self.kind, self.key, self.position)
    }
}

fn key_text(entry: &Entry) -> String {
    match entry.key() {
        EntryKey::Identity(hash) => hash.to_string(),
        EntryKey::Event(id) | EntryKey::Attempt(id) => id.to_string(),
        EntryKey::HeadTable(position) => format!("{}:{}", position.segment, position.offset),
        EntryKey::Checkpoint(number) => number.to_string(),
    }
}

/// The file of a sink's dead letters: NDJSON, only appended to.
pub(super) struct DeadLetters {
    storage: Arc<dyn Storage>,
    name: String,
    folder: String,
    file: Option<Box<dyn StorageFile>>,
    end: u64,
    count: u64,
    keys: HashSet<String>,
}

impl DeadLetters {
    pub(super) fn file_name(sink: &str) -> String {
        format!("{}/dead_letters.ndjson", folder(sink))
    }

    /// Opens the file, if there is one, and reads what it holds. A line whose writing was cut short is cut off: it
    /// was not acknowledged, and comes again.
    pub(super) fn open(storage: Arc<dyn Storage>, sink: &str) -> io::Result<Self> {
        let name = Self::file_name(sink);
        let mut letters =
            Self { storage, folder: folder(sink), file: None, end: 0, count: 0, keys: HashSet::new(), name };
        let file = match letters.storage.open(&letters.name, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(letters),
            Err(error) => return Err(error),
        };
        let (mut count, mut keys) = (0, HashSet::new());
        let end = each(&*file, |letter| {
            count += 1;
            if keys.len() < MAX_KEYS {
                keys.insert(letter.identity());
            }
            true
        })?;
        if file.len()? > end {
            file.set_len(end)?;
            file.sync_data()?;
        }
        (letters.end, letters.count, letters.keys) = (end, count, keys);
        letters.file = Some(file);
        Ok(letters)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Keeps what is not kept already; durable when this returns.
    pub(super) fn keep(&mut self, letters: &[DeadLetter]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut new = Vec::new();
        for letter in letters {
            let identity = letter.identity();
            if self.keys.contains(&identity) || new.contains(&identity) {
                continue;
            }
            serde_json::to_writer(&mut bytes, letter)?;
            bytes.push(b'\n');
            new.push(identity);
        }
        if new.is_empty() {
            return Ok(());
        }
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            file => file.insert(self.storage.open(&self.name, true)?),
        };
        file.write_all_at(self.end, &bytes)?;
        file.sync_data()?;
        if is_new {
            for folder in [&*self.folder, "sinks", ""] {
                self.storage.sync_folder(folder)?;
            }
        }
        self.end += bytes.len() as u64;
        self.count += new.len() as u64;
        self.keys.extend(new.into_iter().take(MAX_KEYS.saturating_sub(self.keys.len())));
        Ok(())
    }
}

/// The newest dead letters of a sink, at most so many, the newest first.
pub(super) fn newest(storage: &dyn Storage, sink: &str, limit: usize) -> io::Result<Vec<DeadLetter>> {
    let file = match storage.open(&DeadLetters::file_name(sink), false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut newest = std::collections::VecDeque::new();
    each(&*file, |letter| {
        if newest.len() == limit {
            newest.pop_front();
        }
        newest.push_back(letter);
        limit > 0
    })?;
    Ok(newest.into_iter().rev().collect())
}

/// Reads the whole lines of a file until told to end; returns where they end. A line that is no dead letter is kept
/// and not counted: somebody wrote it there.
fn each(file: &dyn StorageFile, mut take: impl FnMut(DeadLetter) -> bool) -> io::Result<u64> {
    let (mut offset, mut searched) = (0, 0);
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let mut start = 0;
        while let Some(at) = buffer[searched.max(start)..].iter().position(|byte| *byte == b'\n') {
            let end = searched.max(start) + at;
            let is_enough = serde_json::from_slice(&buffer[start..end]).is_ok_and(|letter| !take(letter));
            start = end + 1;
            if is_enough {
                return Ok(offset + start as u64);
            }
        }
        buffer.drain(..start);
        offset += start as u64;
        searched = buffer.len();
        buffer.resize(searched + CHUNK_BYTES, 0);
        let read = file.read_at(offset + searched as u64, &mut buffer[searched..])?;
        buffer.truncate(searched + read);
        if read == 0 {
            return Ok(offset);
        }
    }
}
