//! Failures of the kill switch.

use dataset_events::{ErrorCode, LedgerUnavailable};
use thiserror::Error;

use super::{Reason, Target};
use crate::engines::NexusError;

/// Why the kill switch refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum KillSwitchError {
    /// The switch is engaged: the engine must not act in this scope.
    #[error("{target} is switched off in this scope ({reason})")]
    #[code("kill_switch.blocked", status = 403)]
    Blocked {
        /// The switch that is engaged.
        target: Target,
        /// Why it was engaged.
        reason: Reason,
    },
    /// Somebody changed the switch since the caller looked at it.
    #[error("the switch of {target} is at version {found}, not {expected}: look at it again, then repeat")]
    #[code("kill_switch.stale_version", status = 409)]
    StaleVersion {
        /// The switch.
        target: Target,
        /// The version that the caller knows.
        expected: u64,
        /// The stored version.
        found: u64,
    },
    /// The ledger could not take the update, so the switch was not touched.
    #[error(transparent)]
    #[code(transparent)]
    Ledger(#[from] LedgerUnavailable),
    /// The database failed.
    #[error("the kill switch could not use its state")]
    #[code("kill_switch.internal", status = 500)]
    Internal(#[from] NexusError),
}
