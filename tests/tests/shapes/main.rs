//! Every signature shape through every exit: how many events, with which outcome.
//!
//! The table in `docs/shapes.md` is what this run saw. When it differs the test fails; write it anew with
//! `DATASET_EVENTS_BLESS=1 cargo test -p dataset-events-tests --test shapes`.

mod functions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use dataset_events::testing::TestLedger;
use dataset_events::{DatasetEvent, RequestContext};
use functions::{
    Asynchronous, AsynchronousBelow, AsynchronousDefault, Defaults, Exit, Plain, Service, WAITS,
};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

/// What calling a shape gives: it has ended, or it is to be polled to its end.
enum Running {
    Ended,
    Pending(BoxFuture<'static, ()>),
}

struct Shape {
    name: &'static str,
    surface: &'static str,
    exits: &'static [Exit],
    /// Polls until the end; 0 for what ends when it returns.
    polls: usize,
    call: fn(RequestContext, Exit) -> Running,
}

const ALL: &[Exit] = &[Exit::Ok, Exit::Err, Exit::Question, Exit::Return, Exit::Panic, Exit::Recurse(2)];
const INFALLIBLE: &[Exit] = &[Exit::Ok, Exit::Return, Exit::Panic, Exit::Recurse(2)];
const ITEMS: &[Exit] = &[Exit::Ok, Exit::Err, Exit::Panic];
const ITEMS_OR_ERR: &[Exit] = &[Exit::Ok, Exit::Err, Exit::Question, Exit::Panic];

fn ended<T>(_: T) -> Running {
    Running::Ended
}

fn pending<T: 'static>(future: impl Future<Output = T> + Send + 'static) -> Running {
    Running::Pending(future.map(drop).boxed())
}

fn streaming<T>(stream: impl futures::Stream<Item = T> + Send + 'static) -> Running {
    let mut stream = Box::pin(stream);
    pending(async move { while stream.next().await.is_some() {} })
}

fn service(ctx: RequestContext) -> Service {
    Service { ctx, calls: 0 }
}

/// A context that outlives every call of a test.
fn kept(ctx: RequestContext) -> &'static RequestContext {
    Box::leak(Box::new(ctx))
}

