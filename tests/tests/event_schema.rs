//! The published schemas against what a ledger really writes, and against what it never would.

use std::collections::BTreeMap;

use dataset_events::testing::TestLedger;
use dataset_events::{
    Code, ErrorCode, LedgerUnavailable, RequestContext, current, dataset_event, event_schema, payload_schema,
    surfaces,
};
use jsonschema::Validator;
use serde_json::{Value, json};

#[derive(Debug, ErrorCode)]
enum OrderError {
    #[code("orders.empty", status = 422)]
    Empty,
    #[code("orders.forbidden", status = 403)]
    Forbidden,
    #[code(transparent)]
    Ledger(LedgerUnavailable),
}

impl From<LedgerUnavailable> for OrderError {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Ledger(error)
    }
}

struct Broken;

impl serde::Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("planned"))
    }
}

#[dataset_event(
    surface = "orders.create",
    access = "create",
    input(count, note, tags, weight, kind = %label, debugged = ?count, secret = hashed(label), length = masked(label)),
    output(id = ret.0, parts = ret.1),
    source_refs(order = label)
)]
fn create(
    ctx: &RequestContext,
    label: &str,
    count: u8,
    note: Option<String>,
    tags: &[&str],
    weight: f64,
) -> Result<(u64, Vec<u8>), OrderError> {
    current().change("count", 0, count);
    current().output("extra", "from the body");
    match count {
        0 => Err(OrderError::Empty),
        1 => Err(OrderError::Forbidden),
        2 => panic!("two orders"),
        _ => Ok((u64::from(count), vec![1, 2])),
    }
}

#[dataset_event(surface = "orders.import", input(body, broken))]
fn import(ctx: &RequestContext, body: &str, broken: Broken) {
    let _ = (body, broken);
}

#[dataset_event(surface = "orders.lock", access = "update", guarantee = "durable", input(is_on))]
fn lock(ctx: &RequestContext, is_on: bool) -> Result<(), OrderError> {
    let _ = is_on;
    Ok(())
}

#[dataset_event(surface = "orders.wait", access = "read")]
async fn wait(ctx: &RequestContext) {
    std::future::pending::<()>().await;
}

/// Lines of every kind that a program can make a ledger write.
fn lines() -> Vec<Value> {
    let ledger = TestLedger::new();
    let full = ledger
        .context("acme", "prod")
        .user_id("u\"1\\")
        .auth_subject("issuer|subject")
        .on_behalf_of("u_2")
        .request_id("r-1")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .client_ip("2001:db8::1".parse().unwrap())
        .user_agent("agent \u{e4}\n")
        .build()
        .unwrap();
    let bare = ledger.context("acme", "prod").build().unwrap();
    for ctx in [&full, &bare] {
        for count in [0, 1, 2, 3] {
            let note = (count == 3).then(|| "a note \"quoted\"".to_owned());
            let call =
                || create(ctx, "a label", count, note, &["a", "b"], if count == 0 { f64::NAN } else { 0.5 });
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        }
        import(ctx, "short", Broken);
        import(ctx, &"long".repeat(20_000), Broken);
        lock(ctx, true).unwrap();
        let waiting = async { futures::poll!(Box::pin(wait(ctx))) };
        assert!(futures::executor::block_on(waiting).is_pending());
    }
    let code = Code::new("audit.blocked").status(403);
    full.event("audit.key_rotated").change("key", "a", &Some(2)).input("n", &1).record().unwrap();
    full.event("audit.key_refused").denied(code).record().unwrap();
    let _ = ledger.ledger().operator("schema");
    ledger.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::meta::validate(schema).expect("a schema of its dialect");
    jsonschema::validator_for(schema).expect("a schema")
}

fn event_validator() -> Validator {
    validator(&serde_json::from_str(event_schema()).unwrap())
}

#[track_caller]
fn accepts(validator: &Validator, line: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(line).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{line:#}");
}

fn find<'a>(lines: &'a [Value], kind: &str, surface: &str, outcome: &Value) -> &'a Value {
    lines
        .iter()
        .find(|line| line["kind"] == kind && line["surface"] == surface && line["outcome"] == *outcome)
        .unwrap_or_else(|| panic!("no {kind} of {surface} with outcome {outcome}"))
}

