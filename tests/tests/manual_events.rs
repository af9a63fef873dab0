//! Events made by hand: the same schema and guarantees, and a refusal with a code for what is not valid.

use std::fmt;

use dataset_events::testing::TestLedger;
use dataset_events::{
    Access, Code, ErrorCode as _, Guarantee, Outcome, RecordError, RequestContext, dataset_event,
};

fn context(ledger: &TestLedger) -> RequestContext {
    ledger.context("acme", "prod").user_id("u_7").build().unwrap()
}

const FORBIDDEN: Code = Code::new("audit.forbidden").status(403);

#[test]
fn a_complete_event_is_recorded() {
    for guarantee in [Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable] {
        let ledger = TestLedger::new();
        let event_id = context(&ledger)
            .event("audit.key_rotated")
            .access(Access::Update)
            .guarantee(guarantee)
            .input("key", "signing")
            .input("attempt", &3)
            .output("generation", &[1, 2])
            .source_ref("key", "k_42")
            .change("version", &1, &Some(2))
            .record()
            .unwrap();
        let found = ledger.assert_one("audit.key_rotated").ok().scope("acme", "prod").user("u_7");
        let found = found.input("key", "signing").input("attempt", 3).output("generation", vec![1, 2]);
        let found = found.source_ref("key", "k_42").change("version", 1, 2);
        assert_eq!(found.event().event_id, event_id);
        assert_eq!(found.event().access, Access::Update);
        assert!(found.event().duration_ns > 0, "its time runs from the builder to the record");
    }
}

#[test]
fn a_code_makes_it_a_failure_and_a_denial_a_denial() {
    let ledger = TestLedger::new();
    let ctx = context(&ledger);
    ctx.event("audit.refused").code(FORBIDDEN).record().unwrap();
    ledger.assert_one("audit.refused").outcome(Outcome::Denied).code("audit.forbidden");
    ctx.event("audit.failed").code(Code::new("audit.broken")).record().unwrap();
    ledger.assert_one("audit.failed").outcome(Outcome::Error).code("audit.broken");
    ctx.event("audit.blocked").denied(Code::new("audit.broken")).record().unwrap();
    ledger.assert_one("audit.blocked").outcome(Outcome::Denied);
}

struct Fails;

impl serde::Serialize for Fails {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("planned"))
    }
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("planned")
    }
}

#[test]
fn what_is_not_valid_is_refused_with_a_code_and_leaves_nothing() {
    let ledger = TestLedger::new();
    let ctx = context(&ledger);
    let refused = |result: Result<_, RecordError>, code: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code().name(), code, "{error}");
        assert!(RecordError::codes().contains(&error.code()), "{code} is listed");
        assert!(!error.to_string().contains("\n"));
    };
    for surface in ["", "audit", "Audit.x", "audit..x", "audit.x\n", "$audit.x", &"a.b".repeat(40)] {
        refused(ctx.event(surface).record(), "event.invalid_surface");
    }
    for name in ["", "$key", "a b", "a\"b", "ä", &"k".repeat(65)] {
        refused(ctx.event("audit.x").input(name, &1).record(), "event.invalid_name");
        refused(ctx.event("audit.x").output(name, &1).record(), "event.invalid_name");
        refused(ctx.event("audit.x").source_ref(name, 1).record(), "event.invalid_name");
        refused(ctx.event("audit.x").change(name, &1, &2).record(), "event.invalid_name");
    }
    refused(ctx.event("audit.x").input("a", &1).input("a", &2).record(), "event.duplicate_name");
    refused(ctx.event("audit.x").input("a", &Fails).record(), "event.invalid_value");
    refused(ctx.event("audit.x").source_ref("thread", Panics).record(), "event.invalid_value");
    refused(ctx.event("audit.x").source_ref("thread", "").record(), "event.invalid_source_id");
    refused(ctx.event("audit.x").source_ref("thread", "x".repeat(513)).record(), "event.invalid_source_id");
    refused(ctx.event("audit.x").input("a", &"x".repeat(70_000)).record(), "event.too_large");
    refused(ctx.event("audit.x").output("a", &"x".repeat(10_000_000)).record(), "event.too_large");
    // The first refusal is the one that is returned.
    refused(ctx.event("audit.x").input("$a", &1).input("b", &Fails).record(), "event.invalid_name");
    ledger.assert_empty();
    // Nothing of a refused event is left in what comes after.
    ctx.event("audit.good").input("a", &1).record().unwrap();
    assert_eq!(ledger.assert_one("audit.good").event().input_value(), serde_json::json!({"a": 1}));
}

#[dataset_event(surface = "jobs.run", access = "read")]
fn run(ctx: &RequestContext) {
    ctx.event("jobs.step").record().unwrap();
}

#[test]
fn inside_a_call_it_is_a_child_span() {
    let ledger = TestLedger::new();
    run(&context(&ledger));
    let outer = ledger.assert_one("jobs.run").event().span_id;
    assert_eq!(ledger.assert_one("jobs.step").event().parent_span_id, Some(outer));
}

#[tokio::test]
async fn the_durable_one_is_recorded_by_waker() {
    let ledger = TestLedger::new();
    let ctx = context(&ledger);
    for guarantee in [Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable] {
        ctx.event("audit.x").guarantee(guarantee).record_async().await.unwrap();
    }
    ledger.assert_count("audit.x", 3);
}
