//! Calls before there is a ledger, and the values of `DATASET_EVENTS`. Each in a process of its own: the
//! installed ledger and the environment are the process's.

use std::path::Path;
use std::process::Command;

use dataset_events_tests::log::{Log, only_ledger};

struct Ran {
    said: Vec<String>,
    warned: String,
}

fn run(what: &str, root: Option<&Path>, mode: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ambient"));
    command.arg(what).args(root).env_remove("DATASET_EVENTS");
    if let Some(mode) = mode {
        command.env("DATASET_EVENTS", mode);
    }
    let output = command.output().expect("start the program");
    let warned = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{}: {warned}", output.status);
    let said = String::from_utf8(output.stdout).expect("text");
    Ran { said: said.lines().map(str::to_owned).collect(), warned }
}

fn is_empty(root: &Path) -> bool {
    std::fs::read_dir(root).expect("list the root").next().is_none()
}

#[test]
fn events_before_a_ledger_are_handed_over_when_one_is_installed() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ran = run("late", Some(root.path()), None);
    assert_eq!(ran.said.len(), 3, "{:?}", ran.said);
    assert!(ran.said[0].starts_with("Err("), "durable without a ledger is refused: {:?}", ran.said);
    assert_eq!(ran.said[1], "true", "a second ledger is not installed");
    assert_eq!(ran.said[2], "the body ran", "and that of the refused call did not");
    let warnings = ran.warned.matches("no ledger is installed yet").count();
    assert_eq!(warnings, 1, "it warns once: {}", ran.warned);

    let ledgers = dataset_events_tests::log::ledgers(root.path());
    let log = Log::read(&ledgers[0]);
    for surface in ["ambient.call", "ambient.context"] {
        let mut numbers: Vec<_> = log.events_of(surface).map(|event| event.input_number("n")).collect();
        // In the order in which the calls of each thread ended.
        for thread in 0..4 {
            let of_thread: Vec<_> = numbers.iter().filter(|n| **n / 1_000 == thread).copied().collect();
            assert_eq!(of_thread, (thread * 1_000..thread * 1_000 + 50).collect::<Vec<_>>(), "{surface}");
        }
        assert_eq!(numbers.pop(), Some(9_000), "{surface}: the call behind the install comes last");
        assert_eq!(numbers.len(), 200, "{surface}");
    }
    let durable: Vec<_> =
        log.events_of("ambient.durable").map(|event| (&*event.outcome, &*event.code)).collect();
    assert_eq!(durable, [("error", "ledger.unavailable"), ("ok", "")]);
    let users = log.events_of("ambient.context").all(|event| event.json()["actor"]["user_id"] == "u_1");
    assert!(users, "what the context knew is kept");
}

#[test]
fn what_the_ring_cannot_keep_is_told_as_lost() {
    let root = tempfile::tempdir().expect("temporary directory");
    run("flood", Some(root.path()), None);
    let log = Log::read(&only_ledger(root.path()));
    let kept: Vec<_> = log.events_of("ambient.call").map(|event| event.input_number("n")).collect();
    let lost: u64 = log.lost().values().sum();
    assert_eq!(kept.len() as u64 + lost, 12_000);
    assert!(lost > 0 && lost <= 2_000, "{lost}");
    assert_eq!(kept, (lost..12_000).collect::<Vec<_>>(), "the oldest are let go");
    let gap = log.events_of("ledger.gap").next().expect("a gap");
    assert_eq!(gap.code, "ledger.not_installed");
}

#[test]
fn a_program_that_never_opens_a_ledger_runs_and_is_warned_once() {
    let ran = run("never", None, None);
    assert_eq!(ran.warned.lines().count(), 1, "{}", ran.warned);
    assert!(ran.warned.contains("Ledger::dev()"), "it says what to do: {}", ran.warned);
}

#[test]
fn off_records_nothing_and_touches_no_disk() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ran = run("mode", Some(root.path()), Some("off"));
    assert_eq!(ran.said, ["installed true, path false, events 0"]);
    assert_eq!(ran.warned, "");
    assert!(is_empty(root.path()));
}

#[test]
fn memory_records_from_the_first_call_on_and_touches_no_disk() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ran = run("mode", Some(root.path()), Some("memory"));
    // A ledger opened itself at the first call: the program that opens and installs one gets that.
    assert_eq!(ran.said, ["installed true, path false, events 4"]);
    assert_eq!(ran.warned, "");
    assert!(is_empty(root.path()));
}

#[test]
fn stderr_shows_every_line_as_it_stands_in_the_log() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ran = run("mode", Some(root.path()), Some("stderr"));
    assert!(is_empty(root.path()));
    let lines: Vec<serde_json::Value> =
        ran.warned.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut numbers: Vec<_> = lines.iter().filter_map(|line| line["input"]["n"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4], "{}", ran.warned);
    assert!(lines.iter().all(|line| line["schema_version"] == 1));
}

/// A tool that opens no ledger at all ends long before a group is made by itself.
#[test]
fn stderr_shows_the_calls_of_a_program_that_opens_no_ledger() {
    let ran = run("never", None, Some("stderr"));
    let numbers: Vec<_> = ran
        .warned
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("nothing but lines"))
        .filter_map(|line| line["input"]["n"].as_u64())
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn an_unknown_mode_is_named_and_the_ledger_lies_on_disk() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ran = run("mode", Some(root.path()), Some("nowhere"));
    assert_eq!(ran.said, ["installed true, path true, events 4"]);
    assert!(
        ran.warned.contains("\"nowhere\"") && ran.warned.contains("memory, stderr, off"),
        "{}",
        ran.warned
    );
    let log = Log::read(&only_ledger(root.path()));
    let numbers: Vec<_> = log.events_of("ambient.").map(|event| event.input_number("n")).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}
