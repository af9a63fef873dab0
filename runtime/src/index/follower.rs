//! The thread that keeps the index behind the log, and what readers ask of it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{INDEX_NAME, Index, IndexError, Rebuilt, VOLATILE_ROWS, guarded};
use crate::ids::LedgerId;
use crate::ledger::Ledger;
use crate::log::LogPosition;
use crate::log::storage::Storage;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How long rows may stay volatile, unless there are too many of them before.
const PERSIST_AFTER: Duration = Duration::from_secs(5);

/// How the index of a ledger is.
///
/// A failing index stops nothing: reads scan the log instead, which is slower and says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexHealth {
    /// Whether the index is in order; it may still be behind.
    pub is_ok: bool,
    /// What is wrong, while something is. It is tried again after 50 ms, later every 30 s.
    pub error: Option<String>,
    /// Up to where events can be found by the index.
    pub indexed: LogPosition,
    /// Up to where the log is durable.
    pub durable: LogPosition,
    /// How often an index was deleted and built again since the ledger was opened.
    pub rebuilds: u64,
    /// Why the last of them was.
    pub rebuild_reason: Option<String>,
}

impl Ledger {
    /// How the index is. It says nothing about the log: that is what [`health`](Self::health) is for.
    pub fn index_health(&self) -> IndexHealth {
        self.owner.index.health()
    }
}

/// How waiting for the index ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexWait {
    Reached,
    /// The deadline came first.
    Behind,
    /// The index is failing; waiting longer may not help.
    Failing(String),
}

/// Follows the durable log on a thread of its own.
pub(crate) struct IndexFollower {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The process that has the thread.
    process: u32,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes those who wait for the index.
    progress: Condvar,
}

struct State {
    /// The only strong reference, so that a file that is replaced or closed is not kept open by readers.
    index: Option<Arc<Index>>,
    durable: LogPosition,
    indexed: LogPosition,
    error: Option<String>,
    rebuilds: u64,
    rebuild_reason: Option<String>,
    /// The log was cut since the rows of dropped events were last removed.
    is_trim_due: bool,
    /// Set by a reader that found the index wrong.
    distrusted: Option<String>,
    is_closing: bool,
}

impl fmt::Debug for IndexFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IndexFollower").field(&self.health()).finish()
    }
}

impl IndexFollower {
    /// Starts following. Opening and checking the index happens on the thread, so this never waits.
    pub(crate) fn start(storage: Arc<dyn Storage>, ledger_id: LedgerId, durable: LogPosition) -> Self {
        Self::start_with(storage, ledger_id, durable, PERSIST_AFTER)
    }

    /// As [`start`](Self::start), with another time after which rows are made durable.
    pub(crate) fn start_with(
        storage: Arc<dyn Storage>,
        ledger_id: LedgerId,
        durable: LogPosition,
        persist_after: Duration,
    ) -> Self {
        let shared = Arc::new(Shared::new(durable));
        let worker = Worker {
            shared: shared.clone(),
            storage,
            ledger_id,
            retry_after: FIRST_RETRY,
            persist_after,
            persist_at: None,
        };
        let spawned = std::thread::Builder::new().name("dataset-events-index".into()).spawn(|| worker.run());
        let thread = match spawned {
            Ok(thread) => Some(thread),
            Err(error) => {
                shared.lock().error = Some(format!("start the thread of the index: {error}"));
                None
            }
        };
        Self { shared, thread: Mutex::new(thread), process: std::process::id() }
    }

    /// A follower that does not follow.
    #[cfg(test)]
    pub(crate) fn stopped(index: Arc<Index>, durable: LogPosition) -> Self {
        let shared = Shared::new(durable);
        let mut state = shared.lock();
        state.indexed = index.cursor();
        state.index = Some(index);
        drop(state);
        Self { shared: Arc::new(shared), thread: Mutex::new(None), process: std::process::id() }
    }

    /// Tells that the log is durable up to `position`.
    pub(crate) fn advance(&self, position: LogPosition) {
        let mut state = self.shared.lock();
        if position > state.durable {
            state.durable = position;
            drop(state);
            self.shared.work.notify_one();
        }
    }

