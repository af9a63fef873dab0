//! From entries to log records; pure.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::event::{DatasetEvent, Outcome};
use crate::sinks::Entry;

/// SHA-256 of nothing: what OpenTelemetry's draft has before the first record of a sequence.
pub(super) const NOTHING_BEFORE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request with one record for each entry, which is text. Records of one resource stand together, in the order of the
/// entries.
pub(super) fn request<'a>(entries: impl Iterator<Item = &'a Entry>) -> ExportLogsServiceRequest {
    let mut resource_logs: Vec<ResourceLogs> = Vec::new();
    for entry in entries {
        let (resource, record) = encode(entry);
        // A batch has few resources; the one of the entry before comes first.
        let known = resource_logs.iter_mut().rev().find(|known| known.resource.as_ref() == Some(&resource));
        match known.and_then(|known| known.scope_logs.first_mut()) {
            Some(logs) => logs.log_records.push(record),
            None => resource_logs.push(ResourceLogs {
                resource: Some(resource),
                scope_logs: vec![ScopeLogs {
                    scope: Some(InstrumentationScope {
                        name: "dataset-events".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    log_records: vec![record],
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            }),
        }
    }
    ExportLogsServiceRequest { resource_logs }
}

/// The resource of an entry, and its record.
pub(super) fn encode(entry: &Entry) -> (Resource, LogRecord) {
    let mut resource = Attributes::default();
    let mut attributes = Attributes::default();
    resource.text("dataset_events.ledger.id", entry.ledger_id().to_string());
    if let Ok(Some(scope)) = entry.scope() {
        resource.text("tenant.id", scope.tenant_id().as_str());
        resource.text("deployment.environment.name", scope.env().as_str());
    }
    attributes.text("dataset_events.kind", entry.kind().as_str());
    attributes.number("dataset_events.log.segment", entry.position().segment);
    attributes.number("dataset_events.log.offset", entry.position().offset);
    attributes.text("audit.integrity.algorithm", "SHA-256");
    attributes.text("audit.integrity.value", entry.hash().to_string());
    let mut record =
        LogRecord { body: Some(any(Value::StringValue(entry.text().into_owned()))), ..LogRecord::default() };
    match entry.event() {
        Some(event) => describe(event, &mut resource, &mut attributes, &mut record),
        // An attempt, a head table, a checkpoint, or an event of a later version.
        None => record.event_name = format!("dataset_events.{}", entry.kind().as_str()),
    }
    record.attributes = attributes.0;
    (Resource { attributes: resource.0, ..Resource::default() }, record)
}

/// The names are those of `docs/formats.md`, "Names elsewhere".
fn describe(
    event: &DatasetEvent,
    resource: &mut Attributes,
    attributes: &mut Attributes,
    record: &mut LogRecord,
) {
    let writer = &event.writer;
    resource.text("service.name", &writer.service);
    resource.text("service.version", &writer.version);
    resource.text("service.instance.id", &writer.instance);

    record.event_name.clone_from(&event.surface);
    record.time_unix_nano = nanos(event.started_at);
    record.observed_time_unix_nano = nanos(event.recorded_at);
    // Of an audit record the draft asks to leave the severity unset.
    record.trace_id = bytes_of_hex(&event.trace_id.to_string());
    record.span_id = bytes_of_hex(&event.span_id.to_string());

    attributes.number("audit.schema.version", event.schema_version);
    attributes.text("audit.record.id", event.event_id.to_string());
    attributes.number("audit.sequence.number", event.seq);
    let prev = if event.seq == 1 { NOTHING_BEFORE.to_owned() } else { event.prev.to_string() };
    attributes.text("audit.sequence.prev_hash", prev);
    attributes.text("audit.action", event.access.as_str());
    attributes.text(
        "audit.outcome",
        match event.outcome {
            Outcome::Ok => "success",
            Outcome::Interrupted => "unknown",
            _ => "failure",
        },
    );
    attributes.text("dataset_events.outcome", event.outcome.as_str());
    if let Some(error) = &event.error {
        attributes.text("error.type", &error.code);
        attributes.maybe("exception.message", error.message.as_deref());
    }
    if let Some(actor) = &event.actor {
        attributes.text("audit.actor.type", actor.actor_type.as_str());
        attributes.maybe("audit.actor.id", actor.user_id.as_ref().map(|id| id.as_str()));
        attributes.maybe("enduser.id", actor.auth_subject.as_ref().map(|subject| subject.as_str()));
    }
    if let Some(client) = &event.client {
        attributes.maybe("client.address", client.ip.as_deref());
        attributes.maybe("user_agent.original", client.user_agent.as_deref());
    }
    attributes.number("dataset_events.duration_ns", event.duration_ns);
    attributes.text("dataset_events.request.id", event.request_id.as_str());
    attributes
        .maybe("dataset_events.parent_span.id", event.parent_span_id.map(|id| id.to_string()).as_deref());
}

fn nanos(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0).saturating_mul(1_000)
}

/// The bytes of an id in hexadecimal; ids of a ledger always are.
fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect::<Option<_>>().unwrap_or_default()
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn push(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() });
    }

    fn text(&mut self, key: &str, text: impl Into<String>) {
        self.push(key, Value::StringValue(text.into()));
    }

    fn maybe(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// Numbers of the envelope are below 2^53.
    fn number(&mut self, key: &str, number: impl TryInto<i64>) {
        self.push(key, Value::IntValue(number.try_into().unwrap_or(i64::MAX)));
    }
}
