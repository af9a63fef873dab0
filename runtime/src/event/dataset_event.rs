//! The event: one line of the log, parsed.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::marker::is_marker;
use super::{
    Actor, Change, Client, EventError, LineHash, Marker, Outcome, OutcomeDetail, SCHEMA_VERSION, SourceRef,
    Writer,
};
use crate::ids::{EventId, LedgerId, RequestId, Scope, SpanId, TraceId, UserId};
use crate::surface::Access;

/// One call of an annotated function, or one hand-made event.
///
/// Unknown keys of later versions are accepted and left out. What is hashed and chained are the bytes of the
/// stored line; serialising an event gives a line of the same form, not the bytes to hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "EventLine")]
#[non_exhaustive]
pub struct DatasetEvent {
    /// The version of the envelope.
    pub schema_version: u32,
    /// The ledger that holds the event.
    pub ledger_id: LedgerId,
    /// The event's own id.
    pub event_id: EventId,
    scope: Scope,
    /// Position in the stream, from 1, without gaps.
    pub seq: u64,
    /// SHA-256 of the previous line of the stream.
    pub prev: LineHash,
    /// The operation.
    pub surface: String,
    /// What the operation does to the data.
    pub access: Access,
    /// How the call ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<EventError>,
    /// What else is known of its end.
    pub detail: OutcomeDetail,
    /// When the call began, in microseconds since 1970 (UTC).
    pub started_at: i64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// When the ledger took the event, in microseconds since 1970 (UTC). Never decreases in a stream.
    pub recorded_at: i64,
    /// Who acted. `None` when sealed or omitted: see [`actor_marker`](Self::actor_marker).
    pub actor: Option<Actor>,
    actor_marker: Option<Box<RawValue>>,
    /// Where the request came from.
    pub client: Option<Client>,
    /// The request.
    pub request_id: RequestId,
    /// The trace.
    pub trace_id: TraceId,
    /// The span of this call.
    pub span_id: SpanId,
    /// The span that this call ran in.
    pub parent_span_id: Option<SpanId>,
    /// Which ids were missing and made up; `scope` when a call named `$system`, which is nobody's to name.
    pub synthesized: Vec<String>,
    /// What the call read or wrote. Empty when sealed or omitted: see
    /// [`source_refs_marker`](Self::source_refs_marker).
    pub source_refs: Vec<SourceRef>,
    source_refs_marker: Option<Box<RawValue>>,
    /// What the call changed.
    pub changes: Vec<Change>,
    /// Which program wrote the event.
    pub writer: Writer,
    /// The captured input: a JSON object, or a marker.
    pub input: Option<Box<RawValue>>,
    /// The captured output: a JSON object, or a marker.
    pub output: Option<Box<RawValue>>,
}

impl DatasetEvent {
    /// Reads an event from a line of the log.
    ///
    /// # Errors
    ///
    /// When the line is not an event of a schema version that this crate reads; an attempt is none.
    pub fn from_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The scope that the event belongs to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The tenant, as stored; `$system` for the ledger's own events.
    pub fn tenant_id(&self) -> &str {
        self.scope.tenant_id().as_str()
    }

    /// The env, as stored; `$system` for the ledger's own events.
    pub fn env(&self) -> &str {
        self.scope.env().as_str()
    }

    /// The error code, if the call failed.
    pub fn code(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.code.as_str())
    }

    /// The user, if one is recorded.
    pub fn user_id(&self) -> Option<&UserId> {
        self.actor.as_ref()?.user_id.as_ref()
    }

    /// The captured input as a value; `Null` when nothing was captured.
    pub fn input_value(&self) -> serde_json::Value {
        raw_value(self.input.as_deref())
    }

    /// The captured output as a value; `Null` when nothing was captured.
    pub fn output_value(&self) -> serde_json::Value {
        raw_value(self.output.as_deref())
    }

    /// What stands in place of the input, when it was sealed or left out.
    pub fn input_marker(&self) -> Option<Marker> {
        self.input.as_deref().and_then(Marker::of)
    }

    /// What stands in place of the output, when it was sealed or left out.
    pub fn output_marker(&self) -> Option<Marker> {
        self.output.as_deref().and_then(Marker::of)
    }

    /// What stands in place of the actor, when it was sealed or left out.
    pub fn actor_marker(&self) -> Option<Marker> {
        self.actor_marker.as_deref().and_then(Marker::of)
    }

    /// What stands in place of the source refs, when they were sealed or left out.
    pub fn source_refs_marker(&self) -> Option<Marker> {
        self.source_refs_marker.as_deref().and_then(Marker::of)
    }
}

fn raw_value(raw: Option<&RawValue>) -> serde_json::Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// A line as it stands.
#[derive(Deserialize)]
struct EventLine {
    schema_version: u32,
    kind: String,
    ledger_id: LedgerId,
    event_id: EventId,
    tenant_id: String,
    env: String,
    seq: u64,
    prev: LineHash,
    surface: String,
    access: Access,
    outcome: Outcome,
    error: Option<EventError>,
    #[serde(default)]
    detail: OutcomeDetail,
    started_at: i64,
    duration_ns: u64,
    recorded_at: i64,
    actor: Option<Box<RawValue>>,
    client: Option<Client>,
    request_id: RequestId,
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    #[serde(default)]
    synthesized: Vec<String>,
    source_refs: Option<Box<RawValue>>,
    #[serde(default)]
    changes: Vec<Change>,
    writer: Writer,
    input: Option<Box<RawValue>>,
    output: Option<Box<RawValue>>,
}

