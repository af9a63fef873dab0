//! What goes wrong around the handler is answered and recorded all the same.

mod over_http;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::{get, post};
use dataset_events::testing::TestLedger;
use dataset_events::{DatasetEvent, Outcome, Scope};
use dataset_events_service::{
    AuthError, Authenticate, BoxFuture, Carried, Credentials, Ctx, Identity, RateLimit, Resolution,
    ResolveScope, Route, RouteTable,
};
use over_http::{NeverAnswers, admission, code, raw, start};
use tokio::sync::Notify;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn router() -> Router {
    Router::new().route("/a", get(|| async { "a" }))
}

fn of_system(ledger: &TestLedger) -> Vec<DatasetEvent> {
    ledger.system_events().into_iter().filter(|event| event.surface == "http.request").collect()
}

struct Panics;

impl Authenticate for Panics {
    fn authenticate<'a>(&'a self, _: Credentials<'a>) -> BoxFuture<'a, Result<Identity, AuthError>> {
        panic!("an authenticator of the test")
    }
}

impl ResolveScope for Panics {
    fn resolve(&self, _: Resolution<'_>) -> Result<Scope, AuthError> {
        panic!("a resolver of the test")
    }
}

#[tokio::test]
async fn a_panic_before_the_handler_is_500_with_ids_and_an_event() {
    let ledger = TestLedger::new();
    for layer in [
        admission(&ledger).authenticate(Panics).build().unwrap(),
        admission(&ledger).resolve_scope(Panics).build().unwrap(),
    ] {
        let service = start(&ledger, router(), layer).await;
        let answer = client().get(service.url("/a")).bearer_auth("acme~u_1").send().await.unwrap();
        let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(code(answer).await, (500, "internal".to_owned()));
        let events = of_system(&ledger);
        let event = events.last().unwrap();
        assert_eq!((event.outcome, event.request_id.as_str()), (Outcome::Panic, &*request_id));
        assert_eq!(event.output_value()["status"], 500);
    }
    assert_eq!(of_system(&ledger).len(), 2);
}

#[tokio::test]
async fn a_panic_in_a_public_route_is_500_and_the_only_thing_recorded_of_it() {
    async fn panics() -> StatusCode {
        panic!("a public route of the test")
    }
    let ledger = TestLedger::new();
    let router = router().route("/public", get(panics));
    let layer = admission(&ledger).public("/public").public("/a").build().unwrap();
    let service = start(&ledger, router, layer).await;
    assert_eq!(client().get(service.url("/a")).send().await.unwrap().status(), 200);
    let answer = client().get(service.url("/public")).send().await.unwrap();
    assert_eq!(code(answer).await, (500, "internal".to_owned()));
    let events = of_system(&ledger);
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].outcome, events[0].input_value()["route"].as_str()),
        (Outcome::Panic, Some("/public"))
    );
}

#[tokio::test]
async fn an_authenticator_that_hangs_is_waited_for_no_longer_than_its_time() {
    let ledger = TestLedger::new();
    let layer = admission(&ledger).authenticate(NeverAnswers(Arc::new(Notify::new())));
    let layer = layer.authentication_time(Duration::from_millis(20)).build().unwrap();
    let service = start(&ledger, router(), layer).await;
    let answer = client().get(service.url("/a")).timeout(Duration::from_secs(180)).send().await.unwrap();
    assert_eq!(code(answer).await, (504, "http.timeout".to_owned()));
    let events = of_system(&ledger);
    assert_eq!((events.len(), events[0].code()), (1, Some("http.timeout")));
}

#[tokio::test]
async fn a_method_that_http_does_not_define_is_not_recorded() {
    let ledger = TestLedger::new();
    let service = start(&ledger, router(), admission(&ledger).build().unwrap()).await;
    let head = "/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer acme~u_1\r\n\r\n";
    let method = format!("PRIVATE{}", "X".repeat(20_000));
    assert!(raw(service.addr, &format!("{method} {head}")).await.contains("http.method_not_allowed"));
    ledger.assert_one("http.request").input("method", "(other)");
    assert!(ledger.lines().iter().all(|line| !line.contains("PRIVATE")));
}

