use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.unsafe_fn")]
unsafe fn unsafe_fn(ctx: &RequestContext, value: *const u8) -> u8 {
    unsafe { *value }
}

#[dataset_event(surface = "pass.async_unsafe_fn")]
async unsafe fn async_unsafe_fn(ctx: &RequestContext, value: *const u8) -> u8 {
    unsafe { *value }
}

#[dataset_event(surface = "pass.extern_fn")]
extern "C" fn extern_fn(ctx: &RequestContext, value: u8) -> u8 {
    value
}

/// Documented.
#[dataset_event(surface = "pass.attributes")]
#[inline]
#[must_use = "it is counted"]
#[deprecated = "for the test"]
#[allow(unused_variables)]
pub fn attributes(ctx: &RequestContext, #[allow(unused)] value: u8) -> u8 {
    #![allow(unused_mut)]
    let mut kept = 1;
    kept
}

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(unsafe { unsafe_fn(&ctx, &7) }, 7);
    assert_eq!(extern_fn(&ctx, 7), 7);
    #[allow(deprecated)]
    let _ = attributes(&ctx, 7);
    drop(unsafe { async_unsafe_fn(&ctx, &7) });
    for surface in ["unsafe_fn", "extern_fn", "attributes"] {
        ledger.assert_one(&format!("pass.{surface}")).ok();
    }
}
