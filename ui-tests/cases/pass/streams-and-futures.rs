use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use futures::future::{BoxFuture, LocalBoxFuture};
use futures::stream::{BoxStream, LocalBoxStream};
use futures::{Stream, StreamExt as _, TryStream};
use std::pin::Pin;

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.stream", input(count), output(label = label.len()))]
fn stream<'a>(ctx: &'a RequestContext, count: u8, label: &'a str) -> impl Stream<Item = u8> + 'a {
    let _ = ctx;
    futures::stream::iter(0..count)
}

#[dataset_event(surface = "pass.try_stream", error_code = "pass.failed")]
fn try_stream(ctx: &RequestContext) -> impl TryStream<Ok = u8, Error = String> + use<> {
    futures::stream::iter([Ok(1), Err("no".to_owned())])
}

#[dataset_event(surface = "pass.boxed")]
fn boxed(ctx: &RequestContext) -> BoxStream<'static, u8> {
    futures::stream::iter([1]).boxed()
}

#[dataset_event(surface = "pass.local")]
fn local(ctx: &RequestContext) -> LocalBoxStream<'_, u8> {
    futures::stream::iter([1]).boxed_local()
}

#[dataset_event(surface = "pass.written_out")]
fn written_out(ctx: &RequestContext) -> Pin<Box<dyn Stream<Item = u8> + '_>> {
    Box::pin(futures::stream::iter([1]))
}

#[dataset_event(surface = "pass.local_future")]
fn local_future(ctx: &RequestContext) -> LocalBoxFuture<'_, u8> {
    Box::pin(async move { 1 })
}

#[dataset_event(surface = "pass.future_of_stream", error_code = "pass.failed")]
fn future_of_stream(ctx: &RequestContext) -> BoxFuture<'_, Result<BoxStream<'static, u8>, String>> {
    let items = [1, 2];
    Box::pin(async move { Ok(futures::stream::iter(items).boxed()) })
}

#[dataset_event(surface = "pass.returned", ends = "return")]
fn returned(ctx: &RequestContext) -> BoxFuture<'static, u8> {
    Box::pin(async { 1 })
}

type Reply = futures::future::Ready<u8>;

#[dataset_event(surface = "pass.hidden_returned", ends = "return")]
fn hidden_returned(ctx: &RequestContext) -> Reply {
    futures::future::ready(1)
}

fn main() {
    let (ledger, ctx) = context();
    futures::executor::block_on(async {
        assert_eq!(stream(&ctx, 3, "abc").count().await, 3);
        drop(futures::TryStreamExt::try_collect::<Vec<_>>(try_stream(&ctx)).await);
        assert_eq!(boxed(&ctx).count().await, 1);
        assert_eq!(local(&ctx).count().await, 1);
        assert_eq!(written_out(&ctx).count().await, 1);
        assert_eq!(local_future(&ctx).await, 1);
        assert_eq!(future_of_stream(&ctx).await.unwrap().count().await, 2);
        drop(returned(&ctx));
        drop(hidden_returned(&ctx));
    });
    let event = ledger.assert_one("pass.stream").input("count", 3).output("label", 3);
    assert_eq!(event.event().detail.items, Some(3));
    let event = ledger.assert_one("pass.try_stream").code("pass.failed");
    assert_eq!(event.event().detail.items, Some(1));
    assert_eq!(ledger.assert_one("pass.future_of_stream").ok().event().detail.items, Some(2));
    for surface in ["boxed", "local", "written_out", "local_future", "returned", "hidden_returned"] {
        ledger.assert_one(&format!("pass.{surface}")).ok();
    }
}
