//! Sources: what sinks hold, read back.

#[cfg(feature = "bigquery")]
pub mod bigquery;
mod error;
#[cfg(feature = "firestore")]
pub mod firestore;
pub mod ndjson;
#[cfg(feature = "replica")]
mod replica;
#[cfg(all(test, feature = "replica"))]
mod replica_tests;
pub(crate) mod restored;
mod scan;
mod verify;

pub use self::error::SourceError;
#[cfg(feature = "replica")]
pub use self::replica::ReplicaSource;
pub use self::restored::{LogGap, RestoreError, Restored, RestoredLedger, RestoredLedgers};
pub use self::scan::scan_events;
pub use self::verify::{SourceVerification, VerifySourceError, verify_source};
use crate::event::DatasetEvent;
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;

/// The target of a sink, read back.
///
/// Calls block; they must not be made from an async runtime's own threads.
pub trait Source: Send + Sync {
    /// What the source is: `replica`, `firestore`.
    fn kind(&self) -> &'static str;

    /// The ledgers of which it holds anything, sorted.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the target cannot be read.
    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError>;

    /// Gives what it holds of a ledger, from a place on, to `take`: the identities first, then log bytes in the
    /// order of their places, head tables, and checkpoints by number.
    ///
    /// Pieces may overlap or come again; they are never altered or joined over a hole.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the target cannot be read, or when `take` fails.
    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError>;

    /// The events of one scope, from all ledgers of the source.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the target cannot be read, or holds a line that is not what its place says.
    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError>;
}

/// From where on a ledger is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStart {
    /// Log bytes before it are known.
    pub position: LogPosition,
    /// Checkpoints up to this number are known; 0 for none.
    pub checkpoint: u64,
}

impl Default for SourceStart {
    fn default() -> Self {
        Self { position: LogPosition::START, checkpoint: 0 }
    }
}

impl SourceStart {
    /// A start behind what is known.
    pub fn new(position: LogPosition, checkpoint: u64) -> Self {
        Self { position, checkpoint }
    }
}

/// A piece of a ledger, as a source gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourcePiece {
    /// The contents of `ledger.json`. Of several the one with most keys is the newest.
    Identity(Vec<u8>),
    /// Whole lines of the log with their newlines, and where they begin.
    Log {
        /// Where the first of them begins.
        position: LogPosition,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The contents of a head table.
    HeadTable {
        /// The place in the log that it speaks of.
        position: LogPosition,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A line of `checkpoints.ndjson`, without its newline.
    Checkpoint {
        /// Its number.
        number: u64,
        /// The bytes.
        line: Vec<u8>,
    },
    /// A line of `cuts.ndjson`, without its newline. All of them come, from wherever a ledger is read.
    Cut {
        /// Its number.
        number: u64,
        /// The bytes.
        line: Vec<u8>,
    },
}

/// Which events of a scope are asked for. The newest come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceQuery {
    /// Only this surface.
    pub surface: Option<String>,
    /// Only this outcome, by its name.
    pub outcome: Option<String>,
    /// Only this trace.
    pub trace_id: Option<String>,
    /// Only this user.
    pub user_id: Option<String>,
    /// Recorded at or after, in microseconds since 1970.
    pub since_us: Option<i64>,
    /// Recorded before, in microseconds since 1970.
    pub until_us: Option<i64>,
    /// At most so many; 0 for 50. At most 1,000.
    pub limit: usize,
    /// [`SourcePage::next`] of the page before.
    pub after: Option<String>,
}

/// Some events of a scope.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SourcePage {
    /// The events, the newest first, each with its exact line.
    pub events: Vec<SourceEvent>,
    /// What to ask for next; `None` at the end.
    pub next: Option<String>,
}

impl SourcePage {
    /// A page of events, and what to ask for next.
    pub fn new(events: Vec<SourceEvent>, next: Option<String>) -> Self {
        Self { events, next }
    }
}

/// An event as a source holds it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceEvent {
    /// The event, parsed from the line.
    pub event: DatasetEvent,
    /// The exact line, without its newline.
    pub line: String,
}

impl SourceEvent {
    /// Parses a stored line, and checks that it is of the scope that was asked for.
    ///
    /// # Errors
    ///
    /// [`SourceError::Corrupt`] when it is no event or of another scope.
    pub fn of_scope(scope: &Scope, line: String) -> Result<Self, SourceError> {
        let event = DatasetEvent::from_line(&line)
            .map_err(|error| SourceError::corrupt("parse a stored line", error.to_string()))?;
        if event.scope() != scope {
            let found = format!("the line is of another scope than {scope}");
            return Err(SourceError::corrupt("read the events of a scope", found));
        }
        Ok(Self { event, line })
    }
}
