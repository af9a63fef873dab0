//! Writes the canonical bytes of event and attempt lines.

use crate::context::Synthesized;
use crate::event::{InterruptCause, LineHash, Outcome};
use crate::ids::{EventId, LedgerId, encode_hex};
use crate::journal::record::{NO_ITEMS, Record, flag};
use crate::log::heads::{Head, Heads};
use crate::log::line::hash_line;
use crate::surface::{Access, Guarantee};

/// Everything a line is made of besides its place in a stream. Texts are already JSON where noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineParts<'a> {
    pub(crate) event_id: EventId,
    pub(crate) tenant: &'a str,
    pub(crate) env: &'a str,
    pub(crate) surface: &'a str,
    pub(crate) access: Access,
    pub(crate) guarantee: Guarantee,
    pub(crate) outcome: Outcome,
    /// Empty for `ok`.
    pub(crate) code: &'a str,
    pub(crate) is_retryable: bool,
    /// Empty unless the program opted in.
    pub(crate) message: &'a str,
    pub(crate) items: Option<u64>,
    pub(crate) cause: Option<InterruptCause>,
    pub(crate) started_at: i64,
    pub(crate) duration_ns: u64,
    /// JSON: `"actor":..` to `"trace_id":..`.
    pub(crate) context: &'a [u8],
    pub(crate) span_id: u64,
    /// 0 for none.
    pub(crate) parent_span_id: u64,
    pub(crate) synthesized: u8,
    /// JSON: the elements of the array.
    pub(crate) source_refs: &'a [u8],
    /// JSON: the elements of the array.
    pub(crate) changes: &'a [u8],
    /// JSON: the object.
    pub(crate) writer: &'a [u8],
    /// JSON: the object, or empty.
    pub(crate) input: &'a [u8],
    /// JSON: the object, or empty.
    pub(crate) output: &'a [u8],
}

impl<'a> LineParts<'a> {
    /// The parts of a record's line; times come from the caller's clock.
    pub(crate) fn of(record: &Record<'a>, started_at: i64, duration_ns: u64, writer: &'a [u8]) -> Self {
        Self {
            event_id: record.event_id,
            tenant: record.tenant(),
            env: record.env(),
            surface: record.surface(),
            access: record.access,
            guarantee: record.guarantee,
            outcome: record.outcome,
            code: std::str::from_utf8(record.code).unwrap_or_default(),
            is_retryable: record.flags & flag::RETRYABLE != 0,
            message: std::str::from_utf8(record.message).unwrap_or_default(),
            items: (record.items != NO_ITEMS).then_some(record.items),
            cause: record.cause,
            started_at,
            duration_ns,
            context: record.context(),
            span_id: record.span_id,
            parent_span_id: record.parent_span_id,
            synthesized: record.synthesized,
            source_refs: record.source_refs,
            changes: record.changes,
            writer,
            input: record.input,
            output: record.output,
        }
    }

