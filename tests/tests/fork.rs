//! A process that forks while its ledger is open.

use std::path::Path;
use std::process::Command;

use dataset_events::{Ledger, VerifyOptions, verify};
use dataset_events_tests::child::{Running, Said};
use dataset_events_tests::log::{Log, only_ledger};

fn start(root: &Path, what: &str) -> Running {
    Running::start(Command::new(env!("CARGO_BIN_EXE_forked")).arg(root).arg(what))
}

/// Runs the program to its end; returns how its child ended.
fn run(root: &Path, what: &str) -> String {
    let mut parent = start(root, what);
    let said: Vec<_> = parent.listen().iter().collect();
    parent.finish();
    match &said[..] {
        [Said::Opened, Said::Else(child)] => child.clone(),
        other => panic!("{other:?}"),
    }
}

fn assert_intact(root: &Path) -> Log {
    let ledger = only_ledger(root);
    let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
    Log::read(&ledger)
}

#[test]
fn a_forked_child_neither_crashes_nor_writes() {
    let root = tempfile::tempdir().expect("temporary directory");
    assert_eq!(run(root.path(), "calls"), "child exited 0");
    let log = assert_intact(root.path());
    for who in ["parent before", "parent", "parent after"] {
        let surfaces: Vec<_> = log
            .events_of("fork.")
            .filter(|event| event.json()["input"]["who"] == who)
            .map(|event| (&*event.surface, &*event.outcome))
            .collect();
        let all = ["fork.recorded", "fork.intent", "fork.large", "fork.durable"].map(|name| (name, "ok"));
        assert_eq!(surfaces, all, "{who}");
    }
    assert_eq!(log.events_of("fork.").count(), 12, "the child's calls are not there");
    assert!(log.events_of("ledger.recovered").next().is_none(), "the parent closed its ledger");
}

#[test]
fn a_call_that_forks_is_recorded_by_the_parent_alone() {
    let root = tempfile::tempdir().expect("temporary directory");
    assert_eq!(run(root.path(), "ends-a-call"), "child exited 0");
    let log = assert_intact(root.path());
    let outcomes: Vec<_> = log.events_of("fork.inside").map(|event| &*event.outcome).collect();
    assert_eq!(outcomes, ["ok"]);
}

/// A daemon forks a helper that does not exec, and dies. The helper has no use for the ledger, so it must
/// not keep the next process from taking it: what the daemon left would wait for as long as it lives.
#[test]
fn a_forked_child_that_outlives_its_parent_does_not_hold_the_ledger() {
    let root = tempfile::tempdir().expect("temporary directory");
    let mut parent = start(root.path(), "outlives");
    let said = parent.listen();
    let child = loop {
        match said.recv().expect("the program says which child it has") {
            Said::Else(text) => break text.strip_prefix("child-lives ").expect("a pid").to_owned(),
            _ => continue,
        }
    };
    parent.kill();
    let is_alive = || Path::new(&format!("/proc/{child}")).exists();
    assert!(is_alive(), "the child outlives its parent");
    let opened = Ledger::open(root.path()).map(|ledger| ledger.close());
    let found = dataset_events_tests::log::ledgers(root.path());
    let still_alive = is_alive();
    let killed = Command::new("kill").args(["-9", &child]).status().expect("run kill");
    assert!(killed.success() && still_alive, "the child lived until here");
    opened.expect("open").expect("close");
    assert_eq!(found.len(), 1, "the parent's ledger was taken, no new one made: {found:?}");
    let log = assert_intact(root.path());
    assert_eq!(log.events_of("fork.").count(), 4);
}
