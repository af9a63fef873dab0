//! The context goes on to the next service, identity only as a token, and its failures come back as values.

mod over_http;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use dataset_events::testing::TestLedger;
use dataset_events::{Code, RequestContext, dataset_event};
use dataset_events_service::client::{BearerToken, CarryError, ForwardToken, TokenRequest};
use dataset_events_service::{
    ApiError, BoxFuture, Carried, Carrier, Ctx, Json, RateLimit, RateLimits, RemoteError, TokenSource,
};
use http::HeaderMap;
use over_http::{Server, admission, start};
use serde_json::{Value, json};
use tower::{BoxError, Layer as _, Service as _, ServiceExt as _};

/// Mints a token of the test's own form for the user of the context.
struct Mint;

impl TokenSource for Mint {
    fn token<'a>(
        &'a self,
        request: TokenRequest<'a>,
    ) -> BoxFuture<'a, Result<Option<BearerToken>, BoxError>> {
        Box::pin(async move {
            let user = request.ctx.user_id().map_or("nobody", |user| user.as_str());
            let token = format!("{}~{user}.for.{}", request.ctx.tenant_id(), request.audience);
            Ok(Some(BearerToken::new(&token)?))
        })
    }
}

#[derive(Clone)]
struct Next {
    url: String,
    carrier: Carrier,
    client: reqwest::Client,
}

async fn who(ctx: Ctx) -> Json<Value> {
    Json(json!({"tenant": ctx.tenant_id(), "user": ctx.user_id(), "request": ctx.request_id()}))
}

async fn fails() -> Result<(), ApiError> {
    Err(ApiError::new(Code::new("budget.exceeded").status(402), "too much").details(json!({"left": 3})))
}

#[dataset_event(surface = "test.ask", error_code = "test.ask_failed")]
async fn ask(ctx: &RequestContext, next: &Next) -> Result<reqwest::Response, BoxError> {
    let request =
        next.client.get(&next.url).header("x-tenant-id", "globex").header("authorization", "Bearer x");
    Ok(next.client.execute(next.carrier.prepare(request, ctx).await?).await?)
}

async fn forward(State(next): State<Next>, ctx: Ctx) -> Result<Json<Value>, ApiError> {
    let failed = |_| ApiError::new(Code::new("test.ask_failed"), "the next service could not be asked");
    let answer = ask(&ctx, &next).await.map_err(failed)?;
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    match RemoteError::from_answer(status, &body) {
        Some(error) => Err(error.to_api_error()),
        None => Ok(Json(serde_json::from_slice(&body).unwrap())),
    }
}

struct Two {
    ledgers: [TestLedger; 2],
    front: Server,
    _back: Server,
}

async fn two(tokens: impl TokenSource, path: &str) -> Two {
    let ledgers = [TestLedger::with_seed(1), TestLedger::with_seed(2)];
    let routes = Router::new().route("/who", get(who)).route("/fails", get(fails));
    let limits = RateLimits::none().route("/fails", RateLimit::per_hour(1));
    let back = start(&ledgers[1], routes, admission(&ledgers[1]).rate_limits(limits).build().unwrap()).await;
    let next = Next {
        url: back.url(path),
        carrier: Carrier::new(ledgers[0].ledger(), "back", tokens),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
    };
    let routes = Router::new().route("/", post(forward)).with_state(next);
    let front = start(&ledgers[0], routes, admission(&ledgers[0]).build().unwrap()).await;
    Two { ledgers, front, _back: back }
}