    /// The same call, found dead: outcome `interrupted`, what it had captured before its body.
    pub(crate) fn interrupted(mut self, cause: InterruptCause) -> Self {
        self.outcome = Outcome::Interrupted;
        self.code = "interrupted";
        self.is_retryable = false;
        self.message = "";
        self.items = None;
        self.cause = Some(cause);
        self.changes = b"";
        self.output = b"";
        self
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, key: &[u8], number: impl itoa::Integer) {
    put(out, key);
    put(out, itoa::Buffer::new().format(number).as_bytes());
}

fn put_span(out: &mut Vec<u8>, key: &[u8], span: u64) {
    let mut hex = [0; 16];
    encode_hex(&span.to_be_bytes(), &mut hex);
    put(out, key);
    put(out, &hex);
    out.push(b'"');
}

fn put_start(out: &mut Vec<u8>, kind: &[u8], ledger_id: LedgerId, parts: &LineParts<'_>) {
    let mut uuid = uuid::Uuid::encode_buffer();
    put(out, b"{\"schema_version\":1,\"kind\":\"");
    put(out, kind);
    put(out, b"\",\"ledger_id\":\"");
    put(out, ledger_id.as_uuid().hyphenated().encode_lower(&mut uuid).as_bytes());
    put(out, b"\",\"event_id\":\"");
    put(out, parts.event_id.as_uuid().hyphenated().encode_lower(&mut uuid).as_bytes());
    put(out, b"\",\"tenant_id\":\"");
    put(out, parts.tenant.as_bytes());
    put(out, b"\",\"env\":\"");
    put(out, parts.env.as_bytes());
    out.push(b'"');
}

/// The names of what was made up, in their order.
const SYNTHESIZED_NAMES: [(u8, &str); 3] = [
    (Synthesized::REQUEST_ID, "request_id"),
    (Synthesized::TRACE_ID, "trace_id"),
    (Synthesized::SCOPE, "scope"),
];

fn put_synthesized(out: &mut Vec<u8>, bits: u8) {
    let mut names = SYNTHESIZED_NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name);
    let Some(first) = names.next() else { return };
    put(out, b",\"synthesized\":[\"");
    put(out, first.as_bytes());
    for name in names {
        put(out, b"\",\"");
        put(out, name.as_bytes());
    }
    put(out, b"\"]");
}

fn put_context(out: &mut Vec<u8>, parts: &LineParts<'_>) {
    out.push(b',');
    put(out, parts.context);
    put_span(out, b",\"span_id\":\"", parts.span_id);
    if parts.parent_span_id != 0 {
        put_span(out, b",\"parent_span_id\":\"", parts.parent_span_id);
    }
    put_synthesized(out, parts.synthesized);
    if !parts.source_refs.is_empty() {
        put(out, b",\"source_refs\":[");
        put(out, parts.source_refs);
        out.push(b']');
    }
}

fn put_payload(out: &mut Vec<u8>, key: &[u8], object: &[u8]) {
    if !object.is_empty() {
        put(out, key);
        put(out, object);
    }
}

/// Appends the line of an event, without its newline.
pub(crate) fn write_event(
    out: &mut Vec<u8>,
    ledger_id: LedgerId,
    parts: &LineParts<'_>,
    seq: u64,
    prev: LineHash,
    recorded_at: i64,
) {
    put_start(out, b"event", ledger_id, parts);
    put_number(out, b",\"seq\":", seq);
    put(out, b",\"prev\":\"");
    let mut hex = [0; 64];
    encode_hex(&prev.0, &mut hex);
    put(out, &hex);
    put(out, b"\",\"surface\":\"");
    put(out, parts.surface.as_bytes());
    put(out, b"\",\"access\":\"");
    put(out, parts.access.as_str().as_bytes());
    put(out, b"\",\"outcome\":\"");
    put(out, parts.outcome.as_str().as_bytes());
    out.push(b'"');
    if !parts.code.is_empty() {
        put(out, b",\"error\":{\"code\":\"");
        put(out, parts.code.as_bytes());
        out.push(b'"');
        if !parts.message.is_empty() {
            put(out, b",\"message\":");
            crate::context::write_json_str(out, parts.message);
        }
        put(out, b",\"retryable\":");
        put(out, if parts.is_retryable { b"true}" } else { b"false}" });
    }
    match (parts.items, parts.cause) {
        (None, None) => {}
        (Some(items), None) => {
            put_number(out, b",\"detail\":{\"items\":", items);
            out.push(b'}');
        }
        (items, Some(cause)) => {
            put(out, b",\"detail\":{");
            if let Some(items) = items {
                put_number(out, b"\"items\":", items);
                out.push(b',');
            }
            put(out, b"\"cause\":\"");
            put(
                out,
                match cause {
                    InterruptCause::Process => b"process",
                    InterruptCause::Host => b"host",
                    InterruptCause::Ledger => b"ledger",
                },
            );
            put(out, b"\"}");
        }
    }
    put_number(out, b",\"started_at\":", parts.started_at);
    put_number(out, b",\"duration_ns\":", parts.duration_ns);
    put_number(out, b",\"recorded_at\":", recorded_at);
    put_context(out, parts);
    if !parts.changes.is_empty() {
        put(out, b",\"changes\":[");
        put(out, parts.changes);
        out.push(b']');
    }
    put_payload(out, b",\"writer\":", parts.writer);
    put_payload(out, b",\"input\":", parts.input);
    put_payload(out, b",\"output\":", parts.output);
    out.push(b'}');
}

