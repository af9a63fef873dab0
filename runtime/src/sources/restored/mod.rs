//! Ledgers put together again from what a source holds.

mod cuts;
mod error;
mod ledger;
mod marker;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::error::RestoreError;
pub use self::ledger::RestoredLedger;
pub(crate) use self::ledger::restore;
pub use self::marker::LogGap;
pub(crate) use self::view::Elsewhere;
use self::view::Looks;
use super::Source;
use crate::ids::LedgerId;
use crate::journal::lock::LockFile;
use crate::log::storage::DiskStorage;

/// How long another process is waited for that restores the same ledger.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Directories that hold the ledgers of a source, as the ledgers themselves would have them.
///
/// Each ledger is a directory below the one that is given: `ledger.json`, `log/` with its head tables,
/// `checkpoints.ndjson`. Everything that reads a ledger reads it: [`verify`](crate::verify),
/// [`LedgerReader`](crate::LedgerReader), and as part of a set
/// [`LedgerSetOptions::restored`](crate::LedgerSetOptions::restored). Restoring again costs what is new.
///
/// It is a cache: remove it, and it is restored anew. It is not a root, and nothing else may write there. A directory
/// that holds anything but restored ledgers is refused. Several processes may share one.
///
/// Where the source lacks bytes in the middle of the log, the restored log ends before them and the gap is named;
/// checkpoints are kept, so that `verify` finds it too. Two different bytes for one place are an error.
///
/// Where the source has the log from a cut on, `cuts.ndjson` is restored up to that cut, and `verify` begins there. Where
/// it holds what the ledger has dropped, the whole log is restored and no cut is needed.
#[derive(Clone)]
pub struct Restored {
    directory: PathBuf,
    source: Arc<dyn Source>,
    refresh_every: Duration,
    looks: Arc<Looks>,
}

/// What [`Restored::refresh`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RestoredLedgers {
    /// The ledgers that are restored, by id.
    pub ledgers: Vec<RestoredLedger>,
    /// Those that could not be, and why.
    pub failed: Vec<(LedgerId, RestoreError)>,
}

impl Restored {
    /// The default of [`refresh_every`](Self::refresh_every): 10 seconds.
    pub const REFRESH_EVERY: Duration = Duration::from_secs(10);

    /// Restores the ledgers of a source into a directory, which is made when it is not there. Nothing is read yet.
    pub fn new(directory: impl AsRef<Path>, source: impl Source + 'static) -> Self {
        Self {
            directory: directory.as_ref().to_owned(),
            source: Arc::new(source),
            refresh_every: Self::REFRESH_EVERY,
            looks: Arc::default(),
        }
    }

    /// How old what was found may be before a ledger set looks again. Defaults to 10 seconds; zero looks at each
    /// query. [`refresh`](Self::refresh) always looks.
    pub fn refresh_every(mut self, age: Duration) -> Self {
        self.refresh_every = age;
        self
    }

    /// The directory of a ledger, whether it is restored already or not.
    pub fn path(&self, ledger_id: LedgerId) -> PathBuf {
        self.directory.join(ledger_id.to_string())
    }

    /// Restores what is new of all ledgers of the source.
    ///
    /// # Errors
    ///
    /// [`RestoreError::Source`] when the ledgers of the source cannot be listed. What fails for one ledger is in
    /// [`RestoredLedgers::failed`].
    pub fn refresh(&self) -> Result<RestoredLedgers, RestoreError> {
        let mut all = RestoredLedgers::default();
        for ledger_id in self.source.ledgers().map_err(RestoreError::Source)? {
            match self.refresh_ledger(ledger_id) {
                Ok(ledger) => all.ledgers.push(ledger),
                Err(error) => all.failed.push((ledger_id, error)),
            }
        }
        Ok(all)
    }

    /// Restores what is new of one ledger.
    ///
    /// # Errors
    ///
    /// - [`RestoreError::Source`] when the source cannot be read, or holds two different bytes for one place.
    /// - [`RestoreError::Directory`] when the directory cannot be written.
    /// - [`RestoreError::NotRestored`] when it holds something else.
    pub fn refresh_ledger(&self, ledger_id: LedgerId) -> Result<RestoredLedger, RestoreError> {
        let path = self.path(ledger_id);
        let failed = |attempted: &str, source| RestoreError::Directory {
            attempted: format!("{attempted} {}", path.display()),
            source,
        };
        fs::create_dir_all(&path).map_err(|error| failed("make", error))?;
        let _alone = lock(&path).map_err(|error| failed("lock", error))?;
        restore(&DiskStorage::new(path.clone()), &*self.source, ledger_id)
    }
}

/// Keeps other processes from restoring the same ledger at the same time.
fn lock(directory: &Path) -> io::Result<LockFile> {
    let path = directory.join("restored.lock");
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        if let Some(lock) = LockFile::take(file)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process restores it"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl fmt::Debug for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored")
            .field("directory", &self.directory)
            .field("source", &self.source.kind())
            .finish_non_exhaustive()
    }
}
