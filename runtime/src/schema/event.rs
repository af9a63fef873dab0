//! The schema of a line: what its keys are, and which of them go together.

use serde_json::{Value, json};

use super::{DIALECT, hex, omitted, one_of, sealed};
use crate::context::MAX_USER_AGENT_BYTES;
use crate::event::{ActorType, InterruptCause, Outcome, SCHEMA_VERSION};
use crate::ids::{AuthSubject, Env, RequestId, TenantId, UserId};
use crate::surface::{Access, Guarantee};

const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
const UUID_V7: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
const DOTTED_NAME: &str = "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$";
/// Names in payloads do not begin with `$`, but for those that say why a name or list is not there.
const FIELD_NAME: &str = "^([A-Za-z_][A-Za-z0-9_.-]*|\\$refused|\\$omitted)$";

pub(super) fn schema() -> Value {
    json!({
        "$schema": DIALECT,
        "$id": "urn:dataset-events:schema:dataset-event:v1",
        "title": "A line of a dataset-events log, schema version 1",
        "description": "An event of a stream, or an attempt, which stands in no stream. Unknown names may be \
                        there, but for those that begin with `$`.",
        "type": "object",
        "required": ["kind"],
        "oneOf": [{ "$ref": "#/$defs/event" }, { "$ref": "#/$defs/attempt" }],
        "$defs": {
            "event": event(),
            "attempt": attempt(),
            "ledger_id": { "type": "string", "pattern": UUID },
            "event_id": { "type": "string", "pattern": UUID_V7 },
            "scope": scope(),
            "surface": dotted_name(),
            "time": {
                "type": "integer",
                "description": "Microseconds since 1970 (UTC).",
                "minimum": i64::MIN,
                "maximum": i64::MAX,
            },
            "trace_id": not_zero(32),
            "span_id": not_zero(16),
            "hash": hex(64),
            "printable": { "type": "string", "pattern": "^[!-~]+$" },
            "error": error(),
            "detail": detail(),
            "actor": actor(),
            "client": client(),
            "source_refs": source_refs(),
            "changes": changes(),
            "writer": writer(),
            "payload": payload(),
            "sealed": sealed(),
            "omitted": omitted(),
        },
    })
}

