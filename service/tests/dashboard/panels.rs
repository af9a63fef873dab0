//! Pages of engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataset_events::read_models::Activity;
use dataset_events::{LedgerSet, SetScope};
use dataset_events_service::dashboard::{
    BarChart, Block, Cell, Dashboard, DashboardConfigError, LinePlot, Panel, PanelError, PanelRequest, Point,
    Table, Tile, TimeBars, Timeline, TimelineEntry, Tone, render_panel,
};

use crate::stage::{Stage, texts};

struct Orders(Arc<AtomicU64>);

impl Panel for Orders {
    fn id(&self) -> &str {
        "orders"
    }

    fn title(&self) -> &str {
        "Orders & more"
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let counts = request
            .fold(Activity, |folded| folded.state().window(request.window(), request.end_us()).total)?;
        let orders = counts.by_surface.get("orders.place").copied().unwrap_or_default();
        let end = request.end_us();
        Ok(vec![
            Block::tiles([Tile::new("Orders", Cell::count(orders.events))]),
            LinePlot::new("Heat", "K")
                .series("a", [Point::new(1, 2.0), Point::new(3, f64::NAN)])
                .corridor(None, Some(3.0))
                .threshold("stop", 4.0, Tone::Bad)
                .into(),
            LinePlot::new("Nothing", "").into(),
            BarChart::new("Parts").bar("x", 1.0, Cell::share(1.0)).into(),
            TimeBars::new("By hour", 3_600_000_000, end - 7_200_000_000, end)
                .bar(end - 3_600_000_000, 3, 1)
                .into(),
            Timeline::new("Changes")
                .entry(TimelineEntry::new(1, "first"))
                .entry(TimelineEntry::new(2, "second"))
                .into(),
            Table::new("Rows", &["A", "B"]).row([Cell::text("only one")]).into(),
        ])
    }
}

struct Broken;

impl Panel for Broken {
    fn id(&self) -> &str {
        "broken"
    }

    fn title(&self) -> &str {
        "Broken"
    }

    fn render(&self, _request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        panic!("a panel of the test that fails")
    }
}

#[tokio::test]
async fn a_panel_is_a_page_and_json_and_one_that_panics_harms_no_other() {
    let rendered = Arc::new(AtomicU64::new(0));
    let panel = Orders(Arc::clone(&rendered));
    let stage = Stage::with(|builder| builder.panel(panel).panel(Broken)).await;
    stage.seed("acme");
    for _ in 0..2 {
        let answer = stage.get("acme", "/panels/broken").await;
        assert_eq!(answer.status(), 500);
        let page = answer.text().await.unwrap();
        assert!(texts(&page, "dd").contains(&"dashboard.failed".to_owned()), "{page}");
        assert!(!page.contains("a panel of the test"), "nothing of the inside");
    }
    let page = stage.page("acme", "/panels/orders").await;
    assert_eq!(texts(&page, "h1"), ["Orders & more"]);
    assert_eq!(texts(&page, "nav.side a[aria-current]"), ["Orders & more"]);
    assert_eq!(texts(&page, ".tile dd"), ["2"]);
    assert_eq!(texts(&page, ".timeline .what"), ["second", "first"]);
    assert_eq!(texts(&page, "svg[role=img]").len(), 2);
    let json = stage.json("acme", "/api/panels/orders?window=all").await;
    assert_eq!(json["blocks"][0]["tiles"][0]["value"], serde_json::json!({"kind": "count", "value": 2}));
    assert_eq!((&json["panel"], &json["window"]), (&"orders".into(), &"all".into()));
    assert!(json["as_of"].is_i64());
    assert_eq!(rendered.load(Ordering::Relaxed), 2);
    assert_eq!(stage.get("acme", "/panels/nothing").await.status(), 404);
    let views: Vec<_> = stage.reads("acme").iter().map(|event| event.input_value()["view"].clone()).collect();
    assert_eq!(views, ["panel broken", "panel broken", "panel orders", "panel orders"]);
}

#[tokio::test]
async fn a_panel_can_be_rendered_without_a_server() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let scope: SetScope =
        LedgerSet::of(&stage.orders).scope(&"acme".try_into().unwrap(), &"test".try_into().unwrap());
    let end_us = stage.events("acme").last().unwrap().recorded_at + 1;
    let answer =
        render_panel(&Orders(Arc::default()), &scope, dataset_events::read_models::Window::All, end_us)
            .unwrap();
    assert_eq!(answer.blocks[0], Block::tiles([Tile::new("Orders", Cell::count(2))]));
    assert_eq!((answer.as_of, answer.unread.len()), (Some(end_us - 1), 0));
}

#[test]
fn what_cannot_be_an_address_is_refused() {
    struct Named(&'static str);
    impl Panel for Named {
        fn id(&self) -> &str {
            self.0
        }
        fn title(&self) -> &str {
            "Named"
        }
        fn render(&self, _request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
            Ok(Vec::new())
        }
    }
    let builder = || Dashboard::builder(LedgerSet::options().open());
    for bad in ["", "A", "a/b", "ä"] {
        assert!(
            matches!(builder().panel(Named(bad)).build(), Err(DashboardConfigError::PanelId(id)) if id == bad)
        );
    }
    let twice = builder().panel(Named("a")).panel(Named("a")).build();
    assert!(matches!(twice, Err(DashboardConfigError::PanelTwice(id)) if id == "a"));
    for bad in ["dash", "/dash/", "/", "/a b", "/a//b", "/../x", "/a?b"] {
        assert!(matches!(builder().base_path(bad).build(), Err(DashboardConfigError::BasePath(_))), "{bad}");
    }
}
