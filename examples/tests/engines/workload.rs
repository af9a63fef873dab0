//! Calls of every engine that changes something, in one scope.

use dataset_events::RequestContext;
use dataset_events_examples::engines::budget::{Currency, Label, Origin, Usage, UsageKind};
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::strategy_lock::{LockId, StrategyName};
use dataset_events_examples::engines::vector::DocumentId;
use dataset_events_examples::engines::{ActionPattern, Engines, Target};
use futures::StreamExt as _;
use rust_decimal::Decimal;

use crate::script::GIF;

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn origin(provider: &str, model: Option<&str>, tool: Option<&str>) -> Origin {
    Origin { provider: Some(label(provider)), model: model.map(label), tool: tool.map(label) }
}

/// Works as two users, one call after the other; `next` gives the context of each call.
pub(crate) async fn run(engines: &Engines, mut next: impl FnMut(&str) -> RequestContext) {
    budget(engines, &mut next).await;
    numbers(engines, &mut next).await;
    locks(engines, &mut next).await;
    library(engines, &mut next).await;
}

async fn budget(engines: &Engines, next: &mut impl FnMut(&str) -> RequestContext) {
    let Engines { budget, kill_switch, chat, .. } = engines;
    budget.set_policy(&next("ops_1"), Decimal::new(150, 1), Currency::EUR).await.expect("set");
    budget.set_policy(&next("ops_2"), Decimal::from(20), Currency::EUR).await.expect("set again");
    for (turn, amount) in ["0.1", "0.2", "12.50", "0.000001", "7"].into_iter().enumerate() {
        for paid in [
            Origin::default(),
            origin("mill", Some("mill/small:1"), None),
            origin("mill", Some("mill/large:1"), Some("search")),
            origin("built-in", None, Some("search")),
        ] {
            let kind = if turn % 2 == 0 { UsageKind::Manual } else { UsageKind::ChatReply };
            let amount = amount.parse::<Decimal>().expect("a number") / Decimal::from(4);
            let amount = amount.round_dp(6);
            budget.record_usage(&next("u_1"), &Usage::new(kind, amount).of(paid)).await.expect("record");
        }
    }
    let refused =
        budget.record_usage(&next("u_1"), &Usage::new(UsageKind::Manual, Decimal::new(-1, 0))).await;
    refused.expect_err("less than nothing");
    budget.set_policy(&next("ops_1"), Decimal::from(100), Currency::EUR).await.expect("set once more");

    let thread = chat.create_thread(&next("u_1"), "a thread").await.expect("create").thread_id;
    chat.create_thread(&next("u_2"), "another").await.expect("create");
    let text = "The ledger holds events. A chain links the events of the ledger.";
    chat.send_message(&next("u_1"), &thread, text).await.expect("send");
    chat.attach_image(&next("u_2"), &thread, GIF).await.expect("attach");
    let replied: Vec<_> = chat.stream_reply(&next("u_1"), &thread).collect().await;
    assert!(replied.iter().all(Result::is_ok), "{replied:?}");
    let mut left = chat.stream_reply(&next("u_1"), &thread);
    left.next().await.expect("a word").expect("a word");
    drop(left);
    let engage = Change::Engage(Reason::Incident);
    kill_switch.update(&next("ops_1"), &Target::CHAT, engage, Some(0)).await.expect("engage");
    chat.send_message(&next("u_1"), &thread, text).await.expect_err("switched off");
    let release = Change::Release(Reason::Incident);
    kill_switch.update(&next("ops_2"), &Target::CHAT, release, Some(1)).await.expect("release");
    let media: Target = "media".parse().expect("a target");
    kill_switch.update(&next("ops_1"), &media, Change::Engage(Reason::Cost), None).await.expect("engage");
    kill_switch.update(&next("ops_1"), &media, Change::Release(Reason::Cost), None).await.expect("release");
    let nexus: Target = "nexus".parse().expect("a target");
    kill_switch.update(&next("ops_2"), &nexus, Change::Engage(Reason::Abuse), None).await.expect("engage");
}

