//! The gateway: identity, admission and rate limits for clients; chat and bossman; the way to the engines.

use std::sync::Arc;

use axum::Router;
use dataset_events::Ledger;
use dataset_events_service::identity::{DefaultScope, EnvSource, Jwks, JwtAuthenticator};
use dataset_events_service::{Admission, RateLimit, RemoteError, RouteTable};

use super::config::{GatewayConfig, Patience};
use super::engines_client::EnginesClient;
use super::error::{ServiceCallError, ServiceError};
use super::remote_controls::RemoteControls;
use super::{DEPLOYMENT_ENV, api, engines, forward};
use crate::engines::{Bossman, Chat, Nexus};

/// What the handlers of the gateway share.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub(super) chat: Chat,
    pub(super) bossman: Bossman,
    pub(super) engines: EnginesClient,
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
        let bossman = Bossman::new(ledger.clone()).with_root(super::ledgers_of(&config.service.root));
        Ok(Self { chat, bossman, engines })
    }
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
}

pub(super) fn router_with(
    ledger: &Ledger,
    gateway: Gateway,
    config: &GatewayConfig,
    patience: Patience,
) -> Result<(Router, Admission), ServiceError> {
    let users = JwtAuthenticator::builder()
        .issuer(&config.users.issuer)
        .audience(&config.users.audience)
        .jwks(Jwks::builder(&config.users.jwks_url).build()?)
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
    let router = routes.router().with_state(gateway);
    Ok((router.layer(admission.clone()), admission))
}
