//! The cases of the official test suite of W3C Trace Context that apply to a service, by their names there.
//!
//! A front service forwards each request to a second one, which answers with the headers that it got. Both are
//! reached over real connections, and the front's requests are written byte for byte.

mod cases;
#[path = "../over_http/mod.rs"]
mod over_http;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use cases::{Case, Expect, PARENT, TRACE, traceparent_cases, tracestate_cases};
use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events_service::client::ForwardToken;
use dataset_events_service::{ApiError, Carrier, Ctx, Json};
use over_http::{Server, admission, raw, start};
use serde_json::Value;

#[derive(Clone)]
struct Next {
    url: String,
    carrier: Carrier,
    client: reqwest::Client,
}

async fn echo(request: Request) -> Json<Vec<(String, String)>> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Json(request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}

/// One request to the second service: a call of its own, so a span of its own.
#[dataset_event(surface = "test.forward", error_code = "test.forward_failed")]
async fn forward(ctx: &RequestContext, next: &Next) -> Result<Value, tower::BoxError> {
    let request = next.carrier.prepare(next.client.post(&next.url), ctx).await?;
    Ok(next.client.execute(request).await?.error_for_status()?.json().await?)
}

async fn forward_three_times(State(next): State<Next>, ctx: Ctx) -> Result<Json<Vec<Value>>, ApiError> {
    let mut answers = Vec::new();
    for _ in 0..3 {
        let failed = |_| ApiError::new(dataset_events::Code::new("test.forward_failed"), "it failed");
        answers.push(forward(&ctx, &next).await.map_err(failed)?);
    }
    Ok(Json(answers))
}

struct Harness {
    _ledgers: [TestLedger; 2],
    front: Server,
    _back: Server,
}

/// What the second service saw of one request.
#[derive(Debug)]
struct Seen {
    trace_id: String,
    parent_id: String,
    state: Vec<(String, String)>,
}

impl Harness {
    async fn start() -> Self {
        let ledgers = [TestLedger::with_seed(1), TestLedger::with_seed(2)];
        let router = Router::new().route("/", post(echo));
        let back = start(&ledgers[1], router, admission(&ledgers[1]).build().unwrap()).await;
        let next = Next {
            url: back.url("/"),
            carrier: Carrier::new(ledgers[0].ledger(), "back", ForwardToken),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let router = Router::new().route("/", post(forward_three_times)).with_state(next);
        let front = start(&ledgers[0], router, admission(&ledgers[0]).build().unwrap()).await;
        Self { _ledgers: ledgers, front, _back: back }
    }

    async fn send_all(&self, headers: &[(&str, &str)]) -> Vec<Seen> {
        let mut request = String::from("POST / HTTP/1.1\r\nHost: front\r\nConnection: close\r\n");
        request.push_str("Content-Length: 0\r\nAuthorization: Bearer acme~u_1\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}:{value}\r\n"));
        }
        request.push_str("\r\n");
        let answer = raw(self.front.addr, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{headers:?}: {answer}");
        let answers: Vec<Vec<(String, String)>> = serde_json::from_str(body).unwrap();
        answers.iter().map(|headers| Seen::read(headers)).collect()
    }

    async fn send(&self, headers: &[(&str, &str)]) -> Seen {
        self.send_all(headers).await.swap_remove(0)
    }
}

impl Seen {
    fn read(headers: &[(String, String)]) -> Self {
        let values = |wanted: &str| -> Vec<&str> {
            let named = headers.iter().filter(|(name, _)| name == wanted);
            named.map(|(_, value)| value.as_str()).collect()
        };
        let [parent] = values("traceparent")[..] else { panic!("not one traceparent: {headers:?}") };
        let parts: Vec<&str> = parent.split('-').collect();
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_good =
            parts.len() == 4 && [2, 32, 16, 2].iter().zip(&parts).all(|(digits, part)| is_hex(part, *digits));
        assert!(is_good && parts[0] == "00", "{parent}");
        assert!(
            parts[1].bytes().any(|byte| byte != b'0') && parts[2].bytes().any(|byte| byte != b'0'),
            "{parent}"
        );
        let members = values("tracestate").into_iter().flat_map(|value| value.split(','));
        let state = members.filter(|member| !member.is_empty()).map(|member| {
            let (key, value) = member.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        });
        Self { trace_id: parts[1].to_owned(), parent_id: parts[2].to_owned(), state: state.collect() }
    }

    fn state_of(&self, key: &str) -> Option<&str> {
        self.state.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_of_the_official_suite_hold() {
    let harness = Harness::start().await;
    let cases: Vec<Case> = traceparent_cases().into_iter().chain(tracestate_cases()).collect();
    assert_eq!(cases.len(), 37);
    for Case { name, requests } in cases {
        for (headers, expect) in requests {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let seen = harness.send(&headers).await;
            let is_kept = seen.trace_id == TRACE && seen.parent_id != "1234567890123456";
            // A new trace has nothing of what came in.
            let is_new = !seen.trace_id.contains(&TRACE[..16]);
            let holds = match expect {
                Expect::Kept => is_kept,
                Expect::New => is_new,
                Expect::State(state) => is_kept && seen.state == state,
                Expect::NoState => is_kept && seen.state.is_empty(),
                Expect::NewWithoutState => is_new && seen.state.is_empty(),
            };
            assert!(holds, "{name}: {headers:?} gave {seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_multiple_requests_with_valid_traceparent() {
    let seen = Harness::start().await.send_all(&[("traceparent", PARENT), ("tracestate", "foo=1")]).await;
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.trace_id == TRACE && seen.state_of("foo") == Some("1")), "{seen:?}");
    assert_all_parents_differ(&seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_multiple_requests_without_traceparent() {
    assert_all_parents_differ(&Harness::start().await.send_all(&[]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_multiple_requests_with_illegal_traceparent() {
    let bad = format!("00-{}-1234567890123456-01", "0".repeat(32));
    let seen = Harness::start().await.send_all(&[("traceparent", &bad)]).await;
    assert!(seen.iter().all(|seen| seen.trace_id != "0".repeat(32)));
    assert_all_parents_differ(&seen);
}

fn assert_all_parents_differ(seen: &[Seen]) {
    let parents: std::collections::HashSet<_> = seen.iter().map(|seen| &seen.parent_id).collect();
    assert_eq!(parents.len(), 3, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_are_replaced_are_marked_as_made_up_and_others_are_kept() {
    let harness = Harness::start().await;
    harness.send(&[("traceparent", PARENT), ("x-request-id", "r_42")]).await;
    harness.send(&[("traceparent", "00-bad"), ("x-request-id", "r_43"), ("x-request-id", "r_44")]).await;
    let front = harness._ledgers[0].events_of("http.request");
    let made_up = |at: usize| front[at].synthesized.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!((front[0].request_id.as_ref(), front[0].trace_id.to_string().as_str()), ("r_42", TRACE));
    assert!(made_up(0).is_empty());
    assert_eq!(made_up(1), ["request_id", "trace_id"]);
    let back = harness._ledgers[1].events_of("http.request");
    assert_eq!(back.len(), 6);
    assert!(back[..3].iter().all(|event| event.request_id == front[0].request_id));
    assert!(
        back[3..].iter().all(|event| event.trace_id == front[1].trace_id && event.synthesized.is_empty())
    );
}