#[tokio::test]
async fn the_flags_of_the_trace_go_out_as_they_came_in_also_to_suppressed_strangers() {
    let ledger = TestLedger::new();
    let layer = admission(&ledger).unauthenticated_per_second(0).build().unwrap();
    let sent = |_: Ctx| async { Carried::current().unwrap().trace_parent().to_string() };
    let service = start(&ledger, router().route("/sent", get(sent)), layer).await;
    for flags in ["00", "01", "02", "03"] {
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let known = client().get(service.url("/sent")).bearer_auth("acme~u_1");
        for request in [known, client().get(service.url("/sent"))] {
            let answer = request.header("traceparent", &parent).send().await.unwrap();
            let answered = answer.headers()["traceparent"].to_str().unwrap().to_owned();
            assert!(answered.ends_with(&format!("-{flags}")), "{parent} was answered {answered}");
            if answer.status() == 200 {
                assert_eq!(answer.text().await.unwrap(), answered);
            }
        }
    }
}

#[tokio::test]
async fn a_body_is_made_in_the_scope_of_its_request() {
    let ledger = TestLedger::new();
    let streams = |ctx: Ctx| async move {
        let part = futures::stream::once(async move {
            let carried = Carried::current();
            let is_of = carried.is_some_and(|carried| carried.context().request_id() == ctx.request_id());
            Ok::<_, std::io::Error>(is_of.to_string())
        });
        Body::from_stream(part)
    };
    let service =
        start(&ledger, Router::new().route("/", get(streams)), admission(&ledger).build().unwrap()).await;
    let answer = client().get(service.url("/")).bearer_auth("acme~u_1").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "true");
}

#[tokio::test]
async fn methods_of_a_template_have_limits_and_counts_of_their_own() {
    let ledger = TestLedger::new();
    let table: RouteTable = RouteTable::new()
        .route(Route::get("/x", || async { "read" }).rate_limit(RateLimit::per_hour(2)))
        .route(Route::post("/x", || async { "written" }).rate_limit(RateLimit::per_hour(4)));
    assert!(table.markdown().contains("| `GET` | `/x` | 2/h |"));
    assert!(table.markdown().contains("| `POST` | `/x` | 4/h |"));
    let layer = admission(&ledger).rate_limits(table.rate_limits()).build().unwrap();
    let service = start(&ledger, table.router(), layer).await;
    let passed = async |method: reqwest::Method| {
        let mut passed = 0;
        for _ in 0..6 {
            let request = client().request(method.clone(), service.url("/x")).bearer_auth("acme~u_1");
            passed += u32::from(request.send().await.unwrap().status() == 200);
        }
        passed
    };
    assert_eq!(passed(reqwest::Method::POST).await, 4);
    assert_eq!(passed(reqwest::Method::GET).await, 2);
    // What GET answers.
    assert_eq!(passed(reqwest::Method::HEAD).await, 0);
}

#[tokio::test]
async fn a_foreign_failure_keeps_its_body_where_that_is_asked_for() {
    let fails = || async { (StatusCode::CONFLICT, [("content-type", "text/turtle")], "of another protocol") };
    let ledger = TestLedger::new();
    let routes = Router::new().route("/foreign", post(fails));
    let service = start(&ledger, routes, admission(&ledger).keep_foreign_errors().build().unwrap()).await;
    let ask = |path: &str| client().post(service.url(path)).bearer_auth("acme~u_1").send();
    let answer = ask("/foreign").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (409, &"text/turtle".parse().unwrap())
    );
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.text().await.unwrap(), "of another protocol");
    ledger.assert_one("http.request").code("http.client_error").output("status", 409);
    assert_eq!(code(ask("/nowhere").await.unwrap()).await, (404, "http.route_not_found".to_owned()));
}
