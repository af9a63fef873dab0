//! The log: append-only NDJSON segments, the chain through them, and what proves it.

pub(crate) mod checkpoint;
pub(crate) mod cut;
pub(crate) mod encode;
pub(crate) mod head_table;
pub(crate) mod heads;
pub(crate) mod identity;
pub(crate) mod line;
pub(crate) mod reader;
pub(crate) mod signer;
pub(crate) mod storage;
#[cfg(test)]
pub(crate) mod storage_faults;
pub(crate) mod verify;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the log: a segment, counted from 1, and a byte offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The segment's number, from 1.
    pub segment: u32,
    /// The offset in the segment, in bytes.
    pub offset: u64,
}

impl LogPosition {
    /// The start of the first segment.
    pub const START: Self = Self { segment: 1, offset: 0 };
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", segment_name(self.segment), self.offset)
    }
}

/// The file that marks the directory of a ledger that was put together from a source.
pub(crate) const RESTORED_NAME: &str = "restored.json";

/// The file name of a segment, relative to the ledger's directory.
pub(crate) fn segment_name(segment: u32) -> String {
    format!("log/{segment:08}.ndjson")
}

/// The file name of a segment's head table, relative to the ledger's directory.
pub(crate) fn head_table_name(segment: u32) -> String {
    format!("log/{segment:08}.heads.json")
}
