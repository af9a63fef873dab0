//! Why an authenticator cannot be built.

use thiserror::Error;

/// A configuration of identity was refused, before any request is served.
///
/// No message repeats a key, a secret or a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityConfigError {
    /// No issuer was named.
    #[error("build the JWT authenticator: no issuer is configured; call `issuer(..)`")]
    NoIssuer,
    /// The issuer cannot be part of an authenticated subject.
    #[error("issuer of {len_bytes} bytes: use 1 to 200 bytes of printable ASCII without space and `|`")]
    InvalidIssuer {
        /// The issuer's length, in bytes.
        len_bytes: usize,
    },
    /// The service's name cannot be part of an authenticated subject.
    #[error(
        "service name of {len_bytes} bytes: with the issuer 1 to 255 bytes of printable ASCII without space"
    )]
    InvalidServiceName {
        /// The name's length, in bytes.
        len_bytes: usize,
    },
    /// No audience was named.
    #[error("build the JWT authenticator: no audience is configured; call `audience(..)`")]
    NoAudience,
    /// No keys were given.
    #[error("build the JWT authenticator: no keys are configured; call `keys(..)` or `jwks(..)`")]
    NoKeys,
    /// The leeway is above its bound.
    #[error("leeway of {seconds} s: at most {max_seconds} s are accepted")]
    LeewayTooLong {
        /// What was asked for, in seconds.
        seconds: u64,
        /// The bound, in seconds.
        max_seconds: u64,
    },
    /// A claim's name is not usable.
    #[error("claim path for the {what}: it is empty, or a JSON pointer with a `~` that is not `~0` or `~1`")]
    InvalidClaimPath {
        /// What the claim was to name.
        what: &'static str,
    },
    /// A key was refused.
    #[error("load the {algorithm} key: {reason}")]
    InvalidKey {
        /// The algorithm it was meant for.
        algorithm: &'static str,
        /// What is wrong and what is accepted.
        reason: &'static str,
    },
    /// A JWK set was refused.
    #[error("load the JWK set: {reason}")]
    InvalidKeySet {
        /// What is wrong and what is accepted.
        reason: &'static str,
    },
    /// Two keys of a set have the same `kid` and the same algorithm.
    #[error("key set: two {algorithm} keys have the same kid")]
    DuplicateKey {
        /// Their algorithm.
        algorithm: &'static str,
    },
    /// The JWKS URL was refused.
    #[error("JWKS URL: {reason}")]
    InvalidJwksUrl {
        /// What is wrong and what is accepted.
        reason: &'static str,
    },
    /// The HTTP client for a JWKS URL could not be made.
    #[error("make the HTTP client for the JWKS URL: {reason}")]
    HttpClient {
        /// What the client's library says.
        reason: String,
    },
    /// Two authenticators answer for one issuer.
    #[error("two authenticators answer for one issuer: each issuer must have exactly one")]
    DuplicateIssuer,
    /// No authenticator was given.
    #[error("no authenticator is given: call `jwt(..)`, `issuer(..)` or `opaque(..)`")]
    NoAuthenticator,
    /// A line of static tokens was refused.
    #[error("static tokens, line {line}: {reason}")]
    StaticToken {
        /// The line, from 1.
        line: usize,
        /// What is wrong and what is accepted.
        reason: &'static str,
    },
    /// Static tokens could not be read.
    #[error("read static tokens from {source_name}: {reason}")]
    StaticTokensUnreadable {
        /// The file or the environment variable.
        source_name: String,
        /// What the system says.
        reason: String,
    },
}
