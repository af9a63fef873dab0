//! The gate: one order of controls, the first refusal decides, and refusals that come from elsewhere.

use std::error::Error;
use std::sync::Arc;

use dataset_events::{ErrorCode, Outcome, RequestContext};
use dataset_events_examples::engines::budget::{Currency, Money, Usage, UsageKind};
use dataset_events_examples::engines::chat::{Chat, ChatError};
use dataset_events_examples::engines::gate::{Action, Controls, GateError, Passed};
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::strategy_lock::StrategyName;
use dataset_events_examples::engines::{ActionName, ActionPattern, Nexus, Sources, Target};
use futures::future::BoxFuture;
use rust_decimal::Decimal;
use serde_json::json;

use crate::common::Bench;

const SEND: ActionName = ActionName::from_static("chat.send_message");
const LATENCY: KpiName = KpiName::from_static("latency");

/// The controls that the newest pass asked, in their order.
fn asked(bench: &Bench) -> Vec<String> {
    let events = bench.ledger.events();
    let pass = events.iter().rfind(|event| event.surface == "gate.pass").expect("recorded");
    let children = events.iter().filter(|event| event.parent_span_id == Some(pass.span_id));
    children.map(|event| event.surface.clone()).collect()
}

async fn set_latency(bench: &Bench, ctx: &RequestContext, value: Decimal, at_us: i64) {
    bench.engines.kpi.record(ctx, &LATENCY, value, at_us).await.expect("record");
}

#[tokio::test]
async fn each_control_refuses_before_the_next_is_asked() {
    let bench = Bench::new();
    let (one, two) = (bench.context_of("ops_1", "acme", "prod"), bench.context_of("ops_2", "acme", "prod"));
    let engines = &bench.engines;
    let action = Action::priced(SEND, Decimal::ONE);
    // Everything is wrong at once; then one thing after the other is put right.
    let engage = Change::Engage(Reason::Incident);
    engines.kill_switch.update(&one, &Target::CHAT, engage, None).await.expect("engage");
    let (strategy, pattern) = (StrategyName::from_static("freeze"), ActionPattern::from_static("chat.*"));
    let lock = engines.strategy_lock.propose(&one, &strategy, &pattern, "an audit").await.expect("propose");
    engines.strategy_lock.approve(&two, &lock.lock_id, 1).await.expect("approve");
    engines
        .kpi
        .define(&one, &LATENCY, &Unit::from_static("ms"), Direction::LowerIsBetter)
        .await
        .expect("define");
    engines
        .kpi
        .set_corridor(&one, &LATENCY, Decimal::ZERO, Decimal::TEN, Some(&Target::CHAT), 1)
        .await
        .expect("set");
    set_latency(&bench, &one, Decimal::ONE_HUNDRED, 1).await;
    let bounds = engines.temperature.set_bounds(&one, Decimal::ZERO, Decimal::from(90), &Target::CHAT, None);
    bounds.await.expect("set");
    engines.temperature.snapshot(&one).await.expect("snapshot");

    let order =
        ["kill_switch.check", "strategy_lock.check", "budget.check", "kpi.check", "temperature.check"];
    let refusals = [
        "kill_switch.blocked",
        "strategy_lock.blocked",
        "budget.policy_not_found",
        "budget.threshold_exceeded",
        "kpi.out_of_corridor",
        "temperature.breached",
    ];
    for (place, code) in [0, 1, 2, 2, 3, 4].into_iter().zip(refusals) {
        let refused = engines.gate.pass(&one, &action).await.expect_err(code);
        assert_eq!(refused.code().name(), code);
        assert_eq!(asked(&bench), order[..=place], "{code}");
        match code {
            "kill_switch.blocked" => {
                let release = Change::Release(Reason::Incident);
                engines
                    .kill_switch
                    .update(&one, &Target::CHAT, release, None)
                    .await
                    .map(drop)
                    .expect("release");
            }
            "strategy_lock.blocked" => {
                engines.strategy_lock.release(&one, &lock.lock_id, 2).await.map(drop).expect("release");
            }
            "budget.policy_not_found" => {
                engines
                    .budget
                    .set_policy(&one, Decimal::new(5, 1), Currency::EUR)
                    .await
                    .map(drop)
                    .expect("set");
            }
            "budget.threshold_exceeded" => {
                engines.budget.set_policy(&one, Decimal::TEN, Currency::EUR).await.map(drop).expect("set");
            }
            "kpi.out_of_corridor" => set_latency(&bench, &one, Decimal::TEN, 2).await,
            _ => {
                set_latency(&bench, &one, Decimal::ONE, 3).await;
                engines.temperature.snapshot(&one).await.map(drop).expect("snapshot");
            }
        }
    }
    let passed = engines.gate.pass(&one, &action).await.expect("all is well");
    assert_eq!(passed.remaining.map(|left| left.to_string()).as_deref(), Some("9"));
    assert_eq!(asked(&bench), order);
    // What costs nothing is not asked of the budget.
    let passed = engines.gate.pass(&one, &Action::free(SEND)).await.expect("all is well");
    assert_eq!(passed, Passed { remaining: None });
    assert_eq!(asked(&bench), ["kill_switch.check", "strategy_lock.check", "kpi.check", "temperature.check"]);
    let negative = Action::priced(SEND, Decimal::NEGATIVE_ONE);
    let refused = engines.gate.pass(&one, &negative).await.expect_err("no amount of money");
    assert_eq!(refused.code().name(), "budget.invalid_amount");

    let event = bench.ledger.events_of("gate.pass").remove(6);
    assert_eq!(event.input_value(), json!({"action": "chat.send_message", "price": "1"}));
    assert_eq!(event.output_value(), json!({"remaining": "9"}));
    assert_eq!(event.source_refs[0].id, "chat.send_message");
    let summary = engines.budget.summary(&one).await.expect("summary");
    assert_eq!(summary.spent, Money::ZERO, "the gate charges nothing");
}

