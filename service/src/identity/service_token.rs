//! Tokens of one minute that carry scope and user from one service to the next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataset_events::RequestContext;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use thiserror::Error;

use super::jwt::check_issuer_name;
use super::keys::{check_secret, is_pem_of};
use super::{IdentityConfigError, SystemClock, UnixClock};

/// How long a service token is valid: 60 seconds.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

/// How far the clocks of two services may be apart: 5 seconds.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);

/// Mints a service token for one request to one service.
///
/// The other side verifies it with
/// [`JwtAuthenticator::for_service_tokens`](super::JwtAuthenticator::for_service_tokens). Between a mint and a
/// request no time should pass: mint for each request.
#[derive(Clone)]
pub struct ServiceTokens {
    issuer: String,
    service: String,
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
    clock: Arc<dyn UnixClock>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    tenant_id: &'a str,
    env: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl ServiceTokens {
    /// Signs with a secret of at least 32 bytes that both services hold (HS256).
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError`]: the issuer, the service's name or the secret is not accepted.
    pub fn hs256(
        issuer: impl Into<String>,
        service: impl Into<String>,
        secret: &[u8],
    ) -> Result<Self, IdentityConfigError> {
        check_secret(secret)?;
        Self::new(issuer.into(), service.into(), EncodingKey::from_secret(secret), Algorithm::HS256)
    }

    /// Signs with an Ed25519 private key, PEM of PKCS#8 (`PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError`]: the issuer, the service's name or the key is not accepted.
    pub fn eddsa_pem(
        issuer: impl Into<String>,
        service: impl Into<String>,
        pem: &[u8],
    ) -> Result<Self, IdentityConfigError> {
        let refused = |reason| IdentityConfigError::InvalidKey { algorithm: "EdDSA", reason };
        if !is_pem_of(pem, "PRIVATE KEY") {
            return Err(refused("expected PEM text with a private key, `-----BEGIN PRIVATE KEY-----`"));
        }
        let unusable = |_| refused("the PEM text does not hold an Ed25519 private key");
        let key = EncodingKey::from_ed_pem(pem).map_err(unusable)?;
        Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(unusable)?;
        Self::new(issuer.into(), service.into(), key, Algorithm::EdDSA)
    }

    fn new(
        issuer: String,
        service: String,
        key: EncodingKey,
        algorithm: Algorithm,
    ) -> Result<Self, IdentityConfigError> {
        check_issuer_name(&issuer)?;
        // Issuer, `|` and service are the authenticated subject on the other side.
        let subject = format!("{issuer}|{service}");
        if service.is_empty() || dataset_events::AuthSubject::new(&subject).is_err() {
            return Err(IdentityConfigError::InvalidServiceName { len_bytes: service.len() });
        }
        Ok(Self { issuer, service, key, algorithm, kid: None, clock: Arc::new(SystemClock) })
    }

    /// The same, naming this `kid` in each token.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The same, by this clock.
    #[must_use]
    pub fn clock(mut self, clock: impl UnixClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// A token of 60 seconds with the tenant, env and user of this context, for this audience.
    ///
    /// # Errors
    ///
    /// - [`MintError::SystemScope`]: the context is of the ledger's own scope, which no token may name.
    /// - [`MintError::Random`]: the system gave no random bytes.
    /// - [`MintError::Sign`]: the token could not be signed.
    pub fn mint(&self, ctx: &RequestContext, audience: &str) -> Result<String, MintError> {
        if ctx.scope().is_system() {
            return Err(MintError::SystemScope);
        }
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| MintError::Random)?;
        let now = self.clock.now();
        let claims = Claims {
            iss: &self.issuer,
            aud: audience,
            sub: &self.service,
            tenant_id: ctx.tenant_id().as_str(),
            env: ctx.env().as_str(),
            user_id: ctx.user_id().map(|user_id| user_id.as_str()),
            jti: format!("{:032x}", u128::from_be_bytes(id)),
            iat: now,
            nbf: now,
            exp: now.saturating_add(LIFETIME.as_secs()),
        };
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        encode(&header, &claims, &self.key).map_err(|_| MintError::Sign)
    }

    /// The public key as a JWK set, for the services that verify; `None` for a secret.
    pub fn public_jwks(&self) -> Option<String> {
        if self.algorithm != Algorithm::EdDSA {
            return None;
        }
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).ok()?;
        jwk.common.key_id.clone_from(&self.kid);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        serde_json::to_string(&JwkSet { keys: vec![jwk] }).ok()
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("issuer", &self.issuer)
            .field("service", &self.service)
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Why a service token was not minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintError {
    /// The context is of the ledger's own scope.
    #[error("mint a service token: the ledger's own scope cannot be passed on")]
    SystemScope,
    /// The system gave no random bytes.
    #[error("mint a service token: the system gave no random bytes for `jti`")]
    Random,
    /// The token could not be signed.
    #[error("mint a service token: signing failed; check the key of the service")]
    Sign,
}
