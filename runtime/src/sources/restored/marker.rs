//! `restored.json`: how far a directory was restored. It is written after what it speaks of.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::ids::LedgerId;
use crate::log::storage::Storage;
use crate::log::{LogPosition, RESTORED_NAME};

/// Bytes of the log that a source lacks, with others behind them. The restored log ends before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogGap {
    /// Where the restored log ends.
    pub end: LogPosition,
    /// Where the next bytes begin that the source has.
    pub next: LogPosition,
}

impl fmt::Display for LogGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log ends at {}: the source lacks the bytes from there to {}", self.end, self.next)
    }
}

/// What is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    version: u32,
    pub(super) ledger_id: LedgerId,
    /// Where the log begins; `None` while there is none. Not its start when the source holds what was left of it.
    pub(super) start: Option<LogPosition>,
    /// Where it ends.
    pub(super) end: LogPosition,
    pub(super) gap: Option<LogGap>,
    /// The newest checkpoint before which none is missing.
    pub(super) checkpoint: u64,
    /// How many bytes of the file of checkpoints these take.
    pub(super) checkpoint_bytes: u64,
    /// The first checkpoint that the source lacks, though it has later ones.
    pub(super) missing_checkpoint: Option<u64>,
}

impl Marker {
    pub(super) fn new(ledger_id: LedgerId) -> Self {
        Self {
            version: 1,
            ledger_id,
            start: None,
            end: LogPosition::START,
            gap: None,
            checkpoint: 0,
            checkpoint_bytes: 0,
            missing_checkpoint: None,
        }
    }

    /// Reads the marker; `None` when there is none.
    pub(super) fn load(storage: &dyn Storage) -> io::Result<Option<Self>> {
        let Some(bytes) = storage.read(RESTORED_NAME)? else { return Ok(None) };
        let marker: Self = serde_json::from_slice(&bytes)?;
        match marker.version {
            1 => Ok(Some(marker)),
            other => Err(io::Error::other(format!("version {other} is not read, only 1"))),
        }
    }

    pub(super) fn save(&self, storage: &dyn Storage) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        storage.replace(RESTORED_NAME, &bytes)
    }
}
