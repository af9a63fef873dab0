//! The KPIs' surfaces: each succeeds and fails with the right code, and its event says so.

use dataset_events::{Access, RequestContext};
use dataset_events_examples::engines::Target;
use dataset_events_examples::engines::kpi::{
    Direction, KpiError, KpiName, KpiValue, MAX_KPIS, MAX_WEIGHT, Unit,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::common::{Bench, changes};

const LATENCY: KpiName = KpiName::from_static("latency_p99");
const MS: Unit = Unit::from_static("ms");
/// 2026-01-01T00:00:00Z, where the time of the tests begins.
const START_US: i64 = 1_767_225_600_000_000;

fn bench() -> (Bench, RequestContext) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    (bench, ctx)
}

async fn defined(bench: &Bench, ctx: &RequestContext, name: &KpiName) {
    bench.engines.kpi.define(ctx, name, &MS, Direction::LowerIsBetter).await.expect("define");
}

#[tokio::test]
async fn a_definition_changes_until_there_are_readings_in_its_unit() {
    let (bench, ctx) = bench();
    let kpis = &bench.engines.kpi;
    defined(&bench, &ctx, &LATENCY).await;
    let seconds = Unit::from_static("s");
    let kpi = kpis.define(&ctx, &LATENCY, &seconds, Direction::LowerIsBetter).await.expect("no reading yet");
    assert_eq!(kpi.version, 2);
    kpis.record(&ctx, &LATENCY, Decimal::ONE, START_US).await.expect("record");
    let refused = kpis.define(&ctx, &LATENCY, &MS, Direction::LowerIsBetter).await;
    assert!(matches!(refused, Err(KpiError::UnitMismatch { .. })), "{refused:?}");
    kpis.define(&ctx, &LATENCY, &seconds, Direction::HigherIsBetter).await.expect("the same unit");
    assert_eq!(bench.endings("kpi.define"), ["ok", "ok", "error kpi.unit_mismatch", "ok"]);

    let events = bench.ledger.events_of("kpi.define");
    assert_eq!(events[0].access, Access::Update);
    let input = json!({"name": "latency_p99", "unit": "ms", "direction": "lower_is_better"});
    assert_eq!(events[0].input_value(), input);
    assert_eq!(events[0].source_refs[0].id, "latency_p99");
    assert_eq!(
        changes(&events[0]),
        [
            ("unit".into(), Value::Null, json!("ms")),
            ("direction".into(), Value::Null, json!("lower_is_better"))
        ]
    );
    assert_eq!(changes(&events[1]), [("unit".into(), json!("ms"), json!("s"))]);
    assert_eq!(changes(&events[2]), []);
    let direction = (json!("lower_is_better"), json!("higher_is_better"));
    assert_eq!(changes(&events[3]), [("direction".into(), direction.0, direction.1)]);
}

#[tokio::test]
async fn a_corridor_is_set_with_what_it_changed() {
    let (bench, ctx) = bench();
    let kpis = &bench.engines.kpi;
    let refused = kpis.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, None, 1).await;
    assert!(matches!(refused, Err(KpiError::NotFound { .. })), "{refused:?}");
    defined(&bench, &ctx, &LATENCY).await;
    let set = kpis.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, Some(&Target::CHAT), 3).await;
    assert_eq!(set.expect("set").version, 2);
    for (low, high, weight) in [(Decimal::TEN, Decimal::ONE, 1), (Decimal::ONE, Decimal::TEN, MAX_WEIGHT + 1)]
    {
        let refused = kpis.set_corridor(&ctx, &LATENCY, low, high, None, weight).await;
        assert!(matches!(refused, Err(KpiError::InvalidCorridor { .. })), "{refused:?}");
    }
    let refused = kpis.set_corridor(&ctx, &LATENCY, Decimal::new(1, 10), Decimal::TEN, None, 1).await;
    assert!(matches!(refused, Err(KpiError::InvalidValue { .. })), "{refused:?}");
    let invalid = "error kpi.invalid_corridor";
    assert_eq!(
        bench.endings("kpi.set_corridor"),
        ["error kpi.not_found", "ok", invalid, invalid, "error kpi.invalid_value"]
    );
    let event = &bench.ledger.events_of("kpi.set_corridor")[1];
    let corridor = json!({"low": "1", "high": "10", "guards": "chat", "weight": 3});
    assert_eq!(changes(event), [("corridor".into(), Value::Null, corridor)]);
    // A new definition keeps the corridor.
    defined(&bench, &ctx, &LATENCY).await;
    assert!(kpis.list(&ctx).await.expect("list")[0].kpi.corridor.is_some());
}

