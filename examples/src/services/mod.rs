//! The engines as two HTTP services: a gateway for clients, and the engines behind it.
//!
//! Each service has its own ledger in one root and its own database. See `docs/services.md`.

mod api;
mod config;
pub mod engines;
mod engines_client;
mod error;
mod forward;
pub mod gateway;
mod issuer;
mod remote_controls;
mod run;
mod sinks;

use std::path::{Path, PathBuf};

use dataset_events::Env;

pub use config::{Ended, GatewayConfig, Patience, Secret, ServiceConfig, Start, Started, UserKeys};
pub use error::ServiceError;
pub(crate) use error::with_causes;
pub use gateway::Gateway;
pub use issuer::{Issuer, IssuerError};
pub use run::{Running, run_from_stdin, start, start_with};
pub use sinks::{SinkReport, ledger_config};

/// The names of the services: in events, and as audiences of service tokens.
pub const GATEWAY: &str = "gateway";
/// See [`GATEWAY`].
pub const ENGINES: &str = "engines";
/// Where the gateway serves the dashboard.
const DASHBOARD: &str = "/dashboard";
/// Who issues service tokens.
const SERVICE_ISSUER: &str = "dataset-events-examples";
/// The env of a request whose identity names none; the tokens of the demo all do.
const DEPLOYMENT_ENV: Env = Env::from_static("prod");

/// The root of ledgers below the root of the services.
pub fn ledgers_of(root: &Path) -> PathBuf {
    root.join("ledgers")
}

/// Where the gateway keeps what it folded for the dashboard: a cache that may be deleted.
pub fn snapshots_of(root: &Path) -> PathBuf {
    root.join("read-models")
}

/// The address of a gateway's dashboard.
pub fn dashboard_of(gateway_url: &str) -> String {
    format!("{gateway_url}{DASHBOARD}")
}

/// The link that signs a browser in to a gateway's dashboard with a token.
pub fn sign_in_link(gateway_url: &str, token: &str) -> String {
    format!("{gateway_url}{DASHBOARD}/sign-in?token={token}")
}
