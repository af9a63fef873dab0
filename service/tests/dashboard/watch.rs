//! What the dashboard's own pages are folded from, beside a test: when the test ends, states as they were folded on
//! are what folding from zero gives.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dataset_events::read_models::{Activity, Failures, Folded, Latency, LedgerHeads};
use dataset_events::{Ledger, LedgerSet, Scope, SetScope};

type Models = (Activity, Failures, Latency, LedgerHeads);

const MODELS: Models = (Activity, Failures, Latency, LedgerHeads);

/// The states of all scopes of two ledgers.
pub(crate) struct Watch {
    set: LedgerSet,
    live: Mutex<BTreeMap<String, Folded<Models>>>,
}

fn name(scope: &Scope) -> String {
    format!("{}/{}", scope.tenant_id(), scope.env())
}

impl Watch {
    pub(crate) fn new(ledgers: [&Ledger; 2]) -> Self {
        let options =
            ledgers.into_iter().fold(LedgerSet::options(), |options, ledger| options.ledger(ledger));
        Self { set: options.open(), live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Folded<Models>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scopes(&self) -> Vec<SetScope> {
        let operator = self.set.unrecorded_operator();
        let scopes = operator.scopes().scopes.into_iter().filter(|(scope, _)| !scope.is_system());
        scopes.map(|(scope, _)| operator.scope(&scope)).collect()
    }

    /// Folds what is new, and begins to follow new scopes.
    pub(crate) fn refresh(&self) {
        for scope in self.scopes() {
            let mut live = self.live();
            let folded = live.entry(name(scope.scope()));
            let folded = folded.or_insert_with(|| Folded::in_memory(&scope, MODELS).unwrap());
            assert!(folded.refresh().unread.is_empty(), "{:?}", folded.last_refresh());
        }
    }

    /// Both at the same cursors: the service of the test may still write.
    fn assert_rebuilt(&self, scope: &SetScope) -> bool {
        let zero = Folded::in_memory(scope, MODELS).unwrap();
        let mut live = self.live();
        let folded = live.get_mut(&name(scope.scope())).expect("followed");
        folded.refresh();
        if folded.snapshot().ledgers != zero.snapshot().ledgers {
            return false;
        }
        let text = |folded: &Folded<Models>| serde_json::to_string(folded.state()).unwrap();
        assert_eq!(text(folded), text(&zero), "{:?}", scope.scope());
        true
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.refresh();
        for scope in self.scopes() {
            let is_settled = (0..1_000).any(|_| self.assert_rebuilt(&scope));
            assert!(is_settled, "{:?} is written on and on", scope.scope());
        }
    }
}
