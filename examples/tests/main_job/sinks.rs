//! The main job with a configuration of its sinks.

use std::fs;

use serde_json::Value;

use crate::job::{Job, number};

/// The sinks of the services, with the number of all events of each ledger.
fn sinks(report: &Value) -> Vec<&Value> {
    let services = report["services"].as_array().expect("services");
    services.iter().flat_map(|service| service["sinks"].as_array().expect("sinks")).collect()
}

#[test]
fn the_report_shows_what_the_sinks_of_both_ledgers_have() {
    let job = Job::new();
    let files = job.path("files");
    let config = format!("[sinks.files]\nbackend = \"ndjson\"\npath = {files:?}\nrequired = true\n");
    fs::write(job.path("sinks.toml"), config).expect("write the configuration");
    let (output, report) = job.run_configured(&job.path("sinks.toml"));
    let sinks = sinks(&report);
    assert_eq!(sinks.len(), 2, "one of each ledger");
    for sink in sinks {
        assert_eq!(sink["name"], "files");
        assert_eq!(sink["kind"], "ndjson");
        assert_eq!(sink["is_copy"], true, "{sink}");
        assert_eq!(sink["is_on_same_disk"], true, "{sink}");
        assert_eq!(sink["acknowledged_events"], sink["events"]);
        assert!(number(&sink["events"]) > 0, "{sink}");
    }
    let ledgers = job.ledgers();
    assert_eq!(ledgers.len(), 2);
    for ledger in ledgers {
        let name = ledger.file_name().expect("a name");
        assert!(files.join(name).is_dir(), "{} is forwarded", ledger.display());
    }
    let console = String::from_utf8(output.stdout).expect("text");
    for expected in [
        "Sinks of the ledger of gateway",
        "Sinks of the ledger of engines",
        "Loss bound of what is durable: no sink holds a whole copy off the disk of engines; all is lost with it. \
         On the same disk, `files` has it all.",
    ] {
        assert!(console.contains(expected), "the console does not show {expected}:\n{console}");
    }
}

/// A build without the feature names it.
#[cfg(not(feature = "sinks"))]
#[test]
fn a_backend_that_is_not_built_in_is_refused_with_how_to_build_it() {
    let job = Job::new();
    let config = "[sinks.archive]\nbackend = \"replica\"\nurl = \"s3://audit/shop\"\n";
    fs::write(job.path("sinks.toml"), config).expect("write the configuration");
    let output = job.attempt_configured(&job.path("sinks.toml"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for expected in ["sinks.toml:2:", "`replica`", "cargo run --release --features sinks -- --config FILE"] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!job.path("var").exists(), "nothing is made for a job that cannot begin");
}
