//! A promise about cost: in steady state a call allocates nothing on the thread that makes it.
//!
//! Counted by a global allocator, per thread, so that what the ledger's own threads do stays out of it.
//! This binary holds nothing else.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use dataset_events::{
    Env, ErrorCode, EventId, Ledger, RequestContext, RequestId, SpanId, TenantId, TraceId, UserId,
    dataset_event,
};

#[derive(Debug, ErrorCode)]
enum Refusal {
    #[code("orders.too_many", status = 409)]
    TooMany,
}

#[dataset_event(surface = "orders.count", access = "read", input(x, y))]
fn recorded(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Refusal> {
    if x == u64::MAX { Err(Refusal::TooMany) } else { Ok(x.wrapping_mul(y)) }
}

#[dataset_event(surface = "orders.place", guarantee = "intent", input(x, y))]
fn intent(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Refusal> {
    if x == u64::MAX { Err(Refusal::TooMany) } else { Ok(x.wrapping_mul(y)) }
}

#[dataset_event(surface = "orders.find", access = "read", input(x, y), output(found = ret))]
async fn recorded_async(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Refusal> {
    Ok(x.wrapping_mul(y))
}

#[dataset_event(
    surface = "orders.describe",
    guarantee = "intent",
    input(is_open, delta, text, owned, initial, nothing),
    output(len = ret),
    source_refs(order = text)
)]
fn of_plain_values(
    ctx: &RequestContext,
    is_open: bool,
    delta: i32,
    text: &str,
    owned: &String,
    initial: char,
    nothing: Option<u8>,
) -> usize {
    text.len() + owned.len()
}

#[derive(Debug, Clone)]
struct Ids {
    tenant_id: TenantId,
    env: Env,
    user_id: UserId,
    request_id: RequestId,
    trace_id: TraceId,
    span_id: SpanId,
    event_id: EventId,
}

#[dataset_event(
    surface = "orders.relate",
    guarantee = "intent",
    input(
        tenant = ids.tenant_id, env = ids.env, user = ids.user_id, request = ids.request_id,
        trace = ids.trace_id, span = ids.span_id, event = ids.event_id, shown = %ids.user_id
    ),
    source_refs(user = ids.user_id)
)]
fn of_ids(ctx: &RequestContext, ids: &Ids) -> bool {
    black_box(ids).env.as_str().len() > 2
}

#[dataset_event(surface = "orders.inner", access = "read", input(x))]
fn inner(ctx: &RequestContext, x: u64) -> u64 {
    x + 1
}

#[dataset_event(surface = "orders.outer", guarantee = "intent", input(x))]
fn nested(ctx: &RequestContext, x: u64) -> u64 {
    dataset_events::current().output("step", x);
    inner(ctx, x)
}

/// A ledger on disk and a context with five fields, as a request brings them.
struct Bench {
    ledger: Ledger,
    ctx: RequestContext,
    _root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let ledger =
            Ledger::options().root(root.path()).service("orders", "1").open().expect("open the ledger");
        let ctx = ledger
            .context("acme", "prod")
            .user_id("usr_1")
            .request_id("req-1")
            .trace_id("4bf92f3577b34da6a3ce929d0e0e4736")
            .build()
            .expect("valid ids");
        Self { ledger, ctx, _root: root }
    }

    /// Makes 2,000 calls that record `events` each, after as many to warm up, and asserts that this thread
    /// allocates nothing. The calls fill several blocks of the journal, which is drained between the two.
    fn allocates_nothing(&self, events: u64, mut call: impl FnMut(&RequestContext, u64)) {
        const CALLS: u64 = 2_000;
        self.ledger.flush().expect("flush the ledger");
        let before = self.ledger.stats();
        for number in 0..CALLS {
            call(&self.ctx, number);
        }
        self.ledger.flush().expect("flush the ledger");
        let counted = measure(|| {
            for number in 0..CALLS {
                call(&self.ctx, number);
            }
        });
        self.ledger.flush().expect("flush the ledger");
        assert_eq!(counted, AllocationInfo::default());
        let after = self.ledger.stats();
        assert_eq!(after.events - before.events, 2 * CALLS * events, "each call has its event");
    }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(black_box(Box::new(7_u64))));
    assert_eq!((counted.count_total, counted.bytes_total), (1, 8));
}

#[test]
fn a_recorded_call_allocates_nothing() {
    Bench::new().allocates_nothing(1, |ctx, x| drop(black_box(recorded(ctx, x, 7))));
}

#[test]
fn a_failed_call_allocates_nothing() {
    Bench::new().allocates_nothing(1, |ctx, _| assert!(recorded(ctx, u64::MAX, 7).is_err()));
}

#[test]
fn an_intent_call_allocates_nothing() {
    Bench::new().allocates_nothing(1, |ctx, x| drop(black_box(intent(ctx, x, 7))));
}

#[test]
fn an_async_call_allocates_nothing() {
    Bench::new().allocates_nothing(1, |ctx, x| {
        let mut future = pin!(recorded_async(ctx, x, 7));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => drop(black_box(value)),
            Poll::Pending => unreachable!("it awaits nothing"),
        }
    });
}

#[test]
fn bools_integers_and_strings_allocate_nothing() {
    let owned = "é \"quoted\" ".repeat(8);
    Bench::new().allocates_nothing(1, |ctx, x| {
        black_box(of_plain_values(ctx, x % 2 == 0, -3, "ord_42", &owned, 'ß', None));
    });
}

#[test]
fn library_ids_allocate_nothing() {
    let bench = Bench::new();
    let ids = Ids {
        tenant_id: bench.ctx.tenant_id().clone(),
        env: bench.ctx.env().clone(),
        user_id: UserId::new("usr_1").expect("a user id"),
        request_id: RequestId::new("req-1").expect("a request id"),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().expect("a trace id"),
        span_id: "00f067aa0ba902b7".parse().expect("a span id"),
        event_id: "0191f3b0-7a1c-7c3e-9d2a-5b6c7d8e9f00".parse().expect("an event id"),
    };
    bench.allocates_nothing(1, |ctx, _| assert!(black_box(of_ids(ctx, &ids))));
}

#[test]
fn nested_calls_allocate_nothing() {
    Bench::new().allocates_nothing(2, |ctx, x| assert!(black_box(nested(ctx, x)) > x));
}
