//! A place in what is forwarded.

use serde::{Deserialize, Serialize};

use crate::event::LineHash;
use crate::log::LogPosition;

/// Up to where something has been taken from the ledger: what the cursor's file keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Where the next line begins.
    pub(super) position: LogPosition,
    /// Event lines before it.
    pub(super) events: u64,
    /// The newest line before it that was forwarded: by it a cursor is known to be of this log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_line: Option<PlacedHash>,
    /// Where the next line of `checkpoints.ndjson` begins.
    pub(super) checkpoints_offset: u64,
    /// Checkpoints before it are of no use: those of places before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checkpoints_from: Option<LogPosition>,
    /// How many cuts were forwarded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) cuts: u64,
    /// The hash of the identity that was forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<LineHash>,
}

/// A line and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlacedHash {
    pub(super) position: LogPosition,
    pub(super) hash: LineHash,
}

impl Place {
    /// Before everything.
    pub(super) const START: Self = Self {
        position: LogPosition::START,
        events: 0,
        last_line: None,
        checkpoints_offset: 0,
        checkpoints_from: None,
        cuts: 0,
        identity: None,
    };
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
