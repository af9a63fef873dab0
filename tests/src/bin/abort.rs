//! Panics inside nested annotated calls. Built with `panic = "abort"`, the process dies there.

use dataset_events::{Ledger, RequestContext, dataset_event};

#[dataset_event(surface = "abort.outer", access = "read", input(depth))]
fn outer(ctx: &RequestContext, depth: u32) -> u32 {
    dataset_events::current().output("reached", true);
    inner(ctx, depth + 1)
}

#[dataset_event(surface = "abort.inner", guarantee = "intent", input(depth))]
fn inner(ctx: &RequestContext, depth: u32) -> u32 {
    if depth > 1 {
        panic!("planned");
    }
    depth
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).ok_or("expected the root of a ledger as the one argument")?;
    let ledger = Ledger::open(root)?;
    let ctx = ledger.context("acme", "prod").build()?;
    inner(&ctx, 1);
    outer(&ctx, 1);
    Err("the panic did not end the process".into())
}