impl Two {
    async fn send(&self) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(self.front.url("/")).bearer_auth("acme~u_1").send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_token_is_forwarded_and_the_spans_form_one_tree_over_two_ledgers() {
    let two = two(ForwardToken, "/who").await;
    let answer: Value = two.send().await.json().await.unwrap();
    assert_eq!((&answer["tenant"], &answer["user"]), (&json!("acme"), &json!("u_1")));
    let [front, back] = &two.ledgers;
    let (request, ask, next) =
        (front.assert_one("http.request"), front.assert_one("test.ask"), back.assert_one("http.request"));
    assert_eq!(ask.event().parent_span_id, Some(request.event().span_id));
    assert_eq!(next.event().parent_span_id, Some(ask.event().span_id));
    assert_eq!(next.event().trace_id, request.event().trace_id);
    assert_eq!(next.event().request_id, request.event().request_id);
    assert_eq!(next.event().request_id, answer["request"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minted_token_says_the_user_and_the_audience_and_headers_say_nothing() {
    let two = two(Mint, "/who").await;
    let answer: Value = two.send().await.json().await.unwrap();
    // The header `x-tenant-id: globex` was replaced; the tenant is the token's.
    assert_eq!((&answer["tenant"], &answer["user"]), (&json!("acme"), &json!("u_1.for.back")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_next_service_goes_on_and_the_event_says_whose_it_was() {
    let two = two(ForwardToken, "/fails").await;
    let answer = two.send().await;
    assert_eq!(answer.status(), 402);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (&body["error"]["code"], &body["error"]["details"]),
        (&json!("budget.exceeded"), &json!({"left": 3}))
    );
    assert_eq!(over_http::code(two.send().await).await, (503, "remote.unavailable".to_owned()));
    let events = two.ledgers[0].events_of("http.request");
    let codes: Vec<_> = events.iter().filter_map(|event| event.code()).collect();
    assert_eq!(codes, ["remote.refused", "remote.unavailable"]);
    assert_eq!(two.ledgers[1].events_of("http.request")[0].code(), Some("budget.exceeded"));
}

/// What a tower client sends, seen by the service that it calls.
fn seen(
    carrier: &Carrier,
) -> impl tower::Service<Request, Response = HeaderMap, Error = BoxError, Future: Send> + Clone + Send + use<>
{
    let echo =
        tower::service_fn(|request: Request| async move { Ok::<_, Infallible>(request.headers().clone()) });
    carrier.layer(echo)
}

#[tokio::test]
async fn a_tower_client_takes_the_context_of_the_request_or_of_the_task() {
    let ledger = TestLedger::new();
    let carrier = Carrier::new(ledger.ledger(), "back", Mint);
    let ctx = ledger.context("acme", "test").user_id("u_9").request_id("r_9").build().unwrap();
    let mut request = Request::new(Body::empty());
    request.headers_mut().append("x-tenant-id", "globex".parse().unwrap());
    request.headers_mut().append("authorization", "Bearer stolen".parse().unwrap());
    request.extensions_mut().insert(ctx.clone());
    let headers = seen(&carrier).ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(
        (&headers["x-request-id"], &headers["authorization"]),
        (&"r_9".parse().unwrap(), &"Bearer acme~u_9.for.back".parse().unwrap())
    );
    assert!(headers["authorization"].is_sensitive());
    assert_eq!(
        (&headers["x-tenant-id"], &headers["x-env"]),
        (&"acme".parse().unwrap(), &"test".parse().unwrap())
    );
    assert!(headers["traceparent"].to_str().unwrap().contains(&ctx.trace_id().to_string()));
    let refused = seen(&carrier).ready().await.unwrap().call(Request::new(Body::empty())).await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(CarryError::NoContext { .. })), "{refused}");
}

#[tokio::test]
async fn a_spawned_task_is_given_what_the_request_carries() {
    let ledger = TestLedger::new();
    let carrier = Carrier::new(ledger.ledger(), "back", ForwardToken);
    let handler = move |ctx: Ctx| async move {
        let carried = Carried::current().unwrap();
        assert_eq!(carried.context().request_id(), ctx.request_id());
        let sent =
            |carrier: Carrier| async move { seen(&carrier).oneshot(Request::new(Body::empty())).await };
        let without = tokio::spawn(sent(carrier.clone())).await.unwrap();
        let with = tokio::spawn(carried.scope(sent(carrier))).await.unwrap().unwrap();
        assert!(without.is_err());
        format!("{} {}", with["authorization"].to_str().unwrap(), with["tracestate"].to_str().unwrap())
    };
    let router = Router::new().route("/", get(handler));
    let service = start(&ledger, router, admission(&ledger).build().unwrap()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(service.url("/")).bearer_auth("acme~u_1").header("tracestate", "a=1");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = request.header("traceparent", parent).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Bearer acme~u_1 a=1");
}

#[tokio::test]
async fn a_request_without_a_token_to_forward_is_not_sent() {
    let ledger = TestLedger::new();
    let carrier = Carrier::new(ledger.ledger(), "back", ForwardToken);
    let ctx = ledger.context("acme", "test").build().unwrap();
    let refused = carrier.carry(&mut HeaderMap::new(), &ctx).await.unwrap_err();
    assert!(matches!(&refused, CarryError::Token { audience, .. } if audience == "back"), "{refused}");
}

/// Says, while it streams, what is carried on.
async fn streamed() -> Body {
    Body::from_stream(futures::stream::once(async {
        let carried = Carried::current().ok_or("nothing is carried")?;
        let state = carried.trace_state().map(|state| state.as_header().clone());
        Ok::<_, &str>(format!("{} {state:?}", carried.trace_parent()))
    }))
}

/// A call that a streamed answer made lost the `tracestate`, and a trace that was not sampled became one that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_answer_carries_on_what_its_request_brought() {
    let ledger = TestLedger::with_seed(1);
    let router = Router::new().route("/stream", get(streamed));
    let server = start(&ledger, router, admission(&ledger).build().unwrap()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(server.url("/stream")).bearer_auth("acme~u_7");
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    let said = request.header("tracestate", "vendor=1").send().await.unwrap().text().await.unwrap();
    let span_id = ledger.assert_one("http.request").event().span_id;
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span_id}-00");
    assert_eq!(said, format!("{parent} Some(\"vendor=1\")"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_token_acts_in_the_scope_that_was_chosen() {
    let two = two(ForwardToken, "/who").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for tenant in ["globex", "acme"] {
        let request = client.post(two.front.url("/")).bearer_auth("acme+globex~u_1");
        let answer = request.header("x-tenant-id", tenant).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await.unwrap()["tenant"], tenant);
        let events = two.ledgers[1].events_of("http.request");
        assert_eq!(events.last().unwrap().tenant_id(), tenant);
    }
}

#[tokio::test]
async fn a_token_is_not_forwarded_for_another_tenant_of_the_same_trace() {
    let ledger = TestLedger::new();
    let other = ledger.ledger().clone();
    let carrier = Carrier::new(&other, "back", ForwardToken);
    let handler = move |ctx: Ctx| async move {
        let same = other.context("acme", "test").synthesized_trace_id(ctx.trace_id()).build().unwrap();
        let foreign = other.context("globex", "test").synthesized_trace_id(ctx.trace_id()).build().unwrap();
        let mut headers = HeaderMap::new();
        carrier.carry(&mut headers, &same).await.unwrap();
        assert!(headers.contains_key("authorization"));
        let refused = carrier.carry(&mut HeaderMap::new(), &foreign).await.unwrap_err();
        refused.to_string()
    };
    let router = Router::new().route("/", get(handler));
    let service = start(&ledger, router, admission(&ledger).build().unwrap()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(service.url("/")).bearer_auth("acme~u_1").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "get a token for \"back\"");
}
