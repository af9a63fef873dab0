//! Input that is not as it should be: each its own clear error or marked event, and nothing else disturbed.

use std::fmt;

use dataset_events::testing::TestLedger;
use dataset_events::{
    AuthSubject, Code, Env, InvalidId, LedgerUnavailable, Outcome, RecordError, RequestContext, RequestId,
    SpanId, TenantId, TraceId, UserId, dataset_event,
};
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What nobody may be called: with what it shows.
fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("over-long", "a".repeat(4096)),
        ("one byte too long", "a".repeat(257)),
        ("a control character", "a\u{1}b".into()),
        ("a newline", "acme\n".into()),
        ("NUL", "acme\0".into()),
        ("NUL first", "\0".into()),
        ("DEL", "acme\u{7f}".into()),
        ("C1 control", "acme\u{85}".into()),
        ("a line separator", "acme\u{2028}".into()),
        ("a bidi override", "acme\u{202e}".into()),
        ("zero width", "ac\u{200b}me".into()),
    ]
}

/// What a tenant or env may not be either: they name places.
fn hostile_names() -> Vec<(&'static str, String)> {
    let mut names = hostile();
    for (what, text) in [
        ("a parent directory", ".."),
        ("this directory", "."),
        ("a path", "../acme"),
        ("a path in the middle", "a/../b"),
        ("an absolute path", "/etc"),
        ("a glob", "*"),
        ("a pattern", "%"),
        ("a quote", "acme\""),
        ("a backslash", "acme\\"),
        ("white space", " acme"),
        ("the ledger's own", "$system"),
        ("a confusable", "аcme"),
        ("a replaced surrogate", "acme\u{fffd}"),
        ("a pair of surrogates", "acme\u{1f600}"),
    ] {
        names.push((what, text.to_owned()));
    }
    names
}

#[track_caller]
fn assert_refused<T: fmt::Debug>(result: Result<T, InvalidId>, code: &str, what: &str, text: &str) {
    let error = match result {
        Ok(accepted) => panic!("{what}: {accepted:?} was accepted"),
        Err(error) => error,
    };
    assert_eq!(error.code(), code, "{what}: {error}");
    let message = error.to_string();
    assert!(message.chars().all(|char| !char.is_control()), "{what}: {message:?}");
    assert!(text.len() < 4 || !message.contains(text), "{what}: the refused text is not repeated: {message}");
}

#[test]
fn hostile_ids_are_refused_at_the_edge_each_with_the_code_of_its_kind() {
    for (what, text) in hostile_names() {
        let text = &*text;
        assert_refused(TenantId::new(text), "context.invalid_tenant", what, text);
        assert_refused(Env::new(text), "context.invalid_env", what, text);
        assert_refused(text.parse::<TenantId>(), "context.invalid_tenant", what, text);
        assert_refused(text.parse::<Env>(), "context.invalid_env", what, text);
        assert_refused(text.parse::<TraceId>(), "context.invalid_trace_id", what, text);
        assert_refused(text.parse::<SpanId>(), "context.invalid_span_id", what, text);
    }
    for (what, text) in hostile() {
        let text = &*text;
        // These may be longer than a name, up to their own bounds.
        if what == "one byte too long" {
            continue;
        }
        assert_refused(RequestId::new(text), "context.invalid_request_id", what, text);
        assert_refused(UserId::new(text), "context.invalid_user_id", what, text);
        assert_refused(AuthSubject::new(text), "context.invalid_auth_subject", what, text);
    }
}

#[test]
fn ids_from_json_are_held_to_the_same_rules_also_with_a_lone_surrogate() {
    for (what, text) in hostile_names() {
        let json = serde_json::to_string(&text).expect("text is JSON");
        assert!(serde_json::from_str::<TenantId>(&json).is_err(), "{what}");
        assert!(serde_json::from_str::<Env>(&json).is_err(), "{what}");
    }
    for lone in [r#""\ud800""#, r#""acme\udc00""#, r#""\ud83dx""#] {
        assert!(serde_json::from_str::<TenantId>(lone).is_err(), "{lone}");
        assert!(serde_json::from_str::<Env>(lone).is_err(), "{lone}");
        assert!(serde_json::from_str::<UserId>(lone).is_err(), "{lone}");
        assert!(serde_json::from_str::<RequestId>(lone).is_err(), "{lone}");
    }
}

#[test]
fn a_context_of_hostile_ids_is_refused_and_records_nothing() {
    let ledger = TestLedger::new();
    for (what, text) in hostile_names() {
        let text = &*text;
        assert_refused(ledger.context(text, "prod").build(), "context.invalid_tenant", what, text);
        assert_refused(ledger.context("acme", text).build(), "context.invalid_env", what, text);
        let traceparent = ledger.context("acme", "prod").traceparent(text).build();
        assert_refused(traceparent, "context.invalid_traceparent", what, text);
    }
    ledger.assert_empty();
}

#[test]
fn a_user_agent_of_anything_is_kept_as_text_on_one_line() {
    let ledger = TestLedger::new();
    for (_, text) in hostile_names() {
        let ctx = ledger.context("acme", "prod").user_agent(&*text).build().expect("free text");
        take(&ctx, 1);
    }
    assert_eq!(ledger.events().len(), hostile_names().len());
    for line in ledger.lines() {
        assert!(line.bytes().all(|byte| byte >= b' '), "{line:?}");
    }
}

