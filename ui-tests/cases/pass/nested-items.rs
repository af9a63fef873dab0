use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.outer")]
fn outer(ctx: &RequestContext, value: u32) -> u32 {
    const STEP: u32 = 2;
    #[dataset_event(surface = "pass.inner")]
    fn inner(ctx: &RequestContext, value: u32) -> u32 {
        value + STEP
    }
    struct Local(u32);
    impl Local {
        #[dataset_event(surface = "pass.local_method")]
        fn get(&self, ctx: &RequestContext) -> u32 {
            self.0
        }
    }
    let closure = |value| inner(ctx, value);
    Local(closure(value)).get(ctx)
}

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(outer(&ctx, 1), 3);
    let outer = ledger.assert_one("pass.outer").event().span_id;
    for surface in ["pass.inner", "pass.local_method"] {
        assert_eq!(ledger.assert_one(surface).event().parent_span_id, Some(outer));
    }
}
