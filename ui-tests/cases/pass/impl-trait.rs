use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[dataset_event(surface = "pass.words")]
fn words<'a>(ctx: &RequestContext, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    text.split(' ')
}

// The closure's argument gets its type from the bound of the opaque type.
#[dataset_event(surface = "pass.closure")]
fn closure(ctx: &RequestContext) -> impl Fn(&str) -> usize + use<> {
    |text| text.len()
}

#[dataset_event(surface = "pass.argument", input(text = text.as_ref()))]
fn argument(ctx: &RequestContext, text: impl AsRef<str>, with: impl FnOnce(&str) -> usize) -> usize {
    with(text.as_ref())
}

#[dataset_event(surface = "pass.async_argument")]
async fn async_argument(ctx: &RequestContext, text: impl AsRef<str>) -> impl std::fmt::Display {
    text.as_ref().len()
}

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(words(&ctx, "a b").count(), 2);
    assert_eq!(closure(&ctx)("abc"), 3);
    assert_eq!(argument(&ctx, "abc", str::len), 3);
    drop(async_argument(&ctx, "abc"));
    for surface in ["words", "closure", "argument"] {
        ledger.assert_one(&format!("pass.{surface}")).ok();
    }
}
