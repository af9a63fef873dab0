//! Read models beside a test: folded while it runs, and held against a fold from zero when it ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dataset_events::read_models::{Folded, ReadModel as _, SnapshotStore, Start};
use dataset_events::{Env, Ledger, LedgerSet, SetScope, TenantId};
use dataset_events_examples::read_models::{Board, BoardState};
use tempfile::TempDir;

/// All models over the scopes of a test, refreshed and saved as it goes.
pub(crate) struct Watch {
    ledger: Ledger,
    set: LedgerSet,
    store: SnapshotStore,
    live: Mutex<BTreeMap<String, Folded<Board>>>,
    _directory: TempDir,
}

pub(crate) fn json(state: &BoardState) -> String {
    serde_json::to_string_pretty(state).expect("a state is JSON")
}

impl Watch {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let store = SnapshotStore::open(directory.path()).expect("make the directory of snapshots");
        let (ledger, set) = (ledger.clone(), LedgerSet::of(ledger));
        Self { ledger, set, store, live: Mutex::default(), _directory: directory }
    }

    fn open(&self, scope: &SetScope) -> Folded<Board> {
        Folded::open(scope, Board, &self.store).expect("fold").save_every(1)
    }

    /// Begins to follow a scope, and folds what there is in the others.
    pub(crate) fn follow(&self, tenant: &str, env: &str) {
        self.refresh();
        let (Ok(tenant), Ok(env)) = (TenantId::new(tenant), Env::new(env)) else { return };
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{tenant}/{env}");
        live.entry(name).or_insert_with(|| self.open(&self.set.scope(&tenant, &env)));
    }

    /// Folds what is durable by now.
    pub(crate) fn refresh(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for folded in live.values_mut() {
            let refreshed = folded.refresh();
            assert_eq!((&refreshed.unread, &refreshed.save_error), (&vec![], &None));
        }
    }

    /// Asserts of each scope that the state as it was folded on, the state from its snapshot, the state that went
    /// through its serialised form after each event, and the state from zero are the same.
    pub(crate) fn finish(&self) {
        // A test may have closed the ledger, which is durable then.
        let _ = self.ledger.flush();
        self.refresh();
        let live = std::mem::take(&mut *self.live.lock().unwrap_or_else(PoisonError::into_inner));
        let operator = self.set.unrecorded_operator();
        for (scope, events) in operator.scopes().scopes {
            if scope.is_system() {
                continue;
            }
            let of_scope = operator.scope(&scope);
            let zero = Folded::in_memory(&of_scope, Board).expect("fold from zero");
            assert_eq!(zero.snapshot().events, events, "of {scope:?}");
            let expected = json(zero.state());
            let mut replayed = BoardState::default();
            for stored in of_scope.events().iter().expect("read") {
                Board.apply(&mut replayed, &stored.expect("read an event").event);
                replayed = serde_json::from_str(&json(&replayed)).expect("a state is read back");
            }
            assert_eq!(json(&replayed), expected, "event by event, of {scope:?}");
            let Some(live) = live.get(&format!("{}/{}", scope.tenant_id(), scope.env())) else { continue };
            assert_eq!(json(live.state()), expected, "as it was folded on, of {scope:?}");
            assert_ne!(live.start(), &Start::Snapshot, "nothing was there when the test began");
            let resumed = self.open(&of_scope);
            assert_eq!((json(resumed.state()), resumed.start()), (expected, &Start::Snapshot), "{scope:?}");
        }
    }
}
