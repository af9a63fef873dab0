//! What goes wrong with a service as a whole, and with a request from one to the other.

use std::io;
use std::path::PathBuf;

use dataset_events::config::ConfigError;
use dataset_events::{ErrorCode, OpenError};
use dataset_events_service::client::CarryError;
use dataset_events_service::dashboard::DashboardConfigError;
use dataset_events_service::identity::IdentityConfigError;
use dataset_events_service::{IncompleteAdmission, RecorderError, ServeError};
use thiserror::Error;

use crate::engines::NexusError;

/// A service could not start, or could not end in good order.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The line that says what to start could not be read.
    #[error("read the line of JSON on standard input that says which service to start")]
    Instructions(#[source] io::Error),
    /// The address could not be bound.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What configures ledger and sinks cannot be used.
    #[error("configure the ledger and its sinks{}", sinks_hint())]
    Config(#[source] ConfigError),
    /// A sink would write where the service talks to whoever started it.
    #[error("sink `{sink}`: a service says on its standard output how it fares; use the backend `ndjson`")]
    OutputTaken {
        /// Its name.
        sink: String,
    },
    /// The signal that has the configuration read again could not be taken.
    #[error("take SIGHUP, at which the configuration is read again")]
    Reload(#[source] io::Error),
    /// The ledger could not be opened.
    #[error("open a ledger in {}", root.display())]
    Ledger {
        /// The root of ledgers.
        root: PathBuf,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// The database could not be opened.
    #[error("open the database of the service")]
    Database(#[from] NexusError),
    /// The directory of snapshots could not be made.
    #[error("make the directory of snapshots {}", directory.display())]
    Snapshots {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The dashboard could not be set up.
    #[error("set up the dashboard")]
    Dashboard(#[from] DashboardConfigError),
    /// What authenticates requests could not be set up.
    #[error("set up who may ask")]
    Identity(#[from] IdentityConfigError),
    /// The admission layer lacks something.
    #[error(transparent)]
    Admission(#[from] IncompleteAdmission),
    /// The HTTP client could not be made.
    #[error("make the HTTP client")]
    Client(#[source] reqwest::Error),
    /// What the service has to say could not be written.
    #[error("say on standard output how the service fares")]
    Say(#[source] io::Error),
    /// The ledger could not be drained.
    #[error("serve")]
    Serve(#[from] ServeError),
    /// The metrics could not be set up.
    #[error("set up the metrics")]
    Metrics(#[source] RecorderError),
}

/// An error with what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Which sinks this program lacks, and how to build it with them.
fn sinks_hint() -> &'static str {
    match cfg!(feature = "sinks") {
        true => "",
        false => {
            " (this build has the backends `memory` and `ndjson`; the others come with `--features sinks`: \
             `cargo run --release --features sinks -- --config FILE`)"
        }
    }
}

/// The engines service could not be asked.
#[derive(Debug, Error, ErrorCode)]
pub(super) enum ServiceCallError {
    /// The request could not be given its context and token.
    #[error(transparent)]
    #[code(transparent)]
    Carry(#[from] CarryError),
    /// The engines service did not answer, or its answer broke off.
    #[error("the engines service could not be reached")]
    #[code("engines.unreachable", status = 503, retryable)]
    Unreachable(#[from] reqwest::Error),
}
