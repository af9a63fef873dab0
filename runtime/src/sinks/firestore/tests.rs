//! The sink on a Firestore that is a map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use firestore::gcloud_sdk::google::firestore::v1::write::Operation;
use firestore::gcloud_sdk::google::firestore::v1::{Document, Write};
use firestore::gcloud_sdk::prost::Message;
use firestore::gcloud_sdk::tonic::Code;

use super::client::{BatchWrite, Refusal, Written};
use super::requests::{MAX_REQUEST_BYTES, MAX_WRITES};
use super::*;
use crate::log::LogPosition;
use crate::sinks::MemoryState;
use crate::sinks::google::TokenFailure;

const LEDGER: &str = "01980000-0000-7000-8000-000000000000";
const DOCUMENTS: &str = "projects/p/databases/(default)/documents";

/// How the fake fails.
#[derive(Default)]
struct Fake {
    documents: BTreeMap<String, Document>,
    /// Requests, as the names of what they write.
    requests: Vec<Vec<String>>,
    /// A request with a document whose name holds one of these is refused as a whole.
    poisoned: BTreeSet<String>,
    /// Writes of these are answered with the code.
    answered: BTreeMap<String, i32>,
    /// Requests are refused with these, the next first.
    refusals: Vec<Refusal>,
    /// Requests of more bytes are refused, as by the emulator.
    max_bytes: Option<usize>,
    /// Requests are carried out, and their answers are lost.
    loses_answers: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn document(write: &Write) -> &Document {
    let exists = write.current_document.as_ref().and_then(|condition| condition.condition_type.as_ref());
    assert!(format!("{exists:?}").contains("Exists(false)"), "{exists:?}");
    match &write.operation {
        Some(Operation::Update(document)) => document,
        other => panic!("the sink only makes documents: {other:?}"),
    }
}

impl BatchWrite for Shared {
    fn batch_write(&mut self, requests: Vec<Vec<Write>>) -> Vec<Result<Vec<Written>, Refusal>> {
        let mut fake = self.lock();
        requests.into_iter().map(|writes| fake.carry_out(&writes)).collect()
    }
}

impl Fake {
    fn carry_out(&mut self, writes: &[Write]) -> Result<Vec<Written>, Refusal> {
        assert!(!writes.is_empty() && writes.len() <= MAX_WRITES);
        assert!(writes.iter().map(Message::encoded_len).sum::<usize>() <= MAX_REQUEST_BYTES);
        let len: usize = writes.iter().map(Message::encoded_len).sum();
        if self.max_bytes.is_some_and(|max| len > max) {
            let reason = format!("gRPC message exceeds maximum size {:?}: {len}", self.max_bytes);
            return Err(Refusal::new(Code::ResourceExhausted, reason));
        }
        let names: Vec<String> = writes.iter().map(|write| document(write).name.clone()).collect();
        self.requests.push(names.clone());
        if let Some(refusal) = self.refusals.pop() {
            return Err(refusal);
        }
        if names.iter().any(|name| self.poisoned.iter().any(|poison| name.contains(poison))) {
            return Err(Refusal::new(Code::InvalidArgument, "a document is malformed"));
        }
        let written = writes.iter().map(|write| self.make(document(write)));
        let written = written.collect();
        if self.loses_answers {
            Err(Refusal::new(Code::Unavailable, "connection reset"))
        } else {
            Ok(written)
        }
    }

