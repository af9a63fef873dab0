//! What is asked of the gate and what it answers; both travel as JSON between processes.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::engines::ActionName;
use crate::engines::budget::Money;

/// An action that somebody is about to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Which.
    pub name: ActionName,
    /// What it will cost at most; `None`: it costs nothing, and the budget is not asked.
    #[serde(default, with = "rust_decimal::serde::str_option")]
    pub price: Option<Decimal>,
}

impl Action {
    /// An action that costs nothing.
    pub fn free(name: ActionName) -> Self {
        Self { name, price: None }
    }

    /// An action that will cost at most `price`.
    pub fn priced(name: ActionName, price: Decimal) -> Self {
        Self { name, price: Some(price) }
    }
}

/// The gate let the action pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// What is left of the budget once the action is paid for; `None` when the budget was not asked.
    pub remaining: Option<Money>,
}