/// Gives a call its place in its stream: appends its line, newline included, and moves the head. False,
/// and nothing appended, when the scope is not one that can be.
pub(crate) fn append_event(
    out: &mut Vec<u8>,
    heads: &mut Heads,
    ledger_id: LedgerId,
    parts: &LineParts<'_>,
    recorded_at: i64,
) -> bool {
    let Ok(stream) = heads.stream(parts.tenant, parts.env) else { return false };
    let head = *heads.head(stream);
    let recorded_at = recorded_at.max(head.recorded_at);
    let seq = head.seq + 1;
    let start = out.len();
    write_event(out, ledger_id, parts, seq, head.hash, recorded_at);
    let hash = hash_line(&out[start..]);
    out.push(b'\n');
    heads.advance(stream, Head { seq, hash, recorded_at });
    true
}

/// Appends the line of an attempt, without its newline.
pub(crate) fn write_attempt(out: &mut Vec<u8>, ledger_id: LedgerId, parts: &LineParts<'_>, recorded_at: i64) {
    put_start(out, b"attempt", ledger_id, parts);
    put(out, b",\"surface\":\"");
    put(out, parts.surface.as_bytes());
    put(out, b"\",\"access\":\"");
    put(out, parts.access.as_str().as_bytes());
    put(out, b"\",\"guarantee\":\"");
    put(out, parts.guarantee.as_str().as_bytes());
    out.push(b'"');
    put_number(out, b",\"started_at\":", parts.started_at);
    put_number(out, b",\"recorded_at\":", recorded_at);
    put_context(out, parts);
    put_payload(out, b",\"writer\":", parts.writer);
    put_payload(out, b",\"input\":", parts.input);
    out.push(b'}');
}

/// An attempt line, taken apart: what an `interrupted` event is made of when only the log has it.
#[derive(Debug)]
pub(crate) struct StoredAttempt<'a> {
    pub(crate) parts: LineParts<'a>,
    pub(crate) recorded_at: i64,
}

#[derive(serde::Deserialize)]
struct AttemptFields<'a> {
    event_id: EventId,
    #[serde(borrow)]
    tenant_id: &'a str,
    #[serde(borrow)]
    env: &'a str,
    #[serde(borrow)]
    surface: &'a str,
    access: Access,
    guarantee: Guarantee,
    started_at: i64,
    recorded_at: i64,
    span_id: crate::ids::SpanId,
    parent_span_id: Option<crate::ids::SpanId>,
    #[serde(default)]
    synthesized: Vec<String>,
    #[serde(borrow)]
    source_refs: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    writer: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    input: Option<&'a serde_json::value::RawValue>,
}

