//! JSON Web Tokens of trusted issuers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataset_events::ActorType;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Validation, decode};
use serde_json::{Map, Value};

use super::claims::{ClaimNames, ClaimPath, Instants, check_audience, check_issuer, invalid};
#[cfg(feature = "jwks")]
use super::jwks::Jwks;
use super::keys::{KeySet, SigningAlgorithm, VerificationKey};
use super::token::Unverified;
use super::{
    AuthError, Authenticate, BoxFuture, Credentials, Identity, IdentityConfigError, SystemClock, UnixClock,
};

/// The leeway when none is set: 30 seconds.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// The greatest leeway: 5 minutes.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// The longest issuer, in bytes; the rest of an `AuthSubject` is left to `sub`.
pub(crate) const MAX_ISSUER_BYTES: usize = 200;

/// Authenticates bearer tokens that are JWTs.
///
/// Accepts HS256, RS256, ES256 and EdDSA, each with its own keys only. `iss`, `aud`, `exp` and `sub` are required,
/// `nbf` and `iat` checked where present. Keys that a token brings (`jwk`, `jku`, `x5u`, `x5c`) are ignored.
///
/// Every configured key is good for every configured issuer. Issuers with keys of their own get an authenticator
/// each, put together by [`AnyOf`](super::AnyOf).
pub struct JwtAuthenticator {
    issuers: Vec<String>,
    audiences: Vec<String>,
    keys: KeySource,
    names: ClaimNames,
    leeway_seconds: u64,
    max_lifetime_seconds: Option<u64>,
    clock: Arc<dyn UnixClock>,
}

#[derive(Debug)]
enum KeySource {
    Fixed(KeySet),
    #[cfg(feature = "jwks")]
    Jwks(Jwks),
}

impl KeySource {
    async fn select(
        &self,
        algorithm: SigningAlgorithm,
        kid: Option<&str>,
    ) -> Result<VerificationKey, AuthError> {
        match self {
            Self::Fixed(keys) => keys.select(algorithm, kid).cloned(),
            #[cfg(feature = "jwks")]
            Self::Jwks(jwks) => jwks.select(algorithm, kid).await,
        }
    }
}

impl JwtAuthenticator {
    /// Begins an authenticator.
    pub fn builder() -> JwtBuilder {
        JwtBuilder {
            issuers: Vec::new(),
            audiences: Vec::new(),
            keys: None,
            tenant: "tenant_id".to_owned(),
            user: "sub".to_owned(),
            is_user_required: true,
            env: None,
            on_behalf_of: None,
            actor_type: ActorType::User,
            leeway: DEFAULT_LEEWAY,
            max_lifetime: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Begins an authenticator of the tokens that [`ServiceTokens`](super::ServiceTokens) mints.
    ///
    /// The identity is of kind `service`, of the end user as `user_id` and `on_behalf_of`, and good for the one
    /// tenant and the one env of the token. Tokens that live longer than 60 seconds are refused. The leeway is 5
    /// seconds, unless another is set: a token is accepted for 65 seconds at most.
    pub fn for_service_tokens(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        keys: KeySet,
    ) -> JwtBuilder {
        Self::builder()
            .issuer(issuer)
            .audience(audience)
            .keys(keys)
            .tenant_claim("tenant_id")
            .user_claim("user_id")
            .user_is_optional()
            .env_claim("env")
            .on_behalf_of_claim("user_id")
            .actor_type(ActorType::Service)
            .max_lifetime(super::service_token::LIFETIME)
            .leeway(super::service_token::LEEWAY)
    }

    /// The issuers whose tokens this authenticator checks.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        let unverified = Unverified::parse(token)?;
        let (algorithm, kid) = unverified.algorithm_and_kid()?;
        let key = self.keys.select(algorithm, kid).await?;
        let claims = verify(token, &key)?;
        let issuer = check_issuer(&claims, &self.issuers)?;
        check_audience(&claims, &self.audiences)?;
        let instants = Instants::of(&claims)?;
        instants.check(self.clock.now(), self.leeway_seconds)?;
        if let Some(max_seconds) = self.max_lifetime_seconds {
            let issued_at = instants.issued_at.ok_or_else(|| invalid("iat"))?;
            if instants.expires_at.saturating_sub(issued_at) > max_seconds {
                return Err(invalid("exp"));
            }
        }
        self.names.identity(issuer, &claims)
    }
}

/// The claims of a token whose signature fits the key and the key's algorithm.
fn verify(token: &str, key: &VerificationKey) -> Result<Map<String, Value>, AuthError> {
    let mut validation = Validation::new(key.algorithm().algorithm());
    // Claims are checked against the injected clock and with codes of their own.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let verified = decode::<Map<String, Value>>(token, key.decoding_key(), &validation);
    verified.map(|verified| verified.claims).map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            AuthError::MalformedCredentials
        }
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::MissingAlgorithm
        | ErrorKind::InvalidKeyFormat => AuthError::UnsupportedAlgorithm,
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::ImmatureSignature => AuthError::NotYetValid,
        ErrorKind::InvalidIssuer => AuthError::WrongIssuer,
        ErrorKind::InvalidAudience => AuthError::WrongAudience,
        ErrorKind::InvalidSubject => invalid("sub"),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => invalid(claim),
        // The key or the library fails, not the token.
        ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidRsaKey(_)
        | ErrorKind::RsaFailedSigning
        | ErrorKind::Signing(_)
        | ErrorKind::Provider(_) => AuthError::KeysUnavailable,
        _ => AuthError::InvalidToken,
    }
}

