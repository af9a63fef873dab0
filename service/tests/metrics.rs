//! `/metrics` says exactly what the ledger holds.

mod over_http;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events_service::{HealthChecks, MetricsEndpoint, ServeOptions, route_not_found};
use over_http::{Server, admission};

/// The value of each series, by its name and labels.
fn values(text: &str) -> HashMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| line.rsplit_once(' ').map(|(name, value)| (name, value.parse().unwrap())).unwrap())
        .collect()
}

fn sum(values: &HashMap<&str, f64>, name: &str) -> f64 {
    values.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_by_tenant_surface_outcome_and_code_are_served_exactly() {
    let ledger = TestLedger::new();
    let router = Router::new().route("/things", get(|| async { "thing" })).fallback(route_not_found);
    let metrics = MetricsEndpoint::new(ledger.ledger()).unwrap();
    let health = HealthChecks::new(ledger.ledger());
    let router =
        router.layer(admission(&ledger).build().unwrap()).merge(metrics.router()).merge(health.router());
    let service = Server::start(&ledger, router, ServeOptions::new()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, tenant, times) in [("/things", "acme", 3), ("/things", "globex", 2), ("/nowhere", "acme", 4)] {
        for _ in 0..times {
            client.get(service.url(path)).bearer_auth(format!("{tenant}~u_1")).send().await.unwrap();
        }
    }
    let malformed =
        client.get(service.url("/things")).bearer_auth("globex~u_1").header("traceparent", "00-no");
    malformed.send().await.unwrap();
    ledger.flush();
    let answer = client.get(service.url("/metrics")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let values = values(&text);
    let series = |tenant: &str, outcome: &str, code: &str| {
        let labels = format!(
            "tenant=\"{tenant}\",env=\"test\",surface=\"http.request\",outcome=\"{outcome}\",code=\"{code}\""
        );
        let name = format!("dataset_events_total{{{labels}}}");
        *values.get(name.as_str()).unwrap_or_else(|| panic!("no series {name} in\n{text}"))
    };
    assert_eq!(series("acme", "ok", ""), 3.0);
    assert_eq!(series("globex", "ok", ""), 3.0);
    assert_eq!(values["dataset_events_http_ids_replaced_total{header=\"traceparent\"}"], 1.0);
    assert_eq!(series("acme", "error", "http.route_not_found"), 4.0);
    assert_eq!(values["dataset_events_series_cut"], 0.0);
    assert_eq!(values["dataset_events_series_fresh"], 1.0);
    // The runtime's own come through the facade.
    let green = values
        .iter()
        .filter(|(name, _)| name.starts_with("dataset_events_health{") && name.contains("state=\"green\""));
    assert!(green.map(|(_, value)| *value).sum::<f64>() >= 1.0, "{text}");
    assert!(text.contains("dataset_events_fsync_seconds_bucket{"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_tenants_are_exact_and_a_cap_says_what_it_cuts() {
    let ledger = TestLedger::new();
    for tenant in 0..5_000 {
        let ctx = ledger.context(format!("t{tenant:04}"), "test").build().unwrap();
        for _ in 0..=tenant % 3 {
            // On a slow machine the journal fills: an event that finds no room is made again.
            while ctx.event("orders.create").try_record().is_err() {
                ledger.flush();
            }
        }
    }
    ledger.flush();
    let expected = (0..5_000).map(|tenant| f64::from(tenant % 3 + 1)).sum::<f64>();
    let all = MetricsEndpoint::new(ledger.ledger()).unwrap().render();
    let all = values(&all);
    let orders = all.iter().filter(|(name, _)| name.contains("surface=\"orders.create\""));
    assert_eq!(orders.clone().count(), 5_000);
    assert_eq!(orders.map(|(_, value)| value).sum::<f64>(), expected);
    // An event that makes an endpoint is an event too: made first, both see the same ledger.
    let endpoints =
        [MetricsEndpoint::new(ledger.ledger()).unwrap(), MetricsEndpoint::new(ledger.ledger()).unwrap()];
    let [all, cut] = endpoints;
    ledger.flush();
    let (all, cut) = (all.render(), cut.max_series(1_000).render());
    let (all, cut) = (values(&all), values(&cut));
    let total = sum(&all, "dataset_events_total{");
    assert_eq!(cut["dataset_events_series"], 1_000.0);
    assert_eq!(cut["dataset_events_series_limit"], 1_000.0);
    assert_eq!(cut["dataset_events_series_cut"], all["dataset_events_series"] - 1_000.0);
    // No event is lost from the sum.
    assert_eq!(sum(&cut, "dataset_events_total{"), total);
}

#[test]
fn a_recorder_is_kept_up_also_while_nobody_asks_for_the_metrics() {
    let ledger = TestLedger::new();
    let _endpoint = MetricsEndpoint::new(ledger.ledger()).unwrap();
    let is_kept_up = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let mut names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.any(|name| name.trim() == "metrics-upkeep")
    };
    // A thread takes its name when it first runs, which may be after its maker goes on.
    let deadline = Instant::now() + Duration::from_secs(180);
    while !is_kept_up() {
        assert!(Instant::now() < deadline, "no thread keeps the recorder up");
        std::thread::yield_now();
    }
}