#[test]
fn every_line_of_a_ledger_is_valid() {
    let validator = event_validator();
    let lines = lines();
    let mut kinds: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in &lines {
        accepts(&validator, line);
        let outcome = line["outcome"].as_str().unwrap_or("none").to_owned();
        *kinds.entry((line["kind"].as_str().unwrap().to_owned(), outcome)).or_default() += 1;
    }
    for outcome in ["ok", "error", "denied", "panic", "cancelled"] {
        assert!(kinds.contains_key(&("event".to_owned(), outcome.to_owned())), "{kinds:?}");
    }
    assert!(kinds.contains_key(&("attempt".to_owned(), "none".to_owned())), "{kinds:?}");
}

/// Changes one thing of a line.
fn changed(line: &Value, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut line = line.clone();
    change(line.as_object_mut().unwrap());
    line
}

/// Sets one member of a line.
fn with(line: &Value, key: &str, value: Value) -> Value {
    changed(line, |line| drop(line.insert(key.to_owned(), value)))
}

#[test]
fn what_later_writers_and_readers_may_do_is_valid() {
    let validator = event_validator();
    let lines = lines();
    let ok = find(&lines, "event", "orders.create", &json!("ok"));
    let sealed = json!({ "$sealed": { "alg": "a", "key_id": "k", "nonce": "n", "ct": "c" } });
    let omitted = json!({ "$omitted": { "bytes": 70_000, "sha256": "ab".repeat(32) } });
    for key in ["input", "output", "actor", "source_refs"] {
        for marker in [&sealed, &omitted] {
            accepts(&validator, &with(ok, key, marker.clone()));
        }
    }
    accepts(&validator, &with(ok, "later", json!([1])));
    let interrupted = changed(find(&lines, "event", "orders.create", &json!("panic")), |line| {
        line["outcome"] = json!("interrupted");
        line["error"]["code"] = json!("interrupted");
        line.insert("detail".to_owned(), json!({ "cause": "host" }));
    });
    accepts(&validator, &interrupted);
}

/// What a line may be without.
const OPTIONAL: [&str; 8] =
    ["client", "parent_span_id", "synthesized", "source_refs", "changes", "input", "output", "detail"];

