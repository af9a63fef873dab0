//! The views say what the read models say, value by value.

use std::collections::BTreeMap;

use dataset_events::read_models::{Activity, Bucket, Failures, ReadModel, Step};
use dataset_events::sinks::bigquery::BigQueryView;
use dataset_events::sinks::{EntryKind, MemoryState, SinkStart};
use dataset_events::{DatasetEvent, Ledger, RequestContext};
use dataset_events_examples::bigquery_views;
use dataset_events_examples::engines::budget::{Currency, Label, Origin, Usage, UsageKind};
use dataset_events_examples::engines::kpi::{Direction, KpiName, Unit};
use dataset_events_examples::engines::{Engines, Nexus, Sources, Target};
use dataset_events_examples::read_models::{BudgetModel, TemperatureModel, Window};
use dataset_events_tests::log::only_ledger;
use serde_json::{Value, json};

use super::*;
use dataset_events_tests::remote::bigquery::Rest;

const ERRORS: KpiName = KpiName::from_static("error_rate");

/// What the engines do in one scope: spending in amounts that no double holds, snapshots in and out of bounds,
/// failures of several kinds.
async fn work(engines: &Engines, ctx: &RequestContext, times: usize) {
    let amount = |text: &str| text.parse().expect("a decimal");
    let usage = |kind, text: &str, origin| Usage { origin, ..Usage::new(kind, amount(text)) };
    let paid = |provider: &'static str, model: Option<&'static str>| Origin {
        provider: Some(Label::from_static(provider)),
        model: model.map(Label::from_static),
        tool: None,
    };
    let budget = &engines.budget;
    // No policy yet.
    budget.record_usage(ctx, &usage(UsageKind::Manual, "1", Origin::default())).await.expect_err("no policy");
    budget.set_policy(ctx, amount("1"), Currency::EUR).await.expect("set a policy");
    budget.set_policy(ctx, amount("12.5"), Currency::EUR).await.expect("set a policy");
    for number in 0..times {
        let spent = usage(UsageKind::ChatReply, "0.100001", paid("openai", Some("gpt")));
        budget.record_usage(ctx, &spent).await.expect("record");
        let spent = usage(UsageKind::ChatMessage, "0.000003", paid("mistral", None));
        budget.record_usage(ctx, &spent).await.expect("record");
        let text = format!("{number}.01");
        budget.record_usage(ctx, &usage(UsageKind::Manual, &text, Origin::default())).await.expect("record");
        budget.check(ctx, amount("1000")).await.expect_err("over the limit");
    }
    let (kpi, temperature) = (&engines.kpi, &engines.temperature);
    kpi.define(ctx, &ERRORS, &Unit::from_static("%"), Direction::LowerIsBetter).await.expect("define");
    kpi.set_corridor(ctx, &ERRORS, amount("0"), amount("10"), None, 1).await.expect("set a corridor");
    temperature.snapshot(ctx).await.expect_err("no readings");
    for (number, value) in ["0.5", "9.999", "5", "3.3"].into_iter().cycle().take(times * 2).enumerate() {
        if number == 2 {
            let set = temperature.set_bounds(ctx, amount("20.5"), amount("80"), &Target::ALL, None);
            set.await.expect("set bounds");
        }
        kpi.record(ctx, &ERRORS, amount(value), 1_767_225_600_000_000 + number as i64).await.expect("record");
        temperature.snapshot(ctx).await.expect("take the temperature");
    }
}

/// A ledger of the engines' work in three scopes, forwarded; its events by scope.
fn forwarded() -> (BigQuery, Rest, BTreeMap<(String, String), Vec<DatasetEvent>>) {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::options().root(root.path()).service("views", "1").open().expect("open a ledger");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let nexus = Nexus::open(root.path().join("engines.sqlite"), Sources::counted());
        let engines = Engines::over(nexus.expect("open the engines' database"));
        for (tenant, env, times) in [("acme", "prod", 7), ("acme", "dev", 1), ("globex", "prod", 3)] {
            let ctx = ledger.context(tenant, env).user_id("u_1").build().expect("a context");
            work(&engines, &ctx, times).await;
            // Left by reading itself: in no view.
            ctx.event("ledger.read").output("rows", &5).record().expect("record");
        }
    });
    ledger.close().expect("close");
    let directory = only_ledger(root.path());
    let cut = story::LedgerCut::read(&directory);
    let target = BigQuery::new(false, false);
    let rest = Rest::of(&target.running);
    let views = bigquery_views::ALL.map(|(name, sql)| BigQueryView::new(name, sql));
    let views: Vec<_> = BigQueryView::built_in().into_iter().chain(views).collect();
    let mut sink = BigQuerySink::new(target.settings().views(views));
    let state = &mut MemoryState::default();
    sink.open(&SinkStart::new(cut.ledger_id, state)).expect("open the sink");
    let ack = sink.append(&cut.entries()).expect("append");
    assert_eq!(ack.rejected, []);
    let mut events = BTreeMap::<_, Vec<_>>::new();
    for piece in cut.pieces.iter().filter(|piece| piece.kind == EntryKind::Event) {
        let line = String::from_utf8(piece.bytes.clone()).expect("a line is UTF-8");
        let event = DatasetEvent::from_line(&line).expect("a line is an event");
        let scope = (event.tenant_id().to_owned(), event.env().to_owned());
        events.entry(scope).or_default().push(event);
    }
    assert_eq!(events.len(), 4, "three scopes and the ledger's own");
    (target, rest, events)
}

