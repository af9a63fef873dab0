//! Sinks: where the log of a ledger is forwarded to.
//!
//! A [`Sink`] holds a copy of the log at another place: object storage, a document store, a warehouse. It is
//! driven by a thread of its own that follows the durable log, so that a sink that is slow, hangs or is gone
//! costs the calling threads nothing.

#[cfg(feature = "bigquery")]
pub mod bigquery;
mod entry;
mod error;
#[cfg(feature = "firestore")]
pub mod firestore;
pub(crate) mod forwarder;
#[cfg(any(feature = "firestore", feature = "bigquery"))]
pub mod google;
mod known;
pub mod memory;
pub mod ndjson;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "replica")]
pub mod replica;
pub mod stdout;

pub use self::entry::{Entry, EntryKey, EntryKind};
pub use self::error::{Rejected, SinkError};
pub use self::forwarder::{
    DeadLetter, ForwardState, InvalidSinkName, LastError, ReplayFrom, SinkBehind, SinkControlError, SinkSpec,
    SinkStatus, Sinks,
};
use crate::ids::LedgerId;

/// Where the log is forwarded to.
///
/// The forwarder calls one method at a time, always from the same thread, and never from an async runtime: a sink
/// that needs one has its own.
///
/// Entries come in order: the ledger's identity, lines as in the log, a head table behind the lines it speaks of, a
/// checkpoint behind the lines it covers, a cut before the first line of a log that begins at it. They may come again, in batches cut at other places, and an entry whose
/// [`key`](Entry::key) is stored already must change nothing.
pub trait Sink: Send {
    /// What the sink is: `firestore`, `ndjson`.
    fn kind(&self) -> &'static str;

    /// Where it writes, in words for the operator, without secrets: `bucket audit, prefix shop`. Asked for once. A
    /// cursor belongs to it: a sink with another target begins with the first entry. Defaults to none.
    fn target(&self) -> String {
        String::new()
    }

    /// Prepares for the entries of a ledger. Called before the first append, and again after it or an append failed
    /// in a way that asks for it ([`SinkError::Reopen`]).
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let _ = start;
        Ok(())
    }

    /// Stores a batch, which is never empty. When this returns `Ok`, all of it but what was rejected is durable.
    ///
    /// It may block, for as long as its own time limits say.
    ///
    /// # Errors
    ///
    /// - [`SinkError::Retry`]: the batch comes again after a pause. Part of it may be stored.
    /// - [`SinkError::Reopen`]: as `Retry`, and [`open`](Self::open) comes first.
    /// - [`SinkError::Fatal`]: nothing comes until an operator resumes the sink.
    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError>;

    /// Gives up what the sink holds: called once, after the last append.
    ///
    /// # Errors
    ///
    /// [`SinkError`], which is only reported: everything acknowledged is durable already.
    fn close(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What a sink knows when it is opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct SinkStart<'a> {
    /// The ledger whose entries come.
    pub ledger_id: LedgerId,
    /// What the sink keeps between runs.
    pub state: &'a mut dyn SinkState,
}

impl<'a> SinkStart<'a> {
    /// A start for a sink that is driven by hand, as in its tests.
    pub fn new(ledger_id: LedgerId, state: &'a mut dyn SinkState) -> Self {
        Self { ledger_id, state }
    }
}

/// What a sink keeps between runs, beside its cursor.
pub trait SinkState: Send + std::fmt::Debug {
    /// What was saved last; `None` at first, or when it was damaged.
    fn load(&self) -> Option<Vec<u8>>;

    /// Replaces it; durable when this returns.
    ///
    /// # Errors
    ///
    /// When the state cannot be written: what was saved before is still there.
    fn save(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// A second handle on the same state, to keep beyond the opening.
    fn handle(&self) -> Box<dyn SinkState>;
}

/// A [`SinkState`] in memory, for tests and for ledgers without a directory.
#[derive(Debug, Clone, Default)]
pub struct MemoryState(std::sync::Arc<std::sync::Mutex<Option<Vec<u8>>>>);

impl SinkState for MemoryState {
    fn load(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn save(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(bytes.to_vec());
        Ok(())
    }

    fn handle(&self) -> Box<dyn SinkState> {
        Box::new(self.clone())
    }
}

/// A batch was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// Entries that will never be stored, by their place in the batch; the rest of it is.
    pub rejected: Vec<Rejected>,
    /// How many of the batch were there already.
    pub duplicates: u64,
}

impl Ack {
    /// All of it was stored.
    pub fn all() -> Self {
        Self::default()
    }

    /// Some of it was refused for good.
    #[must_use]
    pub fn with_rejected(mut self, rejected: Vec<Rejected>) -> Self {
        self.rejected = rejected;
        self
    }

    /// Some of it was there already.
    #[must_use]
    pub fn with_duplicates(mut self, duplicates: u64) -> Self {
        self.duplicates = duplicates;
        self
    }
}
