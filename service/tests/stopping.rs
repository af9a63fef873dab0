//! What a service says and cuts while it stops: ids, bodies, streams of HTTP/2, readiness, idle connections.

mod over_http;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events::{DatasetEvent, Outcome};
use dataset_events_service::{Ctx, HealthChecks, ServeOptions};
use futures::StreamExt as _;
use over_http::http2::{HEADERS, Http2};
use over_http::{NeverAnswers, Server, admission};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Begins an answer, and ends it when it is let go.
fn routes(began: &Arc<Notify>, go: &Arc<Notify>) -> Router {
    let (began_head, began_body) = (Arc::clone(began), Arc::clone(began));
    let (go_head, go_body) = (Arc::clone(go), Arc::clone(go));
    let head = move |_: Ctx| async move {
        began_head.notify_one();
        go_head.notified().await;
        "done"
    };
    let body = move |_: Ctx| async move {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("first") });
        let rest = futures::stream::once(async move {
            began_body.notify_one();
            go_body.notified().await;
            Ok("last")
        });
        Body::from_stream(first.chain(rest))
    };
    Router::new().route("/head", get(head)).route("/body", get(body))
}

async fn start(ledger: &TestLedger, router: Router, deadline: Duration) -> Server {
    let layer = admission(ledger).build().unwrap();
    let options = ServeOptions::new().admission(&layer).deadline(deadline);
    Server::start(ledger, router.layer(layer), options).await
}

