//! What the program's own code can do while it is captured, and what is left of it in the event.

use std::fmt;

use dataset_events::testing::TestLedger;
use dataset_events::{Code, ErrorCode, Outcome, RequestContext, dataset_event};
use serde::Serialize;
use serde_json::{Value, json};

fn fixture() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

/// Planned panics do not print.
fn quietly<R>(work: impl FnOnce() -> R) -> R {
    use std::sync::Once;
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"planned") {
                loud(info);
            }
        }));
    });
    work()
}

#[derive(Clone, Copy)]
enum Bad {
    Fails,
    FailsAfterAField,
    Panics,
}

impl Serialize for Bad {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        match self {
            Self::Fails => Err(serde::ser::Error::custom("planned")),
            Self::FailsAfterAField => {
                let mut object = serializer.serialize_struct("Bad", 2)?;
                object.serialize_field("half", "written \" and then")?;
                Err(serde::ser::Error::custom("planned"))
            }
            Self::Panics => panic!("planned"),
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half\"")?;
        match self {
            Self::Panics => panic!("planned"),
            _ => Err(fmt::Error),
        }
    }
}

#[dataset_event(
    surface = "captures.bad",
    input(before = 1, bad, shown = %bad, key = hashed(bad), masked = masked(bad), after = 2),
    output(bad = bad, after = ret),
    source_refs(bad = bad, good = "g_1"),
)]
fn bad_values(ctx: &RequestContext, bad: Bad) -> u8 {
    7
}

#[test]
fn a_capture_that_fails_or_panics_is_marked_and_changes_nothing_else() {
    for bad in [Bad::Fails, Bad::FailsAfterAField, Bad::Panics] {
        let (ledger, ctx) = fixture();
        assert_eq!(quietly(|| bad_values(&ctx, bad)), 7);
        let failed = json!({"$error": "capture"});
        let event = ledger.assert_one("captures.bad").ok();
        let expected = json!({
            "before": 1, "bad": failed, "shown": failed, "key": failed, "masked": failed, "after": 2,
        });
        assert_eq!(event.event().input_value(), expected);
        assert_eq!(event.event().output_value(), json!({"bad": failed, "after": 7}));
        let refs: Vec<_> = event.event().source_refs.iter().map(|one| (&*one.kind, &*one.id)).collect();
        assert_eq!(refs, [("bad", "$error"), ("good", "g_1")]);
    }
}

#[dataset_event(surface = "captures.large", input(head = 1, text, tail = 2), output(text = ret))]
fn large(ctx: &RequestContext, text: &str) -> String {
    text.to_owned()
}

#[test]
fn what_exceeds_64_kib_is_counted_and_hashed() {
    use std::fmt::Write as _;
    for (len, is_partial) in [(65_000, None), (66_000, Some(false)), (10_000_000, Some(true))] {
        let (ledger, ctx) = fixture();
        let text = "x".repeat(len);
        large(&ctx, &text);
        let event = ledger.assert_one("captures.large").ok();
        let input = event.event().input_value();
        let Some(is_partial) = is_partial else {
            assert_eq!(input["text"].as_str().map(str::len), Some(len));
            continue;
        };
        let whole = format!("{{\"head\":1,\"text\":\"{text}\",\"tail\":2}}");
        let hashed = if is_partial { &whole.as_bytes()[..1024 * 1024] } else { whole.as_bytes() };
        let mut hex = String::new();
        for byte in <sha2::Sha256 as sha2::Digest>::digest(hashed) {
            write!(hex, "{byte:02x}").unwrap();
        }
        let mut expected = json!({"$omitted": {"bytes": hashed.len(), "sha256": hex}});
        if is_partial {
            expected["$omitted"]["partial"] = json!(true);
        }
        assert_eq!(input, expected);
        assert!(event.event().output_value()["$omitted"]["bytes"].is_u64());
    }
}

#[derive(Serialize)]
struct Raw {
    json: Box<serde_json::value::RawValue>,
}

#[dataset_event(surface = "captures.raw", input(raw, text))]
fn raw(ctx: &RequestContext, raw: &Raw, text: &str) {}

#[test]
fn a_value_cannot_break_the_line() {
    let (ledger, ctx) = fixture();
    let pretty = "{\n  \"a\": [1,\r\n\t2],\n  \"b\": \"c\\nd\"\n}";
    let json = serde_json::value::RawValue::from_string(pretty.to_owned()).unwrap();
    raw(&ctx, &Raw { json }, "quotes \" and \n and \u{0} and \u{2028} and \u{1f980}");
    let lines = ledger.lines();
    assert!(lines.iter().all(|line| !line.bytes().any(|byte| byte < 0x20)), "{lines:?}");
    let event = ledger.assert_one("captures.raw");
    assert_eq!(event.event().input_value()["raw"]["json"], serde_json::from_str::<Value>(pretty).unwrap());
    let text = event.event().input_value()["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "quotes \" and \n and \u{0} and \u{2028} and \u{1f980}");
}

