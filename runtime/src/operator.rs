//! Reading across scopes: a type of its own, opened by name and with a reason.

use std::fmt;

use serde::Serialize;

use crate::context::write_json_str;
use crate::ids::Scope;
use crate::ledger::{Ledger, LedgerShared, OwnEvent};
use crate::log::heads::StreamHead;
use crate::query::{OperatorQuery, ReadError, ReadParts, summarize};
use crate::scope::ScopedReader;

const MAX_REASON_BYTES: usize = 1024;

/// Reads every scope of a ledger, `$system` too.
///
/// Made by [`Ledger::operator`], which records who asked for it and why. Nothing that serves a tenant should
/// be able to reach one.
#[derive(Clone)]
pub struct OperatorReader {
    parts: ReadParts,
}

/// One scope of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScopeSummary {
    /// The scope.
    pub scope: Scope,
    /// How many events of it the log holds.
    pub events: u64,
    /// Its newest event.
    pub head: StreamHead,
}

impl Ledger {
    /// Opens a reader of all scopes. That it was opened, and why, is an event of `$system`.
    ///
    /// The reason is cut at 1 KiB.
    pub fn operator(&self, reason: &str) -> OperatorReader {
        record_opening(&self.owner.shared, reason);
        OperatorReader::new(self.read_parts())
    }
}

fn record_opening(shared: &LedgerShared, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    let mut input = b"{\"reason\":".to_vec();
    write_json_str(&mut input, reason);
    input.push(b'}');
    // A JSON string of a str is UTF-8.
    let input = String::from_utf8(input).unwrap_or_default();
    shared.own_event(&OwnEvent::system("ledger.operator_opened", &input));
}

impl OperatorReader {
    pub(crate) fn new(parts: ReadParts) -> Self {
        Self { parts }
    }

    pub(crate) fn parts(&self) -> &ReadParts {
        &self.parts
    }

    /// Every scope that has events, in order.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the log cannot be read.
    pub fn scopes(&self) -> Result<Vec<ScopeSummary>, ReadError> {
        summarize(&self.parts)
    }

    /// Begins a query over all scopes, in the order of the log; without filters it selects all.
    pub fn events(&self) -> OperatorQuery {
        OperatorQuery::new(self.parts.clone())
    }

    /// Reads one scope.
    pub fn scope(&self, scope: &Scope) -> ScopedReader {
        ScopedReader::of_operator(self.parts.clone(), scope.clone())
    }

    /// Reads `$system`: the ledger's own and unauthenticated events.
    pub fn system(&self) -> ScopedReader {
        self.scope(&Scope::system())
    }
}

impl fmt::Debug for OperatorReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorReader").finish_non_exhaustive()
    }
}
