//! What the tests of the engines share.

use std::path::PathBuf;

use dataset_events::testing::TestLedger;
use dataset_events::{DatasetEvent, RequestContext};
use dataset_events_examples::engines::{Engines, Nexus, Sources};
use serde_json::Value;
use tempfile::TempDir;

use crate::watch::Watch;

/// Engines over a database of their own, with ids and times that repeat, and a ledger of their own.
///
/// Whatever a test writes, its read models must be what a fold from zero gives: that is asserted when it ends.
pub(crate) struct Bench {
    pub(crate) engines: Engines,
    watch: Watch,
    pub(crate) ledger: TestLedger,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let nexus = Nexus::open(directory.path().join("engines.sqlite"), Sources::counted());
        let engines = Engines::over(nexus.expect("open the engines' database"));
        let ledger = TestLedger::new();
        Self { engines, watch: Watch::new(ledger.ledger()), ledger, directory }
    }

    /// The engines' database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("engines.sqlite")
    }

    pub(crate) fn context(&self, tenant: &str, env: &str) -> RequestContext {
        self.context_of("u_1", tenant, env)
    }

    pub(crate) fn context_of(&self, user: &str, tenant: &str, env: &str) -> RequestContext {
        self.watch.follow(tenant, env);
        self.ledger.context(tenant, env).user_id(user).build().expect("a valid scope")
    }

    /// Takes a table away, as a broken file does.
    pub(crate) fn drop_tables(&self, names: &[&str]) {
        let database = rusqlite::Connection::open(self.database()).expect("open the database");
        for name in names {
            database.execute_batch(&format!("DROP TABLE {name}")).expect("drop a table");
        }
    }

    /// How the calls of a surface ended, in the order of their ends: `ok`, `error chat.empty_message`, ...
    pub(crate) fn endings(&self, surface: &str) -> Vec<String> {
        let events = self.ledger.events();
        self.watch.refresh();
        let events = events.iter().filter(|event| event.surface == surface);
        let ending = |event: &dataset_events::DatasetEvent| match event.code() {
            Some(code) => format!("{} {code}", event.outcome),
            None => event.outcome.to_string(),
        };
        events.map(ending).collect()
    }
}

/// What an event says was changed: the field, its value before and after.
pub(crate) fn changes(event: &DatasetEvent) -> Vec<(String, Value, Value)> {
    let value = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).expect("JSON");
    let changes = event.changes.iter();
    changes.map(|change| (change.field.clone(), value(&change.before), value(&change.after))).collect()
}
