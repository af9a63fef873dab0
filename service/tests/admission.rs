//! One event for each request, in the scope that its credentials are good for.

mod over_http;

use std::sync::Arc;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Extension, Router};
use dataset_events::testing::{TestLedger, coverage};
use dataset_events::{DatasetEvent, Guarantee, Outcome, RequestContext, dataset_event, surfaces};
use dataset_events_service::{AddressRange, Ctx, Identity};
use over_http::{Server, admission, code, raw, start};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[dataset_event(surface = "test.inner", access = "read", cannot_fail = "it gives a constant")]
async fn inner(ctx: &RequestContext) -> u32 {
    7
}

async fn by_extractor(ctx: Ctx) -> String {
    format!("{} {}", ctx.tenant_id(), inner(&ctx).await)
}

async fn by_extension(
    Extension(ctx): Extension<RequestContext>,
    Extension(who): Extension<Identity>,
) -> String {
    format!("{} {}", ctx.user_id().unwrap(), who.tenants.len())
}

async fn service(ledger: &TestLedger) -> Server {
    let router = Router::new()
        .route("/things/{id}", get(by_extractor))
        .route("/who", post(by_extension))
        .route("/healthz", get(|| async { "live" }));
    start(ledger, router, admission(ledger).public("/healthz").build().unwrap()).await
}

fn strangers(ledger: &TestLedger) -> Vec<DatasetEvent> {
    ledger.system_events().into_iter().filter(|event| event.surface == "http.request").collect()
}

#[tokio::test]
async fn a_request_is_one_event_with_its_template_status_and_client_and_never_its_path() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let url = service.url("/things/private-17?token=private-q");
    let request = client().get(url).bearer_auth("acme~u_1").header("user-agent", "probe/1");
    let answer = request.send().await.unwrap();
    let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let traceparent = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(answer.text().await.unwrap(), "acme 7");
    let request = ledger.assert_one("http.request").ok();
    let event = request.event();
    assert_eq!((event.tenant_id(), event.env()), ("acme", "test"));
    assert_eq!(event.input_value(), serde_json::json!({"method": "GET", "route": "/things/{id}"}));
    assert_eq!(event.output_value(), serde_json::json!({"status": 200}));
    let client = event.client.as_ref().unwrap();
    assert_eq!(client.ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(client.user_agent.as_deref(), Some("probe/1"));
    assert_eq!(event.user_id().unwrap(), &"u_1");
    assert_eq!(event.request_id, request_id.as_str());
    assert_eq!(traceparent, format!("00-{}-{}-01", event.trace_id, event.span_id));
    let inner = ledger.assert_one("test.inner");
    assert_eq!(inner.event().parent_span_id, Some(event.span_id));
    assert!(ledger.lines().iter().all(|line| !line.contains("private-")));
    let site = surfaces().find(|site| site.surface == "http.request").unwrap();
    assert_eq!(site.guarantee, Guarantee::Intent);
}

#[tokio::test]
async fn handlers_find_context_and_identity_among_the_extensions() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let answer = client().post(service.url("/who")).bearer_auth("acme~u_2").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "u_2 1");
}

#[tokio::test]
async fn a_foreign_scope_is_refused_in_the_stream_of_the_authenticated_tenant() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let ask = |tenants: &str, named: Option<&str>| {
        let mut request = client().post(service.url("/who")).bearer_auth(format!("{tenants}~u_1"));
        if let Some(named) = named {
            request = request.header("x-tenant-id", named);
        }
        async { code(request.send().await.unwrap()).await }
    };
    assert_eq!(ask("acme", Some("globex")).await, (403, "auth.scope_mismatch".to_owned()));
    assert_eq!(ask("acme", Some("$system")).await, (403, "auth.scope_mismatch".to_owned()));
    assert_eq!(ask("acme+initech", None).await, (400, "auth.scope_required".to_owned()));
    let events = ledger.events_of("http.request");
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|event| event.tenant_id() == "acme" && event.user_id().is_some_and(|user| *user == "u_1"))
    );
    assert_eq!((events[0].outcome, events[0].code()), (Outcome::Denied, Some("auth.scope_mismatch")));
    assert!(strangers(&ledger).is_empty());
    let named = client().post(service.url("/who")).bearer_auth("acme+initech~u_1");
    let answer = named.header("x-tenant-id", "initech").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(ledger.events_of("http.request")[3].tenant_id(), "initech");
}

