//! What the tests of the engines share.

use std::path::PathBuf;

use dataset_events::RequestContext;
use dataset_events::testing::TestLedger;
use dataset_events_examples::engines::{Engines, Nexus, Sources};
use tempfile::TempDir;

/// Engines over a database of their own, with ids and times that repeat, and a ledger of their own.
pub(crate) struct Bench {
    pub(crate) engines: Engines,
    pub(crate) ledger: TestLedger,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let nexus = Nexus::open(directory.path().join("engines.sqlite"), Sources::counted());
        let engines = Engines::over(nexus.expect("open the engines' database"));
        Self { engines, ledger: TestLedger::new(), directory }
    }

    /// The engines' database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("engines.sqlite")
    }

    pub(crate) fn context(&self, tenant: &str, env: &str) -> RequestContext {
        let builder = self.ledger.context(tenant, env).user_id("u_1");
        builder.build().expect("a valid scope")
    }

    /// How the calls of a surface ended, in the order of their ends: `ok`, `error chat.empty_message`, ...
    pub(crate) fn endings(&self, surface: &str) -> Vec<String> {
        let events = self.ledger.events();
        let events = events.iter().filter(|event| event.surface == surface);
        let ending = |event: &dataset_events::DatasetEvent| match event.code() {
            Some(code) => format!("{} {code}", event.outcome),
            None => event.outcome.to_string(),
        };
        events.map(ending).collect()
    }
}
