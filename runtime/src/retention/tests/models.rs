//! Read models that are carried over cuts stay what a fold of every event gives; others say since when they count.

use std::collections::BTreeMap;
use std::path::Path;

use super::{LATER, on_disk, retain, write};
use crate::event::DatasetEvent;
use crate::ids::{Env, Scope, TenantId};
use crate::ledger::Ledger;
use crate::ledger_set::LedgerSet;
use crate::query::synthetic::Random;
use crate::read_models::{Activity, Failures, Folded, LedgerHeads, ReadModel, SnapshotStore, Start};
use crate::retention::Kept;

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

type Models = (Activity, Failures, LedgerHeads);

fn models() -> Models {
    (Activity, Failures, LedgerHeads)
}

fn scope(tenant: &str) -> Scope {
    Scope::new(TenantId::new(tenant).expect("valid"), Env::from_static("prod"))
}

fn fold(set: &LedgerSet, tenant: &str, store: &SnapshotStore) -> Folded<Models> {
    let scope = scope(tenant);
    Folded::open(&set.scope(scope.tenant_id(), scope.env()), models(), store).expect("readable")
}

/// Every event there ever was, as it was written.
#[derive(Default)]
struct Everything(BTreeMap<(Scope, u64), DatasetEvent>);

impl Everything {
    /// Notes what is new; called before anything is dropped.
    fn note(&mut self, ledger: &Ledger) {
        ledger.flush().expect("flush");
        for tenant in TENANTS {
            let scope = scope(tenant);
            let known = self.0.range((scope.clone(), 0)..=(scope.clone(), u64::MAX)).next_back();
            let known = known.map_or(0, |((_, seq), _)| *seq);
            let reader = ledger.scope(scope.tenant_id(), scope.env());
            for event in reader.events().after_seq(known).iter() {
                let event = event.expect("readable").event;
                assert!(self.0.insert((scope.clone(), event.seq), event).is_none());
            }
        }
    }

    /// A fold of all of it.
    fn state(&self, tenant: &str) -> String {
        let mut state = <Models as ReadModel>::State::default();
        let scope = scope(tenant);
        let noted = self.0.range((scope.clone(), 0)..=(scope.clone(), u64::MAX));
        for (expected, ((_, seq), event)) in (1..).zip(noted) {
            assert_eq!(*seq, expected, "every event was noted");
            if models().selects(event) {
                models().apply(&mut state, event);
            }
        }
        serde_json::to_string(&state).expect("a state")
    }
}

fn text(folded: &Folded<Models>) -> String {
    serde_json::to_string(folded.state()).expect("a state")
}

fn write_random(ledger: &Ledger, random: &mut Random, events: u64) {
    let text = "x".repeat(6_000);
    for _ in 0..events {
        let ctx = ledger.context(*random.pick(&TENANTS), "prod").build().expect("valid");
        let event = ctx.event("probe.write").input("text", &text);
        let event = match random.below(4) {
            0 => event.code(crate::Code::new("probe.failed")),
            _ => event,
        };
        event.record().expect("recorded");
    }
    ledger.flush().expect("flush");
}

fn open(root: &Path, seed: u64) -> Ledger {
    on_disk(root, seed).open().expect("open")
}

#[test]
fn carried_models_equal_a_fold_of_everything_over_random_schedules() {
    for seed in 1..=6 {
        let mut random = Random::new();
        (0..seed).for_each(|_| _ = random.next());
        let root = tempfile::tempdir().expect("a directory");
        let store = SnapshotStore::open(root.path().join("models")).expect("a store");
        let ledgers = root.path().join("ledgers");
        let mut everything = Everything::default();
        let (mut cuts, mut openings) = (0, 1);
        let mut ledger = open(&ledgers, 1);
        let mut set = LedgerSet::of(&ledger);
        let mut carrier = ledger.carry(models, &set, &store);
        let mut live: Vec<Folded<Models>> =
            TENANTS.map(|tenant| fold(&set, tenant, &store)).into_iter().collect();
        for step in 0..40 {
            match random.below(8) {
                0..=2 => write_random(&ledger, &mut random, 12),
                3 | 4 => {
                    everything.note(&ledger);
                    cuts += u64::from(retain(&ledger, LATER).cut.is_some());
                }
                5 => drop(live[random.below(3) as usize].refresh()),
                6 => {
                    let at = random.below(3) as usize;
                    if random.is_one_in(2) {
                        live[at].save();
                    }
                    live[at] = fold(&set, TENANTS[at], &store);
                }
                _ => {
                    everything.note(&ledger);
                    drop((live, carrier, set));
                    ledger.close().expect("close");
                    openings += 1;
                    ledger = open(&ledgers, openings);
                    set = LedgerSet::of(&ledger);
                    carrier = ledger.carry(models, &set, &store);
                    live = TENANTS.map(|tenant| fold(&set, tenant, &store)).into_iter().collect();
                }
            }
            everything.note(&ledger);
            for (at, tenant) in TENANTS.iter().enumerate() {
                let at_step = format!("seed {seed}, step {step}, {cuts} cuts, {tenant}");
                let rebuilt = fold(&set, tenant, &store);
                assert_eq!(rebuilt.since(), None, "{at_step}");
                assert_eq!(text(&rebuilt), everything.state(tenant), "{at_step}");
                if random.is_one_in(3) {
                    live[at].refresh();
                    assert!(live[at].last_refresh().unread.is_empty(), "{at_step}");
                    assert_eq!(
                        (text(&live[at]), live[at].since()),
                        (everything.state(tenant), None),
                        "{at_step}"
                    );
                }
            }
        }
        assert!(cuts >= 2, "seed {seed}: {cuts} cuts");
        let report = ledger.verify().expect("readable");
        assert!(report.is_verified(), "{report}");
    }
}

