//! Locks, KPIs and temperatures of one scope are not there in another: neither in another tenant, nor in
//! another env of the same.

use std::time::Duration;

use dataset_events_examples::engines::budget::Currency;
use dataset_events_examples::engines::gate::Action;
use dataset_events_examples::engines::kpi::{Direction, KpiError, KpiName, Unit};
use dataset_events_examples::engines::strategy_lock::{LockState, StrategyLockError, StrategyName};
use dataset_events_examples::engines::temperature::TemperatureError;
use dataset_events_examples::engines::{ActionName, ActionPattern, Target};
use rust_decimal::Decimal;

use crate::common::Bench;

/// The scopes that must not see what is in acme/prod.
const FOREIGN: [(&str, &str); 3] = [("globex", "prod"), ("acme", "staging"), ("globex", "staging")];
const LATENCY: KpiName = KpiName::from_static("latency");
const SEND: ActionName = ActionName::from_static("chat.send_message");

#[tokio::test]
async fn a_lock_is_seen_and_stepped_in_its_own_scope_only() {
    let bench = Bench::new();
    let locks = &bench.engines.strategy_lock;
    let (one, two) = (bench.context_of("ops_1", "acme", "prod"), bench.context_of("ops_2", "acme", "prod"));
    let (strategy, pattern) = (StrategyName::from_static("freeze"), ActionPattern::from_static("*"));
    let lock = locks.propose(&one, &strategy, &pattern, "an audit").await.expect("propose");
    for (tenant, env) in FOREIGN {
        let ctx = bench.context_of("ops_2", tenant, env);
        let refused = locks.approve(&ctx, &lock.lock_id, 1).await;
        assert!(matches!(refused, Err(StrategyLockError::NotFound { .. })), "{tenant}/{env}: {refused:?}");
    }
    locks.approve(&two, &lock.lock_id, 1).await.expect("approve");
    for (tenant, env) in FOREIGN {
        let ctx = bench.context_of("ops_2", tenant, env);
        locks.check(&ctx, &SEND).await.expect("not locked here");
        assert_eq!(locks.list(&ctx, LockState::InForce, None, 10).await.expect("list"), [], "{tenant}/{env}");
        for refused in
            [locks.release(&ctx, &lock.lock_id, 2).await, locks.withdraw(&ctx, &lock.lock_id, 2).await]
        {
            assert!(
                matches!(refused, Err(StrategyLockError::NotFound { .. })),
                "{tenant}/{env}: {refused:?}"
            );
        }
    }
    assert!(locks.check(&one, &SEND).await.is_err(), "still locked at home");
}

#[tokio::test]
async fn kpis_and_temperatures_are_of_their_own_scope_only() {
    let bench = Bench::new();
    let (kpi, temperature) = (&bench.engines.kpi, &bench.engines.temperature);
    let own = bench.context("acme", "prod");
    kpi.define(&own, &LATENCY, &Unit::from_static("ms"), Direction::LowerIsBetter).await.expect("define");
    kpi.set_corridor(&own, &LATENCY, Decimal::ONE, Decimal::TEN, Some(&Target::ALL), 1).await.expect("set");
    kpi.record(&own, &LATENCY, Decimal::ONE_HUNDRED, 1).await.expect("record");
    temperature.set_bounds(&own, Decimal::ONE, Decimal::TEN, &Target::ALL, None).await.expect("set");
    temperature.snapshot(&own).await.expect("snapshot");

    for (tenant, env) in FOREIGN {
        let ctx = bench.context(tenant, env);
        for refused in [
            kpi.latest(&ctx, &LATENCY).await.map(drop),
            kpi.record(&ctx, &LATENCY, Decimal::ONE, 1).await.map(drop),
            kpi.set_corridor(&ctx, &LATENCY, Decimal::ONE, Decimal::TEN, None, 1).await.map(drop),
        ] {
            assert!(matches!(refused, Err(KpiError::NotFound { .. })), "{tenant}/{env}: {refused:?}");
        }
        assert_eq!(kpi.list(&ctx).await.expect("list"), [], "{tenant}/{env}");
        assert_eq!(kpi.check(&ctx, &Target::CHAT).await.expect("nothing guards here"), 0);
        let refused = temperature.snapshot(&ctx).await;
        assert!(matches!(refused, Err(TemperatureError::NoReadings)), "{tenant}/{env}: {refused:?}");
        assert_eq!(temperature.recent(&ctx, 10).await.expect("recent"), [], "{tenant}/{env}");
        let breaches = temperature.breaches(&ctx, Duration::from_secs(86_400)).await.expect("breaches");
        assert_eq!(breaches.count, 0, "{tenant}/{env}");
        assert_eq!(temperature.check(&ctx, &Target::CHAT).await.expect("no bounds here"), None);
        // Version 0: never set in this scope.
        let bounds = temperature.set_bounds(&ctx, Decimal::ZERO, Decimal::TEN, &Target::ALL, Some(0)).await;
        assert_eq!(bounds.expect("set").version, 1, "{tenant}/{env}");
        bench.engines.budget.set_policy(&ctx, Decimal::TEN, Currency::EUR).await.expect("set");
        bench
            .engines
            .gate
            .pass(&ctx, &Action::priced(SEND, Decimal::ONE))
            .await
            .expect("nothing refuses here");
    }
    assert!(kpi.check(&own, &Target::CHAT).await.is_err(), "still outside at home");
    assert!(temperature.check(&own, &Target::CHAT).await.is_err(), "still out of bounds at home");
}