impl<'a> StoredAttempt<'a> {
    /// Takes an attempt line apart; `None` when it is not one.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let fields: AttemptFields<'a> = serde_json::from_slice(line).ok()?;
        let text = std::str::from_utf8(line).ok()?;
        // Keys stand in fixed order, and what is before `actor` holds no free text; in free text a quote
        // is escaped, so that the key behind the context is found where it is a key.
        let start = text.find("\"actor\":")?;
        let end = start + text[start..].find(",\"span_id\":\"")?;
        let has = |name: &str| fields.synthesized.iter().any(|one| one == name);
        let synthesized = SYNTHESIZED_NAMES.iter().filter(|(_, name)| has(name));
        let synthesized = synthesized.fold(0, |bits, (bit, _)| bits | bit);
        let refs = fields.source_refs.map_or("[]", |refs| refs.get());
        Some(Self {
            recorded_at: fields.recorded_at,
            parts: LineParts {
                event_id: fields.event_id,
                tenant: fields.tenant_id,
                env: fields.env,
                surface: fields.surface,
                access: fields.access,
                guarantee: fields.guarantee,
                outcome: Outcome::Interrupted,
                code: "interrupted",
                is_retryable: false,
                message: "",
                items: None,
                cause: None,
                started_at: fields.started_at,
                duration_ns: 0,
                context: &line[start..end],
                span_id: u64::from_be_bytes(fields.span_id.to_bytes()),
                parent_span_id: fields.parent_span_id.map_or(0, |span| u64::from_be_bytes(span.to_bytes())),
                synthesized,
                source_refs: refs.trim_start_matches('[').trim_end_matches(']').as_bytes(),
                changes: b"",
                writer: fields.writer.get().as_bytes(),
                input: fields.input.map_or(&b""[..], |input| input.get().as_bytes()),
                output: b"",
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DatasetEvent;
    use crate::log::line::LinePrefix;

    const LEDGER: LedgerId = LedgerId::from_uuid(uuid::Uuid::from_u128(9));

    fn parts() -> LineParts<'static> {
        LineParts {
            event_id: EventId::from_uuid(uuid::Uuid::from_u128(7)),
            tenant: "acme",
            env: "prod",
            surface: "chat.send_message",
            access: Access::Create,
            guarantee: Guarantee::Durable,
            outcome: Outcome::Error,
            code: "chat.internal",
            is_retryable: true,
            message: "a \"quoted\" message",
            items: Some(3),
            cause: None,
            started_at: 5,
            duration_ns: 6,
            context: br#""actor":{"type":"user","user_id":"u\",\"span_id\":\""},"request_id":"r","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736""#,
            span_id: 0xab,
            parent_span_id: 0xcd,
            synthesized: 7,
            source_refs: br#"{"kind":"thread","id":"th_1"}"#,
            changes: br#"{"field":"limit","before":1,"after":2}"#,
            writer: br#"{"service":"s","version":"1","instance":"i","epoch":1}"#,
            input: br#"{"n":1}"#,
            output: br#"{"m":2}"#,
        }
    }

    #[test]
    fn an_event_line_is_read_back_whole() {
        let mut line = Vec::new();
        write_event(&mut line, LEDGER, &parts(), 4, LineHash([7; 32]), 9);
        let text = std::str::from_utf8(&line).unwrap();
        let event = DatasetEvent::from_line(text).unwrap();
        assert_eq!((event.seq, event.recorded_at, event.tenant_id()), (4, 9, "acme"));
        assert_eq!(event.error.as_ref().unwrap().message.as_deref(), Some("a \"quoted\" message"));
        assert_eq!(event.detail.items, Some(3));
        assert_eq!(event.synthesized, ["request_id", "trace_id", "scope"]);
        assert_eq!(event.source_refs[0].id, "th_1");
        assert_eq!(event.changes[0].after.get(), "2");
        assert_eq!(event.input_value()["n"], 1);
        let Some(LinePrefix::Event { seq: 4, prev, .. }) = LinePrefix::parse(&line) else { panic!("{text}") };
        assert_eq!(prev, LineHash([7; 32]));
    }

    #[test]
    fn an_attempt_line_gives_its_parts_back() {
        let mut line = Vec::new();
        write_attempt(&mut line, LEDGER, &parts(), 9);
        assert!(matches!(LinePrefix::parse(&line), Some(LinePrefix::Attempt { .. })));
        let stored = StoredAttempt::parse(&line).unwrap();
        assert_eq!(stored.recorded_at, 9);
        let (mut again, mut expected) = (Vec::new(), Vec::new());
        let interrupted = stored.parts.interrupted(InterruptCause::Host);
        write_event(&mut again, LEDGER, &interrupted, 1, LineHash([0; 32]), 9);
        let mut from_parts = parts().interrupted(InterruptCause::Host);
        from_parts.duration_ns = 0;
        write_event(&mut expected, LEDGER, &from_parts, 1, LineHash([0; 32]), 9);
        assert_eq!(String::from_utf8(again), String::from_utf8(expected));
    }
}
