//! The strategy lock: two persons together stop actions in one scope.
//!
//! One proposes, another approves; from then on the lock is in force. A proposal can be withdrawn, and a
//! lock in force released, by any user of the scope: what needs two persons is to stop the business, not to
//! let it go on. Every step names the version of the lock that it was decided on, so that nobody approves
//! what they have not seen.

mod error;
mod model;
mod state;
mod steps;

use dataset_events::{RequestContext, current, dataset_event};

use super::nexus::Nexus;
use super::to_its_end::to_its_end;
use super::{ActionName, ActionPattern};
pub use error::StrategyLockError;
pub use model::{Lock, LockId, LockState, MAX_OPEN_LOCKS, MAX_PAGE, MAX_REASON_BYTES, StrategyName};
use steps::user;

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
    /// Once begun, this and every other step go on to their end even if the caller's future is dropped.
    ///
    /// # Errors
    ///
    /// - `strategy_lock.user_required`: the request has no user.
    /// - `strategy_lock.invalid_reason`: the reason is empty or longer than [`MAX_REASON_BYTES`].
    /// - `strategy_lock.too_many`: the scope has [`MAX_OPEN_LOCKS`] locks that are proposed or in force.
    /// - `ledger.unavailable`: the proposal cannot be recorded durably, so it is not made.
    /// - `strategy_lock.internal`: the database failed.
    pub async fn propose(
        &self,
        ctx: &RequestContext,
        strategy: &StrategyName,
        pattern: &ActionPattern,
        reason: &str,
    ) -> Result<Lock, StrategyLockError> {
        let (engine, reason) = (self.clone(), reason.to_owned());
        let (strategy, pattern) = (strategy.clone(), pattern.clone());
        to_its_end(ctx, "propose a strategy lock", |ctx| async move {
            engine.recorded_propose(&ctx, strategy, pattern, reason).await
        })
        .await
    }

    #[dataset_event(
        surface = "strategy_lock.propose",
        access = "create",
        guarantee = "durable",
        input(%strategy, %pattern, reason_bytes = reason.len(), reason = hashed(reason)),
        output(lock_id = ret.lock_id, version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy = strategy),
    )]
    async fn recorded_propose(
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
    pub async fn approve(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        let (engine, lock_id) = (self.clone(), lock_id.clone());
        to_its_end(ctx, "approve a strategy lock", |ctx| async move {
            engine.recorded_approve(&ctx, &lock_id, expected_version).await
        })
        .await
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
    async fn recorded_approve(
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
    pub async fn withdraw(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        let (engine, lock_id) = (self.clone(), lock_id.clone());
        to_its_end(ctx, "withdraw a strategy lock", |ctx| async move {
            engine.recorded_withdraw(&ctx, &lock_id, expected_version).await
        })
        .await
    }

    #[dataset_event(
        surface = "strategy_lock.withdraw",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    async fn recorded_withdraw(
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
    pub async fn release(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        let (engine, lock_id) = (self.clone(), lock_id.clone());
        to_its_end(ctx, "release a strategy lock", |ctx| async move {
            engine.recorded_release(&ctx, &lock_id, expected_version).await
        })
        .await
    }

    #[dataset_event(
        surface = "strategy_lock.release",
        access = "update",
        guarantee = "durable",
        input(%lock_id, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(strategy_lock = lock_id),
    )]
    async fn recorded_release(
        &self,
        ctx: &RequestContext,
        lock_id: &LockId,
        expected_version: u64,
    ) -> Result<Lock, StrategyLockError> {
        self.step(ctx, lock_id, expected_version, LockState::InForce, LockState::Released).await
    }

    /// The locks of the scope in one state, the oldest first: those after `after`, at most `limit` (1 to
    /// [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `strategy_lock.invalid_page`: `limit` is 0 or too large.
    /// - `strategy_lock.not_found`: the scope has no lock `after`.
    /// - `strategy_lock.internal`: the database failed.
    #[dataset_event(
        surface = "strategy_lock.list",
        access = "read",
        input(state, after, limit),
        output(count = ret.len()),
    )]
    pub async fn list(
        &self,
        ctx: &RequestContext,
        state: LockState,
        after: Option<&LockId>,
        limit: u32,
    ) -> Result<Vec<Lock>, StrategyLockError> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(StrategyLockError::InvalidPage { limit });
        }
        let after = after.cloned();
        let read = self.nexus.read(ctx, "list strategy locks", move |db| {
            let after = match after {
                None => None,
                Some(lock_id) => match state::lock(db, &lock_id)? {
                    Some(lock) => Some(lock),
                    None => return Err(StrategyLockError::NotFound { lock_id }),
                },
            };
            Ok(state::page(db, state, after.as_ref(), limit)?)
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
            // All of them, also those of a time when there could be more.
            let in_force = state::page(db, LockState::InForce, None, u32::MAX)?;
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
}
