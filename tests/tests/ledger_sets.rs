//! Three processes write one root; one is killed. Whoever reads the root, while they write and afterwards,
//! has what a plain reading of the lines gives, without disturbing a writer.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use dataset_events::read_models::{Activity, Folded, SnapshotStore, Window};
use dataset_events::{DatasetEvent, Env, Ledger, LedgerSet, LedgerStatus, SetScope, TenantId};
use dataset_events_tests::child::{Running, Said};

fn scopes(set: &LedgerSet) -> Vec<SetScope> {
    let scopes = [("acme", "prod"), ("acme", "dev"), ("globex", "prod"), ("initech", "prod")];
    let scope = |(tenant, env)| set.scope(&TenantId::from_static(tenant), &Env::from_static(env));
    scopes.map(scope).to_vec()
}

/// The ids of a scope's events by a plain reading of all segments below a root.
fn plain(root: &Path, scope: &SetScope) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for ledger in std::fs::read_dir(root).unwrap() {
        let Ok(segments) = std::fs::read_dir(ledger.unwrap().path().join("log")) else { continue };
        for segment in segments {
            let path = segment.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "ndjson") {
                let text = std::fs::read_to_string(path).unwrap();
                let events = text.lines().filter_map(|line| DatasetEvent::from_line(line).ok());
                let events = events.filter(|event| event.scope() == scope.scope());
                ids.extend(events.map(|event| event.event_id.to_string()));
            }
        }
    }
    ids
}

#[test]
fn a_root_of_three_processes_is_read_while_they_write_and_after_one_is_killed() {
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writers: Vec<_> = (0..3)
        .map(|seed: u64| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
            Running::start(command.arg(root.path()).args([seed.to_string(), "1".to_owned()]))
        })
        .collect();
    let said: Vec<_> = writers.iter_mut().map(Running::listen).collect();
    for said in &said {
        assert_eq!(said.recv().unwrap(), Said::Opened);
    }
    let set = LedgerSet::options().root(root.path()).open();
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    let mut folded: Vec<_> = scopes(&set)
        .iter()
        .map(|scope| Folded::open(scope, Activity, &store).unwrap().save_every(500))
        .collect();
    let mut refresh = |at_least: u64| {
        for model in &mut folded {
            while model.snapshot().events < at_least {
                model.refresh();
                assert!(model.last_refresh().unread.is_empty(), "{:?}", model.last_refresh());
            }
        }
    };
    refresh(1_000);
    let status =
        |wanted: &LedgerStatus| set.ledgers().iter().filter(|ledger| ledger.status == *wanted).count();
    assert_eq!(status(&LedgerStatus::Live), 3);
    writers.remove(0).kill();
    assert_eq!((status(&LedgerStatus::Live), status(&LedgerStatus::Closed)), (2, 1));
    refresh(2_000);
    for writer in writers {
        writer.kill();
    }
    // What each left in its journal is recovered by the next process of the root.
    let options = Ledger::options().root(root.path()).service("load", "1").journal_bytes(16 << 20);
    let next = options.open().unwrap();
    next.flush().unwrap();
    for model in &mut folded {
        model.refresh();
        assert!(model.last_refresh().unread.is_empty(), "{:?}", model.last_refresh());
        let expected = plain(root.path(), model.scope());
        let events =
            model.scope().events().iter().unwrap().map(|event| event.unwrap().event.event_id.to_string());
        assert_eq!(events.collect::<BTreeSet<_>>(), expected);
        assert_eq!(model.snapshot().events, expected.len() as u64);
        let end = model.as_of().unwrap() + 1;
        assert_eq!(model.state().window(Window::All, end).total.events, expected.len() as u64);
        let own = LedgerSet::of(&next);
        let scope = own.scope(model.scope().scope().tenant_id(), model.scope().scope().env());
        for rebuilt in [Folded::in_memory(&scope, Activity), Folded::open(&scope, Activity, &store)] {
            assert_eq!(rebuilt.unwrap().snapshot(), model.snapshot());
        }
    }
    let verified = LedgerSet::of(&next).verify();
    assert!(verified.len() == 3 && verified.iter().all(|ledger| ledger.is_verified()), "{verified:?}");
}