    /// Tells that segments were dropped: rows of their events go.
    pub(crate) fn trim(&self) {
        self.shared.lock().is_trim_due = true;
        self.shared.work.notify_one();
    }

    /// Waits until the index holds everything before `position`; without a deadline, until it fails.
    pub(crate) fn wait_for(&self, position: LogPosition, deadline: Option<Instant>) -> IndexWait {
        let mut state = self.shared.lock();
        loop {
            if state.indexed >= position {
                return IndexWait::Reached;
            }
            if let Some(error) = &state.error {
                return IndexWait::Failing(error.clone());
            }
            if state.is_closing {
                return IndexWait::Behind;
            }
            state = match deadline {
                None => self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return IndexWait::Behind;
                    }
                    self.shared.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The index as it is now, if it can be used, and up to where the log is durable.
    pub(crate) fn current(&self) -> (Weak<Index>, LogPosition) {
        let state = self.shared.lock();
        (state.index.as_ref().map_or_else(Weak::new, Arc::downgrade), state.durable)
    }

    /// Writes what the index holds in memory to its file.
    pub(crate) fn persist_now(&self) -> Result<(), IndexError> {
        let index = self.shared.lock().index.clone();
        index.map_or(Ok(()), |index| guarded(|| index.persist()))
    }

    /// Has the index built again: a reader found that it is wrong.
    pub(crate) fn distrust(&self, reason: String) {
        let mut state = self.shared.lock();
        state.index = None;
        state.indexed = LogPosition::START;
        state.distrusted = Some(reason);
        drop(state);
        self.shared.work.notify_one();
    }

    pub(crate) fn health(&self) -> IndexHealth {
        let state = self.shared.lock();
        IndexHealth {
            is_ok: state.error.is_none(),
            error: state.error.clone(),
            indexed: state.indexed,
            durable: state.durable,
            rebuilds: state.rebuilds,
            rebuild_reason: state.rebuild_reason.clone(),
        }
    }

    /// Up to where the index has read, and up to where the log is durable.
    pub(crate) fn lag(&self) -> (LogPosition, LogPosition) {
        let state = self.shared.lock();
        (state.indexed, state.durable)
    }

    /// Ends the thread after the batch at hand and closes the file. Reads go on by scanning.
    pub(crate) fn close(&self) {
        self.shared.lock().is_closing = true;
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has been printed by its hook; the log is untouched by it.
            let _ = thread.join();
        }
    }
}

impl Drop for IndexFollower {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            self.close();
        } else {
            // A forked child has neither the thread nor, perhaps, a lock that can be had.
            let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(thread.take());
        }
    }
}

