//! The gateway and the engines service in this process, over one root; an issuer; and what they left behind.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod issuer;
pub(crate) mod raw;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use dataset_events::read_models::{SnapshotStore, assert_rebuilt};
use dataset_events::testing::isolation::Observed;
use dataset_events::{DatasetEvent, LedgerSet, VerifyOptions, verify};
use dataset_events_examples::read_models::Board;
use dataset_events_examples::services::{
    GatewayConfig, Patience, Running, Secret, ServiceConfig, Start, ledgers_of, snapshots_of, start_with,
};
use dataset_events_tests::log::{Log, files_below};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use self::issuer::Issuer;

/// Above what a test sends: limits are tested elsewhere.
const NO_LIMIT: u32 = 1_000_000;
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Both services at work.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) secret: Secret,
    pub(crate) engines: Running,
    pub(crate) gateway: Running,
    pub(crate) http: reqwest::Client,
    root: TempDir,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let body = response.bytes().await.expect("a whole body").to_vec();
        Self { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The code of the envelope; empty for a success.
    pub(crate) fn code(&self) -> String {
        if self.status < 400 {
            return String::new();
        }
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no envelope: {self:?}")).to_owned()
    }

    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}

/// What a tenant of the isolation contract saw: each answer's body and headers, under the name of what was asked.
pub(crate) fn observed(answers: Vec<(String, Answer)>) -> Observed {
    answers.into_iter().fold(Observed::new(), |observed, (what, answer)| {
        let headers = format!("{:?}", answer.headers);
        observed
            .saw(format!("the body of {what}"), answer.body)
            .saw(format!("the headers of {what}"), headers)
    })
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(Patience::default()).await
    }

    pub(crate) async fn start_with(patience: Patience) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let issuer = Issuer::start().await;
        let secret = Secret::random().expect("random bytes");
        let service = ServiceConfig {
            root: root.path().to_owned(),
            listen: ANY_PORT,
            operations: ANY_PORT,
            service_secret: secret.clone(),
            ledger_config: None,
        };
        let engines =
            start_with(&Start::Engines(service.clone()), patience).await.expect("the engines start");
        let gateway = GatewayConfig {
            service,
            users: issuer.user_keys(),
            engines_url: engines.url(),
            requests_per_second: NO_LIMIT,
        };
        let gateway = start_with(&Start::Gateway(gateway), patience).await.expect("the gateway starts");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { issuer, secret, engines, gateway, http, root }
    }

    /// A request to the gateway.
    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.gateway.url())).bearer_auth(token)
    }

    /// A request with a JSON body to the gateway, and its answer.
    pub(crate) async fn json(&self, method: Method, path: &str, token: &str, body: Value) -> Answer {
        self.send(self.request(method, path, token).json(&body)).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::GET, path, token)).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// The text of `/metrics` of both services.
    pub(crate) async fn metrics(&self) -> String {
        let mut text = String::new();
        for service in [&self.gateway, &self.engines] {
            let url = format!("http://{}/metrics", service.started().operations);
            text += &self.send(self.http.get(url)).await.text();
        }
        text
    }

    /// Ends both services, the one that asks before the one that answers, and reads what they recorded.
    pub(crate) async fn end(self) -> Recorded {
        let Self { engines, gateway, root, .. } = self;
        let [first, second] = [&gateway, &engines].map(|service| service.started().ledger.clone());
        let report = gateway.end().await.expect("the gateway ends");
        assert_eq!(report.cut, 0, "every request was answered");
        engines.end().await.expect("the engines end");
        let [gateway, engines] = [&first, &second].map(|path| Ledger::read(path));
        assert_left_is_rebuilt(root.path());
        Recorded { gateway, engines, root }
    }
}

/// What the gateway left of its views, folded on, is what folding from zero gives, in every scope.
fn assert_left_is_rebuilt(root: &Path) {
    let set = LedgerSet::options().root(ledgers_of(root)).open();
    let store = SnapshotStore::open(snapshots_of(root)).expect("the directory of snapshots");
    assert_rebuilt(|| Board, &set, &store);
}

/// What both services left behind.
pub(crate) struct Recorded {
    pub(crate) gateway: Ledger,
    pub(crate) engines: Ledger,
    root: TempDir,
}

impl Recorded {
    /// All files of both ledgers and both databases.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files_below(self.root.path())
    }

    /// The root of both services.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &DatasetEvent> {
        self.gateway.events.iter().chain(&self.engines.events)
    }
}

/// The events of a ledger that was closed and verified.
pub(crate) struct Ledger {
    pub(crate) events: Vec<DatasetEvent>,
}

impl Ledger {
    /// Reads a ledger's directory twice over: by the library's own check, and by the words of
    /// `docs/formats.md` (each stream counts from 1 without a gap, each line has the hash of the one before).
    fn read(path: &Path) -> Self {
        let report = verify(path, &VerifyOptions::new()).expect("readable");
        assert!(report.is_verified(), "{report}");
        let log = Log::read(path);
        assert!(log.lost().is_empty(), "{:?}", log.lost());
        let events = log.events().map(|line| DatasetEvent::from_line(&line.text).expect("an event"));
        Self { events: events.collect() }
    }

    /// How many requests ended with each code in each stream: events `http.request`, and those without an
    /// identity that were only counted. The code of a success is empty; of a panic and a cancel, the outcome.
    pub(crate) fn requests(&self) -> BTreeMap<(String, String), u64> {
        let mut requests = BTreeMap::new();
        for event in &self.events {
            let stream = format!("{}/{}", event.tenant_id(), event.env());
            if event.surface == "http.request" {
                let code = event.code().unwrap_or_default().to_owned();
                *requests.entry((stream, code)).or_default() += 1;
            } else if event.surface == "http.unauthenticated_suppressed" {
                let input = event.input_value();
                let codes = input["codes"].as_object().expect("counts by code");
                let sum: u64 = codes.values().map(|count| count.as_u64().expect("a count")).sum();
                assert_eq!(input["count"].as_u64(), Some(sum));
                for (code, count) in codes {
                    *requests.entry((stream.clone(), code.clone())).or_default() +=
                        count.as_u64().expect("a count");
                }
            }
        }
        requests
    }
}
