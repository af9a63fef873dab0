use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

pub mod engine {
    use super::*;

    #[dataset_event(surface = "pass.public")]
    pub fn public(ctx: &RequestContext) -> super::Alias {
        Ok(1)
    }

    #[dataset_event(surface = "pass.in_path")]
    pub(in crate::engine) fn in_path(ctx: &RequestContext) {}

    pub fn call(ctx: &RequestContext) {
        in_path(ctx);
    }
}

type Alias = Result<u8, std::convert::Infallible>;

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    engine::public(&ctx).unwrap();
    engine::call(&ctx);
    ledger.assert_one("pass.public").ok();
    ledger.assert_one("pass.in_path").ok();
}
