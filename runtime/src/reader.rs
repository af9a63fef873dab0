//! Reading a ledger that this process does not write.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::ids::{Env, LedgerId, TenantId};
use crate::index::log_end;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::storage::{DiskStorage, Storage};
use crate::operator::OperatorReader;
use crate::query::{ReadError, ReadParts, ReadSource};
use crate::scope::ScopedReader;

/// Reads a ledger's directory as it is: one that another process has open, a closed one, or a copy.
///
/// It takes no lock, writes nothing and needs no index: every query scans the log, up to its last whole line
/// at the time of opening. Of a ledger in use, the newest lines may not be durable yet. Open it again to see
/// what came later. For what this process writes itself, [`Ledger::scope`](crate::Ledger::scope) is faster.
#[derive(Clone)]
pub struct LedgerReader {
    pub(crate) parts: ReadParts,
}

impl LedgerReader {
    /// Opens a ledger's own directory, `<root>/<ledger id>`.
    ///
    /// # Errors
    ///
    /// - [`ReadError::NotALedger`] when the directory has no `ledger.json` that can be understood.
    /// - [`ReadError::Log`] when it cannot be read.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = directory.as_ref().to_owned();
        let storage: Arc<dyn Storage> = Arc::new(DiskStorage::new(path.clone()));
        let identity = storage.read(IDENTITY_NAME).map_err(|source| ReadError::Log {
            attempted: format!("read {}", path.join(IDENTITY_NAME).display()),
            source,
        })?;
        let identity = identity.and_then(|bytes| LedgerIdentity::parse(&bytes).ok());
        let (Some(identity), Some(until)) = (identity, log_end(&storage)?) else {
            return Err(ReadError::NotALedger { path });
        };
        let source = ReadSource::Scanned { until };
        Ok(Self { parts: ReadParts { storage, ledger_id: identity.ledger_id, source } })
    }

    /// The ledger's id.
    pub fn id(&self) -> LedgerId {
        self.parts.ledger_id
    }

    /// Reads one scope. Never `$system`: that is for the operator.
    pub fn scope(&self, tenant_id: &TenantId, env: &Env) -> ScopedReader {
        ScopedReader::of_tenant(self.parts.clone(), tenant_id, env)
    }

    /// Reads all scopes. Unlike [`Ledger::operator`](crate::Ledger::operator) it leaves no event behind,
    /// because only the process that has the ledger open can record one.
    pub fn unrecorded_operator(&self) -> OperatorReader {
        OperatorReader::new(self.parts.clone())
    }
}

impl fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerReader").field("id", &self.id()).finish_non_exhaustive()
    }
}
