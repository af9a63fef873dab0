//! `docs/operations.md` names metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dataset_events::testing::TestLedger;
use dataset_events_service::MetricsEndpoint;

fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
    let words = text.split(|character: char| !is_name(character));
    words
        .filter(|word| word.starts_with("dataset_events_"))
        .map(|word| word.trim_end_matches("_bucket"))
        .collect()
}

#[test]
fn each_metric_in_the_document_is_served_or_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("../docs/operations.md")).unwrap();
    let ledger = TestLedger::new();
    let endpoint = MetricsEndpoint::new(ledger.ledger()).unwrap();
    let ctx = ledger.context("acme", "test").build().unwrap();
    ctx.event("orders.create").record().unwrap();
    ledger.flush();
    let served = endpoint.render();
    // A counter is served from its first count on: those are looked up where they are counted.
    let sources = ["admission/service.rs", "admission/unauthenticated.rs", "trace_context.rs", "server.rs"]
        .map(|file| fs::read_to_string(root.join("src").join(file)).unwrap());
    let counted: BTreeSet<&str> = sources.iter().flat_map(|source| names(source)).collect();
    let named: Vec<&str> = names(&document).into_iter().collect();
    assert!(named.len() > 15, "{named:?}");
    let served = names(&served);
    let unknown: Vec<_> =
        named.iter().filter(|name| !served.contains(*name) && !counted.contains(*name)).collect();
    assert!(unknown.is_empty(), "docs/operations.md names {unknown:?}");
    for name in counted {
        assert!(document.contains(name), "docs/operations.md does not name {name}");
    }
}
