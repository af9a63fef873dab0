//! When the gateway is ready: with its users' keys at hand and the engines service there.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use dataset_events_examples::services::{Issuer, Running, UserKeys};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::common::Services;

/// Status and checks of `/readyz`.
async fn readiness(service: &Running) -> (u16, Value) {
    let url = format!("http://{}/readyz", service.started().operations);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(url).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let report: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    (status, report["checks"].clone())
}

/// The issuer's keys at another place, which counts how often they are fetched.
async fn counted(issuer: &Issuer) -> (UserKeys, Arc<AtomicU64>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let users = issuer.user_keys();
    let keys = client.get(&users.jwks_url).send().await.expect("the keys").text().await.expect("a text");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let jwks_url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let fetches = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&fetches);
    let router = Router::new().route(
        "/keys",
        get(move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            ([("content-type", "application/json")], keys)
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    (UserKeys { jwks_url, ..users }, fetches)
}

#[tokio::test]
async fn a_gateway_has_its_keys_before_it_takes_requests_and_is_ready_while_the_engines_are_there() {
    let issuer = Issuer::start().await.expect("start the issuer");
    let (users, fetches) = counted(&issuer).await;
    let services = Services::with_users(issuer, users).await;
    assert_eq!(fetches.load(Ordering::Relaxed), 1, "fetched while it started");
    let (status, checks) = readiness(&services.gateway).await;
    assert_eq!(status, 200, "{checks}");
    for check in ["ledger", "index", "user_keys", "engines"] {
        assert_eq!(checks[check]["ok"], true, "{check}: {checks}");
    }
    let answer = services.ask("GET", "/v1/kpis", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(fetches.load(Ordering::Relaxed), 1, "neither the check nor the request fetched them again");
    let (status, checks) = readiness(&services.engines).await;
    assert_eq!(status, 200, "{checks}");

    let Services { engines, gateway, .. } = services;
    engines.end().await.expect("end the engines");
    let (status, checks) = readiness(&gateway).await;
    assert_eq!((status, &checks["engines"]["ok"]), (503, &Value::Bool(false)), "{checks}");
    assert_eq!(checks["user_keys"]["ok"], true, "{checks}");
    gateway.end().await.expect("end the gateway");
}

#[tokio::test]
async fn a_gateway_without_keys_starts_and_is_not_ready() {
    let issuer = Issuer::start().await.expect("start the issuer");
    // A port that nobody listens on any more.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let jwks_url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    drop(listener);
    let users = UserKeys { jwks_url, ..issuer.user_keys() };
    let services = Services::with_users(issuer, users).await;
    let (status, checks) = readiness(&services.gateway).await;
    assert_eq!((status, &checks["user_keys"]["ok"]), (503, &Value::Bool(false)), "{checks}");
    let reason = "fetch the JWK set: the server cannot be reached, or takes too long";
    assert_eq!(checks["user_keys"]["reason"], reason);
    assert_eq!(checks["engines"]["ok"], true, "{checks}");
}

/// The operators' port is for both; where clients ask, the engines say that they live and no more.
#[tokio::test]
async fn the_engines_say_that_they_live_without_being_told_who_asks() {
    let services = Services::start().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{}/healthz", services.engines.url())).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.expect("a body")), (200, String::new()));
    let answer = services.ask("GET", "/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "the gateway hands nothing of it on: {answer}");
}
