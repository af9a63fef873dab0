//! Bodies that are too large, too slow, or as large as they may be.

use std::time::Duration;

use dataset_events_examples::services::Patience;
use futures::stream;
use reqwest::{Body, Method};
use serde_json::json;

use super::services_common::World;
use super::services_common::raw::{code, stall, statuses};
use super::{ACME, Expected, NOBODY, assert_refused};

const MIB: usize = 1024 * 1024;

/// A body without a length, in chunks.
fn chunked(bytes: usize) -> Body {
    let chunk = 64 * 1024;
    let chunks = (0..bytes / chunk).map(move |_| Ok::<_, std::io::Error>(vec![b' '; chunk]));
    Body::wrap_stream(stream::iter(chunks))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_above_its_bound_is_refused_with_a_length_and_without() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    // The gateway's own route, and routes of the engines behind it.
    let routes = [
        (Method::POST, "/v1/chat/threads", 2 * MIB),
        (Method::PUT, "/v1/budget/policy", 2 * MIB),
        (Method::POST, "/v1/media", 40 * MIB),
    ];
    let mut expected = Expected::default();
    for (method, path, bytes) in &routes {
        let request = world.request(method.clone(), path, &token).header("content-type", "application/json");
        let answer = world.send(request.body(vec![b' '; *bytes])).await;
        assert_refused(path, &answer, 413, "http.body_too_large");
        expected.add(ACME, "http.body_too_large");
        let request = world.request(method.clone(), path, &token).header("content-type", "application/json");
        let answer = world.send(request.body(chunked(*bytes))).await;
        assert_refused(path, &answer, 413, "http.body_too_large");
        expected.add(ACME, "http.body_too_large");
    }
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.gateway);
    // What the engines saw of a body that the gateway cut is no success, and touched nothing.
    for event in recorded.engines.events.iter().filter(|event| event.tenant_id() == "acme") {
        assert_eq!(event.surface, "http.request");
        assert_ne!(event.outcome, dataset_events::Outcome::Ok, "{event:?}");
    }
}

/// A client with a pool sent its next request into the connection that the server was about to close, and lost
/// it: the refusal of a body that was not read did not say that the connection ends with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_an_unread_body_arrives_and_ends_the_connection() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let mut expected = Expected::default();
    for round in 0..100 {
        let request = world.request(Method::POST, "/v1/chat/threads", &token);
        let request = request.header("content-type", "application/json");
        let body = if round % 2 == 0 { Body::from(vec![b' '; 2 * MIB]) } else { chunked(2 * MIB) };
        let answer = world.send(request.body(body)).await;
        assert_refused("too large", &answer, 413, "http.body_too_large");
        assert_eq!(answer.header("connection"), "close");
        expected.add(ACME, "http.body_too_large");
        let request = world.http.post(format!("{}/v1/chat/threads", world.gateway.url()));
        let answer = world.send(request.body(vec![b' '; 2 * MIB])).await;
        assert_refused("of nobody", &answer, 401, "auth.missing_credentials");
        expected.add(NOBODY, "auth.missing_credentials");
    }
    // A refusal of a body that was read leaves the connection as it is.
    let answer = world.json(Method::POST, "/v1/chat/threads", &token, json!({"title": ""})).await;
    assert_refused("no title", &answer, 422, "chat.invalid_title");
    assert!(answer.headers.iter().all(|(name, _)| name != "connection"), "{answer:?}");
    expected.add(ACME, "chat.invalid_title");
    expected.assert_all_of(&world.end().await.gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_pass_both_services() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    world
        .json(Method::PUT, "/v1/budget/policy", &token, json!({"limit": "1000", "currency": "EUR"}))
        .await
        .ok();
    let bytes: Vec<u8> = (0..10 * MIB).map(|at| (at % 251) as u8).collect();
    for body in
        [Body::from(bytes.clone()), Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>(bytes.clone())]))]
    {
        let stored = world.send(world.request(Method::POST, "/v1/media", &token).body(body)).await.ok();
        let id = stored["info"]["media_id"].as_str().expect("an id").to_owned();
        let fetched = world.get(&format!("/v1/media/{id}"), &token).await;
        assert!(fetched.status == 200 && fetched.body == bytes, "{} {}", fetched.status, fetched.body.len());
    }
    let thread = world.json(Method::POST, "/v1/chat/threads", &token, json!({"title": "images"})).await.ok();
    let path = format!("/v1/chat/threads/{}/images", thread["thread_id"].as_str().expect("an id"));
    let mut image = b"GIF89a\x40\x01\xf0\0".to_vec();
    image.resize(10 * MIB, 0);
    let message = world.send(world.request(Method::POST, &path, &token).body(image)).await.ok();
    assert_eq!(message["content"]["image"]["size_bytes"], 10 * MIB);
    let recorded = world.end().await;
    assert_eq!(recorded.gateway.requests().keys().map(|(_, code)| code.as_str()).collect::<Vec<_>>(), [""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_refused_and_a_slow_head_is_cut_without_an_event() {
    let patience = Patience { head: Duration::from_secs(1), body: Duration::from_millis(300) };
    let world = World::start_with(patience).await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let mut expected = Expected::default();
    for (method, path) in [("POST", "/v1/chat/threads"), ("PUT", "/v1/budget/policy")] {
        for framing in
            ["Content-Length: 100\r\n\r\n{\"ti", "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ti\r\n"]
        {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\n{framing}"
            );
            let answer = stall(to, request.as_bytes()).await;
            let said = (statuses(&answer), code(&answer));
            assert_eq!(said, (vec![408], "http.body_timeout".to_owned()), "{path} {framing}: {answer}");
            expected.add(ACME, "http.body_timeout");
        }
    }
    for head in ["GET /v1/kpis HTTP/1.1\r\nHost: gate", "GET /v1/k", "G", ""] {
        let answer = stall(to, head.as_bytes()).await;
        assert!(["", "HTTP/1.1 408"].iter().any(|start| answer.starts_with(start)), "{answer}");
    }
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.gateway);
    assert!(recorded.engines.events.iter().all(|event| event.surface != "budget.set_policy"));
}
