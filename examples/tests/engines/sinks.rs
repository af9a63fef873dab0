//! What a tenant is told of the sinks of the process that serves it.

use std::time::Duration;

use dataset_events::sinks::memory::MemorySink;
use dataset_events::sinks::{Ack, Entry, Sink, SinkError, SinkSpec, SinkStatus};
use dataset_events_examples::engines::{Bossman, Target};
use serde_json::Value;

use crate::common::Bench;

/// Refuses everything, in words that no tenant may read.
struct Broken;

impl Sink for Broken {
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn target(&self) -> String {
        "bucket of globex".into()
    }

    fn append(&mut self, _batch: &[Entry]) -> Result<Ack, SinkError> {
        Err(SinkError::fatal("append an event of globex", "refused"))
    }
}

#[tokio::test]
async fn the_ledgers_view_tells_how_the_sinks_fare_without_what_is_of_other_tenants() {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    bench.engines.kill_switch.check(&ctx, &Target::CHAT).await.expect("check");
    bench.ledger.flush();
    let bossman = Bossman::new(bench.ledger.ledger().clone());
    assert_eq!(bossman.ledgers(&ctx, 50).await.expect("ledgers").view.sinks, []);
    let sinks = bench.ledger.ledger().sinks();
    let archive = SinkSpec::new("archive", Box::new(MemorySink::new())).expect("a name").required(true);
    sinks.add(archive).expect("added");
    sinks.add(SinkSpec::new("search", Box::new(Broken)).expect("a name")).expect("added");
    let is =
        |name: &str, holds: fn(&SinkStatus) -> bool| sinks.status(name).is_some_and(|status| holds(&status));
    let settled = async {
        while !(is("archive", |status| status.last_write_us.is_some() && status.lag_events == 0)
            && is("search", |status| status.state.as_str() == "stopped"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), settled).await.expect("both have tried");
    let shown = bossman.ledgers(&ctx, 50).await.expect("ledgers");
    let shown = serde_json::to_value(&shown).expect("a view is JSON");
    let rows = shown["sinks"].as_array().expect("sinks");
    for row in rows {
        let fields: Vec<&String> = row.as_object().expect("a row").keys().collect();
        let mut expected = ["kind", "lag_seconds", "last_write_us", "ledger_id", "name", "required", "state"];
        expected.sort_unstable();
        assert_eq!(fields, expected, "and no more than these");
        assert_eq!(row["ledger_id"], bench.ledger.ledger().id().to_string());
    }
    let told: Vec<_> =
        rows.iter().map(|row| (&row["name"], &row["kind"], &row["state"], &row["required"])).collect();
    let [archive, search, memory, broken] = ["archive", "search", "memory", "broken"].map(Value::from);
    let [running, stopped, yes, no] =
        [Value::from("running"), Value::from("stopped"), Value::from(true), Value::from(false)];
    assert_eq!(told, [(&archive, &memory, &running, &yes), (&search, &broken, &stopped, &no)]);
    assert!(rows[0]["last_write_us"].is_i64() && rows[1]["last_write_us"].is_null(), "{rows:?}");
    assert!(rows.iter().all(|row| row["lag_seconds"].as_f64().is_some_and(|lag| lag >= 0.0)), "{rows:?}");
    assert!(!shown.to_string().contains("globex"), "{shown}");
}
