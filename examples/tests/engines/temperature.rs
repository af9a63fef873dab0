//! The temperature's surfaces: each succeeds and fails with the right code, and its event says so.

use std::time::Duration;

use dataset_events::{Access, RequestContext};
use dataset_events_examples::engines::Target;
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::temperature::{Breach, MAX_WINDOW, TemperatureError};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::common::{Bench, changes};

const ERRORS: KpiName = KpiName::from_static("error_rate");
const SPEED: KpiName = KpiName::from_static("answers_per_minute");

/// Two KPIs: errors from 0 to 10 of weight 1, answers from 0 to 100 of weight 3.
async fn bench() -> (Bench, RequestContext) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let kpis = &bench.engines.kpi;
    kpis.define(&ctx, &ERRORS, &Unit::from_static("%"), Direction::LowerIsBetter).await.expect("define");
    kpis.define(&ctx, &SPEED, &Unit::from_static("1/min"), Direction::HigherIsBetter).await.expect("define");
    kpis.set_corridor(&ctx, &ERRORS, Decimal::ZERO, Decimal::TEN, None, 1).await.expect("set");
    kpis.set_corridor(&ctx, &SPEED, Decimal::ZERO, Decimal::ONE_HUNDRED, None, 3).await.expect("set");
    (bench, ctx)
}

async fn read(bench: &Bench, ctx: &RequestContext, errors: i64, speed: i64, at_us: i64) {
    for (name, value) in [(&ERRORS, errors), (&SPEED, speed)] {
        bench.engines.kpi.record(ctx, name, Decimal::from(value), at_us).await.expect("record");
    }
}

#[tokio::test]
async fn bounds_are_set_with_what_they_changed() {
    let (bench, ctx) = bench().await;
    let temperature = &bench.engines.temperature;
    let (floor, ceiling) = (Decimal::TEN, Decimal::from(80));
    let set = temperature.set_bounds(&ctx, floor, ceiling, &Target::ALL, Some(0)).await.expect("set");
    assert_eq!(set.version, 1);
    let stale = temperature.set_bounds(&ctx, floor, ceiling, &Target::ALL, Some(0)).await;
    assert!(matches!(stale, Err(TemperatureError::StaleVersion { expected: 0, found: 1 })), "{stale:?}");
    for (floor, ceiling) in [
        (ceiling, floor),
        (floor, floor),
        (-floor, ceiling),
        (floor, Decimal::from(101)),
        (Decimal::new(1, 4), ceiling),
    ] {
        let refused = temperature.set_bounds(&ctx, floor, ceiling, &Target::ALL, None).await;
        assert!(matches!(refused, Err(TemperatureError::InvalidBounds { .. })), "{refused:?}");
    }
    temperature.set_bounds(&ctx, floor, Decimal::from(70), &Target::CHAT, Some(1)).await.expect("set again");
    let endings = bench.endings("temperature.set_bounds");
    assert_eq!(endings[..2], ["ok", "error temperature.stale_version"]);
    assert!(endings[2..7].iter().all(|ending| ending == "error temperature.invalid_bounds"), "{endings:?}");
    assert_eq!(endings[7..], ["ok"]);
    let events = bench.ledger.events_of("temperature.set_bounds");
    assert_eq!(events[0].access, Access::Update);
    let input = json!({"floor": "10", "ceiling": "80", "guards": "*", "expected_version": 0});
    assert_eq!(events[0].input_value(), input);
    assert_eq!(
        changes(&events[0]),
        [
            ("floor".into(), Value::Null, json!("10")),
            ("ceiling".into(), Value::Null, json!("80")),
            ("guards".into(), Value::Null, json!("*")),
        ]
    );
    assert_eq!(
        changes(&events[7]),
        [("ceiling".into(), json!("80"), json!("70")), ("guards".into(), json!("*"), json!("chat"))]
    );
}

#[tokio::test]
async fn a_snapshot_is_the_weighted_mean_of_the_kpis_and_is_kept() {
    let (bench, ctx) = bench().await;
    let temperature = &bench.engines.temperature;
    let refused = temperature.snapshot(&ctx).await;
    assert!(matches!(refused, Err(TemperatureError::NoReadings)), "{refused:?}");
    // Errors are half-way (50), answers at a quarter of the way from their better end (25).
    read(&bench, &ctx, 5, 75, 1).await;
    let first = temperature.snapshot(&ctx).await.expect("snapshot");
    assert_eq!((first.degrees.to_string().as_str(), first.kpis, first.position), ("31.25", 2, 1));
    assert_eq!((first.floor, first.breach), (None, None));
    temperature.set_bounds(&ctx, Decimal::TEN, Decimal::from(30), &Target::ALL, None).await.expect("set");
    let second = temperature.snapshot(&ctx).await.expect("snapshot");
    assert_eq!((second.position, second.breach), (2, Some(Breach::AboveCeiling)));
    let taken_at_us = second.taken_at_us;
    assert_eq!(temperature.recent(&ctx, 10).await.expect("recent"), [second.clone(), first]);
    assert_eq!(temperature.recent(&ctx, 1).await.expect("recent"), [second]);
    for limit in [0, 201] {
        let refused = temperature.recent(&ctx, limit).await;
        assert!(matches!(refused, Err(TemperatureError::InvalidPage { .. })), "{refused:?}");
    }
    assert_eq!(bench.endings("temperature.snapshot"), ["error temperature.no_readings", "ok", "ok"]);
    let page = "error temperature.invalid_page";
    assert_eq!(bench.endings("temperature.recent"), ["ok", "ok", page, page]);
    let events = bench.ledger.events();
    let event = events.iter().rfind(|event| event.surface == "temperature.snapshot").expect("recorded");
    let output = json!({
        "position": 2,
        "degrees": "31.25",
        "kpis": 2,
        "breach": "above_ceiling",
        "floor": "10",
        "ceiling": "30",
        "taken_at_us": taken_at_us,
    });
    assert_eq!(event.output_value(), output);
    // One transaction: nothing comes between the KPIs that a snapshot is made of.
    let children = events.iter().filter(|child| child.parent_span_id == Some(event.span_id));
    assert_eq!(children.map(|child| child.surface.as_str()).collect::<Vec<_>>(), ["nexus.write"]);
}