/// Its `Display` and its `Serialize` are annotated callers themselves.
struct Reentrant<'a>(&'a RequestContext);

#[dataset_event(surface = "captures.inner", access = "read", input(depth))]
fn inner(ctx: &RequestContext, depth: u8) -> u8 {
    dataset_events::current().output("seen", depth);
    depth
}

impl fmt::Display for Reentrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inner gave {}", inner(self.0, 1))
    }
}

impl Serialize for Reentrant<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[dataset_event(surface = "captures.outer", input(shown = %value, value), output(ret = value), source_refs(thing = value))]
fn outer(ctx: &RequestContext, value: &Reentrant<'_>) -> u8 {
    dataset_events::current().output("late", value).source_ref("late", value).change("late", value, value);
    1
}

#[test]
fn a_display_that_calls_an_annotated_function_is_recorded_like_any_other() {
    let (ledger, ctx) = fixture();
    outer(&ctx, &Reentrant(&ctx));
    let event = ledger
        .assert_one("captures.outer")
        .ok()
        .input("shown", "inner gave 1")
        .input("value", "inner gave 1");
    let event = event.output("ret", "inner gave 1").output("late", "inner gave 1");
    let event = event.source_ref("thing", "inner gave 1").source_ref("late", "inner gave 1");
    event.change("late", "inner gave 1", "inner gave 1");
    ledger.assert_count("captures.inner", 8);
}

#[dataset_event(surface = "captures.hashed", input(email = hashed(email)))]
fn hashed(ctx: &RequestContext, email: &str) {}

#[test]
fn a_hash_is_stable_in_a_tenant_and_tells_nothing_across_tenants() {
    let ledger = TestLedger::new();
    for (tenant, email) in [("a", "x@y.z"), ("a", "x@y.z"), ("b", "x@y.z"), ("a", "other")] {
        hashed(&ledger.context(tenant, "prod").build().unwrap(), email);
    }
    let hashes: Vec<_> = ledger
        .events()
        .iter()
        .map(|event| event.input_value()["email"]["$hashed"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(hashes[0], hashes[1]);
    assert!(hashes[0] != hashes[2] && hashes[0] != hashes[3]);
    assert!(hashes.iter().all(|hash| hash.len() == 64));
}

#[dataset_event(surface = "captures.current", output(tokens = 9))]
fn with_current(ctx: &RequestContext) -> u8 {
    let call = dataset_events::current();
    call.output("tokens", 1).output("text", "a,\"}{b").output("tokens", 2).output("list", [1, 2]);
    call.output("text", "replaced").output("$reserved", 1).output("bad name", 1);
    call.source_ref("thread", "th_1").source_ref("$bad", 1).source_ref("long", "x".repeat(600));
    call.change("limit", None::<u8>, 2);
    1
}

#[test]
fn the_current_call_takes_fields_refs_and_changes() {
    let (ledger, ctx) = fixture();
    with_current(&ctx);
    let event = ledger.assert_one("captures.current").change("limit", Value::Null, 2);
    let expected = json!({"tokens": 9, "text": "replaced", "list": [1, 2], "$refused": "field name"});
    assert_eq!(event.event().output_value(), expected);
    let refs = &event.event().source_refs;
    assert_eq!((&*refs[0].kind, &*refs[0].id), ("thread", "th_1"));
    assert_eq!(&*refs[1].kind, "$refused");
    assert!(refs[2].id.starts_with("$sha256:"), "{}", refs[2].id);
}

#[test]
fn a_use_outside_of_a_call_is_counted() {
    let (ledger, _) = fixture();
    let before = ledger.ledger().stats().outside_of_calls;
    dataset_events::current().output("lost", 1).source_ref("thread", 1);
    assert_eq!(dataset_events::current().event_id(), None);
    assert_eq!(ledger.ledger().stats().outside_of_calls, before + 2);
}

#[dataset_event(surface = "captures.flood")]
fn flood(ctx: &RequestContext) {
    for number in 0..3_000 {
        dataset_events::current().source_ref("thing", number).change("field", number, number);
    }
    for name in ["one", "two", "three"] {
        dataset_events::current().output(name, "x".repeat(40_000));
    }
}

#[test]
fn lists_that_grow_without_end_are_cut_with_a_mark() {
    let (ledger, ctx) = fixture();
    flood(&ctx);
    let event = ledger.assert_one("captures.flood").ok();
    let refs = &event.event().source_refs;
    assert!(refs.len() > 1000 && refs.last().unwrap().kind == "$omitted", "{}", refs.len());
    assert_eq!(event.event().changes.last().unwrap().field, "$omitted");
    assert!(event.event().output_value()["$omitted"]["sha256"].is_string());
}

struct Uncoded;

impl ErrorCode for Uncoded {
    fn code(&self) -> Code {
        panic!("planned")
    }
}

#[dataset_event(surface = "captures.uncoded")]
fn uncoded(ctx: &RequestContext) -> Result<(), Uncoded> {
    Err(Uncoded)
}

#[dataset_event(surface = "captures.fails_panics", fails = |_ret| panic!("planned"))]
fn fails_panics(ctx: &RequestContext) -> u8 {
    7
}

#[test]
fn a_panic_in_the_verdict_does_not_reach_the_caller() {
    let (ledger, ctx) = fixture();
    quietly(|| {
        assert!(uncoded(&ctx).is_err());
        assert_eq!(fails_panics(&ctx), 7);
    });
    ledger.assert_one("captures.uncoded").outcome(Outcome::Error).code("ledger.uncoded");
    ledger.assert_one("captures.fails_panics").outcome(Outcome::Error).code("ledger.uncoded");
}

#[dataset_event(surface = "captures.attribute_panics", input(first = items[0]))]
fn attribute_panics(ctx: &RequestContext, items: &[u8]) {}

#[test]
fn a_panic_in_an_attribute_expression_is_the_calls_own() {
    let (ledger, ctx) = fixture();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attribute_panics(&ctx, &[])));
    assert!(done.is_err());
    ledger.assert_one("captures.attribute_panics").outcome(Outcome::Panic);
}

