//! What can go wrong with a ledger as a whole.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::log::LogPosition;
use crate::log::signer::KeyError;

/// A ledger could not be opened. Nothing was changed on the disk unless the variant says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A file operation failed.
    Io {
        /// What was attempted, on what.
        attempted: String,
        /// The system's error.
        source: io::Error,
    },
    /// The journal's file system cannot hold a mapped journal.
    UnfitFileSystem {
        /// Where the journal would lie.
        path: PathBuf,
        /// The file system's name, or what it refused.
        file_system: String,
    },
    /// The journal's file could not be allocated or mapped.
    Journal {
        /// The file.
        path: PathBuf,
        /// How large it has to be.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// `ledger.json` is missing, damaged or of a later version.
    Identity {
        /// The ledger's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The signing key could not be read or made.
    Key(KeyError),
    /// The log is shorter than its newest checkpoint, or than its journal saw it durable: no crash does
    /// that. Open it with [`accept_loss`](crate::LedgerOptions::accept_loss) to go on with what is left.
    LogShorterThanCheckpoint {
        /// The number of the newest checkpoint.
        checkpoint: u64,
        /// Where the log must reach.
        expected: LogPosition,
        /// Where it ends.
        found: LogPosition,
    },
    /// Bytes that were durable do not hold together. Nothing was cut; the ledger can be read and verified.
    Corrupt {
        /// Where the first bad byte's line begins.
        position: LogPosition,
        /// What is wrong there.
        reason: String,
    },
    /// The newest checkpoint cannot be read, or was not signed by a key of this ledger.
    Checkpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// The newest cut, with which the log begins, does not hold, or what it names is not there.
    Cut {
        /// What is wrong with it.
        reason: String,
    },
    /// Another ledger is installed in this process.
    Install(InstallError),
    /// The configuration cannot be used.
    #[cfg(feature = "config")]
    Config(crate::config::ConfigError),
}

impl OpenError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "ledger.io",
            Self::UnfitFileSystem { .. } => "ledger.unfit_file_system",
            Self::Journal { .. } => "ledger.journal",
            Self::Identity { .. } => "ledger.identity",
            Self::Key(_) => "ledger.key",
            Self::LogShorterThanCheckpoint { .. } => "ledger.log_shorter_than_checkpoint",
            Self::Corrupt { .. } => "ledger.corrupt",
            Self::Checkpoint { .. } => "ledger.checkpoint",
            Self::Cut { .. } => "ledger.cut",
            Self::Install(_) => "ledger.already_installed",
            #[cfg(feature = "config")]
            Self::Config(_) => "ledger.config",
        }
    }

    /// Whether no disk is to be had for a ledger here, as against one that is damaged.
    pub(crate) fn is_about_the_disk(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::UnfitFileSystem { .. } | Self::Journal { .. })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { attempted, source } => {
                write!(f, "{attempted}")?;
                match source.kind() {
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => f.write_str(
                        ": the ledger's root must be writable; choose one with `Ledger::options().root(..)`",
                    ),
                    io::ErrorKind::StorageFull => {
                        f.write_str(": the disk is full; free space or choose another root")
                    }
                    _ => Ok(()),
                }
            }
            Self::UnfitFileSystem { path, file_system } => write!(
                f,
                "a journal cannot lie on {file_system} ({}); name a directory on ext4, xfs or tmpfs with \
                 `journal_dir`",
                path.display()
            ),
            Self::Journal { path, bytes, .. } => write!(
                f,
                "allocate the journal {} of {bytes} bytes; free space, make it smaller with `journal_bytes`, \
                 or put it elsewhere with `journal_dir`",
                path.display()
            ),
            Self::Identity { path, reason } => {
                write!(f, "read ledger.json in {}: {reason}", path.display())
            }
            Self::Key(_) => f.write_str("get the key that signs checkpoints"),
            Self::LogShorterThanCheckpoint { checkpoint, expected, found } => write!(
                f,
                "the log ends at {found}, but it was durable up to {expected} (the newest checkpoint is \
                 {checkpoint}): lines were removed; restore the directory from its replica, or go on without \
                 them with `accept_loss`"
            ),
            Self::Corrupt { position, reason } => write!(
                f,
                "the log is damaged in {position}: {reason}; nothing was cut; run verify, and restore the \
                 directory from its replica"
            ),
            Self::Checkpoint { reason } => write!(
                f,
                "the newest checkpoint does not hold: {reason}; run verify, and restore checkpoints.ndjson \
                 from the replica"
            ),
            Self::Cut { reason } => write!(
                f,
                "the cut with which the log begins does not hold: {reason}; run verify, and restore cuts.ndjson and \
                 the head table that it names from the replica"
            ),
            Self::Install(error) => error.fmt(f),
            #[cfg(feature = "config")]
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Journal { source, .. } => Some(source),
            Self::Key(source) => Some(source),
            _ => None,
        }
    }
}

/// Another ledger is installed in this process already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallError;

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a ledger is installed in this process already; install one, in main, and give others to \
             contexts with `ledger.context(..)`",
        )
    }
}

impl std::error::Error for InstallError {}

/// An open ledger could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerError {
    /// A write or an fsync failed; open the ledger again. What the journal holds is recovered then.
    Failed {
        /// What was attempted, on what, and why it failed.
        reason: String,
    },
    /// The disk is full. The ledger goes on by itself when there is room; until then it keeps what it can.
    NoRoom {
        /// What was attempted, on what, and what the system said.
        reason: String,
    },
    /// The ledger is closed.
    Closed,
    /// This process was forked after the ledger was opened; open one of its own.
    Forked,
}

impl LedgerError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "ledger.failed",
            Self::NoRoom { .. } => "ledger.no_room",
            Self::Closed => "ledger.closed",
            Self::Forked => "ledger.forked",
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } => {
                write!(f, "the ledger failed and must be opened again: {reason}")
            }
            Self::NoRoom { reason } => {
                write!(f, "the ledger waits for room on its disk, and goes on by itself: {reason}")
            }
            Self::Closed => f.write_str("the ledger is closed"),
            Self::Forked => {
                f.write_str("this process was forked after the ledger was opened; open one of its own")
            }
        }
    }
}

impl std::error::Error for LedgerError {}
