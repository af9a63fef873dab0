//! dataset-events for HTTP services.
//!
//! A tower layer authenticates each request, gives it a scope, records one admission event, and hands the
//! handlers a `RequestContext`; every failure leaves as one JSON envelope.

pub mod identity;

pub use identity::{
    AnyOf, DefaultScope, EnvSource, IdentityConfigError, JwtAuthenticator, KeySet, MintError, ServiceTokens,
    StaticTokens, SystemClock, TenantInPath, UnixClock, VerificationKey,
};
pub use identity::{AuthError, Authenticate, BoxFuture, Credentials, Identity, Resolution, ResolveScope};
#[cfg(feature = "jwks")]
pub use identity::{Jwks, JwksError, JwksStatus};
