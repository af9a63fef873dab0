//! A small journal and more calls than it can take: waiting is bounded, and what was lost is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use dataset_events::{Health, Ledger, RequestContext, VerifyOptions, dataset_event, verify};
use dataset_events_tests::child::{Running, Said};
use dataset_events_tests::log::{Log, only_ledger, segments};

#[dataset_event(surface = "overload.call", access = "read", input(n, text))]
fn call(ctx: &RequestContext, n: u64, text: &str) {}

#[dataset_event(surface = "overload.intent", input(n))]
fn intent(ctx: &RequestContext, n: u64) {}

/// A ledger that can take a few hundred calls between groups, and whose groups are far apart: it stands
/// for a disk that is too slow, without one.
fn open_small(root: &Path) -> Ledger {
    let options = Ledger::options().root(root).service("overload", "1").journal_bytes(1 << 20);
    options.open().expect("open the ledger")
}

/// Recorded and told-as-lost calls, by scope.
fn accounted(log: &Log, surface: &str) -> BTreeMap<String, u64> {
    let mut counts = log.lost();
    for event in log.events_of(surface) {
        *counts.entry(event.scope.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn waiting_is_bounded_and_recorded_and_lost_add_up_for_every_scope() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 4_000;
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open_small(root.path());
    let text = "x".repeat(4_000);
    let start = Barrier::new(THREADS as usize);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (ledger, text, start) = (&ledger, &text, &start);
                scope.spawn(move || {
                    let tenant = format!("tenant-{}", thread % 4);
                    let ctx = ledger.context(&*tenant, "prod").build().expect("valid ids");
                    start.wait();
                    let mut longest = Duration::ZERO;
                    for n in 0..CALLS {
                        let before = Instant::now();
                        call(&ctx, n, text);
                        longest = longest.max(before.elapsed());
                    }
                    longest
                })
            })
            .collect();
        for thread in threads {
            longest = longest.max(thread.join().expect("a producer ends well"));
        }
    });
    let stats = ledger.stats();
    println!("longest call {longest:?}; {stats:?}");
    assert!(stats.shed > 100, "the journal was too small for the load: {stats:?}");
    assert!(stats.waits > 0, "calls waited first: {stats:?}");
    // 250 ms of waiting; the rest is for a slow machine whose two cores have ten threads to run.
    assert!(longest < Duration::from_secs(10), "{longest:?}");

    // The pressure is gone.
    ledger.flush().expect("flush");
    ledger.flush().expect("flush: the losses are told in the group behind the one that made room");
    assert_eq!(ledger.health(), Health::Green);
    let told = Log::read(&only_ledger(root.path()));
    let expected: BTreeMap<_, _> =
        (0..4).map(|tenant| (format!("tenant-{tenant}/prod"), 2 * CALLS)).collect();
    assert_eq!(accounted(&told, "overload.call"), expected);
    assert_eq!(told.lost().values().sum::<u64>(), stats.shed);

    // And what comes now is recorded.
    let ctx = ledger.context("tenant-0", "prod").build().expect("valid ids");
    call(&ctx, 0, "after");
    drop(ctx);
    ledger.close().expect("close");
    let log = Log::read(&only_ledger(root.path()));
    assert_eq!(log.events_of("overload.call").count(), told.events_of("overload.call").count() + 1);
    assert_eq!(log.lost(), told.lost(), "a loss is told once");
    let report = verify(only_ledger(root.path()), &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
}

/// Threads that idle keep the block that they lease. With most of the journal leased that way, a burst of
/// others made the ledger shed, and it never left that state: nothing that could come back was out.
#[test]
fn shedding_ends_also_when_idle_threads_hold_most_of_the_journal() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open_small(root.path());
    let blocks = ledger.stats().journal_blocks;
    // The last that are free when threads begin to share.
    let idle = blocks as usize - 3;
    let (have_leased, may_end) = (Barrier::new(idle + 1), Barrier::new(idle + 1));
    let text = "x".repeat(8_000);
    thread::scope(|scope| {
        for _ in 0..idle {
            let (ledger, have_leased, may_end) = (&ledger, &have_leased, &may_end);
            scope.spawn(move || {
                let ctx = ledger.context("idle", "prod").build().expect("valid ids");
                call(&ctx, 0, "");
                have_leased.wait();
                may_end.wait();
            });
        }
        have_leased.wait();
        let ctx = ledger.context("busy", "prod").build().expect("valid ids");
        let mut calls = 0;
        while ledger.stats().shed == 0 {
            call(&ctx, calls, &text);
            calls += 1;
            assert!(calls < 1_000_000, "a burst fills the rest of the journal: {:?}", ledger.stats());
        }
        ledger.flush().expect("flush");
        ledger.flush().expect("flush");
        let (health, stats) = (ledger.health(), ledger.stats());
        let log = Log::read(&only_ledger(root.path()));
        may_end.wait();
        assert_eq!(health, Health::Green, "{stats:?}");
        assert_eq!(accounted(&log, "overload.call")["busy/prod"], calls);
    });
}

#[test]
fn attempts_under_overload_have_one_event_each_or_are_told_as_lost() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 10_000;
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open_small(root.path());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || {
                let ctx = ledger.context("acme", "prod").build().expect("valid ids");
                for n in 0..CALLS {
                    intent(&ctx, n);
                }
            });
        }
    });
    let stats = ledger.stats();
    println!("{stats:?}");
    ledger.close().expect("close");
    // `Log::read` refuses an event that stands there twice.
    let log = Log::read(&only_ledger(root.path()));
    let expected: BTreeMap<_, _> = [("acme/prod".to_owned(), THREADS * CALLS)].into();
    assert_eq!(accounted(&log, "overload.intent"), expected, "{stats:?}");
}

#[test]
fn losses_are_told_after_a_kill() {
    let root = tempfile::tempdir().expect("temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_overloaded"));
    let mut child = Running::start(command.arg(root.path()));
    // It says how many calls it made in all, and then waits, shedding, to be killed.
    let calls: u64 = match child.listen().recv().expect("the program says how many calls it made") {
        Said::Else(text) => text.parse().expect("a number"),
        said => panic!("{said:?}"),
    };
    child.kill();
    for segment in segments(&only_ledger(root.path())) {
        let text = String::from_utf8_lossy(&std::fs::read(&segment).expect("read the log")).into_owned();
        assert!(!text.contains("ledger.gap"), "nothing was told while the pressure lasted");
    }
    Ledger::open(root.path()).expect("open after the kill").close().expect("close");
    let log = Log::read(&only_ledger(root.path()));
    let lost: u64 = log.lost().values().sum();
    assert!(lost > 0);
    assert_eq!(accounted(&log, "overload.call"), [("acme/prod".to_owned(), calls)].into());
    // Once more: a loss is told once.
    Ledger::open(root.path()).expect("open again").close().expect("close");
    assert_eq!(Log::read(&only_ledger(root.path())).lost().values().sum::<u64>(), lost);
}
