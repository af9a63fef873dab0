//! Lines of the log for readers: one by its place, or a range forwards or backwards.

use std::io;
use std::sync::Arc;

use super::ReadError;
use crate::log::cut::is_dropped;
use crate::log::reader::{LogReader, RawLine};
use crate::log::storage::{Storage, StorageFile};
use crate::log::{LogPosition, segment_name};

const CHUNK_BYTES: u64 = 256 * 1024;
/// Segments that a reader keeps open.
const OPEN_FILES: usize = 8;
/// A length that is checked against the segment before memory is taken for it.
const LONG_LINE_BYTES: u32 = 1024 * 1024;

/// Reads lines by their place.
pub(crate) struct LineStore {
    storage: Arc<dyn Storage>,
    /// Least recently used first.
    files: Vec<(u32, Box<dyn StorageFile>)>,
}

impl LineStore {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, files: Vec::new() }
    }

    /// Reads the line at `position`; `None` when the log does not end a line there after `len_bytes`.
    pub(crate) fn read(
        &mut self,
        position: LogPosition,
        len_bytes: u32,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.try_read(position, len_bytes)
            .map_err(|source| ReadError::log("read the event at", position, source))
    }

    fn try_read(&mut self, position: LogPosition, len_bytes: u32) -> io::Result<Option<Vec<u8>>> {
        let file = self.file(position.segment)?;
        let end = position.offset.saturating_add(u64::from(len_bytes) + 1);
        if len_bytes > LONG_LINE_BYTES && file.len()? < end {
            return Ok(None);
        }
        let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
        let mut bytes = vec![0; len + 1];
        let read = file.read_at(position.offset, &mut bytes)?;
        let is_line = read == len + 1 && bytes.pop() == Some(b'\n') && !bytes.contains(&b'\n');
        Ok(is_line.then_some(bytes))
    }

    fn file(&mut self, segment: u32) -> io::Result<&dyn StorageFile> {
        match self.files.iter().position(|(number, _)| *number == segment) {
            Some(at) => {
                let file = self.files.remove(at);
                self.files.push(file);
            }
            None => {
                let file = self.storage.open(&segment_name(segment), false)?;
                if self.files.len() == OPEN_FILES {
                    self.files.remove(0);
                }
                self.files.push((segment, file));
            }
        }
        let last = self.files.last().ok_or(io::ErrorKind::NotFound)?;
        Ok(&*last.1)
    }
}

/// A range of the log, line by line.
pub(crate) enum Lines {
    Forward(LogReader),
    Backward(BackwardLines),
}

impl Lines {
    /// From one line's start to another's, in either direction.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        from: LogPosition,
        until: LogPosition,
        is_newest_first: bool,
    ) -> Self {
        match is_newest_first {
            false => Self::Forward(LogReader::new(storage, from, until).over_cuts()),
            true => Self::Backward(BackwardLines::new(storage, from, until)),
        }
    }

    /// Reads the next line into `line`; false at the end.
    pub(crate) fn next_into(&mut self, line: &mut RawLine) -> Result<bool, ReadError> {
        let read = match self {
            Self::Forward(reader) => reader.next_into(line),
            Self::Backward(reader) => reader.next_into(line),
        };
        read.map_err(|source| ReadError::log("read the log around", line.position, source))
    }
}

/// Reads a range of the log from its end to its start.
pub(crate) struct BackwardLines {
    storage: Arc<dyn Storage>,
    from: LogPosition,
    segment: u32,
    file: Option<Box<dyn StorageFile>>,
    /// The end of what is left of the segment; `None`: its whole length.
    end: Option<u64>,
    /// The bytes before `end` that were read.
    buffer: Vec<u8>,
}

impl BackwardLines {
    fn new(storage: Arc<dyn Storage>, from: LogPosition, until: LogPosition) -> Self {
        Self {
            storage,
            from,
            segment: until.segment,
            file: None,
            end: Some(until.offset),
            buffer: Vec::new(),
        }
    }

