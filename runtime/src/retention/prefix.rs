//! The beginning of a log, as if it ended there: what is to be dropped is verified as a log of its own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::log::LogPosition;
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::storage::{Storage, StorageFile};

/// A ledger's files up to the end of a segment and of the checkpoint that ends there. It cannot be written.
pub(super) struct Prefix {
    pub(super) storage: Arc<dyn Storage>,
    /// The end of a segment.
    pub(super) end: LogPosition,
    /// The length of the file of checkpoints up to the one that ends there.
    pub(super) checkpoint_bytes: u64,
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a part of a log that is looked at cannot be written")
}

impl Storage for Prefix {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        if create {
            return Err(read_only());
        }
        let len = if name == CHECKPOINTS_NAME { self.checkpoint_bytes } else { u64::MAX };
        Ok(Box::new(PrefixFile { file: self.storage.open(name, false)?, len }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = self.storage.list(folder)?;
        let segment = |name: &str| name.split('.').next().and_then(|number| number.parse::<u32>().ok());
        names.retain(|name| segment(name).is_some_and(|segment| segment <= self.end.segment));
        Ok(names)
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(read_only())
    }

    fn replace(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_folder(&self, _folder: &str) -> io::Result<()> {
        Err(read_only())
    }

    fn path(&self) -> Option<&Path> {
        self.storage.path()
    }
}

struct PrefixFile {
    file: Box<dyn StorageFile>,
    len: u64,
}

impl StorageFile for PrefixFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len()?.min(self.len))
    }

    fn write_all_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        self.file.read_at(offset, &mut buffer[..want])
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(read_only())
    }
}
