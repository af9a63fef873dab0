//! Read models beside a test: folded while it runs, and held against a fold from zero when it ends.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dataset_events::read_models::{Folded, ReadModel as _, SnapshotStore, Start, assert_rebuilt};
use dataset_events::{Env, Ledger, LedgerSet, Scope, SetScope, TenantId};
use dataset_events_examples::read_models::{Board, BoardState};
use dataset_events_examples::services::{ledgers_of, snapshots_of};
use tempfile::TempDir;

/// How long services that were not ended may go on to write.
const PATIENCE: Duration = Duration::from_secs(180);

/// All models over the scopes of a test, refreshed and saved as it goes. When it goes, the test was not over before
/// each scope's state as it was folded on, from its snapshot and from zero were the same.
pub(crate) struct Watch {
    own: Option<Ledger>,
    set: LedgerSet,
    store: SnapshotStore,
    live: Mutex<BTreeMap<String, Folded<Board>>>,
    _directory: TempDir,
}

pub(crate) fn json(state: &BoardState) -> String {
    serde_json::to_string_pretty(state).expect("a state is JSON")
}

fn name(scope: &Scope) -> String {
    format!("{}/{}", scope.tenant_id(), scope.env())
}

/// The scopes of tenants.
fn scopes(set: &LedgerSet) -> Vec<SetScope> {
    let operator = set.unrecorded_operator();
    let scopes = operator.scopes().scopes.into_iter().filter(|(scope, _)| !scope.is_system());
    scopes.map(|(scope, _)| operator.scope(&scope)).collect()
}

impl Watch {
    /// Over a ledger of the test's own.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self::over(Some(ledger.clone()), LedgerSet::of(ledger))
    }

    /// Over the ledgers of the services of a root, as another process sees them.
    pub(crate) fn of_services(root: &Path) -> Self {
        Self::over(None, LedgerSet::options().root(ledgers_of(root)).open())
    }

    fn over(own: Option<Ledger>, set: LedgerSet) -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let store = SnapshotStore::open(directory.path()).expect("make the directory of snapshots");
        Self { own, set, store, live: Mutex::default(), _directory: directory }
    }

    fn open(&self, scope: &SetScope) -> Folded<Board> {
        Folded::open(scope, Board, &self.store).expect("fold").save_every(1)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Folded<Board>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to follow a scope, and folds what there is in the others.
    pub(crate) fn follow(&self, tenant: &str, env: &str) {
        self.refresh();
        let (Ok(tenant), Ok(env)) = (TenantId::new(tenant), Env::new(env)) else { return };
        let scope = self.set.scope(&tenant, &env);
        self.live().entry(name(scope.scope())).or_insert_with(|| self.open(&scope));
    }

    /// Folds what is durable by now.
    pub(crate) fn refresh(&self) {
        for folded in self.live().values_mut() {
            let refreshed = folded.refresh();
            assert_eq!((&refreshed.unread, &refreshed.save_error), (&vec![], &None));
        }
    }

    /// Begins to follow every scope that there is by now, and folds what is new.
    pub(crate) fn refresh_all(&self) {
        self.refresh();
        for scope in scopes(&self.set) {
            self.live().entry(name(scope.scope())).or_insert_with(|| self.open(&scope));
        }
    }

    /// Asserts of each scope that the state as it was folded on, the state from its snapshot, the state that went
    /// through its serialised form after each event, and the state from zero are the same.
    fn finish(&self) {
        if let Some(own) = &self.own {
            // A test may have closed the ledger, which is durable then.
            let _ = own.flush();
        }
        let until = Instant::now() + PATIENCE;
        for scope in scopes(&self.set) {
            // Of services that go on, both are taken at the same cursors.
            let zero = loop {
                self.refresh();
                let zero = Folded::in_memory(&scope, Board).expect("fold from zero");
                let live = self.live();
                let live = live.get(&name(scope.scope()));
                if live.is_none_or(|live| live.snapshot().ledgers == zero.snapshot().ledgers) {
                    break zero;
                }
                assert!(Instant::now() < until, "{scope:?} is written on and on");
            };
            let expected = json(zero.state());
            let (mut replayed, mut events) = (BoardState::default(), 0);
            for stored in scope.events().iter().expect("read") {
                let event = stored.expect("read an event").event;
                if zero.snapshot().ledgers.get(&event.ledger_id).is_some_and(|end| event.seq <= end.seq) {
                    Board.apply(&mut replayed, &event);
                    replayed = serde_json::from_str(&json(&replayed)).expect("a state is read back");
                    events += 1;
                }
            }
            assert_eq!((json(&replayed), events), (expected.clone(), zero.snapshot().events), "{scope:?}");
            let live = self.live().remove(&name(scope.scope()));
            let Some(live) = live else { continue };
            assert_eq!(json(live.state()), expected, "as it was folded on, of {scope:?}");
            assert_ne!(live.start(), &Start::Snapshot, "nothing was there when the test began");
            drop(live);
            let resumed = self.open(&scope);
            assert_eq!(resumed.start(), &Start::Snapshot, "{scope:?}");
            // What services wrote meanwhile is in it too.
            if self.own.is_some() || resumed.snapshot().ledgers == zero.snapshot().ledgers {
                assert_eq!(json(resumed.state()), expected, "from its snapshot, of {scope:?}");
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}

/// Asserts of each scope of a root whose services have ended that what they left in their snapshots, folded on, is
/// what folding from zero gives; answers how many scopes had a snapshot.
pub(crate) fn assert_left_is_rebuilt(root: &Path) -> usize {
    let set = LedgerSet::options().root(ledgers_of(root)).open();
    let store = SnapshotStore::open(snapshots_of(root)).expect("open the directory of snapshots");
    assert_rebuilt(|| Board, &set, &store)
}
