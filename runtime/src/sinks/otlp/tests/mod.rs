//! The sink against a collector that is played, and over HTTP.

pub(crate) mod collector;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use self::collector::LocalCollector;
use super::transport::{Answer, Transport};
use super::{OtlpSettings, OtlpSink};
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::sinks::{Entry, MemoryState, Sink, SinkError, SinkStart};
use crate::testing::TestLedger;

/// The lines of a ledger in which three calls of two tenants were recorded.
fn entries() -> Vec<Entry> {
    let test = TestLedger::new();
    for (tenant, surface) in [("acme", "chat.send"), ("globex", "chat.send"), ("acme", "chat.read")] {
        let ctx = test.context(tenant, "prod").user_id("u_1").build().expect("a context");
        ctx.event(surface).record().expect("an event");
    }
    test.flush();
    let lines = test.lines();
    let mut offset = 0;
    let entry = |line: &String| {
        let position = LogPosition { segment: 1, offset };
        offset += line.len() as u64 + 1;
        Entry::line(position, line.clone().into_bytes()).expect("a line of the log")
    };
    lines.iter().map(entry).collect()
}

/// A collector that gives prepared answers, then success; what it was sent is kept.
#[derive(Clone, Default)]
struct Collector {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sent: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

impl Transport for Collector {
    fn send(&mut self, request: Vec<u8>) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        self.sent.lock().expect("requests").push(ExportLogsServiceRequest::decode(&*request)?);
        let prepared = self.answers.lock().expect("answers").pop_front();
        match prepared.unwrap_or(Answer { status: 200, ..Answer::default() }) {
            Answer { status: 0, .. } => Err("connection refused".into()),
            answer => Ok(answer),
        }
    }
}

impl Collector {
    fn with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let collector = Self::default();
        collector.answers.lock().expect("answers").extend(answers);
        collector
    }

    fn sink(&self, settings: OtlpSettings) -> OtlpSink {
        OtlpSink::with_transport(settings, Box::new(self.clone()))
    }

    fn records(&self) -> Vec<LogRecord> {
        let sent = self.sent.lock().expect("requests");
        let resources = sent.iter().flat_map(|request| &request.resource_logs);
        let scopes = resources.flat_map(|resource| &resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records.clone()).collect()
    }
}

fn settings() -> OtlpSettings {
    OtlpSettings::new("http://collector:4318").expect("an address")
}

