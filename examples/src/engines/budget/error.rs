//! Failures of the budget engine.

use dataset_events::{ErrorCode, LedgerUnavailable};
use rust_decimal::Decimal;
use thiserror::Error;

use super::{Currency, Money};
use crate::engines::NexusError;

/// Why the budget engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum BudgetError {
    /// The limit of the month would be passed.
    #[error("{amount} more would pass the limit: {spent} of {limit} {currency} are spent this month")]
    #[code("budget.threshold_exceeded", status = 402, denied)]
    ThresholdExceeded {
        /// What was asked for.
        amount: Money,
        /// What is spent.
        spent: Money,
        /// The limit.
        limit: Money,
        /// The currency of all three.
        currency: Currency,
    },
    /// The scope has no policy, so nothing may be spent in it.
    #[error("no budget policy is set in this scope: set one before anything is spent")]
    #[code("budget.policy_not_found", status = 404)]
    PolicyNotFound,
    /// The amount is negative, too large, or finer than a millionth.
    #[error("{amount} is no amount of money here: expected 0 to {}, at most 6 decimal places", Money::MAX)]
    #[code("budget.invalid_amount", status = 422)]
    InvalidAmount {
        /// The refused amount.
        amount: Decimal,
    },
    /// The currency of a policy cannot change while money is counted in the old one.
    #[error("the policy counts in {current}, and usage was recorded in it: {asked} is refused")]
    #[code("budget.currency_mismatch", status = 409)]
    CurrencyMismatch {
        /// The currency of the policy.
        current: Currency,
        /// The currency that was asked for.
        asked: Currency,
    },
    /// The ledger could not take the new policy, so it was not set.
    #[error(transparent)]
    #[code(transparent)]
    Ledger(#[from] LedgerUnavailable),
    /// The database failed.
    #[error("the budget engine could not use its state")]
    #[code("budget.internal", status = 500)]
    Internal(#[from] NexusError),
}