#[dataset_event(surface = "input.take", access = "read", input(n), output(n = ret))]
fn take(ctx: &RequestContext, n: u64) -> u64 {
    n
}

#[dataset_event(surface = "input.strange", input(value))]
fn strange<T: Serialize>(ctx: &RequestContext, value: T) -> &'static str {
    "returned"
}

#[dataset_event(surface = "input.durable", guarantee = "durable", input(value))]
fn strange_durable<T: Serialize>(ctx: &RequestContext, value: T) -> Result<&'static str, LedgerUnavailable> {
    Ok("returned")
}

/// Captures a strange value, as `intent` and as `durable`, between calls that are as ever; returns what
/// their events hold of it.
fn capture_between_calls<T: Serialize + Copy>(value: T) -> Value {
    let ledger = TestLedger::on_disk();
    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
    take(&ctx, 1);
    assert_eq!(strange(&ctx, value), "returned");
    take(&ctx, 2);
    assert_eq!(strange_durable(&ctx, value), Ok("returned"));
    take(&ctx, 3);
    let events = ledger.events();
    let around: Vec<_> = events.iter().filter(|event| event.surface == "input.take").collect();
    assert_eq!(around.iter().map(|event| event.output_value()["n"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(events.iter().all(|event| event.outcome == Outcome::Ok));
    let report = ledger.ledger().verify().expect("readable");
    assert!(report.is_verified(), "{report}");
    let input = events[1].input.as_ref().expect("an input").get().to_owned();
    assert_eq!(events[3].input.as_ref().expect("an input").get(), input, "the same at each guarantee");
    assert!(input.len() <= 64 * 1024);
    // Whatever it is, it is JSON to any reader, however deep.
    let mut deserializer = serde_json::Deserializer::from_str(&input);
    serde::de::IgnoredAny::deserialize(&mut deserializer).expect("JSON");
    deserializer.end().expect("one value");
    events[1].input_value()
}

#[derive(Clone, Copy)]
struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        std::panic::resume_unwind(Box::new("planned, and without a message"))
    }
}

#[derive(Clone, Copy)]
struct Fails;

impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element("half of it")?;
        Err(serde::ser::Error::custom("planned"))
    }
}

#[test]
fn a_capture_that_fails_or_panics_is_marked_in_its_event_alone() {
    let marked = json!({"value": {"$error": "capture"}});
    assert_eq!(capture_between_calls(Fails), marked);
    assert_eq!(capture_between_calls(Panics), marked);
    assert_eq!(capture_between_calls(f64::NAN), json!({"value": null}));
}

#[test]
fn a_payload_of_ten_megabytes_leaves_its_size_and_hash_up_to_the_bound() {
    let text = "y".repeat(10 << 20);
    let omitted = capture_between_calls(&*text);
    // What is read of it is bounded at 1 MiB, and marked so.
    let read = format!("{{\"value\":\"{text}\"}}");
    let hash: String =
        Sha256::digest(&read.as_bytes()[..1 << 20]).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(omitted, json!({"$omitted": {"bytes": 1 << 20, "sha256": hash, "partial": true}}));
}

/// A list in a list in a list, `depth` times.
#[derive(Clone, Copy)]
struct Nested {
    depth: u32,
}

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(1))?;
        if self.depth > 1 {
            seq.serialize_element(&Self { depth: self.depth - 1 })?;
        }
        seq.end()
    }
}

#[test]
fn a_deeply_nested_payload_keeps_its_event_readable() {
    assert_eq!(capture_between_calls(Nested { depth: 3 }), json!({"value": [[[]]]}));
    // Beyond what most readers nest, and near the bound of a section.
    let at_work = std::thread::Builder::new().stack_size(64 << 20);
    let deep = at_work.spawn(|| {
        for depth in [100, 127, 128, 129, 1_000, 10_000, 32_000] {
            capture_between_calls(Nested { depth });
        }
    });
    deep.expect("start a thread").join().expect("every depth is captured");
}

#[test]
fn text_of_any_kind_comes_back_as_it_went_in() {
    let all: String = (0..=0x2_ffff).filter_map(char::from_u32).step_by(7).collect();
    let some: String = all.chars().take(9_000).collect();
    for text in
        ["", "\0", "\u{1}\u{7f}\u{85}\u{2028}\u{2029}", "\"\\\n\r\t", "../", "\u{fffd}\u{1f600}", &*some]
    {
        assert_eq!(capture_between_calls(text), json!({"value": text}));
    }
}

#[test]
fn a_hand_made_event_with_a_bad_name_is_refused_and_the_next_is_recorded() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
    let refusals: [(&str, Result<_, RecordError>); 4] = [
        ("surface", ctx.event("NotASurface").record()),
        ("surface", ctx.event("$ledger.opened").record()),
        ("field", ctx.event("input.made").input("$sealed", &1).record()),
        ("field", ctx.event("input.made").output("", &1).record()),
    ];
    for (what, refused) in refusals {
        let error = refused.expect_err(what);
        let code: Code = dataset_events::ErrorCode::code(&error);
        assert!(code.name().starts_with("event.invalid_"), "{what}: {}: {error}", code.name());
    }
    ledger.assert_empty();
    ctx.event("input.made").input("n", &1).record().expect("valid");
    assert_eq!(ledger.assert_one("input.made").event().seq, 1);
}
