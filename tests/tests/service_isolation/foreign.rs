//! What belongs to another tenant is answered exactly as what never was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use dataset_events::TraceParent;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::services_common::{Answer, Recorded, World};

const TENANTS: usize = 50;
/// How many of them ask at once: a control that did not answer in time would tell nothing about isolation.
const AT_ONCE: usize = 8;

/// What a tenant has, by ids that a stranger could have got hold of.
#[derive(Debug, Clone)]
struct Own {
    tenant: String,
    user: String,
    token: String,
    thread: String,
    media: String,
    lock: String,
    document: String,
    kpi: String,
    trace: String,
    request: String,
}

async fn create(world: &World, index: usize) -> Own {
    let (tenant, user) = (format!("tenant-{index}"), format!("u_{index}"));
    let token = world.issuer.token(&tenant, "prod", &user);
    let put = async |path: &str, body| world.json(Method::PUT, path, &token, body).await;
    let post = async |path: &str, body| world.json(Method::POST, path, &token, body).await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    put("/v1/budget/policy", json!({"limit": "100000", "currency": "EUR"})).await.ok();
    let created = post("/v1/chat/threads", json!({"title": "ours"})).await;
    let request = created.header("x-request-id").to_owned();
    let parent: TraceParent = created.header("traceparent").parse().expect("a traceparent");
    let thread = text(&created.ok()["thread_id"]);
    let path = format!("/v1/chat/threads/{thread}/messages");
    world.json(Method::POST, &path, &token, json!({"body": "The harbour is ours."})).await.ok();
    let upload = world.request(Method::POST, "/v1/media", &token).body(format!("bytes of tenant {index}"));
    let media = text(&world.send(upload).await.ok()["info"]["media_id"]);
    let lock = json!({"strategy": "freeze", "pattern": "media.store", "reason": "ours"});
    let lock = text(&post("/v1/strategy-locks", lock).await.ok()["lock_id"]);
    let document = format!("document-{index}");
    let body = json!({"title": "ours", "text": "The harbour is ours."});
    put(&format!("/v1/vector/documents/{document}"), body).await.ok();
    let kpi = format!("kpi_{index}");
    put(&format!("/v1/kpis/{kpi}"), json!({"unit": "ms", "direction": "lower_is_better"})).await.ok();
    let trace = parent.trace_id().to_string();
    Own { tenant, user, token, thread, media, lock, document, kpi, trace, request }
}

/// The id with another last digit: nobody has it, and it stands at the same place in any order.
fn beside(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 1);
    format!("{start}{}", if last == "0" { "1" } else { "0" })
}

/// The same kinds of ids, which nobody ever had.
fn nobodys(of: &Own, index: usize) -> Own {
    Own {
        thread: beside(&of.thread),
        media: beside(&of.media),
        lock: beside(&of.lock),
        document: format!("document-never-{index}"),
        kpi: format!("kpi_never_{index}"),
        trace: beside(&of.trace),
        request: format!("never-{index}"),
        ..of.clone()
    }
}

/// Every way to ask for what has an id, with the ids of `other`.
fn asks<'a>(world: &'a World, token: &'a str, other: &'a Own) -> Vec<(String, RequestBuilder)> {
    let (Own { thread, media, lock, .. }, seen) = (other, json!({"expected_version": 1}));
    let requests = [
        (Method::GET, format!("/v1/chat/threads/{thread}/messages"), None),
        (Method::POST, format!("/v1/chat/threads/{thread}/messages"), Some(json!({"body": "mine?"}))),
        (Method::POST, format!("/v1/chat/threads/{thread}/reply"), None),
        (Method::GET, format!("/v1/chat/threads?after={thread}"), None),
        (Method::GET, format!("/v1/media/{media}"), None),
        (Method::POST, format!("/v1/media/{media}/verify"), None),
        (Method::POST, format!("/v1/strategy-locks/{lock}/approve"), Some(seen.clone())),
        (Method::POST, format!("/v1/strategy-locks/{lock}/withdraw"), Some(seen.clone())),
        (Method::POST, format!("/v1/strategy-locks/{lock}/release"), Some(seen)),
        (Method::DELETE, format!("/v1/vector/documents/{}", other.document), None),
        (Method::GET, format!("/v1/kpis/{}/latest", other.kpi), None),
        (Method::POST, format!("/v1/kpis/{}/readings", other.kpi), Some(json!({"value": "1", "at_us": 1}))),
        (Method::GET, format!("/v1/bossman/traces/{}", other.trace), None),
        (Method::GET, format!("/v1/bossman/events?trace_id={}", other.trace), None),
        (Method::GET, format!("/v1/bossman/events?request_id={}", other.request), None),
    ];
    let mut asks: Vec<_> = requests
        .into_iter()
        .map(|(method, path, body)| {
            let request = world.request(method.clone(), &path, token);
            let request = match body {
                Some(body) => request.json(&body),
                None => request,
            };
            (format!("{method} {path}"), request)
        })
        .collect();
    let image = world.request(Method::POST, &format!("/v1/chat/threads/{thread}/images"), token);
    asks.push(("an image".to_owned(), image.body(&b"GIF89a\x40\x01\xf0\0"[..])));
    asks
}

