//! What a sink refused for good, kept beside its cursor with the reason.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cursor::folder;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::storage::{Storage, StorageFile};
use crate::sinks::{Entry, EntryKey};

/// So many keys are remembered, so that an entry that comes again is not written again.
const MAX_KEYS: usize = 100_000;
const CHUNK_BYTES: usize = 256 * 1024;

/// An entry that a sink refused for good. It is held by nobody but the log, unless it is taken when it is offered again.
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

    /// The entry that it was; `None` for bytes of which no entry can be made.
    pub(super) fn entry(&self, ledger_id: LedgerId) -> Option<Entry> {
        let bytes = match (&self.text, &self.hex) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(hex)) => bytes_of(hex)?,
            (None, None) => return None,
        };
        let entry = match self.kind.as_str() {
            "event" | "attempt" => Entry::line(self.position, bytes)?,
            "identity" => Entry::identity(ledger_id, bytes),
            "head_table" => Entry::head_table(ledger_id, self.position, bytes),
            "checkpoint" => Entry::checkpoint(ledger_id, self.key.parse().ok()?, self.position, bytes),
            "cut" => Entry::cut(ledger_id, self.key.parse().ok()?, self.position, bytes),
            _ => return None,
        };
        // A file that somebody changed does not give the sink something else.
        (entry.ledger_id() == ledger_id && key_text(&entry) == self.key).then_some(entry)
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
        EntryKey::Checkpoint(number) | EntryKey::Cut(number) => number.to_string(),
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A line that says which dead letters the sink has taken since, by where they begin in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Redelivered {
    kind: RedeliveredKind,
    at_us: i64,
    offsets: Vec<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RedeliveredKind {
    Redelivered,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Redelivered(Redelivered),
    Letter(DeadLetter),
}

/// The file of a sink's dead letters: NDJSON, only appended to. It is emptied when the sink has taken all of them.
pub(super) struct DeadLetters {
    storage: Arc<dyn Storage>,
    name: String,
    folder: String,
    file: Option<Box<dyn StorageFile>>,
    end: u64,
    count: u64,
    keys: HashSet<String>,
    /// Where those begin that the sink has taken since.
    redelivered: HashSet<u64>,
}

impl DeadLetters {
    pub(super) fn file_name(sink: &str) -> String {
        format!("{}/dead_letters.ndjson", folder(sink))
    }

    /// Opens the file, if there is one, and reads what it holds. A line whose writing was cut short is cut off: it
    /// was not acknowledged, and comes again.
    pub(super) fn open(storage: Arc<dyn Storage>, sink: &str) -> io::Result<Self> {
        let mut letters = Self {
            storage,
            folder: folder(sink),
            file: None,
            end: 0,
            count: 0,
            keys: HashSet::new(),
            redelivered: HashSet::new(),
            name: Self::file_name(sink),
        };
        let Some(file) = open_file(&*letters.storage, &letters.name)? else { return Ok(letters) };
        let (redelivered, end) = redelivered(&*file)?;
        let (mut count, mut keys) = (0, HashSet::new());
        each(&*file, 0, |offset, line| {
            if let Line::Letter(letter) = line
                && !redelivered.contains(&offset)
            {
                count += 1;
                if keys.len() < MAX_KEYS {
                    keys.insert(letter.identity());
                }
            }
            true
        })?;
        if file.len()? > end {
            file.set_len(end)?;
            file.sync_data()?;
        }
        (letters.end, letters.count, letters.keys, letters.redelivered) = (end, count, keys, redelivered);
        letters.file = Some(file);
        Ok(letters)
    }

    /// Where the file ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Letters of a part of the file, each with where it begins, and where the rest begins: at most so many, and no more
    /// bytes of lines but for the first.
    pub(super) fn batch(
        &self,
        part: Range<u64>,
        most: usize,
        most_bytes: usize,
    ) -> io::Result<(Vec<(u64, DeadLetter)>, u64)> {
        let mut letters: Vec<(u64, DeadLetter)> = Vec::new();
        let Some(file) = &self.file else { return Ok((letters, part.end)) };
        let (mut next, mut bytes) = (part.end, 0);
        each(&**file, part.start, |offset, line| {
            let Line::Letter(letter) = line else { return offset < part.end };
            let len = letter.text.as_ref().or(letter.hex.as_ref()).map_or(0, String::len);
            let is_full = letters.len() >= most || (!letters.is_empty() && bytes + len > most_bytes);
            if offset >= part.end || is_full {
                next = offset.min(part.end);
                return false;
            }
            if !self.redelivered.contains(&offset) {
                bytes += len;
                letters.push((offset, letter));
            }
            true
        })?;
        Ok((letters, next))
    }

    /// Marks letters as taken by the sink, by where they begin; durable when this returns. When none is left the file is
    /// emptied.
    pub(super) fn mark(&mut self, offsets: Vec<u64>, at_us: i64) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| !offsets.is_empty()) else { return Ok(()) };
        if offsets.len() as u64 == self.count {
            file.set_len(0)?;
            (self.end, self.count) = (0, 0);
            self.keys.clear();
            self.redelivered.clear();
            // What a power cut brings back is offered again, and is there already.
            return file.sync_data();
        }
        let mut identities = Vec::new();
        let marked: HashSet<u64> = offsets.iter().copied().collect();
        let (first, last) = (offsets.iter().min().copied(), offsets.iter().max().copied());
        each(&**file, first.unwrap_or(self.end), |offset, line| {
            if let Line::Letter(letter) = line
                && marked.contains(&offset)
            {
                identities.push(letter.identity());
            }
            Some(offset) < last
        })?;
        let mark = Redelivered { kind: RedeliveredKind::Redelivered, at_us, offsets };
        let mut bytes = serde_json::to_vec(&mark)?;
        bytes.push(b'\n');
        file.write_all_at(self.end, &bytes)?;
        file.sync_data()?;
        self.end += bytes.len() as u64;
        self.count -= marked.len() as u64;
        self.redelivered.extend(marked);
        for identity in &identities {
            self.keys.remove(identity);
        }
        Ok(())
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
    let Some(file) = open_file(storage, &DeadLetters::file_name(sink))? else { return Ok(Vec::new()) };
    let (redelivered, _) = redelivered(&*file)?;
    let mut newest = std::collections::VecDeque::new();
    each(&*file, 0, |offset, line| {
        let Line::Letter(letter) = line else { return true };
        if !redelivered.contains(&offset) {
            newest.push_back(letter);
        }
        if newest.len() > limit {
            newest.pop_front();
        }
        limit > 0
    })?;
    Ok(newest.into_iter().rev().collect())
}

