//! The runtime under another name, and through a re-export.

mod reexport {
    pub mod inner {
        pub use dataset_events as ledger;
    }
}

use crate::reexport::inner::ledger;
use ledger::testing::TestLedger;

#[ledger::dataset_event(surface = "pass.renamed", crate = crate::reexport::inner::ledger, input(value), output(result = ret))]
fn renamed(ctx: &ledger::RequestContext, value: u32) -> Result<u32, Failure> {
    if value == 0 { Err(Failure::Zero) } else { Ok(value) }
}

#[ledger::dataset_event(surface = "pass.async_renamed", crate = crate::reexport::inner::ledger)]
async fn async_renamed(ctx: &ledger::RequestContext) {}

#[derive(Debug, ledger::ErrorCode)]
#[code(crate = crate::reexport::inner::ledger)]
enum Failure {
    #[code("pass.zero", status = 422)]
    Zero,
}

macro_rules! exported {
    () => {
        #[ledger::dataset_event(surface = "pass.exported", crate = $crate::reexport::inner::ledger)]
        fn exported(ctx: &ledger::RequestContext) {}
    };
}
exported!();

fn main() {
    let test = TestLedger::new();
    let ctx = test.context("acme", "prod").build().unwrap();
    assert!(renamed(&ctx, 0).is_err());
    exported(&ctx);
    drop(async_renamed(&ctx));
    test.assert_one("pass.renamed").code("pass.zero");
}