    fn make(&mut self, document: &Document) -> Written {
        let answered = self.answered.iter().find(|(part, _)| document.name.contains(&**part));
        let code = match answered {
            Some((_, code)) => *code,
            None if self.documents.contains_key(&document.name) => 6,
            None => {
                self.documents.insert(document.name.clone(), document.clone());
                0
            }
        };
        Written { code, reason: String::new() }
    }
}

fn sink(fake: &Shared) -> FirestoreSink {
    let fake = fake.clone();
    let connect = move || Ok((Box::new(fake.clone()) as Box<dyn BatchWrite>, DOCUMENTS.to_owned()));
    let settings = FirestoreSettings::new("p").expire_after(Duration::from_secs(3_600));
    let mut sink = FirestoreSink::with_connect(settings, Box::new(connect));
    open(&mut sink);
    sink
}

fn open(sink: &mut FirestoreSink) {
    let mut state = MemoryState::default();
    sink.open(&SinkStart::new(ledger_id(), &mut state)).expect("the fake connects");
}

fn ledger_id() -> LedgerId {
    LEDGER.parse().expect("a ledger id")
}

fn event_id(n: usize) -> String {
    format!("019b76da-a800-7de0-98c0-{n:012x}")
}

fn line(n: usize, tenant: &str, more: &str) -> Vec<u8> {
    let (id, prev) = (event_id(n), "ab".repeat(32));
    format!(
        r#"{{"schema_version":1,"kind":"event","ledger_id":"{LEDGER}","event_id":"{id}","tenant_id":"{tenant}","env":"prod","seq":{n},"prev":"{prev}","surface":"chat.send","access":"create","outcome":"denied","error":{{"code":"chat.no","retryable":false}},"started_at":1767225600000002,"duration_ns":2000,"recorded_at":1767225600000004,"actor":{{"type":"user","user_id":"u_7"}},"request_id":"r","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"943ff9fc99de8f03","source_refs":[{{"kind":"thread","id":"th_42"}}],"writer":{{"service":"s","version":"1","instance":"i","epoch":1}}{more}}}"#
    )
    .into_bytes()
}

fn event(n: usize) -> Entry {
    event_with(n, "")
}

fn event_with(n: usize, more: &str) -> Entry {
    let position = LogPosition { segment: 1, offset: 1_000 * n as u64 };
    Entry::line(position, line(n, "acme", more)).expect("a line")
}

fn attempt(n: usize) -> Entry {
    let text = String::from_utf8(line(n, "acme", "")).expect("text");
    let text = text.replace("\"kind\":\"event\"", "\"kind\":\"attempt\"");
    let text = text.replace("\"access\":\"create\"", "\"access\":\"create\",\"guarantee\":\"durable\"");
    Entry::line(LogPosition { segment: 1, offset: 1_000 * n as u64 + 500 }, text.into_bytes())
        .expect("a line")
}

fn checkpoint(number: u64) -> Entry {
    let position = LogPosition { segment: 1, offset: 9_000 };
    Entry::checkpoint(ledger_id(), number, position, b"{\"kind\":\"checkpoint\"}".to_vec())
}

fn field<'a>(document: &'a Document, name: &str) -> &'a ValueType {
    let value = document.fields.get(name).unwrap_or_else(|| panic!("no field `{name}` in {document:?}"));
    value.value_type.as_ref().expect("a value")
}

fn text_of(document: &Document, name: &str) -> String {
    match field(document, name) {
        ValueType::StringValue(text) => text.clone(),
        other => panic!("`{name}` is no text: {other:?}"),
    }
}

fn event_name(n: usize) -> String {
    format!("{DOCUMENTS}/tenants/acme/envs/prod/events/{}", event_id(n))
}

