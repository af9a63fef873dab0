// A `'static` future outlives the context that the function borrows: the call begins when it is made.
use std::pin::Pin;

use dataset_events::testing::TestLedger;
use dataset_events::{Outcome, RequestContext, current, dataset_event};
use futures::executor::block_on;
use futures::future::BoxFuture;

#[dataset_event(surface = "pass.boxed", input(n))]
fn boxed(_ctx: &RequestContext, n: u32) -> BoxFuture<'static, u32> {
    Box::pin(async move { n })
}

#[dataset_event(surface = "pass.pinned", input(name))]
fn pinned(ctx: RequestContext, name: &str) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        current().output("by", ctx.env().as_str());
        7
    })
}

#[dataset_event(surface = "pass.opaque")]
fn opaque(_ctx: &RequestContext, n: u32) -> impl Future<Output = u32> + Send + 'static {
    async move { n }
}

struct Service {
    ctx: RequestContext,
}

impl Service {
    #[dataset_event(surface = "pass.call", ctx = self.ctx)]
    fn call(&mut self, n: u32) -> BoxFuture<'static, u32> {
        Box::pin(async move { n })
    }
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    assert_eq!(block_on(boxed(&ctx, 3)), 3);
    assert_eq!(block_on(pinned(ctx.clone(), "x")), 7);
    assert_eq!(block_on(opaque(&ctx, 4)), 4);
    drop(Service { ctx: ctx.clone() }.call(5));
    ledger.assert_one("pass.boxed").outcome(Outcome::Ok).input("n", 3);
    ledger.assert_one("pass.pinned").outcome(Outcome::Ok).input("name", "x").output("by", "prod");
    ledger.assert_one("pass.opaque").outcome(Outcome::Ok);
    ledger.assert_one("pass.call").outcome(Outcome::Cancelled);
}
