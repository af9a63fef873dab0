//! Every failure leaves as one envelope, with the ids of its request and a code that the event has too.

mod over_http;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use dataset_events::testing::TestLedger;
use dataset_events::{ErrorCode, Outcome};
use dataset_events_service::{ApiError, Json, Path, Query};
use over_http::{Server, admission, start};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, ErrorCode, thiserror::Error)]
enum OrderError {
    #[error("an order needs at least one line, this has {lines}")]
    #[code("orders.empty", status = 422)]
    Empty { lines: usize },
    #[error("the order is held by u_secret")]
    #[code("orders.held", status = 403)]
    Held,
    #[error("SELECT * FROM orders failed on 10.1.2.3")]
    #[code("orders.internal", retryable)]
    Database,
}

#[derive(Deserialize)]
struct Order {
    lines: usize,
}

async fn create(Json(order): Json<Order>) -> Result<Json<Value>, ApiError> {
    match order.lines {
        0 => Err(OrderError::Empty { lines: 0 })?,
        1 => Err(OrderError::Database)?,
        2 => Err(ApiError::from(OrderError::Held).details(json!({"until": "noon"}))),
        _ => Ok(Json(json!({"lines": order.lines}))),
    }
}

async fn read(Path(id): Path<u32>, Query(order): Query<Order>) -> Json<Value> {
    Json(json!({"id": id, "lines": order.lines}))
}

async fn panics() -> &'static str {
    panic!("the secret of the handler")
}

async fn plain(Path(status): Path<u16>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("x-kept", "yes")], "a text of the inside").into_response()
}

async fn service(ledger: &TestLedger) -> Server {
    let router = Router::new()
        .route("/orders", post(create))
        .route("/orders/{id}", get(read))
        .route("/panics", get(panics))
        .route("/plain/{status}", get(plain));
    start(ledger, router, admission(ledger).build().unwrap()).await
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    error: Value,
    text: String,
}

async fn send(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.bearer_auth("acme~u_1").header("x-request-id", "r_1").send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    assert_eq!(headers["content-type"], "application/json");
    let text = answer.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<_> = body["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 6, "{text}");
    assert_eq!(body["error"]["request_id"], "r_1");
    let trace_id = body["error"]["trace_id"].as_str().unwrap();
    assert!(headers["traceparent"].to_str().unwrap().contains(trace_id));
    Answer { status, headers, error: body["error"].clone(), text }
}

#[tokio::test]
async fn an_error_with_a_code_is_answered_with_its_status_and_recorded_with_its_code() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let post = |lines: usize| client().post(service.url("/orders")).json(&json!({"lines": lines}));
    let empty = send(post(0)).await;
    assert_eq!((empty.status, &empty.error["code"]), (422, &json!("orders.empty")));
    assert_eq!(empty.error["message"], "an order needs at least one line, this has 0");
    let held = send(post(2)).await;
    assert_eq!((held.status, &held.error["details"]), (403, &json!({"until": "noon"})));
    let events = ledger.events_of("http.request");
    assert_eq!((events[0].outcome, events[0].code()), (Outcome::Error, Some("orders.empty")));
    assert_eq!((events[1].outcome, events[1].code()), (Outcome::Denied, Some("orders.held")));
}

#[tokio::test]
async fn a_server_error_says_nothing_of_the_inside() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let failed = send(client().post(service.url("/orders")).json(&json!({"lines": 1}))).await;
    assert_eq!((failed.status, &failed.error["code"]), (500, &json!("orders.internal")));
    assert_eq!(
        (&failed.error["message"], &failed.error["retryable"]),
        (&json!("the service failed"), &json!(true))
    );
    assert!(!failed.text.contains("SELECT") && !failed.text.contains("10.1.2.3"));
}

#[tokio::test]
async fn a_panic_is_answered_and_the_process_serves_on() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    for _ in 0..2 {
        let panicked = send(client().get(service.url("/panics"))).await;
        assert_eq!((panicked.status, &panicked.error["code"]), (500, &json!("internal")));
        assert!(!panicked.text.contains("secret"));
        let last = ledger.events_of("http.request").pop().unwrap();
        assert!(panicked.headers["traceparent"].to_str().unwrap().contains(&last.span_id.to_string()));
    }
    let events = ledger.events_of("http.request");
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.outcome == Outcome::Panic && event.code() == Some("panic")));
    assert_eq!(events[0].output_value(), json!({"status": 500}));
}

#[tokio::test]
async fn refusals_of_the_router_and_of_extractors_are_envelopes() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let at = |path: &str| service.url(path);
    let json = |body: &'static str| {
        client().post(at("/orders")).header("content-type", "application/json").body(body)
    };
    for (request, status, code) in [
        (client().get(at("/nowhere")), 404, "http.route_not_found"),
        (client().delete(at("/orders")), 405, "http.method_not_allowed"),
        (json("{"), 400, "http.invalid_body"),
        (json(r#"{"lines":"many"}"#), 400, "http.invalid_body"),
        (client().post(at("/orders")).body("x"), 415, "http.unsupported_media_type"),
        (client().get(at("/orders/seven?lines=1")), 400, "http.invalid_path"),
        (client().get(at("/orders/7?lines=x")), 400, "http.invalid_query"),
    ] {
        let answer = send(request).await;
        assert_eq!((answer.status, answer.error["code"].as_str().unwrap()), (status, code));
        assert_eq!(ledger.events_of("http.request").last().unwrap().code(), Some(code));
        if status == 405 {
            assert_eq!(answer.headers["allow"], "POST");
        }
    }
}

#[tokio::test]
async fn an_answer_without_an_envelope_gets_one_and_keeps_its_headers() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    for (status, code) in [(409, "http.client_error"), (404, "http.client_error"), (502, "http.server_error")]
    {
        let answer = send(client().get(service.url(&format!("/plain/{status}")))).await;
        assert_eq!((answer.status, answer.error["code"].as_str().unwrap()), (status, code));
        assert_eq!(answer.headers["x-kept"], "yes");
        assert!(!answer.text.contains("inside"));
        assert_eq!(ledger.events_of("http.request").last().unwrap().code(), Some(code));
    }
}