/// A value, or what stands in its place.
type OrMarker<T> = (Option<T>, Option<Box<RawValue>>);

fn or_marker<T: for<'de> Deserialize<'de>>(raw: Option<Box<RawValue>>) -> Result<OrMarker<T>, String> {
    match raw {
        None => Ok((None, None)),
        Some(raw) if is_marker(&raw) => Ok((None, Some(raw))),
        Some(raw) => match serde_json::from_str(raw.get()) {
            Ok(value) => Ok((Some(value), None)),
            Err(error) => Err(error.to_string()),
        },
    }
}

impl TryFrom<EventLine> for DatasetEvent {
    type Error = String;

    fn try_from(line: EventLine) -> Result<Self, String> {
        if line.schema_version != SCHEMA_VERSION {
            let found = line.schema_version;
            return Err(format!(
                "schema version {found} cannot be read by this version, only {SCHEMA_VERSION}"
            ));
        }
        if line.kind != "event" {
            return Err(format!("expected a line of kind `event`, found `{}`", line.kind));
        }
        let (actor, actor_marker) = or_marker(line.actor).map_err(|error| format!("actor: {error}"))?;
        let (source_refs, source_refs_marker) =
            or_marker::<Vec<SourceRef>>(line.source_refs).map_err(|error| format!("source_refs: {error}"))?;
        Ok(Self {
            schema_version: line.schema_version,
            ledger_id: line.ledger_id,
            event_id: line.event_id,
            scope: Scope::from_stored(&line.tenant_id, &line.env).map_err(|error| error.to_string())?,
            seq: line.seq,
            prev: line.prev,
            surface: line.surface,
            access: line.access,
            outcome: line.outcome,
            error: line.error,
            detail: line.detail,
            started_at: line.started_at,
            duration_ns: line.duration_ns,
            recorded_at: line.recorded_at,
            actor,
            actor_marker,
            client: line.client,
            request_id: line.request_id,
            trace_id: line.trace_id,
            span_id: line.span_id,
            parent_span_id: line.parent_span_id,
            synthesized: line.synthesized,
            source_refs: source_refs.unwrap_or_default(),
            source_refs_marker,
            changes: line.changes,
            writer: line.writer,
            input: line.input,
            output: line.output,
        })
    }
}

