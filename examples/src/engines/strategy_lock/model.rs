//! What a strategy lock is: its names, its states, the lock itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engines::text::{NAME, is_name, text_type};
use crate::engines::{ActionPattern, Nexus, NexusError};

/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 512;
/// The most locks of a scope that are proposed or in force: each guarded action is compared with all in force.
pub const MAX_OPEN_LOCKS: u32 = 200;
/// The most items of a page.
pub const MAX_PAGE: u32 = 200;

text_type! {
    /// The name of a strategy: what the business does, or stops doing, when the lock is in force.
    StrategyName, "strategy", NAME, is_name
}

text_type! {
    /// The id of a lock.
    LockId, "lock id", NAME, is_name
}

impl LockId {
    pub(super) fn generated(nexus: &Nexus) -> Result<Self, NexusError> {
        nexus.new_id("lock").map(|id| Self(id.into()))
    }
}

/// Where a lock is on its way. It begins as a proposal, and ends withdrawn or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LockState {
    /// It waits for the approval of a second person, and stops nothing.
    Proposed,
    /// It was approved, and stops what it names.
    InForce,
    /// It was taken back before it was approved.
    Withdrawn,
    /// It was in force, and is not any more.
    Released,
}

impl LockState {
    const ALL: [Self; 4] = [Self::Proposed, Self::InForce, Self::Withdrawn, Self::Released];

    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::InForce => "in_force",
            Self::Withdrawn => "withdrawn",
            Self::Released => "released",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its id.
    pub lock_id: LockId,
    /// The strategy that it belongs to.
    pub strategy: StrategyName,
    /// Which actions it stops.
    pub pattern: ActionPattern,
    /// Why, in the proposer's words.
    pub reason: String,
    /// Where it is on its way.
    pub state: LockState,
    /// How many steps it took; a step names the version it was decided on.
    pub version: u64,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub proposed_at_us: i64,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Who took the last step.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
}