#[tokio::test]
async fn what_the_gate_refuses_is_neither_kept_nor_charged() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let engines = &bench.engines;
    engines.budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
    let thread = engines.chat.create_thread(&ctx, "numbers").await.expect("create");
    engines
        .kpi
        .define(&ctx, &LATENCY, &Unit::from_static("ms"), Direction::LowerIsBetter)
        .await
        .expect("define");
    engines
        .kpi
        .set_corridor(&ctx, &LATENCY, Decimal::ZERO, Decimal::TEN, Some(&Target::ALL), 1)
        .await
        .expect("set");
    set_latency(&bench, &ctx, Decimal::ONE_HUNDRED, 1).await;
    let refused = engines.chat.send_message(&ctx, &thread.thread_id, "One more.").await;
    assert!(matches!(refused, Err(ChatError::Gate(GateError::Kpi(_)))), "{refused:?}");
    assert_eq!(bench.endings("chat.send_message"), ["denied kpi.out_of_corridor"]);
    assert_eq!(bench.endings("budget.record_usage"), [""; 0]);
    assert_eq!(engines.chat.list_messages(&ctx, &thread.thread_id, 0, 10).await.expect("list"), []);
}

#[tokio::test]
async fn a_control_that_fails_lets_nothing_pass() {
    for (tables, code) in [
        (&["kill_switches"][..], "kill_switch.internal"),
        (&["strategy_locks"], "strategy_lock.internal"),
        (&["budget_policies"], "budget.internal"),
        (&["kpi_readings", "kpis"], "kpi.internal"),
        (&["temperature_snapshots"], "temperature.internal"),
    ] {
        let bench = Bench::new();
        let ctx = bench.context("acme", "prod");
        bench.engines.budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
        bench.drop_tables(tables);
        let failed = bench.engines.gate.pass(&ctx, &Action::priced(SEND, Decimal::ONE)).await;
        assert_eq!(failed.expect_err(code).code().name(), code);
        assert_eq!(bench.endings("gate.pass"), [format!("error {code}")]);
    }
}