fn folded<M: ReadModel>(model: &M, events: &[DatasetEvent]) -> M::State {
    let mut state = M::State::default();
    for event in events.iter().filter(|event| model.selects(event)) {
        model.apply(&mut state, event);
    }
    state
}

fn number(cell: &Option<String>) -> u64 {
    cell.as_deref().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{cell:?} is no number"))
}

/// Equal as numbers, whatever zeros follow: `1.10` and `1.1`.
fn decimal(cell: &Option<String>) -> Option<String> {
    let text = cell.as_deref()?;
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Some(text.to_owned())
}

fn shown(value: impl serde::Serialize) -> Option<String> {
    match serde_json::to_value(value).expect("a value") {
        Value::Null => None,
        Value::String(text) => decimal(&Some(text)),
        other => decimal(&Some(other.to_string())),
    }
}

#[test]
fn the_views_say_what_the_read_models_say() {
    let (target, rest, scopes) = forwarded();
    let view = |name: &str| format!("`{PROJECT}.{}.{name}`", target.dataset);
    for ((tenant, env), events) in &scopes {
        let scope = format!("tenant_id = '{tenant}' AND env = '{env}'");
        activity(&rest, &view("v_activity"), &scope, events);
        failures(&rest, &view("v_failures"), &scope, events);
        budget(&rest, &view("v_budget"), &view("v_budget_usage"), &scope, events);
        temperature(&rest, &view("v_temperature"), &scope, events);
    }
}

fn activity(rest: &Rest, view: &str, scope: &str, events: &[DatasetEvent]) {
    let rows = rest.query(&format!(
        "SELECT UNIX_MICROS(hour), surface, access, outcome, code, events, failures FROM {view} WHERE {scope}"
    ));
    type Sums = BTreeMap<String, (u64, u64)>;
    let mut found = BTreeMap::<i64, Sums>::new();
    for row in &rows {
        let text = |at: usize| row[at].clone().unwrap_or_default();
        let hour = found.entry(text(0).parse().expect("a time")).or_default();
        let mut keys = vec!["all".to_owned(), format!("surface {}", text(1)), format!("access {}", text(2))];
        keys.push(format!("outcome {}", text(3)));
        keys.extend(row[4].as_ref().map(|code| format!("code {code}")));
        for key in keys {
            let sum = hour.entry(key).or_default();
            *sum = (sum.0 + number(&row[5]), sum.1 + number(&row[6]));
        }
    }
    let state = folded(&Activity, events);
    let mut expected = BTreeMap::<i64, Sums>::new();
    for (hour, counts) in state.series(Step::Hour, 0, i64::MAX) {
        let sums = expected.entry(hour).or_default();
        sums.insert("all".to_owned(), (counts.events, counts.failures));
        for (surface, counts) in &counts.by_surface {
            sums.insert(format!("surface {surface}"), (counts.events, counts.failures));
        }
        // The model counts failures by surface alone.
        let failed =
            |outcome: &dataset_events::Outcome, count: u64| if outcome.is_failure() { count } else { 0 };
        for (outcome, count) in &counts.by_outcome {
            sums.insert(format!("outcome {outcome}"), (*count, failed(outcome, *count)));
        }
        for (code, count) in &counts.by_code {
            sums.insert(format!("code {code}"), (*count, *count));
        }
        for (access, count) in &counts.by_access {
            let key = format!("access {access}");
            let failures = found.get(&hour).and_then(|sums| sums.get(&key)).map_or(0, |sum| sum.1);
            sums.insert(key, (*count, failures));
        }
    }
    assert_eq!(found, expected, "{scope}");
    let mut all = dataset_events::read_models::ActivityCounts::default();
    state.series(Step::Hour, 0, i64::MAX).for_each(|(_, counts)| all.merge(counts));
    let reading = events.iter().filter(|event| event.surface == "ledger.read").count();
    assert_eq!(all.events as usize, events.len() - reading);
}

