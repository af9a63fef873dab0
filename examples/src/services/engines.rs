//! The engines service: budget, KPI, temperature, kill switch, strategy lock, media, vector, and the gate.
//!
//! It takes requests of the gateway alone: with a service token of 60 seconds that names scope and user.

use axum::Router;
use axum::routing::get;
use dataset_events::Ledger;
use dataset_events_service::identity::{DefaultScope, EnvSource, JwtAuthenticator, KeySet, VerificationKey};
use dataset_events_service::{Admission, RouteTable};

use super::api;
use super::config::{Patience, Secret};
use super::error::ServiceError;
use super::{DEPLOYMENT_ENV, ENGINES, SERVICE_ISSUER};
use crate::engines::Engines;

/// Where the gateway asks whether the service is there. Public: it says nothing else.
pub(super) const ALIVE: &str = "/healthz";

/// What clients of the gateway may reach: everything but the gate.
pub(super) fn exposed_routes() -> RouteTable<Engines> {
    api::budget::routes()
        .merge(api::kill_switch::routes())
        .merge(api::strategy_lock::routes())
        .merge(api::kpi::routes())
        .merge(api::temperature::routes())
        .merge(api::media::routes())
        .merge(api::vector::routes())
}

/// The routes of the engines service.
pub fn routes() -> RouteTable<Engines> {
    exposed_routes().merge(api::gate::routes())
}

/// The service as a router, and its admission layer.
///
/// # Errors
///
/// [`ServiceError::Identity`] when the secret is too short.
pub fn router(
    ledger: &Ledger,
    engines: Engines,
    service_secret: &Secret,
) -> Result<(Router, Admission), ServiceError> {
    router_with(ledger, engines, service_secret, Patience::default())
}

pub(super) fn router_with(
    ledger: &Ledger,
    engines: Engines,
    service_secret: &Secret,
    patience: Patience,
) -> Result<(Router, Admission), ServiceError> {
    let keys = KeySet::new([VerificationKey::hs256(service_secret.as_bytes())?])?;
    let tokens = JwtAuthenticator::for_service_tokens(SERVICE_ISSUER, ENGINES, keys).build()?;
    let routes = routes().limits(patience.limits());
    let admission = Admission::builder(ledger)
        .authenticate(tokens)
        .env(DEPLOYMENT_ENV)
        // The token's env: one service works for all envs of the demo.
        .resolve_scope(DefaultScope::new().env_source(EnvSource::Identity))
        .public(ALIVE)
        .rate_limits(routes.rate_limits())
        .limits(routes.route_limits())
        .build()?;
    let router = routes.router().with_state(engines).route(ALIVE, get(|| async {}));
    Ok((router.layer(admission.clone()), admission))
}
