use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

// Sixteen levels of annotated async functions compile under the default recursion limit.
macro_rules! chain {
    ($name:ident $next:ident $($rest:ident)*) => {
        #[dataset_event(surface = "pass.chain", access = "read")]
        async fn $name(ctx: &RequestContext, depth: u32) -> u32 {
            $next(ctx, depth + 1).await
        }
        chain!($next $($rest)*);
    };
    ($name:ident) => {
        #[dataset_event(surface = "pass.chain", access = "read")]
        async fn $name(ctx: &RequestContext, depth: u32) -> u32 {
            depth
        }
    };
}

chain!(c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12 c13 c14);

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(futures::executor::block_on(c1(&ctx, 1)), 14);
    ledger.assert_count("pass.chain", 14);
}
