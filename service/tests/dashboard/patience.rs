//! Readings that take long: nobody waits for their end, and what is known meanwhile is shown.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use dataset_events_service::dashboard::{
    Block, Cell, DashboardBuilder, Panel, PanelError, PanelRequest, Tile,
};
use reqwest::Response;
use serde_json::Value;

use crate::stage::{Stage, texts};

/// Shorter than any reading that is held, and long enough for one that is not.
const PATIENCE: Duration = Duration::from_millis(500);

/// A panel that is held until the test lets it go.
#[derive(Clone, Default)]
struct Held(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_let_go: bool,
    ended: u64,
}

impl Held {
    fn let_go(&self) {
        self.0.0.lock().unwrap().is_let_go = true;
        self.0.1.notify_all();
    }

    fn ended(&self) -> u64 {
        self.0.0.lock().unwrap().ended
    }
}

impl Panel for Held {
    fn id(&self) -> &str {
        "held"
    }

    fn title(&self) -> &str {
        "Held"
    }

    fn render(&self, _: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let mut state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| !state.is_let_go).unwrap();
        state.ended += 1;
        Ok(vec![Block::tiles([Tile::new("Ended", Cell::count(state.ended))])])
    }
}

/// A test that fails must not leave a thread that waits for ever.
struct LetGo(Held);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

async fn held(configure: impl FnOnce(DashboardBuilder) -> DashboardBuilder) -> (Stage, LetGo) {
    let held = Held::default();
    let panel = held.clone();
    let stage = Stage::with(|builder| configure(builder.panel(panel).patience(PATIENCE))).await;
    (stage, LetGo(held))
}

/// The answer once it is given in time: on a machine that is busy also an ordinary reading may take long.
async fn in_time(stage: &Stage, tenant: &str, path: &str) -> Response {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let answer = stage.get(tenant, path).await;
        if answer.status() != 503 {
            assert_eq!(answer.status(), 200, "{path}");
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} is not read in time");
    }
}

#[tokio::test]
async fn a_reading_goes_on_without_the_page_that_waited_for_it() {
    let (stage, held) = held(|builder| builder).await;
    stage.seed("acme");
    stage.seed("globex");
    let answer = stage.get("acme", "/panels/held").await;
    assert_eq!(answer.status(), 503);
    let page = answer.text().await.unwrap();
    assert_eq!(texts(&page, "h1"), ["Reading the ledger"]);
    assert_eq!(texts(&page, "p[role=status][data-again='3']").len(), 1, "the script looks again");
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh" content="3"></noscript>"#), "{page}");

    let answer = stage.get("acme", "/api/panels/held").await;
    assert_eq!(answer.status(), 503);
    let envelope: Value = answer.json().await.unwrap();
    assert_eq!(envelope["error"]["code"], "dashboard.still_reading");
    assert_eq!(envelope["error"]["retryable"], true);
    // One reading of a scope's models at a time; queries and other scopes do not wait for it.
    assert_eq!(stage.get("acme", "/coverage").await.status(), 503);
    in_time(&stage, "acme", "/events").await;
    in_time(&stage, "globex", "/coverage").await;
    assert_eq!(held.0.ended(), 0);

    held.0.let_go();
    let page = in_time(&stage, "acme", "/panels/held").await.text().await.unwrap();
    let figure = texts(&page, ".tile dd").remove(0);
    assert!(
        figure.parse::<u64>().unwrap() >= 2,
        "the reading that nobody waited for any more came to its end too"
    );
    let reads = stage.reads("acme");
    let unread = reads.iter().filter(|event| event.code() == Some("dashboard.still_reading"));
    let unread: Vec<_> = unread.map(|event| event.input_value()["view"].clone()).collect();
    assert!(unread.len() >= 3 && unread[..3] == ["panel held", "panel held", "coverage"], "{unread:?}");
}

#[tokio::test]
async fn the_last_overview_is_shown_while_a_newer_one_takes_long() {
    let (stage, _held) = held(|builder| builder.max_stale(Duration::from_secs(3_600))).await;
    stage.seed("acme");
    let before: Value = in_time(&stage, "acme", "/api/overview").await.json().await.unwrap();
    assert_eq!(stage.get("acme", "/panels/held").await.status(), 503);
    stage.seed("acme");
    let page = stage.page("acme", "").await;
    assert_eq!(texts(&page, ".freshness .status.warning"), ["A newer reading is under way"]);
    let stale = stage.json("acme", "/api/overview").await;
    assert_eq!(stale, before, "as it was");
    // No overview of this window was made.
    assert_eq!(stage.get("acme", "?window=week").await.status(), 503);
}

#[tokio::test]
async fn an_overview_that_is_too_old_is_not_shown() {
    let (stage, held) = held(|builder| builder.max_stale(Duration::ZERO)).await;
    stage.seed("acme");
    let page = in_time(&stage, "acme", "").await.text().await.unwrap();
    assert!(texts(&page, ".freshness .status").is_empty(), "fresh is not marked");
    assert_eq!(stage.get("acme", "/panels/held").await.status(), 503);
    let answer = stage.get("acme", "").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(texts(&answer.text().await.unwrap(), "h1"), ["Reading the ledger"]);
    held.0.let_go();
    in_time(&stage, "acme", "").await;
}