async fn numbers(engines: &Engines, next: &mut impl FnMut(&str) -> RequestContext) {
    let Engines { kpi, temperature, .. } = engines;
    let (speed, errors) = (KpiName::from_static("speed"), KpiName::from_static("error_rate"));
    let bare = KpiName::from_static("bare");
    let (ms, percent) = (Unit::from_static("ms"), Unit::from_static("%"));
    kpi.define(&next("ops_1"), &speed, &percent, Direction::LowerIsBetter).await.expect("define");
    kpi.define(&next("ops_2"), &speed, &ms, Direction::HigherIsBetter).await.expect("define again");
    kpi.define(&next("ops_1"), &errors, &percent, Direction::LowerIsBetter).await.expect("define");
    kpi.define(&next("ops_1"), &bare, &percent, Direction::LowerIsBetter).await.expect("define");
    let (zero, ten, hundred) = (Decimal::ZERO, Decimal::TEN, Decimal::ONE_HUNDRED);
    kpi.set_corridor(&next("ops_1"), &speed, zero, ten, None, 7).await.expect("set");
    kpi.set_corridor(&next("ops_2"), &speed, zero, hundred, None, 3).await.expect("set again");
    kpi.set_corridor(&next("ops_2"), &errors, zero, ten, None, 1).await.expect("set");
    kpi.define(&next("ops_2"), &errors, &percent, Direction::LowerIsBetter).await.expect("define again");
    temperature.snapshot(&next("ops_1")).await.expect_err("no readings");
    let all = Target::ALL;
    for (turn, value) in ["1", "5.50", "12", "0.000000001", "9"].into_iter().enumerate() {
        let value: Decimal = value.parse().expect("a number");
        // Not in the order of their times.
        let at_us = [30, 10, 50, 50, 20][turn];
        kpi.record(&next("u_1"), &errors, value, at_us).await.expect("record");
        kpi.record(&next("u_2"), &speed, value + ten, at_us).await.expect("record");
        temperature.snapshot(&next("u_1")).await.expect("snapshot");
        let (floor, ceiling) = (Decimal::from(turn), Decimal::from(40 + 10 * turn));
        temperature.set_bounds(&next("ops_1"), floor, ceiling, &all, None).await.expect("set");
    }
    kpi.record(&next("u_1"), &errors, Decimal::from(99), -1).await.expect_err("before 1970");
}

async fn locks(engines: &Engines, next: &mut impl FnMut(&str) -> RequestContext) {
    let locks = &engines.strategy_lock;
    let strategy = StrategyName::from_static("freeze");
    let mut propose = async |pattern: &'static str| -> LockId {
        let pattern: ActionPattern = pattern.parse().expect("a pattern");
        locks.propose(&next("ops_1"), &strategy, &pattern, "before the audit").await.expect("propose").lock_id
    };
    let (proposed, withdrawn) = (propose("kpi.*").await, propose("chat.*").await);
    let (in_force, released) = (propose("strategy_lock.propose").await, propose("budget.*").await);
    locks.withdraw(&next("ops_1"), &withdrawn, 1).await.expect("withdraw");
    for lock in [&in_force, &released] {
        locks.approve(&next("ops_1"), lock, 1).await.expect_err("of one's own");
        locks.approve(&next("ops_2"), lock, 1).await.expect("approve");
    }
    locks.release(&next("ops_2"), &released, 2).await.expect("release");
    locks.release(&next("ops_2"), &proposed, 1).await.expect_err("not in force");
}

async fn library(engines: &Engines, next: &mut impl FnMut(&str) -> RequestContext) {
    let Engines { media, vector, .. } = engines;
    let text = media.store(&next("u_1"), b"a text", None).await.expect("store").info.media_id;
    media.store(&next("u_2"), b"a text", None).await.expect("store again");
    media.store(&next("u_1"), GIF, Some("image/gif")).await.expect("store");
    media.store(&next("u_1"), GIF, Some("text/plain")).await.expect_err("no text");
    media.fetch(&next("u_1"), &text).await.expect("fetch");
    media.verify(&next("u_1"), &text).await.expect("verify");
    let id = |text: &str| text.parse::<DocumentId>().expect("a document id");
    let long = "Events are chained, and the chain is signed. ".repeat(60);
    vector.ingest(&next("u_1"), &id("one"), "one", &long).await.expect("ingest");
    vector.ingest(&next("u_1"), &id("one"), "one", &long).await.expect("ingest the same");
    vector.ingest(&next("u_2"), &id("one"), "one", &long[..1_500]).await.expect("ingest less");
    vector.ingest(&next("u_1"), &id("two"), "two", "A second document.").await.expect("ingest");
    vector.ingest(&next("u_1"), &id("three"), "three", "A third document.").await.expect("ingest");
    vector.remove(&next("u_1"), &id("two")).await.expect("remove");
    assert!(!vector.query(&next("u_1"), "the chain of events", 5).await.expect("query").is_empty());
    assert!(vector.query(&next("u_1"), "zzz", 5).await.expect("query").is_empty());
}
