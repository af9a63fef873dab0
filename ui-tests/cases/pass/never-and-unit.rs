use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.never")]
fn never(ctx: &RequestContext) -> ! {
    loop {
        panic!("planned");
    }
}

#[dataset_event(surface = "pass.async_never")]
async fn async_never(ctx: &RequestContext) -> ! {
    std::future::pending::<()>().await;
    panic!("planned")
}

#[dataset_event(surface = "pass.unit")]
fn unit(ctx: &RequestContext) {}

#[dataset_event(surface = "pass.written_unit")]
fn written_unit(ctx: &RequestContext) -> () {}

#[dataset_event(surface = "pass.async_unit")]
async fn async_unit(ctx: &RequestContext) {}

fn main() {
    let (ledger, ctx) = context();
    std::panic::set_hook(Box::new(|_| {}));
    assert!(std::panic::catch_unwind(|| never(&ctx)).is_err());
    drop(async_never(&ctx));
    unit(&ctx);
    written_unit(&ctx);
    drop(async_unit(&ctx));
    ledger.assert_one("pass.never").code("panic");
    ledger.assert_one("pass.unit").ok();
}
