//! Retention: segments that are old enough and held elsewhere are dropped under a signed cut.
//!
//! The order of steps is what makes it safe to be killed anywhere: what is to be dropped is verified, then the cut
//! is written and fsynced, then an event tells of it, then the files go. Before the cut is there nothing has
//! happened; once it is, the log begins there, whatever files are left. See `docs/retention.md`.

mod disk;
mod holds;
mod kept;
mod make;
mod plan;
mod prefix;
#[cfg(test)]
mod tests;
mod thread;
mod told;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde::Serialize;

pub use self::holds::Hold;
pub use self::kept::Kept;
pub(crate) use self::thread::{RetentionThread, RetentionWake};
pub(crate) use self::told::{CUT_SURFACE, cut_event_input, is_cut_event, mark_told, remove_dropped, told};
use crate::ids::Scope;
use crate::index::IndexFollower;
use crate::ledger::{Ledger, LedgerShared, lock};
use crate::log::LogPosition;
use crate::log::cut::Cut;
use crate::log::signer::{SignError, Signer};
use crate::log::storage::Storage;
use crate::read_models::Carry;

/// What the options say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) keep_for: Option<Duration>,
    pub(crate) drops_without_copy: bool,
    pub(crate) max_disk_bytes: Option<u64>,
}

/// What the required sinks have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required {
    /// All of them have everything before it.
    pub(crate) position: LogPosition,
    /// Their names.
    pub(crate) sinks: Vec<String>,
}

/// Says what the required sinks have; `None` when there are none.
pub(crate) type RequiredSinks = Box<dyn Fn() -> Option<Required> + Send + Sync>;

/// Drops what may be dropped of one open ledger.
pub(crate) struct Retention {
    pub(crate) shared: Arc<LedgerShared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) index: Arc<IndexFollower>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) settings: Settings,
    required: Mutex<Option<RequiredSinks>>,
    carried: Mutex<Vec<Weak<dyn Carry>>>,
    /// Held during a pass: there is one at a time.
    state: Mutex<State>,
    status: Mutex<RetentionStatus>,
}

#[derive(Default)]
struct State {
    /// A cut whose event is handed to the sequencer, and not known to be durable.
    untold: Option<u64>,
    /// A cut could not be written, and may be there or not: only opening the ledger again can tell.
    failure: Option<String>,
    /// The segment that a hold kept last, and whose.
    held: Option<(u32, Scope)>,
    /// What the ledger's files used when it was measured last.
    disk_bytes: u64,
    /// A warning was given that the cap is close.
    is_near_cap: bool,
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Retained {
    /// The cut that was made; `None` when nothing could be dropped.
    pub cut: Option<Cut>,
    /// What keeps the oldest segment that is left.
    pub kept: Kept,
}

/// How retention stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionStatus {
    /// What the options ask for; `None`: everything is kept.
    pub keep_for: Option<Duration>,
    /// Passes since the ledger was opened.
    pub passes: u64,
    /// When the last one was, in microseconds since 1970 (UTC).
    pub last_pass_us: Option<i64>,
    /// Segments of the log after it.
    pub segments: u64,
    /// Scopes under a hold then.
    pub holds: u64,
    /// Cuts that were made since then.
    pub cuts: u64,
    /// Events that were dropped since then.
    pub dropped_events: u64,
    /// Bytes of the log that were dropped since then.
    pub dropped_bytes: u64,
    /// Segments that were dropped since then.
    pub dropped_segments: u64,
    /// What keeps the oldest segment that is left, by the last pass.
    pub kept: Kept,
    /// Why the last pass failed, if it did.
    pub error: Option<String>,
    /// The cap on disk use; `None`: there is none.
    pub max_disk_bytes: Option<u64>,
    /// What the ledger's files used at the last pass; 0 without a cap.
    pub disk_bytes: u64,
    /// Whether 80 % of the cap were used.
    pub is_near_cap: bool,
}

impl RetentionStatus {
    fn new(settings: Settings) -> Self {
        Self {
            keep_for: settings.keep_for,
            passes: 0,
            last_pass_us: None,
            segments: 0,
            holds: 0,
            cuts: 0,
            dropped_events: 0,
            dropped_bytes: 0,
            dropped_segments: 0,
            kept: Kept::Everything,
            error: None,
            max_disk_bytes: settings.max_disk_bytes,
            disk_bytes: 0,
            is_near_cap: false,
        }
    }

    fn take(&mut self, result: &Result<Retained, RetentionError>, state: &State) {
        self.passes += 1;
        (self.disk_bytes, self.is_near_cap) = (state.disk_bytes, state.is_near_cap);
        self.error = result.as_ref().err().map(ToString::to_string);
        let Ok(retained) = result else { return };
        self.kept = retained.kept.clone();
        if let Some(cut) = &retained.cut {
            self.cuts += 1;
            self.dropped_events += cut.events;
            self.dropped_bytes += cut.dropped_bytes();
            self.dropped_segments += cut.segments.len() as u64;
        }
    }
}

