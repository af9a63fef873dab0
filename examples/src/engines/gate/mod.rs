//! The gate: what every guarded action passes before it is taken.
//!
//! The controls are asked in one order: kill switch, strategy lock, budget, KPI, temperature. The first that
//! refuses decides, and those behind it are not asked. The budget is only asked for an action with a price;
//! nothing is charged here. A control that cannot answer lets nothing pass. The gate reads the state of the
//! engines, never the ledger.

mod error;
mod model;

use std::fmt;

use dataset_events::{RequestContext, dataset_event};
use futures::future::BoxFuture;

use super::budget::{Receipt, Usage};
use super::{Budget, KillSwitch, Kpis, StrategyLock, Temperature};
pub use error::{GateError, Refusal};
pub use model::{Action, Passed};

/// The controls of a program, in its own process or in another.
///
/// An implementation never repeats `record_usage` by itself: each call charges once.
pub trait Controls: fmt::Debug + Send + Sync {
    /// Asks whether an action may be taken.
    ///
    /// # Errors
    ///
    /// The refusal of the first control that refuses, or the failure of one; the caller must not act.
    fn pass<'a>(
        &'a self,
        ctx: &'a RequestContext,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Passed, GateError>>;

    /// Charges for an action that was taken.
    ///
    /// # Errors
    ///
    /// As [`Budget::record_usage`](super::Budget::record_usage).
    fn record_usage<'a>(
        &'a self,
        ctx: &'a RequestContext,
        usage: &'a Usage,
    ) -> BoxFuture<'a, Result<Receipt, GateError>>;
}

/// The controls of the engines in this process.
#[derive(Debug, Clone)]
pub struct LocalControls {
    kill_switch: KillSwitch,
    strategy_lock: StrategyLock,
    budget: Budget,
    kpi: Kpis,
    temperature: Temperature,
}

impl LocalControls {
    /// The controls that these engines are.
    pub fn new(
        kill_switch: KillSwitch,
        strategy_lock: StrategyLock,
        budget: Budget,
        kpi: Kpis,
        temperature: Temperature,
    ) -> Self {
        Self { kill_switch, strategy_lock, budget, kpi, temperature }
    }

    /// Whether the action may be taken, asked of each control in turn.
    ///
    /// # Errors
    ///
    /// - `kill_switch.blocked`: the engine is switched off.
    /// - `strategy_lock.blocked`: a lock in force names the action.
    /// - `budget.threshold_exceeded`, `budget.policy_not_found`, `budget.invalid_amount`: the price cannot be
    ///   paid, or is none.
    /// - `kpi.out_of_corridor`: a KPI that guards the engine is outside its corridor.
    /// - `temperature.breached`: the temperature that guards the engine is out of bounds.
    /// - `kill_switch.internal`, `strategy_lock.internal`, `budget.internal`, `kpi.internal`,
    ///   `temperature.internal`: a control could not use its state.
    #[dataset_event(
        surface = "gate.pass",
        access = "read",
        input(action = action.name, price = action.price),
        output(remaining = ret.remaining),
        source_refs(action = action.name),
    )]
    pub async fn pass(&self, ctx: &RequestContext, action: &Action) -> Result<Passed, GateError> {
        let engine = action.name.engine();
        self.kill_switch.check(ctx, &engine).await?;
        self.strategy_lock.check(ctx, &action.name).await?;
        let remaining = match action.price {
            Some(price) => Some(self.budget.check(ctx, price).await?),
            None => None,
        };
        self.kpi.check(ctx, &engine).await?;
        self.temperature.check(ctx, &engine).await?;
        Ok(Passed { remaining })
    }
}

impl Controls for LocalControls {
    fn pass<'a>(
        &'a self,
        ctx: &'a RequestContext,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Passed, GateError>> {
        Box::pin(LocalControls::pass(self, ctx, action))
    }

    fn record_usage<'a>(
        &'a self,
        ctx: &'a RequestContext,
        usage: &'a Usage,
    ) -> BoxFuture<'a, Result<Receipt, GateError>> {
        Box::pin(async move { Ok(self.budget.record_usage(ctx, usage).await?) })
    }
}
