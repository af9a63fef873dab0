//! What the models say is what the engines hold, value by value, whichever ledgers the events lie in.

use dataset_events::read_models::{Folded, ReadModel, SnapshotStore, Start, assert_interleaving_invariant};
use dataset_events::testing::TestLedger;
use dataset_events::{DatasetEvent, Env, Ledger, LedgerSet, RequestContext, SetScope, TenantId};
use dataset_events_examples::engines::Bossman;
use dataset_events_examples::engines::bossman::{BossmanError, Window};
use dataset_events_examples::engines::budget::{Currency, UsageKind};
use dataset_events_examples::engines::strategy_lock::{Lock, LockState};
use dataset_events_examples::engines::temperature::MAX_WINDOW;
use dataset_events_examples::engines::{Engines, Nexus, Sources, Target};
use dataset_events_examples::read_models::{
    Board, BoardState, BudgetModel, Calls, ChatModel, ControlsModel, KpiModel, LedgersModel, LockView,
    MediaModel, SwitchView, TemperatureModel, VectorModel,
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::common::Bench;
use crate::watch::json;
use crate::{script, workload};

/// 2026-01-01T00:00:00Z, where the clocks of a test ledger and of the engines begin.
const START_US: i64 = 1_767_225_600_000_000;
const HOUR_US: i64 = 3_600_000_000;
const WINDOW: Window = Window { since_us: START_US - HOUR_US, until_us: START_US + HOUR_US };

/// Two workloads in a scope, one in a foreign one, and what is folded of the scope.
async fn worked() -> (Bench, Bossman, RequestContext) {
    let bench = Bench::new();
    let (ctx, foreign) = (bench.context("acme", "prod"), bench.context("globex", "prod"));
    workload::run(&bench.engines, |user| bench.context_of(user, "acme", "prod")).await;
    script::run(&bench.engines, &foreign, &ctx).await;
    bench.ledger.flush();
    let bossman = Bossman::new(bench.ledger.ledger().clone());
    (bench, bossman, ctx)
}

fn assert_budget(state: &BoardState, summary: &dataset_events_examples::engines::budget::Summary) {
    let view = state.budget.view(&summary.month, WINDOW);
    assert_eq!((&view.month, view.policy.as_ref()), (&summary.month, Some(&summary.policy)));
    assert_eq!((view.spent, view.remaining), (summary.spent, Some(summary.remaining)));
    assert_eq!((&view.kinds, &view.origins), (&summary.kinds, &summary.origins));
    assert_eq!((view.window.spent, &view.window.kinds), (summary.spent, &summary.kinds), "all in the window");
    assert_eq!(view.window.origins, summary.origins);
    assert_eq!((view.uncertain, view.unreadable), (0, 0));
}

#[tokio::test]
async fn the_budget_is_that_of_the_engine() {
    let (bench, bossman, ctx) = worked().await;
    let summary = bench.engines.budget.summary(&ctx).await.expect("summary");
    assert!(summary.origins.len() > 3 && summary.kinds.len() > 2, "{summary:?}");
    let shown = bossman.budget(&ctx, Some("2026-01"), WINDOW).await.expect("budget").view;
    assert_eq!((shown.policy.as_ref(), shown.spent), (Some(&summary.policy), summary.spent));
    assert_eq!((shown.remaining, shown.is_over_limit), (Some(summary.remaining), false));
    assert_eq!((&shown.kinds, &shown.origins), (&summary.kinds, &summary.origins));
    for (names, of) in [
        (
            &shown.providers,
            (|origin| origin.provider) as fn(dataset_events_examples::engines::budget::Origin) -> _,
        ),
        (&shown.models, |origin| origin.model),
        (&shown.tools, |origin| origin.tool),
    ] {
        let mut expected = std::collections::BTreeMap::new();
        for paid in &summary.origins {
            let (total, entries) = expected.entry(of(paid.origin.clone())).or_insert((Decimal::ZERO, 0));
            (*total, *entries) = (*total + paid.total.amount(), *entries + paid.entries);
        }
        let found = names.iter().map(|row| (row.name.clone(), (row.total.amount(), row.entries)));
        assert_eq!(found.collect::<std::collections::BTreeMap<_, _>>(), expected);
    }
    let months: Vec<(&str, _)> = shown.months.iter().map(|month| (&*month.month, month.total)).collect();
    assert_eq!(months, [("2026-01", summary.spent)]);
    let event = shown.policy_event.expect("the event of the policy");
    let set = &bench.ledger.events_of("budget.set_policy");
    assert!(set.iter().any(|set| set.event_id == event.event_id && set.tenant_id() == "acme"));
    // Another month has the policy of now and nothing spent.
    let empty = bossman.budget(&ctx, Some("2025-12"), WINDOW).await.expect("budget");
    assert_eq!((empty.view.spent.amount(), empty.view.kinds.len()), (Decimal::ZERO, 0));
    assert_eq!(empty.view.remaining, Some(summary.policy.limit));
    for bad in ["", "2026", "2026-13", "2026-00", "26-01", "2026-1", "2026-01-01", "+026-01"] {
        let refused = bossman.budget(&ctx, Some(bad), WINDOW).await;
        assert!(matches!(refused, Err(BossmanError::InvalidMonth { .. })), "{bad}: {refused:?}");
    }
}

#[tokio::test]
async fn the_temperature_is_that_of_the_engine() {
    let (bench, bossman, ctx) = worked().await;
    let temperature = &bench.engines.temperature;
    let bounds =
        temperature.set_bounds(&ctx, Decimal::ONE, Decimal::TEN, &Target::CHAT, None).await.expect("set");
    bench.ledger.flush();
    let shown = bossman.temperature(&ctx, WINDOW, 200).await.expect("temperature").view;
    let recent = temperature.recent(&ctx, 200).await.expect("recent");
    assert_eq!(recent.len(), 5);
    assert_eq!((&shown.recent, shown.current.as_ref()), (&recent, recent.first()));
    let breaches = temperature.breaches(&ctx, MAX_WINDOW).await.expect("breaches");
    assert!(breaches.count > 0);
    assert_eq!(shown.breaches, breaches.newest);
    assert_eq!(shown.counts.above_ceiling + shown.counts.below_floor, breaches.count);
    assert_eq!(shown.counts.snapshots, 5);
    assert_eq!(shown.counts.highest, recent.iter().map(|snapshot| snapshot.degrees).max());
    assert_eq!(shown.counts.lowest, recent.iter().map(|snapshot| snapshot.degrees).min());
    assert_eq!(shown.breach, bounds.breach(recent[0].degrees), "against the bounds of now");
    assert!(shown.breach.is_some());
    assert_eq!(shown.bounds, Some(bounds));
    let page = bossman.temperature(&ctx, WINDOW, 2).await.expect("temperature").view;
    assert_eq!(page.recent, recent[..2]);
}

#[tokio::test]
async fn the_kpis_are_those_of_the_engine() {
    let (bench, bossman, ctx) = worked().await;
    let listed = bench.engines.kpi.list(&ctx).await.expect("list");
    assert_eq!(listed.len(), 3);
    let shown = bossman.kpi(&ctx, 200).await.expect("KPIs").view;
    assert_eq!((shown.kpis.len(), shown.uncertain, shown.unreadable), (3, 0, 0));
    for (status, view) in listed.iter().zip(&shown.kpis) {
        assert_eq!((&view.kpi, &view.latest), (&status.kpi, &status.latest));
        assert_eq!(view.is_in_corridor, status.is_in_corridor);
        assert_eq!(view.history.len() as u64, status.kpi.readings);
        assert!(view.history.is_sorted_by_key(|point| point.at_us));
        let newest = view.history.last().map(|point| (point.at_us, point.value));
        assert_eq!(newest, status.latest.as_ref().map(|reading| (reading.at_us, reading.value)));
        assert_eq!(view.corridor_event.is_some(), status.kpi.corridor.is_some());
    }
    let outside = listed.iter().filter(|status| status.is_in_corridor == Some(false)).count() as u64;
    assert_eq!(shown.outside, outside);
    assert_eq!(bossman.kpi(&ctx, 1).await.expect("KPIs").view.kpis[1].history.len(), 1);
}

/// The switches of a scope as the database holds them.
fn switches(bench: &Bench) -> Vec<(String, bool, String, u64, String, i64)> {
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    let sql = "SELECT target, is_engaged, reason, version, updated_by, updated_at_us FROM kill_switches
               WHERE tenant_id = 'acme' AND env = 'prod' ORDER BY target";
    let mut statement = database.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn assert_lock(view: &LockView, lock: &Lock) {
    assert_eq!(
        (&view.lock_id, &view.strategy, &view.pattern),
        (&lock.lock_id, &lock.strategy, &lock.pattern)
    );
    assert_eq!((view.state, view.version), (lock.state, lock.version));
    assert_eq!((&view.proposed_by, view.proposed_at_us), (&lock.proposed_by, lock.proposed_at_us));
    assert_eq!((&view.updated_by, view.updated_at_us), (&lock.updated_by, lock.updated_at_us));
    assert_eq!((&view.approved_by, view.reason_bytes), (&lock.approved_by, lock.reason.len() as u64));
}

#[tokio::test]
async fn switches_and_locks_are_those_of_the_engines_and_name_their_events() {
    let (bench, bossman, ctx) = worked().await;
    let shown = bossman.controls(&ctx, 200).await.expect("controls").view;
    let found = shown.switches.iter().map(|SwitchView { switch, .. }| {
        let reason = switch.reason.as_str().to_owned();
        let (by, at_us) = (switch.updated_by.clone(), switch.updated_at_us);
        (switch.target.to_string(), switch.is_engaged, reason, switch.version, by, at_us)
    });
    let expected = switches(&bench);
    assert_eq!((found.collect::<Vec<_>>(), expected.len()), (expected.clone(), 3));
    assert_eq!(shown.engaged, 1);
    let mut locks = Vec::new();
    for state in [LockState::InForce, LockState::Proposed, LockState::Withdrawn, LockState::Released] {
        let of_state = bench.engines.strategy_lock.list(&ctx, state, None, 200).await.expect("list");
        assert_eq!(of_state.len(), 1);
        locks.extend(of_state);
    }
    locks[2..].sort_by_key(|lock| lock.proposed_at_us);
    assert_eq!((shown.locks.len(), shown.in_force), (4, 1));
    shown.locks.iter().zip(&locks).for_each(|(view, lock)| assert_lock(view, lock));

    // Every change that was made, newest first, each from its event.
    let events = bench.ledger.events();
    let is_control = |event: &&DatasetEvent| {
        let prefixes =
            ["budget.set", "kill_switch.up", "kpi.define", "kpi.set", "temperature.set", "strategy_lock."];
        event.tenant_id() == "acme"
            && event.code().is_none()
            && prefixes.iter().any(|prefix| event.surface.starts_with(prefix))
            && event.surface != "strategy_lock.check"
            && event.surface != "strategy_lock.list"
    };
    let mut expected: Vec<_> = events.iter().filter(is_control).collect();
    expected.reverse();
    assert!(expected.len() > 25);
    let ids = |changes: &[_]| -> Vec<_> {
        let changes: &[dataset_events_examples::read_models::ControlChange] = changes;
        changes.iter().map(|change| change.event.event_id).collect()
    };
    assert_eq!(ids(&shown.changes), expected.iter().map(|event| event.event_id).collect::<Vec<_>>());
    for (change, event) in shown.changes.iter().zip(expected) {
        let fields = crate::common::changes(event);
        let found = change.changes.iter();
        let found = found.map(|change| (change.field.clone(), change.before.clone(), change.after.clone()));
        assert_eq!(found.collect::<Vec<_>>(), fields);
        assert_eq!(Some(change.by.as_str()), event.user_id().map(|user| user.as_str()));
    }
    let first = bossman.controls(&ctx, 3).await.expect("controls").view;
    assert_eq!(ids(&first.changes), ids(&shown.changes)[..3]);
}

#[tokio::test]
async fn activity_is_what_the_engines_hold() {
    let (bench, bossman, ctx) = worked().await;
    let Engines { chat, media, .. } = &bench.engines;
    let shown = bossman.activity(&ctx, WINDOW, 50).await.expect("activity").view;
    let threads = chat.list_threads(&ctx, None, 200).await.expect("list");
    assert_eq!(shown.chat.counts.threads, threads.len() as u64);
    let messages: u64 = threads.iter().map(|thread| thread.messages).sum();
    let counts = shown.chat.counts;
    assert_eq!(counts.messages + counts.images + counts.replies, messages);
    assert_eq!((counts.messages, counts.images, counts.replies), (1, 1, 1));
    assert_eq!((counts.abandoned_replies, counts.denied, counts.failed), (1, 1, 1));
    assert_eq!(counts.image_bytes, script::GIF.len() as u64);
    let surfaces: Vec<&str> = shown.chat.latest.iter().map(|action| &*action.surface).take(3).collect();
    assert_eq!(surfaces, ["chat.send_message", "chat.stream_reply", "chat.stream_reply"]);

    let objects = media.list(&ctx, None, 200).await.expect("list");
    assert_eq!((shown.media.objects, objects.len()), (2, 2));
    assert_eq!(shown.media.bytes, objects.iter().map(|info| info.size_bytes).sum::<u64>());
    for info in &objects {
        let of_type = objects.iter().filter(|other| other.sniffed_type == info.sniffed_type).count() as u64;
        assert_eq!(shown.media.by_type.get(&info.sniffed_type), Some(&of_type));
    }
    let counts = &shown.media.counts;
    assert_eq!((counts.stored, counts.stored_again, counts.fetched, counts.verified), (2, 1, 1, 1));
    assert_eq!((counts.damaged, counts.failed), (0, 2));

    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    let sql = "SELECT count(*), sum(chunks) FROM vector_documents WHERE tenant_id = 'acme' AND env = 'prod'";
    let held = database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row");
    assert_eq!((shown.vector.documents, shown.vector.chunks), held);
    let counts = shown.vector.counts;
    assert_eq!((counts.ingested, counts.unchanged, counts.removed), (4, 1, 1));
    assert_eq!((counts.queries, counts.queries_without_hits), (3, 2), "one is of the other script");
}

#[tokio::test]
async fn the_ledgers_view_counts_what_each_holds_of_the_scope() {
    let (bench, bossman, ctx) = worked().await;
    let own = bench.ledger.events().iter().filter(|event| event.tenant_id() == "acme").count() as u64;
    let shown = bossman.ledgers(&ctx, 50).await.expect("ledgers");
    let row = &shown.view.ledgers[0];
    assert_eq!((shown.view.ledgers.len(), row.events, row.head.seq), (1, own, own));
    assert_eq!((row.lost, row.gaps, row.interrupted), (0, 0, 0));
    let row = serde_json::to_value(row).expect("a row is JSON");
    assert_eq!((&row["condition"], &row["is_own"]), (&Value::from("own"), &Value::from(true)));
    // A ledger that cannot be read is named, also where parts are refused.
    let absent = bossman.with_root(bench.database().with_extension("absent")).refusing_parts(true);
    let shown = absent.ledgers(&ctx, 50).await.expect("ledgers");
    assert_eq!((shown.view.unreadable, shown.view.ledgers.len()), (vec![None], 1));
    let refused = absent.controls(&ctx, 1).await;
    assert!(matches!(refused, Err(BossmanError::LedgerUnreadable { .. })), "{refused:?}");
}

/// Every view of a scope, without the time of reading.
async fn views(bossman: &Bossman, ctx: &RequestContext) -> Vec<Value> {
    let mut views = vec![
        serde_json::to_value(bossman.overview(ctx, WINDOW).await.expect("overview")),
        serde_json::to_value(bossman.budget(ctx, Some("2026-01"), WINDOW).await.expect("budget")),
        serde_json::to_value(bossman.temperature(ctx, WINDOW, 50).await.expect("temperature")),
        serde_json::to_value(bossman.kpi(ctx, 50).await.expect("KPIs")),
        serde_json::to_value(bossman.controls(ctx, 50).await.expect("controls")),
        serde_json::to_value(bossman.activity(ctx, WINDOW, 50).await.expect("activity")),
    ]
    .into_iter()
    .map(|view| view.expect("a view is JSON"))
    .collect::<Vec<Value>>();
    for view in &mut views {
        let view = view.as_object_mut().expect("an object");
        // What changes with each look.
        assert!(view.remove("as_of_us").is_some() && view.remove("freshness").is_some());
    }
    views
}

#[tokio::test]
async fn without_the_engines_database_the_answers_are_the_same() {
    let (bench, bossman, ctx) = worked().await;
    let before = views(&bossman, &ctx).await;
    let directory = bench.database();
    let directory = directory.parent().expect("a directory");
    for entry in std::fs::read_dir(directory).expect("list the directory") {
        let path = entry.expect("an entry").path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.expect("remove");
    }
    let empty = Engines::open(bench.database()).expect("a new database");
    // Asked in a ledger apart: no event of it belongs to the answers.
    let apart = TestLedger::with_seed(2);
    let asking = apart.context("acme", "prod").build().expect("a valid scope");
    empty.budget.summary(&asking).await.expect_err("nothing is in it");
    assert_eq!(views(&bossman, &ctx).await, before, "as it was read before");
    let anew = Bossman::new(bench.ledger.ledger().clone());
    assert_eq!(views(&anew, &ctx).await, before, "read from zero");
}

#[tokio::test]
async fn one_who_dies_between_fold_and_snapshot_leaves_the_same_answers() {
    let (bench, bossman, ctx) = worked().await;
    let expected = views(&bossman, &ctx).await;
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let open = || {
        let bossman = Bossman::new(bench.ledger.ledger().clone());
        bossman.with_snapshots(directory.path()).expect("make the directory")
    };
    let killed = open();
    assert_eq!(views(&killed, &ctx).await, expected);
    // As by SIGKILL: nothing of it runs any more. It folded, and no snapshot was due.
    std::mem::forget(killed);
    assert_eq!(views(&open(), &ctx).await, expected);

    // One that saved, folded on, and died before it saved again.
    let scope = scope_of(&LedgerSet::of(bench.ledger.ledger()));
    let store = SnapshotStore::open(directory.path()).expect("open the store");
    let mut folded = Folded::open(&scope, Board, &store).expect("fold");
    folded.save();
    workload_again(&bench, &ctx).await;
    folded.refresh();
    assert!(folded.last_refresh().new_events > 0);
    let live = json(folded.state());
    std::mem::forget(folded);
    let resumed = Folded::open(&scope, Board, &store).expect("fold");
    assert_eq!((resumed.start(), json(resumed.state())), (&Start::Snapshot, live.clone()));
    assert_eq!(json(Folded::in_memory(&scope, Board).expect("fold").state()), live);
}

async fn workload_again(bench: &Bench, ctx: &RequestContext) {
    let Engines { budget, temperature, .. } = &bench.engines;
    let usage = dataset_events_examples::engines::budget::Usage::new(UsageKind::Manual, Decimal::ONE);
    budget.record_usage(ctx, &usage).await.expect("record");
    temperature.snapshot(ctx).await.expect("snapshot");
    bench.ledger.flush();
}

fn scope_of(set: &LedgerSet) -> SetScope {
    set.scope(&TenantId::new("acme").expect("a tenant"), &Env::new("prod").expect("an env"))
}

/// One database, three ledgers: each call is recorded in the next one.
#[tokio::test]
async fn over_three_ledgers_the_state_is_the_engines_however_they_interleave() {
    let root = tempfile::tempdir().expect("make a temporary directory");
    let open = || Ledger::options().root(root.path()).journal_bytes(2 << 20).open().expect("open a ledger");
    let ledgers = [open(), open(), open()];
    let engines = Engines::over(Nexus::in_memory(Sources::counted()).expect("a database"));
    let mut turn = 0_usize;
    workload::run(&engines, |user| {
        turn += 1;
        // Each has a part of every object's history.
        let ledger = &ledgers[(turn.wrapping_mul(2_654_435_761) >> 16) % 3];
        ledger.context("acme", "prod").user_id(user).build().expect("a valid scope")
    })
    .await;
    let summary_ctx = ledgers[2].context("acme", "prod").build().expect("a valid scope");
    ledgers.iter().for_each(|ledger| ledger.flush().expect("flush"));
    let scope = scope_of(&LedgerSet::options().root(root.path()).open());
    let read = scope.events().iter().expect("read");
    let events: Vec<DatasetEvent> = read.map(|stored| stored.expect("read an event").event).collect();
    assert_interleaving_invariant(&Board, &events);
    fn alone<M: ReadModel>(model: &M, events: &[DatasetEvent]) {
        let selected: Vec<_> = events.iter().filter(|event| model.selects(event)).cloned().collect();
        assert_interleaving_invariant(model, &selected);
    }
    alone(&Calls, &events);
    alone(&LedgersModel, &events);
    alone(&TemperatureModel, &events);
    alone(&BudgetModel, &events);
    alone(&KpiModel, &events);
    alone(&ControlsModel, &events);
    alone(&ChatModel, &events);
    alone(&MediaModel, &events);
    alone(&VectorModel, &events);

    let folded = Folded::in_memory(&scope, Board).expect("fold");
    assert_eq!(folded.snapshot().ledgers.len(), 3);
    let state = folded.state();
    assert_budget(state, &engines.budget.summary(&summary_ctx).await.expect("summary"));
    let recent = engines.temperature.recent(&summary_ctx, 200).await.expect("recent");
    assert_eq!(state.temperature.view(WINDOW, 200).recent, recent);
    let listed = engines.kpi.list(&summary_ctx).await.expect("list");
    for (status, view) in listed.iter().zip(state.kpi.view(1).kpis) {
        assert_eq!((&view.kpi, &view.latest), (&status.kpi, &status.latest));
    }
    for lock in state.controls.view(1).locks {
        let of_state = engines.strategy_lock.list(&summary_ctx, lock.state, None, 200).await.expect("list");
        let found = of_state.iter().find(|found| found.lock_id == lock.lock_id).expect("in this state");
        assert_lock(&lock, found);
    }
}

#[tokio::test]
async fn a_write_that_was_cancelled_is_uncertain_and_in_no_sum() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let budget = bench.engines.budget.clone();
    budget.set_policy(&ctx, Decimal::TEN, Currency::EUR).await.expect("set");
    let usage = dataset_events_examples::engines::budget::Usage::new(UsageKind::Manual, Decimal::ONE);
    // Somebody else writes to the database, so that the transaction cannot have answered when it is given up.
    let other = rusqlite::Connection::open(bench.database()).expect("open the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("begin");
    {
        let call = budget.record_usage(&ctx, &usage);
        tokio::pin!(call);
        assert!(futures::poll!(&mut call).is_pending());
    }
    other.execute_batch("ROLLBACK").expect("give way");
    bench.ledger.flush();
    assert_eq!(bench.endings("budget.record_usage"), ["cancelled cancelled"]);
    let bossman = Bossman::new(bench.ledger.ledger().clone());
    let view = bossman.budget(&ctx, Some("2026-01"), WINDOW).await.expect("budget").view;
    assert_eq!((view.uncertain, view.spent.amount(), view.window.entries), (1, Decimal::ZERO, 0));
}

#[tokio::test]
async fn a_view_without_events_is_empty_and_no_error() {
    let (_bench, bossman, _) = worked().await;
    let bench = Bench::new();
    let nobody = bench.context("initech", "prod");
    let budget = bossman.budget(&nobody, None, WINDOW).await.expect("budget").view;
    assert_eq!((budget.policy, budget.remaining, budget.is_over_limit), (None, None, false));
    assert_eq!(bossman.kpi(&nobody, 1).await.expect("KPIs").view.kpis, []);
    assert_eq!(bossman.temperature(&nobody, WINDOW, 1).await.expect("temperature").view.current, None);
    let controls = bossman.controls(&nobody, 1).await.expect("controls").view;
    assert!(controls.switches.is_empty() && controls.locks.is_empty() && controls.changes.is_empty());
    assert_eq!(bossman.ledgers(&nobody, 50).await.expect("ledgers").view.ledgers, []);
    for refused in [
        bossman.kpi(&nobody, 0).await.map(drop),
        bossman.controls(&nobody, 201).await.map(drop),
        bossman.ledgers(&nobody, 0).await.map(drop),
        bossman.temperature(&nobody, WINDOW, 0).await.map(drop),
        bossman.activity(&nobody, WINDOW, 0).await.map(drop),
    ] {
        assert!(matches!(refused, Err(BossmanError::InvalidPage { .. })), "{refused:?}");
    }
    let empty = Window { since_us: 5, until_us: 5 };
    for refused in [
        bossman.budget(&nobody, None, empty).await.map(drop),
        bossman.temperature(&nobody, empty, 1).await.map(drop),
        bossman.activity(&nobody, empty, 1).await.map(drop),
    ] {
        assert!(matches!(refused, Err(BossmanError::InvalidWindow { .. })), "{refused:?}");
    }
}
