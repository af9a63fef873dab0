//! The strategy lock: two persons together stop actions in one scope.
//!
//! One proposes, another approves; from then on the lock is in force. A proposal can be withdrawn, and a
//! lock in force released, by any user of the scope: what needs two persons is to stop the business, not to
//! let it go on. Every step names the version of the lock that it was decided on, so that nobody approves
//! what they have not seen.

mod error;
mod model;
mod state;

use dataset_events::{RequestContext, current, dataset_event};

use super::nexus::Nexus;
use super::{ActionName, ActionPattern};
pub use error::StrategyLockError;
pub use model::{Lock, LockId, LockState, MAX_REASON_BYTES, StrategyName};

/// The strategy lock engine.
#[derive(Debug, Clone)]
pub struct StrategyLock {
    nexus: Nexus,
}

impl StrategyLock {
    pub(super) fn new(nexus: Nexus) -> Self {
        Self { nexus }
    }

    /// Proposes to lock the actions of `pattern`. Nothing is stopped before somebody else approves.
    ///
    /// # Errors
    ///
    /// - `strategy_lock.user_required`: the request has no user.
    /// - `strategy_lock.invalid_reason`: the reason is empty or longer than [`MAX_REASON_BYTES`].
    /// - `ledger.unavailable`: the proposal cannot be recorded durably, so it is not made.
    /// - `strategy_lock.internal`: the database failed.
    #[dataset_event(
        surface = "strategy_lock.propose",
        access = "create",
        guarantee = "durable",
        input(%strategy, %pattern, reason_bytes = reason.len(), reason = hashed(reason)),
        output(lock_id = ret.lock_id, version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy = strategy),
    )]
    pub async fn propose(
        &self,
        ctx: &RequestContext,
        strategy: &StrategyName,
        pattern: &ActionPattern,
        reason: &str,
    ) -> Result<Lock, StrategyLockError> {
        let proposed_by = user(ctx)?;
        if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES {
            return Err(StrategyLockError::InvalidReason { len_bytes: reason.len() });
        }
        let lock_id = LockId::generated(&self.nexus)?;
        let proposed_at_us = self.nexus.now_us();
        let lock = Lock {
            lock_id,
            strategy: strategy.clone(),
            pattern: pattern.clone(),
            reason: reason.to_owned(),
            state: LockState::Proposed,
            version: 1,
            proposed_by: proposed_by.clone(),
            proposed_at_us,
            approved_by: None,
            updated_by: proposed_by,
            updated_at_us: proposed_at_us,
        };
        let saved = self.nexus.write(ctx, "propose a strategy lock", move |db| {
            state::save(db, &lock)?;
            Ok::<_, StrategyLockError>(lock)
        });
        let lock = saved.await?;
        current().source_ref("strategy_lock", &lock.lock_id).change("state", None::<LockState>, lock.state);
        Ok(lock)
    }

    /// Approves a proposal: the lock is in force.
    ///
    /// # Errors
    ///
    /// - `strategy_lock.self_approval`: the caller proposed it.
    /// - `strategy_lock.user_required`: the request has no user.
    /// - `strategy_lock.not_found`: the scope has no such lock.
    /// - `strategy_lock.stale_version`: somebody else was quicker.
    /// - `strategy_lock.wrong_state`: it is no proposal any more.
    /// - `ledger.unavailable`: the approval cannot be recorded durably, so it is not made.
    /// - `strategy_lock.internal`: the database failed.
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
    pub async fn approve(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::Proposed, LockState::InForce).await
    }

    /// Takes a proposal back.
    ///
    /// # Errors
    ///
    /// Those of [`approve`](Self::approve), except `strategy_lock.self_approval`.
    #[dataset_event(
        surface = "strategy_lock.withdraw",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    pub async fn withdraw(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::Proposed, LockState::Withdrawn).await
    }

    /// Ends a lock in force: what it stopped may go on.
    ///
    /// # Errors
    ///
    /// Those of [`approve`](Self::approve), except `strategy_lock.self_approval`; `strategy_lock.wrong_state`
    /// when the lock is not in force.
    #[dataset_event(
        surface = "strategy_lock.release",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    pub async fn release(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::InForce, LockState::Released).await
    }

    /// The locks of the scope in one state, the oldest first.
    ///
    /// # Errors
    ///
    /// - `strategy_lock.internal`: the database failed.
    #[dataset_event(
        surface = "strategy_lock.list",
        access = "read",
        input(state),
        output(count = ret.len()),
    )]
    pub async fn list(&self, ctx: &RequestContext, state: LockState) -> Result<Vec<Lock>, StrategyLockError> {
        let read = self.nexus.read(ctx, "list strategy locks", move |db| {
            state::locks(db, state).map_err(StrategyLockError::from)
        });
        read.await
    }

    /// Whether the action may be taken: succeeds unless a lock in force names it.
    ///
    /// # Errors
    ///
    /// - `strategy_lock.blocked`: a lock is in force.
    /// - `strategy_lock.internal`: the database failed; the caller must not act.
    #[dataset_event(
        surface = "strategy_lock.check",
        access = "read",
        input(%action),
        source_refs(action = action),
    )]
    pub async fn check(&self, ctx: &RequestContext, action: &ActionName) -> Result<(), StrategyLockError> {
        let action = action.clone();
        let read = self.nexus.read(ctx, "check the strategy locks", move |db| {
            let in_force = state::locks(db, LockState::InForce)?;
            match in_force.into_iter().find(|lock| lock.pattern.matches(&action)) {
                Some(Lock { strategy, lock_id, .. }) => {
                    Err(StrategyLockError::Blocked { action, strategy, lock_id })
                }
                None => Ok(()),
            }
        });
        let answer = read.await;
        if let Err(StrategyLockError::Blocked { lock_id, .. }) = &answer {
            current().source_ref("strategy_lock", lock_id);
        }
        answer
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
