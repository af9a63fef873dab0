//! Limits by tenant and route over HTTP, and the count of refusals.

mod over_http;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dataset_events::Outcome;
use dataset_events::testing::TestLedger;
use dataset_events_service::{RateLimit, RateLimits};
use over_http::{admission, start};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn router() -> Router {
    Router::new().route("/a", get(|| async { "a" })).route("/b/{id}", get(|| async { "b" }))
}

#[tokio::test]
async fn a_refused_request_hears_when_to_come_again() {
    let ledger = TestLedger::new();
    let limits = RateLimits::default_limit(RateLimit::per_hour(2)).route("/b/{id}", RateLimit::per_hour(1));
    let service = start(&ledger, router(), admission(&ledger).rate_limits(limits).build().unwrap()).await;
    let get = |path: &str, tenant: &str| {
        client().get(service.url(path)).bearer_auth(format!("{tenant}~u_1")).send()
    };
    assert_eq!(get("/a", "acme").await.unwrap().headers()["ratelimit-remaining"], "1");
    assert_eq!(get("/a", "acme").await.unwrap().status(), 200);
    let refused = get("/a", "acme").await.unwrap();
    let retry_after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1_500..=1_800).contains(&retry_after), "{retry_after}");
    assert_eq!(
        (&refused.headers()["ratelimit-limit"], &refused.headers()["ratelimit-remaining"]),
        (&"2".parse().unwrap(), &"0".parse().unwrap())
    );
    assert!(refused.headers().contains_key("x-request-id"));
    assert_eq!(over_http::code(refused).await, (429, "rate_limit.exceeded".to_owned()));
    // Other tenants and routes have counts of their own; the ids in a path do not make new ones.
    assert_eq!(get("/a", "globex").await.unwrap().status(), 200);
    assert_eq!(get("/b/1", "acme").await.unwrap().status(), 200);
    assert_eq!(get("/b/2", "acme").await.unwrap().status(), 429);
    let refusals = ledger.events_of("http.request").into_iter().filter(|event| event.outcome != Outcome::Ok);
    let said: Vec<_> = refusals.map(|event| (event.outcome, event.output_value())).collect();
    let expected = (Outcome::Denied, serde_json::json!({"status": 429, "stands_for": 1}));
    assert_eq!(said, [expected.clone(), expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_what_they_stand_for_are_exactly_the_requests() {
    let ledger = TestLedger::new();
    let limits = RateLimits::default_limit(RateLimit::per_hour(10));
    let layer = admission(&ledger).rate_limits(limits).refusal_interval(Duration::from_millis(20));
    let service = start(&ledger, router(), layer.build().unwrap()).await;
    let client = client();
    let requests = (0..600).map(|number| {
        let tenant = ["acme", "globex", "initech"][number % 3];
        client.get(service.url("/a")).bearer_auth(format!("{tenant}~u_1")).send()
    });
    let answers = futures::future::join_all(requests).await;
    let refused = answers.iter().filter(|answer| answer.as_ref().unwrap().status() == 429).count() as u64;
    assert_eq!(refused, 600 - 30);
    let report = service.stop().await;
    assert_eq!(report.requests, 600);
    let events = ledger.events_of("http.request");
    let stands_for = |event: &dataset_events::DatasetEvent| event.output_value()["stands_for"].as_u64();
    assert_eq!(events.iter().filter_map(stands_for).sum::<u64>(), refused);
    assert_eq!(events.iter().map(|event| stands_for(event).unwrap_or(1)).sum::<u64>(), 600);
    assert!(events.len() < 600, "a storm of refusals was recorded one by one");
}

#[tokio::test]
async fn a_storm_of_scope_mismatches_is_limited_as_any_other() {
    let ledger = TestLedger::new();
    let limits = RateLimits::default_limit(RateLimit::per_hour(2));
    let layer = admission(&ledger).rate_limits(limits).refusal_interval(Duration::from_secs(3_600));
    let service = start(&ledger, router(), layer.build().unwrap()).await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let request = client().get(service.url("/a")).bearer_auth("acme~u_1").header("x-tenant-id", "globex");
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!((statuses[..2].to_vec(), statuses[2..].to_vec()), (vec![403; 2], vec![429; 18]));
    service.stop().await;
    // Two mismatches, the first refusal, and one event for the other seventeen.
    let events = ledger.events_of("http.request");
    assert_eq!(events.len(), 4);
    assert_eq!(events[3].output_value()["stands_for"], 17);
}
