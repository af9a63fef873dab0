//! Reading across the scopes of a set: a type of its own, opened by name and with a reason.

use std::collections::BTreeMap;
use std::fmt;

use super::unread::{Unread, chain};
use super::{LedgerSet, SetOperatorQuery, SetScope};
use crate::ids::Scope;
use crate::query::summarize;

/// Reads every scope of a set, `$system` too.
#[derive(Clone)]
pub struct SetOperator {
    set: LedgerSet,
}

/// The scopes of a set, and what could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetScopes {
    /// Every scope that has events, in order, with how many it has in all ledgers.
    pub scopes: Vec<(Scope, u64)>,
    /// What could not be read; empty when the list is complete.
    pub unread: Vec<Unread>,
}

/// The set has no open ledger of this process, so that nothing can record who reads across scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoOwnLedger;

impl fmt::Display for NoOwnLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "open an operator's reader of a ledger set: the set has no open ledger that could record it; \
             add one with `ledger(..)`, or read with `unrecorded_operator()`",
        )
    }
}

impl std::error::Error for NoOwnLedger {}

impl LedgerSet {
    /// Opens a reader of all scopes. That it was opened, and why, is an event of `$system` in the set's own
    /// ledger.
    ///
    /// # Errors
    ///
    /// [`NoOwnLedger`] when the set has no open ledger of this process.
    pub fn operator(&self, reason: &str) -> Result<SetOperator, NoOwnLedger> {
        let own = self.own_ledger().ok_or(NoOwnLedger)?;
        drop(own.operator(reason));
        Ok(SetOperator { set: self.clone() })
    }

    /// Reads all scopes without leaving an event: for tools that have no ledger of their own.
    pub fn unrecorded_operator(&self) -> SetOperator {
        SetOperator { set: self.clone() }
    }
}

impl SetOperator {
    /// Every scope that has events.
    pub fn scopes(&self) -> SetScopes {
        let found = self.set.members.refresh();
        let (mut scopes, mut unread) = (BTreeMap::new(), found.unread);
        for member in &found.members {
            match summarize(&member.parts) {
                Ok(summaries) => {
                    for summary in summaries {
                        *scopes.entry(summary.scope).or_insert(0) += summary.events;
                    }
                }
                Err(error) => {
                    let path = member.path.as_deref();
                    unread.push(Unread::new(Some(member.ledger_id), path, &chain(&error)));
                }
            }
        }
        SetScopes { scopes: scopes.into_iter().collect(), unread }
    }

    /// Reads one scope.
    pub fn scope(&self, scope: &Scope) -> SetScope {
        SetScope::of_operator(self.set.clone(), scope.clone())
    }

    /// Reads `$system`: the ledgers' own and unauthenticated events.
    pub fn system(&self) -> SetScope {
        self.scope(&Scope::system())
    }

    /// Begins a query over all scopes; without filters it selects all.
    pub fn events(&self) -> SetOperatorQuery {
        SetOperatorQuery::new(self.set.clone())
    }
}

impl fmt::Debug for SetOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOperator").field("set", &self.set).finish()
    }
}
