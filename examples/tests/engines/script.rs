//! One script of operations that reaches every surface and most of the ways it can end.

use std::error::Error;
use std::time::Duration;

use dataset_events::{ErrorCode, RequestContext};
use dataset_events_examples::engines::budget::{Currency, Usage, UsageKind};
use dataset_events_examples::engines::chat::MAX_BODY_BYTES;
use dataset_events_examples::engines::gate::Action;
use dataset_events_examples::engines::kill_switch::{Change, Reason, Target};
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::strategy_lock::{LockState, StrategyName};
use dataset_events_examples::engines::vector::DocumentId;
use dataset_events_examples::engines::{ActionName, ActionPattern, Engines};
use futures::StreamExt as _;
use rust_decimal::Decimal;
use serde::Serialize;

/// What no event may hold: it stands in the title and in every text of the script.
pub(crate) const CANARY: &str = "Zanzibar-canary-4711";

pub(crate) const GIF: &[u8] = b"GIF89a\x40\x01\xf0\0";

/// Runs the script; answers every result as text, in order.
pub(crate) async fn run(engines: &Engines, ctx: &RequestContext, foreign: &RequestContext) -> Vec<String> {
    let Engines { chat, budget, kill_switch, .. } = engines;
    let mut results = Results::default();
    results.add("summary", budget.summary(ctx).await);
    results.add("policy", budget.set_policy(ctx, Decimal::from(-1), Currency::EUR).await);
    results.add("policy", budget.set_policy(ctx, Decimal::ONE, Currency::EUR).await);
    results.add("title", chat.create_thread(ctx, "").await);
    let thread = chat.create_thread(ctx, CANARY).await;
    let id = match &thread {
        Ok(thread) => thread.thread_id.clone(),
        Err(error) => panic!("create a thread: {error}"),
    };
    results.add("thread", thread);
    results.add("nothing to say", chat.stream_reply(ctx, &id).next().await.transpose());
    let text = format!("{CANARY} is a word. The ledger holds events, not words. Events hold no word of it.");
    results.add("send", chat.send_message(ctx, &id, &text).await);
    results.add("send nothing", chat.send_message(ctx, &id, " ").await);
    results.add("send too much", chat.send_message(ctx, &id, &CANARY.repeat(MAX_BODY_BYTES / 16)).await);
    results.add("image", chat.attach_image(ctx, &id, GIF).await);
    results.add("no image", chat.attach_image(ctx, &id, CANARY.as_bytes()).await);
    results.add("foreign", chat.list_messages(foreign, &id, 0, 10).await);
    let mut reply = chat.stream_reply(ctx, &id);
    while let Some(chunk) = reply.next().await {
        results.add("reply", chunk);
    }
    let mut left = chat.stream_reply(ctx, &id);
    results.add("first words", left.next().await.transpose());
    drop(left);
    results.add("list", chat.list_messages(ctx, &id, 0, 10).await);
    results.add("list nothing", chat.list_messages(ctx, &id, 0, 0).await);
    results.add("threads", chat.list_threads(ctx, None, 10).await);
    results.add("no threads", chat.list_threads(ctx, None, 1_000).await);
    results.add("usage", budget.record_usage(ctx, &Usage::new(UsageKind::Manual, Decimal::new(9, 1))).await);
    results
        .add("no usage", budget.record_usage(ctx, &Usage::new(UsageKind::Manual, Decimal::new(1, 9))).await);
    results.add("within", budget.check(ctx, Decimal::new(1, 2)).await);
    results.add("beyond", budget.check(ctx, Decimal::ONE).await);
    results.add("currency", budget.set_policy(ctx, Decimal::ONE, Currency::USD).await);
    results.add("summary", budget.summary(ctx).await);
    results.add("free", kill_switch.check(ctx, &Target::CHAT).await);
    let engage = Change::Engage(Reason::Abuse);
    results.add("engage", kill_switch.update(ctx, &Target::ALL, engage, Some(0)).await);
    results.add("stale", kill_switch.update(ctx, &Target::ALL, engage, Some(0)).await);
    results.add("blocked", kill_switch.check(ctx, &Target::CHAT).await);
    results.add("send blocked", chat.send_message(ctx, &id, CANARY).await);
    let release = Change::Release(Reason::Abuse);
    results.add("release", kill_switch.update(ctx, &Target::ALL, release, None).await);
    library(engines, ctx, foreign, &mut results).await;
    controls(engines, ctx, &mut results).await;
    results.0
}

