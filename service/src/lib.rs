//! dataset-events for HTTP services.
//!
//! A tower layer authenticates each request, gives it a scope, records one admission event, and hands the
//! handlers a `RequestContext`; every failure leaves as one JSON envelope.

pub mod admission;
mod carried;
pub mod client;
pub mod codes;
mod envelope;
mod extract;
mod health;
pub mod identity;
pub mod limits;
mod metrics;
pub mod rate_limit;
mod routes;
mod server;
pub mod trace_context;

pub use admission::{AddressRange, Admission, AdmissionBuilder, IncompleteAdmission};
pub use carried::Carried;
pub use client::{Carrier, RemoteError, TokenSource};
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
