//! How fast is the Firestore sink beside the bare client that writes the same documents to the same emulator?
//!
//! `cargo bench -p dataset-events-tests --features remote-sinks --bench remote_firestore [-- EVENTS]`
//!
//! Both make documents that are not there yet, 500 a request, with one and with four requests under way, by turns and each
//! into a fresh project. The sink makes the documents of the lines, too; the bare client is given them. The emulator
//! takes most of the time: the figures say what the sink adds, and nothing about Google's service. It holds everything
//! in its heap, and fails when that is full: each round has one of its own.

use std::time::{Duration, Instant};

use dataset_events::sinks::firestore::{FirestoreSettings, FirestoreSink};
use dataset_events::sinks::{Entry, EntryKind, MemoryState, Sink, SinkStart};
use dataset_events_tests::remote::firestore as emulator;
use dataset_events_tests::sink_contract::{LedgerCut, story};
use firestore::gcloud_sdk::google::firestore::v1::firestore_client::FirestoreClient;
use firestore::gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use firestore::gcloud_sdk::google::firestore::v1::structured_query::CollectionSelector;
use firestore::gcloud_sdk::google::firestore::v1::write::Operation;
use firestore::gcloud_sdk::google::firestore::v1::{
    BatchWriteRequest, Document, Precondition, RunQueryRequest, StructuredQuery, Write, run_query_request,
};
use firestore::gcloud_sdk::{GoogleApi, GoogleAuthMiddleware};
use futures::{StreamExt, TryStreamExt};
use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};

const REQUEST_WRITES: usize = 500;
const ROUNDS: usize = 5;

#[derive(Debug)]
struct Owner;

impl CredentialsProvider for Owner {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let mut data = HeaderMap::new();
        data.insert(AUTHORIZATION, HeaderValue::from_static("Bearer owner"));
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

type Api = GoogleApi<FirestoreClient<GoogleAuthMiddleware>>;

async fn connect(address: &str) -> Api {
    let (url, credentials) = (format!("http://{address}"), Credentials::from(Owner));
    let api = GoogleApi::from_function_with_credentials(FirestoreClient::new, url, None, credentials);
    api.await.expect("connect to the emulator")
}

/// The documents of events that the sink has written.
async fn written(api: &Api, project: &str) -> Vec<Document> {
    let events = CollectionSelector { collection_id: "events".to_owned(), all_descendants: true };
    let query = StructuredQuery { from: vec![events], ..StructuredQuery::default() };
    let request = RunQueryRequest {
        parent: format!("projects/{project}/databases/(default)/documents"),
        query_type: Some(run_query_request::QueryType::StructuredQuery(query)),
        ..RunQueryRequest::default()
    };
    let answers = api.get().run_query(request).await.expect("run a query").into_inner();
    answers.try_filter_map(|answer| async { Ok(answer.document) }).try_collect().await.expect("documents")
}

/// The same documents for another project, as requests.
fn requests(documents: &[Document], from: &str, to: &str) -> Vec<BatchWriteRequest> {
    let of = |chunk: &[Document]| {
        let writes = chunk.iter().map(|document| Write {
            operation: Some(Operation::Update(Document {
                name: document.name.replace(from, to),
                fields: document.fields.clone(),
                create_time: None,
                update_time: None,
            })),
            current_document: Some(Precondition { condition_type: Some(ConditionType::Exists(false)) }),
            ..Write::default()
        });
        BatchWriteRequest {
            database: format!("projects/{to}/databases/(default)"),
            writes: writes.collect(),
            ..BatchWriteRequest::default()
        }
    };
    documents.chunks(REQUEST_WRITES).map(of).collect()
}

async fn write_bare(api: &Api, requests: Vec<BatchWriteRequest>, in_flight: usize) -> Duration {
    let since = Instant::now();
    let calls = requests.into_iter().map(|request| {
        let mut client = api.get();
        async move { client.batch_write(request).await }
    });
    let answers: Vec<_> = futures::stream::iter(calls).buffered(in_flight).collect().await;
    let took = since.elapsed();
    for answer in answers {
        let statuses = answer.expect("a request is carried out").into_inner().status;
        assert!(statuses.iter().all(|status| status.code == 0), "every document is new");
    }
    took
}

fn write_sink(address: &str, project: &str, cut: &LedgerCut, events: &[Entry], in_flight: usize) -> Duration {
    let settings = FirestoreSettings::new(project).emulator(address).requests_in_flight(in_flight);
    let mut sink = FirestoreSink::new(settings.request_timeout(Duration::from_secs(120)));
    let mut state = MemoryState::default();
    sink.open(&SinkStart::new(cut.ledger_id, &mut state)).expect("open the sink");
    let since = Instant::now();
    for batch in events.chunks(REQUEST_WRITES * in_flight) {
        let ack = sink.append(batch).expect("a batch is stored");
        assert!(ack.rejected.is_empty() && ack.duplicates == 0, "every document is new: {ack:?}");
    }
    since.elapsed()
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
    let per_second = |took: Duration| events.len() as f64 / took.as_secs_f64();

    println!(
        "{} events, {REQUEST_WRITES} writes a request, {ROUNDS} rounds, documents/s (median)",
        events.len()
    );
    for in_flight in [1, 4] {
        let (mut sink, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let server = emulator::start();
            let address = server.address();
            let api = runtime.block_on(connect(&address));
            // The first pass also warms up the emulator.
            let first = emulator::fresh_project();
            write_sink(&address, &first, &cut, &events, 4);
            let documents = runtime.block_on(written(&api, &first));
            assert_eq!(documents.len(), events.len(), "the emulator gives the documents back");
            let project = emulator::fresh_project();
            let requests = requests(&documents, &first, &project);
            bare.push(per_second(runtime.block_on(write_bare(&api, requests, in_flight))));
            let project = emulator::fresh_project();
            sink.push(per_second(write_sink(&address, &project, &cut, &events, in_flight)));
        }
        let (sink, bare) = (median(sink), median(bare));
        println!(
            "{in_flight} under way: sink {sink:>8.0}, bare client {bare:>8.0}, ratio {:.2}",
            sink / bare
        );
    }
}
