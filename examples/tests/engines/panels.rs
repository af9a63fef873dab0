//! The engines' pages of the dashboard say what the engines hold.

use dataset_events::read_models::Window;
use dataset_events::{Env, LedgerSet, TenantId};
use dataset_events_examples::panels::panels;
use dataset_events_service::dashboard::render_panel;
use serde_json::{Value, json};

use crate::common::Bench;
use crate::workload;

/// An hour behind the beginning of the tests' clocks, 2026-01-01T00:00:00Z.
const END_US: i64 = 1_767_225_600_000_000 + 3_600_000_000;

/// Each page of a scope as JSON, by its id.
fn pages(bench: &Bench, tenant: &str) -> Vec<(String, Value)> {
    bench.ledger.flush();
    let set = LedgerSet::of(bench.ledger.ledger());
    let scope = set.scope(&TenantId::new(tenant).expect("a tenant"), &Env::new("prod").expect("an env"));
    let page = |panel: &dyn dataset_events_service::dashboard::Panel| {
        let answer = render_panel(panel, &scope, Window::Day, END_US).expect("a page");
        assert_eq!(answer.unread, []);
        let blocks = serde_json::to_value(answer.blocks).expect("blocks are JSON");
        (panel.id().to_owned(), blocks)
    };
    panels().iter().map(|panel| page(&**panel)).collect()
}

/// The value of a tile, wherever it stands on the page.
fn tile(blocks: &Value, label: &str) -> Value {
    let blocks = blocks.as_array().expect("blocks").iter();
    let mut tiles = blocks.flat_map(|block| block["tiles"].as_array().into_iter().flatten());
    tiles.find(|tile| tile["label"] == label).unwrap_or_else(|| panic!("no tile {label}"))["value"].clone()
}

fn block<'a>(blocks: &'a Value, kind: &str, key: &str, name: &str) -> &'a Value {
    let mut blocks = blocks.as_array().expect("blocks").iter();
    let found = blocks.find(|block| block["block"] == kind && block[key] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[tokio::test]
async fn each_page_shows_the_state_of_its_engine() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    workload::run(&bench.engines, |user| bench.context_of(user, "acme", "prod")).await;
    let pages = pages(&bench, "acme");
    let page = |id: &str| &pages.iter().find(|(found, _)| found == id).expect("the page").1;
    assert_eq!(
        pages.iter().map(|(id, _)| &**id).collect::<Vec<_>>(),
        ["controls", "budget", "kpi", "temperature", "activity"]
    );

    let controls = page("controls");
    assert_eq!(tile(controls, "Switches engaged"), json!({"kind": "count", "value": 1}));
    assert_eq!(tile(controls, "Locks in force"), json!({"kind": "count", "value": 1}));
    let switches = block(controls, "table", "caption", "Kill switches")["rows"].as_array().expect("rows");
    let states: Vec<_> =
        switches.iter().map(|row| (&row[0]["text"], &row[1]["text"], &row[4]["text"])).collect();
    assert_eq!(
        states,
        [
            (&json!("chat"), &json!("released"), &json!("ops_2")),
            (&json!("media"), &json!("released"), &json!("ops_1")),
            (&json!("nexus"), &json!("engaged"), &json!("ops_2")),
        ]
    );
    let changes =
        block(controls, "timeline", "title", "Latest changes")["entries"].as_array().expect("entries");
    assert!(changes.len() > 20 && changes.iter().all(|change| change["event"].is_string()), "{changes:?}");
    // What changed is said in words, of a corridor field by field.
    let facts: Vec<String> = changes
        .iter()
        .flat_map(|change| change["facts"].as_array().expect("facts"))
        .map(|fact| {
            format!("{}: {}", fact[0].as_str().expect("a name"), fact[1]["text"].as_str().expect("a text"))
        })
        .collect();
    assert!(facts.iter().any(|fact| fact.starts_with("corridor low: not set \u{2192} ")), "{facts:?}");
    assert!(facts.iter().all(|fact| !fact.contains(['{', '}'])), "{facts:?}");

    let summary = bench.engines.budget.summary(&ctx).await.expect("summary");
    let budget = page("budget");
    let number = |value: &dyn std::fmt::Display| json!({"kind": "number", "text": value.to_string()});
    for (label, amount) in [
        ("Spent this month", summary.spent),
        ("Remaining", summary.remaining),
        ("Limit", summary.policy.limit),
    ] {
        let shown = tile(budget, label)["text"].as_str().expect("a number").to_owned();
        assert_eq!(shown.parse(), Ok(amount.amount()), "{label}");
        assert!(shown.split_once('.').is_some_and(|(_, places)| places.len() >= 2), "{label}: {shown}");
    }
    for title in ["By provider", "By model", "By tool"] {
        let chart = block(budget, "bar_chart", "title", &format!("{title}, this month"));
        assert!(chart["bars"].as_array().expect("bars").len() > 1, "{chart}");
    }

    let listed = bench.engines.kpi.list(&ctx).await.expect("list");
    let kpi = page("kpi");
    let rows = block(kpi, "table", "caption", "KPIs")["rows"].as_array().expect("rows");
    for (row, status) in rows.iter().zip(&listed) {
        assert_eq!(row[0]["text"], status.kpi.name.as_str());
        let latest = status.latest.as_ref().map(|latest| number(&latest.value));
        assert_eq!(row[1], latest.unwrap_or(json!({"kind": "none"})));
    }
    let plot = block(kpi, "line_plot", "title", "speed");
    assert_eq!(plot["corridors"], json!([{"from_us": null, "low": 0.0, "high": 100.0}]));
    assert_eq!(plot["series"][0]["points"].as_array().expect("points").len(), 5);

    let recent = bench.engines.temperature.recent(&ctx, 200).await.expect("recent");
    let temperature = page("temperature");
    assert_eq!(tile(temperature, "Now"), number(&recent[0].degrees));
    let plot = block(temperature, "line_plot", "title", "Temperature");
    let points = plot["series"][0]["points"].as_array().expect("points");
    let exact: Vec<&Value> = points.iter().rev().map(|point| &point["exact"]).collect();
    let degrees: Vec<Value> = recent.iter().map(|snapshot| json!(snapshot.degrees.to_string())).collect();
    assert_eq!(exact, degrees.iter().collect::<Vec<_>>());
    assert_eq!(plot["corridors"].as_array().expect("corridors").len(), 5, "the bounds of their time");

    let activity = page("activity");
    assert_eq!(tile(activity, "Threads"), json!({"kind": "count", "value": 2}));
    assert_eq!(tile(activity, "Objects"), json!({"kind": "count", "value": 2}));
    assert_eq!(tile(activity, "Documents"), json!({"kind": "count", "value": 2}));
}

#[tokio::test]
async fn a_scope_without_events_gets_pages_that_say_what_makes_something_appear() {
    let bench = Bench::new();
    workload::run(&bench.engines, |user| bench.context_of(user, "acme", "prod")).await;
    for (id, blocks) in pages(&bench, "globex") {
        let text = blocks.to_string();
        assert!(!text.contains("ops_1") && !text.contains("mill"), "{id}: {text}");
        let is_empty = blocks[0]["block"] == "empty";
        assert_eq!(is_empty, ["budget", "kpi", "temperature"].contains(&&*id), "{id}: {text}");
    }
}
