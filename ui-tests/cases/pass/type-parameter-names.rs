// A type parameter may have the name of something else in the module: of a trait, of a generic type.
use std::error::Error;

use dataset_events::testing::TestLedger;
use dataset_events::{ErrorCode, RequestContext, dataset_event, surfaces};

pub struct Failed<T>(pub T);

#[derive(Clone, ErrorCode)]
#[code("pass.full")]
pub struct Full;

#[derive(ErrorCode)]
#[code("pass.other")]
pub struct Other;

#[dataset_event(surface = "pass.named_as_a_trait")]
fn named_as_a_trait<Error: ErrorCode>(_ctx: &RequestContext, error: Error) -> Result<u8, Error> {
    Err(error)
}

#[dataset_event(surface = "pass.named_as_a_generic_type")]
fn named_as_a_generic_type<Failed: ErrorCode>(_ctx: &RequestContext, error: Failed) -> Result<u8, Failed> {
    Err(error)
}

#[dataset_event(surface = "pass.named_as_an_error_type")]
fn named_as_an_error_type<Full: ErrorCode>(_ctx: &RequestContext, error: Full) -> Result<u8, Full> {
    Err(error)
}

struct Store<Error>(Error);

#[dataset_event(engine = "store")]
impl<Error: ErrorCode + Clone> Store<Error> {
    pub fn put(&self, _ctx: &RequestContext) -> Result<u8, Error> {
        Err(self.0.clone())
    }
}

fn main() {
    let _: Option<(Failed<u8>, &dyn Error)> = None;
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    assert!(named_as_a_trait(&ctx, Full).is_err());
    assert!(named_as_a_generic_type(&ctx, Full).is_err());
    assert!(named_as_an_error_type(&ctx, Other).is_err());
    assert!(Store(Full).put(&ctx).is_err());
    ledger.assert_one("pass.named_as_a_trait").code("pass.full");
    ledger.assert_one("pass.named_as_a_generic_type").code("pass.full");
    ledger.assert_one("pass.named_as_an_error_type").code("pass.other");
    ledger.assert_one("store.put").code("pass.full");
    // The parameter's codes are not known, and those of another type are not its codes.
    let site = surfaces().find(|site| site.surface == "pass.named_as_an_error_type").unwrap();
    assert!((site.codes)().is_empty());
}
