//! The ledger: one directory, one writing process.

use std::sync::Arc;

use crate::id_source::IdSource;

/// What contexts, calls and threads share of an open ledger.
pub(crate) struct LedgerShared {
    pub(crate) id_source: IdSource,
}

/// An open ledger. Clones share it; the last one to go flushes and closes it.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) shared: Arc<LedgerShared>,
}