/// An answer without what must differ: the ids that were asked for, and those of the request itself.
fn comparable(answer: &Answer, asked: &Own) -> (u16, Vec<String>, String) {
    let mut text = answer.text();
    let mut own: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(page) = own.as_object_mut().filter(|page| page.contains_key("as_of_us")) {
        // When the dashboard was read.
        page.remove("as_of_us");
        text = own.to_string();
    }
    let of_request = ["request_id", "trace_id"].map(|name| own["error"][name].as_str().unwrap_or_default());
    let ids =
        [&asked.thread, &asked.media, &asked.lock, &asked.document, &asked.kpi, &asked.trace, &asked.request];
    for id in ids.into_iter().map(String::as_str).chain(of_request) {
        if !id.is_empty() {
            text = text.replace(id, "(id)");
        }
    }
    let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    (answer.status, names, text)
}

/// Asks for the ids of the next tenant and for ids of nobody; gives how many requests that was.
async fn ask_next(world: &World, own: &Own, next: &Own, index: usize) -> usize {
    let never = nobodys(next, index);
    let foreign = asks(world, &own.token, next);
    let nothing = asks(world, &own.token, &never);
    let count = foreign.len() + nothing.len();
    for ((name, foreign), (_, nothing)) in foreign.into_iter().zip(nothing) {
        let began = Instant::now();
        let (first, second) = (world.send(foreign).await, world.send(nothing).await);
        let took = began.elapsed();
        let said = (comparable(&first, next), comparable(&second, &never));
        assert_eq!(said.0, said.1, "{name} of {} is told apart, after {took:?}", next.tenant);
        let is_empty = first.status == 200 && !first.text().contains(next.user.as_str());
        assert!(is_empty || (400..500).contains(&first.status), "{name}: {} {}", first.status, first.text());
    }
    count
}

/// No event of a tenant's stream is of somebody else's user, and nobody's own things were touched.
fn assert_streams(recorded: &Recorded, all: &[Own]) {
    let users: HashMap<&str, &str> = all.iter().map(|own| (&*own.tenant, &*own.user)).collect();
    let mut tenants = HashMap::new();
    for event in recorded.events().filter(|event| !event.scope().is_system()) {
        let user = event.user_id().map(|user| user.as_str());
        assert_eq!(user, users.get(event.tenant_id()).copied(), "{event:?}");
        *tenants.entry(event.tenant_id()).or_insert(0_usize) += 1;
    }
    assert_eq!(tenants.len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_another_tenant_is_answered_as_one_that_never_was() {
    let world = Arc::new(World::start().await);
    let all = (0..TENANTS).map(|index| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { create(&world, index).await })
    });
    let mut owns = Vec::new();
    for own in all.collect::<Vec<_>>() {
        owns.push(own.await.expect("created"));
    }
    let owns = Arc::new(owns);
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let asking = (0..TENANTS).map(|index| {
        let (world, owns, free) = (Arc::clone(&world), Arc::clone(&owns), Arc::clone(&free));
        tokio::spawn(async move {
            let _turn = free.acquire().await.expect("never closed");
            ask_next(&world, &owns[index], &owns[(index + 1) % TENANTS], index).await
        })
    });
    let mut asked = 0;
    for one in asking.collect::<Vec<_>>() {
        asked += one.await.expect("the same answers");
    }
    assert_eq!(asked, TENANTS * 16 * 2);
    // Everything is still there, for those whose it is.
    for own in owns.iter() {
        let messages = world.get(&format!("/v1/chat/threads/{}/messages", own.thread), &own.token).await.ok();
        assert_eq!(messages.as_array().map(Vec::len), Some(1), "{messages}");
        let locks = world.get("/v1/strategy-locks?state=proposed", &own.token).await.ok();
        assert_eq!(locks[0]["lock_id"], *own.lock);
        let query = json!({"text": "harbour", "top_k": 50});
        let hits = world.json(Method::POST, "/v1/vector/query", &own.token, query).await.ok();
        assert_eq!(hits.as_array().map(Vec::len), Some(1), "{hits}");
    }
    let recorded = Arc::into_inner(world).expect("nobody asks any more").end().await;
    assert_streams(&recorded, &owns);
}
