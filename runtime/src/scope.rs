//! Reading one scope: the only way for anything that serves a tenant.

use std::fmt;

use crate::ids::{Env, Scope, TenantId};
use crate::ledger::Ledger;
use crate::log::heads::StreamHead;
use crate::query::{EventQuery, ReadError, ReadParts, StoredEvent};

/// Reads the events of one scope, and of no other.
///
/// Made by [`Ledger::scope`]. It sees what is durable when a query begins, whether the index has read it or not.
#[derive(Clone)]
pub struct ScopedReader {
    pub(crate) parts: ReadParts,
    scope: Scope,
    /// Whether `$system` may be read.
    is_operator: bool,
}

impl Ledger {
    /// Reads one scope. Never `$system`, wherever its name was had from: that is for the operator.
    pub fn scope(&self, tenant_id: &TenantId, env: &Env) -> ScopedReader {
        ScopedReader::of_tenant(self.read_parts(), tenant_id, env)
    }
}

impl ScopedReader {
    pub(crate) fn of_tenant(parts: ReadParts, tenant_id: &TenantId, env: &Env) -> Self {
        Self { parts, scope: Scope::new(tenant_id.clone(), env.clone()), is_operator: false }
    }

    pub(crate) fn of_operator(parts: ReadParts, scope: Scope) -> Self {
        Self { parts, scope, is_operator: true }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Begins a query of the scope's events; without filters it selects all.
    pub fn events(&self) -> EventQuery {
        EventQuery::new(self.parts.clone(), self.scope.clone(), self.is_operator)
    }

    /// The newest durable event of the stream; `None` when it has none.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the log cannot be read.
    pub fn head(&self) -> Result<Option<StreamHead>, ReadError> {
        let newest = self.events().newest_first().limit(1).iter().next().transpose()?;
        Ok(newest.as_ref().map(StoredEvent::head))
    }
}

impl fmt::Debug for ScopedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedReader").field("scope", &self.scope).finish_non_exhaustive()
    }
}
