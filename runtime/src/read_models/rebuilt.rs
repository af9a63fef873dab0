//! Holds snapshots to their promise.

use super::{Folded, ReadModel, SnapshotStore, Start};
use crate::ledger_set::LedgerSet;

/// Asserts of each tenant's scope in a set that what its snapshot holds, folded on, is what folding every event from
/// zero gives; answers how many scopes have a snapshot.
///
/// For the end of a test, when nothing writes to the ledgers any more. A scope without a snapshot is held to the
/// number of its events alone.
///
/// # Panics
///
/// When the two states differ in their serialised form, when a snapshot is refused, or when a scope cannot be read
/// to its end.
#[track_caller]
pub fn assert_rebuilt<M: ReadModel>(
    model: impl Fn() -> M,
    ledgers: &LedgerSet,
    snapshots: &SnapshotStore,
) -> usize {
    let operator = ledgers.unrecorded_operator();
    let mut with_snapshot = 0;
    for (scope, events) in operator.scopes().scopes.into_iter().filter(|(scope, _)| !scope.is_system()) {
        let reader = operator.scope(&scope);
        let left = Folded::open(&reader, model(), snapshots).expect("fold on from the snapshot");
        let zero = Folded::in_memory(&reader, model()).expect("fold from zero");
        let read = (zero.snapshot().events, zero.last_refresh().unread.as_slice());
        assert_eq!(read, (events, [].as_slice()), "{scope:?} is read to its end");
        assert_eq!(
            text(&left),
            text(&zero),
            "{} of {scope:?}: its snapshot against a fold from zero",
            M::NAME
        );
        assert!(!matches!(left.start(), Start::Refused { .. }), "{scope:?}: {:?}", left.start());
        with_snapshot += usize::from(left.start() == &Start::Snapshot);
    }
    with_snapshot
}

fn text<M: ReadModel>(folded: &Folded<M>) -> String {
    serde_json::to_string_pretty(folded.state()).expect("a state can be serialised")
}
