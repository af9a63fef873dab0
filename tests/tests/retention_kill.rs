//! A process that drops old segments is killed at random instants: each time the log verifies from its newest cut,
//! every cut that was reported is there, every event is in the log or was dropped, and the next process goes on.

use std::process::Command;
use std::time::Duration;

use dataset_events::{Ledger, LedgerReader, VerifyOptions, verify};
use dataset_events_tests::child::{Running, Said};
use dataset_events_tests::seed::{self, Numbers};

const KILLS: usize = 25;

/// The numbers of the cuts that events tell of.
fn told_of(directory: &std::path::Path) -> Vec<u64> {
    let reader = LedgerReader::open(directory).expect("a ledger");
    let events = reader.unrecorded_operator().events().surface("ledger.cut").iter();
    let cut_of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        line["input"]["cut"].as_u64().expect("the number of a cut")
    };
    events.map(|event| cut_of(&event.expect("readable").line)).collect()
}

#[test]
fn a_process_killed_while_it_drops_segments_leaves_a_log_that_verifies_and_goes_on() {
    let mut random = Numbers::new(seed::of_this_run());
    let root = tempfile::tempdir().expect("a directory");
    let (mut recorded, mut cuts) = (0, 0);
    for kill in 0..KILLS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retaining"));
        let mut child = Running::start(command.arg(root.path()));
        let said = child.listen();
        assert_eq!(said.recv(), Ok(Said::Opened), "kill {kill}");
        std::thread::sleep(Duration::from_micros(random.below(700_000)));
        child.kill();
        let mut now = 0;
        for said in said {
            let Said::Else(text) = said else { panic!("{said:?}") };
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                ["recorded", count] => now = count.parse().expect("a count"),
                ["cut", number, _] => cuts = number.parse().expect("a number"),
                _ => panic!("{text:?} is unknown"),
            }
        }
        recorded += now;
        // Who opens it next finishes what was begun.
        let options = Ledger::options().root(root.path()).service("retaining", "1").journal_bytes(1 << 20);
        let ledger = options.open().unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        let directory = ledger.path().expect("on disk").to_owned();
        ledger.close().expect("close");
        let report = verify(&directory, &VerifyOptions::new()).expect("a ledger");
        assert!(report.is_verified(), "kill {kill}: {report}");
        let begins = report.cut.as_ref();
        assert!(begins.map_or(0, |cut| cut.number) >= cuts, "kill {kill}: cut {cuts} is lost: {report}");
        assert!(
            report.events + begins.map_or(0, |cut| cut.dropped_events) >= recorded,
            "kill {kill}: {report}"
        );
        if let Some(begins) = begins {
            cuts = begins.number;
            assert_eq!(told_of(&directory).last(), Some(&begins.number), "kill {kill}");
            let first = directory.join(format!("log/{:08}.ndjson", begins.position.segment - 1));
            assert!(!first.exists(), "kill {kill}: what was dropped is removed");
        }
    }
    assert!(cuts >= 5, "{cuts} cuts in {KILLS} runs");
}
