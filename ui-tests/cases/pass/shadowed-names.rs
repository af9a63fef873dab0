//! Generated code names nothing that a program can shadow.

#![allow(dead_code, non_camel_case_types)]

mod core {}
mod std {}
mod alloc {}
mod dataset_events {}
mod serde {}
mod linkme {}

struct Result;
struct Option;
struct Ok;
struct Err;
struct Some;
struct None;
struct String;
struct Box;
struct Vec;
struct Code;
struct Call;
struct Site;
struct str;
struct usize;
struct bool;

trait Fallbacks {
    fn code(&self) -> u8 {
        1
    }
    fn value(&self) -> u8 {
        1
    }
    fn settled(&self) -> u8 {
        1
    }
    fn message(&self) -> u8 {
        1
    }
}
impl<T: ?Sized> Fallbacks for T {}

#[allow(unused_macros)]
macro_rules! line {
    () => {
        compile_error!("not this one")
    };
}
#[allow(unused_macros)]
macro_rules! panic {
    () => {
        compile_error!("not this one")
    };
}

type Outcome = ::core::result::Result<u32, ::dataset_events::RecordError>;

#[::dataset_events::dataset_event(
    surface = "pass.shadowed",
    input(value, text = ?value, shown = %value, key = hashed(value)),
    output(result = ret),
    source_refs(thing = value),
    guarantee = "durable",
    error_message,
)]
fn shadowed(ctx: &::dataset_events::RequestContext, value: u32) -> Outcome {
    ::core::result::Result::Ok(value)
}

#[::dataset_events::dataset_event(surface = "pass.async_shadowed", input(value), output(result = ret), guarantee = "durable")]
async fn async_shadowed(ctx: &::dataset_events::RequestContext, value: u32) -> Outcome {
    ::core::result::Result::Ok(value)
}

#[::dataset_events::dataset_event(surface = "pass.streamed", error_code = "pass.failed")]
fn streamed(
    ctx: &::dataset_events::RequestContext,
) -> ::core::result::Result<impl ::futures::Stream<Item = Outcome>, ::core::fmt::Error> {
    let _ = ctx;
    ::core::result::Result::Ok(::futures::stream::empty())
}

#[derive(::dataset_events::ErrorCode)]
enum Failure {
    #[code("pass.failed", status = 404, denied = false, retryable)]
    A,
    #[code(transparent)]
    B(::dataset_events::LedgerUnavailable),
}

fn main() {
    let ledger = ::dataset_events::testing::TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    ::core::assert!(shadowed(&ctx, 7).is_ok());
    drop(async_shadowed(&ctx, 7));
    drop(streamed(&ctx));
    ledger.assert_one("pass.shadowed").input("value", 7).input("text", "7").output("result", 7);
}
