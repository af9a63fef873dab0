//! Two runs of the same calls have the same bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dataset_events::testing::TestLedger;
use dataset_events::{Access, Code, ErrorCode, Guarantee, LedgerUnavailable, RequestContext, dataset_event};
use dataset_events_tests::log::segments;
use futures::StreamExt as _;
use futures::executor::block_on;

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("script.failed", retryable)]
    Failed,
    #[code("script.forbidden", status = 403)]
    Forbidden,
    #[code(transparent)]
    Ledger(LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failure {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Ledger(error)
    }
}

#[dataset_event(surface = "script.read", access = "read", input(n), output(n = ret))]
fn read(ctx: &RequestContext, n: u64) -> Result<u64, Failure> {
    match n % 3 {
        0 => Err(Failure::Failed),
        1 => Err(Failure::Forbidden),
        _ => Ok(n),
    }
}

#[dataset_event(surface = "script.write", input(text, mail_hash = hashed(mail), masked(mail)), source_refs(thread = text))]
fn write(ctx: &RequestContext, text: &str, mail: &str) {
    dataset_events::current().output("length", text.len()).change("text", "", text);
    let _ = read(ctx, 2);
}

#[dataset_event(surface = "script.panic")]
fn panics(ctx: &RequestContext) {
    std::panic::resume_unwind(Box::new("planned"));
}

#[dataset_event(surface = "script.durable", guarantee = "durable", input(n))]
fn durable(ctx: &RequestContext, n: u64) -> Result<(), Failure> {
    Ok(())
}

#[dataset_event(surface = "script.wait", input(n))]
async fn wait(ctx: &RequestContext, n: u64) -> u64 {
    if n == 0 {
        std::future::pending::<()>().await;
    }
    n
}

#[dataset_event(surface = "script.stream", access = "read")]
fn stream(ctx: RequestContext, items: u64) -> impl futures::Stream<Item = u64> {
    futures::stream::iter(0..items)
}

fn drop_at_first_wait(future: impl Future) {
    let mut future = Box::pin(future);
    let waker = std::task::Waker::noop();
    assert!(future.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
}

/// Calls of every kind, in several scopes.
fn script(ledger: &TestLedger) {
    for (tenant, env) in [("acme", "prod"), ("globex", "prod"), ("acme", "dev")] {
        let ctx = ledger.context(tenant, env).user_id("u_1").build().expect("valid ids");
        for n in 0..9 {
            let _ = read(&ctx, n);
        }
        write(&ctx, "a text", "ann@example.org");
        write(&ctx, &"x".repeat(20_000), "");
        write(&ctx, &"x".repeat(100_000), "");
        assert!(catch_unwind(AssertUnwindSafe(|| panics(&ctx))).is_err());
        durable(&ctx, 1).expect("taken");
        assert_eq!(block_on(wait(&ctx, 1)), 1);
        drop_at_first_wait(wait(&ctx, 0));
        assert_eq!(block_on(stream(ctx.clone(), 3).count()), 3);
        let mut dropped = Box::pin(stream(ctx.clone(), 3));
        assert_eq!(block_on(dropped.next()), Some(0));
        drop(dropped);
        for guarantee in [Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable] {
            let event = ctx.event("script.made").access(Access::Update).guarantee(guarantee);
            event.input("n", &1).code(Code::new("script.odd")).record().expect("valid");
        }
        let made_up = ledger.context(tenant, env).build().expect("ids are made up");
        read(&made_up, 2).expect("ok");
        ledger.flush();
    }
}

#[test]
fn two_runs_in_memory_have_the_same_lines() {
    let lines = || {
        let ledger = TestLedger::new();
        script(&ledger);
        ledger.lines()
    };
    let first = lines();
    assert!(first.len() > 70, "{}", first.len());
    assert_eq!(first, lines());
}

/// The log and the head table, byte for byte, over a reopening.
#[test]
fn two_runs_on_disk_have_the_same_log_files() {
    let files = || {
        let mut ledger = TestLedger::on_disk();
        script(&ledger);
        ledger.reopen();
        script(&ledger);
        let directory = ledger.ledger().path().expect("on disk").to_owned();
        ledger.reopen();
        let segments = segments(&directory);
        segments.iter().map(|path| std::fs::read(path).expect("read a segment")).collect::<Vec<_>>()
    };
    let first = files();
    assert!(first.iter().map(Vec::len).sum::<usize>() > 100_000);
    assert!(first == files(), "the log of the second run has other bytes");
}

#[test]
fn ledgers_with_another_seed_have_other_ids() {
    let ids = |seed| {
        let ledger = TestLedger::with_seed(seed);
        script(&ledger);
        ledger.events().iter().map(|event| event.event_id).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(ids(1).is_disjoint(&ids(2)));
}