#[test]
fn broken_lines_are_refused() {
    let validator = event_validator();
    let lines = lines();
    let ok = find(&lines, "event", "orders.create", &json!("ok"));
    let failed = find(&lines, "event", "orders.create", &json!("error"));
    let attempt = find(&lines, "attempt", "orders.lock", &Value::Null);
    let mut refused = 0;
    let mut refuse = |what: &str, line: Value| {
        assert!(!validator.is_valid(&line), "{what} was accepted: {line:#}");
        refused += 1;
    };
    for key in ok.as_object().unwrap().keys() {
        if !OPTIONAL.contains(&key.as_str()) {
            refuse(&format!("an event without {key}"), changed(ok, |line| drop(line.remove(key))));
        }
        if key != "input" && key != "output" {
            refuse(&format!("{key} as a float"), with(ok, key, json!(1.5)));
        }
        refuse(&format!("{key} as null"), with(ok, key, Value::Null));
    }
    for key in attempt.as_object().unwrap().keys().filter(|key| !OPTIONAL.contains(&key.as_str())) {
        refuse(&format!("an attempt without {key}"), changed(attempt, |line| drop(line.remove(key))));
    }
    for (key, value) in [
        ("schema_version", json!(2)),
        ("kind", json!("later")),
        ("ledger_id", json!("not-a-uuid")),
        ("ledger_id", json!("0198ABCD-0000-7000-8000-000000000000")),
        ("event_id", json!("00000000-0000-4000-8000-000000000000")),
        ("tenant_id", json!("")),
        ("tenant_id", json!("..")),
        ("tenant_id", json!("../acme")),
        ("tenant_id", json!("a".repeat(129))),
        ("tenant_id", json!("$system")),
        ("env", json!("Prod")),
        ("env", json!("$system")),
        ("seq", json!(0)),
        ("seq", json!("1")),
        ("prev", json!("ab".repeat(31))),
        ("prev", json!("AB".repeat(32))),
        ("surface", json!("orders")),
        ("surface", json!("Orders.create")),
        ("surface", json!(format!("a.{}", "b".repeat(63)))),
        ("access", json!("steal")),
        ("outcome", json!("fine")),
        ("outcome", json!("error")),
        ("outcome", json!("interrupted")),
        ("error", json!({ "code": "orders.empty", "retryable": false })),
        ("guarantee", json!("durable")),
        ("duration_ns", json!(-1)),
        ("started_at", json!("2026-01-01T00:00:00Z")),
        ("actor", json!({})),
        ("actor", json!({ "type": "robot" })),
        ("actor", json!({ "type": "user", "user_id": "a b" })),
        ("actor", json!({ "$sealed": { "alg": "a" } })),
        ("client", json!({})),
        ("request_id", json!("r\n")),
        ("request_id", json!("r".repeat(129))),
        ("trace_id", json!("0".repeat(32))),
        ("trace_id", json!("4BF92F3577B34DA6A3CE929D0E0E4736")),
        ("span_id", json!("0".repeat(16))),
        ("parent_span_id", json!("abc")),
        ("synthesized", json!([])),
        ("synthesized", json!(["user_id"])),
        ("source_refs", json!([])),
        ("source_refs", json!([{ "kind": "thread" }])),
        ("source_refs", json!([{ "kind": "$thread", "id": "1" }])),
        ("changes", json!([{ "field": "limit", "before": 1 }])),
        ("writer", json!({ "service": "s" })),
        ("input", json!([1])),
        ("input", json!({ "$later": 1 })),
        ("input", json!({ "$omitted": { "bytes": 1 } })),
        ("output", json!("text")),
        ("$erased", json!(true)),
    ] {
        refuse(&format!("{key} = {value}"), with(ok, key, value));
    }
    for (what, code) in [("a plain word", "empty"), ("a code of the framework", "panic"), ("no text", "")] {
        refuse(what, changed(failed, |line| line["error"]["code"] = json!(code)));
    }
    refuse("a failure without error", changed(failed, |line| drop(line.remove("error"))));
    refuse("a cause where nothing died", with(failed, "detail", json!({ "cause": "host" })));
    refuse("a panic with another code", changed(failed, |line| line["outcome"] = json!("panic")));
    for key in ["seq", "prev", "outcome", "duration_ns", "output", "changes", "error", "detail"] {
        let value = if failed[key].is_null() { ok[key].clone() } else { failed[key].clone() };
        refuse(&format!("an attempt with {key}"), with(attempt, key, value));
    }
    refuse("no object", json!([ok]));
    assert!(refused > 100, "{refused}");
}

#[test]
fn payloads_are_what_their_surface_says() {
    let lines = lines();
    let mut checked = 0;
    for site in surfaces() {
        let schema = payload_schema(site);
        let validator = validator(&schema);
        for line in lines.iter().filter(|line| line["surface"] == site.surface) {
            accepts(&validator, line);
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked}");

    let site = surfaces().find(|site| site.surface == "orders.create").unwrap();
    let validator = validator(&payload_schema(site));
    let ok = find(&lines, "event", "orders.create", &json!("ok"));
    assert_eq!(ok["output"]["extra"], "from the body");
    for (section, name, value) in [
        ("input", "count", json!(256)),
        ("input", "count", json!("3")),
        ("input", "count", json!({ "$error": "other" })),
        ("input", "note", json!(1)),
        ("input", "tags", json!(["a", 1])),
        ("input", "weight", json!("heavy")),
        ("input", "kind", json!(1)),
        ("input", "debugged", json!(3)),
        ("input", "secret", json!("in the clear")),
        ("input", "secret", json!({ "$hashed": "short" })),
        ("input", "length", json!("in the clear")),
        ("input", "unlisted", json!(1)),
        ("output", "$reserved", json!(1)),
    ] {
        let line =
            changed(ok, |line| drop(line[section].as_object_mut().unwrap().insert(name.into(), value)));
        assert!(!validator.is_valid(&line), "{section}.{name} was accepted: {line:#}");
    }
    for (section, name) in [("input", "count"), ("output", "id")] {
        let line = changed(ok, |line| drop(line[section].as_object_mut().unwrap().remove(name)));
        assert!(!validator.is_valid(&line), "{section} without {name} was accepted");
    }
    let line = changed(ok, |line| drop(line.remove("output")));
    assert!(!validator.is_valid(&line), "ok without output was accepted");
}
