//! A place for each kind of sink, and what reads it back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::bigquery::BigQuerySettings;
use dataset_events::sinks::firestore::FirestoreSettings;
use dataset_events::sinks::google::GoogleCredentials;
use dataset_events::sinks::replica::ReplicaSettings;
use dataset_events::sources::bigquery::BigQuerySource;
use dataset_events::sources::firestore::FirestoreSource;
use dataset_events::sources::ndjson::NdjsonSource;
use dataset_events::sources::{ReplicaSource, Source};
use dataset_events_tests::remote::bigquery::{self, MAX_REQUEST_BYTES, PROJECT, Rest};
use dataset_events_tests::remote::firestore;
use dataset_events_tests::remote::process::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two directories, a Firestore emulator and a BigQuery server.
pub(crate) struct Targets {
    directory: TempDir,
    firestore: Arc<Server>,
    project: String,
    bigquery: Arc<Server>,
    dataset: String,
}

impl Targets {
    pub(crate) fn start() -> Self {
        Self {
            directory: tempfile::tempdir().expect("make a temporary directory"),
            firestore: firestore::shared(),
            project: firestore::fresh_project(),
            bigquery: bigquery::shared(),
            dataset: bigquery::fresh_dataset(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn bigquery_addresses(&self) -> [String; 2] {
        [0, 1].map(|port| format!("http://127.0.0.1:{}", self.bigquery.ports()[port]))
    }

    /// The configuration of the main job: all of them required.
    pub(crate) fn config(&self) -> String {
        let [rest, storage] = self.bigquery_addresses();
        let common = "required = true\nclose_within = \"30s\"";
        format!(
            "[sinks.archive]\nbackend = \"replica\"\nurl = {:?}\n{common}\n\
             [sinks.files]\nbackend = \"ndjson\"\npath = {:?}\n{common}\n\
             [sinks.documents]\nbackend = \"firestore\"\nproject = {:?}\nemulator = {:?}\n{common}\n\
             [sinks.rows]\nbackend = \"bigquery\"\nproject = {PROJECT:?}\ndataset = {:?}\ncreate_dataset = true\n\
             rest_endpoint = {rest:?}\nstorage_endpoint = {storage:?}\ncredentials = \"emulator\"\n\
             max_request_bytes = {MAX_REQUEST_BYTES}\n{common}\n",
            self.path("replica"),
            self.path("files"),
            self.project,
            self.firestore.address(),
            self.dataset,
        )
    }

    /// What reads each of them back, under the name of its sink.
    pub(crate) fn sources(&self) -> Vec<(&'static str, Box<dyn Source>)> {
        let minute = Duration::from_secs(60);
        let settings = FirestoreSettings::new(&*self.project).emulator(self.firestore.address());
        let documents = FirestoreSource::open(&settings.request_timeout(minute));
        let [rest, storage] = self.bigquery_addresses();
        let rows = BigQuerySettings::new(PROJECT, &*self.dataset)
            .endpoints(rest, storage)
            .credentials(GoogleCredentials::emulator())
            .query_timeout(minute);
        vec![
            ("archive", Box::new(ReplicaSource::new(ReplicaSettings::directory(self.path("replica"))))),
            ("files", Box::new(NdjsonSource::new(self.path("files")))),
            ("documents", Box::new(documents.expect("open Firestore"))),
            ("rows", Box::new(BigQuerySource::new(rows))),
        ]
    }

    /// How many events of each ledger, tenant and env BigQuery counts by itself.
    pub(crate) fn rows_counted(&self) -> Vec<(String, String, u64)> {
        let rows = Rest::of(&self.bigquery).query(&format!(
            "SELECT ledger_id, CONCAT(tenant_id, '/', env), CAST(COUNT(*) AS STRING) \
             FROM `{PROJECT}.{}.events` GROUP BY 1, 2",
            self.dataset
        ));
        let cell = |cell: &Option<String>| cell.clone().expect("a value");
        rows.iter()
            .map(|row| (cell(&row[0]), cell(&row[1]), cell(&row[2]).parse().expect("a number")))
            .collect()
    }

    /// How many events of a ledger, tenant and env Firestore counts by itself.
    pub(crate) fn documents_counted(&self, ledger_id: LedgerId, tenant: &str, env: &str) -> u64 {
        let parent =
            format!("projects/{}/databases/(default)/documents/tenants/{tenant}/envs/{env}", self.project);
        let url = format!("http://{}/v1/{parent}:runAggregationQuery", self.firestore.address());
        let query = json!({ "structuredAggregationQuery": {
            "structuredQuery": {
                "from": [{ "collectionId": "events" }],
                "where": { "fieldFilter": {
                    "field": { "fieldPath": "ledger_id" }, "op": "EQUAL",
                    "value": { "stringValue": ledger_id.to_string() },
                } },
            },
            "aggregations": [{ "alias": "events", "count": {} }],
        } });
        let asked = async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let request = client.post(url).header("authorization", "Bearer owner").json(&query);
            let answer = request.send().await.expect("the emulator answers");
            answer.json::<Value>().await.expect("JSON")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(asked);
        let count = &answer[0]["result"]["aggregateFields"]["events"]["integerValue"];
        count.as_str().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count: {answer}"))
    }
}
