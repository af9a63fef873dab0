//! Nothing that a user wrote stands in the ledger.

use crate::common::Bench;
use crate::script;

#[tokio::test]
async fn no_line_of_the_log_holds_a_text() {
    let bench = Bench::new();
    let (ctx, foreign) = (bench.context("acme", "prod"), bench.context("globex", "prod"));
    let results = script::run(&bench.engines, &ctx, &foreign).await;
    // The texts are in what the engines return, so the script is not blind to them.
    assert!(results.iter().any(|result| result.contains(script::CANARY)));
    let lines = bench.ledger.lines();
    assert!(lines.len() > 40, "the script is recorded: {} lines", lines.len());
    for line in lines {
        assert!(!line.contains(script::CANARY), "{line}");
        assert!(!line.contains("The ledger holds events"), "{line}");
    }
}