/// Ends inside a foreign unwind.
struct Late<'a>(&'a RequestContext);

#[dataset_event(surface = "captures.late")]
fn late(ctx: &RequestContext) {}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        late(self.0);
        let mut future = Box::pin(pending(self.0));
        let _ = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }
}

#[dataset_event(surface = "captures.pending")]
async fn pending(ctx: &RequestContext) {
    std::future::pending::<()>().await;
}

#[test]
fn an_unwind_around_a_call_is_not_the_calls() {
    let (ledger, ctx) = fixture();
    let done = quietly(|| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _late = Late(&ctx);
            panic!("planned");
        }))
    });
    assert!(done.is_err());
    ledger.assert_one("captures.late").ok();
    ledger.assert_one("captures.pending").outcome(Outcome::Cancelled);
}

/// Records when its future is dropped: still inside the call that held it.
struct OnDrop<'a>(&'a RequestContext);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        late(self.0);
    }
}

#[dataset_event(surface = "captures.holds")]
async fn holds(ctx: &RequestContext) {
    let _on_drop = OnDrop(ctx);
    std::future::pending::<()>().await;
}

#[test]
fn what_a_dropped_future_drops_belongs_to_its_call() {
    let (ledger, ctx) = fixture();
    let mut future = Box::pin(holds(&ctx));
    let _ = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    drop(future);
    let outer = ledger.assert_one("captures.holds").outcome(Outcome::Cancelled);
    let inner = ledger.assert_one("captures.late").ok();
    assert_eq!(inner.event().parent_span_id, Some(outer.event().span_id));
    assert!(inner.event().seq < outer.event().seq, "the inner call ends first");
}

#[tokio::test]
async fn joined_futures_keep_their_own_current_call() {
    #[dataset_event(surface = "captures.joined", input(number))]
    async fn joined(ctx: &RequestContext, number: u8) {
        for _ in 0..5 {
            tokio::task::yield_now().await;
            dataset_events::current().output("number", number);
        }
    }
    let (ledger, ctx) = fixture();
    futures::future::join_all((0..8).map(|number| joined(&ctx, number))).await;
    let events = ledger.events_of("captures.joined");
    assert_eq!(events.len(), 8);
    for event in events {
        assert_eq!(event.input_value()["number"], event.output_value()["number"]);
        assert_eq!(event.parent_span_id, None);
    }
}

#[test]
fn a_call_during_thread_teardown_is_recorded() {
    thread_local! {
        static LATE: std::cell::RefCell<Option<Teardown>> = const { std::cell::RefCell::new(None) };
    }
    struct Teardown(RequestContext);
    impl Drop for Teardown {
        fn drop(&mut self) {
            with_current(&self.0);
        }
    }
    let (ledger, ctx) = fixture();
    std::thread::spawn(move || {
        LATE.with(|slot| *slot.borrow_mut() = Some(Teardown(ctx.clone())));
        late(&ctx);
    })
    .join()
    .unwrap();
    ledger.assert_one("captures.late").ok();
    ledger.assert_one("captures.current").ok();
}
