//! How fast is the BigQuery sink beside the bare client that appends the same rows to the same server?
//!
//! `cargo bench -p dataset-events-tests --features remote-sinks --bench remote_bigquery [-- EVENTS]`
//!
//! Both append to a committed stream with offsets, 500 and 1,500 rows a request, each into a fresh dataset. The sink makes
//! the rows of the lines and saves what it is about to send, too; the bare client is given requests that are encoded
//! already. It has one request under way, as the sink has, and then four. The server takes most of the time: the figures
//! say what the sink adds, and nothing about Google's service.

use std::time::{Duration, Instant};

use dataset_events::sinks::bigquery::{BigQuerySettings, BigQuerySink};
use dataset_events::sinks::google::GoogleCredentials;
use dataset_events::sinks::{Entry, EntryKind, MemoryState, Sink, SinkStart};
use dataset_events_tests::remote::bigquery::{self as emulator, PROJECT};
use dataset_events_tests::remote::process::Server;
use dataset_events_tests::sink_contract::{LedgerCut, story};
use futures::StreamExt;
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::Write;
use google_cloud_bigquery::model::{ArrowRecordBatch, ArrowSchema};
use google_cloud_bigquery::write::CommittedWriter;
use google_cloud_bigquery::write::format::Arrow;

const ROUNDS: usize = 5;

fn address(server: &Server, port: usize) -> String {
    format!("http://127.0.0.1:{}", server.ports()[port])
}

/// The sink on a dataset of its own, opened, with the ledger's identity in it.
fn sink(server: &Server, dataset: &str, cut: &LedgerCut) -> BigQuerySink {
    let limit = Duration::from_secs(120);
    let settings = BigQuerySettings::new(PROJECT, dataset)
        .endpoints(address(server, 0), address(server, 1))
        .credentials(GoogleCredentials::emulator())
        .create_dataset(true)
        .timeout(limit)
        .query_timeout(limit)
        .max_request_bytes(emulator::MAX_REQUEST_BYTES);
    let mut sink = BigQuerySink::new(settings);
    sink.open(&SinkStart::new(cut.ledger_id, &mut MemoryState::default())).expect("open the sink");
    sink.append(&[cut.pieces[0].entry(cut.ledger_id)]).expect("store the identity");
    sink
}

fn write_sink(sink: &mut BigQuerySink, events: &[Entry], request_rows: usize) -> Duration {
    let since = Instant::now();
    for batch in events.chunks(request_rows) {
        let ack = sink.append(batch).expect("a batch is stored");
        assert!(ack.rejected.is_empty() && ack.duplicates == 0, "every row is new: {ack:?}");
    }
    since.elapsed()
}

/// Requests that are encoded: the offset, and the rows.
fn encoded(events: &[Entry], request_rows: usize) -> Vec<(i64, Vec<u8>)> {
    let rows = |batch: &[Entry]| BigQuerySink::arrow_of(batch).expect("encode the rows").1;
    let offsets = (0..).step_by(request_rows);
    offsets.zip(events.chunks(request_rows).map(rows)).collect()
}

async fn write_bare(
    write: &Write,
    dataset: &str,
    schema: Vec<u8>,
    requests: Vec<(i64, Vec<u8>)>,
    under_way: usize,
) -> Duration {
    let table = format!("projects/{PROJECT}/datasets/{dataset}/tables/events");
    let schema = ArrowSchema::new().set_serialized_schema(schema);
    let writer: CommittedWriter<Arrow> =
        write.create_stream(table).build_arrow(schema).await.expect("make a stream");
    let since = Instant::now();
    let calls = requests.into_iter().map(|(offset, rows)| {
        let batch = ArrowRecordBatch::new().set_serialized_record_batch(rows);
        writer.append(batch).set_offset(offset).send()
    });
    let answers: Vec<_> = futures::stream::iter(calls).buffered(under_way).collect().await;
    let took = since.elapsed();
    for answer in answers {
        answer.expect("a request is stored");
    }
    took
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let cut = story::orders(asked.unwrap_or(10_000));
    let events: Vec<Entry> =
        cut.entries().into_iter().filter(|entry| entry.kind() == EntryKind::Event).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (schema, _) = BigQuerySink::arrow_of(&events[..1]).expect("encode a row");
    let per_second = |took: Duration| events.len() as f64 / took.as_secs_f64();

    println!("{} events, {ROUNDS} rounds, rows/s (median)", events.len());
    for request_rows in [500, 1_500] {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // The more it holds, the slower it is: each round has one of its own, and another begins.
            let server = emulator::start();
            let write = Write::builder().with_credentials(anonymous::Builder::new().build());
            let write = write.with_endpoint(address(&server, 1)).build();
            let write = runtime.block_on(write).expect("make the client");
            write_sink(&mut sink(&server, &emulator::fresh_dataset(), &cut), &events, request_rows);
            for turn in 0..rates.len() {
                let who = (round + turn) % rates.len();
                let dataset = emulator::fresh_dataset();
                // For the bare client it makes the same tables, and its own streams stay empty.
                let mut sink = sink(&server, &dataset, &cut);
                let took = match [1, 4].get(who) {
                    Some(under_way) => {
                        let requests = encoded(&events, request_rows);
                        let writing = write_bare(&write, &dataset, schema.clone(), requests, *under_way);
                        runtime.block_on(writing)
                    }
                    None => write_sink(&mut sink, &events, request_rows),
                };
                rates[who].push(per_second(took));
            }
        }
        let [one, four, sink] = rates.map(median);
        println!(
            "{request_rows:>5} rows a request: sink {sink:>7.0}, bare client {one:>7.0}, ratio {:.2}; with four \
             under way {four:>7.0}, ratio {:.2}",
            sink / one,
            sink / four
        );
    }
}