fn shapes() -> Vec<Shape> {
    fn shape(
        name: &'static str,
        surface: &'static str,
        exits: &'static [Exit],
        polls: usize,
        call: fn(RequestContext, Exit) -> Running,
    ) -> Shape {
        Shape { name, surface, exits, polls, call }
    }
    let waits = WAITS;
    vec![
        shape("`fn`", "shapes.sync", ALL, 0, |ctx, exit| ended(functions::sync(&ctx, exit))),
        shape("method `&mut self`", "shapes.method", ALL, 0, |ctx, exit| ended(service(ctx).method(exit))),
        shape("trait default method", "shapes.trait_default", ALL, 0, |ctx, exit| {
            ended(service(ctx).trait_default(exit))
        }),
        shape("trait impl, by the `impl` block", "shapes.trait_impl", ALL, 0, |ctx, exit| {
            ended(service(ctx).trait_impl(exit))
        }),
        shape("generic, lifetimes, `const N`", "shapes.generic", ALL, 0, |ctx, exit| {
            ended(functions::generic(&ctx, exit, &["a"]).is_ok())
        }),
        shape("`-> impl Iterator`", "shapes.opaque_value", INFALLIBLE, 0, |ctx, exit| {
            ended(functions::opaque_value(&ctx, exit))
        }),
        shape("`-> Result<impl Iterator, E>`", "shapes.result_of_opaque", ALL, 0, |ctx, exit| {
            ended(functions::result_of_opaque(&ctx, exit).is_ok())
        }),
        shape("`-> !`", "shapes.never", &[Exit::Panic], 0, |ctx, exit| functions::never(&ctx, exit)),
        shape("`fn`, `durable`", "shapes.durable", ALL, 0, |ctx, exit| ended(functions::durable(&ctx, exit))),
        shape("`async fn`", "shapes.async_fn", ALL, waits, |ctx, exit| {
            pending(functions::async_fn(kept(ctx), exit))
        }),
        shape("`async fn`, `recorded`", "shapes.async_recorded", ALL, waits, |ctx, exit| {
            pending(functions::async_recorded(kept(ctx), exit))
        }),
        shape("async method `&mut self`", "shapes.async_method", ALL, waits, |ctx, exit| {
            pending(async move { service(ctx).async_method(exit).await })
        }),
        shape("generic `async fn`", "shapes.async_generic", ALL, waits, |ctx, exit| {
            pending(functions::async_generic(kept(ctx), exit, "value"))
        }),
        shape("`async fn`, context moved into the body", "shapes.moved_context", ALL, waits, |ctx, exit| {
            pending(functions::moved_context(ctx, exit))
        }),
        shape("body is `Box::pin(async move ..)`", "shapes.boxed_exact", ALL, waits, |ctx, exit| {
            pending(functions::boxed_exact(kept(ctx), exit))
        }),
        shape("`-> BoxFuture`, built in the body", "shapes.boxed_built", ALL, waits, |ctx, exit| {
            pending(functions::boxed_built(kept(ctx), exit))
        }),
        shape("body is `async move ..`", "shapes.impl_future_exact", ALL, waits, |ctx, exit| {
            pending(functions::impl_future_exact(kept(ctx), exit))
        }),
        shape("`-> impl Future`, built in the body", "shapes.impl_future_built", ALL, waits, |ctx, exit| {
            pending(functions::impl_future_built(kept(ctx), exit))
        }),
        shape("`-> Result<BoxFuture, E>`", "shapes.result_of_future", ALL, waits, |ctx, exit| {
            match functions::result_of_future(kept(ctx), exit) {
                Ok(future) => pending(future),
                Err(_) => Running::Ended,
            }
        }),
        shape("`async_trait` above", "shapes.async_trait_above", ALL, waits, |ctx, exit| {
            pending(async move { service(ctx).async_trait_above(exit).await })
        }),
        shape("`async_trait` below", "shapes.async_trait_below", ALL, waits, |ctx, exit| {
            pending(async move { service(ctx).async_trait_below(exit).await })
        }),
        shape("`async_trait` default method", "shapes.async_trait_default", ALL, waits, |ctx, exit| {
            pending(async move { service(ctx).async_trait_default(exit).await })
        }),
        shape("`-> impl Stream<Item = Result>`", "shapes.impl_stream", ITEMS, 2, |ctx, exit| {
            streaming(functions::impl_stream(kept(ctx), exit))
        }),
        shape("`-> BoxStream<Result>`", "shapes.box_stream", ITEMS, 2, |ctx, exit| {
            streaming(functions::box_stream(&ctx, exit))
        }),
        shape("`-> Result<impl Stream, E>`", "shapes.result_of_stream", ITEMS_OR_ERR, 2, |ctx, exit| {
            match functions::result_of_stream(&ctx, exit) {
                Ok(stream) => streaming(stream),
                Err(_) => Running::Ended,
            }
        }),
        shape(
            "`async fn -> Result<BoxStream, E>`",
            "shapes.async_result_of_stream",
            ITEMS_OR_ERR,
            3,
            |ctx, exit| {
                pending(async move {
                    if let Ok(mut stream) = functions::async_result_of_stream(&ctx, exit).await {
                        while stream.next().await.is_some() {}
                    }
                })
            },
        ),
    ]
}

fn poll(future: &mut Pin<Box<dyn Future<Output = ()> + Send>>) -> Poll<()> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Calls and polls to the end, catching a planned panic; gives how often the future was pending.
fn run(shape: &Shape, ctx: RequestContext, exit: Exit) -> usize {
    let mut waits = 0;
    let done = catch_unwind(AssertUnwindSafe(|| {
        if let Running::Pending(mut future) = (shape.call)(ctx, exit) {
            while poll(&mut future).is_pending() {
                waits += 1;
            }
        }
    }));
    assert_eq!(done.is_err(), exit == Exit::Panic, "{}: {exit:?}", shape.name);
    waits
}

/// The cell of the table: how many events of the surface, with which outcome and code.
fn cell(events: &[DatasetEvent]) -> String {
    let Some(first) = events.first() else { return "0".to_owned() };
    let same = events.iter().all(|event| event.outcome == first.outcome && event.code() == first.code());
    assert!(same, "events of one call differ: {events:#?}");
    format!("{} {}", events.len(), first.outcome)
}

