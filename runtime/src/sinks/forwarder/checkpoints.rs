//! Follows `checkpoints.ndjson` line by line.

use std::io;
use std::sync::Arc;

use super::follow::ReadFailed;
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::storage::{Storage, StorageFile};

const CHUNK_BYTES: usize = 64 * 1024;

/// Reads lines up to an end that moves.
pub(super) struct CheckpointTail {
    storage: Arc<dyn Storage>,
    file: Option<Box<dyn StorageFile>>,
    /// Where the next line begins.
    next: u64,
    /// Bytes of the file from `next` on.
    buffer: Vec<u8>,
}

impl CheckpointTail {
    pub(super) fn new(storage: Arc<dyn Storage>, next: u64) -> Self {
        Self { storage, file: None, next, buffer: Vec::new() }
    }

    /// The next line, without its newline, and where the one after it begins; `None` at the end.
    pub(super) fn next(&mut self, end: u64) -> Result<Option<(Vec<u8>, u64)>, ReadFailed> {
        let result = self.try_next(end);
        if result.is_err() {
            self.file = None;
            self.buffer.clear();
        }
        result.map_err(|source| ReadFailed::new(format!("read {CHECKPOINTS_NAME}"), source))
    }

    fn try_next(&mut self, end: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let len = searched + at;
                let line = self.buffer[..len].to_vec();
                self.buffer.drain(..=len);
                self.next += len as u64 + 1;
                return Ok(Some((line, self.next)));
            }
            searched = self.buffer.len();
            let behind = self.next + searched as u64;
            let left = usize::try_from(end.saturating_sub(behind)).unwrap_or(usize::MAX);
            if left == 0 {
                return Ok(None);
            }
            let file = match &self.file {
                Some(file) => file,
                None => self.file.insert(self.storage.open(CHECKPOINTS_NAME, false)?),
            };
            self.buffer.resize(searched + left.min(CHUNK_BYTES.max(searched)), 0);
            let read = file.read_at(behind, &mut self.buffer[searched..])?;
            self.buffer.truncate(searched + read);
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;

    #[test]
    fn lines_come_as_the_end_moves_and_only_whole_ones() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let long = "x".repeat(3 * CHUNK_BYTES);
        let text = format!("one\n{long}\nthree\n");
        storage.replace(CHECKPOINTS_NAME, text.as_bytes()).unwrap();
        let mut tail = CheckpointTail::new(Arc::clone(&storage), 0);
        assert!(tail.next(0).unwrap().is_none());
        assert_eq!(tail.next(4).unwrap().unwrap(), (b"one".to_vec(), 4));
        assert!(tail.next(4).unwrap().is_none());
        let end = text.len() as u64;
        assert_eq!(tail.next(end).unwrap().unwrap().0.len(), long.len());
        assert_eq!(tail.next(end).unwrap().unwrap(), (b"three".to_vec(), end));
        assert!(tail.next(end).unwrap().is_none());
        assert!(tail.next(end + 1).is_err());
        let mut behind = CheckpointTail::new(storage, end - 6);
        assert_eq!(behind.next(end).unwrap().unwrap().0, b"three");
    }
}
