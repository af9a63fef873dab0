//! The OTLP sink holds to the contract of sinks, as far as a collector can: what comes again is there again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataset_events::sinks::otlp::{OtlpSettings, OtlpSink};
use dataset_events::sinks::{EntryKey, EntryKind, Sink};
use dataset_events::{LedgerId, LogPosition};
use dataset_events_tests::remote::proxy::{Mode, Proxy};
use dataset_events_tests::sink_contract;
use dataset_events_tests::sink_contract::{
    Ability, Check, Credentials, Fault, Keeps, Network, Piece, Target,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

/// How long a request may take, its answer included.
const TIMEOUT: Duration = Duration::from_secs(3);
const SECRET: &str = "s3cr3t-of-the-test";

/// A collector that keeps every record: HTTP and protobuf on the loopback interface. Its threads end with the process.
#[derive(Clone)]
struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    refuses_tokens: Arc<AtomicBool>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let receiver = Self { port, requests: Arc::default(), refuses_tokens: Arc::default() };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || {
                    // A client that goes in mid-request is one that was made to.
                    let _ = serving.serve(stream);
                });
            }
        });
        receiver
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
            };
            assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{head}");
            let length = header("content-length").and_then(|length| length.parse().ok());
            let mut body = vec![0; length.expect("the length of the body")];
            reader.read_exact(&mut body)?;
            let is_known = header("api-key") == Some(SECRET) && !self.refuses_tokens.load(Ordering::SeqCst);
            let status = if is_known { "200 OK" } else { "401 Unauthorized" };
            if is_known {
                let request = ExportLogsServiceRequest::decode(&*body).expect("a request of OTLP");
                self.requests.lock().expect("requests").push(request);
            }
            write!(
                writer,
                "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
            )?;
        }
    }
}

impl Credentials for Receiver {
    fn refuse(&mut self) {
        self.refuses_tokens.store(true, Ordering::SeqCst);
    }

    fn accept(&mut self) {
        self.refuses_tokens.store(false, Ordering::SeqCst);
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<u64> {
    match attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// What a record is of, by its attributes and its body alone.
fn piece(ledger_id: LedgerId, record: &LogRecord) -> Piece {
    let attributes = &record.attributes;
    let place = |name: &str| number(attributes, name).unwrap_or_else(|| panic!("no {name} in {record:?}"));
    let segment = u32::try_from(place("dataset_events.log.segment")).expect("a segment's number");
    let position = LogPosition { segment, offset: place("dataset_events.log.offset") };
    let body = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(body)) => body.clone().into_bytes(),
        other => panic!("no text in the body: {other:?}"),
    };
    let piece = match text(attributes, "dataset_events.kind") {
        Some("event" | "attempt") => Piece::line(position, &body),
        Some("identity") => Piece::identity(ledger_id, body),
        Some("head_table") => Piece::head_table(ledger_id, position, body),
        Some("checkpoint") => Piece::checkpoint(&body),
        Some("cut") => Piece::cut(&body),
        other => panic!("of kind {other:?}: {record:?}"),
    };
    assert_eq!(piece.position, position, "the place that the bytes say themselves: {piece:?}");
    if let (EntryKey::Event(event_id), Some(record_id)) = (piece.key, text(attributes, "audit.record.id")) {
        assert_eq!(record_id, event_id.to_string(), "by this repeats are told");
    }
    piece
}

/// Asserts that places go up: from line to line, and within each of the other kinds.
fn assert_in_order(pieces: &[Piece]) {
    let other_kind =
        |piece: &Piece| (!matches!(piece.kind, EntryKind::Event | EntryKind::Attempt)).then_some(piece.kind);
    for (at, piece) in pieces.iter().enumerate() {
        let mut before = pieces[..at].iter().rev();
        if let Some(before) = before.find(|before| other_kind(before) == other_kind(piece)) {
            let is_behind = (before.position, before.key) < (piece.position, piece.key);
            assert!(is_behind, "not in order in its request: {piece:?}\n  comes behind {before:?}");
        }
    }
}

/// A collector, behind a proxy where the network is to fail.
struct Collector {
    receiver: Receiver,
    proxy: Option<Proxy>,
}

impl Collector {
    fn new(check: &Check) -> Self {
        let receiver = Receiver::start();
        let proxy = check.needs.contains(&Ability::Network).then(|| Proxy::to(receiver.port));
        Self { receiver, proxy }
    }
}

impl Target for Collector {
    fn sink(&self) -> Box<dyn Sink> {
        let port = self.proxy.as_ref().map_or(self.receiver.port, Proxy::port);
        let settings = OtlpSettings::new(&format!("http://127.0.0.1:{port}")).expect("an address");
        let settings = settings.header("api-key", SECRET).expect("a header");
        // A batch that is to be cut in two must be more than one request.
        let settings = if self.proxy.is_some() { settings.max_request_bytes(64 << 10) } else { settings };
        Box::new(OtlpSink::new(settings.timeout(TIMEOUT)))
    }

