//! An index of a ledger that another process may be writing, built by the reader from the log alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::ids::LedgerId;
use crate::index::{Index, IndexError, VOLATILE_ROWS, guarded, log_end};
use crate::log::LogPosition;
use crate::log::storage::Storage;

/// Follows a log whenever it is asked to. It takes no lock of the ledger and writes nothing there.
pub(crate) struct TailIndex {
    storage: Arc<dyn Storage>,
    ledger_id: LedgerId,
    /// The index's own file; without one it is in memory.
    file: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while the log is read, so that it is read once.
    advancing: Mutex<()>,
}

struct State {
    /// The only strong reference, as in the follower of an own ledger.
    index: Option<Arc<Index>>,
    /// The end of the last whole line that was seen.
    until: LogPosition,
    /// Raised whenever the log was no longer the one that had been read.
    generation: u64,
}

impl TailIndex {
    pub(crate) fn new(storage: Arc<dyn Storage>, ledger_id: LedgerId, file: Option<PathBuf>) -> Self {
        let state = State { index: None, until: LogPosition::START, generation: 0 };
        Self { storage, ledger_id, file, state: Mutex::new(state), advancing: Mutex::new(()) }
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Reads what is new. Costs what is new, unless there is no index yet.
    pub(crate) fn advance(&self) -> Result<(), IndexError> {
        let _alone = self.advancing.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, until) = {
            let state = self.lock();
            (state.index.clone(), state.until)
        };
        let end = match log_end(&self.storage)? {
            Some(end) => end,
            None if until == LogPosition::START => LogPosition::START,
            None => {
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(IndexError::Log { attempted: "list the segments of the log".into(), source });
            }
        };
        // Also where nothing came: a log that was cut may have grown to the same length.
        let went_on = index.map(|index| self.catch_up(index, end));
        let index = match went_on {
            Some(Ok(index)) => index,
            Some(Err(error @ IndexError::Log { .. })) => return Err(error),
            Some(Err(_)) => {
                // The log was cut or replaced, or the index failed: both end in reading the log anew.
                let mut state = self.lock();
                state.index = None;
                state.generation += 1;
                drop(state);
                self.open(end)?
            }
            None => self.open(end)?,
        };
        let mut state = self.lock();
        state.index = Some(index);
        state.until = end;
        Ok(())
    }

    fn open(&self, end: LogPosition) -> Result<Arc<Index>, IndexError> {
        let opened = guarded(|| Index::open_at(self.file.as_deref(), &self.storage, self.ledger_id));
        let index = match opened {
            Ok((index, _)) => index,
            // Another reader has the file, or it cannot be used here: an index in memory says the same.
            Err(_) => Index::open_at(None, &self.storage, self.ledger_id)?.0,
        };
        self.catch_up(Arc::new(index), end)
    }

    fn catch_up(&self, index: Arc<Index>, end: LogPosition) -> Result<Arc<Index>, IndexError> {
        guarded(|| {
            index.check_log(&self.storage)?;
            if index.trim(&self.storage)? {
                if let Some(file) = &self.file {
                    // When it stays, it is used as it is.
                    let _ = std::fs::remove_file(file);
                }
                return Err(IndexError::Damaged(
                    "most of the events that it spoke of were dropped".to_owned(),
                ));
            }
            if end < index.cursor() {
                return Err(IndexError::Damaged(format!("the log ends at {end}, before what was read")));
            }
            if end > index.cursor() {
                index.catch_up(&self.storage, end)?;
            }
            if self.file.is_some() && index.volatile_rows() >= VOLATILE_ROWS / 16 {
                index.persist()?;
            }
            Ok(index)
        })
    }

    /// The index, if there is one, and up to where the log was seen.
    pub(crate) fn current(&self) -> (Weak<Index>, LogPosition) {
        let state = self.lock();
        (state.index.as_ref().map_or_else(Weak::new, Arc::downgrade), state.until)
    }

    /// Raised whenever the log was no longer the one that had been read.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Has the log read anew: a reader found the index wrong.
    pub(crate) fn distrust(&self) {
        let mut state = self.lock();
        state.index = None;
        state.generation += 1;
        drop(state);
        if let Some(file) = &self.file {
            // When it stays, it is checked against the log before it is used.
            let _ = std::fs::remove_file(file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TailIndex {
    fn drop(&mut self) {
        let index = self.lock().index.take();
        if self.file.is_some()
            && let Some(index) = index
        {
            // What is not durable is read again.
            let _ = guarded(|| index.persist());
        }
    }
}
