//! Three replicas of the engines behind a balancer, one of which is killed: what bossman and dashboard show is a fold
//! of all their ledgers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dataset_events::read_models::{Activity, Folded, Window as DashboardWindow};
use dataset_events::{Env, LedgerSet, TenantId};
use dataset_events_examples::panels::BudgetPanel;
use dataset_events_examples::read_models::{Board, BoardState, Window};
use dataset_events_examples::services::{
    Ended, GatewayConfig, Issuer, Secret, ServiceConfig, Start, Started, ledgers_of, start,
};
use dataset_events_service::dashboard::render_panel;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

#[path = "watch/mod.rs"]
mod watch;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOUR: Duration = Duration::from_secs(3_600);

/// A process of the engines service.
struct Replica {
    child: Child,
    /// It lives as long as this is open.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    started: Started,
}

impl Replica {
    async fn start(config: &ServiceConfig) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataset-events-examples"));
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("start a replica");
        let mut input = child.stdin.take().expect("its input");
        let mut line = serde_json::to_vec(&Start::Engines(config.clone())).expect("a config is JSON");
        line.push(b'\n');
        input.write_all(&line).await.expect("tell it what to serve");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = output.next_line().await.expect("read its output").expect("a line");
        let started = serde_json::from_str(&said).unwrap_or_else(|_| panic!("it said {said}"));
        Self { child, input: Some(input), output, started }
    }

    /// As the system does when it is out of memory: no drain, no goodbye.
    async fn kill(mut self) {
        self.child.kill().await.expect("kill it");
    }

    async fn end(mut self) {
        drop(self.input.take());
        let said = self.output.next_line().await.expect("read its output").expect("a line");
        let ended: Ended = serde_json::from_str(&said).unwrap_or_else(|_| panic!("it said {said}"));
        assert!(ended.is_complete);
        let status = self.child.wait().await.expect("its end");
        assert!(status.success(), "{status}");
    }
}

/// Sends each request to the next replica, and to the one after where nobody listens.
struct Balancer {
    replicas: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    served: Mutex<BTreeMap<SocketAddr, usize>>,
    client: reqwest::Client,
}

async fn balance(State(balancer): State<Arc<Balancer>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a small body");
    let replicas = balancer.replicas.lock().expect("not poisoned").clone();
    for _ in &replicas {
        let turn = balancer.next.fetch_add(1, Ordering::Relaxed);
        let replica = replicas[turn % replicas.len()];
        let url = format!("http://{replica}{}", head.uri);
        let mut headers = head.headers.clone();
        headers.remove(header::HOST);
        let sent =
            balancer.client.request(head.method.clone(), url).headers(headers).body(body.clone()).send();
        let Ok(answer) = sent.await else { continue };
        *balancer.served.lock().expect("not poisoned").entry(replica).or_default() += 1;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("the rest of an answer");
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        return response;
    }
    StatusCode::BAD_GATEWAY.into_response()
}

struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await;
        let answer = answer.expect("an answer");
        let (status, body) = (answer.status(), answer.text().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Value) {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let answer = answer.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
    }

    async fn spend(&self, from: usize, to: usize) {
        for turn in from..to {
            let origin = json!({"provider": format!("mill_{}", turn % 4), "model": "small:1", "tool": null});
            let usage = json!({"kind": "manual", "amount": format!("0.{:03}", turn + 1), "origin": origin});
            self.send(reqwest::Method::POST, "/v1/budget/usage", usage).await;
        }
    }
}

/// A fold from zero of all ledgers of the root, by nothing but their files.
fn fold(root: &Path) -> (BoardState, usize) {
    let set = LedgerSet::options().root(ledgers_of(root)).open();
    let scope = set.scope(&TenantId::new("acme").expect("a tenant"), &Env::new("prod").expect("an env"));
    let folded = Folded::in_memory(&scope, Board).expect("fold");
    assert_eq!(folded.last_refresh().unread, []);
    (folded.state().clone(), folded.snapshot().ledgers.len())
}

/// Rows of surfaces that nothing calls any more: looking at the dashboard makes requests.
fn settled(rows: &Value) -> Vec<Value> {
    let rows = rows.as_array().expect("rows").iter();
    rows.filter(|row| row["surface"] != "http.request").cloned().collect()
}

/// Budget and overview of the dashboard are those of a fold from zero.
async fn assert_dashboard(client: &Client, root: &Path) {
    let budget = client.get("/dashboard/api/panels/budget?window=day").await;
    let overview = client.get("/dashboard/api/overview?window=day").await;
    let set = LedgerSet::options().root(ledgers_of(root)).open();
    let scope = set.scope(&TenantId::new("acme").expect("a tenant"), &Env::new("prod").expect("an env"));
    let end_us = |answer: &Value| answer["now_us"].as_i64().expect("a time") + 1;
    let rendered =
        render_panel(&BudgetPanel, &scope, DashboardWindow::Day, end_us(&budget)).expect("rendered");
    assert_eq!(rendered.unread, []);
    assert_eq!(budget["unread"], json!([]));
    assert_eq!(budget["blocks"], serde_json::to_value(&rendered.blocks).expect("blocks are JSON"));
    assert!(budget["blocks"].to_string().contains("mill_3"), "{budget}");

    let activity = Folded::in_memory(&scope, Activity).expect("fold");
    assert_eq!(activity.last_refresh().unread, []);
    let counted = activity.state().window(DashboardWindow::Day, end_us(&overview)).total.by_surface;
    let mut counts = BTreeMap::new();
    for row in settled(&overview["by_surface"]) {
        let surface = row["surface"].as_str().expect("a name").to_owned();
        counts.insert(surface, (row["events"].as_u64(), row["failures"].as_u64()));
    }
    let expected = counted.into_iter().filter(|(surface, _)| surface != "http.request");
    let expected = expected.map(|(surface, row)| (surface, (Some(row.events), Some(row.failures))));
    assert_eq!(counts, expected.collect());
    assert!(counts.contains_key("budget.record_usage"), "{counts:?}");
    assert_eq!(overview["unread"], json!([]));
}

