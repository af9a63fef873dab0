//! Reading one scope of a set.

use std::fmt;

use super::members::Member;
use super::{LedgerSet, LedgerVerification, SetQuery};
use crate::ids::{Env, Scope, TenantId};
use crate::log::verify::VerifyOptions;
use crate::query::{ReadError, Selection};

/// Reads the events of one scope in all ledgers of a set, and of no other scope.
#[derive(Clone)]
pub struct SetScope {
    pub(crate) set: LedgerSet,
    scope: Scope,
    is_operator: bool,
}

impl LedgerSet {
    /// Reads one scope. Never `$system`: that is for the operator.
    pub fn scope(&self, tenant_id: &TenantId, env: &Env) -> SetScope {
        let scope = Scope::new(tenant_id.clone(), env.clone());
        SetScope { set: self.clone(), scope, is_operator: false }
    }
}

impl SetScope {
    pub(crate) fn of_operator(set: LedgerSet, scope: Scope) -> Self {
        Self { set, scope, is_operator: true }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The set that is read.
    pub fn set(&self) -> &LedgerSet {
        &self.set
    }

    /// Begins a query of the scope's events; without filters it selects all.
    pub fn events(&self) -> SetQuery {
        SetQuery::new(self.set.clone(), self.scope.clone(), self.is_operator)
    }

    /// Verifies this scope's stream in each ledger, as [`ScopedReader::verify`](crate::ScopedReader::verify).
    pub fn verify(&self) -> Vec<LedgerVerification> {
        self.set.verify_with(&VerifyOptions::new().scope(self.scope.clone()))
    }

    /// Refuses `$system` where it was not the operator who asked.
    pub(crate) fn check(&self) -> Result<(), ReadError> {
        match self.scope.is_system() && !self.is_operator {
            true => Err(ReadError::OperatorOnly),
            false => Ok(()),
        }
    }

    /// The scope's events in one ledger, oldest first.
    pub(crate) fn selection(&self, member: &Member) -> Selection {
        Selection::new(member.parts.clone(), Some(self.scope.clone()), self.is_operator)
    }
}

impl fmt::Debug for SetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}