/// `None` for a file that is not there.
fn open_file(storage: &dyn Storage, name: &str) -> io::Result<Option<Box<dyn StorageFile>>> {
    match storage.open(name, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Where the letters begin that the sink has taken since, and where the last whole line ends.
fn redelivered(file: &dyn StorageFile) -> io::Result<(HashSet<u64>, u64)> {
    let mut redelivered = HashSet::new();
    let end = each(file, 0, |_, line| {
        if let Line::Redelivered(mark) = line {
            redelivered.extend(mark.offsets);
        }
        true
    })?;
    Ok((redelivered, end))
}

/// Reads the whole lines of a file from one on, each with where it begins, until told to end; returns where they end. A
/// line that is neither a dead letter nor a mark is kept and not counted: somebody wrote it there.
fn each(file: &dyn StorageFile, from: u64, mut take: impl FnMut(u64, Line) -> bool) -> io::Result<u64> {
    let (mut offset, mut searched) = (from, 0);
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let mut start = 0;
        while let Some(at) = buffer[searched.max(start)..].iter().position(|byte| *byte == b'\n') {
            let end = searched.max(start) + at;
            let begin = offset + start as u64;
            let is_enough = serde_json::from_slice(&buffer[start..end]).is_ok_and(|line| !take(begin, line));
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