/// Locks, KPIs, a temperature, and the gate in front of them.
async fn controls(engines: &Engines, ctx: &RequestContext, results: &mut Results) {
    let Engines { strategy_lock, kpi, temperature, gate, .. } = engines;
    let (strategy, pattern) = (StrategyName::from_static("freeze"), ActionPattern::from_static("chat.*"));
    let lock = strategy_lock.propose(ctx, &strategy, &pattern, CANARY).await;
    if let Ok(lock) = &lock {
        results.add("alone", strategy_lock.approve(ctx, &lock.lock_id, 1).await);
        results.add("withdraw", strategy_lock.withdraw(ctx, &lock.lock_id, 1).await);
        results.add("too late", strategy_lock.release(ctx, &lock.lock_id, 1).await);
    }
    results.add("propose", lock);
    results.add("locks", strategy_lock.list(ctx, LockState::Withdrawn, None, 10).await);
    let (name, unit) = (KpiName::from_static("latency"), Unit::from_static("ms"));
    results.add("unknown", kpi.latest(ctx, &name).await);
    results.add("define", kpi.define(ctx, &name, &unit, Direction::LowerIsBetter).await);
    results.add("cold", temperature.snapshot(ctx).await);
    results.add(
        "corridor",
        kpi.set_corridor(ctx, &name, Decimal::ONE, Decimal::TEN, Some(&Target::ALL), 1).await,
    );
    results.add("reading", kpi.record(ctx, &name, Decimal::new(75, 1), 1).await);
    results.add("bounds", temperature.set_bounds(ctx, Decimal::ONE, Decimal::TEN, &Target::CHAT, None).await);
    results.add("snapshot", temperature.snapshot(ctx).await);
    results.add("recent", temperature.recent(ctx, 5).await);
    results.add("breaches", temperature.breaches(ctx, Duration::from_secs(60)).await);
    let action = Action::free(ActionName::from_static("chat.send_message"));
    results.add("too hot", gate.pass(ctx, &action).await);
    results.add("reading", kpi.record(ctx, &name, Decimal::from(11), 2).await);
    results.add("outside", gate.pass(ctx, &action).await);
    results.add("kpis", kpi.list(ctx).await);
}

/// Media and vectors.
async fn library(engines: &Engines, ctx: &RequestContext, foreign: &RequestContext, results: &mut Results) {
    let Engines { media, vector, .. } = engines;
    let stored = media.store(ctx, CANARY.as_bytes(), Some("text/plain")).await;
    let media_id = match &stored {
        Ok(stored) => stored.info.media_id.clone(),
        Err(error) => panic!("store an object: {error}"),
    };
    results.add("stored", stored);
    results.add("stored again", media.store(ctx, CANARY.as_bytes(), None).await);
    results.add("mismatch", media.store(ctx, GIF, Some(&format!("text/{CANARY}"))).await);
    results.add("fetched", media.fetch(ctx, &media_id).await);
    results.add("verified", media.verify(ctx, &media_id).await);
    results.add("foreign object", media.fetch(foreign, &media_id).await);
    results.add("objects", media.list(ctx, None, 10).await);
    let id: DocumentId = "doc_1".parse().expect("a document id");
    results.add("ingested", vector.ingest(ctx, &id, CANARY, "The ledger holds events, not words.").await);
    results.add("nothing ingested", vector.ingest(ctx, &id, CANARY, "?").await);
    results.add("found", vector.query(ctx, CANARY, 3).await);
    results.add("foreign search", vector.query(foreign, CANARY, 3).await);
    results.add("no hits", vector.query(ctx, CANARY, 0).await);
    results.add("removed", vector.remove(ctx, &id).await);
    results.add("removed before", vector.remove(ctx, &id).await);
}

#[derive(Default)]
struct Results(Vec<String>);

impl Results {
    fn add<T: Serialize, E: ErrorCode + Error>(&mut self, what: &str, result: Result<T, E>) {
        let result = match result {
            Ok(value) => serde_json::to_string(&value).expect("a result that serialises"),
            Err(error) => format!("{}: {error}", error.code()),
        };
        self.0.push(format!("{what}: {result}"));
    }
}
