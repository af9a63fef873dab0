//! Health and readiness.

mod over_http;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use dataset_events::Ledger;
use dataset_events::testing::TestLedger;
use dataset_events_service::{HealthChecks, ServeOptions};
use over_http::{Server, admission};
use serde_json::{Value, json};
use tower::ServiceExt as _;

async fn get(service: &Server, path: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(service.url(path)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_service_is_ready_while_every_check_holds() {
    let ledger = TestLedger::new();
    let is_up = Arc::new(AtomicBool::new(true));
    let probe = Arc::clone(&is_up);
    let health = HealthChecks::new(ledger.ledger()).check("database", move || {
        let is_up = probe.load(Ordering::Relaxed);
        async move { if is_up { Ok(()) } else { Err("no connection".to_owned()) } }
    });
    let router = Router::new().layer(admission(&ledger).build().unwrap()).merge(health.router());
    let service = Server::start(&ledger, router, ServeOptions::new()).await;
    let all = json!({"database": {"ok": true}, "index": {"ok": true}, "ledger": {"ok": true}});
    assert_eq!(get(&service, "/readyz").await, (200, json!({"status": "ready", "checks": all})));
    is_up.store(false, Ordering::Relaxed);
    let (status, body) = get(&service, "/readyz").await;
    assert_eq!((status, &body["status"]), (503, &json!("not ready")));
    assert_eq!(body["checks"]["database"], json!({"ok": false, "reason": "no connection"}));
    assert_eq!(get(&service, "/healthz").await.0, 200);
    ledger.assert_empty();
}

#[tokio::test]
async fn a_closed_ledger_and_a_check_that_hangs_are_not_ready() {
    let root = tempfile::tempdir().unwrap();
    let ledger = Ledger::options().root(root.path()).journal_bytes(1 << 20).open().unwrap();
    let health = HealthChecks::new(&ledger).timeout(Duration::from_millis(10));
    let router: Router = health.check("hangs", std::future::pending).router();
    ledger.close().unwrap();
    let request = http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 503);
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["checks"]["ledger"]["reason"], "closed");
    assert_eq!(body["checks"]["hangs"]["reason"], "no answer in 0.01 s");
}
