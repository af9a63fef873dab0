//! What a Prometheus exporter makes of a ledger's health.

use dataset_events::testing::TestLedger;
use metrics_exporter_prometheus::PrometheusBuilder;

fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(metric));
    let line = line.unwrap_or_else(|| panic!("no {metric} in\n{text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn the_health_of_a_ledger_is_in_the_text_of_an_exporter() {
    let handle = PrometheusBuilder::new().install_recorder().expect("no other recorder");
    let test = TestLedger::new();
    let ctx = test.context("acme", "prod").request_id("r_1").build().expect("a context");
    for _ in 0..7 {
        ctx.event("probe.call").record().expect("recorded");
    }
    test.flush();
    test.ledger().publish_metrics();
    let text = handle.render();
    let label = format!("ledger=\"{}\"", test.ledger().id());
    let of = |metric: &str| value(&text, &format!("dataset_events_{metric}{{{label}"));
    let stats = test.ledger().stats();
    assert!(stats.events >= 7);
    assert_eq!(of("recorded_total"), stats.events as f64);
    assert_eq!(of("log_bytes_total"), stats.log_bytes as f64);
    assert_eq!(of("shed_total"), 0.0);
    assert_eq!(of("index_lag_bytes"), 0.0);
    assert_eq!(of("index_ok"), 1.0);
    assert!((0.0..1.0).contains(&of("journal_fill_ratio")));
    let kind =
        |kind: &str| value(&text, &format!("dataset_events_synthesized_ids_total{{{label},kind=\"{kind}\""));
    assert_eq!((kind("request_id"), kind("trace_id")), (0.0, 7.0));
    let health = |state: &str| value(&text, &format!("dataset_events_health{{{label},state=\"{state}\""));
    assert_eq!((health("green"), health("failed")), (1.0, 0.0));
    assert_eq!(of("group_events_sum"), stats.events as f64);
    // A group without lines, such as that of an idle flush, is no sample.
    assert!(of("group_events_count") >= 1.0 && of("group_events_count") <= stats.groups as f64);
    assert!(of("fsync_seconds_sum") > 0.0 && of("group_bytes_sum") == stats.log_bytes as f64);
    assert!(text.contains("# HELP dataset_events_fsync_seconds"), "{text}");
    assert!(!text.contains("acme"), "no tenant is in the metrics of the runtime\n{text}");
}
