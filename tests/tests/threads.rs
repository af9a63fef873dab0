//! Many threads, threads that end, and calls that stay open.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use dataset_events::{Health, Ledger, RequestContext, dataset_event};
use dataset_events_tests::log::{Log, only_ledger};

#[dataset_event(surface = "threads.call", access = "read", input(thread, n))]
fn call(ctx: &RequestContext, thread: u64, n: u64) {}

#[dataset_event(surface = "threads.open", guarantee = "intent", input(n))]
async fn open_until(ctx: &RequestContext, n: u64, end: futures::channel::oneshot::Receiver<()>) {
    // The sender is kept until the call may end; it then sends.
    end.await.expect("the sender sends");
}

/// Each of `threads` x `calls` calls has one event.
fn assert_each_once(log: &Log, threads: u64, calls: u64) {
    let mut seen = BTreeMap::new();
    for event in log.events_of("threads.call") {
        assert_eq!(event.outcome, "ok");
        *seen.entry((event.input_number("thread"), event.input_number("n"))).or_insert(0) += 1;
    }
    for thread in 0..threads {
        for n in 0..calls {
            assert_eq!(seen.get(&(thread, n)), Some(&1), "call {n} of thread {thread}");
        }
    }
    assert_eq!(seen.len() as u64, threads * calls);
}

#[test]
fn two_thousand_threads_that_live_at_once_have_each_event_once() {
    const THREADS: u64 = 2_000;
    const CALLS: u64 = 5;
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = Ledger::open(root.path()).expect("open the ledger");
    let all_live = Barrier::new(THREADS as usize);
    let all_recorded = Barrier::new(THREADS as usize + 1);
    let may_end = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, all_live, all_recorded, may_end) = (&ledger, &all_live, &all_recorded, &may_end);
            let builder = thread::Builder::new().stack_size(256 * 1024);
            let spawned = builder.spawn_scoped(scope, move || {
                let ctx = ledger.context("acme", "prod").build().expect("valid ids");
                all_live.wait();
                for n in 0..CALLS {
                    call(&ctx, thread, n);
                }
                all_recorded.wait();
                may_end.wait();
            });
            spawned.expect("start a thread");
        }
        all_recorded.wait();
        ledger.flush().expect("flush");
        // Read while every thread still holds what it has leased.
        assert_each_once(&Log::read(&only_ledger(root.path())), THREADS, CALLS);
        let stats = ledger.stats();
        assert_eq!((stats.shed, ledger.health()), (0, Health::Green), "{stats:?}");
        may_end.wait();
    });
    ledger.close().expect("close");
    assert_each_once(&Log::read(&only_ledger(root.path())), THREADS, CALLS);
}

#[test]
fn threads_that_end_give_their_blocks_back() {
    const ROUNDS: u64 = 40;
    const THREADS: u64 = 10;
    let root = tempfile::tempdir().expect("temporary directory");
    // Far fewer blocks than threads: the journal is full after a tenth of them unless blocks come back.
    let ledger = Ledger::options().root(root.path()).journal_bytes(1 << 20).open().expect("open the ledger");
    let blocks = ledger.stats().journal_blocks;
    assert!(u64::from(blocks) < ROUNDS * THREADS / 10, "{blocks} blocks");
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let ledger = &ledger;
                scope.spawn(move || {
                    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
                    call(&ctx, round * THREADS + thread, 0);
                });
            }
        });
        ledger.flush().expect("flush");
        // A scope can end while a thread still takes its locals down; its block then comes back with the
        // next round. So at most those of one round are out.
        let free = ledger.stats().journal_blocks_free;
        assert!(
            u64::from(blocks - free) <= THREADS,
            "{free} of {blocks} blocks are free after round {round}"
        );
    }
    assert_eq!(ledger.stats().shed, 0);
    ledger.close().expect("close");
    assert_each_once(&Log::read(&only_ledger(root.path())), ROUNDS * THREADS, 1);
}

#[test]
fn ten_thousand_calls_stay_open_while_blocks_are_used_again_and_have_one_event_each() {
    const OPEN: u64 = 10_000;
    let root = tempfile::tempdir().expect("temporary directory");
    // 10,000 attempts of some 500 bytes are more than this journal holds.
    let ledger = Ledger::options().root(root.path()).journal_bytes(4 << 20).open().expect("open the ledger");
    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
    let mut open = Vec::new();
    let waker = std::task::Waker::noop();
    for n in 0..OPEN {
        let (may_end, end) = futures::channel::oneshot::channel();
        let mut future = Box::pin(open_until(&ctx, n, end));
        assert!(future.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        open.push((may_end, future));
        if n % 1_000 == 999 {
            ledger.flush().expect("flush");
        }
    }
    assert_eq!(ledger.stats().open_attempts, OPEN);
    // Other calls go around the journal several times meanwhile.
    for n in 0..40_000 {
        call(&ctx, 0, n);
        if n % 2_000 == 1_999 {
            ledger.flush().expect("flush");
        }
    }
    let stats = ledger.stats();
    assert_eq!((stats.shed, stats.open_attempts), (0, OPEN));
    for (at, (may_end, future)) in open.into_iter().enumerate() {
        may_end.send(()).expect("the call waits");
        futures::executor::block_on(future);
        if at % 1_000 == 999 {
            ledger.flush().expect("flush");
        }
    }
    assert_eq!(ledger.stats().open_attempts, 0);
    drop(ctx);
    ledger.close().expect("close");
    let log = Log::read(&only_ledger(root.path()));
    assert_each_once(&log, 1, 40_000);
    let mut seen: Vec<u64> = log.events_of("threads.open").map(|event| event.input_number("n")).collect();
    assert!(log.events_of("threads.open").all(|event| event.outcome == "ok"));
    seen.sort_unstable();
    assert_eq!(seen, (0..OPEN).collect::<Vec<_>>());
    // They did outlive their blocks: then an attempt has a line of its own.
    let lines = log.lines.iter().filter(|line| !line.is_event).count();
    assert!(lines > 9_000, "{lines} attempts in the log");
}

#[dataset_event(surface = "threads.begin", ctx = ctx)]
fn begin(ctx: &RequestContext, other: &RequestContext) {
    let contexts = [ctx.for_task(), other.for_task()];
    let task = thread::spawn(move || contexts.iter().for_each(|ctx| call(ctx, 0, 0)));
    task.join().expect("no panic");
}

#[test]
fn a_task_continues_the_call_that_spawns_it_in_its_own_trace_and_scope_only() {
    let ledger = dataset_events::testing::TestLedger::new();
    let context = |env: &'static str, trace: &str| {
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        ledger.context("acme", env).traceparent(parent.as_str()).build().expect("a context")
    };
    let (one, two) = ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737");
    for (env, trace) in [("prod", one), ("staging", one), ("prod", two)] {
        begin(&context("prod", one), &context(env, trace));
    }
    let spans: Vec<_> = ledger.events_of("threads.begin").iter().map(|event| Some(event.span_id)).collect();
    let parents: Vec<_> = ledger.events_of("threads.call").iter().map(|event| event.parent_span_id).collect();
    let foreign = context("prod", one).parent_span_id();
    assert!(foreign.is_some() && spans.len() == 3);
    assert_eq!(parents, [spans[0], spans[0], spans[1], foreign, spans[2], foreign]);
}