/// The order of keys in a line.
#[derive(Serialize)]
struct EventLineRef<'a> {
    schema_version: u32,
    kind: &'static str,
    ledger_id: LedgerId,
    event_id: EventId,
    tenant_id: &'a str,
    env: &'a str,
    seq: u64,
    prev: LineHash,
    surface: &'a str,
    access: Access,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a EventError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a OutcomeDetail>,
    started_at: i64,
    duration_ns: u64,
    recorded_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ValueOrMarker<'a, Actor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a Client>,
    request_id: &'a RequestId,
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    synthesized: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    source_refs: Option<ValueOrMarker<'a, Vec<SourceRef>>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changes: &'a [Change],
    writer: &'a Writer,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueOrMarker<'a, T> {
    Value(&'a T),
    Marker(&'a RawValue),
}

impl<'a, T> ValueOrMarker<'a, T> {
    fn new(value: Option<&'a T>, marker: Option<&'a RawValue>) -> Option<Self> {
        marker.map(Self::Marker).or(value.map(Self::Value))
    }
}

impl Serialize for DatasetEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source_refs = Some(&self.source_refs).filter(|refs| !refs.is_empty());
        EventLineRef {
            schema_version: self.schema_version,
            kind: "event",
            ledger_id: self.ledger_id,
            event_id: self.event_id,
            tenant_id: self.tenant_id(),
            env: self.env(),
            seq: self.seq,
            prev: self.prev,
            surface: &self.surface,
            access: self.access,
            outcome: self.outcome,
            error: self.error.as_ref(),
            detail: Some(&self.detail).filter(|detail| **detail != OutcomeDetail::default()),
            started_at: self.started_at,
            duration_ns: self.duration_ns,
            recorded_at: self.recorded_at,
            actor: ValueOrMarker::new(self.actor.as_ref(), self.actor_marker.as_deref()),
            client: self.client.as_ref(),
            request_id: &self.request_id,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            synthesized: &self.synthesized,
            source_refs: ValueOrMarker::new(source_refs, self.source_refs_marker.as_deref()),
            changes: &self.changes,
            writer: &self.writer,
            input: self.input.as_deref(),
            output: self.output.as_deref(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"schema_version":1,"kind":"event","ledger_id":"01900000-0000-7000-8000-000000000001","#,
        r#""event_id":"01900000-0000-7000-8000-000000000002","tenant_id":"acme","env":"prod","seq":3,"#,
        r#""prev":"abababababababababababababababababababababababababababababababab","#,
        r#""surface":"chat.send","access":"create","outcome":"interrupted","#,
        r#""error":{"code":"interrupted","message":"a \"b\"","retryable":false},"#,
        r#""detail":{"items":3,"cause":"process"},"started_at":-5,"duration_ns":1,"recorded_at":7,"#,
        r#""actor":{"type":"agent","user_id":"u","auth_subject":"s","on_behalf_of":"o"},"#,
        r#""client":{"ip":"::1","user_agent":"x\ty"},"request_id":"r","#,
        r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
        r#""parent_span_id":"00f067aa0ba902b8","synthesized":["request_id"],"#,
        r#""source_refs":[{"kind":"thread","id":"th_1"}],"#,
        r#""changes":[{"field":"limit","before":1.50,"after":null}],"#,
        r#""writer":{"service":"s","version":"1","build":"b","instance":"i","epoch":2},"#,
        r#""input":{"n":1e3,"s":"\u00e4"},"output":{}}"#
    );

    /// The line with a member's value replaced.
    fn with(from: &str, to: &str) -> String {
        assert!(LINE.contains(from), "{from}");
        LINE.replace(from, to)
    }

    #[test]
    fn a_line_round_trips_to_its_bytes() {
        let event = DatasetEvent::from_line(LINE).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), LINE);
        let least = concat!(
            r#"{"schema_version":1,"kind":"event","ledger_id":"01900000-0000-7000-8000-000000000001","#,
            r#""event_id":"01900000-0000-7000-8000-000000000002","tenant_id":"$system","env":"$system","#,
            r#""seq":1,"prev":"abababababababababababababababababababababababababababababababab","#,
            r#""surface":"ledger.opened","access":"write","outcome":"ok","started_at":1,"duration_ns":0,"#,
            r#""recorded_at":7,"actor":{"type":"system"},"request_id":"r","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
            r#""writer":{"service":"s","version":"1","instance":"i","epoch":2}}"#
        );
        let event = DatasetEvent::from_line(least).unwrap();
        assert!(event.scope().is_system());
        assert_eq!(serde_json::to_string(&event).unwrap(), least);
    }

    #[test]
    fn markers_stand_in_place_of_what_they_hide_and_round_trip() {
        let sealed = r#"{"$sealed":{"alg":"a","key_id":"k","nonce":"n","ct":"c"}}"#;
        let hash = "cd".repeat(32);
        let omitted = format!(r#"{{"$omitted":{{"bytes":70000,"sha256":"{hash}"}}}}"#);
        let line = with(r#"{"type":"agent","user_id":"u","auth_subject":"s","on_behalf_of":"o"}"#, sealed);
        let line = line.replace(r#"[{"kind":"thread","id":"th_1"}]"#, sealed);
        let line = line.replace(r#"{"n":1e3,"s":"\u00e4"}"#, &omitted);
        let line = line.replace(r#""output":{}"#, &format!(r#""output":{sealed}"#));
        let event = DatasetEvent::from_line(&line).unwrap();
        assert!(event.actor.is_none() && event.source_refs.is_empty() && event.user_id().is_none());
        for marker in [event.actor_marker(), event.source_refs_marker(), event.output_marker()] {
            assert!(matches!(marker, Some(Marker::Sealed(_))), "{marker:?}");
        }
        assert!(matches!(event.input_marker(), Some(Marker::Omitted(omitted)) if omitted.bytes == 70_000));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn unknown_keys_of_later_versions_are_accepted() {
        let line = with(r#""seq":3"#, r#""lane":{"a":[1]},"seq":3"#);
        let line = line.replace(r#""type":"agent""#, r#""type":"agent","role":"admin""#);
        let line = line.replace(r#""epoch":2"#, r#""epoch":2,"region":"eu""#);
        let event = DatasetEvent::from_line(&line).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), LINE);
    }

    #[test]
    fn what_is_no_event_of_this_version_is_refused() {
        for (from, to) in [
            (r#""schema_version":1"#, r#""schema_version":2"#),
            (r#""kind":"event""#, r#""kind":"attempt""#),
            (r#""tenant_id":"acme""#, r#""tenant_id":"../acme""#),
            (r#""tenant_id":"acme""#, r#""tenant_id":"$system""#),
            (r#""env":"prod""#, r#""env":"$system""#),
            (r#""seq":3,"#, ""),
            (r#""seq":3"#, r#""seq":3,"seq":4"#),
            (r#""seq":3"#, r#""seq":-3"#),
            (r#""outcome":"interrupted""#, r#""outcome":"fine""#),
            (r#""type":"agent""#, r#""type":"robot""#),
            (r#"[{"kind":"thread","id":"th_1"}]"#, r#"[{"kind":"thread"}]"#),
            (r#""request_id":"r""#, r#""request_id":"a b""#),
        ] {
            let refused = DatasetEvent::from_line(&with(from, to));
            assert!(refused.is_err(), "{to}");
        }
    }
}
