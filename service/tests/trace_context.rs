//! The cases of the official test suite of W3C Trace Context that apply to a service, by their names there.
//!
//! A front service forwards each request to a second one, which answers with the headers that it got. Both are
//! reached over real connections, and the front's requests are written byte for byte.

mod over_http;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events_service::client::ForwardToken;
use dataset_events_service::{ApiError, Carrier, Ctx, Json};
use over_http::{Server, admission, raw, start};
use serde_json::Value;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

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

/// What a case expects of the second service's headers.
enum Expect {
    /// The trace goes on, under another parent.
    Kept,
    /// There is a new trace.
    New,
    /// The trace goes on with these members, in this order.
    State(Vec<(String, String)>),
    /// The trace goes on without any member.
    NoState,
    /// There is a new trace without any member.
    NewWithoutState,
}

use Expect::{Kept, New, NewWithoutState, NoState};

struct Case {
    name: &'static str,
    requests: Vec<(Vec<(&'static str, String)>, Expect)>,
}

fn parents(name: &'static str, values: &[&str], expect: fn() -> Expect) -> Case {
    let requests = values.iter().map(|value| (vec![("traceparent", (*value).to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

fn with_parent_name(name: &'static str, headers: &[&'static str], expect: fn() -> Expect) -> Case {
    let requests = headers.iter().map(|header| (vec![(*header, PARENT.to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

/// Requests with a good traceparent and these `tracestate` headers.
fn states(name: &'static str, requests: Vec<(Vec<String>, Expect)>) -> Case {
    let requests = requests.into_iter().map(|(values, expect)| {
        let mut headers = vec![("traceparent", PARENT.to_owned())];
        headers.extend(values.into_iter().map(|value| ("tracestate", value)));
        (headers, expect)
    });
    Case { name, requests: requests.collect() }
}

fn named_states(name: &'static str, headers: &[&'static str], expect: fn() -> Expect) -> Case {
    let requests = headers
        .iter()
        .map(|header| (vec![("traceparent", PARENT.to_owned()), (*header, "foo=1".to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

fn members(pairs: &[(&str, &str)]) -> Expect {
    Expect::State(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn lines(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn traceparent_cases() -> Vec<Case> {
    let with = |trace: &str, parent: &str, flags: &str| format!("00-{trace}-{parent}-{flags}");
    let bad = |name, values: &[String]| {
        parents(name, &values.iter().map(String::as_str).collect::<Vec<_>>(), || New)
    };
    let good_parent = "1234567890123456";
    vec![
        Case { name: "test_both_traceparent_and_tracestate_missing", requests: vec![(vec![], New)] },
        parents("test_traceparent_included_tracestate_missing", &[PARENT], || Kept),
        Case {
            name: "test_traceparent_duplicated",
            requests: vec![(
                vec![
                    ("traceparent", with("12345678901234567890123456789011", good_parent, "01")),
                    ("traceparent", with(TRACE, good_parent, "01")),
                ],
                New,
            )],
        },
        with_parent_name("test_traceparent_header_name", &["trace-parent", "trace.parent"], || New),
        with_parent_name(
            "test_traceparent_header_name_valid_casing",
            &["TraceParent", "TrAcEpArEnT", "TRACEPARENT"],
            || Kept,
        ),
        bad(
            "test_traceparent_version_0x00",
            &[format!("{PARENT}."), format!("{PARENT}-what-the-future-will-be-like")],
        ),
        Case {
            name: "test_traceparent_version_0xcc",
            requests: [
                ("", true),
                ("-what-the-future-will-be-like", true),
                (".what-the-future-will-be-like", false),
            ]
            .map(|(rest, is_kept)| {
                let value = format!("cc-{TRACE}-{good_parent}-01{rest}");
                (vec![("traceparent", value)], if is_kept { Kept } else { New })
            })
            .into(),
        },
        bad("test_traceparent_version_0xff", &[format!("ff-{TRACE}-{good_parent}-01")]),
        bad(
            "test_traceparent_version_illegal_characters",
            &[format!(".0-{TRACE}-{good_parent}-01"), format!("0.-{TRACE}-{good_parent}-01")],
        ),
        bad(
            "test_traceparent_version_too_long",
            &[format!("000-{TRACE}-{good_parent}-01"), format!("0000-{TRACE}-{good_parent}-01")],
        ),
        bad("test_traceparent_version_too_short", &[format!("0-{TRACE}-{good_parent}-01")]),
        bad("test_traceparent_trace_id_all_zero", &[with(&"0".repeat(32), good_parent, "01")]),
        bad(
            "test_traceparent_trace_id_illegal_characters",
            &[
                with(".2345678901234567890123456789012", good_parent, "01"),
                with("1234567890123456789012345678901.", good_parent, "01"),
            ],
        ),
        bad("test_traceparent_trace_id_too_long", &[with(&format!("{TRACE}3"), good_parent, "01")]),
        bad("test_traceparent_trace_id_too_short", &[with(&TRACE[..31], good_parent, "01")]),
        bad("test_traceparent_parent_id_all_zero", &[with(TRACE, &"0".repeat(16), "01")]),
        bad(
            "test_traceparent_parent_id_illegal_characters",
            &[with(TRACE, ".234567890123456", "01"), with(TRACE, "123456789012345.", "01")],
        ),
        bad("test_traceparent_parent_id_too_long", &[with(TRACE, "12345678901234567", "01")]),
        bad("test_traceparent_parent_id_too_short", &[with(TRACE, "123456789012345", "01")]),
        bad(
            "test_traceparent_trace_flags_illegal_characters",
            &[with(TRACE, good_parent, ".0"), with(TRACE, good_parent, "0.")],
        ),
        bad("test_traceparent_trace_flags_too_long", &[with(TRACE, good_parent, "001")]),
        bad("test_traceparent_trace_flags_too_short", &[with(TRACE, good_parent, "1")]),
        parents(
            "test_traceparent_ows_handling",
            &[
                &format!(" {PARENT}"),
                &format!("\t{PARENT}"),
                &format!("{PARENT} "),
                &format!("{PARENT}\t"),
                &format!("\t {PARENT} \t"),
            ],
            || Kept,
        ),
    ]
}

fn tracestate_cases() -> Vec<Case> {
    let only_foo = || members(&[("foo", "1")]);
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let key_with_vendor = format!("{key}@a-z0-9_-*/");
    let value: String = (0x20..=0x7e_u8).filter(|byte| !b",=".contains(byte)).map(char::from).collect();
    let bars = |range: std::ops::RangeInclusive<u32>| {
        range.map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",")
    };
    let bars_expected = Expect::State((1..=32).map(|n| (format!("bar{n:02}"), format!("{n:02}"))).collect());
    let bar_lines = |last| vec![bars(1..=10), bars(11..=20), bars(21..=30), bars(31..=last)];
    let three = || members(&[("foo", "1"), ("bar", "2"), ("baz", "3")]);
    let dropped = |values: &[&str]| values.iter().map(|value| (lines(&[value]), NoState)).collect::<Vec<_>>();
    let with_foo = |second: String| vec!["foo=1".to_owned(), second];
    vec![
        Case {
            name: "test_tracestate_included_traceparent_missing",
            requests: ["foo=1", "foo=1,bar=2"]
                .map(|state| (vec![("tracestate", state.to_owned())], NewWithoutState))
                .into(),
        },
        states(
            "test_tracestate_included_traceparent_included",
            vec![(lines(&["foo=1,bar=2"]), members(&[("foo", "1"), ("bar", "2")]))],
        ),
        named_states("test_tracestate_header_name", &["trace-state", "trace.state"], || NoState),
        named_states(
            "test_tracestate_header_name_valid_casing",
            &["TraceState", "TrAcEsTaTe", "TRACESTATE"],
            || members(&[("foo", "1")]),
        ),
        states(
            "test_tracestate_empty_header",
            vec![
                (lines(&[""]), NoState),
                (lines(&["foo=1", ""]), only_foo()),
                (lines(&["", "foo=1"]), only_foo()),
            ],
        ),
        states(
            "test_tracestate_multiple_headers_different_keys",
            vec![(
                lines(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]),
                members(&[("foo", "1"), ("bar", "2"), ("rojo", "1"), ("congo", "2"), ("baz", "3")]),
            )],
        ),
        states(
            "test_tracestate_duplicated_keys",
            vec![
                (lines(&["foo=1,foo=1"]), NoState),
                (lines(&["foo=1,foo=2"]), NoState),
                (lines(&["foo=1", "foo=1"]), NoState),
                (lines(&["foo=1", "foo=2"]), NoState),
            ],
        ),
        states(
            "test_tracestate_all_allowed_characters",
            vec![
                (vec![format!("{key}={value}")], members(&[(key, &value)])),
                (vec![format!("{key_with_vendor}={value}")], members(&[(&key_with_vendor, &value)])),
            ],
        ),
        states(
            "test_tracestate_ows_handling",
            vec![
                (lines(&["foo=1 \t , \t bar=2, \t baz=3"]), three()),
                (lines(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"]), three()),
                (lines(&[" foo=1"]), only_foo()),
                (lines(&["\tfoo=1"]), only_foo()),
                (lines(&["foo=1 "]), only_foo()),
                (lines(&["foo=1\t"]), only_foo()),
                (lines(&["\t foo=1 \t"]), only_foo()),
            ],
        ),
        states("test_tracestate_key_illegal_characters", dropped(&["foo =1", "FOO=1", "foo.bar=1"])),
        states(
            "test_tracestate_key_illegal_vendor_format",
            dropped(&["foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"]),
        ),
        states(
            "test_tracestate_member_count_limit",
            vec![(bar_lines(32), bars_expected), (bar_lines(33), NoState)],
        ),
        states(
            "test_tracestate_key_length_limit",
            vec![
                (
                    with_foo(format!("{}=1", "z".repeat(256))),
                    members(&[("foo", "1"), (&"z".repeat(256), "1")]),
                ),
                (with_foo(format!("{}=1", "z".repeat(257))), NoState),
                (
                    with_foo(format!("{}@{}=1", "t".repeat(241), "v".repeat(14))),
                    members(&[("foo", "1"), (&format!("{}@{}", "t".repeat(241), "v".repeat(14)), "1")]),
                ),
                (with_foo(format!("{}@v=1", "t".repeat(242))), NoState),
                (with_foo(format!("t@{}=1", "v".repeat(15))), NoState),
            ],
        ),
        states("test_tracestate_value_illegal_characters", dropped(&["foo=bar=baz", "foo=,bar=3"])),
    ]
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
                Kept => is_kept,
                New => is_new,
                Expect::State(state) => is_kept && seen.state == state,
                NoState => is_kept && seen.state.is_empty(),
                NewWithoutState => is_new && seen.state.is_empty(),
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
