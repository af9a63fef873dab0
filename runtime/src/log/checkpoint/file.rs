//! Reading `checkpoints.ndjson`: the newest line from the end, or all lines in order.

use std::io;

use super::Checkpoint;
use crate::log::LogPosition;
use crate::log::storage::{Storage, StorageFile};

/// The file of checkpoints, relative to the ledger's directory.
pub(crate) const CHECKPOINTS_NAME: &str = "checkpoints.ndjson";

const CHUNK_BYTES: usize = 64 * 1024;

/// A line of the file, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCheckpoint {
    /// Where the line begins.
    pub(crate) offset: u64,
    /// The line, without its newline.
    pub(crate) line: Vec<u8>,
}

impl StoredCheckpoint {
    pub(crate) fn parse(&self) -> Result<Checkpoint, serde_json::Error> {
        Checkpoint::from_line(&self.line)
    }
}

/// The complete lines that the file held when it was opened.
///
/// Bytes after the last newline are a line whose writing was cut short. Nothing can depend on it: the
/// checkpoint counts only once the whole line is durable.
pub(crate) struct CheckpointFile {
    file: Box<dyn StorageFile>,
    /// Behind the last newline: where the next line belongs.
    end: u64,
    torn_bytes: u64,
}

impl CheckpointFile {
    /// Opens the file; `None` when there is none.
    pub(crate) fn open(storage: &dyn Storage) -> io::Result<Option<Self>> {
        let file = match storage.open(CHECKPOINTS_NAME, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        let end = newline_before(&*file, len)?.map_or(0, |at| at + 1);
        Ok(Some(Self { file, end, torn_bytes: len - end }))
    }

    /// Behind the last complete line: where the next one belongs.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes of an incomplete line follow.
    pub(crate) fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The last complete line; `None` when there is none.
    pub(crate) fn newest(&self) -> io::Result<Option<StoredCheckpoint>> {
        let Some(line_end) = self.end.checked_sub(1) else { return Ok(None) };
        let offset = newline_before(&*self.file, line_end)?.map_or(0, |at| at + 1);
        let line = read_exactly(&*self.file, offset, line_end)?;
        Ok(Some(StoredCheckpoint { offset, line }))
    }

    /// The first checkpoint that covers a byte of the log, by halving the file; `None` when none does.
    ///
    /// Positions grow from one to the next, except where an operator went on after a loss; what is found
    /// covers the byte in any case.
    pub(crate) fn first_beyond(&self, position: LogPosition) -> io::Result<Option<(Vec<u8>, Checkpoint)>> {
        let found = self.find_beyond(position)?;
        Ok(found.map(|(stored, checkpoint)| (stored.line, checkpoint)))
    }

    /// The offset of its line, as [`first_beyond`](Self::first_beyond).
    pub(crate) fn first_offset_beyond(&self, position: LogPosition) -> io::Result<Option<u64>> {
        Ok(self.find_beyond(position)?.map(|(stored, _)| stored.offset))
    }

    fn find_beyond(&self, position: LogPosition) -> io::Result<Option<(StoredCheckpoint, Checkpoint)>> {
        let (mut low, mut high) = (0, self.end);
        let mut found = None;
        // Both are beginnings of lines, or the end. All before `low` end at or before the position.
        while low < high {
            let start = newline_before(&*self.file, low + (high - low) / 2)?.map_or(0, |at| at + 1).max(low);
            let Some(stored) = self.lines(start).next_line()? else { break };
            let checkpoint = stored.parse().map_err(io::Error::other)?;
            if checkpoint.position > position {
                high = start;
                found = Some((stored, checkpoint));
            } else {
                low = start + stored.line.len() as u64 + 1;
            }
        }
        Ok(found)
    }

    /// The lines from an offset on, in order.
    pub(crate) fn lines(&self, from: u64) -> CheckpointLines<'_> {
        CheckpointLines { file: self, next: from, buffer: Vec::new(), start: 0 }
    }
}

/// Iterates the complete lines of a [`CheckpointFile`].
pub(crate) struct CheckpointLines<'a> {
    file: &'a CheckpointFile,
    /// Where the next line begins in the file.
    next: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl CheckpointLines<'_> {
    /// The next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<StoredCheckpoint>> {
        let mut searched = 0;
        loop {
            let pending = &self.buffer[self.start..];
            if let Some(at) = pending[searched..].iter().position(|byte| *byte == b'\n') {
                let len = searched + at;
                let stored = StoredCheckpoint { offset: self.next, line: pending[..len].to_vec() };
                self.start += len + 1;
                self.next += len as u64 + 1;
                return Ok(Some(stored));
            }
            searched = pending.len();
            let behind = self.next + searched as u64;
            if behind >= self.file.end {
                return Ok(None);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let want =
                CHUNK_BYTES.max(searched).min(usize::try_from(self.file.end - behind).unwrap_or(usize::MAX));
            let old = self.buffer.len();
            self.buffer.resize(old + want, 0);
            let read = self.file.file.read_at(behind, &mut self.buffer[old..])?;
            self.buffer.truncate(old + read);
            if read == 0 {
                return Err(shrank());
            }
        }
    }
}

fn shrank() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("{CHECKPOINTS_NAME} became shorter while it was read"),
    )
}

/// The offset of the last newline before `end`.
fn newline_before(file: &dyn StorageFile, end: u64) -> io::Result<Option<u64>> {
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES as u64);
        let chunk = read_exactly(file, start, end)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

fn read_exactly(file: &dyn StorageFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    if file.read_at(start, &mut bytes)? < bytes.len() {
        return Err(shrank());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;

    fn file_of(text: &str) -> CheckpointFile {
        let storage = MemoryStorage::default();
        storage.replace(CHECKPOINTS_NAME, text.as_bytes()).unwrap();
        CheckpointFile::open(&storage).unwrap().unwrap()
    }

    fn all(file: &CheckpointFile, from: u64) -> Vec<(u64, usize)> {
        let mut lines = file.lines(from);
        let mut seen = Vec::new();
        while let Some(stored) = lines.next_line().unwrap() {
            seen.push((stored.offset, stored.line.len()));
        }
        seen
    }

    #[test]
    fn an_absent_file_is_none_and_an_empty_one_has_no_lines() {
        assert!(CheckpointFile::open(&MemoryStorage::default()).unwrap().is_none());
        for (text, torn) in [("", 0), ("torn", 4)] {
            let file = file_of(text);
            assert_eq!((file.end(), file.torn_bytes()), (0, torn));
            assert!(file.newest().unwrap().is_none());
            assert!(all(&file, 0).is_empty());
        }
    }

    #[test]
    fn a_torn_last_line_is_told_apart() {
        let file = file_of("one\ntwo\nthr");
        assert_eq!((file.end(), file.torn_bytes()), (8, 3));
        let newest = file.newest().unwrap().unwrap();
        assert_eq!((newest.offset, newest.line.as_slice()), (4, b"two".as_slice()));
        assert_eq!(all(&file, 0), [(0, 3), (4, 3)]);
        assert_eq!(all(&file, 4), [(4, 3)]);
    }

    #[test]
    fn lines_may_be_longer_than_a_chunk() {
        let long = "x".repeat(3 * CHUNK_BYTES + 5);
        let file = file_of(&format!("a\n{long}\nb\n{long}\n"));
        let len = long.len();
        assert_eq!(all(&file, 0), [(0, 1), (2, len), (len as u64 + 3, 1), (len as u64 + 5, len)]);
        assert_eq!(file.newest().unwrap().unwrap().line.len(), len);
    }
}
