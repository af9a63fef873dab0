//! What can go wrong between the log and its index.

use std::{fmt, io};

/// Why the index could not be opened, written or read. Never a reason to stop the ledger.
#[derive(Debug)]
pub(crate) enum IndexError {
    /// The log could not be read; the index itself is in order.
    Log { attempted: String, source: io::Error },
    /// The index's file failed or is damaged; it must be rebuilt.
    Store(Box<redb::Error>),
    /// What the index holds cannot be right; it must be rebuilt.
    Damaged(String),
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { attempted, source } => write!(f, "{attempted}: {source}"),
            Self::Store(source) => write!(f, "index.redb: {source}"),
            Self::Damaged(what) => write!(f, "index.redb is damaged: {what}"),
        }
    }
}

impl std::error::Error for IndexError {}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for IndexError {
            fn from(error: redb::$error) -> Self {
                Self::Store(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError, SetDurabilityError);

/// Runs what reads pages that may be damaged: the store panics on some of those, which is damage too.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(IndexError::Damaged(format!("reading it panicked: {text}")))
        }
    }
}
