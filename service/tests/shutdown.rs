//! Serving ends in order, and everything that was answered is in the ledger.

mod over_http;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events::{Health, Ledger, Outcome};
use dataset_events_service::{RateLimit, RateLimits, ServeOptions, serve};
use over_http::{Server, admission};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A handler that says when it has begun and waits until it is let go.
fn gated(began: &Arc<Notify>, go: &Arc<Notify>) -> Router {
    let (began, go) = (Arc::clone(began), Arc::clone(go));
    let handler = move || async move {
        began.notify_one();
        go.notified().await;
        "done"
    };
    Router::new().route("/gated", get(handler))
}

fn request(service: &Server) -> tokio::task::JoinHandle<reqwest::Response> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(service.url("/gated")).bearer_auth("acme~u_1").send();
    tokio::spawn(async { request.await.unwrap() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_finish_while_new_ones_are_not_taken() {
    let ledger = TestLedger::new();
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let layer = admission(&ledger).build().unwrap();
    let options = ServeOptions::new().admission(&layer);
    let service = Server::start(&ledger, gated(&began, &go).layer(layer), options).await;
    let (addr, answer) = (service.addr, request(&service));
    began.notified().await;
    let stopping = tokio::spawn(service.stop());
    // The listener is gone before the request has ended.
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(answer.await.unwrap().text().await.unwrap(), "done");
    let report = stopping.await.unwrap();
    assert_eq!((report.requests, report.in_flight, report.cut), (1, 1, 0));
    assert!(report.drained.is_complete);
    ledger.assert_one("http.request").ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_outlives_the_deadline_is_cut_and_reads_cancelled() {
    let ledger = TestLedger::new();
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let layer = admission(&ledger).build().unwrap();
    let options = ServeOptions::new().admission(&layer).deadline(Duration::from_millis(50));
    let service = Server::start(&ledger, gated(&began, &go).layer(layer), options).await;
    let answer = request(&service);
    began.notified().await;
    let report = service.stop().await;
    assert_eq!((report.in_flight, report.cut), (1, 1));
    assert_eq!(over_http::code(answer.await.unwrap()).await, (503, "http.shutting_down".to_owned()));
    ledger.assert_one("http.request").outcome(Outcome::Cancelled);
}

#[tokio::test]
async fn what_was_only_counted_is_told_before_the_end() {
    let ledger = TestLedger::new();
    let limits = RateLimits::default_limit(RateLimit::per_hour(1));
    let hour = Duration::from_secs(3_600);
    let layer = admission(&ledger).rate_limits(limits).refusal_interval(hour).build().unwrap();
    let router = Router::new().route("/a", get(|| async { "a" }));
    let options = ServeOptions::new().admission(&layer);
    let service = Server::start(&ledger, router.layer(layer), options).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..8 {
        client.get(service.url("/a")).bearer_auth("acme~u_1").send().await.unwrap();
    }
    let report = service.stop().await;
    // One passed, one refusal had its own event, six waited.
    assert_eq!(report.suppressed.rate_limited, 6);
    ledger.assert_count("http.request", 3);
}

#[tokio::test]
async fn the_ledger_is_closed_with_every_answer_in_it() {
    let root = tempfile::tempdir().unwrap();
    let ledger = Ledger::options().root(root.path()).journal_bytes(1 << 20).open().unwrap();
    let path = ledger.path().unwrap().to_owned();
    let layer = dataset_events_service::Admission::builder(&ledger)
        .authenticate(over_http::TestTokens)
        .resolve_scope(over_http::NamedScope)
        .env(over_http::ENV)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let options = ServeOptions::new().admission(&layer).shutdown_on(async move { stopped.notified().await });
    let router = Router::new().route("/a", get(|| async { "a" })).layer(layer);
    let served = tokio::spawn(serve(listener, router, ledger.clone(), options));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..25 {
        assert_eq!(client.get(&url).bearer_auth("acme~u_1").send().await.unwrap().status(), 200);
    }
    stop.notify_one();
    let report = served.await.unwrap().unwrap();
    assert_eq!((report.requests, report.in_flight), (25, 0));
    assert_eq!(ledger.health(), Health::Closed);
    let reader = dataset_events::LedgerReader::open(path).unwrap();
    let tenant = dataset_events::TenantId::from_static("acme");
    assert_eq!(reader.scope(&tenant, &over_http::ENV).events().count().unwrap(), 25);
}
