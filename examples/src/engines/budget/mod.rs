//! The budget: what a scope may spend in a month, what it spent, and whether more is allowed.
//!
//! A usage is a fact and is never refused for its height; the gate is [`Budget::check`], which callers
//! ask first. Calls that pass the gate at the same time may pass the limit together, by at most what
//! they cost; the receipt and the next check show it.

mod error;
mod model;
mod money;
mod state;

use dataset_events::{RequestContext, current, dataset_event};
use rust_decimal::Decimal;

use super::nexus::Nexus;
use super::to_its_end::to_its_end;
pub use error::BudgetError;
pub(crate) use model::month_of;
pub use model::{KindTotal, Label, Origin, OriginTotal, Policy, Receipt, Summary, Usage, UsageKind};
pub use money::{Currency, InvalidCurrency, Money};

/// The budget engine.
#[derive(Debug, Clone)]
pub struct Budget {
    nexus: Nexus,
}

impl Budget {
    pub(super) fn new(nexus: Nexus) -> Self {
        Self { nexus }
    }

    /// Sets what may be spent in a month.
    ///
    /// Once begun, this goes on to its end even if the caller's future is dropped.
    ///
    /// # Errors
    ///
    /// - `budget.invalid_amount`: the limit is negative, too large or too fine.
    /// - `budget.currency_mismatch`: usage was already recorded in another currency.
    /// - `ledger.unavailable`: the change cannot be recorded durably, so it is not made.
    /// - `budget.internal`: the database failed.
    pub async fn set_policy(
        &self,
        ctx: &RequestContext,
        limit: Decimal,
        currency: Currency,
    ) -> Result<Policy, BudgetError> {
        let engine = self.clone();
        to_its_end(ctx, "set a budget policy", |ctx| async move {
            engine.recorded_set_policy(&ctx, limit, currency).await
        })
        .await
    }

