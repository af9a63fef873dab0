//! Documents of entries. Nothing here talks to anybody.

use std::time::Duration;

use firestore::gcloud_sdk::google::firestore::v1::Value;
use serde::Deserialize;

use super::names::{
    ATTEMPTS, CHECKPOINTS, CUTS, HEAD_TABLES, IDENTITIES, number, of_event, of_ledger, part, place,
};
use super::value::{Fields, boolean, captured, document_size, text, texts, timestamp, unsigned};
use crate::event::DatasetEvent;
use crate::log::line::LinePrefix;
use crate::sinks::{Entry, EntryKey, EntryKind};

/// How large a document may become, in bytes: Firestore takes 1,048,576 and counts by rules that may change.
const MAX_DOCUMENT_BYTES: usize = 1_000_000;

/// How much of a head table, a checkpoint, a cut or an identity stands in one document, in bytes.
const MAX_PART_BYTES: usize = 900_000;

/// How many source refs stand in a field of their own; the line holds all of them.
const MAX_SOURCE_REFS: usize = 100;

/// A document to be made, unless it is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewDocument {
    /// Where it lies below the database's documents: `tenants/acme/envs/prod/events/..`.
    pub(crate) path: String,
    pub(crate) fields: Fields,
    /// Whether its being there already makes the entry a duplicate: not so for what several entries share.
    pub(crate) is_own: bool,
}

/// The documents of an entry; a reason when it can have none.
pub(crate) fn documents(entry: &Entry, expire_after: Option<Duration>) -> Result<Vec<NewDocument>, String> {
    match entry.key() {
        EntryKey::Event(event_id) => {
            let scope = entry.scope().map_err(|error| format!("its scope: {error}"))?;
            let scope = scope.ok_or("it has no scope")?;
            line(entry, of_event(&scope, event_id), expire_after)
        }
        EntryKey::Attempt(event_id) => {
            line(entry, format!("{}/{ATTEMPTS}/{event_id}", of_ledger(entry.ledger_id())), expire_after)
        }
        EntryKey::Identity(hash) => {
            let ledger = NewDocument {
                path: of_ledger(entry.ledger_id()),
                fields: Fields::from([("ledger_id".to_owned(), text(entry.ledger_id().to_string()))]),
                is_own: false,
            };
            let mut documents = vec![ledger];
            documents.extend(parts(entry, IDENTITIES, &hash.to_string())?);
            Ok(documents)
        }
        EntryKey::HeadTable(position) => parts(entry, HEAD_TABLES, &place(position)),
        EntryKey::Checkpoint(checkpoint) => parts(entry, CHECKPOINTS, &number(checkpoint)),
        EntryKey::Cut(cut) => parts(entry, CUTS, &number(cut)),
    }
}

fn utf8(entry: &Entry) -> Result<&str, String> {
    std::str::from_utf8(entry.bytes()).map_err(|_| "its bytes are no UTF-8".to_owned())
}

/// What every document holds of its entry, but for the bytes.
fn envelope(entry: &Entry) -> Fields {
    let position = entry.position();
    let mut fields = Fields::with_capacity(40);
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("ledger_id", text(entry.ledger_id().to_string()));
    set("kind", text(entry.kind().as_str()));
    set("place", text(place(position)));
    set("segment", unsigned(position.segment.into()));
    set("offset", unsigned(position.offset));
    set("hash", text(entry.hash().to_string()));
    fields
}

/// One document, or several when the bytes are too many for one.
fn parts(entry: &Entry, collection: &str, id: &str) -> Result<Vec<NewDocument>, String> {
    let mut rest = utf8(entry)?;
    let mut pieces = Vec::new();
    while rest.len() > MAX_PART_BYTES {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(MAX_PART_BYTES));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    let count = pieces.len() as u64;
    let document = |(index, piece): (usize, &str)| {
        let mut fields = envelope(entry);
        if let EntryKey::Checkpoint(number) | EntryKey::Cut(number) = entry.key() {
            fields.insert("number".to_owned(), unsigned(number));
        }
        fields.insert("part".to_owned(), unsigned(index as u64));
        fields.insert("parts".to_owned(), unsigned(count));
        fields.insert("line".to_owned(), text(piece));
        let path = format!("{}/{collection}/{}", of_ledger(entry.ledger_id()), part(id, index));
        NewDocument { path, fields, is_own: true }
    };
    Ok(pieces.into_iter().enumerate().map(document).collect())
}

