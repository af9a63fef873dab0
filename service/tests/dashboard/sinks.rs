//! How sinks and restored ledgers are shown: to tenants without what is of others, to operators as a whole.

use std::time::Duration;

use dataset_events::Ledger;
use dataset_events::sinks::memory::MemorySink;
use dataset_events::sinks::ndjson::{NdjsonSettings, NdjsonSink};
use dataset_events::sinks::{Ack, Entry, EntryKind, Rejected, Sink, SinkError, SinkSpec};
use dataset_events::sources::Restored;
use dataset_events::sources::ndjson::NdjsonSource;
use dataset_events_service::Identity;
use serde_json::Value;

use crate::stage::{Stage, context, texts};

const MARKUP: &str = "<script>window.ran=1</script><img src=x onerror=window.ran=1>\u{202e}gpj";

/// Refuses everything, for good or for now, in words that no tenant may read and that no browser may run.
struct Broken {
    is_for_good: bool,
}

impl Sink for Broken {
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn target(&self) -> String {
        format!("bucket of globex {MARKUP}")
    }

    fn append(&mut self, _batch: &[Entry]) -> Result<Ack, SinkError> {
        let attempted = "append an event of globex";
        match self.is_for_good {
            true => Err(SinkError::fatal(attempted, MARKUP)),
            false => Err(SinkError::retry(attempted, MARKUP)),
        }
    }
}

/// Stores nothing that is an event, and refuses that for good.
struct Picky;

impl Sink for Picky {
    fn kind(&self) -> &'static str {
        "picky"
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let events = batch.iter().enumerate().filter(|(_, entry)| entry.kind() == EntryKind::Event);
        Ok(Ack::all().with_rejected(events.map(|(at, _)| Rejected::new(at, "too long")).collect()))
    }
}

/// Waits until a sink is as it should be.
async fn until(stage: &Stage, name: &str, holds: impl Fn(&dataset_events::sinks::SinkStatus) -> bool) {
    let waiting = async {
        while !stage.orders.sinks().status(name).is_some_and(|status| holds(&status)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), waiting).await.unwrap_or_else(|_| panic!("{name}"));
}

fn add_sinks(stage: &Stage) {
    let sinks = stage.orders.sinks();
    let archive = SinkSpec::new("archive", Box::new(MemorySink::new())).unwrap();
    sinks.add(archive.required(true)).unwrap();
    sinks.add(SinkSpec::new("search", Box::new(Broken { is_for_good: true })).unwrap()).unwrap();
}

#[tokio::test]
async fn health_shows_sinks_without_what_is_of_other_tenants() {
    let stage = Stage::new().await;
    add_sinks(&stage);
    stage.seed("acme");
    until(&stage, "archive", |status| status.last_write_us.is_some() && status.state.as_str() == "running")
        .await;
    until(&stage, "search", |status| status.state.as_str() == "stopped").await;
    let rows = stage.json("acme", "/api/health").await["sinks"].as_array().unwrap().clone();
    assert_eq!((&rows[0]["name"], &rows[0]["kind"]), (&"archive".into(), &"memory".into()));
    assert_eq!((&rows[0]["state"], &rows[0]["required"]), (&"running".into(), &true.into()));
    assert!(rows[0]["last_write_us"].is_i64(), "{rows:?}");
    assert_eq!((&rows[1]["name"], &rows[1]["state"]), (&"search".into(), &"stopped".into()));
    assert_eq!(rows[1]["last_write_us"], Value::Null);
    assert!(rows[1]["lag_seconds"].as_f64().unwrap() >= 0.0);
    let page = stage.page("acme", "/health").await;
    let shown = texts(&page, "th, td");
    for text in ["archive", "search", "running", "stopped"] {
        assert!(shown.iter().any(|cell| cell == text), "{text} in {shown:?}");
    }
    assert!(!page.contains("globex") && !format!("{rows:?}").contains("globex"));
}

async fn operators_page(stage: &Stage) -> String {
    stage.page("operations", "/operator").await
}

async fn with_operators() -> Stage {
    let is_operator = |identity: &Identity| identity.tenants.iter().any(|tenant| *tenant == "operations");
    Stage::with(|builder| builder.operators(is_operator)).await
}

