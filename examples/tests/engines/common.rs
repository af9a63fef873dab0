//! What the tests of the engines share.

use dataset_events::RequestContext;
use dataset_events_examples::engines::{Engines, Sources, Store};
use tempfile::TempDir;

/// Engines over a database of their own, with ids and times that repeat.
pub(crate) struct Bench {
    pub(crate) engines: Engines,
    _directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let store = Store::open(directory.path().join("engines.sqlite"), Sources::counted());
        Self { engines: Engines::over(store.expect("open the engines' database")), _directory: directory }
    }

    pub(crate) fn context(&self, tenant: &str, env: &str) -> RequestContext {
        let builder = RequestContext::builder(tenant, env).user_id("u_1");
        builder.build().expect("a valid scope")
    }
}
