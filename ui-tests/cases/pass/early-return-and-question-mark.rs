use dataset_events::testing::TestLedger;
use dataset_events::{Env, RequestContext, TenantId, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.parse", error_code = "pass.malformed", output(value = ret))]
fn parse(ctx: &RequestContext, text: &str) -> Result<u8, std::num::ParseIntError> {
    if text.is_empty() {
        return Ok(0);
    }
    let value = text.parse::<u8>()?;
    'outer: loop {
        for at in 0.. {
            if at > value {
                break 'outer;
            }
        }
    }
    Ok(value)
}

#[dataset_event(surface = "pass.first")]
fn first(ctx: &RequestContext, text: &str) -> Option<char> {
    let first = text.chars().next()?;
    Some(first)
}

// The expected type reaches the body: coercions and inference are as without the attribute.
#[dataset_event(surface = "pass.coerced", error_code = "pass.malformed")]
async fn coerced(ctx: &RequestContext, text: &str) -> Result<Box<dyn std::fmt::Debug>, Box<dyn std::error::Error>> {
    if text.is_empty() {
        return Ok(Box::new(1));
    }
    Ok(Box::new(text.parse::<u8>()?))
}

#[dataset_event(surface = "pass.cow")]
async fn cow(tenant_id: TenantId, env: Env, text: &str) -> std::borrow::Cow<'_, str> {
    text.into()
}

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(parse(&ctx, ""), Ok(0));
    assert_eq!(parse(&ctx, "7"), Ok(7));
    assert!(parse(&ctx, "x").is_err());
    assert_eq!(first(&ctx, ""), None);
    drop(coerced(&ctx, ""));
    drop(cow(ctx.tenant_id().clone(), ctx.env().clone(), ""));
    let outcomes: Vec<_> = ledger.events_of("pass.parse").iter().map(|event| event.outcome.as_str()).collect();
    assert_eq!(outcomes, ["ok", "ok", "error"]);
}