impl Shared {
    fn new(durable: LogPosition) -> Self {
        Self {
            state: Mutex::new(State {
                index: None,
                durable,
                indexed: LogPosition::START,
                error: None,
                rebuilds: 0,
                rebuild_reason: None,
                is_trim_due: false,
                distrusted: None,
                is_closing: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    ledger_id: LedgerId,
    retry_after: Duration,
    persist_after: Duration,
    /// When volatile rows must be made durable; `None` while there are none.
    persist_at: Option<Instant>,
}

enum Task {
    Open { distrusted: Option<String> },
    Advance { index: Arc<Index>, until: LogPosition },
    Persist { index: Arc<Index> },
    Trim { index: Arc<Index> },
    Close,
}

impl Worker {
    fn run(mut self) {
        loop {
            let done = match self.next_task() {
                Task::Open { distrusted } => self.open(distrusted),
                Task::Advance { index, until } => guarded(|| self.advance(&index, until)),
                Task::Persist { index } => guarded(|| self.persist(&index)),
                Task::Trim { index } => guarded(|| self.trim(&index)),
                Task::Close => break,
            };
            match done {
                Ok(()) if self.shared.lock().error.is_none() => self.retry_after = FIRST_RETRY,
                Ok(()) => {}
                Err(error) => self.fail(&error),
            }
        }
        let index = self.shared.lock().index.take();
        if let Some(index) = index
            && let Err(error) = guarded(|| index.persist())
        {
            self.shared.lock().error = Some(error.to_string());
        }
    }

    fn next_task(&self) -> Task {
        let mut state = self.shared.lock();
        loop {
            if state.is_closing {
                return Task::Close;
            }
            let Some(index) = state.index.clone() else {
                return Task::Open { distrusted: state.distrusted.take() };
            };
            if std::mem::take(&mut state.is_trim_due) {
                return Task::Trim { index };
            }
            if self.persist_at.is_some_and(|at| at <= Instant::now()) {
                return Task::Persist { index };
            }
            if state.durable > state.indexed {
                return Task::Advance { index, until: state.durable };
            }
            state = match self.persist_at {
                None => self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    self.shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Removes the rows of dropped events; an index of little else is built again.
    fn trim(&self, index: &Index) -> Result<(), IndexError> {
        let is_worn_out = index.trim(&self.storage)?;
        let mut state = self.shared.lock();
        if is_worn_out {
            state.index = None;
            state.indexed = LogPosition::START;
            state.distrusted = Some("most of the events that it spoke of were dropped".to_owned());
        } else {
            state.indexed = state.indexed.max(index.cursor());
        }
        Ok(())
    }

    fn persist(&mut self, index: &Index) -> Result<(), IndexError> {
        self.persist_at = None;
        index.persist()
    }

    fn open(&self, distrusted: Option<String>) -> Result<(), IndexError> {
        let opened = self.open_file(distrusted.is_some());
        let mut state = self.shared.lock();
        let (index, rebuilt) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                state.distrusted = distrusted;
                return Err(error);
            }
        };
        let reason = match (distrusted, rebuilt) {
            (Some(reason), _) | (None, Some(Rebuilt::Replaced(reason))) => Some(reason),
            (None, Some(Rebuilt::Missing) | None) => None,
        };
        if reason.is_some() {
            state.rebuilds += 1;
            state.rebuild_reason = reason;
        }
        state.indexed = index.cursor();
        state.is_trim_due = true;
        // Else it is in order once it could read the log.
        if state.indexed >= state.durable {
            state.error = None;
        }
        state.index = Some(Arc::new(index));
        drop(state);
        self.shared.progress.notify_all();
        Ok(())
    }

    fn open_file(&self, is_distrusted: bool) -> Result<(Index, Option<Rebuilt>), IndexError> {
        if is_distrusted {
            self.storage.remove(INDEX_NAME).map_err(|source| IndexError::Log {
                attempted: format!("remove {INDEX_NAME} to build it again"),
                source,
            })?;
        }
        guarded(|| Index::open(&self.storage, self.ledger_id))
    }

    fn advance(&mut self, index: &Arc<Index>, until: LogPosition) -> Result<(), IndexError> {
        index.advance(&self.storage, until)?;
        self.persist_at.get_or_insert_with(|| Instant::now() + self.persist_after);
        if index.volatile_rows() >= VOLATILE_ROWS {
            self.persist(index)?;
        }
        let indexed = index.cursor();
        let mut state = self.shared.lock();
        if state.index.as_ref().is_some_and(|current| Arc::ptr_eq(current, index)) {
            state.indexed = indexed;
            state.error = None;
        }
        drop(state);
        self.shared.progress.notify_all();
        Ok(())
    }

    /// Says what failed, gives up an index that cannot be trusted, and waits before the next attempt.
    fn fail(&mut self, error: &IndexError) {
        let mut state = self.shared.lock();
        state.error = Some(error.to_string());
        if !matches!(error, IndexError::Log { .. }) && state.index.take().is_some() {
            state.indexed = LogPosition::START;
            state.distrusted = Some(error.to_string());
        }
        self.shared.progress.notify_all();
        let until = Instant::now() + self.retry_after;
        self.retry_after = (self.retry_after * 2).min(LAST_RETRY);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_closing {
                return;
            }
            let waited = self.shared.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
