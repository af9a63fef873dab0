//! The sinks of a service's ledger: how they are chosen, and how they fare.

use std::path::Path;

use dataset_events::config::Config;
use dataset_events::sinks::{ForwardState, SinkStatus};
use dataset_events::{Ledger, LogPosition};
use serde::{Deserialize, Serialize};

use super::error::ServiceError;

/// Sinks of these kinds can be read back and verified alone, away from the machine.
const COPIES: [&str; 3] = ["replica", "firestore", "bigquery"];

/// How a sink fares, as the operations address says at `/sinks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkReport {
    /// The operator's name of it.
    pub name: String,
    /// What it is: `firestore`.
    pub kind: String,
    /// Where it writes.
    pub target: String,
    /// Whether retention and the end of the service wait for it.
    pub required: bool,
    /// Whether it holds every line in a form that can be verified elsewhere.
    pub is_copy: bool,
    /// What it does: `running`.
    pub state: String,
    /// Why it stopped, or what went wrong last.
    pub error: Option<String>,
    /// Up to where it has the log.
    pub acknowledged: LogPosition,
    /// Durable events behind that.
    pub lag_events: u64,
    /// Durable bytes of the log behind it.
    pub lag_bytes: u64,
    /// The age of the oldest line behind it; 0 when there is none.
    pub lag_seconds: f64,
    /// Entries that it refused for good.
    pub dead_letters: u64,
}

impl SinkReport {
    fn of(status: SinkStatus) -> Self {
        let error = match &status.state {
            ForwardState::Stopped { reason } => Some(reason.clone()),
            _ => status.last_error.map(|error| error.message),
        };
        Self {
            is_copy: COPIES.contains(&status.kind) && status.surfaces.is_empty(),
            name: status.name,
            kind: status.kind.to_owned(),
            target: status.target,
            required: status.required,
            state: status.state.as_str().to_owned(),
            error,
            acknowledged: status.acknowledged,
            lag_events: status.lag_events,
            lag_bytes: status.lag_bytes,
            lag_seconds: status.lag_seconds,
            dead_letters: status.dead_letters,
        }
    }

    /// How the sinks of a ledger fare; also of one that is closed.
    pub fn of_ledger(ledger: &Ledger) -> Vec<Self> {
        ledger.sinks().statuses().into_iter().map(Self::of).collect()
    }
}

/// What configures a ledger and its sinks: a file, where one is named, and over it the environment.
///
/// # Errors
///
/// [`ServiceError::Config`]; [`ServiceError::OutputTaken`] when it names a sink of the kind `stdout`.
pub fn ledger_config(file: Option<&Path>) -> Result<Config, ServiceError> {
    let builder = Config::builder().environment();
    let builder = match file {
        Some(file) => builder.file(file),
        None => builder,
    };
    let config = builder.build().map_err(ServiceError::Config)?;
    let is_stdout = |name: &&str| config.get(&format!("sinks.{name}.backend")).as_deref() == Some("stdout");
    let taken = config.sink_names().find(is_stdout).map(str::to_owned);
    match taken {
        Some(sink) => Err(ServiceError::OutputTaken { sink }),
        None => Ok(config),
    }
}
