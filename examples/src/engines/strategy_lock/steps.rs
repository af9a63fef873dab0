//! The steps that a lock takes from state to state.

use dataset_events::{RequestContext, current};

use super::model::{Lock, LockId, LockState};
use super::{StrategyLock, StrategyLockError, state};

impl StrategyLock {
    /// One step of a lock, whose surface is the caller's.
    pub(super) async fn step(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
        from: LockState,
        to: LockState,
    ) -> Result<Lock, StrategyLockError> {
        let by = user(ctx)?;
        let lock_id = lock_id.clone();
        let updated_at_us = self.nexus.now_us();
        let stepped = self.nexus.write(ctx, "take a step of a strategy lock", move |db| {
            let Some(mut lock) = state::lock(db, &lock_id)? else {
                return Err(StrategyLockError::NotFound { lock_id });
            };
            if lock.version != expected_version {
                let (expected, found) = (expected_version, lock.version);
                return Err(StrategyLockError::StaleVersion { lock_id, expected, found });
            }
            if lock.state != from {
                return Err(StrategyLockError::WrongState { lock_id, expected: from, found: lock.state });
            }
            if to == LockState::InForce {
                if lock.proposed_by == by {
                    return Err(StrategyLockError::SelfApproval { lock_id });
                }
                lock.approved_by = Some(by.clone());
            }
            (lock.state, lock.version, lock.updated_by) = (to, lock.version + 1, by);
            lock.updated_at_us = updated_at_us;
            state::save(db, &lock)?;
            Ok(lock)
        });
        let lock = stepped.await?;
        current().change("state", from, lock.state);
        Ok(lock)
    }
}

pub(super) fn user(ctx: &RequestContext) -> Result<String, StrategyLockError> {
    ctx.user_id().map(ToString::to_string).ok_or(StrategyLockError::UserRequired)
}