    fn next_into(&mut self, line: &mut RawLine) -> io::Result<bool> {
        line.bytes.clear();
        loop {
            let lowest = if self.segment == self.from.segment { self.from.offset } else { 0 };
            let end = match self.end {
                Some(end) => end,
                None => match self.file().and_then(StorageFile::len) {
                    Ok(len) => len,
                    // Dropped before it was read: the log begins behind it.
                    Err(_) if is_dropped(&*self.storage, self.segment) => return Ok(false),
                    Err(error) => return Err(error),
                },
            };
            self.end = Some(end);
            if self.segment < self.from.segment || (end <= lowest && self.segment == self.from.segment) {
                return Ok(false);
            }
            if end <= lowest {
                self.segment -= 1;
                (self.file, self.end) = (None, None);
                self.buffer.clear();
                continue;
            }
            let is_terminated = self.buffer.last() == Some(&b'\n');
            let body = &self.buffer[..self.buffer.len() - usize::from(is_terminated)];
            let start = end - self.buffer.len() as u64;
            let line_start = match body.iter().rposition(|byte| *byte == b'\n') {
                Some(newline) => newline + 1,
                None if start <= lowest && !self.buffer.is_empty() => 0,
                None => match self.fill(start, lowest) {
                    Ok(()) => continue,
                    Err(_) if is_dropped(&*self.storage, self.segment) => return Ok(false),
                    Err(error) => return Err(error),
                },
            };
            line.bytes.extend_from_slice(&body[line_start..]);
            let offset = start + line_start as u64;
            line.position = LogPosition { segment: self.segment, offset };
            line.is_terminated = is_terminated;
            self.buffer.truncate(line_start);
            self.end = Some(offset);
            return Ok(true);
        }
    }

    /// Reads the chunk before `start`, but nothing before `lowest`.
    fn fill(&mut self, start: u64, lowest: u64) -> io::Result<()> {
        let from = start.saturating_sub(CHUNK_BYTES).max(lowest);
        let mut chunk = vec![0; usize::try_from(start - from).map_err(io::Error::other)?];
        let read = self.file()?.read_at(from, &mut chunk)?;
        if read < chunk.len() {
            let name = segment_name(self.segment);
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{name} is shorter than what was durable"),
            ));
        }
        chunk.append(&mut self.buffer);
        self.buffer = chunk;
        Ok(())
    }

    fn file(&mut self) -> io::Result<&dyn StorageFile> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.storage.open(&segment_name(self.segment), false)?,
        };
        Ok(&**self.file.insert(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;

    #[test]
    fn backwards_is_forwards_reversed() {
        let storage = MemoryStorage::default();
        let long = "x".repeat(600_000);
        let texts = [format!("a\n{long}\n\nb\n"), String::new(), format!("c\n{}dd\n", "e\n".repeat(300))];
        for (segment, text) in (1..).zip(&texts) {
            storage.open(&segment_name(segment), true).unwrap().write_all_at(0, text.as_bytes()).unwrap();
        }
        let storage: Arc<dyn Storage> = Arc::new(storage);
        let end = LogPosition { segment: 3, offset: texts[2].len() as u64 };
        let read = |from, until, is_newest_first| {
            let mut lines = Lines::new(storage.clone(), from, until, is_newest_first);
            let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
            let mut seen = Vec::new();
            while lines.next_into(&mut line).unwrap() {
                seen.push(line.clone());
            }
            seen
        };
        let all = read(LogPosition::START, end, false);
        assert_eq!(all.len(), 4 + 302);
        for (from, until) in [(0, all.len()), (1, 5), (2, 200), (3, 4), (7, 7)] {
            let until_position = all.get(until).map_or(end, |line| line.position);
            let mut backwards = read(all[from].position, until_position, true);
            backwards.reverse();
            assert_eq!(backwards, all[from..until], "lines {from} to {until}");
        }
    }

    #[test]
    fn a_line_is_read_only_where_one_ends() {
        let storage = MemoryStorage::default();
        storage.open(&segment_name(1), true).unwrap().write_all_at(0, b"abc\nde\n").unwrap();
        let mut store = LineStore::new(Arc::new(storage));
        let at = |offset| LogPosition { segment: 1, offset };
        assert_eq!(store.read(at(4), 2).unwrap().as_deref(), Some(&b"de"[..]));
        for (offset, len) in [(0, 2), (0, 6), (4, 3), (4, u32::MAX), (900, 1)] {
            assert_eq!(store.read(at(offset), len).unwrap(), None, "{offset} {len}");
        }
        assert!(store.read(LogPosition { segment: 2, offset: 0 }, 1).is_err());
    }
}
