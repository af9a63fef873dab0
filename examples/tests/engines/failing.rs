//! A database that fails is an internal error of every surface, and of the access under it.

use std::time::Duration;

use dataset_events::{ErrorCode, RequestContext};
use dataset_events_examples::engines::budget::{Currency, Usage, UsageKind};
use dataset_events_examples::engines::chat::ThreadId;
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::strategy_lock::{LockId, LockState, StrategyName};
use dataset_events_examples::engines::{ActionName, ActionPattern, Engines, Target};
use futures::StreamExt as _;
use rust_decimal::Decimal;

use crate::common::Bench;
use crate::script::GIF;

/// The code with which a call failed.
fn code<T, E: ErrorCode>(result: Result<T, E>) -> &'static str {
    match result {
        Ok(_) => "succeeded",
        Err(error) => error.code().name(),
    }
}

/// Every call of every engine that uses its state, by surface, with the code it ends with.
async fn calls(engines: &Engines, ctx: &RequestContext) -> Vec<(&'static str, &'static str)> {
    let Engines { chat, budget, kill_switch, strategy_lock, kpi, temperature, .. } = engines;
    let thread: ThreadId = "th_1".parse().expect("a thread id");
    let lock: LockId = "lock_1".parse().expect("a lock id");
    let (name, unit) = (KpiName::from_static("latency"), Unit::from_static("ms"));
    let (strategy, pattern) = (StrategyName::from_static("freeze"), ActionPattern::from_static("*"));
    let action = ActionName::from_static("chat.send_message");
    let (one, ten) = (Decimal::ONE, Decimal::TEN);
    let engage = Change::Engage(Reason::Incident);
    vec![
        ("chat.list_threads", code(chat.list_threads(ctx, None, 1).await)),
        ("chat.list_messages", code(chat.list_messages(ctx, &thread, 0, 1).await)),
        ("budget.set_policy", code(budget.set_policy(ctx, one, Currency::EUR).await)),
        ("budget.record_usage", code(budget.record_usage(ctx, &Usage::new(UsageKind::Manual, one)).await)),
        ("budget.summary", code(budget.summary(ctx).await)),
        ("budget.check", code(budget.check(ctx, one).await)),
        ("kill_switch.update", code(kill_switch.update(ctx, &Target::CHAT, engage, None).await)),
        ("kill_switch.check", code(kill_switch.check(ctx, &Target::CHAT).await)),
        ("strategy_lock.propose", code(strategy_lock.propose(ctx, &strategy, &pattern, "an audit").await)),
        ("strategy_lock.approve", code(strategy_lock.approve(ctx, &lock, 1).await)),
        ("strategy_lock.withdraw", code(strategy_lock.withdraw(ctx, &lock, 1).await)),
        ("strategy_lock.release", code(strategy_lock.release(ctx, &lock, 1).await)),
        ("strategy_lock.list", code(strategy_lock.list(ctx, LockState::InForce, None, 10).await)),
        ("strategy_lock.check", code(strategy_lock.check(ctx, &action).await)),
        ("kpi.define", code(kpi.define(ctx, &name, &unit, Direction::LowerIsBetter).await)),
        ("kpi.set_corridor", code(kpi.set_corridor(ctx, &name, one, ten, None, 1).await)),
        ("kpi.record", code(kpi.record(ctx, &name, one, 1).await)),
        ("kpi.latest", code(kpi.latest(ctx, &name).await)),
        ("kpi.list", code(kpi.list(ctx).await)),
        ("kpi.check", code(kpi.check(ctx, &Target::CHAT).await)),
        ("temperature.set_bounds", code(temperature.set_bounds(ctx, one, ten, &Target::ALL, None).await)),
        ("temperature.snapshot", code(temperature.snapshot(ctx).await)),
        ("temperature.recent", code(temperature.recent(ctx, 1).await)),
        ("temperature.breaches", code(temperature.breaches(ctx, Duration::from_secs(1)).await)),
        ("temperature.check", code(temperature.check(ctx, &Target::CHAT).await)),
    ]
}

#[tokio::test]
async fn without_its_tables_each_surface_fails_with_the_internal_code_of_its_engine() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    bench.drop_tables(&[
        "chat_messages",
        "chat_threads",
        "budget_origins",
        "budget_totals",
        "budget_usage",
        "budget_policies",
        "kill_switches",
        "strategy_locks",
        "kpi_readings",
        "kpis",
        "temperature_bounds",
        "temperature_snapshots",
    ]);
    let mut accesses = 0;
    for (surface, code) in calls(&bench.engines, &ctx).await {
        let engine = surface.split('.').next().expect("an engine");
        assert_eq!(code, format!("{engine}.internal"), "{surface}");
        assert_eq!(bench.endings(surface), [format!("error {engine}.internal")]);
        accesses += 1;
    }
    let mut endings = bench.endings("nexus.read");
    endings.extend(bench.endings("nexus.write"));
    assert_eq!(endings, vec!["error nexus.statement_failed"; accesses]);
}

#[tokio::test]
async fn without_its_tables_the_chat_fails_behind_the_gate() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    bench.engines.budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
    bench.drop_tables(&["chat_messages", "chat_threads"]);
    let (chat, id) = (&bench.engines.chat, "th_1".parse::<ThreadId>().expect("a thread id"));
    assert_eq!(code(chat.create_thread(&ctx, "numbers").await), "chat.internal");
    assert_eq!(code(chat.send_message(&ctx, &id, "Hello.").await), "chat.internal");
    assert_eq!(code(chat.attach_image(&ctx, &id, GIF).await), "chat.internal");
    let first = chat.stream_reply(&ctx, &id).next().await.expect("an item");
    assert_eq!(code(first), "chat.internal");
    assert_eq!(bench.endings("gate.pass"), ["ok"; 4]);
    assert_eq!(bench.endings("budget.record_usage"), [""; 0]);
}

#[tokio::test]
async fn a_value_that_no_engine_writes_is_found_and_not_used() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let name = KpiName::from_static("latency");
    let kpi = &bench.engines.kpi;
    kpi.define(&ctx, &name, &Unit::from_static("ms"), Direction::LowerIsBetter).await.expect("define");
    kpi.record(&ctx, &name, Decimal::ONE, 1).await.expect("record");
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    database.execute("UPDATE kpi_readings SET value = 'one'", []).expect("corrupt");
    let error = kpi.latest(&ctx, &name).await.expect_err("no number");
    let source = std::error::Error::source(&error).expect("a source").to_string();
    assert!(source.contains("column `value` holds a value that no engine writes"), "{source}");
    assert_eq!(bench.endings("nexus.read"), ["error nexus.corrupt"]);
}
