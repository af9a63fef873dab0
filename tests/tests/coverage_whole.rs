//! A crate whose tests exercise every surface passes `assert_covered!`, also with one test thread.

use std::process::Command;

use dataset_events::testing::{TestLedger, assert_covered};
use dataset_events::{ErrorCode, RequestContext, dataset_event};

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("whole.one")]
    One,
    #[code("whole.two")]
    Two,
}

#[dataset_event(surface = "whole.work")]
fn work(ctx: &RequestContext, failure: Option<Failure>) -> Result<(), Failure> {
    failure.map_or(Ok(()), Err)
}

#[dataset_event(surface = "whole.constant", access = "read", cannot_fail = "reads a constant")]
fn constant(ctx: &RequestContext) -> u32 {
    7
}

#[test]
fn every_end_of_every_surface_is_reached() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().expect("a context");
    work(&ctx, None).expect("ok");
    work(&ctx, Some(Failure::One)).expect_err("one");
    work(&ctx, Some(Failure::Two)).expect_err("two");
    assert_eq!(constant(&ctx), 7);
}

mod nested {
    use super::*;

    #[test]
    fn this_crate_is_covered() {
        assert_covered!(crate; all_codes);
    }
}

#[test]
fn it_is_also_seen_with_one_thread() {
    if std::env::var_os("DATASET_EVENTS_COVERAGE_WITHIN").is_some() {
        // In the second run there is nobody to ask: it would start a third.
        return;
    }
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--test-threads=1", "--exact", "nested::this_crate_is_covered"])
        .output()
        .expect("run this binary");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