#[tokio::test]
async fn requests_without_an_identity_are_events_of_system_and_say_nothing_of_a_user() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let answer = client().post(service.url("/who")).send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(code(answer).await, (401, "auth.missing_credentials".to_owned()));
    let answer = client().post(service.url("/who")).bearer_auth("forged").send().await.unwrap();
    assert_eq!(code(answer).await, (401, "auth.invalid_token".to_owned()));
    let twice = "POST /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\
                 Authorization: Bearer acme~u_1\r\nAuthorization: Bearer globex~u_2\r\n\r\n";
    assert!(raw(service.addr, twice).await.contains("auth.malformed_credentials"));
    ledger.assert_empty();
    let events = strangers(&ledger);
    let codes: Vec<_> = events.iter().filter_map(DatasetEvent::code).collect();
    assert_eq!(codes, ["auth.missing_credentials", "auth.invalid_token", "auth.malformed_credentials"]);
    assert!(events.iter().all(|event| event.user_id().is_none() && event.outcome == Outcome::Denied));
    assert!(ledger.lines().iter().all(|line| !line.contains("forged")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_strangers_is_bounded_and_none_is_lost_from_the_count() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    let client = client();
    let requests = (0..400).map(|_| {
        let request = client.post(service.url("/who")).send();
        async { assert_eq!(request.await.unwrap().status(), 401) }
    });
    futures::future::join_all(requests).await;
    service.stop().await;
    let told: u64 = ledger
        .system_events()
        .iter()
        .filter(|event| event.surface == "http.unauthenticated_suppressed")
        .map(|event| event.input_value()["count"].as_u64().unwrap())
        .sum();
    let recorded = strangers(&ledger).len() as u64;
    assert_eq!(recorded + told, 400);
    assert!(told > 0, "{recorded} of 400 were recorded");
}

#[tokio::test]
async fn a_public_route_asks_nobody_and_records_nothing() {
    let ledger = TestLedger::new();
    let service = service(&ledger).await;
    assert_eq!(client().get(service.url("/healthz")).send().await.unwrap().status(), 200);
    ledger.assert_empty();
    assert!(strangers(&ledger).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_the_request_and_what_it_runs() {
    #[dataset_event(surface = "test.waits", cannot_fail = "it waits for ever")]
    async fn waits(ctx: &RequestContext, began: &Notify) {
        began.notify_one();
        std::future::pending::<()>().await;
    }
    let ledger = TestLedger::new();
    let began = Arc::new(Notify::new());
    let (left, mut has_left) = tokio::sync::mpsc::channel::<()>(1);
    let handler = {
        let began = Arc::clone(&began);
        move |ctx: Ctx| async move {
            // Dropped with the handler, when the client has left.
            let _left = left;
            waits(&ctx, &began).await;
        }
    };
    let router = Router::new().route("/waits", get(handler));
    let service = start(&ledger, router, admission(&ledger).build().unwrap()).await;
    let mut stream = TcpStream::connect(service.addr).await.unwrap();
    let request = "GET /waits HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme~u_1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    began.notified().await;
    drop(stream);
    // The handler itself lives in the router until the service stops; its clone goes with the request.
    let report = service.stop().await;
    assert_eq!(has_left.recv().await, None);
    assert_eq!(report.cut, 0);
    ledger.assert_one("http.request").outcome(Outcome::Cancelled);
    ledger.assert_one("test.waits").outcome(Outcome::Cancelled);
}

#[tokio::test]
async fn a_trusted_proxy_says_the_client() {
    let ledger = TestLedger::new();
    let router = Router::new().route("/who", post(by_extension));
    let proxy: AddressRange = "127.0.0.0/8".parse().unwrap();
    let service = start(&ledger, router, admission(&ledger).trusted_proxy(proxy).build().unwrap()).await;
    let request = client().post(service.url("/who")).bearer_auth("acme~u_1");
    request.header("x-forwarded-for", "198.51.100.66, 203.0.113.7").send().await.unwrap();
    let event = ledger.assert_one("http.request");
    assert_eq!(event.event().client.as_ref().unwrap().ip.as_deref(), Some("203.0.113.7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_while_it_is_asked_who_it_is_has_its_event() {
    struct Slow(Arc<Notify>);
    impl dataset_events_service::Authenticate for Slow {
        fn authenticate<'a>(
            &'a self,
            _credentials: dataset_events_service::Credentials<'a>,
        ) -> dataset_events_service::BoxFuture<'a, Result<Identity, dataset_events_service::AuthError>>
        {
            self.0.notify_one();
            Box::pin(std::future::pending())
        }
    }
    let ledger = TestLedger::new();
    let asked = Arc::new(Notify::new());
    let router = Router::new().route("/who", post(by_extension));
    let layer = admission(&ledger).authenticate(Slow(Arc::clone(&asked))).build().unwrap();
    let service = start(&ledger, router, layer).await;
    let request = client().post(service.url("/who")).timeout(Duration::from_secs(180)).send();
    let request = tokio::spawn(request);
    asked.notified().await;
    request.abort();
    service.stop().await;
    let events = strangers(&ledger);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].code(), Some("http.disconnected"));
}

/// Reads of the dashboard are held by its own tests.
#[test]
fn requests_are_seen_to_succeed_and_to_fail() {
    let seen = coverage::of_this_test_binary(&[]).unwrap();
    let mut requests = seen.surfaces.iter().filter(|surface| surface.surface == "http.request");
    let request = requests.next().expect("the surface of a request is linked");
    assert!(request.is_ok && request.has_failed && requests.next().is_none(), "{seen}");
}
