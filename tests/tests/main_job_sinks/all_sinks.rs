//! The main job with every sink that can be read back: each holds what the ledgers hold, and says the same of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dataset_events::sources::{Source, SourceQuery, verify_source};
use dataset_events::{LedgerId, LedgerReader, Scope, ScopeSummary, VerifyOptions, verify};
use dataset_events_tests::log::{Log, ledgers};
use serde_json::Value;

use crate::job::Job;
use crate::targets::Targets;

/// A ledger of the job, at home.
struct Home {
    path: PathBuf,
    id: LedgerId,
    scopes: Vec<ScopeSummary>,
    /// The exact lines of its events, by scope; read from its files alone.
    lines: BTreeMap<String, BTreeSet<String>>,
}

fn at_home(job: &Job) -> Vec<Home> {
    let read = |path: PathBuf| {
        let reader = LedgerReader::open(&path).expect("open the ledger");
        let scopes = reader.unrecorded_operator().scopes().expect("read its scopes");
        let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in Log::read(&path).events() {
            lines.entry(line.scope.clone()).or_default().insert(line.text.clone());
        }
        Home { id: reader.id(), path, scopes, lines }
    };
    ledgers(&job.ledgers()).into_iter().map(read).collect()
}

/// All events of a scope that a source gives, by ledger: their exact lines, each once.
fn lines_of(source: &dyn Source, scope: &Scope) -> BTreeMap<LedgerId, BTreeSet<String>> {
    let mut found: BTreeMap<LedgerId, BTreeSet<String>> = BTreeMap::new();
    let mut query = SourceQuery::default();
    query.limit = 1_000;
    loop {
        let page = source.events(scope, &query).expect("query the source");
        for event in page.events {
            assert_eq!(event.event.scope(), scope, "a query of a tenant gives nothing of another");
            let is_new = found.entry(event.event.ledger_id).or_default().insert(event.line.clone());
            assert!(is_new, "twice: {}", event.line);
        }
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

#[test]
fn every_sink_holds_what_the_ledgers_hold_and_verifies_as_they_do() {
    let targets = Targets::start();
    let job = Job::new(4, &targets.config());
    let (said, report) = job.run();
    let homes = at_home(&job);
    assert_eq!(homes.len(), 2, "the gateway's and the engines'");
    assert_reported(&said, &report, &homes);

    let sources = targets.sources();
    for (name, source) in &sources {
        let mut ids: Vec<LedgerId> = homes.iter().map(|home| home.id).collect();
        ids.sort();
        assert_eq!(source.ledgers().expect("list the ledgers"), ids, "{name}");
        assert_counts(name, &**source, &homes);
        assert_verdicts(name, &**source, &homes);
    }
    assert_servers_count(&targets, &homes);
}

/// The report shows each sink with all events, and that nothing would be lost.
fn assert_reported(said: &str, report: &Value, homes: &[Home]) {
    for service in report["services"].as_array().expect("services") {
        let name = service["service"].as_str().expect("a name");
        let path = service["ledger"].as_str().expect("a path");
        let home = homes.iter().find(|home| home.path == Path::new(path));
        let home = home.unwrap_or_else(|| panic!("{path} is a ledger of the job"));
        let events: u64 = home.scopes.iter().map(|scope| scope.events).sum();
        let sinks = service["sinks"].as_array().expect("sinks");
        let names: BTreeSet<&str> = sinks.iter().filter_map(|sink| sink["name"].as_str()).collect();
        assert_eq!(names, ["archive", "documents", "files", "rows"].into(), "{name}");
        for sink in sinks {
            assert_eq!(sink["events"], events, "{name}: {sink}");
            assert_eq!(sink["acknowledged_events"], events, "{name}: {sink}");
            assert_eq!(sink["lag_bytes"], 0, "{name}: {sink}");
            assert_eq!(sink["dead_letters"], 0, "{name}: {sink}");
            assert_eq!(sink["missed_segments"], 0, "{name}: {sink}");
            assert_eq!(sink["is_copy"], true, "{name}: {sink}");
            let is_directory = ["archive", "files"].map(Value::from).contains(&sink["name"]);
            assert_eq!(sink["is_on_same_disk"], is_directory, "{name}: {sink}");
        }
        assert!(said.contains(&format!("Sinks of the ledger of {name}\n")), "{said}");
        let bound = format!("Loss bound of what is durable: nothing is lost with the disk of {name};");
        assert!(said.contains(&bound), "{said}");
    }
}

/// Each tenant and env, of each ledger: as many events, and the same lines.
fn assert_counts(name: &str, source: &dyn Source, homes: &[Home]) {
    let scopes: BTreeSet<(String, &Scope)> = homes
        .iter()
        .flat_map(|home| home.scopes.iter().map(|summary| (summary.scope.to_string(), &summary.scope)))
        .collect();
    assert_eq!(scopes.len(), 9, "4 tenants x 2 envs, and the ledgers' own");
    for (scope_name, scope) in scopes {
        let held = lines_of(source, scope);
        for home in homes {
            let summary = home.scopes.iter().find(|summary| summary.scope == *scope);
            let expected = summary.map_or(0, |summary| summary.events);
            let (nothing, at_home) = (BTreeSet::new(), home.lines.get(&scope_name));
            let (held, at_home) = (held.get(&home.id).unwrap_or(&nothing), at_home.unwrap_or(&nothing));
            assert_eq!(held.len() as u64, expected, "{name}: {scope_name} of {}", home.id);
            assert!(held == at_home, "{name}: other lines of {scope_name} of {} than at home", home.id);
        }
        let known = held.keys().filter(|id| homes.iter().any(|home| home.id == **id)).count();
        assert_eq!(known, held.len(), "{name}: events of ledgers that there are not");
    }
}

/// From the source alone, with the heads noted at home: the same report, value by value.
fn assert_verdicts(name: &str, source: &dyn Source, homes: &[Home]) {
    for home in homes {
        let heads = home.scopes.iter().map(|summary| summary.head.clone());
        let options = heads.fold(VerifyOptions::new(), VerifyOptions::expect_head);
        let at_home = verify(&home.path, &options).expect("verify at home");
        assert!(at_home.is_verified(), "{at_home}");
        assert!(at_home.checkpoints > 0 && at_home.events > 0, "{at_home}");
        assert_eq!(at_home.expected, home.scopes.len() as u64, "{at_home}");
        assert_eq!(at_home.unprotected.events, 0, "the last checkpoint covers all: {at_home}");
        let from_there = verify_source(source, home.id, &options)
            .unwrap_or_else(|error| panic!("{name}: verify {}: {error:?}", home.id));
        assert_eq!(from_there.gap, None, "{name}");
        assert!(from_there.is_verified(), "{name}: {}", from_there.report);
        let json = |report| serde_json::to_value(report).expect("JSON");
        assert_eq!(json(&from_there.report), json(&at_home), "{name}: {}", home.id);
        println!(
            "{name}: {} verifies as at home: {} events in {} streams under {} checkpoints",
            home.id, at_home.events, at_home.streams, at_home.checkpoints
        );
    }
}

/// Both servers, asked past the library.
fn assert_servers_count(targets: &Targets, homes: &[Home]) {
    let mut rows = targets.rows_counted();
    rows.sort();
    let mut expected: Vec<_> = homes
        .iter()
        .flat_map(|home| {
            home.scopes.iter().map(|scope| (home.id.to_string(), scope.scope.to_string(), scope.events))
        })
        .collect();
    expected.sort();
    assert_eq!(rows, expected, "BigQuery's own count");
    for home in homes {
        for summary in &home.scopes {
            let (tenant, env) = (summary.scope.tenant_id().as_str(), summary.scope.env().as_str());
            let counted = targets.documents_counted(home.id, tenant, env);
            assert_eq!(counted, summary.events, "Firestore's own count of {}", summary.scope);
        }
    }
    for (ledger_id, scope, events) in rows {
        println!("{ledger_id} {scope}: {events} events, at home, in Firestore and in BigQuery");
    }
}
