//! Reads the log line by line, across segments, between two positions.

use std::io;
use std::sync::Arc;

use super::cut::log_start;
use super::storage::{Storage, StorageFile};
use super::{LogPosition, segment_name};

const CHUNK_BYTES: usize = 256 * 1024;

/// A line as it is stored, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawLine {
    pub(crate) position: LogPosition,
    pub(crate) bytes: Vec<u8>,
    /// False for bytes at the very end of a segment that no newline follows.
    pub(crate) is_terminated: bool,
}

/// Iterates lines from a position up to, and not including, another.
///
/// A segment that ends while `until` lies in a later one leads to the next. Bytes without a newline at
/// the end of a segment come out as a line that is not terminated; the caller decides what that means.
pub(crate) struct LogReader {
    storage: Arc<dyn Storage>,
    file: Option<Box<dyn StorageFile>>,
    position: LogPosition,
    until: LogPosition,
    buffer: Vec<u8>,
    start: usize,
    is_done: bool,
    goes_over_cuts: bool,
}

impl LogReader {
    pub(crate) fn new(storage: Arc<dyn Storage>, from: LogPosition, until: LogPosition) -> Self {
        Self {
            storage,
            file: None,
            position: from,
            until,
            buffer: Vec::new(),
            start: 0,
            is_done: false,
            goes_over_cuts: false,
        }
    }

    /// Goes on at the cut where a segment was dropped before it could be read, instead of an error.
    pub(crate) fn over_cuts(mut self) -> Self {
        self.goes_over_cuts = true;
        self
    }

    /// Goes on up to a later place.
    pub(crate) fn extend(&mut self, until: LogPosition) {
        self.until = until;
        self.is_done = false;
    }

    /// The next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let mut line = RawLine { position: self.position, bytes: Vec::new(), is_terminated: false };
        Ok(self.next_into(&mut line)?.then_some(line))
    }

    /// Reads the next line into `line`, reusing its buffer; false at the end.
    pub(crate) fn next_into(&mut self, line: &mut RawLine) -> io::Result<bool> {
        line.bytes.clear();
        if self.is_done {
            return Ok(false);
        }
        let mut searched = 0;
        loop {
            if self.position >= self.until {
                self.is_done = true;
                return Ok(false);
            }
            let pending = &self.buffer[self.start..];
            if let Some(at) = memchr::memchr(b'\n', &pending[searched..]) {
                let end = searched + at;
                line.bytes.extend_from_slice(&pending[..end]);
                line.position = self.position;
                line.is_terminated = true;
                self.start += end + 1;
                self.position.offset += end as u64 + 1;
                return Ok(true);
            }
            searched = pending.len();
            if self.fill()? {
                continue;
            }
            if self.start < self.buffer.len() {
                line.bytes.extend_from_slice(&self.buffer[self.start..]);
                line.position = self.position;
                line.is_terminated = false;
                self.position.offset += line.bytes.len() as u64;
                self.start = self.buffer.len();
                return Ok(true);
            }
            if self.position.segment >= self.until.segment {
                self.is_done = true;
                return Ok(false);
            }
            self.position = LogPosition { segment: self.position.segment + 1, offset: 0 };
            self.file = None;
            self.buffer.clear();
            self.start = 0;
            searched = 0;
        }
    }

    /// Reads the next chunk behind the buffer; false when the segment (or the range in it) ends.
    fn fill(&mut self) -> io::Result<bool> {
        let file = match &self.file {
            Some(file) => file,
            None => match self.storage.open(&segment_name(self.position.segment), false) {
                Ok(file) => self.file.insert(file),
                Err(error) if self.goes_over_cuts && error.kind() == io::ErrorKind::NotFound => {
                    let begin = log_start(&*self.storage)?;
                    if begin <= self.position {
                        return Err(error);
                    }
                    self.position = begin;
                    return Ok(true);
                }
                Err(error) => return Err(error),
            },
        };
        let behind = self.position.offset + (self.buffer.len() - self.start) as u64;
        let mut want = CHUNK_BYTES;
        if self.position.segment == self.until.segment {
            let left = self.until.offset.saturating_sub(behind);
            want = want.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if want == 0 {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + want, 0);
        let read = file.read_at(behind, &mut self.buffer[old..])?;
        self.buffer.truncate(old + read);
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::MemoryStorage;
    use super::*;

    #[test]
    fn lines_cross_segments_and_chunks() {
        let storage = MemoryStorage::default();
        let long = "x".repeat(CHUNK_BYTES + 10);
        for (segment, text) in [(1, format!("a\n{long}\n")), (2, "b\nc\ntorn".to_owned())] {
            let file = storage.open(&segment_name(segment), true).unwrap();
            file.write_all_at(0, text.as_bytes()).unwrap();
        }
        let end = LogPosition { segment: 2, offset: 8 };
        let mut reader = LogReader::new(Arc::new(storage), LogPosition::START, end);
        let mut seen = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            seen.push((line.position.segment, line.position.offset, line.bytes.len(), line.is_terminated));
        }
        let second = CHUNK_BYTES as u64 + 13;
        assert_eq!(seen[0], (1, 0, 1, true));
        assert_eq!(seen[1], (1, 2, CHUNK_BYTES + 10, true));
        assert_eq!(seen[1].1 + seen[1].2 as u64 + 1, second);
        assert_eq!(&seen[2..], [(2, 0, 1, true), (2, 2, 1, true), (2, 4, 4, false)]);
    }
}
