//! dataset-events for HTTP services.
//!
//! A tower layer authenticates each request, gives it a scope, records one admission event, and hands the
//! handlers a `RequestContext`; every failure leaves as one JSON envelope.

pub mod admission;
mod carried;
pub mod codes;
mod envelope;
mod extract;
pub mod identity;
pub mod limits;
pub mod rate_limit;
pub mod trace_context;

pub use admission::{AddressRange, Admission, AdmissionBuilder, IncompleteAdmission};
pub use carried::Carried;
pub use envelope::ApiError;
pub use extract::{Ctx, Json, Path, Query};
pub use identity::{AuthError, Authenticate, BoxFuture, Credentials, Identity, Resolution, ResolveScope};
pub use limits::{Limits, RouteLimits};
pub use rate_limit::{RateLimit, RateLimits};