#[tokio::test]
async fn the_operator_sees_each_sink_its_target_its_error_and_how_far_it_is() {
    let stage = with_operators().await;
    let page = operators_page(&stage).await;
    assert!(texts(&page, ".nothing").iter().any(|text| text.contains("to no sink")), "{page}");
    add_sinks(&stage);
    let busy = Box::new(Broken { is_for_good: false });
    stage.orders.sinks().add(SinkSpec::new("picky", Box::new(Picky)).unwrap()).unwrap();
    stage.orders.sinks().add(SinkSpec::new("warehouse", busy).unwrap()).unwrap();
    stage.seed("globex");
    until(&stage, "archive", |status| status.last_write_us.is_some() && status.lag_events == 0).await;
    until(&stage, "search", |status| status.state.as_str() == "stopped" && status.lag_events >= 2).await;
    until(&stage, "picky", |status| status.dead_letters >= 2).await;
    until(&stage, "warehouse", |status| status.last_error.is_some()).await;
    let page = operators_page(&stage).await;
    assert_eq!(
        texts(&page, "table.sinks thead th"),
        [
            "Sink",
            "Target",
            "State",
            "Events behind",
            "Oldest waits",
            "Rate",
            "Dead letters",
            "Last write (UTC)"
        ]
    );
    assert_eq!(
        texts(&page, "table.sinks tbody th"),
        ["archive required", "search optional", "picky optional", "warehouse optional"]
    );
    let cells = |label: &str| texts(&page, &format!("table.sinks td[data-label=\"{label}\"]"));
    let (targets, states) = (cells("Target"), cells("State"));
    assert_eq!(
        (targets[0].as_str(), states[0].as_str(), states[1].as_str()),
        ("memory", "running", "stopped")
    );
    assert!(targets[1].starts_with("broken bucket of globex"), "{targets:?}");
    let count = |text: &String| text.replace(',', "").parse::<u64>().unwrap();
    assert!(count(&cells("Events behind")[1]) >= 2, "{page}");
    assert_eq!((cells("Oldest waits")[1].as_str() == "up to date", &*cells("Dead letters")[1]), (false, "0"));
    assert!(count(&cells("Dead letters")[2]) >= 2, "{page}");
    assert!(cells("Rate").iter().all(|rate| rate.ends_with(" / s")), "{page}");
    let remarks = texts(&page, "table.sinks tr.remarks");
    assert_eq!(remarks.len(), 2, "of those that have trouble: {remarks:?}");
    let error = "append an event of globex: <script>window.ran=1</script>";
    assert!(remarks[0].starts_with(&format!("Stopped: {error}")), "{remarks:?}");
    assert_eq!(remarks[0].matches(error).count(), 1, "what stopped it is said once: {remarks:?}");
    assert!(remarks[1].contains("Last error, ") && remarks[1].contains(error), "{remarks:?}");
    // The words of the error and of the target are texts.
    assert_eq!(texts(&page, "main script, main img").len(), 0);
    assert!(page.contains("&lt;script&gt;window.ran=1") && !page.contains('\u{202e}'), "{page}");
}

#[tokio::test]
async fn what_the_operator_sees_of_sinks_no_tenant_does() {
    let stage = with_operators().await;
    add_sinks(&stage);
    stage.seed("acme");
    until(&stage, "search", |status| status.state.as_str() == "stopped").await;
    let answer = stage.get("acme", "/operator").await;
    assert_eq!(answer.status(), 403);
    assert!(!answer.text().await.unwrap().contains("bucket of"));
    for path in ["/health", "/api/health", "", "/api/overview"] {
        let answer = stage.get("acme", path).await.text().await.unwrap();
        assert!(!answer.contains("bucket of") && !answer.contains("append an event"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_ledger_that_was_restored_is_said_to_be_one() {
    let elsewhere = tempfile::tempdir().unwrap();
    let [root, copy, restored] = ["root", "copy", "restored"].map(|name| elsewhere.path().join(name));
    let gone = Ledger::options().root(root).service("shop", "1.0.0").journal_bytes(4 << 20).open().unwrap();
    let sink = SinkSpec::new("copy", Box::new(NdjsonSink::new(NdjsonSettings::new(&copy)))).unwrap();
    gone.sinks().add(sink.required(true)).unwrap();
    context(&gone, "acme").event("shop.sell").record().unwrap();
    assert!(gone.drain(Duration::from_secs(180)).unwrap().is_complete);
    let id = gone.id().to_string();
    gone.close().unwrap();
    let restored = Restored::new(restored, NdjsonSource::new(copy));
    let stage = Stage::over(|options| options.restored(&restored), |builder| builder).await;
    let ledgers = stage.json("acme", "/api/health").await["ledgers"].as_array().unwrap().clone();
    let row = ledgers.iter().find(|row| row["ledger_id"] == *id).expect("the restored ledger");
    assert_eq!((&row["status"], &row["head"]["service"]), (&"restored".into(), &"shop".into()));
    let page = stage.page("acme", "/health").await;
    assert!(
        texts(&page, "td .status.neutral").iter().any(|status| status == "restored from a replica"),
        "{page}"
    );
}
