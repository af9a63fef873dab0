//! The ledger: one directory, one writing process.

#[cfg(test)]
mod accept_loss_tests;
mod error;
mod full_disk;
mod log_writer;
mod open;
mod options;
#[cfg(test)]
mod power_cut_tests;
pub(crate) mod recover;
mod root;
mod sequencer;
pub(crate) mod shared;
mod stats;
pub(crate) mod waiters;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use self::error::{InstallError, LedgerError, OpenError};
pub(crate) use self::log_writer::DurableEnd;
pub(crate) use self::options::{Fixed, Memory};
pub use self::options::{LedgerOptions, OnUnavailable};
#[cfg(feature = "metrics")]
pub(crate) use self::sequencer::Group;
pub(crate) use self::shared::{CutWait, LedgerShared, OwnEvent, Refused, lock};
pub use self::stats::LedgerStats;
pub(crate) use self::stats::bytes_between;
use crate::context::ContextBuilder;
use crate::ids::{Env, InvalidId, LedgerId, RequestId, SpanId, TenantId, TraceId};
use crate::index::{IndexFollower, IndexWait};
use crate::journal::lock::LockFile;
use crate::log::storage::Storage;
use crate::retention::{Retention, RetentionThread};
use crate::sinks::SinkBehind;
use crate::sinks::forwarder::Forwarders;

/// An open ledger. Clones share it; the last one to go flushes and closes it.
///
/// One process writes a ledger; several processes that open the same root each get a ledger of their own.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) owner: Arc<Owner>,
}

/// What ends with the ledger.
pub(crate) struct Owner {
    pub(crate) shared: Arc<LedgerShared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) index: Arc<IndexFollower>,
    pub(crate) retention: Arc<Retention>,
    /// Drops old segments; absent when everything is kept.
    retaining: Option<RetentionThread>,
    pub(crate) sinks: Arc<Forwarders>,
    /// What of a configuration is in effect; `None` when it was opened without one.
    #[cfg(feature = "config")]
    pub(crate) configured: Mutex<Option<crate::config::InEffect>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held for its lock on the ledger's directory; given back at close.
    lock_file: Mutex<Option<LockFile>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Owner {
    /// Flushes, ends the threads and gives the directory back. Later calls are counted, not recorded.
    fn close(&self) {
        if !self.shared.arena.is_live() {
            // A forked child has neither the threads nor the mapping.
            return;
        }
        if let Some(retaining) = &self.retaining {
            retaining.close();
        }
        self.shared.set_closed();
        self.shared.signal.close();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
        self.index.close();
        self.sinks.close();
        crate::journal::lease::give_up(&self.shared);
        lock(&self.lock_file).take();
    }
}

/// How an open ledger fares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It takes calls of every guarantee.
    Green,
    /// The journal is full; calls that find no room are counted and become `ledger.gap` events.
    Shedding,
    /// A write or an fsync failed: `durable` calls are refused until the ledger is opened again. When the disk was
    /// full, it is tried again by itself, and this is over when there is room.
    Failed {
        /// What was attempted, on what, and why it failed.
        reason: String,
    },
    /// It was closed.
    Closed,
}

/// What [`Ledger::drain`] reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Whether everything recorded before the call is in the log, durable, in the index unless that fails, and with
    /// every required sink.
    pub is_complete: bool,
    /// Events that were made durable while draining.
    pub events: u64,
    /// The required sinks that do not have everything.
    pub behind: Vec<SinkBehind>,
}

impl Ledger {
    /// Opens a ledger for development and installs it in this process.
    ///
    /// Its root is `dataset-events` in the target directory of the build.
    ///
    /// # Errors
    ///
    /// As [`LedgerOptions::open`], and [`OpenError::Install`] when a ledger is installed already.
    pub fn dev() -> Result<Self, OpenError> {
        let ledger = Self::options().root(root::dev_root()).open()?;
        ledger.install().map_err(OpenError::Install)?;
        Ok(ledger)
    }

