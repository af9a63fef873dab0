//! Order: gapless streams, no line in a stream of another tenant, and causal order between threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use dataset_events::{Env, Ledger, RequestContext, TenantId, VerifyOptions, dataset_event, verify};
use dataset_events_tests::log::{Log, only_ledger};

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
const ENVS: [&str; 2] = ["prod", "dev"];
const EVENTS: u64 = 200_000;

/// A producer that outruns the disk is shed, by design; here nobody may be. So producers flush after this
/// many calls, all together about a quarter of the journal.
const CALLS_BETWEEN_FLUSHES: u64 = 2_000;

#[dataset_event(surface = "order.write", access = "write", input(thread, n, canary))]
fn write(ctx: &RequestContext, thread: u64, n: u64, canary: &str) {}

#[dataset_event(surface = "order.read", access = "read", input(thread, n, canary))]
fn read(ctx: &RequestContext, thread: u64, n: u64, canary: &str) {}

#[dataset_event(surface = "order.turn", access = "read", input(turn))]
fn turn(ctx: &RequestContext, turn: u64) {}

fn canary(tenant: &str) -> String {
    format!("canary-of-{tenant}")
}

fn open(root: &Path) -> Ledger {
    Ledger::options().root(root).service("order", "1").open().expect("open the ledger")
}

/// What a thread has recorded, by `tenant/env`.
type Counts = BTreeMap<String, u64>;

fn produce(ledger: &Ledger, thread: u64, calls: u64) -> Counts {
    let mut contexts = Vec::new();
    for tenant in TENANTS {
        for env in ENVS {
            let ctx = ledger.context(tenant, env).user_id(canary(tenant)).build().expect("valid ids");
            contexts.push((format!("{tenant}/{env}"), ctx, canary(tenant)));
        }
    }
    let mut counts = Counts::new();
    for n in 0..calls {
        let (scope, ctx, canary) = &contexts[((n + thread) % contexts.len() as u64) as usize];
        if n % 3 == 0 {
            write(ctx, thread, n, canary)
        } else {
            read(ctx, thread, n, canary)
        }
        *counts.entry(scope.clone()).or_default() += 1;
        if n % CALLS_BETWEEN_FLUSHES == CALLS_BETWEEN_FLUSHES - 1 {
            ledger.flush().expect("flush");
        }
    }
    counts
}

#[test]
fn sixteen_threads_leave_gapless_streams_that_hold_their_own_tenant_alone() {
    const THREADS: u64 = 16;
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open(root.path());
    let mut expected = Counts::new();
    thread::scope(|scope| {
        let producers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let ledger = &ledger;
                scope.spawn(move || produce(ledger, thread, EVENTS / THREADS))
            })
            .collect();
        for producer in producers {
            for (scope, count) in producer.join().expect("a producer ends well") {
                *expected.entry(scope).or_default() += count;
            }
        }
    });
    ledger.flush().expect("flush");
    assert_eq!(ledger.stats().shed, 0);

    // The log, read without the library: gapless and chained, or `read` panics.
    let log = Log::read(&only_ledger(root.path()));
    let mut found = Counts::new();
    let mut last_of_thread: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for event in log.events_of("order.") {
        *found.entry(event.scope.clone()).or_default() += 1;
        let own = event.scope.split('/').next().expect("a tenant");
        for tenant in TENANTS {
            let canaries = event.text.matches(&canary(tenant)).count();
            // As the user, and as a captured input.
            assert_eq!(canaries, if tenant == own { 2 } else { 0 }, "{}", event.text);
        }
        let (thread, n) = (event.input_number("thread"), event.input_number("n"));
        let last = last_of_thread.insert((event.scope.clone(), thread), n);
        assert!(last.is_none_or(|last| last < n), "calls of one thread changed places: {}", event.text);
    }
    assert_eq!(found, expected);
    assert_eq!(found.values().sum::<u64>(), EVENTS);

    // What the library answers from its index is what a plain scan finds.
    for tenant in TENANTS {
        for env in ENVS {
            let reader = ledger.scope(&TenantId::new(tenant).expect("valid"), &Env::new(env).expect("valid"));
            // A third of every stream, and all of one.
            let globs: &[&str] =
                if (tenant, env) == ("acme", "dev") { &["order.*", "order.read"] } else { &["order.write"] };
            for surface in globs {
                let scanned = log
                    .events()
                    .filter(|event| event.scope == format!("{tenant}/{env}"))
                    .filter(|event| surface.ends_with('*') || event.surface == *surface)
                    .map(|event| event.text.as_str());
                let mut answered = reader.events().surface(*surface).iter();
                for line in scanned {
                    let answer = answered.next().expect("as many answers as lines").expect("readable");
                    assert_eq!(answer.line, line);
                }
                assert!(answered.next().is_none(), "more answers than lines");
            }
        }
    }
    ledger.close().expect("close");
    let report = verify(only_ledger(root.path()), &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.unprotected, Default::default(), "a closed ledger is covered to its end: {report}");
}

#[test]
fn two_strictly_alternating_threads_stay_in_causal_order() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open(root.path());
    // Whose turn it is: the thread of the number's parity. It is handed on when the call has returned.
    let at = AtomicU64::new(0);
    thread::scope(|scope| {
        for parity in 0..2 {
            let (ledger, at) = (&ledger, &at);
            scope.spawn(move || {
                let ctx = ledger.context("acme", "prod").build().expect("valid ids");
                let mut next = parity;
                while next < EVENTS {
                    while at.load(Ordering::Acquire) != next {
                        thread::yield_now();
                    }
                    turn(&ctx, next);
                    if next % (10 * CALLS_BETWEEN_FLUSHES) == 0 {
                        ledger.flush().expect("flush");
                    }
                    at.store(next + 1, Ordering::Release);
                    next += 2;
                }
            });
        }
    });
    ledger.flush().expect("flush");
    assert_eq!(ledger.stats().shed, 0);
    ledger.close().expect("close");
    let log = Log::read(&only_ledger(root.path()));
    let mut expected = 0;
    for event in log.events_of("order.turn") {
        assert_eq!(event.input_number("turn"), expected, "{}", event.text);
        expected += 1;
    }
    assert_eq!(expected, EVENTS);
}
