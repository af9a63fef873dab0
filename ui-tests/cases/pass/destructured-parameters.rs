use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

struct State<T>(T);

struct Query {
    limit: u32,
}

#[dataset_event(surface = "pass.extractor", input(limit, first, last))]
fn extractor(
    State(ctx): State<RequestContext>,
    Query { limit }: Query,
    (first, _): (u8, u8),
    [.., last]: [u8; 3],
    ref kept: String,
    mut count: u32,
) -> u32 {
    count += limit + u32::from(first) + u32::from(last) + kept.len() as u32;
    drop(ctx);
    count
}

#[dataset_event(surface = "pass.async_extractor", input(limit))]
async fn async_extractor(State(ctx): State<std::sync::Arc<RequestContext>>, Query { limit }: Query) -> u32 {
    let _ = ctx;
    limit
}

fn main() {
    let (ledger, ctx) = context();
    let sum = extractor(State(ctx.clone()), Query { limit: 1 }, (2, 3), [4, 5, 6], "x".to_owned(), 10);
    assert_eq!(sum, 20);
    drop(async_extractor(State(std::sync::Arc::new(ctx)), Query { limit: 1 }));
    ledger.assert_one("pass.extractor").input("limit", 1).input("first", 2).input("last", 6);
}
