//! Budget and kill switch: each surface succeeds and fails with the right code, and its event says so.

use dataset_events::{Access, DatasetEvent, RequestContext};
use dataset_events_examples::engines::budget::{BudgetError, Currency, Label, Origin, Usage, UsageKind};
use dataset_events_examples::engines::kill_switch::{Change, KillSwitchError, Reason, Target};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::common::{Bench, changes};

fn bench() -> (Bench, RequestContext) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    (bench, ctx)
}

#[tokio::test]
async fn a_policy_is_set_with_what_it_changed() {
    let (bench, ctx) = bench();
    let budget = &bench.engines.budget;
    budget.set_policy(&ctx, Decimal::new(1050, 2), Currency::EUR).await.expect("set");
    budget.set_policy(&ctx, Decimal::from(20), Currency::EUR).await.expect("set again");
    let refused = budget.set_policy(&ctx, Decimal::NEGATIVE_ONE, Currency::EUR).await;
    assert!(matches!(refused, Err(BudgetError::InvalidAmount { .. })), "{refused:?}");
    budget.set_policy(&ctx, Decimal::from(20), Currency::USD).await.expect("nothing is spent yet");
    budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::ONE)).await.expect("record");
    let refused = budget.set_policy(&ctx, Decimal::from(20), Currency::EUR).await;
    assert!(matches!(refused, Err(BudgetError::CurrencyMismatch { .. })), "{refused:?}");
    assert_eq!(
        bench.endings("budget.set_policy"),
        ["ok", "ok", "error budget.invalid_amount", "ok", "error budget.currency_mismatch"]
    );

    let events = bench.ledger.events();
    let set: Vec<&DatasetEvent> =
        events.iter().filter(|event| event.surface == "budget.set_policy").collect();
    assert_eq!(set[1].access, Access::Update);
    assert_eq!(set[1].input_value(), json!({"limit": "20", "currency": "EUR"}));
    assert_eq!(set[1].output_value()["version"], 2);
    assert_eq!(
        changes(set[0]),
        [("limit".into(), Value::Null, json!("10.5")), ("currency".into(), Value::Null, json!("EUR"))]
    );
    assert_eq!(changes(set[1]), [("limit".into(), json!("10.5"), json!("20"))]);
    assert_eq!(changes(set[2]), [], "a refused policy changes nothing");
    assert_eq!(changes(set[3]), [("currency".into(), json!("EUR"), json!("USD"))]);
}

#[tokio::test]
async fn usage_is_recorded_exactly_and_counted_by_kind() {
    let (bench, ctx) = bench();
    let budget = &bench.engines.budget;
    let refused = budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::ONE)).await;
    assert!(matches!(refused, Err(BudgetError::PolicyNotFound)), "{refused:?}");
    assert!(matches!(budget.summary(&ctx).await, Err(BudgetError::PolicyNotFound)));
    budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
    for _ in 0..10 {
        budget
            .record_usage(&ctx, &Usage::new(UsageKind::ChatReply, Decimal::new(1, 1)))
            .await
            .expect("record");
    }
    let receipt =
        budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::new(1, 6))).await.expect("record");
    assert!(receipt.is_over_limit);
    assert_eq!(receipt.spent.to_string(), "1.000001");
    let refused = budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::new(1, 7))).await;
    assert!(matches!(refused, Err(BudgetError::InvalidAmount { .. })), "{refused:?}");

    let summary = budget.summary(&ctx).await.expect("summary");
    assert_eq!(summary.spent.to_string(), "1.000001");
    assert_eq!(summary.remaining.to_string(), "0");
    let kinds: Vec<(UsageKind, u64)> = summary.kinds.iter().map(|kind| (kind.kind, kind.entries)).collect();
    assert_eq!(kinds, [(UsageKind::ChatReply, 10), (UsageKind::Manual, 1)]);

    let endings = bench.endings("budget.record_usage");
    assert_eq!(endings[0], "error budget.policy_not_found");
    assert!(endings[1..12].iter().all(|ending| ending == "ok"), "{endings:?}");
    assert_eq!(endings[12..], ["error budget.invalid_amount"]);
    assert_eq!(bench.endings("budget.summary"), ["error budget.policy_not_found", "ok"]);
    let events = bench.ledger.events();
    let recorded =
        events.iter().rfind(|event| event.surface == "budget.record_usage" && event.code().is_none());
    let recorded = recorded.expect("recorded");
    assert_eq!(
        recorded.input_value(),
        json!({
            "kind": "manual",
            "amount": "0.000001",
            "origin": {"provider": null, "model": null, "tool": null},
        })
    );
    assert_eq!(recorded.output_value()["is_over_limit"], true);
}