#[test]
fn a_model_that_is_not_carried_says_since_when_it_counts() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path(), 1);
    let set = LedgerSet::of(&ledger);
    let store = SnapshotStore::open(root.path().join("models")).expect("a store");
    write(&ledger, 20);
    let mut early = fold(&set, "acme", &store);
    assert!(early.save().is_saved);
    write(&ledger, 40);
    let whole = fold(&set, "acme", &store);
    let cut = retain(&ledger, LATER).cut.expect("a cut");

    // One that had read everything goes on; one that had not lacks what lies between; a new one lacks all of it.
    write(&ledger, 4);
    let mut whole = whole;
    whole.refresh();
    assert_eq!((whole.since(), whole.snapshot().events), (None, 32));
    early.refresh();
    let fresh = Folded::in_memory(early.scope(), models()).expect("readable");
    let from_store = fold(&set, "acme", &store);
    let dropped = 32 - fresh.snapshot().events;
    assert!(dropped > 10);
    for (name, folded, lacking) in [
        ("early", &early, dropped - 10),
        ("from its snapshot", &from_store, dropped - 10),
        ("fresh", &fresh, dropped),
    ] {
        let missing: Vec<_> = folded.snapshot().missing.values().collect();
        assert_eq!(missing.len(), 1, "{name}");
        assert_eq!((missing[0].events, folded.since()), (lacking, Some(missing[0].until)), "{name}");
        assert!(missing[0].until < cut.at, "{name}");
        assert_eq!(folded.snapshot().events + lacking, 32, "{name}");
        assert!(folded.last_refresh().unread.is_empty(), "{name}");
    }
    // What is missing stays said, also over a snapshot.
    assert!(early.save().is_saved);
    let again = fold(&set, "acme", &store);
    assert_eq!((again.start(), again.since()), (&Start::Snapshot, early.since()));
}

#[test]
fn nothing_is_dropped_while_a_model_cannot_be_saved() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path(), 1);
    let store = SnapshotStore::open(root.path().join("models")).expect("a store");
    write(&ledger, 40);
    let elsewhere = LedgerSet::options().directory(root.path().join("elsewhere")).open();
    let carrier = ledger.carry(models, &elsewhere, &store);
    let done = retain(&ledger, LATER);
    assert!(
        matches!(&done.kept, Kept::NotCarried { reason } if reason.contains("not folded up to")),
        "{done:?}"
    );
    assert_eq!(done.cut, None);
    drop(carrier);
    assert!(retain(&ledger, LATER).cut.is_some(), "who is gone is not asked");
}

#[test]
fn a_carried_state_outlives_its_cache_and_a_stale_one_does_not_hide_it() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = open(root.path(), 1);
    let set = LedgerSet::of(&ledger);
    let store = SnapshotStore::open(root.path().join("models")).expect("a store");
    write(&ledger, 10);
    let mut stale = fold(&set, "acme", &store);
    write(&ledger, 40);
    let _carrier = ledger.carry(models, &set, &store);
    retain(&ledger, LATER).cut.expect("a cut");
    // A process that had not looked for long saves its old state over the newer one.
    assert!(stale.save().is_saved);
    let folded = fold(&set, "acme", &store);
    assert_eq!((folded.since(), folded.snapshot().events), (None, 25));
    for entry in walk(&root.path().join("models")) {
        if entry.extension().is_some_and(|extension| extension == "snapshot") {
            std::fs::remove_file(entry).expect("a cache can be deleted");
        }
    }
    assert_eq!(
        (fold(&set, "acme", &store).since(), fold(&set, "acme", &store).snapshot().events),
        (None, 25)
    );
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
