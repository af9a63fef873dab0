//! `durable` calls: admitted before the body runs, by waker in async functions, refused without a ledger.

use std::cell::Cell;
use std::task::{Context, Waker};

use dataset_events::testing::TestLedger;
use dataset_events::{ErrorCode, LedgerUnavailable, Outcome, RequestContext, dataset_event};

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("durable.blocked", status = 403)]
    Blocked,
    #[code(transparent)]
    Ledger(LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failure {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Ledger(error)
    }
}

#[dataset_event(surface = "durable.sync", guarantee = "durable", input(blocked), output(done = ret))]
fn sync(ctx: &RequestContext, ran: &Cell<bool>, blocked: bool) -> Result<u8, Failure> {
    ran.set(true);
    if blocked { Err(Failure::Blocked) } else { Ok(7) }
}

#[dataset_event(surface = "durable.async", guarantee = "durable", input(blocked), output(done = ret))]
async fn asynchronous(ctx: &RequestContext, ran: &Cell<bool>, blocked: bool) -> Result<u8, Failure> {
    ran.set(true);
    std::future::ready(()).await;
    if blocked { Err(Failure::Blocked) } else { Ok(7) }
}

fn fixture() -> (TestLedger, RequestContext, Cell<bool>) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx, Cell::new(false))
}

/// The attempt's line stands in the log before the event's.
fn kinds(ledger: &TestLedger) -> Vec<&'static str> {
    let kind = |line: &String| if line.contains("\"kind\":\"attempt\"") { "attempt" } else { "event" };
    ledger.lines().iter().filter(|line| line.contains("\"surface\":\"durable.")).map(kind).collect()
}

#[test]
fn a_call_leaves_an_attempt_and_an_event() {
    let (ledger, ctx, ran) = fixture();
    assert_eq!(sync(&ctx, &ran, false).unwrap(), 7);
    ledger.assert_one("durable.sync").ok().input("blocked", false).output("done", 7);
    assert_eq!(kinds(&ledger), ["attempt", "event"]);
    let (ledger, ctx, ran) = fixture();
    assert!(matches!(sync(&ctx, &ran, true), Err(Failure::Blocked)));
    ledger.assert_one("durable.sync").outcome(Outcome::Denied).code("durable.blocked");
}

#[test]
fn an_async_call_waits_by_waker() {
    let (ledger, ctx, ran) = fixture();
    assert_eq!(futures::executor::block_on(asynchronous(&ctx, &ran, false)).unwrap(), 7);
    assert!(matches!(futures::executor::block_on(asynchronous(&ctx, &ran, true)), Err(Failure::Blocked)));
    assert_eq!(kinds(&ledger), ["attempt", "event", "attempt", "event"]);
    let ends: Vec<_> = ledger.events_of("durable.async").iter().map(|event| event.outcome).collect();
    assert_eq!(ends, [Outcome::Ok, Outcome::Denied]);
}

/// Dropped while the attempt is not durable yet: the body has not run, and the event says `cancelled`.
#[test]
fn a_call_dropped_before_it_was_admitted_is_cancelled() {
    for _ in 0..1_000 {
        let (ledger, ctx, ran) = fixture();
        let mut future = Box::pin(asynchronous(&ctx, &ran, false));
        let is_pending = future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        let had_run = ran.get();
        drop(future);
        // The fsync may be faster than the poll; then it is another case, and the next turn is tried.
        if is_pending && !had_run {
            ledger.assert_one("durable.async").outcome(Outcome::Cancelled);
            return;
        }
    }
    panic!("in 1,000 calls no attempt was still under way after the first poll");
}

#[test]
fn without_a_ledger_the_body_does_not_run() {
    let ran = Cell::new(false);
    let ctx = RequestContext::builder("acme", "prod").build().unwrap();
    let refusals = [sync(&ctx, &ran, false), futures::executor::block_on(asynchronous(&ctx, &ran, false))];
    for refusal in refusals {
        let Err(error @ Failure::Ledger(_)) = refusal else { panic!("{refusal:?}") };
        assert_eq!(error.code().name(), "ledger.unavailable");
    }
    assert!(!ran.get());
}

#[test]
fn a_closed_ledger_refuses_and_the_body_does_not_run() {
    let (ledger, ctx, ran) = fixture();
    ledger.ledger().clone().close().unwrap();
    assert!(matches!(sync(&ctx, &ran, false), Err(Failure::Ledger(_))));
    assert!(matches!(futures::executor::block_on(asynchronous(&ctx, &ran, false)), Err(Failure::Ledger(_))));
    assert!(!ran.get());
}
