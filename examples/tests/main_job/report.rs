//! The report of the main job, on the console and as JSON, and what is said of a ledger that was changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::job::{CANARY, Job, number};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn service<'a>(report: &'a Value, name: &str) -> &'a Value {
    list(&report["services"]).iter().find(|service| service["service"] == name).expect("the service")
}

fn ledger(report: &Value, name: &str) -> PathBuf {
    PathBuf::from(service(report, name)["ledger"].as_str().expect("a path"))
}

fn log_lines(ledger: &Path) -> Vec<String> {
    let mut segments: Vec<PathBuf> = fs::read_dir(ledger.join("log"))
        .expect("the log's folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .collect();
    segments.sort();
    let text: String = segments.iter().map(|path| fs::read_to_string(path).expect("a segment")).collect();
    text.lines().map(str::to_owned).collect()
}

/// The numbers of one scope's events in a log.
fn seqs(lines: &[String]) -> Vec<u64> {
    let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let own = events.filter(|event| event["kind"] == "event" && event["tenant_id"] == "acme");
    own.filter(|event| event["env"] == "prod").map(|event| number(&event["seq"])).collect()
}

/// The form of the report, and that its sums agree. Answers the codes of failures.
fn assert_consistent(report: &Value) -> BTreeSet<&str> {
    assert_eq!(keys(report), ["services", "sinks_unknown", "surfaces", "trace_id", "verified"]);
    assert_eq!(report["sinks_unknown"], Value::Null, "both services said how their sinks fare");
    assert_eq!(report["verified"], true);
    let services = list(&report["services"]);
    assert_eq!(
        services.iter().map(|service| &service["service"]).collect::<Vec<_>>(),
        ["gateway", "engines"]
    );
    let mut codes = BTreeSet::new();
    for service in services {
        assert_eq!(keys(service), ["events", "ledger", "service", "sinks", "streams", "verified"]);
        assert_eq!(service["verified"], true);
        let streams = list(&service["streams"]);
        assert_eq!(streams.len(), 8, "4 tenants x 2 envs");
        let mut events = 0;
        for stream in streams {
            let expected = ["cancelled", "codes", "denied", "env", "error", "ok", "panic", "tenant"];
            assert_eq!(keys(stream), expected);
            let outcomes =
                ["ok", "error", "denied", "panic", "cancelled"].map(|outcome| number(&stream[outcome]));
            events += outcomes.iter().sum::<u64>();
            let failed: u64 = stream["codes"].as_object().expect("codes").values().map(number).sum();
            assert_eq!(failed, outcomes[1..].iter().sum::<u64>(), "{stream}");
            codes.extend(keys(&stream["codes"]));
        }
        assert_eq!(number(&service["events"]), events);
    }
    codes
}

/// Every surface was seen to succeed and to fail, except two that fail only with their database, and the
/// dashboard's reading, which no request of the job makes fail.
fn assert_all_seen(report: &Value) {
    let surfaces = list(&report["surfaces"]);
    assert_eq!(surfaces.len(), 50, "those of the engines, http.request and ledger.read");
    for surface in surfaces {
        assert_eq!(keys(surface), ["failed", "ok", "services", "surface"]);
        let name = surface["surface"].as_str().expect("a name");
        let never_fails_here = ["kpi.list", "ledger.read", "strategy_lock.list"].contains(&name);
        assert!(number(&surface["ok"]) > 0, "{surface}");
        assert_eq!(number(&surface["failed"]) > 0, !never_fails_here, "{surface}");
        let expected: &[&str] = match name.split('.').next() {
            Some("http" | "nexus") => &["engines", "gateway"],
            Some("chat" | "bossman" | "ledger") => &["gateway"],
            _ => &["engines"],
        };
        assert_eq!(surface["services"], serde_json::json!(expected), "{surface}");
    }
}

#[test]
fn a_second_run_continues_both_ledgers_of_the_first() {
    let job = Job::new();
    let (output, first) = job.run();
    assert_eq!(job.processes(), Vec::<String>::new(), "nothing is left running");
    let console = String::from_utf8(output.stdout).expect("text");
    let warnings = String::from_utf8(output.stderr).expect("text");

    let codes = assert_consistent(&first);
    for code in [
        "budget.threshold_exceeded",
        "cancelled",
        "chat.empty_message",
        "chat.message_too_long",
        "chat.thread_not_found",
        "http.route_not_found",
        "kill_switch.blocked",
        "kill_switch.stale_version",
        "kpi.out_of_corridor",
        "media.type_mismatch",
        "panic",
        "strategy_lock.self_approval",
        "temperature.breached",
        "vector.not_found",
    ] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    assert_all_seen(&first);

    for expected in ["chat.stream_reply", "budget.threshold_exceeded", "jq ", "umbrella"] {
        assert!(console.contains(expected), "the console does not show {expected}:\n{console}");
    }
    // One deliberate panic: announced as such, told in a line, and no backtrace of it.
    assert_eq!(warnings.lines().filter(|line| line.starts_with("expected: ")).count(), 1, "{warnings}");
    assert!(warnings.contains("gateway: panicked: "), "{warnings}");
    assert!(!warnings.contains("stack backtrace"), "{warnings}");

    let lines = ["gateway", "engines"].map(|name| log_lines(&ledger(&first, name)));
    for line in lines.iter().flatten() {
        assert!(!line.contains(CANARY), "{line}");
    }
    let (_, second) = job.run();
    assert_consistent(&second);
    for (name, lines) in ["gateway", "engines"].into_iter().zip(&lines) {
        assert_eq!(ledger(&second, name), ledger(&first, name), "the same ledger");
        let events = |report| number(&service(report, name)["events"]);
        assert!(events(&second) > events(&first));
        let continued = log_lines(&ledger(&second, name));
        assert!(continued.len() > lines.len());
        assert_eq!(continued[..lines.len()], lines[..], "what was written stays as it is");
        let all = seqs(&continued);
        assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "one sequence over both runs");
        assert!(all.len() > seqs(lines).len());
    }
}

