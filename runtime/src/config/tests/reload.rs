//! Another configuration while calls are recorded: nothing is lost, and what did not change is not disturbed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::{Config, ReloadError};
use crate::ledger::Ledger;
use crate::sinks::otlp::tests::collector::LocalCollector;

/// A configuration with one sink for each of these, and more lines for it.
fn text(root: &Path, sinks: &[(&str, &LocalCollector, &str)]) -> String {
    let mut text = format!("[ledger]\nroot = {root:?}\njournal_bytes = \"1MiB\"\n");
    for (name, collector, more) in sinks {
        let url = collector.url();
        text +=
            &format!("[sinks.{name}]\nbackend = \"otlp\"\nurl = \"{url}\"\nbatch_age = \"5ms\"\n{more}\n");
    }
    text
}

fn config(text: &str) -> Config {
    Config::builder().toml("x.toml", text).build().expect("a configuration")
}

/// Records until told to stop; the ids that were recorded.
fn record(ledger: &Ledger, is_done: &AtomicBool) -> BTreeSet<String> {
    let ctx = ledger.context("acme", "prod").build().expect("a context");
    let mut ids = BTreeSet::new();
    while !is_done.load(Ordering::Relaxed) {
        ids.insert(ctx.event("load.call").record().expect("recorded").to_string());
        std::thread::sleep(Duration::from_millis(1));
    }
    ids
}

/// Waits until every sink has everything.
fn settle(ledger: &Ledger) {
    ledger.flush().expect("flush");
    let begun = std::time::Instant::now();
    while ledger.sinks().statuses().iter().any(|status| status.lag_events > 0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", ledger.sinks().statuses());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sinks_change_under_load_and_no_event_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let [kept, changed, gone, new] = [(); 4].map(|()| LocalCollector::start());
    let root = directory.path();
    let first = text(root, &[("changed", &changed, ""), ("gone", &gone, ""), ("kept", &kept, "")]);
    let ledger = Ledger::from_config(&config(&first)).expect("a ledger");
    let is_done = AtomicBool::new(false);
    let ids = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| record(&ledger, &is_done))).collect();
        for round in 0..6 {
            let header = format!("headers = {{ round = \"{round}\" }}\nclose_within = \"200ms\"");
            let sinks = [("changed", &changed, &*header), ("kept", &kept, ""), ("new", &new, "")];
            let reloaded = ledger.reload(&config(&text(root, &sinks))).expect("a reload");
            assert_eq!(reloaded.replaced, ["changed"]);
            assert_eq!(reloaded.removed.len() + reloaded.added.len(), if round == 0 { 2 } else { 0 });
            assert!(reloaded.unchanged.contains(&"kept".to_owned()), "{reloaded:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        is_done.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect::<BTreeSet<_>>()
    });
    settle(&ledger);
    assert!(ids.len() > 100, "{} calls", ids.len());
    for collector in [&kept, &changed, &new] {
        let got: BTreeSet<_> = collector.events_of("load.call").into_keys().collect();
        assert_eq!(got, ids);
    }
    // The one that was not touched sent nothing twice.
    assert!(kept.events_of("load.call").values().all(|times| *times == 1));
    assert!(gone.events_of("load.call").len() < ids.len(), "it was removed");
    let names: Vec<_> = ledger.sinks().statuses().into_iter().map(|status| status.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(kept.events_of("ledger.sinks_changed").len(), 6, "each change is an event");
}

#[test]
fn what_cannot_change_leaves_everything_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let collector = LocalCollector::start();
    let first = text(directory.path(), &[("x", &collector, "")]);
    let ledger = Ledger::from_config(&config(&first)).expect("a ledger");

    // A default that is spelt out is no change.
    let spelt = first.replace("[sinks.x]", "segment_bytes = \"64MiB\"\n[sinks.x]\nrequired = false");
    let reloaded = ledger.reload(&config(&spelt)).expect("the same");
    assert!(reloaded.is_unchanged() && reloaded.unchanged == ["x"], "{reloaded:?}");
    assert_eq!(reloaded.to_string(), "nothing changed");

    let other = first.replace("[sinks.x]", "group_interval = \"1s\"\nservice = \"y\"\n[sinks.y]");
    let error = ledger.reload(&config(&other)).expect_err("keys of the ledger");
    assert_eq!(
        error.to_string(),
        "`ledger.service`, `ledger.group_interval` cannot change while the ledger is open: restart the process"
    );
    assert!(matches!(error, ReloadError::NeedsRestart { .. }));
    assert!(ledger.sinks().status("x").is_some() && ledger.sinks().status("y").is_none());

    let by_hand = Ledger::options().root(directory.path().join("other")).open().expect("a ledger");
    assert!(matches!(by_hand.reload(&config(&first)), Err(ReloadError::NotConfigured)));
}

/// Not a test: the process that gets the signals.
#[test]
fn child_of_the_sighup_test() {
    let Some(file) = std::env::var_os("DATASET_EVENTS_TEST_SIGHUP") else { return };
    let config = Config::builder().file(&file).build().expect("a configuration");
    let ledger = Ledger::from_config(&config).expect("a ledger");
    let (to_main, outcomes) = std::sync::mpsc::channel();
    let reload = config.reload_on_sighup_with(&ledger, move |outcome| {
        let said = match outcome {
            Ok(reloaded) => reloaded.to_string(),
            Err(error) => format!("failed: {error}"),
        };
        let _ = to_main.send(said.replace('\n', " "));
    });
    let reload = reload.expect("take the signal");
    let ctx = ledger.context("acme", "prod").build().expect("a context");
    println!("\nsaid ready");
    for said in outcomes {
        let is_ok = reload.last().expect("an outcome").is_ok();
        println!("said {said} ({is_ok})");
        ctx.event("load.call").record().expect("recorded");
        settle(&ledger);
        println!("said settled");
        if said.starts_with("added") {
            return;
        }
    }
}

#[test]
fn sighup_reads_the_file_again_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.toml");
    let [first, second] = [(); 2].map(|()| LocalCollector::start());
    let good = text(&directory.path().join("root"), &[("first", &first, "")]);
    std::fs::write(&file, &good).expect("write the file");

    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "config::tests::reload::child_of_the_sighup_test", "--nocapture"])
        .env("DATASET_EVENTS_TEST_SIGHUP", &file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
    let mut said = || loop {
        let line = lines.next().expect("the child goes on").expect("a line");
        if let Some(said) = line.strip_prefix("said ") {
            return said.to_owned();
        }
    };
    let hang_up = |child: &std::process::Child| {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status().expect("run kill");
        assert!(sent.success());
    };
    assert_eq!(said(), "ready");

    std::fs::write(&file, format!("{good}\nbatch_agee = \"1s\"")).expect("write the file");
    hang_up(&child);
    let outcome = said();
    assert!(outcome.starts_with("failed: the configuration cannot be used: "), "{outcome}");
    assert!(
        outcome.contains("x.toml:10:1: unknown key `batch_agee`") && outcome.ends_with("(false)"),
        "{outcome}"
    );
    assert_eq!(said(), "settled");
    assert_eq!(first.events_of("load.call").len(), 1, "the sink goes on");

    let more = text(&directory.path().join("root"), &[("first", &first, ""), ("second", &second, "")]);
    std::fs::write(&file, more).expect("write the file");
    hang_up(&child);
    assert_eq!(said(), "added second (true)");
    assert_eq!(said(), "settled");
    assert!(child.wait().expect("wait for the child").success());
    assert_eq!(first.events_of("load.call").len(), 2);
    assert_eq!(second.events_of("load.call").len(), 2, "a new sink gets what was there");
}
