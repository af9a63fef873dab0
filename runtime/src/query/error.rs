//! Why events could not be read.

use std::path::PathBuf;
use std::{fmt, io};

use crate::index::IndexError;
use crate::log::LogPosition;

/// Why events could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The directory has no `ledger.json` that can be understood, or no log.
    NotALedger {
        /// The directory.
        path: PathBuf,
    },
    /// The log could not be read.
    Log {
        /// What was attempted, on what.
        attempted: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The index led to a line that is not the event it speaks of. The line is withheld and the index is
    /// built again; `verify` says whether the log was changed.
    NotTheEvent {
        /// Where the event should be.
        position: LogPosition,
        /// Its scope.
        scope: String,
        /// Its sequence number.
        seq: u64,
    },
    /// `$system` was asked for by its tenant and env. Read it with [`Ledger::operator`](crate::Ledger::operator).
    OperatorOnly,
    /// A line is not an event of a form that this version reads. Reading can go on behind it.
    Unreadable {
        /// Where the line lies.
        position: LogPosition,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ReadError {
    pub(super) fn log(attempted: &str, position: LogPosition, source: io::Error) -> Self {
        Self::Log { attempted: format!("{attempted} {position}"), source }
    }
}

impl From<IndexError> for ReadError {
    /// Only what the index says of the log: its own failures are no failures of a read.
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Log { attempted, source } => Self::Log { attempted, source },
            other => Self::Log { attempted: "read the log".into(), source: io::Error::other(other) },
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALedger { path } => write!(
                f,
                "read {}: it holds no ledger; name a ledger's own directory, `<root>/<ledger id>`",
                path.display()
            ),
            Self::Log { attempted, .. } => f.write_str(attempted),
            Self::NotTheEvent { position, scope, seq } => {
                write!(f, "read event {seq} of {scope}: {position} holds something else; run `verify`")
            }
            Self::OperatorOnly => f.write_str(
                "read the scope `$system`: it is for the operator; use `ledger.operator(reason).system()`",
            ),
            Self::Unreadable { position, .. } => write!(f, "read the event at {position}: run `verify`"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log { source, .. } => Some(source),
            Self::Unreadable { source, .. } => Some(source),
            Self::NotALedger { .. } | Self::NotTheEvent { .. } | Self::OperatorOnly => None,
        }
    }
}