    /// Opens a ledger of a root with default options. Install it, or give it to contexts.
    ///
    /// # Errors
    ///
    /// As [`LedgerOptions::open`].
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().root(root).open()
    }

    /// Options to open a ledger with.
    pub fn options() -> LedgerOptions {
        LedgerOptions::default()
    }

    /// Makes this the ledger of the process: calls that bring no ledger of their own record to it, and
    /// it takes over the events that waited for one.
    ///
    /// # Errors
    ///
    /// [`InstallError`] when another ledger is installed; a process has one for its lifetime.
    pub fn install(&self) -> Result<(), InstallError> {
        if crate::pending::install(&self.owner.shared) { Ok(()) } else { Err(InstallError) }
    }

    /// The ledger's id: the name of its directory in the root.
    pub fn id(&self) -> LedgerId {
        self.owner.shared.ledger_id
    }

    /// The ledger's directory; `None` when it lies in memory.
    pub fn path(&self) -> Option<&Path> {
        self.owner.storage.path()
    }

    /// Begins a context that records to this ledger.
    pub fn context<T, E>(&self, tenant: T, env: E) -> ContextBuilder
    where
        T: TryInto<TenantId, Error: Into<InvalidId>>,
        E: TryInto<Env, Error: Into<InvalidId>>,
    {
        ContextBuilder::new(tenant, env, Some(Arc::clone(&self.owner.shared)))
    }

    /// Begins a context for a request that has no valid identity: its events are of `$system`, which the
    /// operator reads and no tenant does. This is the only way there.
    ///
    /// The actor is `anonymous`; a user id, a subject or another type of actor that is set is not kept,
    /// because nobody vouches for it. Once the request is authenticated, build a second context for its scope
    /// with the same ids; ids that had to be made up stay marked with
    /// [`synthesized_request_id`](ContextBuilder::synthesized_request_id) and
    /// [`synthesized_trace_id`](ContextBuilder::synthesized_trace_id).
    ///
    /// `$system` has one stream for everybody: bound how many such events a second a stranger can cause.
    ///
    /// ```
    /// # use dataset_events::testing::TestLedger;
    /// # let test = TestLedger::new();
    /// # let ledger = test.ledger();
    /// let request_id = ledger.new_request_id();
    /// let stranger = ledger.unauthenticated().synthesized_request_id(request_id.clone()).build()?;
    /// assert!(stranger.scope().is_system());
    /// let known = ledger.context("acme", "prod").synthesized_request_id(request_id).build()?;
    /// assert!(known.is_request_id_synthesized());
    /// # Ok::<_, dataset_events::InvalidId>(())
    /// ```
    pub fn unauthenticated(&self) -> ContextBuilder {
        ContextBuilder::unauthenticated(Arc::clone(&self.owner.shared))
    }

    /// Makes up a request id: 32 hexadecimal digits.
    pub fn new_request_id(&self) -> RequestId {
        crate::id_source::request_id(Some(&self.owner.shared.id_source))
    }

    /// Makes up a trace id.
    pub fn new_trace_id(&self) -> TraceId {
        crate::id_source::trace_id(Some(&self.owner.shared.id_source))
    }

    /// Makes up a span id: for what is sent on where no annotated call runs. Where one runs, its span is
    /// [`current().span_id()`](crate::Current::span_id).
    pub fn new_span_id(&self) -> SpanId {
        crate::id_source::span_id(&self.owner.shared.id_source)
    }

    /// Waits until every call that has returned is in the log, durable, and the index has read it. A failing
    /// index is not waited for: reads scan what it lacks.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the log could not be written, or the ledger is closed.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.flush_until(None).map(|_| ())
    }

    /// As [`flush`](Self::flush), and waits for the required sinks, for at most `deadline`; says what was reached. A
    /// sink that is paused or has stopped is not waited for.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the log could not be written, or the ledger is closed.
    pub fn drain(&self, deadline: Duration) -> Result<Drained, LedgerError> {
        let before = self.owner.shared.counts.events.load(Ordering::Relaxed);
        let deadline = Instant::now() + deadline;
        let is_flushed = self.flush_until(Some(deadline))?;
        let events = self.owner.shared.counts.events.load(Ordering::Relaxed) - before;
        let (_, durable) = self.owner.index.lag();
        let behind = self.owner.sinks.drain(durable, deadline);
        Ok(Drained { is_complete: is_flushed && behind.is_empty(), events, behind })
    }

    fn flush_until(&self, deadline: Option<Instant>) -> Result<bool, LedgerError> {
        let shared = &self.owner.shared;
        if !shared.arena.is_live() {
            return Err(LedgerError::Forked);
        }
        if shared.is_closed() {
            return Err(LedgerError::Closed);
        }
        let cut = shared.signal.request_cut();
        let waited = loop {
            let waited = shared.signal.wait_for_cut(cut, deadline);
            self.check()?;
            // A disk that is full no longer is one to wait for.
            if waited != CutWait::Stalled {
                break waited;
            }
        };
        let is_done = waited == CutWait::Done;
        if !is_done && deadline.is_none() {
            // The threads went while somebody closed the ledger.
            return Err(LedgerError::Closed);
        }
        // A failing index is no reason to wait: reads scan what it lacks.
        let (_, durable) = self.owner.index.lag();
        let waited = self.owner.index.wait_for(durable, deadline);
        Ok(is_done && waited != IndexWait::Behind)
    }

    fn check(&self) -> Result<(), LedgerError> {
        let shared = &self.owner.shared;
        if let Some(reason) = lock(&shared.failure).clone() {
            return Err(LedgerError::Failed { reason });
        }
        match lock(&shared.shortage).clone() {
            Some(reason) => Err(LedgerError::NoRoom { reason }),
            None => Ok(()),
        }
    }

    /// Flushes and closes the ledger for every clone; its directory can be opened again.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Failed`] when something could not be written; it is still in the journal, and the
    /// next open puts it into the log.
    pub fn close(self) -> Result<(), LedgerError> {
        self.owner.close();
        self.check()
    }

    /// How the ledger fares.
    pub fn health(&self) -> Health {
        let shared = &self.owner.shared;
        let failure = lock(&shared.failure).clone();
        if let Some(reason) = failure.or_else(|| lock(&shared.shortage).clone()) {
            return Health::Failed { reason };
        }
        if shared.is_closed() {
            return Health::Closed;
        }
        if shared.is_shedding() { Health::Shedding } else { Health::Green }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("id", &self.id()).field("path", &self.path()).finish_non_exhaustive()
    }
}