fn line(entry: &Entry, path: String, expire_after: Option<Duration>) -> Result<Vec<NewDocument>, String> {
    let stored = utf8(entry)?;
    let mut fields = envelope(entry);
    fields.insert("line".to_owned(), text(stored));
    let mut columns = Columns { fields, expire_after };
    columns.prefix(entry);
    let mut document = NewDocument { path, fields: columns.fields.clone(), is_own: true };
    let has_more = match entry.kind() {
        EntryKind::Event => entry.event().map(|event| columns.event(event)).is_some(),
        _ => serde_json::from_str(stored).map(|attempt| columns.attempt(attempt)).is_ok(),
    };
    if has_more {
        document.fields = columns.fields;
    }
    if document_size(&document.path, &document.fields) > MAX_DOCUMENT_BYTES {
        // These are copies of what the line holds.
        for name in ["input", "output", "source_refs"] {
            document.fields.remove(name);
        }
    }
    let size = document_size(&document.path, &document.fields);
    if size > MAX_DOCUMENT_BYTES {
        return Err(format!(
            "its document would have {size} bytes, more than the {MAX_DOCUMENT_BYTES} that fit"
        ));
    }
    Ok(vec![document])
}

struct Columns {
    fields: Fields,
    expire_after: Option<Duration>,
}

impl Columns {
    fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, text(value));
        }
    }

    fn set_time(&mut self, name: &str, unix_us: i64) {
        if let Some(time) = timestamp(unix_us) {
            self.set(name, time);
        }
    }

    fn set_recorded_at(&mut self, unix_us: i64) {
        self.set_time("recorded_at", unix_us);
        let after_us = self.expire_after.and_then(|after| i64::try_from(after.as_micros()).ok());
        if let Some(expires_at) = after_us.and_then(|after_us| unix_us.checked_add(after_us)) {
            self.set_time("expires_at", expires_at);
        }
    }

    /// What can be read of a line that a later version wrote.
    fn prefix(&mut self, entry: &Entry) {
        match LinePrefix::parse(entry.bytes()) {
            Some(LinePrefix::Event { event_id, tenant_id, env, seq, prev, .. }) => {
                self.scoped(&event_id.to_string(), tenant_id, env);
                self.set("seq", unsigned(seq));
                self.set("prev", text(prev.to_string()));
            }
            Some(LinePrefix::Attempt { event_id, tenant_id, env, .. }) => {
                self.scoped(&event_id.to_string(), tenant_id, env);
            }
            None => {}
        }
    }

    fn scoped(&mut self, event_id: &str, tenant_id: &str, env: &str) {
        self.set("event_id", text(event_id));
        self.set("tenant_id", text(tenant_id));
        self.set("env", text(env));
    }

    fn event(&mut self, event: &DatasetEvent) {
        self.set("surface", text(&*event.surface));
        self.set("access", text(event.access.as_str()));
        self.set("outcome", text(event.outcome.as_str()));
        if let Some(error) = &event.error {
            self.set("error_code", text(&*error.code));
            self.set("error_retryable", boolean(error.retryable));
            self.set_some("error_message", error.message.as_deref());
        }
        self.set_time("started_at", event.started_at);
        self.set("duration_ns", unsigned(event.duration_ns));
        self.set_recorded_at(event.recorded_at);
        if let Some(actor) = &event.actor {
            self.set("actor_type", text(actor.actor_type.as_str()));
            self.set_some("user_id", actor.user_id.as_ref().map(|id| id.as_str()));
            self.set_some("auth_subject", actor.auth_subject.as_ref().map(|subject| subject.as_str()));
            self.set_some("on_behalf_of", actor.on_behalf_of.as_ref().map(|id| id.as_str()));
        }
        if let Some(client) = &event.client {
            self.set_some("client_ip", client.ip.as_deref());
            self.set_some("user_agent", client.user_agent.as_deref());
        }
        self.set("request_id", text(event.request_id.as_str()));
        self.set("trace_id", text(event.trace_id.to_string()));
        self.set("span_id", text(event.span_id.to_string()));
        self.set_some("parent_span_id", event.parent_span_id.map(|id| id.to_string()));
        if !event.source_refs.is_empty() {
            let refs = event.source_refs.iter().take(MAX_SOURCE_REFS);
            self.set("source_refs", texts(refs.map(|source| format!("{}:{}", source.kind, source.id))));
        }
        self.set("service", text(&*event.writer.service));
        self.set("service_version", text(&*event.writer.version));
        self.set("instance", text(&*event.writer.instance));
        self.set("epoch", unsigned(event.writer.epoch));
        if let Some(input) = event.input.as_deref().and_then(|input| captured(input.get())) {
            self.set("input", input);
        }
        if let Some(output) = event.output.as_deref().and_then(|output| captured(output.get())) {
            self.set("output", output);
        }
    }

    fn attempt(&mut self, attempt: AttemptLine) {
        self.set("surface", text(attempt.surface));
        self.set("guarantee", text(attempt.guarantee));
        self.set_time("started_at", attempt.started_at);
        self.set_recorded_at(attempt.recorded_at);
        self.set_some("request_id", attempt.request_id);
        self.set_some("trace_id", attempt.trace_id);
    }
}

/// What is told of an attempt beside its line.
#[derive(Deserialize)]
struct AttemptLine {
    surface: String,
    guarantee: String,
    started_at: i64,
    recorded_at: i64,
    request_id: Option<String>,
    trace_id: Option<String>,
}
