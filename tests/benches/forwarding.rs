//! What does a sink cost the callers, and how far does it fall behind a burst of events?
//!
//! `cargo bench -p dataset-events-tests --features replica --bench forwarding [-- EVENTS] [-- SINK..]`; with the feature
//! `remote-sinks` also Firestore and BigQuery, on servers that are started for it.
//!
//! A ledger of its own for each: without a sink, with one that holds everything in memory (the floor of the forwarder),
//! and with each that stores. One thread records 100,000 events as fast as it can; then the sink takes what is left.
//! Printed are the wall and CPU time of a call in the burst; the most durable events that the sink had not acknowledged
//! at a time, and how old the oldest of them was at most; how long after the burst it had them all; and the events a
//! second from the first call to the last acknowledgement. Every event is acknowledged at its first attempt, or the
//! bench fails.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use dataset_events::sinks::memory::MemorySink;
use dataset_events::sinks::ndjson::{NdjsonSettings, NdjsonSink};
use dataset_events::sinks::replica::{ReplicaSettings, ReplicaSink};
use dataset_events::sinks::{Sink, SinkSpec};
use dataset_events::{Ledger, RequestContext, dataset_event};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(900);

#[dataset_event(surface = "chat.send_message", input(thread, body_len), output(message = *ret))]
fn send(ctx: &RequestContext, thread: &str, body_len: u64) -> u64 {
    body_len.wrapping_mul(31) ^ thread.len() as u64
}

/// Makes a sink on an empty target, given an empty directory.
type Make<'m> = Box<dyn Fn(&Path) -> Option<Box<dyn Sink>> + 'm>;

struct Attached<'m> {
    name: &'static str,
    batch_entries: usize,
    rounds: usize,
    make: Make<'m>,
}

/// What one burst showed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    wall_ns: f64,
    cpu_ns: f64,
    burst: Duration,
    lag_events: u64,
    lag_seconds: f64,
    acknowledged_after: Duration,
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn measure(attached: &Attached<'_>, events: u64) -> Seen {
    let root = tempfile::tempdir().expect("a directory");
    let target = tempfile::tempdir().expect("a directory");
    // Room for all of them, so that nothing is shed.
    let mut options = Ledger::options().root(root.path()).service("bench", "1").journal_bytes(512 << 20);
    let sink = (attached.make)(target.path());
    let has_sink = sink.is_some();
    if let Some(sink) = sink {
        let spec = SinkSpec::new(attached.name, sink).expect("a name");
        options = options.sink(spec.batch_entries(attached.batch_entries).batch_bytes(16 << 20));
    }
    let ledger = options.open().expect("open a ledger");
    let tenants = ["acme", "globex", "initech", "umbrella"];
    let contexts = tenants.map(|tenant| ledger.context(tenant, "prod").build().expect("a context"));
    let status = || ledger.sinks().status(attached.name).expect("the sink's status");
    // Opening a sink may take long, and is no part of a burst.
    send(&contexts[0], "th_0", 0);
    ledger.flush().expect("flush");
    let since = Instant::now();
    while has_sink && (status().forwarded < 2 || status().lag_events > 0) {
        assert!(since.elapsed() < PATIENCE, "the sink does not begin: {:?}", status());
        thread::sleep(Duration::from_millis(5));
    }
    let before = if has_sink { status().forwarded } else { 0 };

    let (since, cpu) = (Instant::now(), cpu_ns());
    for number in 0..events {
        send(&contexts[(number % 4) as usize], "th_0123456789", number);
    }
    let (burst, cpu) = (since.elapsed(), cpu_ns() - cpu);
    let (mut lag_events, mut lag_seconds, mut acknowledged_after) = (0, 0.0, Duration::ZERO);
    if has_sink {
        loop {
            let now = status();
            (lag_events, lag_seconds) = (now.lag_events.max(lag_events), now.lag_seconds.max(lag_seconds));
            if now.forwarded >= before + events && now.lag_events == 0 {
                assert_eq!((now.retries, now.dead_letters), (0, 0), "{now:?}");
                break;
            }
            assert!(since.elapsed() < PATIENCE, "the sink does not keep up: {now:?}");
            thread::sleep(Duration::from_millis(1));
        }
        acknowledged_after = since.elapsed() - burst;
    }
    ledger.flush().expect("flush");
    ledger.close().expect("close the ledger");
    let each = |nanoseconds: f64| nanoseconds / events as f64;
    let (wall_ns, cpu_ns) = (each(burst.as_nanos() as f64), each(cpu as f64));
    Seen { wall_ns, cpu_ns, burst, lag_events, lag_seconds, acknowledged_after }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let events = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let names: Vec<&String> = arguments.iter().filter(|argument| argument.parse::<u64>().is_err()).collect();
    let local = |name, make: Make<'static>| Attached { name, batch_entries: 500, rounds: ROUNDS, make };
    let mut all = vec![
        local("none", Box::new(|_| None)),
        local("memory", Box::new(|_| Some(Box::new(MemorySink::new())))),
        local("ndjson", Box::new(|target| Some(Box::new(NdjsonSink::new(NdjsonSettings::new(target)))))),
        local(
            "replica",
            Box::new(|target| Some(Box::new(ReplicaSink::new(ReplicaSettings::directory(target))))),
        ),
    ];
    #[cfg(feature = "remote-sinks")]
    all.extend(remote::all());
    all.retain(|attached| names.is_empty() || names.iter().any(|name| *name == attached.name));

    println!("{events} events of one thread, the median burst by time until acknowledged");
    println!(
        "{:<10} {:>6} {:>9} {:>9} {:>8} {:>11} {:>8} {:>13} {:>9}",
        "sink", "batch", "ns/call", "CPU ns", "burst s", "lag events", "lag s", "then acked s", "events/s"
    );
    for attached in &all {
        let mut seen: Vec<Seen> = (0..attached.rounds).map(|_| measure(attached, events)).collect();
        seen.sort_by_key(|seen| seen.acknowledged_after + seen.burst);
        let seen = seen[seen.len() / 2];
        let total = seen.burst + seen.acknowledged_after;
        println!(
            "{:<10} {:>6} {:>9.0} {:>9.0} {:>8.2} {:>11} {:>8.2} {:>13.2} {:>9.0}",
            attached.name,
            attached.batch_entries,
            seen.wall_ns,
            seen.cpu_ns,
            seen.burst.as_secs_f64(),
            seen.lag_events,
            seen.lag_seconds,
            seen.acknowledged_after.as_secs_f64(),
            events as f64 / total.as_secs_f64(),
        );
    }
}

