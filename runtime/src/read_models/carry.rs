//! Carrying a read model's states over a cut: they are saved before the events they were folded from are dropped.

use std::sync::Arc;

use super::store::Kind;
use super::{Folded, ReadModel, SnapshotStore};
use crate::ids::{LedgerId, Scope};
use crate::ledger::Ledger;
use crate::ledger_set::LedgerSet;
use crate::log::heads::Head;

/// What retention asks of a read model before it drops events.
pub(crate) trait Carry: Send + Sync {
    /// Saves the state of a scope, with all of a ledger's events up to a head in it. The error says why not.
    fn carry(&self, ledger_id: LedgerId, scope: &Scope, head: &Head) -> Result<(), String>;
}

/// Keeps a read model complete over cuts, as long as it lives. Made by [`Ledger::carry`].
#[must_use = "the model is carried over cuts as long as this lives"]
pub struct Carrier {
    _carry: Arc<dyn Carry>,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}

struct Carried<F> {
    model: F,
    set: LedgerSet,
    store: SnapshotStore,
}

impl Ledger {
    /// Has retention save a read model before it drops the events that it is folded from, so that it stays equal to a
    /// fold of every event. Nothing is dropped while it cannot be saved.
    ///
    /// `set` must hold this ledger, and be the set that the model is folded over; `store` the one it is opened with.
    /// What is saved lies beside its snapshots as `.carried`, for each scope of which something is dropped. That is no
    /// cache: it holds what no log holds any more. A model that is not carried goes on at the cut, and says so:
    /// [`Folded::since`].
    pub fn carry<M: ReadModel>(
        &self,
        model: impl Fn() -> M + Send + Sync + 'static,
        set: &LedgerSet,
        store: &SnapshotStore,
    ) -> Carrier {
        let carry: Arc<dyn Carry> = Arc::new(Carried { model, set: set.clone(), store: store.clone() });
        self.owner.retention.add_carry(Arc::downgrade(&carry));
        Carrier { _carry: carry }
    }
}

impl<M: ReadModel, F: Fn() -> M + Send + Sync> Carry for Carried<F> {
    fn carry(&self, ledger_id: LedgerId, scope: &Scope, head: &Head) -> Result<(), String> {
        let failed = |what: String| format!("{} of {scope}: {what}", M::NAME);
        let lock =
            self.store.lock_carried().map_err(|error| failed(format!("lock the snapshots: {error}")))?;
        let reader = self.set.unrecorded_operator().scope(scope);
        let folded =
            Folded::open(&reader, (self.model)(), &self.store).map_err(|error| failed(error.to_string()))?;
        let cursor = folded.snapshot().ledgers.get(&ledger_id);
        if cursor.is_none_or(|cursor| cursor.seq < head.seq) {
            let unread = folded.last_refresh().unread.first();
            let reason =
                unread.map_or_else(|| "the set does not hold the ledger".to_owned(), ToString::to_string);
            return Err(failed(format!("it is not folded up to event {}: {reason}", head.seq)));
        }
        folded.write(Kind::Carried).map_err(failed)?;
        drop(lock);
        Ok(())
    }
}