/// Budget and overview of the bossman are those of the fold, and those of the dashboard; answers what was spent.
async fn assert_folded(client: &Client, root: &Path, ledgers: usize) -> (Value, u64) {
    assert_dashboard(client, root).await;
    let shown = client.get("/v1/bossman/budget?hours=24").await;
    let overview = client.get("/v1/bossman/overview?hours=24").await;
    let (state, found) = fold(root);
    assert_eq!(found, ledgers);
    assert_eq!(shown["freshness"]["ledgers"].as_array().map(Vec::len), Some(ledgers));
    let month = shown["month"].as_str().expect("a month");
    let until_us = shown["as_of_us"].as_i64().expect("a time") + 1;
    let budget = serde_json::to_value(state.budget.view(month, Window::hours_until(until_us, 24)));
    for (name, value) in budget.expect("a view is JSON").as_object().expect("an object") {
        assert_eq!(&shown[name], value, "{name}");
    }
    let window: Window = serde_json::from_value(overview["window"].clone()).expect("a window");
    let surfaces = serde_json::to_value(state.calls.counts(window).1.surfaces()).expect("rows are JSON");
    assert_eq!(settled(&overview["by_surface"]), settled(&surfaces));
    let entries = shown["window"]["entries"].as_u64().expect("a number");
    (shown, entries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budget_and_overview_are_a_fold_of_all_ledgers_though_a_replica_was_killed() {
    let root = tempfile::tempdir().expect("make a temporary directory");
    let service = ServiceConfig {
        root: root.path().to_owned(),
        listen: LOOPBACK,
        operations: LOOPBACK,
        service_secret: Secret::random().expect("random bytes"),
        ledger_config: None,
    };
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Replica::start(&service).await);
    }
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.started.listening).collect();
    let balancer = Arc::new(Balancer {
        replicas: Mutex::new(addresses.clone()),
        next: AtomicUsize::new(0),
        served: Mutex::default(),
        client: reqwest::Client::new(),
    });
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("listen");
    let engines_url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(balance).with_state(Arc::clone(&balancer));
    let balancing = tokio::spawn(async move { axum::serve(listener, router).await });
    let issuer = Issuer::start().await.expect("an issuer");
    let gateway = GatewayConfig {
        service: service.clone(),
        users: issuer.user_keys(),
        engines_url,
        requests_per_second: 10_000,
    };
    let gateway = start(&Start::Gateway(gateway)).await.expect("start the gateway");
    let token = issuer.token("acme", "prod", "ops_1", HOUR).expect("a token");
    let client = Client { http: reqwest::Client::new(), url: gateway.url(), token };

    let watch = watch::Watch::of_services(root.path());
    let policy = json!({"limit": "10", "currency": "EUR"});
    client.send(reqwest::Method::PUT, "/v1/budget/policy", policy).await;
    client.spend(0, 30).await;
    let served = balancer.served.lock().expect("not poisoned").clone();
    assert!(served.len() == 3 && served.values().all(|requests| *requests > 5), "{served:?}");
    let killed = replicas.remove(0);
    let killed_ledger = killed.started.ledger_id;
    watch.refresh_all();
    killed.kill().await;
    client.spend(30, 60).await;
    let summary = client.get("/v1/budget/summary").await;
    assert_eq!(summary["kinds"][0]["entries"], 60, "each usage was answered, and none twice");
    for replica in replicas {
        replica.end().await;
    }
    // What the dead one had only in its journal is not in its log yet; all else is.
    let (_, entries) = assert_folded(&client, root.path(), 4).await;
    assert!((40..=60).contains(&entries), "{entries} entries");
    let ledgers = client.get("/v1/bossman/ledgers").await;
    let ledgers = ledgers["ledgers"].as_array().expect("rows").clone();
    let conditions: BTreeMap<&str, usize> = ledgers.iter().fold(BTreeMap::new(), |mut counts, row| {
        *counts.entry(row["condition"].as_str().expect("a condition")).or_default() += 1;
        counts
    });
    assert_eq!(conditions, BTreeMap::from([("closed", 3), ("own", 1)]));
    assert!(ledgers.iter().any(|row| row["ledger_id"] == killed_ledger.to_string().as_str()));

    // Three new ones take over the ledgers of the root, and recover what the journal held.
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Replica::start(&service).await);
    }
    for replica in replicas {
        replica.end().await;
    }
    let (shown, entries) = assert_folded(&client, root.path(), 4).await;
    assert_eq!(entries, 60);
    for name in ["month", "policy", "spent", "remaining", "kinds", "origins"] {
        assert_eq!(shown[name], summary[name], "{name}, as the engine had it");
    }
    // The database is gone, and the answers are the same.
    for name in ["engines.sqlite", "engines.sqlite-wal", "engines.sqlite-shm"] {
        let path = root.path().join(name);
        if path.exists() {
            std::fs::remove_file(path).expect("remove the database");
        }
    }
    let without = client.get("/v1/bossman/budget?hours=24").await;
    for name in ["month", "policy", "spent", "remaining", "kinds", "origins", "months"] {
        assert_eq!(without[name], shown[name], "{name}, without the database");
    }
    gateway.end().await.expect("end the gateway");
    balancing.abort();
    drop(watch);
    assert_eq!(watch::assert_left_is_rebuilt(root.path()), 1, "what the gateway left of the one tenant");
}
