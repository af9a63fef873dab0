//! From verified claims to an identity.

use dataset_events::{ActorType, AuthSubject, Env, TenantId, UserId};
use serde_json::{Map, Value};

use super::{AuthError, Identity, IdentityConfigError};

/// Where a claim is found: the name of a top-level claim, or a JSON pointer when it begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(String);

impl ClaimPath {
    pub(crate) fn new(what: &'static str, path: &str) -> Result<Self, IdentityConfigError> {
        let mut escapes = path.split('~').skip(1);
        let is_pointer = path.starts_with('/');
        let is_escaped_well = escapes.all(|rest| rest.starts_with(['0', '1']));
        if path.is_empty() || (is_pointer && !is_escaped_well) {
            return Err(IdentityConfigError::InvalidClaimPath { what });
        }
        Ok(Self(path.to_owned()))
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else {
            return claims.get(&self.0);
        };
        let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
        match pointer.split_once('/') {
            None => claims.get(&unescape(pointer)),
            Some((first, _)) => claims.get(&unescape(first))?.pointer(&pointer[first.len()..]),
        }
    }

    fn invalid(&self) -> AuthError {
        AuthError::InvalidClaim { claim: self.0.clone() }
    }

    /// The claim as an id; `None` when there is none.
    fn id<T: for<'a> TryFrom<&'a str>>(&self, claims: &Map<String, Value>) -> Result<Option<T>, AuthError> {
        let Some(value) = self.find(claims) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or_else(|| self.invalid())?;
        T::try_from(text).map(Some).map_err(|_| self.invalid())
    }
}

/// Which claims make an identity.
#[derive(Debug, Clone)]
pub(crate) struct ClaimNames {
    pub(crate) tenant: ClaimPath,
    pub(crate) user: ClaimPath,
    pub(crate) is_user_required: bool,
    pub(crate) env: Option<ClaimPath>,
    pub(crate) on_behalf_of: Option<ClaimPath>,
    pub(crate) actor_type: ActorType,
}

impl ClaimNames {
    /// The identity of verified claims.
    pub(crate) fn identity(&self, issuer: &str, claims: &Map<String, Value>) -> Result<Identity, AuthError> {
        let sub = claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty());
        let sub = sub.ok_or_else(|| invalid("sub"))?;
        // A subject that is too long is refused: cutting it could make two subjects one.
        let subject = AuthSubject::new(format!("{issuer}|{sub}")).map_err(|_| invalid("sub"))?;
        let mut identity = Identity::new(subject).actor_type(self.actor_type);
        identity.tenants = self.tenants(claims)?;
        identity.user_id = self.user.id::<UserId>(claims)?;
        if self.is_user_required && identity.user_id.is_none() {
            return Err(self.user.invalid());
        }
        if let Some(path) = &self.env {
            identity.env = Some(path.id::<Env>(claims)?.ok_or_else(|| path.invalid())?);
        }
        if let Some(path) = &self.on_behalf_of {
            identity.on_behalf_of = path.id::<UserId>(claims)?;
        }
        Ok(identity)
    }

    fn tenants(&self, claims: &Map<String, Value>) -> Result<Vec<TenantId>, AuthError> {
        let refused = || self.tenant.invalid();
        let named = match self.tenant.find(claims).ok_or_else(refused)? {
            Value::Array(named) if !named.is_empty() => named.as_slice(),
            one @ Value::String(_) => std::slice::from_ref(one),
            _ => return Err(refused()),
        };
        let mut tenants = Vec::with_capacity(named.len());
        for name in named {
            let name = name.as_str().ok_or_else(refused)?;
            tenants.push(TenantId::new(name).map_err(|_| refused())?);
        }
        tenants.sort();
        tenants.dedup();
        Ok(tenants)
    }
}

/// The instants of a token, in seconds since the epoch.
pub(crate) struct Instants {
    pub(crate) expires_at: u64,
    pub(crate) not_before: Option<u64>,
    pub(crate) issued_at: Option<u64>,
}

impl Instants {
    pub(crate) fn of(claims: &Map<String, Value>) -> Result<Self, AuthError> {
        Ok(Self {
            expires_at: instant(claims, "exp", f64::floor)?.ok_or_else(|| invalid("exp"))?,
            not_before: instant(claims, "nbf", f64::ceil)?,
            issued_at: instant(claims, "iat", f64::ceil)?,
        })
    }

    /// Whether the token is valid now, give or take the leeway.
    pub(crate) fn check(&self, now: u64, leeway_seconds: u64) -> Result<(), AuthError> {
        if now >= self.expires_at.saturating_add(leeway_seconds) {
            return Err(AuthError::Expired);
        }
        let latest_start = now.saturating_add(leeway_seconds);
        if [self.not_before, self.issued_at].into_iter().flatten().any(|at| at > latest_start) {
            return Err(AuthError::NotYetValid);
        }
        Ok(())
    }
}

/// A NumericDate (RFC 7519, 2), which may have a fraction; `round` moves it to the strict side.
fn instant(claims: &Map<String, Value>, name: &str, round: fn(f64) -> f64) -> Result<Option<u64>, AuthError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0).ok_or_else(|| invalid(name))?;
    // A float beyond u64 becomes u64::MAX, which is as far away.
    Ok(Some(round(seconds) as u64))
}

/// Whether one of the accepted audiences is among those of the token.
pub(crate) fn check_audience(claims: &Map<String, Value>, accepted: &[String]) -> Result<(), AuthError> {
    let named = match claims.get("aud") {
        Some(Value::Array(named)) => named.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        _ => return Err(invalid("aud")),
    };
    let mut is_meant = false;
    for name in named {
        let name = name.as_str().ok_or_else(|| invalid("aud"))?;
        is_meant |= accepted.iter().any(|audience| audience == name);
    }
    if is_meant { Ok(()) } else { Err(AuthError::WrongAudience) }
}

/// The accepted issuer that the token is of.
pub(crate) fn check_issuer<'a>(
    claims: &Map<String, Value>,
    accepted: &'a [String],
) -> Result<&'a str, AuthError> {
    let named = claims.get("iss").and_then(Value::as_str).ok_or_else(|| invalid("iss"))?;
    let issuer = accepted.iter().find(|issuer| *issuer == named);
    issuer.map(String::as_str).ok_or(AuthError::WrongIssuer)
}

pub(crate) fn invalid(claim: &str) -> AuthError {
    AuthError::InvalidClaim { claim: claim.to_owned() }
}
