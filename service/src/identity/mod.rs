//! Who asks: from the credentials of a request to an identity, and from an identity to one scope.

mod any_of;
mod claims;
mod clock;
mod config_error;
#[cfg(feature = "jwks")]
mod jwks;
#[cfg(feature = "jwks")]
mod jwks_fetch;
mod jwt;
mod keys;
mod scope;
mod service_token;
mod static_tokens;
mod tenant_in_path;
mod token;

use std::fmt;
use std::pin::Pin;

use dataset_events::{ActorType, AuthSubject, Code, Env, ErrorCode, Scope, TenantId, UserId};
use http::HeaderMap;
use thiserror::Error;

pub use any_of::{AnyOf, AnyOfBuilder};
pub use clock::{SystemClock, UnixClock};
pub use config_error::IdentityConfigError;
#[cfg(feature = "jwks")]
pub use jwks::{
    DEFAULT_MAX_AGE, DEFAULT_REFRESH, Jwks, JwksBuilder, JwksStatus, MIN_INTERVAL, REFRESH_BOUNDS,
};
#[cfg(feature = "jwks")]
pub use jwks_fetch::JwksError;
pub use jwt::{DEFAULT_LEEWAY, JwtAuthenticator, JwtBuilder, MAX_LEEWAY};
pub use keys::{KeySet, MIN_SECRET_BYTES, SigningAlgorithm, VerificationKey};
pub use scope::{DefaultScope, ENV_HEADER, EnvSource, TENANT_HEADER};
pub use service_token::{MintError, ServiceTokens};
pub use static_tokens::StaticTokens;
pub use tenant_in_path::TenantInPath;
pub use token::MAX_TOKEN_BYTES;

/// The future of an object-safe asynchronous method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a request brings to prove who asks.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    headers: &'a HeaderMap,
}

impl<'a> Credentials<'a> {
    /// The credentials in these headers.
    pub fn new(headers: &'a HeaderMap) -> Self {
        Self { headers }
    }

    /// All headers, for schemes other than bearer tokens.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The token of the one `Authorization: Bearer` header (RFC 6750).
    ///
    /// # Errors
    ///
    /// - [`AuthError::MissingCredentials`]: there is no `Authorization` header.
    /// - [`AuthError::MalformedCredentials`]: there are several, or it is not of the form `Bearer <token>`.
    pub fn bearer(&self) -> Result<&'a str, AuthError> {
        let mut values = self.headers.get_all(http::header::AUTHORIZATION).iter();
        let value = values.next().ok_or(AuthError::MissingCredentials)?;
        if values.next().is_some() {
            return Err(AuthError::MalformedCredentials);
        }
        let text = value.to_str().map_err(|_| AuthError::MalformedCredentials)?;
        let (scheme, token) = text.split_once(' ').ok_or(AuthError::MalformedCredentials)?;
        let token = token.trim_start_matches(' ');
        let is_token = !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        if scheme.eq_ignore_ascii_case("bearer") && is_token {
            Ok(token)
        } else {
            Err(AuthError::MalformedCredentials)
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token is a secret.
        f.write_str("Credentials")
    }
}

/// Who asks, as a credential proved it. It names tenants; it is not yet in one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The authenticated subject: issuer and `sub` of a token, or what a scheme has instead.
    pub subject: AuthSubject,
    /// The user, when the credential names one.
    pub user_id: Option<UserId>,
    /// The user for whom a service acts.
    pub on_behalf_of: Option<UserId>,
    /// The kind of actor.
    pub actor_type: ActorType,
    /// The tenants that the credential is good for; most name one.
    pub tenants: Vec<TenantId>,
    /// The env that the credential is good for, where the scheme is configured to say so.
    pub env: Option<Env>,
}

impl Identity {
    /// An identity of kind `user` without tenants.
    pub fn new(subject: AuthSubject) -> Self {
        Self {
            subject,
            user_id: None,
            on_behalf_of: None,
            actor_type: ActorType::User,
            tenants: Vec::new(),
            env: None,
        }
    }

    /// The same identity, of this user.
    #[must_use]
    pub fn user(mut self, user_id: UserId) -> Self {
        self.user_id = Some(user_id);
        self
    }

    /// The same identity, good for one more tenant.
    #[must_use]
    pub fn tenant(mut self, tenant_id: TenantId) -> Self {
        self.tenants.push(tenant_id);
        self
    }

    /// The same identity, good for this env only.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// The same identity, of this kind.
    #[must_use]
    pub fn actor_type(mut self, actor_type: ActorType) -> Self {
        self.actor_type = actor_type;
        self
    }

    /// The same identity, acting for this user.
    #[must_use]
    pub fn on_behalf_of(mut self, user_id: UserId) -> Self {
        self.on_behalf_of = Some(user_id);
        self
    }
}

/// Turns credentials into an identity. Must not block the thread; may wait for keys.
pub trait Authenticate: Send + Sync + 'static {
    /// Authenticates one request.
    ///
    /// # Errors
    ///
    /// [`AuthError`], whose code and status the client gets. It must not repeat the credential.
    fn authenticate<'a>(&'a self, credentials: Credentials<'a>)
    -> BoxFuture<'a, Result<Identity, AuthError>>;
}

/// What the scope of a request is resolved from.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Resolution<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// The env of this deployment.
    pub env: &'a Env,
    /// The request's head, with the path's parameters among its extensions where the router sets them.
    pub parts: &'a http::request::Parts,
}

