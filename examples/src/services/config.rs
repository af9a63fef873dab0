//! What a service of the example needs to start, and what it says once it has.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events_service::Limits;
use serde::{Deserialize, Serialize};

use super::sinks::SinkReport;

/// A secret that services share. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A new secret of 32 random bytes, as hex.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The bytes of the secret.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What both services need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// Where ledgers and databases lie. Both services use the same root.
    pub root: PathBuf,
    /// The address for requests; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The address for operators: health, readiness, sinks, and metrics, which name tenants. Port 0 as above.
    pub operations: SocketAddr,
    /// What service tokens are signed with.
    pub service_secret: Secret,
    /// The file that configures ledger and sinks; the environment is laid over it, and counts without it too.
    #[serde(default)]
    pub ledger_config: Option<PathBuf>,
}

/// Who vouches for the users of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserKeys {
    /// Where the issuer publishes its keys.
    pub jwks_url: String,
    /// The issuer of user tokens.
    pub issuer: String,
    /// The audience that user tokens must name.
    pub audience: String,
}

/// What the gateway needs besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// What both services need.
    #[serde(flatten)]
    pub service: ServiceConfig,
    /// Who vouches for the users.
    pub users: UserKeys,
    /// Where the engines service listens: `http://host:port`.
    pub engines_url: String,
    /// Requests a second for each tenant and route.
    pub requests_per_second: u32,
}

/// How long a service waits for a request that comes in slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For its head. A connection that is slower is closed.
    pub head: Duration,
    /// For its body, on routes without bounds of their own: those that take media or images keep theirs.
    pub body: Duration,
}

impl Default for Patience {
    /// 30 s for the head, 15 s for the body.
    fn default() -> Self {
        Self { head: Duration::from_secs(30), body: Duration::from_secs(15) }
    }
}

impl Patience {
    /// The bounds of routes that have none of their own.
    pub(super) fn limits(self) -> Limits {
        Limits::new().body_time(self.body)
    }
}

/// One service to start; a process reads it as one line of JSON from standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Start {
    /// The engines service.
    Engines(ServiceConfig),
    /// The gateway.
    Gateway(GatewayConfig),
}

/// What a service says, as one line of JSON on standard output, when it takes requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// The address it takes requests on.
    pub listening: SocketAddr,
    /// The address of health, readiness and metrics.
    pub operations: SocketAddr,
    /// Its ledger.
    pub ledger_id: LedgerId,
    /// The ledger's directory.
    pub ledger: PathBuf,
}

/// What a service says when it has ended in good order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// Whether every request in flight was answered in time.
    pub is_complete: bool,
    /// Events that were made durable while it ended.
    pub drained_events: u64,
    /// How the sinks of its ledger were left.
    pub sinks: Vec<SinkReport>,
}
