//! Bodies and times are bounded, and each refusal has its code in the answer and in the event.

mod over_http;

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use dataset_events::testing::TestLedger;
use dataset_events::{Outcome, RequestContext, dataset_event};
use dataset_events_service::{ApiError, Ctx, Json, Limits, RouteLimits, ServeOptions};
use over_http::{Server, admission, code, raw, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[dataset_event(surface = "test.waits", cannot_fail = "it waits for ever")]
async fn waits(ctx: &RequestContext) {
    std::future::pending::<()>().await;
}

async fn service(ledger: &TestLedger) -> Server {
    let router = Router::new()
        .route("/bytes", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/json", post(|Json(_): Json<serde_json::Value>| async { "ok" }))
        .route(
            "/swallows",
            post(|body: Result<Bytes, _>| async move {
                let _: Result<Bytes, axum::extract::rejection::BytesRejection> = body;
                Ok::<_, ApiError>("swallowed")
            }),
        )
        .route("/slow", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/waits", post(|ctx: Ctx| async move { waits(&ctx).await }));
    // Long enough for a request to reach its handler, and for a body that breaks off to do so in time.
    let short = Duration::from_secs(1);
    let limits = RouteLimits::new(Limits::new().body_bytes(1_000))
        .route("/slow", Limits::new().body_time(short))
        .route("/waits", Limits::new().answer_time(short));
    start(ledger, router, admission(ledger).limits(limits).build().unwrap()).await
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn last_code(ledger: &TestLedger) -> String {
    let events = ledger.events_of("http.request");
    events.last().unwrap().code().unwrap().to_owned()
}

#[tokio::test]
async fn a_body_that_says_to_be_too_large_is_refused_before_it_is_read() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let head = "POST /bytes HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer acme~u_1\r\n\
                Content-Length: 1001\r\n\r\n";
    assert!(raw(service.addr, head).await.starts_with("HTTP/1.1 413"));
    assert_eq!(last_code(&ledger), "http.body_too_large");
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_whatever_the_handler_makes_of_it() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    for path in ["/bytes", "/json", "/swallows"] {
        let parts = (0..11).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100]));
        let body = reqwest::Body::wrap_stream(futures::stream::iter(parts));
        let request = client().post(service.url(path)).bearer_auth("acme~u_1");
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(code(answer).await, (413, "http.body_too_large".to_owned()), "{path}");
        assert_eq!(last_code(&ledger), "http.body_too_large");
    }
    let fits = client().post(service.url("/bytes")).bearer_auth("acme~u_1").body(vec![0; 1_000]);
    assert_eq!(fits.send().await.unwrap().text().await.unwrap(), "1000");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let part = "POST /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer acme~u_1\r\n\
                Content-Length: 10\r\n\r\nhalf";
    let answer = raw(service.addr, part).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("http.body_timeout"), "{answer}");
    assert_eq!(last_code(&ledger), "http.body_timeout");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped_and_its_calls_are_cancelled() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let answer = client().post(service.url("/waits")).bearer_auth("acme~u_1").send().await.unwrap();
    assert_eq!(code(answer).await, (504, "http.timeout".to_owned()));
    assert_eq!(last_code(&ledger), "http.timeout");
    ledger.assert_one("test.waits").outcome(Outcome::Cancelled);
}

async fn service_with(ledger: &TestLedger, options: ServeOptions) -> Server {
    let router = Router::new().route("/bytes", post(|| async { "ok" }));
    Server::start(ledger, router.layer(admission(ledger).build().unwrap()), options).await
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_the_server_and_records_nothing() {
    let ledger = TestLedger::new();
    let service = service_with(&ledger, ServeOptions::new().header_bytes(8 * 1024)).await;
    let large = format!("POST /bytes HTTP/1.1\r\nHost: a\r\nx-large: {}\r\n\r\n", "x".repeat(20_000));
    assert!(raw(service.addr, &large).await.starts_with("HTTP/1.1 431"));
    assert_eq!(service.stop().await.requests, 0);
    ledger.assert_empty();
}

#[tokio::test]
async fn a_head_that_is_too_slow_ends_the_connection_and_records_nothing() {
    let ledger = TestLedger::new();
    let service = service_with(&ledger, ServeOptions::new().header_time(Duration::from_millis(50))).await;
    for begun in ["", "P", "POST /bytes HTTP/1.1\r\nHost: a\r\nx-slow: "] {
        let mut stream = TcpStream::connect(service.addr).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{begun:?}");
    }
    assert_eq!(service.stop().await.requests, 0);
    ledger.assert_empty();
}

/// Whatever the handler makes of it: the client broke the body, not the service behind the handler.
#[tokio::test]
async fn a_body_that_breaks_off_has_one_code_on_every_route() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    for (sent, path) in ["/bytes", "/json", "/swallows", "/slow"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(service.addr).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme~u_1\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"half\":"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // Until the service is done with the connection.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        let events = ledger.events_of("http.request");
        assert_eq!(events.len(), sent + 1, "{path}");
        assert_eq!(last_code(&ledger), "http.body_broken", "{path}");
    }
}

#[tokio::test]
async fn a_wrongly_framed_body_is_refused_as_the_clients_mistake() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let request = "POST /bytes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme~u_1\r\n\
                   Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n";
    let answer = raw(service.addr, request).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("http.body_broken"), "{answer}");
    assert_eq!(last_code(&ledger), "http.body_broken");
}