    /// A collector keeps no order between resources: whoever reads records orders them by their places. Those of one
    /// resource come in their order, in each request.
    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        let requests = self.receiver.requests.lock().expect("requests");
        let id = ledger_id.to_string();
        let mut held = Vec::new();
        for logs in requests.iter().flat_map(|request| &request.resource_logs) {
            let attributes = logs.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
            if text(attributes, "dataset_events.ledger.id") == Some(&id) {
                for logs in &logs.scope_logs {
                    let pieces = logs.log_records.iter().map(|record| piece(ledger_id, record));
                    let pieces: Vec<_> = pieces.collect();
                    assert_in_order(&pieces);
                    held.extend(pieces);
                }
            }
        }
        held.sort_by_key(|piece| (piece.position, piece.key));
        held
    }

    fn keeps(&self) -> Keeps {
        Keeps { once: false, ..Keeps::default() }
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        self.proxy.is_some().then_some(self as &mut dyn Network)
    }

    fn credentials(&mut self) -> Option<&mut dyn Credentials> {
        Some(&mut self.receiver)
    }
}

impl Network for Collector {
    fn set(&mut self, fault: Fault) {
        let proxy = self.proxy.as_ref().expect("a proxy");
        proxy.set(match fault {
            Fault::None => Mode::Pass,
            Fault::Refuse => Mode::Refuse,
            Fault::DropAnswers => Mode::DropAnswers,
            Fault::Hang => Mode::Hang,
            Fault::CutInBatch => Mode::RefuseAfterAnswer,
        });
    }

    fn carried_bytes(&self) -> u64 {
        self.proxy.as_ref().map_or(0, Proxy::carried_bytes)
    }
}

sink_contract! {
    mod collector {
        target: Collector::new,
        not_applicable: {
            server_killed_in_mid_batch: "the collector is a thread of the test; the proxy cuts its connections",
            source_reads_on: "OpenTelemetry has no interface to read records back",
            source_answers_queries: "OpenTelemetry has no interface to read records back",
        },
    }
}

/// What the contract cannot ask of a collector, the reader does: repeats are told by kind, place and the line's hash.
#[test]
fn a_repeat_has_the_same_attributes_so_that_it_can_be_told() {
    use dataset_events_tests::sink_contract::{Driver, story};
    let check = sink_contract::by_name("batches_that_come_again");
    let (target, cut) = (Collector::new(&check), story::orders(40));
    let mut driver = Driver::new(&target, cut.ledger_id);
    for _ in 0..2 {
        driver.forward(&cut, 0..cut.pieces.len(), 25);
    }
    driver.assert_nothing_rejected();
    let requests = target.receiver.requests.lock().expect("requests");
    let logs = requests.iter().flat_map(|request| &request.resource_logs).flat_map(|logs| &logs.scope_logs);
    let mut records: Vec<&LogRecord> = logs.flat_map(|logs| &logs.log_records).collect();
    let all = records.len();
    assert_eq!(all, 2 * cut.pieces.len());
    let key = |record: &LogRecord| {
        let attributes = &record.attributes;
        let place = number(attributes, "dataset_events.log.segment")
            .zip(number(attributes, "dataset_events.log.offset"));
        let hash = text(attributes, "audit.integrity.value").map(str::to_owned);
        (text(attributes, "dataset_events.kind").map(str::to_owned), place, hash)
    };
    records.sort_by_key(|record| key(record));
    records.dedup_by(|one, other| key(one) == key(other) && one == other);
    assert_eq!(records.len(), cut.pieces.len(), "each record once, by kind, place and hash");
    let events = cut.pieces.iter().filter(|piece| piece.kind == EntryKind::Event).count();
    let mut ids: Vec<_> =
        records.iter().filter_map(|record| text(&record.attributes, "audit.record.id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events, "each event has its own id");
}
