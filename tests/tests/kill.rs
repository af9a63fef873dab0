//! Processes are killed at random instants, under load and while they recover from the kill before.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use dataset_events::{Ledger, VerifyOptions, verify};
use dataset_events_tests::child::{Oracle, Running, Said};
use dataset_events_tests::log::{Log, only_ledger};
use dataset_events_tests::seed::{self, Numbers};

const ROOTS: u64 = 5;
const KILLS_PER_ROOT: u64 = 20;
const THREADS: u64 = 6;

/// How kills went.
#[derive(Debug, Default)]
struct Kills {
    under_load: u64,
    while_opening: u64,
}

fn start(root: &Path, seed: u64) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    Running::start(command.arg(root).arg(seed.to_string()).arg(THREADS.to_string()))
}

/// Starts a process on the root and kills it: after `delay`, or `delay` after its ledger is open.
/// Returns how long opening took, if it got that far.
fn run_and_kill(
    root: &Path,
    seed: u64,
    delay: Duration,
    is_while_opening: bool,
    oracle: &mut Oracle,
) -> Option<Duration> {
    let start_at = Instant::now();
    let mut child = start(root, seed);
    let said = child.listen();
    let mut opened = None;
    let mut deadline = is_while_opening.then(|| start_at + delay);
    loop {
        let heard = match deadline {
            Some(deadline) => said.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => said.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Ok(Said::Opened) => {
                opened = Some(start_at.elapsed());
                deadline.get_or_insert(Instant::now() + delay);
            }
            Ok(said) => oracle.hear(said),
            Err(RecvTimeoutError::Timeout) => break,
            // It ended by itself: it could not open the ledger. Its stderr says why.
            Err(RecvTimeoutError::Disconnected) => panic!("the process ended before it was killed"),
        }
    }
    child.kill();
    // What it had said stands in the pipe.
    for said in said {
        if said == Said::Opened {
            opened.get_or_insert(start_at.elapsed());
        }
        oracle.hear(said);
    }
    opened
}

#[test]
fn every_call_has_its_event_after_100_kills_at_random_instants() {
    let mut numbers = Numbers::new(seed::of_this_run());
    let mut kills = Kills::default();
    let (mut returned, mut interrupted) = (0, 0);
    // Calls that were killed inside their bodies, by guarantee.
    let mut cut_short = BTreeMap::new();
    let mut opening = Duration::from_millis(50);
    for _ in 0..ROOTS {
        let root = tempfile::tempdir().expect("temporary directory");
        let mut oracle = Oracle::default();
        for _ in 0..KILLS_PER_ROOT {
            let is_while_opening = numbers.below(5) < 2;
            let limit = if is_while_opening { opening } else { Duration::from_millis(150) };
            let delay = Duration::from_micros(numbers.below(limit.as_micros() as u64 + 1));
            let seed = numbers.number();
            match run_and_kill(root.path(), seed, delay, is_while_opening, &mut oracle) {
                Some(took) => {
                    kills.under_load += 1;
                    opening = took;
                }
                None => kills.while_opening += 1,
            }
        }
        // One more recovery, which nobody kills.
        let options = Ledger::options().root(root.path()).service("load", "1");
        let ledger = options.open().expect("open the ledger after the last kill");
        ledger.close().expect("close it");
        let directory = only_ledger(root.path());
        let log = Log::read(&directory);
        assert_eq!(log.lost(), Default::default(), "the load leaves room in the journal: nothing is shed");
        oracle.check(&log, "load.");
        let report = verify(&directory, &VerifyOptions::new()).expect("readable");
        assert!(report.is_verified(), "{report}");
        returned += oracle.returned.len();
        let left = oracle.began.iter().filter(|(event_id, _)| !oracle.returned.contains_key(*event_id));
        for (_, guarantee) in left {
            *cut_short.entry(guarantee.clone()).or_insert(0) += 1;
        }
        interrupted += log.events_of("load.").filter(|event| event.outcome == "interrupted").count();
    }
    println!(
        "{kills:?}; calls: {returned} returned, {cut_short:?} did not; {interrupted} interrupted events"
    );
    // The kills were what the test is about.
    assert_eq!(kills.under_load + kills.while_opening, ROOTS * KILLS_PER_ROOT);
    assert!(kills.while_opening >= 5, "{kills:?}");
    assert!(kills.under_load >= 30, "{kills:?}");
    assert!(returned > 2_000 && interrupted > 200, "{returned} returned, {interrupted} interrupted");
    for guarantee in ["recorded", "intent", "durable"] {
        assert!(cut_short.get(guarantee).is_some_and(|count| *count > 50), "{guarantee}: {cut_short:?}");
    }
}
