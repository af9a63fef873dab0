//! What can go wrong between an engine and its database.

use std::path::PathBuf;

use dataset_events::ErrorCode;
use thiserror::Error;

/// The engines' database could not be opened, read or written.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum NexusError {
    /// The database file could not be opened or set up.
    #[error("open the engines' database at {}", path.display())]
    #[code("nexus.open_failed", status = 500)]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The folder of the database could not be made.
    #[error("make the folder {} for the engines' database", path.display())]
    #[code("nexus.folder_failed", status = 500)]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file belongs to a later version of the engines.
    #[error(
        "the engines' database at {} has schema version {found}, but this program knows {known}: use a later \
         build, or another file",
        path.display()
    )]
    #[code("nexus.newer_schema", status = 500)]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A statement failed.
    #[error("{action} in the engines' database")]
    #[code("nexus.statement_failed", status = 500)]
    Statement {
        /// What was attempted.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Another process holds the file, or another connection the table.
    #[error("{action} in the engines' database, which is busy: try again")]
    #[code("nexus.busy", status = 503, retryable)]
    Busy {
        /// What was attempted.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A statement does not name both parts of the scope; it was not run.
    #[error("{action}: the statement does not name `:tenant_id` and `:env`, so it was not run")]
    #[code("nexus.unscoped", status = 500)]
    Unscoped {
        /// What was attempted.
        action: &'static str,
    },
    /// A stored value is not what the engine wrote.
    #[error(
        "{action}: column `{column}` holds a value that no engine writes; restore the file from a backup"
    )]
    #[code("nexus.corrupt", status = 500)]
    Corrupt {
        /// What was attempted.
        action: &'static str,
        /// The column.
        column: &'static str,
    },
    /// No random bytes for a new id.
    #[error("make a new id: the operating system gives no random bytes")]
    #[code("nexus.no_entropy", status = 500)]
    Entropy(#[source] getrandom::Error),
    /// The runtime is shutting down and took no more work.
    #[error("{action}: the runtime is shutting down")]
    #[code("nexus.shutting_down", status = 503, retryable)]
    ShuttingDown {
        /// What was attempted.
        action: &'static str,
    },
}

impl NexusError {
    /// The error of a statement that SQLite refused.
    pub(crate) fn statement(action: &'static str, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        match source.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy { action, source },
            _ => Self::Statement { action, source },
        }
    }
}