/// The keys that events and attempts share, with those of one of them.
fn properties(own: Value) -> Value {
    let mut properties = json!({
        "schema_version": { "const": SCHEMA_VERSION },
        "ledger_id": { "$ref": "#/$defs/ledger_id" },
        "event_id": { "$ref": "#/$defs/event_id" },
        "surface": { "$ref": "#/$defs/surface" },
        "access": one_of(Access::ALL.map(Access::as_str)),
        "started_at": { "$ref": "#/$defs/time" },
        "recorded_at": { "$ref": "#/$defs/time" },
        "actor": or_marker("#/$defs/actor"),
        "client": { "$ref": "#/$defs/client" },
        "request_id": printable(RequestId::MAX_BYTES),
        "trace_id": { "$ref": "#/$defs/trace_id" },
        "span_id": { "$ref": "#/$defs/span_id" },
        "parent_span_id": { "$ref": "#/$defs/span_id" },
        "synthesized": {
            "type": "array",
            "items": one_of(["request_id", "trace_id", "scope"]),
            "minItems": 1,
            "uniqueItems": true,
        },
        "source_refs": or_marker("#/$defs/source_refs"),
        "writer": { "$ref": "#/$defs/writer" },
        "input": or_marker("#/$defs/payload"),
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut properties, own) {
        all.extend(own);
    }
    properties
}

const REQUIRED: [&str; 15] = [
    "schema_version",
    "kind",
    "ledger_id",
    "event_id",
    "tenant_id",
    "env",
    "surface",
    "access",
    "started_at",
    "recorded_at",
    "actor",
    "request_id",
    "trace_id",
    "span_id",
    "writer",
];

fn required(own: &[&'static str]) -> Vec<&'static str> {
    REQUIRED.iter().chain(own).copied().collect()
}

fn event() -> Value {
    json!({
        "type": "object",
        "properties": properties(json!({
            "kind": { "const": "event" },
            "seq": { "type": "integer", "minimum": 1, "maximum": u64::MAX },
            "prev": { "$ref": "#/$defs/hash" },
            "outcome": one_of(Outcome::ALL.map(Outcome::as_str)),
            "error": { "$ref": "#/$defs/error" },
            "detail": { "$ref": "#/$defs/detail" },
            "duration_ns": { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            "changes": { "$ref": "#/$defs/changes" },
            "output": or_marker("#/$defs/payload"),
            // Only an attempt has one.
            "guarantee": false,
        })),
        "patternProperties": { "^\\$": false },
        "required": required(&["seq", "prev", "outcome", "duration_ns"]),
        "allOf": outcome_rules(),
        "$ref": "#/$defs/scope",
    })
}

fn attempt() -> Value {
    json!({
        "type": "object",
        "description": "Written before the body runs; the event with the same id says how it ended.",
        "properties": properties(json!({
            "kind": { "const": "attempt" },
            "guarantee": one_of([Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable].map(Guarantee::as_str)),
            "seq": false,
            "prev": false,
            "outcome": false,
            "error": false,
            "detail": false,
            "duration_ns": false,
            "changes": false,
            "output": false,
        })),
        "patternProperties": { "^\\$": false },
        "required": required(&["guarantee"]),
        "$ref": "#/$defs/scope",
    })
}

/// `$system` is both or neither.
fn scope() -> Value {
    let tenant = format!("^[A-Za-z0-9._:-]{{1,{}}}$", TenantId::MAX_BYTES);
    let env = format!("^[a-z0-9_-]{{1,{}}}$", Env::MAX_BYTES);
    json!({
        "oneOf": [
            {
                "properties": {
                    "tenant_id": { "type": "string", "pattern": tenant, "not": { "enum": [".", ".."] } },
                    "env": { "type": "string", "pattern": env },
                },
            },
            { "properties": { "tenant_id": { "const": "$system" }, "env": { "const": "$system" } } },
        ],
    })
}

/// Which error and detail go with which outcome.
fn outcome_rules() -> Value {
    let when = |outcomes: &[Outcome], then: Value| {
        let outcomes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
        json!({ "if": { "properties": { "outcome": { "enum": outcomes } } }, "then": then })
    };
    let code = |code: Value| json!({ "required": ["error"], "properties": { "error": { "properties": { "code": code } } } });
    let mut rules = vec![
        when(&[Outcome::Ok], json!({ "properties": { "error": false } })),
        when(&[Outcome::Error, Outcome::Denied], code(dotted_name())),
    ];
    for outcome in [Outcome::Panic, Outcome::Cancelled, Outcome::Interrupted] {
        rules.push(when(&[outcome], code(json!({ "const": outcome.as_str() }))));
    }
    let cause = json!({ "required": ["detail"], "properties": { "detail": { "required": ["cause"] } } });
    let no_cause = json!({ "properties": { "detail": { "properties": { "cause": false } } } });
    let mut rule = when(&[Outcome::Interrupted], cause);
    rule["else"] = no_cause;
    rules.push(rule);
    Value::Array(rules)
}

fn dotted_name() -> Value {
    json!({ "type": "string", "pattern": DOTTED_NAME, "maxLength": 64 })
}

fn not_zero(digits: usize) -> Value {
    let mut id = hex(digits);
    id["not"] = json!({ "const": "0".repeat(digits) });
    id
}

fn printable(max_bytes: usize) -> Value {
    json!({ "$ref": "#/$defs/printable", "maxLength": max_bytes })
}

fn or_marker(of: &str) -> Value {
    json!({ "anyOf": [{ "$ref": of }, { "$ref": "#/$defs/sealed" }, { "$ref": "#/$defs/omitted" }] })
}

fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": { "type": "string" },
            "message": { "type": "string", "minLength": 1 },
            "retryable": { "type": "boolean" },
        },
        "required": ["code", "retryable"],
    })
}

fn detail() -> Value {
    json!({
        "type": "object",
        "properties": {
            "items": { "type": "integer", "minimum": 0 },
            "cause": one_of(InterruptCause::ALL.map(InterruptCause::as_str)),
        },
        "minProperties": 1,
    })
}

fn actor() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": one_of(ActorType::ALL.map(ActorType::as_str)),
            "user_id": printable(UserId::MAX_BYTES),
            "auth_subject": printable(AuthSubject::MAX_BYTES),
            "on_behalf_of": printable(UserId::MAX_BYTES),
        },
        "required": ["type"],
    })
}

fn client() -> Value {
    json!({
        "type": "object",
        "properties": {
            "ip": { "type": "string", "pattern": "^[0-9a-f.:]+$" },
            "user_agent": { "type": "string", "maxLength": MAX_USER_AGENT_BYTES },
        },
        "minProperties": 1,
    })
}

fn field_name() -> Value {
    json!({ "type": "string", "pattern": FIELD_NAME, "maxLength": 64 })
}

fn source_refs() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "kind": field_name(), "id": { "type": "string" } },
            "required": ["kind", "id"],
        },
        "minItems": 1,
    })
}

fn changes() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "field": field_name(), "before": true, "after": true },
            "required": ["field", "before", "after"],
        },
        "minItems": 1,
    })
}

fn writer() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "service": text,
            "version": text,
            "build": text,
            "instance": text,
            "epoch": { "type": "integer", "minimum": 1 },
        },
        "required": ["service", "version", "instance", "epoch"],
    })
}

fn payload() -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": "^([^$].*|\\$refused)$" } })
}