fn answer(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

fn partial(rejected_log_records: i64) -> Answer {
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: "too old".to_owned() };
    let response = ExportLogsServiceResponse { partial_success: Some(partial) };
    Answer { status: 200, body: response.encode_to_vec(), ..Answer::default() }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn a_record_has_the_exact_line_and_the_names_of_the_conventions() {
    let entries = entries();
    let collector = Collector::default();
    collector.sink(settings()).append(&entries).expect("an answer");
    let sent = collector.sent.lock().expect("requests").clone();
    // One resource each for the ledger's own scope and the two tenants, in the order of their first entries.
    let resources: Vec<_> = sent[0].resource_logs.iter().filter_map(|logs| logs.resource.clone()).collect();
    let tenants: Vec<_> =
        resources.iter().filter_map(|resource| text(&resource.attributes, "tenant.id")).collect();
    assert_eq!(tenants, ["$system", "acme", "globex"]);
    assert_eq!(text(&resources[1].attributes, "deployment.environment.name").as_deref(), Some("prod"));
    assert!(text(&resources[1].attributes, "service.name").is_some());

    let records = collector.records();
    assert_eq!(records.len(), entries.len());
    for entry in &entries {
        let line = entry.text().into_owned();
        let body = |record: &&LogRecord| {
            record.body.as_ref().and_then(|body| body.value.clone()) == Some(Value::StringValue(line.clone()))
        };
        let record = records.iter().find(body).expect("the record of the line");
        let event = entry.event().expect("an event");
        let get = |key: &str| text(&record.attributes, key).unwrap_or_default();
        assert_eq!(record.event_name, event.surface);
        assert_eq!(record.time_unix_nano, u64::try_from(event.started_at).expect("a time") * 1_000);
        assert_eq!(record.observed_time_unix_nano, u64::try_from(event.recorded_at).expect("a time") * 1_000);
        assert_eq!((record.trace_id.len(), record.span_id.len(), record.severity_number), (16, 8, 0));
        assert_eq!(get("audit.record.id"), event.event_id.to_string());
        assert_eq!(get("audit.sequence.number"), event.seq.to_string());
        assert_eq!(get("audit.integrity.value"), entry.hash().to_string());
        assert_eq!(get("audit.outcome"), "success");
        let prev = get("audit.sequence.prev_hash");
        assert_eq!(prev == super::encoder::NOTHING_BEFORE, event.seq == 1, "{prev}");
        if event.seq > 1 {
            assert_eq!(prev, event.prev.to_string());
        }
    }
}

#[test]
fn what_may_work_later_is_tried_again_and_what_cannot_stops() {
    let entries = entries();
    for status in [0, 408, 429, 500, 502, 503, 504, 401, 403] {
        let error =
            Collector::with([answer(status)]).sink(settings()).append(&entries).expect_err("a failure");
        assert!(matches!(error, SinkError::Retry { .. }), "{status}: {error:?}");
    }
    for status in [301, 400, 404, 405, 415] {
        let error =
            Collector::with([answer(status)]).sink(settings()).append(&entries).expect_err("a failure");
        assert!(matches!(error, SinkError::Fatal { .. }), "{status}: {error:?}");
        let source = Error::source(&error).expect("a cause").to_string();
        assert_eq!(source, format!("it answers {status}"));
    }
}

#[test]
fn a_collector_that_asks_for_a_pause_is_not_asked_before() {
    let entries = entries();
    let pause = Answer { status: 429, retry_after: Some(Duration::from_millis(200)), ..Answer::default() };
    let collector = Collector::with([pause]);
    let mut sink = collector.sink(settings());
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert!(matches!(sink.append(&entries), Err(SinkError::Retry { .. })));
    }
    assert_eq!(collector.sent.lock().expect("requests").len(), 1, "asked once");
    while sink.append(&entries).is_err() {
        std::thread::yield_now();
    }
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(collector.sent.lock().expect("requests").len(), 2);
}

#[test]
fn what_a_collector_refuses_in_part_becomes_dead_letters_and_is_not_sent_again() {
    let entries = entries();
    let collector = Collector::with([partial(1), partial(0), partial(entries.len() as i64)]);
    let mut sink = collector.sink(settings());
    let some = sink.append(&entries).expect("an answer").rejected;
    assert_eq!(some.len(), entries.len());
    assert!(some[0].reason.starts_with("the collector refuses 1 of the 4 records of a request"), "{some:?}");
    assert_eq!(sink.append(&entries).expect("a warning alone").rejected, []);
    let all = sink.append(&entries).expect("an answer").rejected;
    assert_eq!(all[3].reason, "the collector refuses it: too old");
    assert_eq!(collector.sent.lock().expect("requests").len(), 3);
}

/// What was never sent was said to be refused by the collector, and counted among what it was sent.
#[test]
fn what_is_no_text_has_its_own_reason_beside_what_the_collector_refuses() {
    let pair = || {
        let text = entries().remove(0);
        let no_text = Entry::identity(text.ledger_id(), vec![0xff]);
        [text, no_text]
    };
    let [text, no_text] = pair();
    for batch in [pair(), [no_text, text]] {
        let collector = Collector::with([partial(1)]);
        let rejected = collector.sink(settings()).append(&batch).expect("an answer").rejected;
        let reason = |entry: &Entry| match std::str::from_utf8(entry.bytes()) {
            Ok(_) => "the collector refuses it: too old",
            Err(_) => "its bytes are no UTF-8",
        };
        let reasons: Vec<_> = rejected.iter().map(|rejected| (rejected.index, &*rejected.reason)).collect();
        assert_eq!(reasons, [(0, reason(&batch[0])), (1, reason(&batch[1]))]);
        assert_eq!(collector.records().len(), 1);
    }
}

