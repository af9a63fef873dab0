//! A caller that leaves a durable step: it is taken to its end, and its one event says so.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use dataset_events::{DatasetEvent, Outcome, RequestContext, dataset_event};
use dataset_events_examples::engines::budget::Currency;
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::strategy_lock::{LockState, StrategyName};
use dataset_events_examples::engines::{ActionPattern, Engines, Target};
use futures::FutureExt as _;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::common::{Bench, changes};

/// How long a step may take until its event is there.
const PATIENCE: Duration = Duration::from_secs(180);

/// Lets the step begin, and drops it before it can have ended.
fn leave<T>(step: impl Future<Output = T>) {
    let mut step = pin!(step);
    assert!(step.as_mut().now_or_never().is_none(), "a durable step waits for the disk");
}

/// The event of the surface that follows those that were there before.
async fn next_event(bench: &Bench, surface: &str, before: usize) -> DatasetEvent {
    let found = async {
        loop {
            if let Some(event) = bench.ledger.events_of(surface).into_iter().nth(before) {
                return event;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the step ends")
}

async fn assert_taken(bench: &Bench, surface: &str, before: usize, changed: &[(&str, Value, Value)]) {
    let event = next_event(bench, surface, before).await;
    assert_eq!(event.outcome, Outcome::Ok, "{surface}");
    let changed: Vec<_> =
        changed.iter().map(|(field, from, to)| ((*field).to_owned(), from.clone(), to.clone())).collect();
    assert_eq!(changes(&event), changed, "{surface}");
}

#[tokio::test]
async fn a_durable_step_whose_caller_leaves_is_taken_and_recorded_once() -> Result<(), Box<dyn Error>> {
    let bench = Bench::new();
    let (one, two) = (bench.context_of("ops_1", "acme", "prod"), bench.context_of("ops_2", "acme", "prod"));
    let Engines { kill_switch, strategy_lock, budget, .. } = &bench.engines;

    leave(kill_switch.update(&one, &Target::CHAT, Change::Engage(Reason::Incident), None));
    assert_taken(&bench, "kill_switch.update", 0, &[("is_engaged", json!(false), json!(true))]).await;
    assert!(kill_switch.check(&one, &Target::CHAT).await.is_err(), "the switch is engaged");

    leave(budget.set_policy(&one, Decimal::TEN, Currency::EUR));
    let changed = [("limit", Value::Null, json!("10")), ("currency", Value::Null, json!("EUR"))];
    assert_taken(&bench, "budget.set_policy", 0, &changed).await;
    assert_eq!(budget.summary(&one).await?.policy.limit.to_string(), "10");

    let (strategy, pattern) = (StrategyName::from_static("freeze"), ActionPattern::from_static("chat.*"));
    for round in 0..2 {
        leave(strategy_lock.propose(&one, &strategy, &pattern, "an audit"));
        let proposed = [("state", Value::Null, json!("proposed"))];
        assert_taken(&bench, "strategy_lock.propose", round, &proposed).await;
    }
    let locks = strategy_lock.list(&one, LockState::Proposed, None, 10).await?;
    leave(strategy_lock.withdraw(&one, &locks[0].lock_id, 1));
    let withdrawn = [("state", json!("proposed"), json!("withdrawn"))];
    assert_taken(&bench, "strategy_lock.withdraw", 0, &withdrawn).await;
    leave(strategy_lock.approve(&two, &locks[1].lock_id, 1));
    let approved = [("state", json!("proposed"), json!("in_force"))];
    assert_taken(&bench, "strategy_lock.approve", 0, &approved).await;
    leave(strategy_lock.release(&one, &locks[1].lock_id, 2));
    let released = [("state", json!("in_force"), json!("released"))];
    assert_taken(&bench, "strategy_lock.release", 0, &released).await;

    for (surface, times) in [
        ("kill_switch.update", 1),
        ("budget.set_policy", 1),
        ("strategy_lock.propose", 2),
        ("strategy_lock.withdraw", 1),
        ("strategy_lock.approve", 1),
        ("strategy_lock.release", 1),
        ("nexus.write", 7),
    ] {
        assert_eq!(bench.endings(surface), vec!["ok"; times], "{surface}");
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_is_never_begun_is_not_taken() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    drop(bench.engines.kill_switch.update(&ctx, &Target::CHAT, Change::Engage(Reason::Incident), None));
    bench.engines.kill_switch.check(&ctx, &Target::CHAT).await.expect("not engaged");
    assert_eq!(bench.endings("kill_switch.update"), [""; 0]);
}

#[dataset_event(surface = "left.shift")]
async fn shift(ctx: &RequestContext, engines: &Engines) -> bool {
    engines.kill_switch.update(ctx, &Target::CHAT, Change::Engage(Reason::Incident), None).await.is_ok()
}

#[tokio::test]
async fn a_durable_step_is_a_child_of_the_call_that_takes_it() {
    let bench = Bench::new();
    assert!(shift(&bench.context("acme", "prod"), &bench.engines).await);
    let (shift, update) =
        (bench.ledger.events_of("left.shift"), bench.ledger.events_of("kill_switch.update"));
    assert_eq!(update[0].parent_span_id, Some(shift[0].span_id));
    let write = &bench.ledger.events_of("nexus.write")[0];
    assert_eq!(write.parent_span_id, Some(update[0].span_id));
}
