//! One scope among those that an identity is good for.

use dataset_events::{Env, Scope, TenantId};
use http::HeaderMap;

use super::{AuthError, Resolution, ResolveScope};

/// The header that chooses among an identity's tenants.
pub const TENANT_HEADER: &str = "x-tenant-id";
/// The header that repeats the env, so that a request to the wrong deployment is refused.
pub const ENV_HEADER: &str = "x-env";

/// Where the env of a scope comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnvSource {
    /// The configured env of the deployment. An identity of another env is refused.
    #[default]
    Deployment,
    /// The env of the identity, for a service that serves several. An identity without env is refused.
    Identity,
}

/// Takes the identity's only tenant, or the one that `x-tenant-id` chooses among them.
///
/// Headers narrow, they never add: one that is malformed, repeated, or names what the identity is not good for is
/// [`AuthError::ScopeMismatch`]. An identity of several tenants without a choice is [`AuthError::ScopeRequired`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DefaultScope {
    env_source: EnvSource,
}

impl DefaultScope {
    /// The scope of the deployment's env.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the env from this source.
    #[must_use]
    pub fn env_source(mut self, env_source: EnvSource) -> Self {
        self.env_source = env_source;
        self
    }

    /// The scope, where something else than a header may have chosen the tenant too.
    pub(crate) fn narrowed(
        self,
        resolution: Resolution<'_>,
        chosen: Option<&TenantId>,
    ) -> Result<Scope, AuthError> {
        let headers = &resolution.parts.headers;
        let env = self.env(resolution)?;
        if narrowing::<Env>(headers, ENV_HEADER)?.is_some_and(|asked| asked != *env) {
            return Err(AuthError::ScopeMismatch);
        }
        let asked = narrowing::<TenantId>(headers, TENANT_HEADER)?;
        let mut tenants = resolution.identity.tenants.iter();
        let tenant = match (asked.as_ref(), chosen) {
            (Some(asked), Some(chosen)) if asked != chosen => None,
            (Some(named), _) | (None, Some(named)) => tenants.find(|tenant| *tenant == named),
            (None, None) => {
                let first = tenants.next();
                // The same tenant twice is still one.
                if tenants.any(|tenant| Some(tenant) != first) {
                    return Err(AuthError::ScopeRequired);
                }
                first
            }
        };
        let tenant = tenant.ok_or(AuthError::ScopeMismatch)?;
        Ok(Scope::new(tenant.clone(), env.clone()))
    }

    fn env<'a>(self, resolution: Resolution<'a>) -> Result<&'a Env, AuthError> {
        match (self.env_source, &resolution.identity.env) {
            (EnvSource::Deployment, None) => Ok(resolution.env),
            (EnvSource::Deployment, Some(env)) if env == resolution.env => Ok(resolution.env),
            (EnvSource::Identity, Some(env)) => Ok(env),
            (EnvSource::Deployment, Some(_)) | (EnvSource::Identity, None) => Err(AuthError::ScopeMismatch),
        }
    }
}

impl ResolveScope for DefaultScope {
    fn resolve(&self, resolution: Resolution<'_>) -> Result<Scope, AuthError> {
        self.narrowed(resolution, None)
    }
}

/// The id in a header that may stand there once.
fn narrowing<T: for<'a> TryFrom<&'a str>>(headers: &HeaderMap, name: &str) -> Result<Option<T>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::ScopeMismatch);
    }
    let text = value.to_str().map_err(|_| AuthError::ScopeMismatch)?;
    T::try_from(text).map(Some).map_err(|_| AuthError::ScopeMismatch)
}