#[cfg(feature = "remote-sinks")]
mod remote {
    use std::cell::RefCell;

    use dataset_events::sinks::bigquery::{BigQuerySettings, BigQuerySink};
    use dataset_events::sinks::firestore::{FirestoreSettings, FirestoreSink};
    use dataset_events::sinks::google::GoogleCredentials;
    use dataset_events_tests::remote::{bigquery, firestore};

    use super::{Attached, Duration, Make};

    const LIMIT: Duration = Duration::from_secs(120);

    pub(super) fn all() -> Vec<Attached<'static>> {
        let remote =
            |name, batch_entries, make: Make<'static>| Attached { name, batch_entries, rounds: 1, make };
        let firestore: fn() -> Make<'static> = || {
            let running = RefCell::new(None);
            Box::new(move |_| {
                let settings = FirestoreSettings::new(firestore::fresh_project());
                // It holds everything in its heap, and fails when that is full: each burst has one of its own.
                let server = firestore::start();
                let settings = settings.emulator(server.address()).request_timeout(LIMIT);
                running.replace(Some(server));
                Some(Box::new(FirestoreSink::new(settings)))
            })
        };
        let bigquery: fn() -> Make<'static> = || {
            Box::new(|_| {
                let server = bigquery::shared();
                let [rest, storage] = [0, 1].map(|at| format!("http://127.0.0.1:{}", server.ports()[at]));
                let settings = BigQuerySettings::new(bigquery::PROJECT, bigquery::fresh_dataset())
                    .endpoints(rest, storage)
                    .credentials(GoogleCredentials::emulator())
                    .create_dataset(true)
                    .timeout(LIMIT)
                    .query_timeout(LIMIT)
                    .max_request_bytes(bigquery::MAX_REQUEST_BYTES);
                Some(Box::new(BigQuerySink::new(settings)))
            })
        };
        vec![
            remote("firestore", 500, firestore()),
            remote("firestore", 2_000, firestore()),
            remote("bigquery", 500, bigquery()),
            remote("bigquery", 5_000, bigquery()),
        ]
    }
}