impl Authenticate for JwtAuthenticator {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { self.check(credentials.bearer()?).await })
    }
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator")
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .field("keys", &self.keys)
            .field("names", &self.names)
            .field("leeway_seconds", &self.leeway_seconds)
            .finish_non_exhaustive()
    }
}

/// Builds a [`JwtAuthenticator`].
///
/// A claim is named by its top-level name (`tenant_id`, `https://acme.example/tenant`), or, beginning with `/`, by a
/// JSON pointer (`/org/id`).
#[must_use = "an authenticator is made by `build()`"]
pub struct JwtBuilder {
    issuers: Vec<String>,
    audiences: Vec<String>,
    keys: Option<KeySource>,
    tenant: String,
    user: String,
    is_user_required: bool,
    env: Option<String>,
    on_behalf_of: Option<String>,
    actor_type: ActorType,
    leeway: Duration,
    max_lifetime: Option<Duration>,
    clock: Arc<dyn UnixClock>,
}

impl JwtBuilder {
    /// Trusts this issuer (`iss`), compared exactly. Required; may be called again for more.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Accepts tokens for this audience (`aud`). Required; may be called again for more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Verifies with these keys.
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = Some(KeySource::Fixed(keys));
        self
    }

    /// Verifies with the keys at a URL.
    #[cfg(feature = "jwks")]
    pub fn jwks(mut self, jwks: Jwks) -> Self {
        self.keys = Some(KeySource::Jwks(jwks));
        self
    }

    /// The claim of the tenant: a string, or an array of strings. Defaults to `tenant_id`. Required in tokens.
    pub fn tenant_claim(mut self, path: impl Into<String>) -> Self {
        self.tenant = path.into();
        self
    }

    /// The claim of the user. Defaults to `sub`. Required in tokens unless [`user_is_optional`](Self::user_is_optional).
    pub fn user_claim(mut self, path: impl Into<String>) -> Self {
        self.user = path.into();
        self
    }

    /// Accepts tokens without the claim of the user.
    pub fn user_is_optional(mut self) -> Self {
        self.is_user_required = false;
        self
    }

    /// The claim of the env. Not read by default; once set it is required in tokens.
    pub fn env_claim(mut self, path: impl Into<String>) -> Self {
        self.env = Some(path.into());
        self
    }

    /// The claim of the user for whom the actor acts. Not read by default; once set it may be absent.
    pub fn on_behalf_of_claim(mut self, path: impl Into<String>) -> Self {
        self.on_behalf_of = Some(path.into());
        self
    }

    /// The kind of actor. Defaults to `user`.
    pub fn actor_type(mut self, actor_type: ActorType) -> Self {
        self.actor_type = actor_type;
        self
    }

    /// How far the issuer's clock may be off, in whole seconds. Defaults to 30 seconds; at most 5 minutes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens whose `exp` is later than `iat` by more than this; `iat` is then required.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// The clock. Defaults to the system's.
    pub fn clock(mut self, clock: impl UnixClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the authenticator.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError`]: no issuer, audience or keys; an issuer, a claim's path or a leeway that is not
    /// accepted.
    pub fn build(self) -> Result<JwtAuthenticator, IdentityConfigError> {
        if self.issuers.is_empty() {
            return Err(IdentityConfigError::NoIssuer);
        }
        self.issuers.iter().try_for_each(|issuer| check_issuer_name(issuer))?;
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(IdentityConfigError::NoAudience);
        }
        if self.leeway > MAX_LEEWAY {
            let (seconds, max_seconds) = (self.leeway.as_secs(), MAX_LEEWAY.as_secs());
            return Err(IdentityConfigError::LeewayTooLong { seconds, max_seconds });
        }
        let optional =
            |what, path: &Option<String>| path.as_deref().map(|path| ClaimPath::new(what, path)).transpose();
        let names = ClaimNames {
            tenant: ClaimPath::new("tenant", &self.tenant)?,
            user: ClaimPath::new("user", &self.user)?,
            is_user_required: self.is_user_required,
            env: optional("env", &self.env)?,
            on_behalf_of: optional("user who is acted for", &self.on_behalf_of)?,
            actor_type: self.actor_type,
        };
        Ok(JwtAuthenticator {
            issuers: self.issuers,
            audiences: self.audiences,
            keys: self.keys.ok_or(IdentityConfigError::NoKeys)?,
            names,
            leeway_seconds: self.leeway.as_secs(),
            max_lifetime_seconds: self.max_lifetime.map(|lifetime| lifetime.as_secs()),
            clock: self.clock,
        })
    }
}

impl fmt::Debug for JwtBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBuilder")
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// Without `|`, the first `|` of a subject ends the issuer, so that no two (issuer, sub) pairs read the same.
pub(crate) fn check_issuer_name(issuer: &str) -> Result<(), IdentityConfigError> {
    let is_accepted = (1..=MAX_ISSUER_BYTES).contains(&issuer.len())
        && issuer.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'|');
    if is_accepted { Ok(()) } else { Err(IdentityConfigError::InvalidIssuer { len_bytes: issuer.len() }) }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::errors::new_error;

    use super::*;

    #[test]
    fn each_refusal_of_the_library_has_its_code() {
        let text = String::new;
        let cases = [
            (ErrorKind::InvalidToken, AuthError::MalformedCredentials),
            (ErrorKind::InvalidSignature, AuthError::InvalidToken),
            (ErrorKind::InvalidAlgorithm, AuthError::UnsupportedAlgorithm),
            (ErrorKind::InvalidAlgorithmName, AuthError::UnsupportedAlgorithm),
            (ErrorKind::UnsupportedAlgorithm, AuthError::UnsupportedAlgorithm),
            (ErrorKind::MissingAlgorithm, AuthError::UnsupportedAlgorithm),
            (ErrorKind::InvalidKeyFormat, AuthError::UnsupportedAlgorithm),
            (ErrorKind::ExpiredSignature, AuthError::Expired),
            (ErrorKind::ImmatureSignature, AuthError::NotYetValid),
            (ErrorKind::InvalidIssuer, AuthError::WrongIssuer),
            (ErrorKind::InvalidAudience, AuthError::WrongAudience),
            (ErrorKind::InvalidSubject, invalid("sub")),
            (ErrorKind::MissingRequiredClaim("exp".to_owned()), invalid("exp")),
            (ErrorKind::InvalidClaimFormat("nbf".to_owned()), invalid("nbf")),
            (ErrorKind::InvalidEcdsaKey, AuthError::KeysUnavailable),
            (ErrorKind::InvalidEddsaKey, AuthError::KeysUnavailable),
            (ErrorKind::InvalidRsaKey(text()), AuthError::KeysUnavailable),
            (ErrorKind::RsaFailedSigning, AuthError::KeysUnavailable),
            (ErrorKind::Signing(text()), AuthError::KeysUnavailable),
            (ErrorKind::Provider(text()), AuthError::KeysUnavailable),
        ];
        for (kind, expected) in cases {
            assert_eq!(refusal(&new_error(kind.clone())), expected, "{kind:?}");
        }
        let json = serde_json::from_str::<Value>("{").unwrap_err();
        assert_eq!(refusal(&json.into()), AuthError::MalformedCredentials);
    }
}
