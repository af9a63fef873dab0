//! What a Prometheus exporter makes of a ledger's health.

use std::time::{Duration, Instant};

use dataset_events::sinks::{Ack, Entry, Sink, SinkError, SinkSpec};
use dataset_events::testing::TestLedger;
use metrics_exporter_prometheus::PrometheusBuilder;

struct Nowhere;

impl Sink for Nowhere {
    fn kind(&self) -> &'static str {
        "nowhere"
    }

    fn append(&mut self, _batch: &[Entry]) -> Result<Ack, SinkError> {
        Err(SinkError::fatal("append to nowhere", "it is not there"))
    }
}

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
    let sinks = test.ledger().sinks();
    sinks.add(SinkSpec::new("away", Box::new(Nowhere)).expect("a name")).expect("added");
    let deadline = Instant::now() + Duration::from_secs(20);
    while sinks.statuses()[0].retries == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    test.ledger().publish_metrics();
    assert!(!handle.render().contains("dataset_events_retention_"), "there was no pass");
    test.ledger().hold(ctx.scope(), "a case").expect("held");
    test.ledger().retain().expect("a pass");
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
    let sink = |metric: &str| value(&text, &format!("dataset_events_sink_{metric}{{{label},sink=\"away\""));
    assert_eq!((sink("forwarded_total"), sink("retries_total")), (0.0, 1.0));
    assert_eq!(sink("lag_events"), stats.events as f64);
    assert!(sink("lag_seconds") > 0.0 && sink("lag_bytes") == stats.log_bytes as f64);
    let state = |state: &str| {
        value(&text, &format!("dataset_events_sink_state{{{label},sink=\"away\",state=\"{state}\""))
    };
    assert_eq!((state("stopped"), state("running")), (1.0, 0.0));
    assert_eq!((of("retention_segments"), of("retention_holds"), of("retention_ok")), (1.0, 1.0, 1.0));
    assert_eq!((of("retention_dropped_segments_total"), of("retention_dropped_bytes_total")), (0.0, 0.0));
    assert!((0.0..60.0).contains(&of("retention_last_pass_age_seconds")));
    assert!(!text.contains("dataset_events_disk_"), "there is no cap");
    assert_eq!(of("group_events_sum"), stats.events as f64);
    // A group without lines, such as that of an idle flush, is no sample.
    assert!(of("group_events_count") >= 1.0 && of("group_events_count") <= stats.groups as f64);
    assert!(of("fsync_seconds_sum") > 0.0 && of("group_bytes_sum") == stats.log_bytes as f64);
    assert!(text.contains("# HELP dataset_events_fsync_seconds"), "{text}");
    assert!(!text.contains("acme"), "no tenant is in the metrics of the runtime\n{text}");
}