    #[dataset_event(
        surface = "budget.set_policy",
        access = "update",
        guarantee = "durable",
        input(%limit, currency),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(budget_policy = "monthly"),
    )]
    async fn recorded_set_policy(
        &self,
        ctx: &RequestContext,
        limit: Decimal,
        currency: Currency,
    ) -> Result<Policy, BudgetError> {
        let limit = Money::new(limit)?;
        let updated_by = super::acting(ctx);
        let updated_at_us = self.nexus.now_us();
        let updated = self.nexus.write(ctx, "set a budget policy", move |db| {
            let before = state::policy(db)?;
            if let Some(current) = before.as_ref().map(|policy| policy.currency)
                && current != currency
                && state::has_usage(db)?
            {
                return Err(BudgetError::CurrencyMismatch { current, asked: currency });
            }
            let version = before.as_ref().map_or(0, |policy| policy.version) + 1;
            let policy = Policy { limit, currency, version, updated_by, updated_at_us };
            state::save_policy(db, &policy)?;
            Ok((before, policy))
        });
        let (before, after) = updated.await?;
        let (limit, currency) = before.map(|policy| (policy.limit, policy.currency)).unzip();
        if limit != Some(after.limit) {
            current().change("limit", limit, after.limit);
        }
        if currency != Some(after.currency) {
            current().change("currency", currency, after.currency);
        }
        Ok(after)
    }

    /// Records that money was spent.
    ///
    /// # Errors
    ///
    /// - `budget.invalid_amount`: the amount is negative, too large or too fine.
    /// - `budget.policy_not_found`: nothing says in which currency this scope counts.
    /// - `budget.internal`: the database failed.
    #[dataset_event(
        surface = "budget.record_usage",
        access = "create",
        input(kind = usage.kind, amount = %usage.amount, origin = usage.origin),
        output(usage_id = ret.usage_id, spent = ret.spent, is_over_limit = ret.is_over_limit),
        source_refs(budget_policy = "monthly"),
    )]
    pub async fn record_usage(&self, ctx: &RequestContext, usage: &Usage) -> Result<Receipt, BudgetError> {
        let amount = Money::new(usage.amount)?;
        let (kind, origin) = (usage.kind, usage.origin.clone());
        let usage_id = self.nexus.new_id("use")?;
        let recorded_by = super::acting(ctx);
        let recorded_at_us = self.nexus.now_us();
        let recorded = self.nexus.write(ctx, "record a usage", move |db| {
            let policy = state::policy(db)?.ok_or(BudgetError::PolicyNotFound)?;
            let month = model::month_of(recorded_at_us);
            let usage = state::Entry { usage_id, kind, amount, origin, recorded_by, recorded_at_us };
            state::save_usage(db, &month, &usage)?;
            let spent = state::spent(db, &month)?;
            Ok(Receipt {
                usage_id: usage.usage_id,
                spent,
                remaining: policy.limit.saturating_sub(spent),
                is_over_limit: spent > policy.limit,
            })
        });
        let receipt: Result<Receipt, BudgetError> = recorded.await;
        let receipt = receipt?;
        // The month that it counts in is that of the engine's time, not that of the ledger's.
        current().output("recorded_at_us", recorded_at_us);
        Ok(receipt)
    }

    /// What was spent this month, by kind and by who was paid, and what is left.
    ///
    /// # Errors
    ///
    /// - `budget.policy_not_found`: no policy is set in this scope.
    /// - `budget.internal`: the database failed.
    #[dataset_event(
        surface = "budget.summary",
        access = "read",
        output(month = ret.month, spent = ret.spent, limit = ret.policy.limit, currency = ret.policy.currency),
        source_refs(budget_policy = "monthly"),
    )]
    pub async fn summary(&self, ctx: &RequestContext) -> Result<Summary, BudgetError> {
        let month = model::month_of(self.nexus.now_us());
        let read = self.nexus.read(ctx, "summarise a budget", move |db| {
            let policy = state::policy(db)?.ok_or(BudgetError::PolicyNotFound)?;
            let kinds = state::totals(db, &month)?;
            let spent = kinds.iter().fold(Money::ZERO, |sum, kind| sum.saturating_add(kind.total));
            let origins = state::origins(db, &month)?;
            let remaining = policy.limit.saturating_sub(spent);
            Ok(Summary { month, policy, spent, remaining, kinds, origins })
        });
        read.await
    }

    /// Whether `amount` more may be spent this month. Answers what would then be left.
    ///
    /// # Errors
    ///
    /// - `budget.threshold_exceeded`: it would pass the limit.
    /// - `budget.policy_not_found`: no policy is set in this scope, so nothing may be spent.
    /// - `budget.invalid_amount`: the amount is negative, too large or too fine.
    /// - `budget.internal`: the database failed; the caller must not spend.
    #[dataset_event(
        surface = "budget.check",
        access = "read",
        input(%amount),
        output(remaining = ret),
        source_refs(budget_policy = "monthly"),
    )]
    pub async fn check(&self, ctx: &RequestContext, amount: Decimal) -> Result<Money, BudgetError> {
        let amount = Money::new(amount)?;
        let month = model::month_of(self.nexus.now_us());
        let read = self.nexus.read(ctx, "check a budget", move |db| {
            let policy = state::policy(db)?.ok_or(BudgetError::PolicyNotFound)?;
            let spent = state::spent(db, &month)?;
            let after = spent.saturating_add(amount);
            if after > policy.limit {
                let Policy { limit, currency, .. } = policy;
                return Err(BudgetError::ThresholdExceeded { amount, spent, limit, currency });
            }
            Ok(policy.limit.saturating_sub(after))
        });
        let answer = read.await;
        if let Err(BudgetError::ThresholdExceeded { spent, limit, .. }) = &answer {
            // A denial is disputed by its numbers.
            current().output("spent", spent).output("limit", limit);
        }
        answer
    }
}