#[tokio::test]
async fn breaches_are_those_of_their_time_within_the_window() {
    let (bench, ctx) = bench().await;
    let temperature = &bench.engines.temperature;
    temperature.set_bounds(&ctx, Decimal::TEN, Decimal::from(60), &Target::ALL, None).await.expect("set");
    for (at_us, errors, speed) in [(1, 10, 0), (2, 5, 75), (3, 0, 100)] {
        read(&bench, &ctx, errors, speed, at_us).await;
        temperature.snapshot(&ctx).await.expect("snapshot");
    }
    // Wider bounds do not rewrite what was out of bounds.
    temperature.set_bounds(&ctx, Decimal::ZERO, Decimal::ONE_HUNDRED, &Target::ALL, None).await.expect("set");
    let all = temperature.breaches(&ctx, Duration::from_secs(3_600)).await.expect("breaches");
    assert_eq!(all.count, 2);
    let sides: Vec<Option<Breach>> = all.newest.iter().map(|snapshot| snapshot.breach).collect();
    assert_eq!(sides, [Some(Breach::BelowFloor), Some(Breach::AboveCeiling)]);
    // The clock of the tests moves one second with each use: the third snapshot and the bounds after it.
    let last = temperature.breaches(&ctx, Duration::from_secs(4)).await.expect("breaches");
    assert_eq!(last.newest, all.newest[..1]);
    for window in [Duration::ZERO, MAX_WINDOW + Duration::from_secs(1)] {
        let refused = temperature.breaches(&ctx, window).await;
        assert!(matches!(refused, Err(TemperatureError::InvalidWindow { .. })), "{refused:?}");
    }
    let window = "error temperature.invalid_window";
    assert_eq!(bench.endings("temperature.breaches"), ["ok", "ok", window, window]);
    assert_eq!(bench.ledger.events_of("temperature.breaches")[0].output_value(), json!({"count": 2}));
}

#[tokio::test]
async fn out_of_bounds_stops_what_the_bounds_guard() {
    let (bench, ctx) = bench().await;
    let temperature = &bench.engines.temperature;
    let media: Target = "media".parse().expect("a target");
    assert_eq!(temperature.check(&ctx, &Target::CHAT).await.expect("nothing yet"), None);
    temperature.set_bounds(&ctx, Decimal::TEN, Decimal::from(60), &Target::CHAT, None).await.expect("set");
    assert_eq!(temperature.check(&ctx, &Target::CHAT).await.expect("no snapshot yet"), None);
    read(&bench, &ctx, 10, 0, 1).await;
    temperature.snapshot(&ctx).await.expect("snapshot");
    let error = temperature.check(&ctx, &Target::CHAT).await.expect_err("above the ceiling");
    assert_eq!(error.to_string(), "the temperature is 100, above the bounds of 10 to 60, which guard chat");
    assert!(temperature.check(&ctx, &media).await.is_ok(), "another engine");
    read(&bench, &ctx, 0, 100, 2).await;
    assert!(temperature.check(&ctx, &Target::CHAT).await.is_err(), "only a snapshot is judged");
    temperature.snapshot(&ctx).await.expect("snapshot");
    let error = temperature.check(&ctx, &Target::CHAT).await.expect_err("below the floor");
    assert!(matches!(error, TemperatureError::Breached { breach: Breach::BelowFloor, .. }), "{error:?}");
    temperature.set_bounds(&ctx, Decimal::ZERO, Decimal::from(60), &Target::CHAT, None).await.expect("set");
    let degrees = temperature.check(&ctx, &Target::CHAT).await.expect("within the bounds of now");
    assert_eq!(degrees.map(|degrees| degrees.to_string()).as_deref(), Some("0"));
    let breached = "denied temperature.breached";
    assert_eq!(bench.endings("temperature.check"), ["ok", "ok", breached, "ok", breached, breached, "ok"]);
    let event = &bench.ledger.events_of("temperature.check")[2];
    let output = json!({"degrees": "100", "breach": "above_ceiling", "floor": "10", "ceiling": "60"});
    assert_eq!(event.output_value(), output);
}
