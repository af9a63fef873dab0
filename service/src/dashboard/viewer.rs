//! Who looks at which scope: the extractor of every page.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, RawPathParams};
use dataset_events::{Env, RequestContext, Scope, SetScope, TenantId};
use http::request::Parts;

use super::Inner;
use super::desk::Desk;
use super::error::DashboardError;
use super::html::Frame;
use crate::envelope::ApiError;
use crate::extract::Ctx;
use crate::identity::Identity;

/// Who has the right to look at every scope.
///
/// It is asked on each request to the operator's pages, with an identity that was authenticated. It must not
/// block.
pub trait OperatorAuthority: Send + Sync + 'static {
    /// Whether this identity is an operator.
    fn is_operator(&self, identity: &Identity) -> bool;
}

/// Nobody is an operator: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOperators;

impl OperatorAuthority for NoOperators {
    fn is_operator(&self, _identity: &Identity) -> bool {
        false
    }
}

impl<F: Fn(&Identity) -> bool + Send + Sync + 'static> OperatorAuthority for F {
    fn is_operator(&self, identity: &Identity) -> bool {
        self(identity)
    }
}

/// Somebody who was admitted, and the scope that is looked at.
pub(super) struct Viewer {
    pub(super) ctx: RequestContext,
    pub(super) reader: SetScope,
    pub(super) is_operator: bool,
    is_visiting: bool,
    prefix: String,
    who: String,
}

impl FromRequestParts<Arc<Inner>> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Inner>) -> Result<Self, ApiError> {
        let Ctx(ctx) = Ctx::from_request_parts(parts, state).await?;
        let identity = parts.extensions.get::<Identity>();
        let is_operator = identity.is_some_and(|identity| state.authority.is_operator(identity));
        let who = ctx.user_id().map(|user| user.to_string());
        let who = who.or_else(|| ctx.auth_subject().map(|subject| subject.to_string())).unwrap_or_default();
        let visited = RawPathParams::from_request_parts(parts, state).await.ok();
        let visited = visited.as_ref().and_then(|params| {
            let of = |name| params.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            Some((of("tenant")?, of("env")?))
        });
        let Some((tenant, env)) = visited else {
            let reader = state.set.scope(ctx.tenant_id(), ctx.env());
            let prefix = state.site.base.clone();
            return Ok(Self { ctx, reader, is_operator, is_visiting: false, prefix, who });
        };
        // Whoever is no operator learns nothing about which scopes there are.
        if !is_operator {
            return Err(DashboardError::NotFound.into());
        }
        let prefix = format!("{}/operator/scopes/{tenant}/{env}", state.site.base);
        let operator = state.operator(&ctx, &format!("looks at the scope {tenant}/{env}"))?;
        let reader = if (tenant, env) == ("$system", "$system") {
            operator.system()
        } else {
            let tenant_id = TenantId::new(tenant).map_err(|_| DashboardError::NotFound)?;
            let env = Env::new(env).map_err(|_| DashboardError::NotFound)?;
            operator.scope(&Scope::new(tenant_id, env))
        };
        Ok(Self { ctx, reader, is_operator, is_visiting: true, prefix, who })
    }
}

impl Viewer {
    pub(super) fn scope(&self) -> &Scope {
        self.reader.scope()
    }

    pub(super) fn desk(&self, inner: &Inner) -> Arc<Desk> {
        inner.desks.of(&self.reader)
    }

    /// The address of a page of the scope.
    pub(super) fn href(&self, path: &str) -> String {
        super::html::address(&self.prefix, path)
    }

    pub(super) fn frame<'a>(&'a self, inner: &'a Inner, now_us: i64) -> Frame<'a> {
        Frame {
            site: &inner.site,
            prefix: &self.prefix,
            scope: self.scope(),
            who: &self.who,
            is_operator: self.is_operator,
            is_visiting: self.is_visiting,
            now_us,
        }
    }
}

/// Now, in microseconds since 1970 (UTC).
pub(super) fn now_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}
