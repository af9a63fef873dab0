//! The steps of a lock as they are recorded: each is run to its end by the method of its name.

use dataset_events::{RequestContext, current, dataset_event};

use super::model::{Lock, LockId, LockState, MAX_OPEN_LOCKS, MAX_REASON_BYTES, StrategyName};
use super::{StrategyLock, StrategyLockError, state};
use crate::engines::ActionPattern;

impl StrategyLock {
    #[dataset_event(
        surface = "strategy_lock.propose",
        access = "create",
        guarantee = "durable",
        input(%strategy, %pattern, reason_bytes = reason.len(), reason = hashed(reason)),
        output(lock_id = ret.lock_id, version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy = strategy),
    )]
    pub(super) async fn recorded_propose(
        &self,
        ctx: &RequestContext,
        strategy: StrategyName,
        pattern: ActionPattern,
        reason: String,
    ) -> Result<Lock, StrategyLockError> {
        let proposed_by = user(ctx)?;
        if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES {
            return Err(StrategyLockError::InvalidReason { len_bytes: reason.len() });
        }
        let lock_id = LockId::generated(&self.nexus)?;
        let proposed_at_us = self.nexus.now_us();
        let lock = Lock {
            lock_id,
            strategy,
            pattern,
            reason,
            state: LockState::Proposed,
            version: 1,
            proposed_by: proposed_by.clone(),
            proposed_at_us,
            approved_by: None,
            updated_by: proposed_by,
            updated_at_us: proposed_at_us,
        };
        let saved = self.nexus.write(ctx, "propose a strategy lock", move |db| {
            if state::open(db)? >= u64::from(MAX_OPEN_LOCKS) {
                return Err(StrategyLockError::TooMany);
            }
            state::save(db, &lock)?;
            Ok(lock)
        });
        let lock = saved.await?;
        current().source_ref("strategy_lock", &lock.lock_id).change("state", None::<LockState>, lock.state);
        Ok(lock)
    }

    #[dataset_event(
        surface = "strategy_lock.approve",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(
            version = ret.version,
            strategy = ret.strategy,
            pattern = ret.pattern,
            updated_at_us = ret.updated_at_us,
        ),
        source_refs(strategy_lock = lock_id),
    )]
    pub(super) async fn recorded_approve(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::Proposed, LockState::InForce).await
    }

    #[dataset_event(
        surface = "strategy_lock.withdraw",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    pub(super) async fn recorded_withdraw(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::Proposed, LockState::Withdrawn).await
    }

    #[dataset_event(
        surface = "strategy_lock.release",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    pub(super) async fn recorded_release(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::InForce, LockState::Released).await
    }

    /// One step of a lock, whose surface is the caller's.
    async fn step(
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

fn user(ctx: &RequestContext) -> Result<String, StrategyLockError> {
    ctx.user_id().map(ToString::to_string).ok_or(StrategyLockError::UserRequired)
}
