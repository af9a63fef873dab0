//! Services that share a root keep their ledgers, in whatever order they start.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dataset_events::{Ledger, LedgerOptions, RequestContext, VerifyOptions, dataset_event, verify};
use dataset_events_tests::log::{Log, ledgers};

#[dataset_event(surface = "shared.call", access = "read", input(n))]
fn call(ctx: &RequestContext, n: u64) {}

fn unnamed(root: &Path) -> LedgerOptions {
    Ledger::options().root(root).journal_bytes(1 << 20)
}

fn open(root: &Path, service: &str) -> Ledger {
    unnamed(root).service(service, "1").open().expect("open a ledger")
}

fn directory(ledger: &Ledger) -> PathBuf {
    ledger.path().expect("it lies on disk").to_owned()
}

fn record(ledger: &Ledger, n: u64) {
    call(&ledger.context("acme", "prod").build().expect("valid ids"), n);
}

/// The services that wrote calls into a ledger.
fn callers(ledger: &Path) -> BTreeSet<String> {
    let log = Log::read(ledger);
    log.events_of("shared.call").map(|line| line.json()["writer"]["service"].to_string()).collect()
}

#[test]
fn two_services_that_start_in_the_other_order_keep_their_ledgers() {
    let root = tempfile::tempdir().expect("temporary directory");
    let (orders, billing) = (open(root.path(), "orders"), open(root.path(), "billing"));
    let kept = [directory(&orders), directory(&billing)];
    for round in 0..3 {
        let (one, other) = (open(root.path(), "orders"), open(root.path(), "billing"));
        drop((one, other));
        assert_eq!(ledgers(root.path()).len(), 4, "the second instances of round {round} share two");
    }
    record(&orders, 0);
    record(&billing, 1);
    orders.close().expect("close");
    billing.close().expect("close");
    let billing = open(root.path(), "billing");
    let orders = open(root.path(), "orders");
    assert_eq!([directory(&orders), directory(&billing)], kept);
    record(&orders, 2);
    record(&billing, 3);
    orders.close().expect("close");
    billing.close().expect("close");
    assert_eq!(
        kept.map(|ledger| callers(&ledger)),
        [[r#""orders""#.to_owned()].into(), [r#""billing""#.to_owned()].into()]
    );
    for ledger in ledgers(root.path()) {
        let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
        assert!(report.is_verified(), "{report}");
    }
}

#[test]
fn a_service_alone_and_one_without_a_name_continue_their_own() {
    let root = tempfile::tempdir().expect("temporary directory");
    let nobodys = {
        let ledger = unnamed(root.path()).open().expect("open a ledger");
        let again = directory(&ledger);
        ledger.close().expect("close");
        again
    };
    assert!(!nobodys.join("service").exists());
    // As a ledger of before there was the file: whoever comes first takes it.
    for _ in 0..2 {
        let ledger = open(root.path(), "orders");
        assert_eq!(directory(&ledger), nobodys);
        ledger.close().expect("close");
    }
    assert_eq!(fs::read(nobodys.join("service")).expect("it says whose it is"), b"orders");
    for _ in 0..2 {
        let ledger = unnamed(root.path()).open().expect("open a ledger");
        assert_ne!(directory(&ledger), nobodys, "that is another's now");
        ledger.close().expect("close");
    }
    assert_eq!(ledgers(root.path()).len(), 2);
}

#[test]
fn instances_of_one_service_take_over_from_each_other_oldest_first() {
    let root = tempfile::tempdir().expect("temporary directory");
    let instances: Vec<Ledger> = (0..5).map(|_| open(root.path(), "orders")).collect();
    let mut made: Vec<PathBuf> = instances.iter().map(directory).collect();
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5);
    instances.into_iter().for_each(|ledger| ledger.close().expect("close"));
    let stranger = open(root.path(), "billing");
    let instances: Vec<Ledger> = (0..5).map(|_| open(root.path(), "orders")).collect();
    assert_eq!(instances.iter().map(directory).collect::<Vec<_>>(), made);
    assert!(!made.contains(&directory(&stranger)));
}

#[test]
fn what_a_dead_service_left_is_completed_by_another_and_stays_its_own() {
    let root = tempfile::tempdir().expect("temporary directory");
    let disk = |what: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_disk"));
        command.arg(root.path()).arg(what).output().expect("start the program")
    };
    assert_eq!(disk("open").stdout, b"opened\n");
    let [theirs] = &ledgers(root.path())[..] else { panic!("one ledger") };
    let was_killed = disk("leave-named");
    assert!(!was_killed.status.success(), "{was_killed:?}");
    assert_eq!(Log::read(theirs).events_of("disk.recorded").count(), 0, "in the journal alone");
    let ledger = open(root.path(), "orders");
    assert_ne!(&directory(&ledger), theirs);
    assert_eq!(Log::read(theirs).events_of("disk.recorded").count(), 10);
    assert_eq!(fs::read(theirs.join("service")).expect("it says whose it is"), b"disk");
    ledger.close().expect("close");
    assert_eq!(disk("open").stdout, b"opened\n");
    assert_eq!(ledgers(root.path()).len(), 2);
}