#[test]
fn an_event_lies_below_its_scope_with_its_exact_line() {
    let fake = Shared::default();
    let entry = event_with(3, r#","input":{"n":1e3,"s":"\u00e4","k":7},"output":{"a":[[1]]}"#);
    assert_eq!(sink(&fake).append(std::slice::from_ref(&entry)).expect("stored"), Ack::all());
    let fake = fake.lock();
    let document = &fake.documents[&event_name(3)];
    assert_eq!(text_of(document, "line").as_bytes(), entry.bytes());
    for (name, expected) in [
        ("ledger_id", LEDGER),
        ("tenant_id", "acme"),
        ("env", "prod"),
        ("place", "0000000001:0000000000003000"),
        ("surface", "chat.send"),
        ("outcome", "denied"),
        ("error_code", "chat.no"),
        ("user_id", "u_7"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("output", r#"{"a":[[1]]}"#),
        ("hash", &entry.hash().to_string()),
        ("prev", &"ab".repeat(32)),
    ] {
        assert_eq!(text_of(document, name), expected, "{name}");
    }
    assert_eq!(field(document, "seq"), &ValueType::IntegerValue(3));
    let ValueType::MapValue(input) = field(document, "input") else { panic!("the input is a map") };
    assert_eq!(input.fields["k"].value_type, Some(ValueType::IntegerValue(7)));
    assert_eq!(document.fields["source_refs"], value::texts(["thread:th_42".to_owned()].into_iter()));
    let (ValueType::TimestampValue(recorded), ValueType::TimestampValue(expires)) =
        (field(document, "recorded_at"), field(document, "expires_at"))
    else {
        panic!("times");
    };
    assert_eq!((recorded.seconds, recorded.nanos), (1_767_225_600, 4_000));
    assert_eq!(expires.seconds - recorded.seconds, 3_600);
}

#[test]
fn the_rest_of_a_ledger_lies_below_it() {
    let fake = Shared::default();
    let identity = Entry::identity(ledger_id(), b"{\"kind\":\"ledger\"}".to_vec());
    let position = LogPosition { segment: 2, offset: 5 };
    let table = Entry::head_table(ledger_id(), position, b"{\"kind\":\"head_table\"}\n".to_vec());
    let batch = [identity, attempt(1), table, checkpoint(12)];
    assert_eq!(sink(&fake).append(&batch).expect("stored"), Ack::all());
    assert_eq!(sink(&fake).append(&batch).expect("stored").duplicates, 4);
    let fake = fake.lock();
    let names: Vec<&str> = fake.documents.keys().map(|name| &name[DOCUMENTS.len() + 1..]).collect();
    let hash = batch[0].hash();
    let expected = [
        format!("ledgers/{LEDGER}"),
        format!("ledgers/{LEDGER}/attempts/{}", event_id(1)),
        format!("ledgers/{LEDGER}/checkpoints/00000000000000000012"),
        format!("ledgers/{LEDGER}/head_tables/0000000002:0000000000000005"),
        format!("ledgers/{LEDGER}/identities/{hash}"),
    ];
    assert_eq!(names, expected);
    let attempt = &fake.documents[&format!("{DOCUMENTS}/{}", expected[1])];
    assert_eq!(text_of(attempt, "guarantee"), "durable");
    assert_eq!(text_of(attempt, "line").as_bytes(), batch[1].bytes());
}

#[test]
fn a_repeated_entry_changes_nothing_and_counts_as_a_duplicate() {
    let fake = Shared::default();
    let mut sink = sink(&fake);
    sink.append(&[event(1), event(2)]).expect("stored");
    let before = fake.lock().documents.clone();
    assert_eq!(sink.append(&[event(1), event(2), event(3)]).expect("stored"), Ack::all().with_duplicates(2));
    let after = fake.lock().documents.clone();
    assert_eq!(after.len(), 3);
    assert!(before.iter().all(|(name, document)| after[name] == *document));
}

#[test]
fn what_is_larger_than_a_document_stands_in_parts_that_give_the_bytes_again() {
    let fake = Shared::default();
    let bytes = "ä{}".repeat(700_000).into_bytes();
    let position = LogPosition { segment: 1, offset: 7 };
    let table = Entry::head_table(ledger_id(), position, bytes.clone());
    assert_eq!(sink(&fake).append(&[table]).expect("stored"), Ack::all());
    let fake = fake.lock();
    let whole: String = fake.documents.values().map(|document| text_of(document, "line")).collect();
    assert_eq!(whole.as_bytes(), bytes);
    assert!(fake.documents.len() > 2);
    for document in fake.documents.values() {
        assert!(value::document_size(&document.name, &document.fields) < 1_048_576);
    }
}

#[test]
fn the_largest_line_of_a_ledger_fits_and_one_that_cannot_fit_is_rejected() {
    let fake = Shared::default();
    let big = |len: usize| format!(r#","input":{{"x":"{}"}}"#, "x".repeat(len));
    let batch = [event_with(1, &big(600_000)), event_with(2, &big(1_100_000)), event(3)];
    let ack = sink(&fake).append(&batch).expect("stored");
    let rejected: Vec<usize> = ack.rejected.iter().map(|rejected| rejected.index).collect();
    assert_eq!(rejected, [1]);
    assert!(ack.rejected[0].reason.contains("bytes"), "{:?}", ack.rejected);
    let fake = fake.lock();
    assert_eq!(text_of(&fake.documents[&event_name(1)], "line").as_bytes(), batch[0].bytes());
    assert!(!fake.documents[&event_name(1)].fields.contains_key("input"));
    assert!(fake.documents.contains_key(&event_name(3)));
}

#[test]
fn requests_stay_within_the_limits() {
    let fake = Shared::default();
    let mut batch: Vec<Entry> = (1..=1_100).map(event).collect();
    let big = format!(r#","input":{{"x":"{}"}}"#, "x".repeat(400_000));
    batch.extend((1_101..=1_160).map(|n| event_with(n, &big)));
    // The fake asserts the limits of each request.
    assert_eq!(sink(&fake).append(&batch).expect("stored"), Ack::all());
    let fake = fake.lock();
    assert_eq!(fake.documents.len(), 1_160);
    assert!(fake.requests.len() <= 9, "{} requests", fake.requests.len());
}

#[test]
fn a_request_that_is_too_long_on_its_way_is_cut() {
    let fake = Shared::default();
    fake.lock().max_bytes = Some(20_000);
    let batch: Vec<Entry> = (1..=300).map(event).collect();
    assert_eq!(sink(&fake).append(&batch).expect("stored"), Ack::all());
    assert_eq!(fake.lock().documents.len(), 300);
}

#[test]
fn one_poisoned_event_is_a_dead_letter_and_the_rest_is_stored() {
    let fake = Shared::default();
    fake.lock().poisoned.insert(event_id(77));
    let batch: Vec<Entry> = (1..=300).map(event).collect();
    let ack = sink(&fake).append(&batch).expect("the rest is stored");
    assert_eq!(ack.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [76]);
    assert!(ack.rejected[0].reason.contains("malformed"), "{:?}", ack.rejected);
    assert_eq!(fake.lock().documents.keys().filter(|name| name.contains("/events/")).count(), 299);
}

#[test]
fn a_target_that_refuses_everything_makes_no_dead_letters() {
    let fake = Shared::default();
    fake.lock().poisoned.insert("projects/p".to_owned());
    let error = sink(&fake).append(&[event(1), event(2)]).expect_err("nothing is stored");
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    assert!(error.to_string().contains("refuses every document"), "{error}");
}

#[test]
fn a_write_that_failed_for_now_comes_again_with_its_batch() {
    for code in [Code::Unavailable, Code::Aborted, Code::ResourceExhausted, Code::Internal] {
        let fake = Shared::default();
        let mut sink = sink(&fake);
        fake.lock().answered.insert(event_id(2), code as i32);
        let batch = [event(1), event(2), event(3)];
        let error = sink.append(&batch).expect_err("one is missing");
        assert!(matches!(error, SinkError::Retry { .. } | SinkError::Reopen { .. }), "{error:?}");
        fake.lock().answered.clear();
        open(&mut sink);
        assert_eq!(sink.append(&batch).expect("stored"), Ack::all().with_duplicates(2));
        assert_eq!(fake.lock().documents.len(), 3);
    }
}

#[test]
fn a_checkpoint_is_not_stored_before_the_lines_that_it_covers() {
    let fake = Shared::default();
    let mut sink = sink(&fake);
    fake.lock().answered.insert(event_id(1), Code::Unavailable as i32);
    sink.append(&[checkpoint(1), event(1), checkpoint(2)]).expect_err("a line is missing");
    assert!(!fake.lock().documents.keys().any(|name| name.contains("checkpoints")));
    fake.lock().answered.clear();
    open(&mut sink);
    assert_eq!(sink.append(&[checkpoint(1), event(1), checkpoint(2)]).expect("stored"), Ack::all());
    assert_eq!(fake.lock().documents.len(), 3);
}

#[test]
fn lost_answers_double_nothing() {
    let fake = Shared::default();
    let mut sink = sink(&fake);
    let batch: Vec<Entry> = (1..=700).map(event).collect();
    fake.lock().loses_answers = true;
    let error = sink.append(&batch).expect_err("the answer is lost");
    assert!(matches!(error, SinkError::Reopen { .. }), "{error:?}");
    fake.lock().loses_answers = false;
    open(&mut sink);
    assert_eq!(sink.append(&batch).expect("stored"), Ack::all().with_duplicates(700));
    assert_eq!(fake.lock().documents.len(), 700);
}

#[test]
fn refusals_say_what_to_do() {
    let token = |is_transient| {
        let token = TokenFailure { is_transient, reason: "token server down".to_owned() };
        Refusal { token: Some(token), ..Refusal::new(Code::Unknown, "") }
    };
    for (refusal, kind, says) in [
        (Refusal::new(Code::Unavailable, "x"), "Reopen", "write documents"),
        (Refusal::new(Code::DeadlineExceeded, "x"), "Reopen", "write documents"),
        (Refusal::new(Code::ResourceExhausted, "x"), "Retry", "write documents"),
        (Refusal::new(Code::PermissionDenied, "x"), "Retry", "roles/datastore.user"),
        (Refusal::new(Code::Unauthenticated, "x"), "Reopen", "token is refused"),
        (Refusal::new(Code::NotFound, "x"), "Fatal", "make the database"),
        (Refusal::new(Code::FailedPrecondition, "x"), "Fatal", "native mode"),
        (token(true), "Retry", "for now"),
        (token(false), "Fatal", "mend the credentials"),
    ] {
        let fake = Shared::default();
        fake.lock().refusals.push(refusal.clone());
        let error = sink(&fake).append(&[event(1)]).expect_err("it is refused");
        assert!(format!("{error:?}").starts_with(kind), "{refusal:?}: {error:?}");
        assert!(error.to_string().contains(says), "{refusal:?}: {error}");
        assert!(fake.lock().documents.is_empty());
    }
}

#[test]
fn a_line_of_a_later_version_keeps_what_can_be_read_of_it() {
    let fake = Shared::default();
    let text = String::from_utf8(line(5, "acme", ""))
        .expect("text")
        .replace("\"outcome\":\"denied\"", "\"outcome\":\"new\"");
    let entry = Entry::line(LogPosition::START, text.clone().into_bytes()).expect("a line");
    assert!(entry.event().is_none());
    assert_eq!(sink(&fake).append(&[entry]).expect("stored"), Ack::all());
    let fake = fake.lock();
    let document = &fake.documents[&event_name(5)];
    assert_eq!((text_of(document, "line"), text_of(document, "tenant_id")), (text, "acme".to_owned()));
}

#[test]
fn settings_show_no_secret_and_bad_names_are_fatal() {
    let settings = FirestoreSettings::new("p").emulator("127.0.0.1:1");
    assert!(format!("{settings:?}").contains("127.0.0.1:1"));
    for settings in [
        FirestoreSettings::new("a/b"),
        FirestoreSettings::new(""),
        FirestoreSettings::new("p").database("x y"),
    ] {
        let mut state = MemoryState::default();
        let error =
            FirestoreSink::new(settings).open(&SinkStart::new(ledger_id(), &mut state)).expect_err("bad");
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    }
}
