//! Counts folded from the ledger equal a plain count of its lines: over restarts, at 5,000 tenants, and when
//! a cap cuts them.

use std::collections::BTreeMap;

use dataset_events::testing::TestLedger;
use dataset_events::{
    ErrorCode, EventCounts, EventCountsOptions, LedgerReader, RequestContext, dataset_event,
};

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("counted.broken")]
    Broken,
    #[code("counted.forbidden", status = 403)]
    Forbidden,
}

#[dataset_event(surface = "counted.write")]
fn write(ctx: &RequestContext, failure: Option<Failure>) -> Result<(), Failure> {
    failure.map_or(Ok(()), Err)
}

#[dataset_event(surface = "counted.read", access = "read")]
fn read(ctx: &RequestContext) -> u32 {
    7
}

/// Tenant, env, surface, outcome, code.
type Kind = (String, String, String, String, Option<String>);

/// What a plain count of the lines gives.
fn naive(lines: &[String]) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if line["kind"] != "event" {
            continue;
        }
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let of = |key: &str| text(&line[key]).expect("a text");
        let kind = (of("tenant_id"), of("env"), of("surface"), of("outcome"), text(&line["error"]["code"]));
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn folded(counts: &EventCounts) -> BTreeMap<Kind, u64> {
    let series: Vec<(Kind, u64)> = counts
        .iter()
        .map(|one| {
            let scope = one.scope;
            let kind = (
                scope.tenant_id().to_string(),
                scope.env().to_string(),
                one.surface.to_owned(),
                one.outcome.to_string(),
                one.code.map(str::to_owned),
            );
            (kind, one.events)
        })
        .collect();
    let len = series.len();
    let map: BTreeMap<_, _> = series.into_iter().collect();
    assert_eq!(map.len(), len, "each series is there once");
    map
}

fn calls(test: &TestLedger, tenants: usize) {
    for tenant in 0..tenants {
        let ctx = test.context(format!("tenant-{tenant}"), "prod").build().expect("a context");
        write(&ctx, None).expect("ok");
        write(&ctx, Some(Failure::Broken)).expect_err("broken");
        write(&ctx, Some(Failure::Forbidden)).expect_err("forbidden");
        read(&ctx);
        if tenant % 500 == 499 {
            test.flush();
        }
    }
    test.flush();
}

#[test]
fn counts_equal_a_count_of_the_lines_also_after_restarts() {
    let mut test = TestLedger::on_disk();
    for round in 1..=3 {
        calls(&test, 5 * round);
        let operator = test.ledger().operator("test");
        test.flush();
        let mut counts = operator.event_counts(EventCountsOptions::default());
        let events = counts.refresh().expect("counted");
        let expected = naive(&test.lines());
        assert_eq!(folded(&counts), expected, "round {round}");
        assert_eq!((events, counts.total()), (expected.values().sum(), events));
        assert!(!counts.is_cut() && counts.skipped_lines() == 0);
        // What comes later is all that the next one reads.
        calls(&test, 2);
        assert_eq!(counts.refresh().expect("counted"), 8);
        assert_eq!(counts.refresh().expect("counted"), 0);
        assert_eq!(folded(&counts), naive(&test.lines()));
        // Without the index, as another process reads it, the counts are the same.
        let reader = LedgerReader::open(test.ledger().path().expect("on disk")).expect("a ledger");
        let mut scanned = reader.unrecorded_operator().event_counts(EventCountsOptions::default());
        scanned.refresh().expect("counted");
        assert_eq!(folded(&scanned), folded(&counts));
        drop((operator, counts));
        test.reopen();
    }
}

#[test]
fn five_thousand_tenants_are_counted_exactly_and_in_order() {
    let test = TestLedger::new();
    calls(&test, 5_000);
    assert_eq!(test.ledger().stats().shed, 0);
    let mut counts = test.ledger().operator("test").event_counts(EventCountsOptions::default());
    test.flush();
    counts.refresh().expect("counted");
    let expected = naive(&test.lines());
    assert_eq!(expected.len(), 4 * 5_000 + 2, "and two of the ledger's own");
    assert_eq!(folded(&counts), expected);
    let tenants: Vec<_> = counts.iter().map(|one| one.scope.clone()).collect();
    assert!(tenants.is_sorted());
    // A second round changes counts and adds no series.
    calls(&test, 5_000);
    assert_eq!(counts.refresh().expect("counted"), 4 * 5_000);
    assert_eq!(counts.iter().len(), expected.len());
    assert!(counts.iter().filter(|one| !one.scope.is_system()).all(|one| one.events == 2));
}

#[test]
fn a_cap_keeps_the_first_series_exact_and_says_what_it_cut() {
    let test = TestLedger::new();
    calls(&test, 100);
    let operator = test.ledger().operator("test");
    test.flush();
    let whole = naive(&test.lines());
    let mut counts = operator.event_counts(EventCountsOptions::default().max_series(101));
    for round in 1..=2_u64 {
        counts.refresh().expect("counted");
        let kept = folded(&counts);
        assert_eq!(kept.len(), 101);
        let expected = naive(&test.lines());
        assert!(kept.iter().all(|(kind, events)| expected[kind] == *events), "what is kept is exact");
        let cut = counts.cut();
        assert!(counts.is_cut() && !cut.is_lower_bound);
        assert_eq!(cut.series, whole.len() as u64 - 101);
        assert_eq!(counts.total(), expected.values().sum::<u64>());
        assert_eq!(cut.events, counts.total() - kept.values().sum::<u64>());
        // The first in the log are kept, whether they were read by the index or not.
        assert!(kept.keys().filter(|kind| kind.0 != "$system").all(|kind| {
            let number: usize = kind.0.trim_start_matches("tenant-").parse().expect("a number");
            number <= 25
        }));
        assert!(kept.values().filter(|events| **events == round).count() >= 99);
        calls(&test, 100);
    }
}
