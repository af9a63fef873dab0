//! A process that folds is killed between the fold and its snapshot, and at random instants of both; the next start
//! is what folding everything from zero gives.

use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use dataset_events::read_models::{Folded, SnapshotStore, Start};
use dataset_events::{Code, Env, Ledger, LedgerSet, SetScope, TenantId};
use dataset_events_tests::child::{Running, Said};
use dataset_events_tests::folded::models;
use dataset_events_tests::log::file_hashes;
use dataset_events_tests::seed::{self, Numbers};
use tempfile::TempDir;

const REFUSED: Code = Code::new("order.refused").status(422);
const KILLS: usize = 30;

/// Two ledgers that are written here and folded elsewhere.
struct Stage {
    root: TempDir,
    snapshots: TempDir,
    ledgers: [Ledger; 2],
    events: u64,
}

impl Stage {
    fn new() -> Self {
        let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = || Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
        let ledgers = [open(), open()];
        Self { root, snapshots, ledgers, events: 0 }
    }

    fn write(&mut self, events: u64) {
        for at in self.events..self.events + events {
            let ctx = self.ledgers[(at % 2) as usize].context("acme", "prod").build().unwrap();
            let surface = format!("order.step_{}", at % 7);
            let event = ctx.event(&surface).input("number", &at);
            if at % 5 == 0 {
                event.code(REFUSED).record().unwrap()
            } else {
                event.record().unwrap()
            };
        }
        self.events += events;
        self.ledgers.iter().for_each(|ledger| ledger.flush().unwrap());
    }

    fn child(&self) -> (Running, Receiver<Said>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_folding"));
        let mut child = Running::start(command.arg(self.root.path()).arg(self.snapshots.path()));
        let said = child.listen();
        assert_eq!(said.recv().unwrap(), Said::Opened);
        (child, said)
    }

    fn scope(&self) -> SetScope {
        let set = LedgerSet::options().root(self.root.path()).open();
        set.scope(&TenantId::from_static("acme"), &Env::from_static("prod"))
    }

    /// Starts again in this process, which must be as if everything was folded anew; says where it began.
    fn assert_equal_to_zero(&self) -> Start {
        let store = SnapshotStore::open(self.snapshots.path()).unwrap();
        let next = Folded::open(&self.scope(), models(), &store).unwrap();
        let anew = Folded::in_memory(&self.scope(), models()).unwrap();
        assert!(next.last_refresh().unread.is_empty() && anew.last_refresh().unread.is_empty());
        assert_eq!(anew.snapshot().events, self.events);
        let text = |folded: &Folded<_>| serde_json::to_string(folded.state()).unwrap();
        assert_eq!(text(&next), text(&anew));
        let (kept, rebuilt) = (next.snapshot(), anew.snapshot());
        assert_eq!(
            (kept.events, kept.as_of, &kept.ledgers),
            (rebuilt.events, rebuilt.as_of, &rebuilt.ledgers)
        );
        next.start().clone()
    }
}

#[test]
fn a_process_killed_between_fold_and_snapshot_is_equal_at_its_next_start() {
    let mut stage = Stage::new();
    stage.write(300);
    for (has_older, start) in [(false, Start::Zero), (true, Start::Snapshot)] {
        let (mut child, said) = stage.child();
        if has_older {
            for (told, answer) in
                [("fold", format!("folded {}", stage.events)), ("save", "saved true".into())]
            {
                child.tell(told);
                assert_eq!(said.recv().unwrap(), Said::Else(answer));
            }
        }
        let before = file_hashes(stage.snapshots.path());
        assert_eq!(before.len(), usize::from(has_older));
        stage.write(200);
        child.tell("fold");
        assert_eq!(said.recv().unwrap(), Said::Else(format!("folded {}", stage.events)));
        child.kill();
        assert_eq!(file_hashes(stage.snapshots.path()), before, "what it folded last is in no snapshot");
        assert_eq!(stage.assert_equal_to_zero(), start);
        stage.write(50);
        assert_eq!(stage.assert_equal_to_zero(), start);
    }
}

#[test]
fn a_process_killed_at_random_instants_of_folding_and_saving_is_equal_at_its_next_start() {
    let mut numbers = Numbers::new(seed::of_this_run());
    let mut stage = Stage::new();
    let mut from_a_snapshot = 0;
    for _ in 0..KILLS {
        stage.write(1 + numbers.below(40));
        let (mut child, said) = stage.child();
        child.tell("on");
        for _ in 0..numbers.below(3) {
            assert_eq!(said.recv().unwrap(), Said::Else("again".into()));
            stage.write(1 + numbers.below(20));
        }
        // The instant is the point: nobody says when it is.
        std::thread::sleep(Duration::from_micros(numbers.below(3_000)));
        child.kill();
        let start = stage.assert_equal_to_zero();
        assert!(!matches!(start, Start::Refused { .. }), "a snapshot is old or new as a whole: {start:?}");
        from_a_snapshot += usize::from(start == Start::Snapshot);
    }
    assert!(from_a_snapshot > KILLS / 2, "{from_a_snapshot} of {KILLS} began from a snapshot");
}