#[test]
fn a_refusal_from_elsewhere_keeps_its_code_and_status() {
    let mut known = 0;
    for code in GateError::codes() {
        let refused = GateError::refused(code.name(), "as it was sent");
        assert_eq!(refused.code(), *code);
        known += 1;
    }
    assert!(known > 25, "{known}");
    let blocked = GateError::refused("kill_switch.blocked", "chat is switched off");
    assert!(blocked.code().is_denied() && blocked.code().http_status() == 403);
    assert_eq!(blocked.to_string(), "chat is switched off");
    assert!(GateError::refused("ledger.unavailable", "later").code().is_retryable());

    let unknown = GateError::refused(&"weather.rain\n".repeat(20), "it rains");
    assert_eq!((unknown.code().name(), unknown.code().http_status()), ("gate.unknown_refusal", 502));
    let text = unknown.to_string();
    assert!(text.contains("weather.rain\\n") && text.len() < 150, "{text}");
}

#[test]
fn what_travels_between_processes_is_the_same_on_arrival() {
    fn travelled<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_slice(&serde_json::to_vec(value).expect("serialises")).expect("comes back")
    }
    for action in [Action::free(SEND), Action::priced(SEND, Decimal::new(10_000_001, 7))] {
        assert_eq!(travelled(&action), action);
    }
    let free: Action = serde_json::from_value(json!({"name": "chat.send_message"})).expect("without a price");
    assert_eq!(free, Action::free(SEND));
    assert!(serde_json::from_value::<Action>(json!({"name": "../chat"})).is_err());
    assert!(serde_json::from_value::<Action>(json!({"name": "a.b", "price": 0.1})).is_err(), "no floats");
    let passed = Passed { remaining: Some(Money::new(Decimal::new(125, 2)).expect("money")) };
    assert_eq!(travelled(&passed), passed);
    let usage = Usage::new(UsageKind::ChatImage, Decimal::new(1, 6));
    assert_eq!(travelled(&usage), usage);
}

/// Controls in another process, of which nobody hears.
#[derive(Debug)]
struct Silent;

fn silence<T>() -> Result<T, GateError> {
    let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
    Err(GateError::Unreachable { action: "ask the gate", source })
}

impl Controls for Silent {
    fn pass<'a>(&'a self, _: &'a RequestContext, _: &'a Action) -> BoxFuture<'a, Result<Passed, GateError>> {
        Box::pin(async { silence() })
    }

    fn record_usage<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a Usage,
    ) -> BoxFuture<'a, Result<dataset_events_examples::engines::budget::Receipt, GateError>> {
        Box::pin(async { silence() })
    }
}

#[tokio::test]
async fn a_chat_whose_controls_are_elsewhere_does_nothing_without_their_answer() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let nexus = Nexus::in_memory(Sources::counted()).expect("a database");
    let chat = Chat::new(nexus, Arc::new(Silent));
    let failed = chat.create_thread(&ctx, "numbers").await.expect_err("nobody answers");
    assert_eq!(failed.code().name(), "gate.unreachable");
    assert!(failed.code().is_retryable());
    assert!(failed.source().is_some(), "what the transport said");
    let event = &bench.ledger.events_of("chat.create_thread")[0];
    assert_eq!((event.outcome, event.code()), (Outcome::Error, Some("gate.unreachable")));
    assert_eq!(chat.list_threads(&ctx, None, 10).await.expect("list"), []);
    let source = "expected a map".into();
    let unread = GateError::InvalidAnswer { action: "ask the gate", source };
    assert_eq!((unread.code().name(), unread.code().http_status()), ("gate.invalid_answer", 502));
}
