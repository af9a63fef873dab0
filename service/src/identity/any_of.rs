//! Several authenticators behind one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use super::token::Unverified;
use super::{
    AuthError, Authenticate, BoxFuture, Credentials, Identity, IdentityConfigError, JwtAuthenticator,
};

/// Hands each token to the one authenticator that answers for it.
///
/// A JWT goes to the authenticator of the issuer that it claims, a bearer token that is no JWT to the opaque one.
/// That authenticator decides alone: when it refuses, no other is asked, so that a token with a bad signature never
/// reaches a weaker check. A JWT of an unknown issuer is refused, and never goes to the opaque authenticator.
///
/// The claimed issuer is not believed: the chosen authenticator checks it again, under its own keys.
pub struct AnyOf {
    by_issuer: HashMap<String, Arc<dyn Authenticate>>,
    opaque: Option<Arc<dyn Authenticate>>,
}

impl AnyOf {
    /// Begins a set of authenticators.
    pub fn builder() -> AnyOfBuilder {
        AnyOfBuilder { by_issuer: Vec::new(), opaque: None }
    }

    fn choose(&self, token: &str) -> Result<&dyn Authenticate, AuthError> {
        let unverified = match (Unverified::parse(token), &self.opaque) {
            (Ok(unverified), _) => unverified,
            (Err(_), Some(opaque)) => return Ok(opaque.as_ref()),
            (Err(refusal), None) => return Err(refusal),
        };
        let issuer = unverified.claimed_issuer();
        let issuer = issuer.ok_or_else(|| AuthError::InvalidClaim { claim: "iss".to_owned() })?;
        self.by_issuer.get(issuer).map(Arc::as_ref).ok_or(AuthError::WrongIssuer)
    }
}

impl Authenticate for AnyOf {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        match credentials.bearer().and_then(|token| self.choose(token)) {
            Ok(chosen) => chosen.authenticate(credentials),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
        }
    }
}

impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyOf")
            .field("issuers", &self.by_issuer.keys())
            .field("has_opaque", &self.opaque.is_some())
            .finish()
    }
}

/// Builds an [`AnyOf`].
#[must_use = "the set is made by `build()`"]
pub struct AnyOfBuilder {
    by_issuer: Vec<(String, Arc<dyn Authenticate>)>,
    opaque: Option<Arc<dyn Authenticate>>,
}

impl AnyOfBuilder {
    /// Hands JWTs of this authenticator's issuers to it.
    pub fn jwt(mut self, authenticator: JwtAuthenticator) -> Self {
        let issuers = authenticator.issuers().to_vec();
        let authenticator: Arc<dyn Authenticate> = Arc::new(authenticator);
        self.by_issuer.extend(issuers.into_iter().map(|issuer| (issuer, Arc::clone(&authenticator))));
        self
    }

    /// Hands JWTs that claim this issuer to an authenticator of your own, which must check the issuer again.
    pub fn issuer(mut self, issuer: impl Into<String>, authenticator: impl Authenticate) -> Self {
        self.by_issuer.push((issuer.into(), Arc::new(authenticator)));
        self
    }

    /// Hands bearer tokens that are no JWTs to this authenticator; the last call counts.
    pub fn opaque(mut self, authenticator: impl Authenticate) -> Self {
        self.opaque = Some(Arc::new(authenticator));
        self
    }

    /// Makes the set.
    ///
    /// # Errors
    ///
    /// - [`IdentityConfigError::NoAuthenticator`]: none was given.
    /// - [`IdentityConfigError::DuplicateIssuer`]: two answer for one issuer.
    pub fn build(self) -> Result<AnyOf, IdentityConfigError> {
        if self.by_issuer.is_empty() && self.opaque.is_none() {
            return Err(IdentityConfigError::NoAuthenticator);
        }
        let mut by_issuer = HashMap::new();
        for (issuer, authenticator) in self.by_issuer {
            match by_issuer.entry(issuer) {
                Entry::Vacant(free) => free.insert(authenticator),
                Entry::Occupied(_) => return Err(IdentityConfigError::DuplicateIssuer),
            };
        }
        Ok(AnyOf { by_issuer, opaque: self.opaque })
    }
}

impl fmt::Debug for AnyOfBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.by_issuer.iter().map(|(issuer, _)| issuer);
        f.debug_list().entries(issuers).finish()
    }
}
