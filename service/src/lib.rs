//! dataset-events for HTTP services.
//!
//! A tower layer authenticates each request, gives it a scope, records one admission event, and hands the
//! handlers a `RequestContext`; every failure leaves as one JSON envelope.
//!
//! ```no_run
//! use dataset_events::{Env, ErrorCode, Ledger, RequestContext, dataset_event};
//! use dataset_events_service::{
//!     Admission, ApiError, Authenticate, Ctx, HealthChecks, Json, MetricsEndpoint, Path, RateLimit, Route,
//!     RouteTable, ServeOptions, ServeReport, serve,
//! };
//!
//! #[derive(Debug, ErrorCode, thiserror::Error)]
//! enum OrderError {
//!     #[error("there is no order {0}")]
//!     #[code("orders.not_found", status = 404)]
//!     NotFound(u32),
//! }
//!
//! #[dataset_event(surface = "orders.read", access = "read", input(id))]
//! fn read_order(ctx: &RequestContext, id: u32) -> Result<String, OrderError> {
//!     Err(OrderError::NotFound(id))
//! }
//!
//! async fn get_order(ctx: Ctx, Path(id): Path<u32>) -> Result<Json<String>, ApiError> {
//!     Ok(Json(read_order(&ctx, id)?))
//! }
//!
//! async fn run(authenticator: impl Authenticate) -> Result<ServeReport, Box<dyn std::error::Error>> {
//!     let ledger = Ledger::options().root("var/orders").service("orders", "1.0.0").open()?;
//!     let table: RouteTable = RouteTable::new()
//!         .rate_limit(RateLimit::per_second(50))
//!         .route(Route::get("/v1/orders/{id}", get_order).errors::<OrderError>());
//!     let admission = Admission::builder(&ledger)
//!         .authenticate(authenticator)
//!         .env(Env::from_static("prod"))
//!         .rate_limits(table.rate_limits())
//!         .limits(table.route_limits())
//!         .build()?;
//!     let router = table
//!         .router()
//!         .layer(admission.clone())
//!         .merge(HealthChecks::new(&ledger).router())
//!         .merge(MetricsEndpoint::new(&ledger)?.router());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     Ok(serve(listener, router, ledger, ServeOptions::new().admission(&admission)).await?)
//! }
//! ```

pub mod admission;
mod by_route;
mod carried;
pub mod client;
pub mod codes;
mod cut;
mod deferred;
mod envelope;
mod extract;
mod health;
pub mod identity;
pub mod limits;
mod linger;
mod method;
mod metrics;
pub mod rate_limit;
mod routes;
mod server;
pub mod trace_context;

pub use admission::{AddressRange, Admission, AdmissionBuilder, IncompleteAdmission};
pub use carried::Carried;
pub use client::{Carrier, CarryError, RemoteError, TokenSource};
pub use envelope::ApiError;
pub use extract::{Ctx, Json, Path, Query};
pub use health::HealthChecks;
pub use identity::{
    AnyOf, DefaultScope, EnvSource, IdentityConfigError, JwtAuthenticator, KeySet, MintError, ServiceTokens,
    StaticTokens, SystemClock, TenantInPath, UnixClock, VerificationKey,
};
pub use identity::{AuthError, Authenticate, BoxFuture, Credentials, Identity, Resolution, ResolveScope};
#[cfg(feature = "jwks")]
pub use identity::{Jwks, JwksError, JwksStatus};
pub use limits::{Limits, RouteLimits};
pub use metrics::{MetricsEndpoint, RecorderError};
pub use rate_limit::{RateLimit, RateLimits};
pub use routes::{Route, RouteTable, route_not_found};
pub use server::{ServeError, ServeOptions, ServeReport, serve};
