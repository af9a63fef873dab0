//! The main job as its user runs it: twice, over a directory of documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// What no line of the log may hold: it stands in a document and in its name.
const CANARY: &str = "Zanzibar-canary-4711";

struct Job {
    directory: TempDir,
}

impl Job {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let docs = directory.path().join("docs");
        fs::create_dir_all(&docs).expect("make the documents' directory");
        for number in 0..12 {
            let text =
                format!("Document {number} about ledgers. A ledger holds events of document {number}.\n");
            fs::write(docs.join(format!("{number:02}.md")), text.repeat(1 + number * 30)).expect("write");
        }
        let text = format!("{CANARY} is what users write about. Nobody but users reads it.");
        fs::write(docs.join(format!("{CANARY}.txt")), text).expect("write");
        fs::write(docs.join("empty.txt"), "").expect("write");
        fs::write(docs.join("picture.gif"), b"GIF89a\x40\x01\xf0\0").expect("write");
        fs::write(docs.join("large.txt"), "A long line about ledgers and events.\n".repeat(1_000))
            .expect("write");
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self) -> (Output, Value) {
        let output = self.attempt();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let report = fs::read(self.path("report.json")).expect("the report");
        (output, serde_json::from_slice(&report).expect("the report is JSON"))
    }

    fn attempt(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dataset-events-examples"))
            .arg("--once")
            .args(["--docs".as_ref(), self.path("docs").as_os_str()])
            .args(["--root".as_ref(), self.path("var").as_os_str()])
            .args(["--json".as_ref(), self.path("report.json").as_os_str()])
            .output()
            .expect("run the main job")
    }

    /// Replaces text in one line of the log, the `number`-th that holds it.
    fn tamper(&self, ledger: &Value, number: usize, from: &str, to: &str) {
        let segment = Path::new(ledger.as_str().expect("a path")).join("log/00000001.ndjson");
        let text = fs::read_to_string(&segment).expect("a segment");
        let (at, _) = text.match_indices(from).nth(number).expect("a line that holds it");
        let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        fs::write(&segment, text).expect("write the segment");
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
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

#[test]
fn a_second_run_continues_the_ledger_of_the_first() {
    let job = Job::new();
    let (output, first) = job.run();
    let console = String::from_utf8(output.stdout).expect("text");
    let warnings = String::from_utf8(output.stderr).expect("text");

    assert_eq!(sorted(&keys(&first)), ["events", "ledger", "streams", "surfaces", "verified"]);
    assert_eq!(first["verified"], true);
    let streams = first["streams"].as_array().expect("streams");
    assert_eq!(streams.len(), 8, "4 tenants x 2 envs");
    let mut codes = BTreeSet::new();
    let mut events = 0;
    for stream in streams {
        let expected = ["cancelled", "codes", "denied", "env", "error", "ok", "panic", "tenant"];
        assert_eq!(sorted(&keys(stream)), expected);
        let outcomes =
            ["ok", "error", "denied", "panic", "cancelled"].map(|outcome| number(&stream[outcome]));
        events += outcomes.iter().sum::<u64>();
        let failed: u64 = stream["codes"].as_object().expect("codes").values().map(number).sum();
        assert_eq!(failed, outcomes[1..].iter().sum::<u64>(), "{stream}");
        codes.extend(keys(&stream["codes"]));
    }
    assert_eq!(number(&first["events"]), events);
    for code in [
        "budget.threshold_exceeded",
        "cancelled",
        "chat.empty_message",
        "chat.message_too_long",
        "chat.thread_not_found",
        "kill_switch.blocked",
        "kill_switch.stale_version",
        "panic",
    ] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    let surfaces = first["surfaces"].as_array().expect("surfaces");
    assert_eq!(surfaces.len(), 42);
    for surface in surfaces {
        assert_eq!(sorted(&keys(surface)), ["failed", "ok", "surface"]);
        let (name, ok) = (surface["surface"].as_str().expect("a name"), number(&surface["ok"]));
        let engine = name.split('.').next().expect("an engine");
        // The job sets no lock, no KPI and no bounds: of these it only asks.
        if ["strategy_lock", "kpi", "temperature"].contains(&engine) {
            assert_eq!(ok > 0, name.ends_with(".check"), "{surface}");
        } else {
            assert!(ok > 0 && number(&surface["failed"]) > 0, "{surface}");
        }
    }

    let ledger = PathBuf::from(first["ledger"].as_str().expect("a path"));
    let lines = log_lines(&ledger);
    for line in &lines {
        assert!(!line.contains(CANARY), "{line}");
    }
    for expected in ["chat.stream_reply", "budget.threshold_exceeded", "jq ", "umbrella"] {
        assert!(console.contains(expected), "the console does not show {expected}:\n{console}");
    }
    // One deliberate panic: announced as such, and no backtrace of it.
    assert_eq!(warnings.lines().filter(|line| line.starts_with("expected: ")).count(), 1, "{warnings}");
    assert!(!warnings.contains("stack backtrace"), "{warnings}");

    let (_, second) = job.run();
    assert_eq!(second["ledger"], first["ledger"], "the same ledger");
    assert_eq!(second["verified"], true);
    assert!(number(&second["events"]) > number(&first["events"]));
    let continued = log_lines(&ledger);
    assert!(continued.len() > lines.len());
    assert_eq!(continued[..lines.len()], lines[..], "what was written stays as it is");
    let seqs = |lines: &[String]| -> Vec<u64> {
        let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let own = events.filter(|event| event["kind"] == "event" && event["tenant_id"] == "acme");
        own.filter(|event| event["env"] == "prod").map(|event| number(&event["seq"])).collect()
    };
    let all = seqs(&continued);
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "one sequence over both runs");
    assert!(all.len() > seqs(&lines).len());
}

fn sorted<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

#[test]
fn a_changed_event_fails_the_job_and_is_named() {
    let job = Job::new();
    let (_, report) = job.run();
    // Still an event, of the same length: only the chain can tell.
    job.tamper(&report["ledger"], 20, "\"user_id\":\"u_1\"", "\"user_id\":\"u_7\"");
    let output = job.attempt();
    assert!(!output.status.success());
    let (console, text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(console.contains("NOT VERIFIED") && console.contains("found: "), "{console}{text}");
    assert!(text.contains("error: the ledger does not verify"), "{text}");
    let report = fs::read(job.path("report.json")).expect("the report");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    assert_eq!(report["verified"], false);
}

#[test]
fn a_line_that_is_no_event_fails_the_job_with_the_verdict() {
    let job = Job::new();
    let (_, report) = job.run();
    job.tamper(&report["ledger"], 20, "\"outcome\":\"ok\"", "\"outcome\":\"oK\"");
    let output = job.attempt();
    assert!(!output.status.success());
    // On the console, or with the error when the report cannot be read: a look at the dashboard has the
    // index built again, without the line, and the report can be read if that is done by then.
    let (console, text) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let told = format!("{console}{text}");
    assert!(told.contains("NOT VERIFIED") && told.contains("found: "), "{told}");
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
