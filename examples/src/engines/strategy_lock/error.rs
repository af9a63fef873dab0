//! Failures of the strategy lock.

use dataset_events::{ErrorCode, LedgerUnavailable};
use thiserror::Error;

use super::{LockId, LockState, MAX_OPEN_LOCKS, MAX_PAGE, MAX_REASON_BYTES, StrategyName};
use crate::engines::{ActionName, NexusError};

/// Why the strategy lock refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum StrategyLockError {
    /// A lock in force stops the action.
    #[error("{action} is locked in this scope by strategy {strategy} ({lock_id})")]
    #[code("strategy_lock.blocked", status = 403)]
    Blocked {
        /// The action.
        action: ActionName,
        /// The strategy that the lock belongs to.
        strategy: StrategyName,
        /// The lock.
        lock_id: LockId,
    },
    /// A proposal needs the approval of somebody else.
    #[error("{lock_id} was proposed by the same user: somebody else must approve it")]
    #[code("strategy_lock.self_approval", status = 403)]
    SelfApproval {
        /// The lock.
        lock_id: LockId,
    },
    /// Two persons cannot be told apart where one of them is not known.
    #[error("the request has no user: only a known user may propose, approve, withdraw or release a lock")]
    #[code("strategy_lock.user_required", status = 403)]
    UserRequired,
    /// The reason is empty or too long.
    #[error("a reason of {len_bytes} bytes: expected 1 to {MAX_REASON_BYTES}")]
    #[code("strategy_lock.invalid_reason", status = 422)]
    InvalidReason {
        /// The length of the refused reason.
        len_bytes: usize,
    },
    /// The scope has no such lock. A lock of another scope is no different.
    #[error("no lock {lock_id} in this scope")]
    #[code("strategy_lock.not_found", status = 404)]
    NotFound {
        /// The lock.
        lock_id: LockId,
    },
    /// The lock is not in the state that the step begins with.
    #[error("{lock_id} is {found}, but only a lock that is {expected} can take this step")]
    #[code("strategy_lock.wrong_state", status = 409)]
    WrongState {
        /// The lock.
        lock_id: LockId,
        /// The state that the step begins with.
        expected: LockState,
        /// The stored state.
        found: LockState,
    },
    /// Somebody changed the lock since the caller looked at it.
    #[error("{lock_id} is at version {found}, not {expected}: look at it again, then repeat")]
    #[code("strategy_lock.stale_version", status = 409)]
    StaleVersion {
        /// The lock.
        lock_id: LockId,
        /// The version that the caller knows.
        expected: u64,
        /// The stored version.
        found: u64,
    },
    /// The scope has as many open locks as it may.
    #[error("this scope has {MAX_OPEN_LOCKS} locks that are proposed or in force: withdraw or release one")]
    #[code("strategy_lock.too_many", status = 409)]
    TooMany,
    /// The page asked for is empty or too large.
    #[error("a page of {limit}: expected 1 to {MAX_PAGE}")]
    #[code("strategy_lock.invalid_page", status = 422)]
    InvalidPage {
        /// The refused size.
        limit: u32,
    },
    /// The ledger could not take the step, so it was not made.
    #[error(transparent)]
    #[code(transparent)]
    Ledger(#[from] LedgerUnavailable),
    /// The database failed.
    #[error("the strategy lock could not use its state")]
    #[code("strategy_lock.internal", status = 500)]
    Internal(#[from] NexusError),
}
