//! Why a ledger could not be restored.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::ids::LedgerId;
use crate::sources::SourceError;

/// A ledger could not be restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The source cannot be read, or contradicts itself or what was restored from it before.
    Source(SourceError),
    /// The directory cannot be used.
    Directory {
        /// What was attempted.
        attempted: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The directory holds something else; nothing there was touched.
    NotRestored {
        /// The directory.
        path: PathBuf,
        /// What it holds.
        holds: &'static str,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Directory { attempted, .. } => write!(f, "restore a ledger: {attempted}"),
            Self::NotRestored { path, holds } => write!(
                f,
                "restore a ledger in {}: it holds {holds}; give restored ledgers a directory of their own",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) => std::error::Error::source(error),
            Self::Directory { source, .. } => Some(source),
            Self::NotRestored { .. } => None,
        }
    }
}

/// Why a piece was not taken.
pub(super) enum Failed {
    Io(String, io::Error),
    Corrupt(String),
}

impl Failed {
    pub(super) fn into_error(self, ledger_id: LedgerId) -> RestoreError {
        match self {
            Self::Io(attempted, source) => RestoreError::Directory { attempted, source },
            Self::Corrupt(found) => {
                RestoreError::Source(SourceError::corrupt(format!("restore ledger {ledger_id}"), found))
            }
        }
    }
}

pub(super) fn io_failed<T>(attempted: &str, name: &str, result: io::Result<T>) -> Result<T, Failed> {
    result.map_err(|error| Failed::Io(format!("{attempted} {name}"), error))
}
