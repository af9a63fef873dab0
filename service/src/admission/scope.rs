//! From credentials to one scope: authentication, the choice of a scope, and the layer's own check of it.

use std::sync::Arc;

use dataset_events::{Env, Scope};
use http::request::Parts;

use crate::identity::{AuthError, Authenticate, Credentials, Identity, Resolution, ResolveScope};

/// Who asks, and what came of it.
pub(super) enum Admitted {
    /// Nobody that is known.
    Nobody(AuthError),
    /// Somebody, who asks for a scope that is not theirs, or for none.
    NoScope { identity: Identity, scope: Option<Scope>, error: AuthError },
    /// Somebody in a scope.
    InScope { identity: Identity, scope: Scope },
}

/// What decides about scopes.
pub(super) struct Gate {
    pub(super) authenticate: Arc<dyn Authenticate>,
    pub(super) resolve_scope: Arc<dyn ResolveScope>,
    pub(super) env: Env,
}

impl Gate {
    pub(super) async fn admit(&self, parts: &Parts) -> Admitted {
        let identity = match self.authenticate.authenticate(Credentials::new(&parts.headers)).await {
            Ok(identity) => identity,
            Err(error) => return Admitted::Nobody(error),
        };
        let resolved = self.resolve_scope.resolve(Resolution { identity: &identity, env: &self.env, parts });
        match resolved {
            Ok(scope) if self.is_good_for(&identity, &scope) => Admitted::InScope { identity, scope },
            Ok(_) => self.without_scope(identity, AuthError::ScopeMismatch),
            Err(error) => self.without_scope(identity, error),
        }
    }

    /// The layer's own check: a resolver cannot hand out what the identity does not have.
    fn is_good_for(&self, identity: &Identity, scope: &Scope) -> bool {
        identity.tenants.contains(scope.tenant_id())
            && scope.env() == identity.env.as_ref().unwrap_or(&self.env)
    }

    /// The refusal belongs into a stream of the authenticated tenant, the first where there are several.
    fn without_scope(&self, identity: Identity, error: AuthError) -> Admitted {
        let env = identity.env.as_ref().unwrap_or(&self.env);
        let scope = identity.tenants.first().map(|tenant| Scope::new(tenant.clone(), env.clone()));
        Admitted::NoScope { identity, scope, error }
    }
}
