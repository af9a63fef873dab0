//! Every request can be followed through both services: one tenant, env, user, trace and request id, one tree.

mod services_common;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dataset_events::{DatasetEvent, EventId, Outcome, SpanId, TraceId, TraceParent};
use dataset_events_tests::seed::{Numbers, of_this_run};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use services_common::{Answer, Recorded, World};

const CLIENTS: usize = 32;
const REQUESTS: usize = 1_000;
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
const ENVS: [&str; 2] = ["prod", "staging"];
const USERS: [&str; 3] = ["u_1", "u_2", "u_3"];
/// A PNG that ends inside its header: the parser panics.
const BROKEN_PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// What a client sent, and what each event of it must say.
#[derive(Debug, Clone)]
struct Sent {
    tenant: &'static str,
    env: &'static str,
    user: &'static str,
    request_id: String,
    trace_id: TraceId,
    /// The client's own span; without one, the gateway made up the trace.
    parent: Option<SpanId>,
    /// Whether the engines take part.
    crosses: bool,
    what: &'static str,
}

/// One user of one scope, with a thread of messages.
struct User {
    tenant: &'static str,
    env: &'static str,
    user: &'static str,
    token: String,
    thread: String,
}

struct Ids(Numbers);

impl Ids {
    fn new(seed: u64) -> Self {
        Self(Numbers::new(seed))
    }

    fn parent(&mut self) -> TraceParent {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.0.number().to_be_bytes());
        let trace_id = TraceId::from_bytes(bytes).expect("not zero");
        let span_id = SpanId::from_bytes((self.0.number() | 1).to_be_bytes()).expect("not zero");
        TraceParent::new(trace_id, span_id, true)
    }

    fn request_id(&mut self) -> String {
        format!("req-{:016x}", self.0.number())
    }
}

/// One request of the mixture: its name, whether it reaches the engines, and itself.
fn mixed(world: &World, user: &User, at: usize) -> (&'static str, bool, RequestBuilder) {
    let json = |method, path: &str, body| world.request(method, path, &user.token).json(&body);
    let get = |path: &str| world.request(Method::GET, path, &user.token);
    let thread = format!("/v1/chat/threads/{}", user.thread);
    let words = format!("The {at} ships of the harbour report good numbers.");
    match at % 12 {
        0 => ("message", true, json(Method::POST, &format!("{thread}/messages"), json!({"body": words}))),
        1 => {
            let policy = json!({"limit": "100000", "currency": "EUR"});
            ("policy", true, json(Method::PUT, "/v1/budget/policy", policy))
        }
        2 => {
            let document = json!({"title": "Harbour", "text": words});
            ("ingest", true, json(Method::PUT, &format!("/v1/vector/documents/d{}", at % 7), document))
        }
        3 => {
            let query = json!({"text": "numbers of the harbour", "top_k": 3});
            ("query", true, json(Method::POST, "/v1/vector/query", query))
        }
        4 => {
            let upload = world.request(Method::POST, "/v1/media", &user.token);
            ("media", true, upload.header("content-type", "text/plain").body(words))
        }
        5 | 11 => ("reply", true, json(Method::POST, &format!("{thread}/reply"), json!(null))),
        6 => ("kpis", true, get("/v1/kpis")),
        7 => ("switch", true, get("/v1/kill-switches/chat")),
        8 => ("messages", false, get(&format!("{thread}/messages"))),
        9 => ("refused", true, get(&format!("/v1/media/{}", "0".repeat(64)))),
        _ => {
            let image = world.request(Method::POST, &format!("{thread}/images"), &user.token);
            ("panic", false, image.body(BROKEN_PNG))
        }
    }
}

/// Every scope may spend, and every user has a thread with a text in it.
async fn users(world: &World) -> Vec<User> {
    let mut users = Vec::new();
    for tenant in TENANTS {
        for env in ENVS {
            for user in USERS {
                let token = world.issuer.token(tenant, env, user);
                let policy = json!({"limit": "100000", "currency": "EUR"});
                world.json(Method::PUT, "/v1/budget/policy", &token, policy).await.ok();
                let title = json!({"title": "Ships"});
                let thread = world.json(Method::POST, "/v1/chat/threads", &token, title).await.ok();
                let thread = thread["thread_id"].as_str().expect("an id").to_owned();
                let path = format!("/v1/chat/threads/{thread}/messages");
                let text = json!({"body": "The harbour is full of ships. The ships carry grain."});
                world.json(Method::POST, &path, &token, text).await.ok();
                users.push(User { tenant, env, user, token, thread });
            }
        }
    }
    users
}

