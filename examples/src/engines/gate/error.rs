//! What the gate answers when it does not let an action pass.

use std::error::Error as StdError;
use std::fmt;

use dataset_events::{Code, ErrorCode};
use thiserror::Error;

use crate::engines::budget::BudgetError;
use crate::engines::kill_switch::KillSwitchError;
use crate::engines::kpi::KpiError;
use crate::engines::strategy_lock::StrategyLockError;
use crate::engines::temperature::TemperatureError;

/// Why an action may not be taken. Its code is that of the control which refused.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum GateError {
    /// The kill switch refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    KillSwitch(#[from] KillSwitchError),
    /// A strategy lock refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    StrategyLock(#[from] StrategyLockError),
    /// The budget refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    Budget(#[from] BudgetError),
    /// A KPI refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    Kpi(#[from] KpiError),
    /// The temperature refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    Temperature(#[from] TemperatureError),
    /// Controls in another process refused or failed.
    #[error(transparent)]
    #[code(transparent)]
    Elsewhere(Refusal),
    /// Controls in another process could not be asked; the caller must not act.
    #[error("{action}: the controls could not be reached")]
    #[code("gate.unreachable", status = 503, retryable)]
    Unreachable {
        /// What was attempted.
        action: &'static str,
        /// What the transport said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Controls in another process gave an answer that cannot be read; the caller must not act.
    #[error("{action}: the controls gave an answer that cannot be read")]
    #[code("gate.invalid_answer", status = 502)]
    InvalidAnswer {
        /// What was attempted.
        action: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// What controls in another process answered instead of letting an action pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    message: String,
}

impl Refusal {
    /// For a code that this program does not know, such as one of a later version.
    pub const UNKNOWN: Code = Code::new("gate.unknown_refusal").status(502);

    /// The message as it was received.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl StdError for Refusal {}

impl ErrorCode for Refusal {
    fn code(&self) -> Code {
        self.code
    }

    fn codes() -> &'static [Code] {
        &[Self::UNKNOWN]
    }
}

impl GateError {
    /// The refusal that controls in another process sent, by its code: a code that the controls of this
    /// program have comes back as the same [`Code`], with its status; any other is [`Refusal::UNKNOWN`].
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Elsewhere(match Self::codes().iter().find(|known| known.name() == code) {
            Some(known) => Refusal { code: *known, message },
            None => {
                let shown: String = code.chars().take(64).collect();
                let message = format!("the controls refused with a code that is not known here, {shown:?}");
                Refusal { code: Refusal::UNKNOWN, message }
            }
        })
    }
}