fn failures(rest: &Rest, view: &str, scope: &str, events: &[DatasetEvent]) {
    let rows = rest.query(&format!(
        "SELECT event_id, surface, outcome, code, is_retryable, trace_id, duration_ns FROM {view} WHERE {scope} \
         ORDER BY recorded_at DESC, seq DESC"
    ));
    let state = folded(&Failures, events);
    let latest = state.latest.newest_first().map(|(_, failure)| {
        vec![
            Some(failure.event_id.to_string()),
            Some(failure.surface.clone()),
            Some(failure.outcome.to_string()),
            failure.code.clone(),
            Some(failure.is_retryable.to_string()),
            Some(failure.trace_id.to_string()),
            Some(failure.duration_ns.to_string()),
        ]
    });
    assert_eq!(rows, latest.collect::<Vec<_>>(), "{scope}");
}

fn budget(rest: &Rest, view: &str, usage: &str, scope: &str, events: &[DatasetEvent]) {
    let state = folded(&BudgetModel, events);
    let all = Window { since_us: 0, until_us: i64::MAX };
    let months = rest.query(&format!(
        "SELECT month, spent, entries, policy_limit, currency, policy_version, remaining, is_over_limit FROM {view} \
         WHERE {scope} ORDER BY month"
    ));
    assert_eq!(months.len(), state.view("2026-01", all).months.len(), "{scope}");
    for row in &months {
        let month = row[0].clone().expect("a month");
        let folded = state.view(&month, all);
        let policy = folded.policy.as_ref().expect("a policy");
        let entries = folded.kinds.iter().map(|kind| kind.entries).sum::<u64>();
        let expected = [
            Some(month.clone()),
            shown(folded.spent),
            shown(entries),
            shown(policy.limit),
            shown(policy.currency),
            shown(policy.version),
            shown(folded.remaining),
            shown(folded.is_over_limit),
        ];
        assert_eq!(row.iter().map(decimal).collect::<Vec<_>>(), expected, "{scope}");
        let rows = rest.query(&format!(
            "SELECT provider, model, tool, SUM(total), SUM(entries) FROM {usage} WHERE {scope} AND month = '{month}' \
             GROUP BY provider, model, tool"
        ));
        let mut found: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(decimal).collect()).collect();
        found.sort();
        let mut expected: Vec<Vec<_>> = folded
            .origins
            .iter()
            .map(|paid| {
                let Origin { provider, model, tool } = &paid.origin;
                vec![shown(provider), shown(model), shown(tool), shown(paid.total), shown(paid.entries)]
            })
            .collect();
        expected.sort();
        assert_eq!(found, expected, "{scope}, {month}");
        let kinds = rest.query(&format!(
            "SELECT kind, SUM(total), SUM(entries) FROM {usage} WHERE {scope} AND month = '{month}' GROUP BY kind \
             ORDER BY kind"
        ));
        let mut expected: Vec<Vec<_>> = folded
            .kinds
            .iter()
            .map(|kind| vec![shown(kind.kind), shown(kind.total), shown(kind.entries)])
            .collect();
        expected.sort();
        let found: Vec<Vec<_>> = kinds.iter().map(|row| row.iter().map(decimal).collect()).collect();
        assert_eq!(found, expected, "{scope}, {month}");
    }
}

fn temperature(rest: &Rest, view: &str, scope: &str, events: &[DatasetEvent]) {
    let rows = rest.query(&format!(
        "SELECT position, degrees, kpis, floor, ceiling, breach, UNIX_MICROS(taken_at) FROM {view} WHERE {scope} \
         ORDER BY position DESC"
    ));
    let state = folded(&TemperatureModel, events);
    let all = Window { since_us: 0, until_us: i64::MAX };
    let folded = state.view(all, 200);
    let expected = folded.recent.iter().map(|snapshot| {
        let value = json!(snapshot);
        ["position", "degrees", "kpis", "floor", "ceiling", "breach", "taken_at_us"]
            .map(|name| shown(&value[name]))
            .to_vec()
    });
    let found: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(decimal).collect()).collect();
    assert_eq!(found, expected.collect::<Vec<_>>(), "{scope}");
    let counts = rest.query(&format!(
        "SELECT COUNT(*), COUNTIF(breach = 'above_ceiling'), COUNTIF(breach = 'below_floor'), MIN(degrees), \
         MAX(degrees) FROM {view} WHERE {scope}"
    ));
    let counted = &folded.counts;
    let expected = [
        shown(counted.snapshots),
        shown(counted.above_ceiling),
        shown(counted.below_floor),
        shown(counted.lowest),
        shown(counted.highest),
    ];
    assert_eq!(counts[0].iter().map(decimal).collect::<Vec<_>>(), expected, "{scope}");
}
