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

use std::path::{Path, PathBuf};

use dataset_events::Env;

pub use config::{Ended, GatewayConfig, Patience, Secret, ServiceConfig, Start, Started, UserKeys};
pub use error::ServiceError;
pub use gateway::Gateway;
pub use issuer::{Issuer, IssuerError};
pub use run::{Running, run_from_stdin, start, start_with};

/// The names of the services: in events, and as audiences of service tokens.
pub const GATEWAY: &str = "gateway";
/// See [`GATEWAY`].
pub const ENGINES: &str = "engines";
/// Who issues service tokens.
const SERVICE_ISSUER: &str = "dataset-events-examples";
/// The env of a request whose identity names none; the tokens of the demo all do.
const DEPLOYMENT_ENV: Env = Env::from_static("prod");

/// The root of ledgers below the root of the services.
pub fn ledgers_of(root: &Path) -> PathBuf {
    root.join("ledgers")
}