#[test]
fn requests_that_are_too_large_are_sent_in_parts_and_a_record_that_is_alone_is_refused() {
    let entries = entries();
    let collector = Collector::with([answer(413), answer(200), answer(413), answer(413)]);
    let ack = collector.sink(settings()).append(&entries).expect("answers");
    let sizes: Vec<_> = collector
        .sent
        .lock()
        .expect("requests")
        .iter()
        .map(|request| {
            request.resource_logs.iter().map(|logs| logs.scope_logs[0].log_records.len()).sum::<usize>()
        })
        .collect();
    assert_eq!(sizes, [4, 2, 2, 1, 1]);
    assert_eq!(ack.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [2]);

    // By the sink's own bound, no request is too large and no record is lost.
    let mut small = settings();
    small.max_request_bytes = 1;
    let collector = Collector::default();
    collector.sink(small).append(&entries).expect("answers");
    assert_eq!(collector.sent.lock().expect("requests").len(), 4);
    assert_eq!(collector.records().len(), 4);
}

#[test]
fn over_http_records_arrive_with_their_headers_and_failures_are_told_apart() {
    let entries = entries();
    let collector = LocalCollector::start();
    let settings =
        OtlpSettings::new(&collector.url()).and_then(|settings| settings.header("Api-Key", "s3cret"));
    let mut sink = OtlpSink::new(settings.expect("settings"));
    let mut state = MemoryState::default();
    let ledger_id: LedgerId = entries[0].ledger_id();
    sink.open(&SinkStart::new(ledger_id, &mut state)).expect("open");
    sink.append(&entries).expect("an answer");
    let got = collector.got();
    assert_eq!(got[0].first_line, "POST /v1/logs HTTP/1.1");
    assert_eq!(got[0].headers.get("api-key").map(String::as_str), Some("s3cret"));
    assert_eq!(got[0].headers.get("content-type").map(String::as_str), Some("application/x-protobuf"));
    assert_eq!(collector.records().len(), entries.len());

    collector.answer(&["HTTP/1.1 400 Bad Request", "HTTP/1.1 302 Found\r\nlocation: /elsewhere"]);
    for status in [302, 400] {
        let error = sink.append(&entries).expect_err("a failure");
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
        let cause = Error::source(&error).expect("a cause").to_string();
        assert_eq!(cause, format!("it answers {status} busy"));
        assert!(!format!("{error:?}{sink:?}").contains("s3cret"));
    }
    collector.answer(&["HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600"]);
    assert!(matches!(sink.append(&entries), Err(SinkError::Retry { .. })));
    let error = sink.append(&entries).expect_err("a pause");
    let cause = Error::source(&error).expect("a cause").to_string();
    assert_eq!(cause, "the collector asks to be left alone for another 600 s");
}

#[test]
fn a_collector_that_is_away_or_hangs_is_tried_again_within_the_time_limit() {
    let entries = entries();
    // Bound and not accepted from: connections are made and nothing answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("its address");
    let settings = OtlpSettings::new(&format!("http://{address}")).expect("an address");
    let mut sink = OtlpSink::new(settings.timeout(Duration::from_millis(200)));
    let mut state = MemoryState::default();
    sink.open(&SinkStart::new(entries[0].ledger_id(), &mut state)).expect("open");
    let begun = std::time::Instant::now();
    assert!(matches!(sink.append(&entries), Err(SinkError::Retry { .. })), "it hangs");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    drop(silent);
    assert!(matches!(sink.append(&entries), Err(SinkError::Retry { .. })), "it is away");
}
