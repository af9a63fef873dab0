use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.complete", output(done = ret))]
async fn complete(ctx: &RequestContext) -> bool {
    let call = dataset_events::current();
    call.output("tokens", 7).source_ref("model", "small-1");
    let span = dataset_events::current().span_id();
    let _ = call;
    std::future::ready(()).await;
    dataset_events::current().change("limit", 1, Some(2)).output("tokens", 8);
    span == dataset_events::current().span_id() && span.is_some()
}

fn main() {
    let (ledger, ctx) = context();
    assert!(futures::executor::block_on(complete(&ctx)));
    let event = ledger.assert_one("pass.complete").output("tokens", 8).output("done", true);
    event.source_ref("model", "small-1").change("limit", 1, 2);
    assert_eq!(dataset_events::current().event_id(), None);
}
