//! What an engine returns does not depend on whether its calls are recorded.

use std::process::Command;

use dataset_events::RequestContext;

use crate::common::Bench;
use crate::script;

/// Where the child writes its results.
const RESULTS: &str = "ENGINES_TEST_RESULTS";

#[tokio::test]
async fn results_are_equal_with_and_without_a_ledger() {
    let bench = Bench::new();
    let (ctx, foreign) = (bench.context("acme", "prod"), bench.context("globex", "prod"));
    let recorded = script::run(&bench.engines, &ctx, &foreign).await;
    assert!(bench.ledger.events().len() > 40, "the script is recorded");

    // Recording is switched off by the environment, which a process cannot change for itself safely.
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let path = directory.path().join("results.json");
    let child = Command::new(std::env::current_exe().expect("the path of this test"))
        .args(["--exact", "equality::without_a_ledger", "--ignored"])
        .env("DATASET_EVENTS", "off")
        .env(RESULTS, &path)
        .output()
        .expect("run this test as a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let unrecorded = std::fs::read(&path).expect("the child's results");
    let unrecorded: Vec<String> = serde_json::from_slice(&unrecorded).expect("results are JSON");
    assert_eq!(recorded, unrecorded);
}

#[tokio::test]
#[ignore = "run by results_are_equal_with_and_without_a_ledger, with recording switched off"]
async fn without_a_ledger() {
    let path = std::env::var_os(RESULTS).expect("the parent says where the results go");
    let bench = Bench::new();
    let context = |tenant: &str| {
        let ctx = RequestContext::builder(tenant, "prod").user_id("u_1").build();
        ctx.expect("a valid scope")
    };
    let results = script::run(&bench.engines, &context("acme"), &context("globex")).await;
    assert!(bench.ledger.events().is_empty(), "nothing is recorded without a ledger");
    std::fs::write(path, serde_json::to_vec(&results).expect("results are JSON")).expect("write the results");
}
