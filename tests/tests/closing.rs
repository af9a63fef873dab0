//! Flush, drain, drop and close: what is in the log afterwards.

use std::time::Duration;

use dataset_events::{Env, Ledger, LedgerError, Outcome, RequestContext, TenantId, dataset_event};

const TENANT: TenantId = TenantId::from_static("acme");
const ENV: Env = Env::from_static("prod");

#[dataset_event(surface = "closing.call", access = "read", input(number))]
fn call(ctx: &RequestContext, number: u32) -> u32 {
    number
}

fn open(root: &std::path::Path) -> Ledger {
    // Groups wait for 10 s: what is in the log sooner is there because somebody asked.
    Ledger::options()
        .root(root)
        .journal_bytes(1 << 20)
        .group_interval(Duration::from_secs(10))
        .open()
        .expect("open the ledger")
}

fn numbers(ledger: &Ledger) -> Vec<u64> {
    let events = ledger.scope(&TENANT, &ENV).events().oldest_first().iter();
    events
        .map(|stored| stored.expect("read an event").event)
        .inspect(|event| assert_eq!(event.outcome, Outcome::Ok))
        .map(|event| event.input_value()["number"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_ledger_that_is_dropped_has_written_everything() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path());
    let ctx = ledger.context(TENANT, ENV).build().expect("a valid context");
    let clone = ledger.clone();
    call(&ctx, 1);
    drop(ledger);
    call(&ctx, 2);
    drop(clone);
    // The ledger is closed with its last clone: this call runs, and its event is counted, not recorded.
    assert_eq!(call(&ctx, 3), 3);
    assert_eq!(numbers(&open(root.path())), [1, 2]);
}

#[test]
fn drain_says_whether_it_reached_the_end() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path());
    let ctx = ledger.context(TENANT, ENV).build().expect("a valid context");
    for number in 0..100 {
        call(&ctx, number);
    }
    let drained = ledger.drain(Duration::ZERO).expect("drain");
    assert!(!drained.is_complete, "nothing is durable in no time: {drained:?}");
    let drained = ledger.drain(Duration::from_secs(60)).expect("drain");
    assert!(drained.is_complete, "{drained:?}");
    assert_eq!(numbers(&ledger).len(), 100);
}

#[test]
fn a_closed_ledger_says_so() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path());
    let clone = ledger.clone();
    ledger.close().expect("close");
    assert_eq!(clone.flush(), Err(LedgerError::Closed));
    assert_eq!(clone.drain(Duration::from_secs(1)), Err(LedgerError::Closed));
}