#[tokio::test]
async fn usage_is_counted_by_provider_model_and_tool() {
    let (bench, ctx) = bench();
    let budget = &bench.engines.budget;
    budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
    let label = |text: &str| text.parse::<Label>().expect("a label");
    let small = Origin { provider: Some(label("mill")), model: Some(label("mill/small:1")), tool: None };
    let large = Origin { model: Some(label("mill/large:1")), ..small.clone() };
    let tool = Origin { tool: Some(label("search")), ..Origin::default() };
    for origin in [&small, &large, &small, &tool] {
        let usage = Usage::new(UsageKind::ChatReply, Decimal::new(1, 1)).of(origin.clone());
        budget.record_usage(&ctx, &usage).await.expect("record");
    }
    let summary = budget.summary(&ctx).await.expect("summary");
    let origins: Vec<(&Origin, String, u64)> =
        summary.origins.iter().map(|paid| (&paid.origin, paid.total.to_string(), paid.entries)).collect();
    let expected = [(&tool, "0.1", 1), (&large, "0.1", 1), (&small, "0.2", 2)];
    assert_eq!(origins, expected.map(|(origin, total, entries)| (origin, total.to_owned(), entries)));
    let event = &bench.ledger.events_of("budget.record_usage")[0];
    let origin = json!({"provider": "mill", "model": "mill/small:1", "tool": null});
    assert_eq!(event.input_value()["origin"], origin);
    for bad in ["", "a b", &"x".repeat(65)] {
        assert!(bad.parse::<Label>().is_err(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn usage_that_is_recorded_at_the_same_time_adds_up() {
    let (bench, ctx) = bench();
    bench.engines.budget.set_policy(&ctx, Decimal::ONE_HUNDRED, Currency::EUR).await.expect("set");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (budget, ctx) = (bench.engines.budget.clone(), ctx.clone());
        calls.spawn(async move {
            budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::new(1, 3))).await
        });
    }
    for receipt in calls.join_all().await {
        receipt.expect("record");
    }
    let summary = bench.engines.budget.summary(&ctx).await.expect("summary");
    assert_eq!(summary.spent.to_string(), "0.2");
    assert_eq!(summary.kinds[0].entries, 200);
    let seqs: Vec<u64> = bench.ledger.events().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=404).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_check_answers_what_is_left_or_denies() {
    let (bench, ctx) = bench();
    let budget = &bench.engines.budget;
    assert!(matches!(budget.check(&ctx, Decimal::ONE).await, Err(BudgetError::PolicyNotFound)));
    budget.set_policy(&ctx, Decimal::from(2), Currency::EUR).await.expect("set");
    assert_eq!(budget.check(&ctx, Decimal::from(2)).await.expect("the limit itself").to_string(), "0");
    let refused = budget.check(&ctx, Decimal::new(2_000_001, 6)).await;
    let error = refused.expect_err("a millionth too much");
    assert_eq!(error.to_string(), "2.000001 more would pass the limit: 0 of 2 EUR are spent this month");
    assert!(matches!(
        budget.check(&ctx, Decimal::NEGATIVE_ONE).await,
        Err(BudgetError::InvalidAmount { .. })
    ));
    assert_eq!(
        bench.endings("budget.check"),
        [
            "error budget.policy_not_found",
            "ok",
            "denied budget.threshold_exceeded",
            "error budget.invalid_amount"
        ]
    );
}

#[tokio::test]
async fn a_kill_switch_blocks_until_it_is_released() {
    let (bench, ctx) = bench();
    let switch = &bench.engines.kill_switch;
    switch.check(&ctx, &Target::CHAT).await.expect("never set");
    let engage = Change::Engage(Reason::Cost);
    let engaged = switch.update(&ctx, &Target::CHAT, engage, Some(0)).await.expect("engage");
    assert_eq!((engaged.version, engaged.is_engaged, engaged.updated_by.as_str()), (1, true, "u_1"));
    let blocked = switch.check(&ctx, &Target::CHAT).await.expect_err("engaged");
    assert_eq!(blocked.to_string(), "chat is switched off in this scope (cost)");
    switch.check(&ctx, &"media".parse().expect("a target")).await.expect("another engine");
    let stale = switch.update(&ctx, &Target::CHAT, Change::Release(Reason::Cost), Some(0)).await;
    assert!(matches!(stale, Err(KillSwitchError::StaleVersion { expected: 0, found: 1, .. })), "{stale:?}");
    switch.update(&ctx, &Target::CHAT, Change::Release(Reason::Cost), Some(1)).await.expect("release");
    switch.check(&ctx, &Target::CHAT).await.expect("released");
    assert_eq!(bench.endings("kill_switch.check"), ["ok", "denied kill_switch.blocked", "ok", "ok"]);
    assert_eq!(bench.endings("kill_switch.update"), ["ok", "error kill_switch.stale_version", "ok"]);

    let events = bench.ledger.events();
    let updates: Vec<&DatasetEvent> =
        events.iter().filter(|event| event.surface == "kill_switch.update").collect();
    assert_eq!(updates[0].access, Access::Update);
    let input = json!({"target": "chat", "change": "engage", "reason": "cost", "expected_version": 0});
    assert_eq!(updates[0].input_value(), input);
    assert_eq!(updates[0].source_refs[0].id, "chat");
    assert_eq!(changes(updates[0]), [("is_engaged".into(), json!(false), json!(true))]);
    assert_eq!(changes(updates[1]), []);
    assert_eq!(changes(updates[2]), [("is_engaged".into(), json!(true), json!(false))]);
}

#[tokio::test]
async fn without_a_ledger_to_record_it_no_policy_is_set_and_no_switch_is_thrown() {
    let (bench, ctx) = bench();
    let (budget, switch) = (&bench.engines.budget, &bench.engines.kill_switch);
    budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await.expect("set");
    bench.ledger.ledger().clone().close().expect("close the ledger");

    let refused = budget.set_policy(&ctx, Decimal::TWO, Currency::EUR).await;
    assert!(matches!(refused, Err(BudgetError::Ledger(_))), "{refused:?}");
    let refused = switch.update(&ctx, &Target::ALL, Change::Engage(Reason::Abuse), None).await;
    assert!(matches!(refused, Err(KillSwitchError::Ledger(_))), "{refused:?}");
    // Reads and other writes go on: they do not wait for the disk.
    switch.check(&ctx, &Target::CHAT).await.expect("not engaged");
    budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::ONE)).await.expect("record");
    assert_eq!(budget.summary(&ctx).await.expect("summary").policy.limit.to_string(), "1");
}

#[test]
fn targets_are_names_or_a_star() {
    for good in ["*", "chat", "kill_switch", "a1"] {
        assert_eq!(good.parse::<Target>().expect("a target").as_str(), good);
    }
    for bad in ["", "Chat", "a b", "../x", "1a", "**", &"x".repeat(65)] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}