fn is_expected(what: &str, answer: &Answer) -> bool {
    match what {
        "panic" => answer.status == 500 && answer.code() == "internal",
        "refused" => answer.status == 404 && answer.code() == "media.not_found",
        "reply" => answer.status == 200 && answer.text().contains("\"done\""),
        _ => answer.status == 200,
    }
}

/// Sends the mixture from many clients at once; `has_ids` says whether a request brings ids of its own.
async fn send(world: &Arc<World>, requests: usize, seed: u64, has_ids: bool) -> Vec<Sent> {
    let users = Arc::new(users(world).await);
    let next = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|client| {
        let (world, users, next) = (Arc::clone(world), Arc::clone(&users), Arc::clone(&next));
        tokio::spawn(async move {
            let mut ids = Ids::new(seed.wrapping_add(client as u64 * 1_000_003));
            let mut sent = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= requests {
                    return sent;
                }
                let user = &users[(at / 12 + at) % users.len()];
                let (what, crosses, mut request) = mixed(&world, user, at);
                let (parent, request_id) = (ids.parent(), ids.request_id());
                if has_ids {
                    request = request.header("traceparent", parent.to_string());
                    request = request.header("x-request-id", &request_id);
                }
                let answer = world.send(request).await;
                assert!(is_expected(what, &answer), "{what}: {} {}", answer.status, answer.text());
                let said: TraceParent = answer.header("traceparent").parse().expect("a traceparent");
                let said_id = answer.header("x-request-id").to_owned();
                if has_ids {
                    assert_eq!((said.trace_id(), &said_id), (parent.trace_id(), &request_id));
                }
                sent.push(Sent {
                    tenant: user.tenant,
                    env: user.env,
                    user: user.user,
                    request_id: said_id,
                    trace_id: said.trace_id(),
                    parent: has_ids.then_some(parent.span_id()),
                    crosses,
                    what,
                });
            }
        })
    });
    let mut sent = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        sent.extend(client.await.expect("no client fails"));
    }
    sent
}

/// The events of both ledgers, found by a key.
struct Found<'a, K>(HashMap<K, Vec<(Service, &'a DatasetEvent)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Gateway,
    Engines,
}