const SHORT: Duration = Duration::from_millis(50);
/// Long enough for a connection to be used in time.
const IDLE: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_cut_request_has_the_ids_of_its_event() {
    let ledger = TestLedger::new();
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = start(&ledger, routes(&began, &go), SHORT).await;
    let request = client().get(service.url("/head")).bearer_auth("acme~u_1").send();
    let answer = tokio::spawn(request);
    began.notified().await;
    assert_eq!(service.stop().await.cut, 1);
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    let event = ledger.assert_one("http.request").outcome(Outcome::Cancelled);
    let event = event.event();
    assert_eq!(answer.headers()["x-request-id"], event.request_id.as_str());
    let parent = format!("00-{}-{}-01", event.trace_id, event.span_id);
    assert_eq!(answer.headers()["traceparent"], parent.as_str());
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "http.shutting_down");
    assert_eq!(body["error"]["request_id"], event.request_id.as_str());
    assert_eq!(body["error"]["trace_id"], event.trace_id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_cut_while_it_is_authenticated_did_not_leave() {
    let ledger = TestLedger::new();
    let asked = Arc::new(Notify::new());
    let layer = admission(&ledger).authenticate(NeverAnswers(Arc::clone(&asked))).build().unwrap();
    let options = ServeOptions::new().admission(&layer).deadline(SHORT);
    let router = Router::new().route("/a", get(|| async { "a" })).layer(layer);
    let service = Server::start(&ledger, router, options).await;
    let answer = tokio::spawn(client().get(service.url("/a")).bearer_auth("acme~u_1").send());
    asked.notified().await;
    assert_eq!(service.stop().await.cut, 1);
    let answer = answer.await.unwrap().unwrap();
    let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(over_http::code(answer).await, (503, "http.shutting_down".to_owned()));
    let is_request = |event: &DatasetEvent| event.surface == "http.request";
    let events: Vec<_> = ledger.system_events().into_iter().filter(is_request).collect();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].code(), events[0].request_id.as_str()), (Some("http.shutting_down"), &*request_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_streams_on_is_in_flight_until_it_ends() {
    let ledger = TestLedger::new();
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = start(&ledger, routes(&began, &go), LONG).await;
    let answer = client().get(service.url("/body")).bearer_auth("acme~u_1").send().await.unwrap();
    began.notified().await;
    let addr = service.addr;
    let stopping = tokio::spawn(service.stop());
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(answer.text().await.unwrap(), "firstlast");
    let report = stopping.await.unwrap();
    assert_eq!((report.in_flight, report.cut), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_outlives_the_deadline_breaks_off_and_was_cut() {
    let ledger = TestLedger::new();
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = start(&ledger, routes(&began, &go), SHORT).await;
    let answer = client().get(service.url("/body")).bearer_auth("acme~u_1").send().await.unwrap();
    began.notified().await;
    let report = service.stop().await;
    assert_eq!((report.in_flight, report.cut), (1, 1));
    assert!(answer.text().await.is_err(), "half an answer was taken for a whole one");
    ledger.assert_one("http.request").ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_http_2_are_cut_and_counted_as_other_requests() {
    for (path, outcome) in [("/head", Outcome::Cancelled), ("/body", Outcome::Ok)] {
        let ledger = TestLedger::new();
        let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let service = start(&ledger, routes(&began, &go), SHORT).await;
        let mut client = Http2::connect(service.addr).await;
        client.get(path, "acme~u_1").await;
        began.notified().await;
        let report = service.stop().await;
        assert_eq!((report.requests, report.in_flight, report.cut), (1, 1, 1), "{path}");
        assert_eq!(client.frames_of(1).await.first(), Some(&HEADERS), "{path}");
        ledger.assert_one("http.request").outcome(outcome);
    }
}

#[tokio::test]
async fn an_idle_connection_of_http_2_is_closed_also_when_it_was_used() {
    let ledger = TestLedger::new();
    let layer = admission(&ledger).build().unwrap();
    let options = ServeOptions::new().admission(&layer).header_time(IDLE);
    let router = Router::new().route("/a", get(|| async { "a" })).layer(layer);
    let service = Server::start(&ledger, router, options).await;
    let mut client = Http2::connect(service.addr).await;
    client.get("/a", "acme~u_1").await;
    let frames = tokio::time::timeout(LONG, client.frames_of(1)).await.expect("the connection stays");
    assert_eq!(frames.first(), Some(&HEADERS));
    assert_eq!(service.stop().await.requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_beyond_the_bound_waits_until_one_ends() {
    let ledger = TestLedger::new();
    let served = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&served);
    let route = move |Path(name): Path<String>| async move {
        log.lock().unwrap().push(name);
        "ok"
    };
    let router = Router::new().route("/{name}", get(route));
    let service = Server::start(&ledger, router, ServeOptions::new().max_connections(1)).await;
    let mut first = TcpStream::connect(service.addr).await.unwrap();
    let mut ask = async |name: &str| {
        first.write_all(format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            first.read_buf(&mut answer).await.unwrap();
        }
    };
    ask("first").await;
    let (addr, request) = (service.addr, "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut second = TcpStream::connect(addr).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..200 {
        ask("first").await;
    }
    drop(first);
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    let served = served.lock().unwrap();
    assert_eq!(served.len(), 202);
    assert_eq!(served[201], "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_is_not_ready_and_takes_requests_for_a_while() {
    let ledger = TestLedger::new();
    let checks = HealthChecks::new(ledger.ledger());
    let operations = Server::start(&ledger, checks.clone().router(), ServeOptions::new()).await;
    let layer = admission(&ledger).build().unwrap();
    let options = ServeOptions::new().admission(&layer).health(&checks).stop_delay(Duration::from_secs(8));
    let router = Router::new().route("/a", get(|| async { "a" })).layer(layer);
    let service = Server::start(&ledger, router, options).await;
    let ready = async || client().get(operations.url("/readyz")).send().await.unwrap();
    assert_eq!(ready().await.status(), 200);
    let url = service.url("/a");
    let stopping = tokio::spawn(service.stop());
    let refused = tokio::time::timeout(LONG, async {
        loop {
            let answer = ready().await;
            if answer.status() == 503 {
                return answer.json::<Value>().await.unwrap();
            }
        }
    });
    let refused = refused.await.expect("the service stays ready while it stops");
    assert_eq!(refused["checks"]["service"]["reason"], "stopping");
    assert_eq!(client().get(&url).bearer_auth("acme~u_1").send().await.unwrap().status(), 200);
    assert_eq!(stopping.await.unwrap().requests, 1);
    assert_eq!(ready().await.status(), 503);
}