#[test]
fn the_trace_that_is_shown_goes_through_both_services() {
    let job = Job::new();
    let (output, report) = job.run();
    let console = String::from_utf8(output.stdout).expect("text");
    let trace_id = report["trace_id"].as_str().expect("a trace");
    let (_, shown) = console.split_once("through both services: ").expect("the trace");
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some(trace_id));
    let spans: Vec<(&str, &str)> = lines
        .take_while(|line| line.starts_with("  "))
        .map(|line| {
            let mut words = line.split_whitespace();
            let service = words.next().expect("a service");
            (service, words.find(|word| word.contains('.')).expect("a surface"))
        })
        .collect();
    assert_eq!(
        spans[..3],
        [("gateway", "http.request"), ("gateway", "chat.stream_reply"), ("engines", "http.request")]
    );
    for expected in [("engines", "gate.pass"), ("engines", "nexus.read"), ("gateway", "nexus.read")] {
        assert!(spans.contains(&expected), "{expected:?} is not among {spans:?}");
    }
    // Each span that is shown is an event of that trace, and none is missing.
    let in_logs = ["gateway", "engines"].map(|name| {
        let lines = log_lines(&ledger(&report, name));
        let of_trace = |line: &&String| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            event["kind"] == "event" && event["trace_id"] == trace_id
        };
        lines.iter().filter(of_trace).count()
    });
    let shown = ["gateway", "engines"].map(|name| spans.iter().filter(|(of, _)| *of == name).count());
    assert_eq!(shown, in_logs);
}

#[test]
fn a_changed_event_of_either_service_fails_the_job_and_is_named() {
    for name in ["gateway", "engines"] {
        let job = Job::new();
        let (_, report) = job.run();
        // Still an event, of the same length: only the chain can tell.
        job.tamper(&ledger(&report, name), 20, "\"user_id\":\"u_1\"", "\"user_id\":\"u_7\"");
        let output = job.attempt();
        assert!(!output.status.success());
        let (console, text) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let (_, verdict) = console.split_once(&format!("Verify the ledger of {name}\n")).expect("a verdict");
        assert!(verdict.starts_with("NOT VERIFIED") && verdict.contains("found: "), "{console}{text}");
        assert_eq!(console.matches("NOT VERIFIED").count(), 1, "the other ledger verifies");
        assert!(text.contains("error: a ledger does not verify"), "{text}");
        let report = job.report();
        assert_eq!(report["verified"], false);
        for service in list(&report["services"]) {
            assert_eq!(service["verified"] == false, service["service"] == name);
        }
    }
}

#[test]
fn a_line_that_is_no_event_fails_the_job_with_the_verdict() {
    let job = Job::new();
    let (_, report) = job.run();
    job.tamper(&ledger(&report, "engines"), 20, "\"outcome\":\"ok\"", "\"outcome\":\"oK\"");
    let output = job.attempt();
    assert!(!output.status.success());
    // On the console, or with the error when the report cannot be read: a look at the dashboard has the
    // index built again, without the line, and the report can be read if that is done by then.
    let (console, text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let told = format!("{console}{text}");
    assert!(told.contains("NOT VERIFIED") && told.contains("found: "), "{told}");
    assert_eq!(job.processes(), Vec::<String>::new(), "nothing is left running");
}

#[test]
fn an_input_that_is_not_there_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let output = Command::new(env!("CARGO_BIN_EXE_dataset-events-examples"))
        .args(["--docs".as_ref(), directory.path().join("absent").as_os_str()])
        .args(["--root".as_ref(), directory.path().join("var").as_os_str()])
        .output()
        .expect("run the main job");
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.contains("error: read ") && text.contains("absent"), "{text}");
    assert!(!directory.path().join("var").exists(), "nothing is made for a job that cannot begin");
}
