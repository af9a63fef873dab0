//! Building an index again by hand, for a ledger that no process holds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{INDEX_NAME, Index, IndexError, guarded};
use crate::ids::LedgerId;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::storage::{DiskStorage, Storage};
use crate::log::{LogPosition, segment_name};

/// What [`rebuild_index`] did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct IndexReport {
    /// Events that are in the index.
    pub events: u64,
    /// Lines that are no event or attempt of this ledger; `verify` says what they are.
    pub skipped_lines: u64,
    /// Up to where the log was read.
    pub indexed: LogPosition,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why an index could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum RebuildError {
    /// The directory has no `ledger.json` that can be understood, or no log.
    NotALedger {
        /// The directory.
        path: PathBuf,
    },
    /// A process has the index open. It builds its index again by itself when it must.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The log could not be read, or the index not be written.
    Failed {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALedger { path } => {
                write!(
                    f,
                    "build the index of {}: expected a ledger's directory, `<root>/<ledger id>`",
                    path.display()
                )
            }
            Self::InUse { path } => {
                write!(f, "build the index of {}: a process has it open; close that first", path.display())
            }
            Self::Failed { path, .. } => write!(f, "build the index of {}", path.display()),
        }
    }
}

impl std::error::Error for RebuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(&**source),
            Self::NotALedger { .. } | Self::InUse { .. } => None,
        }
    }
}

/// Deletes the index of a ledger's directory and builds it again from the log.
///
/// # Errors
///
/// - [`RebuildError::NotALedger`] when the directory holds no log.
/// - [`RebuildError::InUse`] when a process has the ledger open.
/// - [`RebuildError::Failed`] when the log cannot be read or the index not be written.
pub fn rebuild_index(directory: impl AsRef<Path>) -> Result<IndexReport, RebuildError> {
    let path = directory.as_ref().to_owned();
    let storage: Arc<dyn Storage> = Arc::new(DiskStorage::new(path.clone()));
    let ledger_id = match storage.read(IDENTITY_NAME).map(|bytes| LedgerIdentity::parse(&bytes?).ok()) {
        Ok(Some(identity)) => identity.ledger_id,
        Ok(None) => return Err(RebuildError::NotALedger { path }),
        Err(source) => return Err(RebuildError::Failed { path, source: Box::new(source) }),
    };
    let began = Instant::now();
    let built = log_end(&storage).and_then(|until| match until {
        Some(until) => build(&storage, ledger_id, until).map(|meta| Some((meta, until))),
        None => Ok(None),
    });
    match built {
        Ok(Some((meta, indexed))) => Ok(IndexReport {
            events: meta.events,
            skipped_lines: meta.skipped_lines,
            indexed,
            elapsed: began.elapsed(),
        }),
        Ok(None) => Err(RebuildError::NotALedger { path }),
        Err(IndexError::Store(error)) if matches!(*error, redb::Error::DatabaseAlreadyOpen) => {
            Err(RebuildError::InUse { path })
        }
        Err(error) => Err(RebuildError::Failed { path, source: Box::new(error) }),
    }
}

fn build(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    until: LogPosition,
) -> Result<super::Meta, IndexError> {
    // Opening shows whether a process holds it; only then may the file go.
    drop(guarded(|| Index::open(storage, ledger_id))?);
    storage.remove(INDEX_NAME).map_err(|source| IndexError::Log {
        attempted: format!("remove {INDEX_NAME} to build it again"),
        source,
    })?;
    guarded(|| {
        let (index, _) = Index::open(storage, ledger_id)?;
        index.catch_up(storage, until)?;
        index.persist()?;
        Ok(index.snapshot()?.meta)
    })
}

/// The end of the last whole line of a log that another process may be writing; `None` without a log.
pub(crate) fn log_end(storage: &Arc<dyn Storage>) -> Result<Option<LogPosition>, IndexError> {
    const CHUNK_BYTES: u64 = 64 * 1024;
    let failed = |attempted: &str, source| IndexError::Log { attempted: attempted.to_owned(), source };
    let names = storage.list("log").map_err(|error| failed("list the segments of the log", error))?;
    let segments = names.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse::<u32>().ok());
    let Some(segment) = segments.max() else { return Ok(None) };
    let name = segment_name(segment);
    let read = |offset: u64, buffer: &mut [u8]| storage.open(&name, false)?.read_at(offset, buffer);
    let mut end =
        storage.open(&name, false).and_then(|file| file.len()).map_err(|error| failed(&name, error))?;
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES);
        let mut chunk = vec![0; (end - start) as usize];
        let len = read(start, &mut chunk).map_err(|error| failed(&name, error))?;
        match chunk[..len].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => return Ok(Some(LogPosition { segment, offset: start + at as u64 + 1 })),
            None => end = start,
        }
    }
    Ok(Some(LogPosition { segment, offset: 0 }))
}
