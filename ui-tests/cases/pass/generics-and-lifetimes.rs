use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use std::fmt::Debug;

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.longest", input(a, b), output(len = ret.len()))]
fn longest<'a, 'b: 'a>(ctx: &RequestContext, a: &'a str, b: &'b str) -> &'a str {
    if a.len() > b.len() { a } else { b }
}

#[dataset_event(surface = "pass.first", input(?items, n = N))]
fn first<T: Debug + Clone, const N: usize>(ctx: &RequestContext, items: [T; N]) -> Option<T>
where
    T: PartialEq,
{
    items.first().cloned()
}

#[dataset_event(surface = "pass.first_async", input(?items))]
async fn first_async<'a, T>(ctx: &RequestContext, items: &'a [T]) -> Option<&'a T>
where
    T: Debug + Sync,
{
    items.first()
}

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(longest(&ctx, "ab", "c"), "ab");
    assert_eq!(first(&ctx, [7, 8]), Some(7));
    drop(first_async(&ctx, &[1]));
    ledger.assert_one("pass.longest").output("len", 2);
    ledger.assert_one("pass.first").input("n", 2).input("items", "[7, 8]");
}
