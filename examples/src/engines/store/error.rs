//! What can go wrong between an engine and its database.

use std::path::PathBuf;

use thiserror::Error;

/// The engines' database could not be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database file could not be opened or set up.
    #[error("open the engines' database at {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The folder of the database could not be made.
    #[error("make the folder {} for the engines' database", path.display())]
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
    Statement {
        /// What was attempted.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A statement does not name both parts of the scope; it was not run.
    #[error("{action}: the statement does not name `:tenant_id` and `:env`, so it was not run")]
    Unscoped {
        /// What was attempted.
        action: &'static str,
    },
    /// A stored value is not what the engine wrote.
    #[error(
        "{action}: column `{column}` holds a value that no engine writes; restore the file from a backup"
    )]
    Corrupt {
        /// What was attempted.
        action: &'static str,
        /// The column.
        column: &'static str,
    },
    /// No random bytes for a new id.
    #[error("make a new id: the operating system gives no random bytes")]
    Entropy(#[source] getrandom::Error),
    /// The runtime is shutting down and took no more work.
    #[error("{action}: the runtime is shutting down")]
    ShuttingDown {
        /// What was attempted.
        action: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later: the database was busy.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Statement { source: rusqlite::Error::SqliteFailure(failure, _), .. }
                if matches!(
                    failure.code,
                    rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked
                )
        )
    }
}
