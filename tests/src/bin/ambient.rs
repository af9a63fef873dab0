//! Calls before a ledger, and under each value of `DATASET_EVENTS`.
//!
//! `ambient late <root>` | `ambient flood <root>` | `ambient never` | `ambient mode <root>`

use std::path::PathBuf;
use std::thread;

use dataset_events::{Env, Ledger, LedgerUnavailable, RequestContext, TenantId, dataset_event};
use dataset_events_tests::child::say_else;

const TENANT: TenantId = TenantId::from_static("acme");
const ENV: Env = Env::from_static("prod");

#[dataset_event(surface = "ambient.call", tenant = TENANT, env = ENV, input(n))]
fn call(n: u64) {}

#[dataset_event(surface = "ambient.context", access = "read", input(n))]
fn with_context(ctx: &RequestContext, n: u64) {}

#[dataset_event(surface = "ambient.durable", guarantee = "durable", tenant = TENANT, env = ENV, input(n))]
fn durable(n: u64) -> Result<(), LedgerUnavailable> {
    say_else("the body ran");
    Ok(())
}

fn context() -> Result<RequestContext, Box<dyn std::error::Error>> {
    Ok(RequestContext::builder("acme", "prod").user_id("u_1").build()?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let what = args.next().ok_or("expected what to do")?;
    let root = args.next().map(PathBuf::from);
    let open = || Ledger::options().root(root.clone().unwrap_or_default()).journal_bytes(16 << 20).open();
    match &*what {
        "late" => {
            // One context from before: it looks the ledger up at each call.
            let ctx = context()?;
            thread::scope(|scope| {
                for thread in 0..4 {
                    let ctx = &ctx;
                    scope.spawn(move || {
                        for n in 0..50 {
                            call(thread * 1_000 + n);
                            with_context(ctx, thread * 1_000 + n);
                        }
                    });
                }
            });
            say_else(&format!("{:?}", durable(1).map_err(|error| error.to_string())));
            let ledger = open()?;
            ledger.install()?;
            say_else(&format!("{:?}", open()?.install().is_err()));
            call(9_000);
            with_context(&ctx, 9_000);
            durable(2)?;
            ledger.close()?;
        }
        "flood" => {
            for n in 0..12_000 {
                call(n);
            }
            let ledger = open()?;
            ledger.install()?;
            ledger.close()?;
        }
        "never" => {
            call(1);
            call(2);
            with_context(&context()?, 3);
        }
        "mode" => {
            let ctx = context()?;
            call(1);
            with_context(&ctx, 2);
            let ledger = open()?;
            let installed = ledger.install().is_ok();
            call(3);
            let own = ledger.context("acme", "prod").build()?;
            with_context(&own, 4);
            ledger.flush()?;
            let count = ledger.scope(&TENANT, &ENV).events().count()?;
            say_else(&format!("installed {installed}, path {}, events {count}", ledger.path().is_some()));
        }
        other => return Err(format!("unknown: {other}").into()),
    }
    Ok(())
}
