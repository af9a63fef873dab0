//! A folded state must be what folding every event from the start gives, whatever happens on the way.

mod answers;
mod folding;
mod persistence;

use std::path::Path;

use super::*;
use crate::event::{EventPlace, Outcome};
use crate::ids::{Env, Scope, TenantId};
use crate::ledger_set::made::{Made, MadeLedger, START_US, scope};
use crate::ledger_set::{LedgerSet, SetScope};
use crate::query::synthetic::Random;

fn spend() -> Totals {
    Totals::of("budget.*", Field::Input("cost".into())).group_by(Field::Input("provider".into()))
}

fn by_sensor() -> LatestOutputs {
    LatestOutputs::with_max_keys("chat.send", Field::SourceRef("sensor".into()), 25)
}

fn prod(set: &LedgerSet, tenant: &str) -> SetScope {
    set.scope(&TenantId::new(tenant).unwrap(), &Env::new("prod").unwrap())
}

fn of_root(root: &Path) -> LedgerSet {
    LedgerSet::options().root(root).open()
}

fn three(root: &Path) -> Vec<MadeLedger> {
    (1..=3).map(|number| MadeLedger::new(root, number)).collect()
}

/// The events of a scope, ledger after ledger.
fn events_of<'a>(ledgers: &'a [MadeLedger], scope: &'a Scope) -> impl Iterator<Item = &'a DatasetEvent> {
    ledgers.iter().flat_map(|ledger| &ledger.events).filter(move |event| event.scope() == scope)
}

/// The state by a plain loop over parsed events, merged by place, without set, query, cursor or snapshot.
fn naive<M: ReadModel>(model: &M, ledgers: &[MadeLedger], scope: &Scope) -> String {
    let mut events: Vec<_> = events_of(ledgers, scope).collect();
    events.sort_by_key(|event| EventPlace::of(event));
    let mut state = M::State::default();
    for event in events.into_iter().filter(|event| model.selects(event)) {
        model.apply(&mut state, event);
    }
    serde_json::to_string(&state).unwrap()
}

fn text<M: ReadModel>(folded: &Folded<M>) -> String {
    serde_json::to_string(folded.state()).unwrap()
}

/// Runs a generic check for every model.
macro_rules! for_every_model {
    ($check:ident($($argument:expr),*)) => {
        $check(|| Activity, $($argument),*);
        $check(|| Failures, $($argument),*);
        $check(|| Latency, $($argument),*);
        $check(by_sensor, $($argument),*);
        $check(spend, $($argument),*);
        $check(|| LedgerHeads, $($argument),*);
        $check(|| (Activity, LedgerHeads, spend(), Failures), $($argument),*);
    };
}
use for_every_model;