#[tokio::test]
async fn the_latest_reading_is_the_one_of_the_latest_time() {
    let (bench, ctx) = bench();
    let kpis = &bench.engines.kpi;
    assert!(matches!(kpis.latest(&ctx, &LATENCY).await, Err(KpiError::NotFound { .. })));
    let refused = kpis.record(&ctx, &LATENCY, Decimal::ONE, START_US).await;
    assert!(matches!(refused, Err(KpiError::NotFound { .. })), "{refused:?}");
    defined(&bench, &ctx, &LATENCY).await;
    assert!(matches!(kpis.latest(&ctx, &LATENCY).await, Err(KpiError::NoReading { .. })));
    let tenth = Decimal::new(1, 1);
    for (value, at_us) in [(tenth, 20), (Decimal::TEN, 10), (tenth + Decimal::TWO, 20)] {
        kpis.record(&ctx, &LATENCY, value, at_us).await.expect("record");
    }
    let latest = kpis.latest(&ctx, &LATENCY).await.expect("latest");
    assert_eq!((latest.value.to_string().as_str(), latest.at_us, latest.position), ("2.1", 20, 3));
    let refused = kpis.record(&ctx, &LATENCY, KpiValue::MAX + tenth, 30).await;
    assert!(matches!(refused, Err(KpiError::InvalidValue { .. })), "{refused:?}");
    for at_us in [-1, START_US * 2] {
        let refused = kpis.record(&ctx, &LATENCY, tenth, at_us).await;
        assert!(matches!(refused, Err(KpiError::InvalidTime { .. })), "{refused:?}");
    }
    let time = "error kpi.invalid_time";
    assert_eq!(
        bench.endings("kpi.record"),
        ["error kpi.not_found", "ok", "ok", "ok", "error kpi.invalid_value", time, time]
    );
    assert_eq!(bench.endings("kpi.latest"), ["error kpi.not_found", "error kpi.no_reading", "ok"]);
    let event = &bench.ledger.events_of("kpi.record")[3];
    assert_eq!(event.input_value(), json!({"name": "latency_p99", "value": "2.1", "at_us": 20}));
    let listed = kpis.list(&ctx).await.expect("list");
    assert_eq!(listed[0].kpi.readings, 3);
    assert_eq!(listed[0].latest.as_ref(), Some(&latest));
    assert_eq!(listed[0].is_in_corridor, None, "there is no corridor");
}

#[tokio::test]
async fn a_kpi_outside_its_corridor_stops_what_it_guards_and_nothing_else() {
    let (bench, ctx) = bench();
    let kpis = &bench.engines.kpi;
    let media: Target = "media".parse().expect("a target");
    defined(&bench, &ctx, &LATENCY).await;
    kpis.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, Some(&Target::CHAT), 1).await.expect("set");
    assert_eq!(kpis.check(&ctx, &Target::CHAT).await.expect("no reading yet"), 0);
    kpis.record(&ctx, &LATENCY, Decimal::TEN, 1).await.expect("record");
    assert_eq!(kpis.check(&ctx, &Target::CHAT).await.expect("the end itself"), 1);
    kpis.record(&ctx, &LATENCY, Decimal::new(10_001, 3), 2).await.expect("record");
    let error = kpis.check(&ctx, &Target::CHAT).await.expect_err("outside");
    assert_eq!(error.to_string(), "latency_p99 is at 10.001, outside 1 to 10, and guards chat");
    assert_eq!(kpis.check(&ctx, &media).await.expect("another engine"), 0);
    kpis.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, Some(&Target::ALL), 1).await.expect("set");
    assert!(kpis.check(&ctx, &media).await.is_err(), "guards all engines");
    kpis.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, None, 1).await.expect("set");
    assert_eq!(kpis.check(&ctx, &Target::CHAT).await.expect("guards nothing"), 0);
    let outside = "denied kpi.out_of_corridor";
    assert_eq!(bench.endings("kpi.check"), ["ok", "ok", outside, "ok", outside, "ok"]);
    let event = &bench.ledger.events_of("kpi.check")[2];
    assert_eq!(event.output_value(), json!({"value": "10.001", "low": "1", "high": "10"}));
    assert_eq!(event.source_refs[1].id, "latency_p99", "a denial names the KPI");
    assert_eq!(kpis.list(&ctx).await.expect("list")[0].is_in_corridor, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readings_that_come_at_the_same_time_are_all_kept() {
    let (bench, ctx) = bench();
    defined(&bench, &ctx, &LATENCY).await;
    let mut calls = tokio::task::JoinSet::new();
    for at_us in 0..100 {
        let (kpis, ctx) = (bench.engines.kpi.clone(), ctx.clone());
        calls.spawn(async move { kpis.record(&ctx, &LATENCY, Decimal::from(at_us), at_us).await });
    }
    let mut positions: Vec<u64> =
        calls.join_all().await.into_iter().map(|reading| reading.expect("record").position).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=100).collect::<Vec<_>>());
    let latest = bench.engines.kpi.latest(&ctx, &LATENCY).await.expect("latest");
    assert_eq!(latest.value.to_string(), "99");
}

#[tokio::test]
async fn a_scope_defines_no_more_kpis_than_a_check_reads() {
    let (bench, ctx) = bench();
    let kpis = &bench.engines.kpi;
    let name = |number: u64| format!("kpi_{number}").parse::<KpiName>().expect("a name");
    for number in 0..MAX_KPIS {
        defined(&bench, &ctx, &name(number)).await;
    }
    let refused = kpis.define(&ctx, &LATENCY, &MS, Direction::LowerIsBetter).await;
    assert!(matches!(refused, Err(KpiError::TooMany { .. })), "{refused:?}");
    assert_eq!(bench.endings("kpi.define").last().map(String::as_str), Some("error kpi.too_many"));
    kpis.define(&ctx, &name(7), &MS, Direction::HigherIsBetter).await.expect("one that is there");
    defined(&bench, &bench.context("globex", "prod"), &LATENCY).await;
    assert_eq!(kpis.list(&ctx).await.expect("list").len() as u64, MAX_KPIS);
}
