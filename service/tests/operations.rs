//! `docs/operations.md` names metrics that there are.

mod over_http;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events_service::MetricsEndpoint;
use over_http::{admission, start};

fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
    let words = text.split(|character: char| !is_name(character));
    words
        .filter(|word| word.starts_with("dataset_events_"))
        .map(|word| word.trim_end_matches("_bucket"))
        .collect()
}

#[tokio::test]
async fn each_metric_in_the_document_is_served_and_each_that_is_served_by_this_crate_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("../docs/operations.md")).unwrap();
    let ledger = TestLedger::new();
    let endpoint = MetricsEndpoint::new(ledger.ledger()).unwrap();
    // A series for each code: there from the first refusal on.
    let layer = admission(&ledger).unauthenticated_per_second(0).build().unwrap();
    let service = start(&ledger, Router::new().route("/a", get(|| async { "a" })), layer).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(service.url("/a")).send().await.unwrap().status(), 401);
    assert_eq!(client.get(service.url("/a")).bearer_auth("acme~u_1").send().await.unwrap().status(), 200);
    ledger.flush();
    let served = endpoint.render();
    let served = names(&served);
    let named = names(&document);
    assert!(named.len() > 15, "{named:?}");
    let unknown: Vec<_> = named.difference(&served).collect();
    assert!(unknown.is_empty(), "docs/operations.md names {unknown:?}, which are not served");
    let own = served.iter().filter(|name| name.starts_with("dataset_events_http_"));
    let unnamed: Vec<_> = own.filter(|name| !named.contains(*name)).collect();
    assert!(unnamed.is_empty(), "docs/operations.md does not name {unnamed:?}");
}