fn ended_as(shape: &Shape, exit: Exit) -> String {
    let ledger = TestLedger::new();
    run(shape, ledger.context("acme", "prod").build().unwrap(), exit);
    let events = ledger.events_of(shape.surface);
    if matches!(exit, Exit::Recurse(_)) {
        // Inner calls end first, and each is a child span of the one that made it.
        for pair in events.windows(2) {
            assert_eq!(pair[0].parent_span_id, Some(pair[1].span_id), "{}", shape.name);
        }
    }
    if matches!(exit, Exit::Err | Exit::Question) {
        assert!(events.iter().all(|event| event.code() == Some("shapes.planned")), "{events:#?}");
    }
    cell(&events)
}

/// Dropped after k polls, for every k at which the future is still pending.
fn dropped(shape: &Shape) -> String {
    if shape.polls == 0 {
        return "-".to_owned();
    }
    let mut cells = Vec::new();
    for polls in 1.. {
        let ledger = TestLedger::new();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        let Running::Pending(mut future) = (shape.call)(ctx, Exit::Ok) else {
            panic!("{} ended", shape.name)
        };
        let is_pending = (0..polls).all(|_| poll(&mut future).is_pending());
        drop(future);
        if !is_pending {
            break;
        }
        cells.push(cell(&ledger.events_of(shape.surface)));
    }
    assert_eq!(cells.len(), shape.polls, "{}: polls until the end", shape.name);
    cells.dedup();
    assert_eq!(cells.len(), 1, "{}: {cells:?}", shape.name);
    format!("{} (k = 1..={})", cells[0], shape.polls)
}

fn never_polled(shape: &Shape) -> String {
    if shape.polls == 0 {
        return "-".to_owned();
    }
    let ledger = TestLedger::new();
    let running = (shape.call)(ledger.context("acme", "prod").build().unwrap(), Exit::Ok);
    drop(running);
    cell(&ledger.events_of(shape.surface))
}

/// Inside an annotated async function that waits before and after, on a multi-thread runtime, beside
/// many others of other tenants.
fn nested(shape: &'static Shape) -> String {
    if shape.exits == [Exit::Panic] {
        return "-".to_owned();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let ledger = TestLedger::new();
    const TASKS: usize = 16;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let ctx = ledger.context(&*format!("t{number}"), "prod").build().unwrap();
                tokio::spawn(async move {
                    let inner = ctx.clone();
                    functions::outer(&ctx, async move {
                        if let Running::Pending(future) = (shape.call)(inner, Exit::Ok) {
                            future.await;
                        }
                    })
                    .await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let events = ledger.events_of(shape.surface);
    let outers = ledger.events_of("shapes.outer");
    assert_eq!((events.len(), outers.len()), (TASKS, TASKS), "{}", shape.name);
    for event in &events {
        let outer = outers.iter().find(|outer| outer.tenant_id() == event.tenant_id()).unwrap();
        assert_eq!(event.parent_span_id, Some(outer.span_id), "{}", shape.name);
        assert_eq!(event.trace_id, outer.trace_id);
    }
    format!("{}, child span", cell(&events[..1]))
}

fn table() -> String {
    let shapes: &'static [Shape] = Box::leak(shapes().into_boxed_slice());
    let mut text = String::from(
        "# Signature shapes and exits\n\n\
         How many events a call of each shape makes, and with which outcome. Written by the test that runs\n\
         them, `tests/tests/shapes`; \"-\" is an exit that the shape does not have.\n\n\
         | shape | value | `Err` | `?` | early `return` | panic | never polled | dropped after k polls | recursion, 3 deep | nested over await, 4 threads |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for shape in shapes {
        let of = |exit| if shape.exits.contains(&exit) { ended_as(shape, exit) } else { "-".to_owned() };
        let row = [
            shape.name.to_owned(),
            of(Exit::Ok),
            of(Exit::Err),
            of(Exit::Question),
            of(Exit::Return),
            of(Exit::Panic),
            never_polled(shape),
            dropped(shape),
            of(Exit::Recurse(2)),
            nested(shape),
        ];
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

#[test]
fn the_table_of_shapes_is_what_happens() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"planned") {
            quiet(info);
        }
    }));
    let found = table();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/shapes.md");
    if std::env::var_os("DATASET_EVENTS_BLESS").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == committed,
        "docs/shapes.md is not what happens; write it anew with DATASET_EVENTS_BLESS=1 and look at the difference\n{found}"
    );
}
