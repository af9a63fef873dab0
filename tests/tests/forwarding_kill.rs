//! Processes are killed while they forward: between the target's write and the acknowledgement, and between that and
//! the cursor.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use dataset_events::{VerifyOptions, verify};
use dataset_events_tests::child::{Running, Said};
use dataset_events_tests::log::{Log, only_ledger};
use dataset_events_tests::seed::{self, Numbers};

const KILLS: u64 = 50;

fn start(root: &Path, target: &Path, what: &str) -> Running {
    Running::start(Command::new(env!("CARGO_BIN_EXE_forwarding")).arg(root).arg(target).arg(what))
}

/// Runs until `delay` after the ledger is open, then kills.
fn run_and_kill(root: &Path, target: &Path, delay: Duration) {
    let mut child = start(root, target, "calls");
    let said = child.listen();
    let mut deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Said::Opened) => deadline = Instant::now() + delay,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => panic!("the process ended before it was killed"),
        }
    }
    child.kill();
}

#[test]
fn after_50_kills_the_target_has_every_line_in_order_once_in_effect() {
    let mut numbers = Numbers::new(seed::of_this_run());
    let directory = tempfile::tempdir().expect("temporary directory");
    let (root, target) = (directory.path().join("root"), directory.path().join("target.ndjson"));
    let mut grew = 0;
    let mut size = 0;
    for _ in 0..KILLS {
        run_and_kill(&root, &target, Duration::from_millis(5 + numbers.below(240)));
        let now = fs::metadata(&target).map_or(0, |file| file.len());
        grew += u64::from(now > size);
        size = now;
    }
    let mut last = start(&root, &target, "finish");
    let said: Vec<_> = last.listen().iter().collect();
    assert_eq!(said, [Said::Opened]);
    last.finish();
    let ledger = only_ledger(&root);
    let log = Log::read(&ledger);
    let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
    let text = fs::read_to_string(&target).expect("the target");
    let mut seen = HashSet::new();
    let in_effect: Vec<_> = text.lines().filter(|line| seen.insert(*line)).collect();
    let lines: Vec<_> = log.lines.iter().map(|line| &*line.text).collect();
    let came = text.lines().count();
    println!("{} lines, {} of them came again, {grew} runs forwarded", lines.len(), came - in_effect.len());
    let first_wrong = in_effect.iter().zip(&lines).position(|(forwarded, line)| forwarded != line);
    assert_eq!((in_effect.len(), first_wrong), (lines.len(), None));
    // The kills were what the test is about.
    assert!(grew > KILLS / 5, "{grew} runs forwarded anything");
    assert!(came > in_effect.len(), "no kill fell between a write and the cursor");
    assert!(lines.len() > 1_000, "{}", lines.len());
}