/// Old segments could not be dropped.
#[derive(Debug)]
#[non_exhaustive]
pub enum RetentionError {
    /// A file operation failed.
    Io {
        /// What was attempted, on what.
        attempted: String,
        /// The system's error.
        source: io::Error,
    },
    /// The cut could not be signed.
    Sign(SignError),
    /// `cuts.ndjson` cannot be understood, or changed under the open ledger.
    Cuts {
        /// What is wrong with it.
        reason: String,
    },
    /// The legal holds cannot be read or changed.
    Holds {
        /// Why not.
        reason: String,
    },
    /// What is to be dropped could not be verified at all.
    Verify(crate::log::verify::VerifyError),
}

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { attempted, .. } => write!(f, "drop old segments: {attempted}"),
            Self::Sign(_) => f.write_str("drop old segments: sign the cut"),
            Self::Cuts { reason } => write!(f, "drop old segments: {reason}; run verify"),
            Self::Holds { reason } => write!(f, "legal holds: {reason}"),
            Self::Verify(_) => f.write_str("drop old segments: verify what is to be dropped"),
        }
    }
}

impl Error for RetentionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Sign(source) => Some(source),
            Self::Cuts { .. } | Self::Holds { .. } => None,
            Self::Verify(source) => Some(source),
        }
    }
}

fn failed(what: &str, name: &str) -> impl FnOnce(io::Error) -> RetentionError + use<> {
    let attempted = format!("{what} {name}");
    |source| RetentionError::Io { attempted, source }
}

impl Retention {
    pub(crate) fn new(
        shared: Arc<LedgerShared>,
        storage: Arc<dyn Storage>,
        index: Arc<IndexFollower>,
        signer: Arc<dyn Signer>,
        settings: Settings,
    ) -> Self {
        Self {
            shared,
            storage,
            index,
            signer,
            settings,
            required: Mutex::new(None),
            carried: Mutex::default(),
            state: Mutex::default(),
            status: Mutex::new(RetentionStatus::new(settings)),
        }
    }

    /// Sets who says what the required sinks have.
    pub(crate) fn set_required(&self, required: RequiredSinks) {
        *lock(&self.required) = Some(required);
    }

    /// Has read models saved before what they are folded from is dropped.
    pub(crate) fn add_carry(&self, carry: Weak<dyn Carry>) {
        let mut carried = lock(&self.carried);
        carried.retain(|carry| carry.strong_count() > 0);
        carried.push(carry);
    }

    pub(crate) fn now(&self) -> i64 {
        self.shared.clock.anchor().wall_us(self.shared.clock.cut_ticks())
    }

    /// Measures what is used, for the cap.
    pub(crate) fn measure_now(&self) -> Result<(), RetentionError> {
        self.measure(&mut lock(&self.state))
    }

    /// Drops what may be dropped now.
    pub(crate) fn run(&self) -> Result<Retained, RetentionError> {
        self.run_at(self.now())
    }

    /// The same at a time, in microseconds since 1970.
    pub(crate) fn run_at(&self, now: i64) -> Result<Retained, RetentionError> {
        let mut state = lock(&self.state);
        let mut result = self.pass(&mut state, now);
        if let Err(error) = self.measure(&mut state) {
            result = result.and(Err(error));
        }
        let segments = self
            .storage
            .list("log")
            .map_or(0, |names| names.iter().filter(|name| name.ends_with(".ndjson")).count());
        // One that cannot be read keeps every segment, and the pass says so.
        let holds = holds::read(&*self.storage, self.shared.ledger_id).map_or(0, |holds| holds.len());
        let mut status = lock(&self.status);
        (status.last_pass_us, status.segments, status.holds) = (Some(now), segments as u64, holds as u64);
        status.take(&result, &state);
        drop(status);
        result
    }
}

impl Ledger {
    /// Drops the segments that are older than [`keep_for`](crate::LedgerOptions::keep_for) and held by all required
    /// sinks, under a signed cut, and says what keeps the next one. With `keep_for` this also happens once a minute.
    ///
    /// # Errors
    ///
    /// [`RetentionError`]; nothing was dropped by the call, unless a cut was made: then opening the ledger again
    /// finishes it.
    pub fn retain(&self) -> Result<Retained, RetentionError> {
        self.owner.retention.run()
    }

    /// How retention stands after its last pass, in the background or by [`retain`](Self::retain).
    pub fn retention(&self) -> RetentionStatus {
        lock(&self.owner.retention.status).clone()
    }
}
