use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use futures::Stream;
use std::panic::UnwindSafe;
use std::pin::Pin;

#[dataset_event(surface = "pass.plain")]
async fn plain(ctx: &RequestContext, text: String) -> usize {
    std::future::ready(()).await;
    text.len()
}

async fn bare(ctx: &RequestContext, text: String) -> usize {
    let _ = ctx;
    std::future::ready(()).await;
    text.len()
}

#[dataset_event(surface = "pass.spawned")]
async fn spawned(ctx: RequestContext, text: String) -> usize {
    drop(ctx);
    text.len()
}

#[dataset_event(surface = "pass.stream")]
fn stream(ctx: &RequestContext) -> impl Stream<Item = u8> + Send + Sync + Unpin + 'static + use<> {
    futures::stream::iter([1])
}

#[dataset_event(surface = "pass.boxed")]
fn boxed(ctx: &RequestContext) -> Pin<Box<dyn Future<Output = u8> + Send + Sync + '_>> {
    let value = 1;
    Box::pin(async move { value })
}

#[dataset_event(surface = "pass.unpin")]
fn unpin(ctx: &RequestContext) -> impl Future<Output = u8> + Unpin + use<> {
    std::future::ready(1)
}

#[dataset_event(surface = "pass.not_send")]
async fn not_send(ctx: &RequestContext) -> usize {
    let local = std::rc::Rc::new(1);
    std::future::ready(()).await;
    *local
}

fn is_send_sync<T: Send + Sync + UnwindSafe>(value: T) -> usize {
    size_of_val(&value)
}

fn is_static<T: Send + 'static>(_: T) {}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    let recorded = is_send_sync(plain(&ctx, String::new()));
    let without = is_send_sync(bare(&ctx, String::new()));
    // The guard, the discriminants, and the arguments once more (rust-lang/rust#62958).
    assert!(recorded <= without * 2 + 96, "{recorded} bytes, {without} without");
    is_static(spawned(ctx.clone(), String::new()));
    is_static(stream(&ctx));
    is_static(unpin(&ctx));
    drop(boxed(&ctx));
    drop(not_send(&ctx));
}
