//! The Firestore sink against the emulator: the contract of all sinks, and what is Firestore's own.

use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::Sink;
use dataset_events::sinks::firestore::{FirestoreSettings, FirestoreSink};
use dataset_events::sources::Source;
use dataset_events::sources::firestore::FirestoreSource;
use dataset_events_tests::remote::expiring::{Expiring, SECRET};
use dataset_events_tests::remote::firestore;
use dataset_events_tests::remote::network::BrokenNetwork;
use dataset_events_tests::remote::running::Running;
use dataset_events_tests::sink_contract::{
    Ability, Check, Credentials, Driver, Network, Server, Target, held, story,
};

/// How long a request may take here.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A project that nothing was written to, behind a proxy where the network is to fail.
struct Firestore {
    running: Running,
    network: Option<BrokenNetwork>,
    credentials: Expiring,
    project: String,
}

impl Firestore {
    fn direct(_: &Check) -> Self {
        Self::new(false, false)
    }

    fn proxied(check: &Check) -> Self {
        Self::new(check.needs.contains(&Ability::Server), true)
    }

    fn new(is_own: bool, is_proxied: bool) -> Self {
        let running =
            if is_own { Running::Own(firestore::start()) } else { Running::Shared(firestore::shared()) };
        let network = is_proxied.then(|| BrokenNetwork::to(&running));
        Self { running, network, credentials: Expiring::of("owner"), project: firestore::fresh_project() }
    }

    /// Past the proxy.
    fn direct_settings(&self) -> FirestoreSettings {
        let address = self.running.address();
        FirestoreSettings::new(&*self.project).emulator(address).request_timeout(Duration::from_secs(60))
    }
}

impl Target for Firestore {
    fn sink(&self) -> Box<dyn Sink> {
        let settings = match &self.network {
            // A batch that is to be cut in two must be more than one request.
            Some(network) => FirestoreSettings::new(&*self.project)
                .emulator(format!("127.0.0.1:{}", network.ports()[0]))
                .max_request_writes(100)
                .requests_in_flight(1),
            None => self.direct_settings(),
        };
        let settings = settings.connect_timeout(TIMEOUT).request_timeout(TIMEOUT * 3);
        Box::new(FirestoreSink::new(settings.credentials(self.credentials.credentials())))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        let source = FirestoreSource::open(&self.direct_settings().connect_timeout(Duration::from_secs(60)));
        Some(Box::new(source.unwrap_or_else(|error| panic!("open the source: {error:?}"))))
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        self.running.own()
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        self.network.as_mut().map(|network| network as &mut dyn Network)
    }

    fn credentials(&mut self) -> Option<&mut dyn Credentials> {
        Some(&mut self.credentials)
    }
}

dataset_events_tests::sink_contract! {
    mod directly {
        target: Firestore::direct,
        not_applicable: {
            away_when_opened: "nothing lies between sink and server; see `through_the_proxy`",
            a_batch_stored_in_part: "nothing lies between sink and server; see `through_the_proxy`",
            every_acknowledgement_lost: "nothing lies between sink and server; see `through_the_proxy`",
            a_target_that_hangs: "nothing lies between sink and server; see `through_the_proxy`",
            server_killed_in_mid_batch: "nothing lies between sink and server; see `through_the_proxy`",
        },
    }
}

dataset_events_tests::sink_contract! {
    mod through_the_proxy {
        target: Firestore::proxied,
        not_applicable: {},
    }
}

/// Everything that a project holds of a ledger, as documents by the emulator's own REST interface.
fn documents(target: &Firestore, ledger_id: LedgerId) -> serde_json::Value {
    let base = format!(
        "http://{}/v1/projects/{}/databases/(default)/documents",
        target.running.address(),
        target.project
    );
    let query = |collection: &str, all: bool| {
        serde_json::json!({ "structuredQuery": {
            "from": [{ "collectionId": collection, "allDescendants": all }],
            "where": { "fieldFilter": {
                "field": { "fieldPath": "ledger_id" }, "op": "EQUAL",
                "value": { "stringValue": ledger_id.to_string() },
            } },
        } })
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut found = Vec::new();
    for collection in ["events", "attempts", "identities", "head_tables", "checkpoints"] {
        let client = reqwest::Client::new();
        let request = client.post(format!("{base}:runQuery")).header("authorization", "Bearer owner");
        let answer: serde_json::Value = runtime.block_on(async {
            let answer = request.json(&query(collection, true)).send().await.expect("the emulator answers");
            answer.json().await.expect("JSON")
        });
        for row in answer.as_array().expect("rows") {
            if let Some(document) = row.get("document") {
                let name = document["name"].as_str().expect("a name").replace(&target.project, "PROJECT");
                found.push(serde_json::json!({ "name": name, "fields": document["fields"] }));
            }
        }
    }
    found.sort_by_key(|document| document["name"].as_str().map(str::to_owned));
    serde_json::Value::Array(found)
}

#[test]
fn one_ledger_forwarded_to_two_projects_gives_equal_documents() {
    let cut = story::orders(120);
    let targets = [Firestore::new(false, false), Firestore::new(false, false)];
    for (target, batch_entries) in targets.iter().zip([7, 500]) {
        Driver::new(target, cut.ledger_id).forward_all(&cut, batch_entries);
    }
    let [first, second] = targets.each_ref().map(|target| documents(target, cut.ledger_id));
    assert!(
        first.as_array().is_some_and(|documents| documents.len() == cut.pieces.len()),
        "each piece has a document"
    );
    assert_eq!(first, second);
}

#[test]
fn a_tenants_query_gives_nothing_of_another_tenant() {
    let cut = story::orders(90);
    let target = Firestore::new(false, false);
    Driver::new(&target, cut.ledger_id).forward_all(&cut, 100);
    let source = target.source().expect("a source");
    let mut seen = 0;
    for scope in held::scopes(&cut) {
        let page = source.events(&scope, &Default::default()).expect("a page");
        assert!(!page.events.is_empty(), "{scope} has events");
        for event in page.events {
            assert_eq!(event.event.scope(), &scope);
            seen += 1;
        }
    }
    assert!(seen > 0);
}