impl<'a> Resolution<'a> {
    /// What this identity, in a deployment of this env, asks with this request.
    pub fn new(identity: &'a Identity, env: &'a Env, parts: &'a http::request::Parts) -> Self {
        Self { identity, env, parts }
    }
}

/// Chooses one scope among those that an identity is good for.
///
/// The default takes the identity's only tenant, and the configured env or the identity's. The `x-tenant-id`
/// and `x-env` headers may choose among what the identity has; they never add to it.
pub trait ResolveScope: Send + Sync + 'static {
    /// The scope of the request.
    ///
    /// The layer refuses a scope whose tenant is not among the identity's.
    ///
    /// # Errors
    ///
    /// [`AuthError::ScopeMismatch`] or [`AuthError::ScopeRequired`].
    fn resolve(&self, resolution: Resolution<'_>) -> Result<Scope, AuthError>;
}

/// Why a request has no identity or no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request brings no credentials.
    #[error("the request brings no credentials: send `Authorization: Bearer <token>`")]
    MissingCredentials,
    /// The credentials are not of the expected form.
    #[error("the credentials are not of the form `Authorization: Bearer <token>`, once")]
    MalformedCredentials,
    /// The token is not known, or its signature does not fit.
    #[error("the token's signature does not fit, or the token is not known")]
    InvalidToken,
    /// The token has expired.
    #[error("the token has expired: get a new one")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet: check the issuer's clock")]
    NotYetValid,
    /// The token was made for another service.
    #[error("the token was made for another audience")]
    WrongAudience,
    /// The token's issuer is not trusted.
    #[error("the token's issuer is not trusted here")]
    WrongIssuer,
    /// The token's algorithm is none of the accepted ones, or not the one of its key.
    #[error("the token's algorithm is not accepted for its key")]
    UnsupportedAlgorithm,
    /// The token names a key that is not known.
    #[error("the token names a key that is not known")]
    UnknownKey,
    /// A claim that is needed is missing or not valid.
    #[error("the token's claim `{claim}` is missing or not valid")]
    InvalidClaim {
        /// The claim's name, as configured.
        claim: String,
    },
    /// The keys could not be had, so no token can be checked.
    #[error("the keys to check tokens with cannot be had at the moment")]
    KeysUnavailable,
    /// The request asks for a scope that the identity is not good for.
    #[error("the request names a scope that its credentials are not good for")]
    ScopeMismatch,
    /// The identity has several tenants and the request does not say which.
    #[error("the credentials are good for several tenants: name one with `x-tenant-id`")]
    ScopeRequired,
}

impl AuthError {
    const MISSING: Code = Code::new("auth.missing_credentials").status(401);
    const MALFORMED: Code = Code::new("auth.malformed_credentials").status(401);
    const INVALID_TOKEN: Code = Code::new("auth.invalid_token").status(401);
    const EXPIRED: Code = Code::new("auth.token_expired").status(401);
    const NOT_YET_VALID: Code = Code::new("auth.token_not_yet_valid").status(401);
    const WRONG_AUDIENCE: Code = Code::new("auth.wrong_audience").status(401);
    const WRONG_ISSUER: Code = Code::new("auth.wrong_issuer").status(401);
    const UNSUPPORTED_ALGORITHM: Code = Code::new("auth.unsupported_algorithm").status(401);
    const UNKNOWN_KEY: Code = Code::new("auth.unknown_key").status(401);
    const INVALID_CLAIM: Code = Code::new("auth.invalid_claim").status(401);
    const KEYS_UNAVAILABLE: Code = Code::new("auth.keys_unavailable").status(503).retryable(true);
    const SCOPE_MISMATCH: Code = Code::new("auth.scope_mismatch").status(403);
    const SCOPE_REQUIRED: Code = Code::new("auth.scope_required").status(400);
}

impl ErrorCode for AuthError {
    fn code(&self) -> Code {
        match self {
            Self::MissingCredentials => Self::MISSING,
            Self::MalformedCredentials => Self::MALFORMED,
            Self::InvalidToken => Self::INVALID_TOKEN,
            Self::Expired => Self::EXPIRED,
            Self::NotYetValid => Self::NOT_YET_VALID,
            Self::WrongAudience => Self::WRONG_AUDIENCE,
            Self::WrongIssuer => Self::WRONG_ISSUER,
            Self::UnsupportedAlgorithm => Self::UNSUPPORTED_ALGORITHM,
            Self::UnknownKey => Self::UNKNOWN_KEY,
            Self::InvalidClaim { .. } => Self::INVALID_CLAIM,
            Self::KeysUnavailable => Self::KEYS_UNAVAILABLE,
            Self::ScopeMismatch => Self::SCOPE_MISMATCH,
            Self::ScopeRequired => Self::SCOPE_REQUIRED,
        }
    }

    fn codes() -> &'static [Code] {
        &[
            Self::MISSING,
            Self::MALFORMED,
            Self::INVALID_TOKEN,
            Self::EXPIRED,
            Self::NOT_YET_VALID,
            Self::WRONG_AUDIENCE,
            Self::WRONG_ISSUER,
            Self::UNSUPPORTED_ALGORITHM,
            Self::UNKNOWN_KEY,
            Self::INVALID_CLAIM,
            Self::KEYS_UNAVAILABLE,
            Self::SCOPE_MISMATCH,
            Self::SCOPE_REQUIRED,
        ]
    }
}
