//! No lint of the program is triggered by generated code.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(unused, unreachable_pub, single_use_lifetimes, trivial_casts, unused_qualifications, unused_lifetimes)]
#![deny(let_underscore_drop, unused_results, variant_size_differences, explicit_outlives_requirements)]
#![deny(missing_debug_implementations, elided_lifetimes_in_paths, unused_crate_dependencies)]
#![forbid(unsafe_code)]
#![allow(unused_crate_dependencies, clippy::print_stdout)]

use dataset_events::testing::TestLedger;
use dataset_events::{Code, ErrorCode, LedgerUnavailable, RequestContext, dataset_event};
use futures::Stream;

/// Why a call fails.
#[derive(Debug, ErrorCode)]
pub(crate) enum Failure {
    #[code("pass.empty", status = 422)]
    Empty,
    #[code(transparent)]
    Unavailable(LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failure {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Unavailable(error)
    }
}

#[dataset_event(surface = "pass.plain", input(text, size = text.len(), ?text2, %text2b), output(size = *ret), source_refs(text = text))]
fn plain(ctx: &RequestContext, text: &str, text2: &str, text2b: &str) -> Result<usize, Failure> {
    if text.is_empty() {
        return Err(Failure::Empty);
    }
    Ok(text.len() + text2.len() + text2b.len())
}

#[dataset_event(surface = "pass.durable", guarantee = "durable", input(text))]
async fn durable(ctx: &RequestContext, text: &str) -> Result<usize, Failure> {
    std::future::ready(()).await;
    Ok(text.len())
}

#[dataset_event(surface = "pass.message", error_message, error_code = "pass.failed")]
fn message(ctx: &RequestContext, text: &str) -> Result<usize, String> {
    if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.len()) }
}

#[dataset_event(surface = "pass.unit", access = "read")]
fn unit(ctx: &RequestContext) {}

#[dataset_event(surface = "pass.boxed")]
fn boxed(ctx: &RequestContext) -> futures::future::BoxFuture<'_, u8> {
    let value = 1;
    Box::pin(async move { value })
}

#[dataset_event(surface = "pass.stream")]
fn stream(ctx: &RequestContext) -> impl Stream<Item = Result<u8, Failure>> + Send + use<> {
    futures::stream::iter([Ok(1)])
}

#[dataset_event(surface = "pass.fails", fails = |ret| (*ret > 7).then(|| Code::new("pass.large")))]
fn fails(ctx: &RequestContext, value: u8) -> u8 {
    value
}

#[dataset_event(surface = "pass.never")]
fn never(ctx: &RequestContext) -> ! {
    std::process::exit(0)
}

/// A room.
#[derive(Debug)]
pub(crate) struct Room {
    ctx: RequestContext,
}

#[dataset_event(engine = "room", ctx = self.ctx)]
impl Room {
    pub(crate) fn open(&self) -> bool {
        !self.ctx.tenant_id().as_str().is_empty()
    }

    #[dataset_event(access = "read", output(size = ret))]
    pub(crate) async fn size(&self) -> usize {
        self.ctx.tenant_id().as_str().len()
    }

    #[dataset_event(skip = "no data of a tenant")]
    pub(crate) const fn new(ctx: RequestContext) -> Self {
        Self { ctx }
    }
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().expect("a context");
    assert!(plain(&ctx, "", "", "").is_err());
    drop(durable(&ctx, "a"));
    assert!(message(&ctx, "").is_err());
    unit(&ctx);
    drop(boxed(&ctx));
    drop(stream(&ctx));
    assert_eq!(fails(&ctx, 9), 9);
    let room = Room::new(ctx.clone());
    assert!(room.open());
    drop(room.size());
    drop(ledger.assert_one("pass.fails").code("pass.large"));
    if ctx.tenant_id() == &"nobody" {
        never(&ctx);
    }
}