impl<'a, K: Eq + std::hash::Hash> Found<'a, K> {
    fn by(recorded: &'a Recorded, key: impl Fn(&'a DatasetEvent) -> K) -> Self {
        let mut found: HashMap<K, Vec<_>> = HashMap::new();
        for (service, ledger) in
            [(Service::Gateway, &recorded.gateway), (Service::Engines, &recorded.engines)]
        {
            for event in &ledger.events {
                found.entry(key(event)).or_default().push((service, event));
            }
        }
        Self(found)
    }

    fn of(&self, key: &K) -> &[(Service, &'a DatasetEvent)] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

fn ids(events: &[(Service, &DatasetEvent)]) -> BTreeSet<EventId> {
    events.iter().map(|(_, event)| event.event_id).collect()
}

/// Checks that the spans of a request are one tree under the client's span, and that what the engines did hangs
/// on what the gateway did.
fn assert_tree(sent: &Sent, events: &[(Service, &DatasetEvent)]) {
    let by_span: HashMap<SpanId, (Service, &DatasetEvent)> =
        events.iter().map(|(service, event)| (event.span_id, (*service, *event))).collect();
    assert_eq!(by_span.len(), events.len(), "a span id stands twice: {sent:?}");
    let roots: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.parent_span_id.is_none_or(|parent| !by_span.contains_key(&parent)))
        .collect();
    let surfaces: Vec<_> = roots.iter().map(|(service, event)| (service, &event.surface)).collect();
    assert_eq!(roots.len(), 1, "one root, and every other parent is known: {sent:?}: {surfaces:?}");
    let (service, root) = roots[0];
    assert_eq!((*service, root.surface.as_str()), (Service::Gateway, "http.request"), "{sent:?}");
    assert_eq!(root.parent_span_id, sent.parent, "the root hangs on the client's span: {sent:?}");
    for (service, event) in events {
        // Up to the root in no more steps than there are spans: no cycle.
        let (mut at, mut steps) = (event.span_id, 0);
        while at != root.span_id {
            at = by_span[&at].1.parent_span_id.expect("only the root has none");
            steps += 1;
            assert!(steps < events.len(), "a cycle of spans: {sent:?}");
        }
        if *service == Service::Engines && event.surface == "http.request" {
            let (parent, _) = by_span[&event.parent_span_id.expect("not the root")];
            assert_eq!(parent, Service::Gateway, "{sent:?}");
        }
    }
    assert_eq!(events.iter().any(|(service, _)| *service == Service::Engines), sent.crosses, "{sent:?}");
}

/// Checks each request against both ledgers; gives how many events that is.
fn assert_followed(recorded: &Recorded, all: &[Sent]) -> usize {
    let by_trace = Found::by(recorded, |event| event.trace_id);
    let by_request = Found::by(recorded, |event| event.request_id.as_str());
    let mut seen = HashSet::new();
    let mut by_what: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = 0;
    for sent in all {
        assert!(seen.insert(sent.trace_id), "two requests have one trace");
        let events = by_trace.of(&sent.trace_id);
        assert_eq!(ids(events), ids(by_request.of(&sent.request_id.as_str())), "{sent:?}");
        for (service, event) in events {
            let said = (event.tenant_id(), event.env(), event.user_id().map(|user| user.as_str()));
            assert_eq!(said, (sent.tenant, sent.env, Some(sent.user)), "{service:?} {}", event.surface);
            assert_eq!((event.trace_id, event.request_id.as_str()), (sent.trace_id, &*sent.request_id));
            // Made up where no ids came in, which is at the gateway; the engines got them.
            let expected: &[&str] = match (service, sent.parent) {
                (Service::Gateway, None) => &["request_id", "trace_id"],
                _ => &[],
            };
            assert_eq!(event.synthesized, expected, "{service:?} {}", event.surface);
        }
        assert_tree(sent, events);
        let panics = events.iter().filter(|(_, event)| event.outcome == Outcome::Panic).count();
        assert_eq!(panics > 0, sent.what == "panic", "{sent:?}");
        *by_what.entry(sent.what).or_default() += 1;
        count += events.len();
    }
    assert_eq!(by_what.len(), 11, "the whole mixture was sent: {by_what:?}");
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_are_each_one_tree_through_both_services() {
    let world = Arc::new(World::start().await);
    let sent = send(&world, REQUESTS, of_this_run(), true).await;
    let world = Arc::into_inner(world).expect("no client is left");
    let recorded = world.end().await;
    assert_eq!(sent.len(), REQUESTS);
    // At least the gateway's event, and two more where the engines take part.
    assert!(assert_followed(&recorded, &sent) > 3 * REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_made_up_at_the_gateway_are_marked_there_and_are_those_of_the_engines() {
    let world = Arc::new(World::start().await);
    let sent = send(&world, 120, of_this_run(), false).await;
    let world = Arc::into_inner(world).expect("no client is left");
    assert!(assert_followed(&world.end().await, &sent) > 3 * 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_its_client_leaves_is_one_tree_all_the_same() {
    let world = World::start().await;
    let users = users(&world).await;
    let mut ids = Ids::new(of_this_run());
    let mut all = Vec::new();
    for user in &users {
        let (parent, request_id) = (ids.parent(), ids.request_id());
        let path = format!("/v1/chat/threads/{}/reply", user.thread);
        let request = world.request(Method::POST, &path, &user.token);
        let request = request.header("traceparent", parent.to_string()).header("x-request-id", &request_id);
        let mut response = request.send().await.expect("an answer");
        assert!(response.chunk().await.expect("a first word").is_some());
        drop(response);
        let User { tenant, env, user, .. } = *user;
        let (trace_id, parent) = (parent.trace_id(), Some(parent.span_id()));
        all.push(Sent { tenant, env, user, request_id, trace_id, parent, crosses: true, what: "left" });
    }
    let recorded = world.end().await;
    let by_trace = Found::by(&recorded, |event| event.trace_id);
    let mut cancelled = 0;
    for sent in &all {
        let events = by_trace.of(&sent.trace_id);
        assert_tree(sent, events);
        let stream = events.iter().find(|(_, event)| event.surface == "chat.stream_reply");
        cancelled += usize::from(stream.expect("an event").1.outcome == Outcome::Cancelled);
    }
    assert!(cancelled > 0, "a reply of several words takes longer than leaving after the first");
}
