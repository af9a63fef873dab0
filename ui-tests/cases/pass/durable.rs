use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events::{ErrorCode, LedgerUnavailable};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("pass.blocked", denied)]
    Blocked,
    #[code(transparent)]
    Ledger(LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failure {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Ledger(error)
    }
}

type Outcome<T> = Result<T, Failure>;

#[dataset_event(surface = "pass.sync", guarantee = "durable")]
fn sync(ctx: &RequestContext, blocked: bool) -> Outcome<u8> {
    if blocked { Err(Failure::Blocked) } else { Ok(1) }
}

#[dataset_event(surface = "pass.asynchronous", guarantee = "durable")]
async fn asynchronous(ctx: &RequestContext) -> Outcome<u8> {
    Ok(1)
}

#[dataset_event(surface = "pass.exact", guarantee = "durable")]
fn exact(ctx: &RequestContext) -> futures::future::BoxFuture<'_, Outcome<u8>> {
    Box::pin(async move {
        std::future::ready(()).await;
        Ok(1)
    })
}

#[dataset_event(surface = "pass.opaque", guarantee = "durable")]
fn opaque(ctx: &RequestContext) -> Result<impl Iterator<Item = u8> + use<>, Failure> {
    Ok(0..3)
}

#[dataset_event(surface = "pass.boxed_error", guarantee = "durable", error_code = "pass.failed")]
async fn boxed_error(ctx: &RequestContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(())
}

fn main() {
    let (ledger, ctx) = context();
    assert!(matches!(sync(&ctx, true), Err(Failure::Blocked)));
    assert_eq!(opaque(&ctx).unwrap().count(), 3);
    futures::executor::block_on(async {
        assert_eq!(asynchronous(&ctx).await.unwrap(), 1);
        assert_eq!(exact(&ctx).await.unwrap(), 1);
        boxed_error(&ctx).await.unwrap();
    });
    ledger.assert_one("pass.sync").code("pass.blocked");
    for surface in ["asynchronous", "exact", "opaque", "boxed_error"] {
        ledger.assert_one(&format!("pass.{surface}")).ok();
    }
    // Without a ledger the body does not run.
    let nowhere = RequestContext::builder("acme", "prod").build().unwrap();
    assert!(matches!(sync(&nowhere, true), Err(Failure::Ledger(_))));
    assert!(matches!(futures::executor::block_on(asynchronous(&nowhere)), Err(Failure::Ledger(_))));
}
