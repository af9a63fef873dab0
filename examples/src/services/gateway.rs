//! The gateway: identity, admission and rate limits for clients; chat, bossman and the dashboard; the way to the
//! engines.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use dataset_events::{Ledger, LedgerSet};
use dataset_events_service::dashboard::Dashboard;
use dataset_events_service::identity::{DefaultScope, EnvSource, Jwks, JwtAuthenticator};
use dataset_events_service::{Admission, HealthChecks, RateLimit, RemoteError, RouteTable};

use super::config::{GatewayConfig, Patience};
use super::engines_client::EnginesClient;
use super::error::{ServiceCallError, ServiceError};
use super::remote_controls::RemoteControls;
use super::{DASHBOARD, DEPLOYMENT_ENV, api, engines, forward};
use crate::engines::{Bossman, Chat, Nexus};
use crate::panels;

/// How old the users' keys may become when their issuer does not answer.
const MAX_KEY_AGE: Duration = Duration::from_secs(24 * 3600);

/// What the handlers of the gateway share.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub(super) chat: Chat,
    pub(super) bossman: Bossman,
    pub(super) engines: EnginesClient,
    users: Jwks,
}

impl Gateway {
    /// The gateway over its own database, its own ledger (and, for the dashboard, all of its root), and the
    /// engines service behind it.
    ///
    /// # Errors
    ///
    /// [`ServiceError`].
    pub fn new(ledger: &Ledger, nexus: Nexus, config: &GatewayConfig) -> Result<Self, ServiceError> {
        let engines = EnginesClient::new(ledger, &config.engines_url, &config.service.service_secret)?;
        let chat = Chat::new(nexus, Arc::new(RemoteControls::new(engines.clone())));
        let directory = super::snapshots_of(&config.service.root);
        let bossman = Bossman::new(ledger.clone())
            .with_root(super::ledgers_of(&config.service.root))
            .with_snapshots(&directory)
            .map_err(|source| ServiceError::Snapshots { directory, source })?;
        let users = Jwks::builder(&config.users.jwks_url).max_age(MAX_KEY_AGE).build()?;
        Ok(Self { chat, bossman, engines, users })
    }

    /// Fetches the users' keys, so that the first request need not wait for them.
    ///
    /// An issuer that does not answer is no reason not to start: until it does, the gateway is not ready.
    pub(super) async fn warm_up(&self) {
        // What became of it is in the keys' status, which readiness asks.
        let _ = self.users.warm_up().await;
    }

    /// Adds what the gateway needs to be of use: the users' keys, and the engines service.
    pub(super) fn checks(&self, checks: HealthChecks) -> HealthChecks {
        let (users, engines) = (self.users.clone(), self.engines.clone());
        checks.check("user_keys", move || has_keys(users.clone())).check("engines", move || {
            let engines = engines.clone();
            async move { engines.is_alive().await }
        })
    }
}

/// Keys that are held are good even when fetching newer ones fails; without any, they are fetched.
async fn has_keys(users: Jwks) -> Result<(), String> {
    let status = users.status();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let is_young = |fetched_at: u64| now.saturating_sub(fetched_at) < MAX_KEY_AGE.as_secs();
    if status.keys > 0 && status.fetched_at.is_some_and(is_young) {
        return Ok(());
    }
    users.warm_up().await.map_err(|error| error.to_string())
}

/// The routes of the gateway: its own, and those of the engines service that clients may reach.
pub fn routes(requests_per_second: u32) -> RouteTable<Gateway> {
    let forwarded = engines::exposed_routes()
        .answered_by(forward::forward)
        .errors_everywhere::<RemoteError>()
        .errors_everywhere::<ServiceCallError>();
    RouteTable::new()
        .rate_limit(RateLimit::per_second(requests_per_second))
        .merge(api::chat::routes())
        .merge(api::bossman::routes())
        .merge(forwarded)
}

/// The routes of the dashboard, as Markdown.
pub fn dashboard_routes() -> String {
    Dashboard::routes_markdown(DASHBOARD)
}

/// The service as a router, and its admission layer.
///
/// # Errors
///
/// [`ServiceError`]: the users' keys or the client of the engines service cannot be set up.
pub fn router(
    ledger: &Ledger,
    gateway: Gateway,
    config: &GatewayConfig,
) -> Result<(Router, Admission), ServiceError> {
    router_with(ledger, gateway, config, Patience::default())
        .map(|(router, admission, _)| (router, admission))
}

/// What the gateway has folded for its views.
pub(super) struct Views {
    bossman: Bossman,
    dashboard: Dashboard,
}

impl Views {
    /// Writes what is in no snapshot yet, so that the next start need not fold it again. Blocks.
    pub(super) fn save(&self) {
        self.bossman.save_snapshots();
        self.dashboard.save_snapshots();
    }
}

pub(super) fn router_with(
    ledger: &Ledger,
    gateway: Gateway,
    config: &GatewayConfig,
    patience: Patience,
) -> Result<(Router, Admission, Views), ServiceError> {
    let users = JwtAuthenticator::builder()
        .issuer(&config.users.issuer)
        .audience(&config.users.audience)
        .jwks(gateway.users.clone())
        .env_claim("env")
        .build()?;
    let routes = routes(config.requests_per_second).limits(patience.limits());
    let admission = Admission::builder(ledger)
        .authenticate(users)
        .env(DEPLOYMENT_ENV)
        .resolve_scope(DefaultScope::new().env_source(EnvSource::Identity))
        .rate_limits(routes.rate_limits())
        .limits(routes.route_limits())
        .build()?;
    let bossman = gateway.bossman.clone();
    let router = routes.router().with_state(gateway).layer(admission.clone());
    let dashboard = Dashboard::builder(LedgerSet::of(ledger))
        .base_path(DASHBOARD)
        .snapshots(super::snapshots_of(&config.service.root));
    let dashboard = panels::add_to(dashboard).build()?;
    // It brings the admission layer inside its session, which turns the cookie into a token.
    let router = router.merge(dashboard.nested(&admission));
    Ok((router, admission, Views { bossman, dashboard }))
}
