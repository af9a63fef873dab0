//! What an operator says of the files.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where and how an [`NdjsonSink`](super::NdjsonSink) writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NdjsonSettings {
    /// The directory; a folder for each ledger is made in it. Several ledgers may share it, also of several processes.
    pub directory: PathBuf,
    /// A file ends before a line that would make it longer. Defaults to 64 MiB; at least 64 KiB. A single line may be
    /// longer.
    pub rotate_bytes: u64,
    /// A file ends when it is written to this long after it was begun. Defaults to 24 hours; at least 1 second.
    pub rotate_age: Duration,
    /// How many files of a ledger are kept, the newest among them; older ones are removed. Defaults to `None`: all.
    pub keep_files: Option<u32>,
    /// Whether files that have ended are compressed. Defaults to false.
    #[cfg(feature = "ndjson-zstd")]
    pub compress: bool,
}

impl NdjsonSettings {
    /// Files in a directory, which is made when it is not there.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_owned(),
            rotate_bytes: 64 << 20,
            rotate_age: Duration::from_secs(24 * 60 * 60),
            keep_files: None,
            #[cfg(feature = "ndjson-zstd")]
            compress: false,
        }
    }

    /// At how many bytes a file ends. Defaults to 64 MiB; at least 64 KiB.
    #[must_use]
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes.max(64 << 10);
        self
    }

    /// At which age a file ends. Defaults to 24 hours; at least 1 second.
    #[must_use]
    pub fn rotate_age(mut self, age: Duration) -> Self {
        self.rotate_age = age.max(Duration::from_secs(1));
        self
    }

    /// How many files of a ledger are kept; at least 1. Defaults to all.
    #[must_use]
    pub fn keep_files(mut self, files: u32) -> Self {
        self.keep_files = Some(files.max(1));
        self
    }

    /// Whether files that have ended are compressed with zstd. Defaults to false.
    #[cfg(feature = "ndjson-zstd")]
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}
