//! Rebuilt from zero equals live, for every interleaving, and whatever becomes of the logs.

use std::fs;

use super::*;
use crate::ledger::Ledger;

const HOUR_US: u64 = 3_600_000_000;

#[test]
fn every_model_is_the_same_for_any_interleaving() {
    fn check<M: ReadModel>(model: fn() -> M, events: &[DatasetEvent]) {
        assert_interleaving_invariant(&model(), events);
    }
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    for (at, ledger) in ledgers.iter_mut().enumerate() {
        // 100 days in all, so that hours and minutes go out of their horizons; one ledger is far behind.
        ledger.now -= at as i64 * 40 * 24 * HOUR_US as i64;
        ledger.write_random(&mut random, &[scope("acme")], 150, 32 * HOUR_US);
    }
    let events: Vec<_> = events_of(&ledgers, &scope("acme")).cloned().collect();
    for_every_model!(check(&events));
}

#[test]
#[should_panic(expected = "depends on the order")]
fn a_model_that_keeps_the_last_one_applied_breaks_the_law() {
    struct LastApplied;
    impl ReadModel for LastApplied {
        type State = Option<String>;
        const NAME: &'static str = "last_applied";
        const VERSION: u32 = 1;
        fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
            *state = Some(format!("{} {}", event.ledger_id, event.seq));
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    for ledger in &mut ledgers {
        ledger.write(&Made::ok(&scope("acme"), "chat.send"));
    }
    let events: Vec<_> = events_of(&ledgers, &scope("acme")).cloned().collect();
    assert_interleaving_invariant(&LastApplied, &events);
}

#[test]
fn models_folded_together_are_what_each_is_alone_and_their_snapshot_is_of_these() {
    let mut random = Random::new();
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path());
    for ledger in &mut ledgers {
        // Reading is among it, which the heads select and the others do not.
        ledger.write_random(&mut random, &[scope("acme")], 200, HOUR_US);
    }
    let (set, store) = (of_root(root.path()), SnapshotStore::open(snapshots.path()).unwrap());
    let acme = prod(&set, "acme");
    let mut together = Folded::open(&acme, (Activity, LedgerHeads, spend()), &store).unwrap();
    assert_eq!(together.last_refresh().new_events, 600, "each event is read once");
    let alone = [
        text(&Folded::in_memory(&acme, Activity).unwrap()),
        text(&Folded::in_memory(&acme, LedgerHeads).unwrap()),
        text(&Folded::in_memory(&acme, spend()).unwrap()),
    ];
    assert_eq!(text(&together), format!("[{}]", alone.join(",")));
    assert!(together.save().is_saved);
    let again = Folded::open(&acme, (Activity, LedgerHeads, spend()), &store).unwrap();
    assert_eq!((again.start(), text(&again)), (&Start::Snapshot, text(&together)));
    // Another set of models, or another config of one, has another file.
    let other = Totals::of("chat.*", Field::Input("cost".into()));
    let other = Folded::open(&acme, (Activity, LedgerHeads, other), &store).unwrap();
    assert_eq!(other.start(), &Start::Zero);
    assert_eq!(Folded::open(&acme, (LedgerHeads, Activity), &store).unwrap().start(), &Start::Zero);
}

#[test]
fn rebuilt_from_zero_equals_live_after_many_refreshes() {
    fn check<M: ReadModel>(model: fn() -> M, random: &mut Random) {
        let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut ledgers = three(root.path());
        let store = SnapshotStore::open(snapshots.path()).unwrap();
        let set = of_root(root.path());
        let acme = prod(&set, "acme");
        let mut live = Folded::open(&acme, model(), &store).unwrap().save_every(40);
        let mut events = 0;
        for round in 0..25 {
            let scopes = [scope("acme"), scope("acm"), Scope::system()];
            let at = random.below(3) as usize;
            let more = random.below(50) as usize;
            ledgers[at].write_random(random, &scopes, more, 2 * HOUR_US);
            if random.is_one_in(3) {
                live.refresh();
                let now = events_of(&ledgers, &scope("acme")).count() as u64;
                assert_eq!(live.last_refresh().new_events, now - events, "only what is new is read");
                events = now;
            }
            if random.is_one_in(5) {
                // The process ends, with or without a last snapshot.
                if random.is_one_in(2) {
                    live.save();
                }
                live = Folded::open(&acme, model(), &store).unwrap().save_every(40);
                events = live.snapshot().events;
                assert!(!matches!(live.start(), Start::Refused { .. }), "{:?}", live.start());
            }
            if round == 12 {
                // A replica joins with events from before.
                ledgers.push(MadeLedger::new(root.path(), 4));
            }
            if round > 12 {
                ledgers[3].write_random(random, &scopes, 5, HOUR_US);
            }
        }
        live.refresh();
        assert!(live.last_refresh().unread.is_empty());
        let expected = naive(&model(), &ledgers, &scope("acme"));
        assert_eq!(text(&live), expected, "{}: live", M::NAME);
        let rebuilt = Folded::in_memory(&prod(&of_root(root.path()), "acme"), model()).unwrap();
        assert_eq!((rebuilt.start(), text(&rebuilt)), (&Start::Zero, expected), "{}: rebuilt", M::NAME);
        assert_eq!(rebuilt.snapshot().ledgers, live.snapshot().ledgers);
        let newest = events_of(&ledgers, &scope("acme")).map(|event| event.recorded_at).max();
        assert_eq!((live.as_of(), rebuilt.as_of()), (newest, newest));
    }
    let mut random = Random::new();
    for_every_model!(check(&mut random));
}

#[test]
fn a_ledger_that_cannot_be_read_is_named_and_folded_once_it_can() {
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path());
    for ledger in &mut ledgers {
        ledger.write_random(&mut random, &[scope("acme")], 50, HOUR_US);
    }
    let set = of_root(root.path());
    let mut activity = Folded::in_memory(&prod(&set, "acme"), Activity).unwrap();
    let (log, away) = (ledgers[1].path.join("log"), ledgers[1].path.join("away"));
    fs::rename(&log, &away).unwrap();
    ledgers[0].write_random(&mut random, &[scope("acme")], 10, HOUR_US);
    let refreshed = activity.refresh();
    assert_eq!((refreshed.new_events, refreshed.unread.len()), (10, 1));
    assert_eq!(refreshed.unread[0].ledger_id, Some(ledgers[1].ledger_id));
    fs::rename(&away, &log).unwrap();
    ledgers[1].write_random(&mut random, &[scope("acme")], 10, HOUR_US);
    assert_eq!(activity.refresh().new_events, 10);
    assert!(activity.last_refresh().unread.is_empty());
    assert_eq!(text(&activity), naive(&Activity, &ledgers, &scope("acme")));
    assert_eq!(activity.start(), &Start::Zero);
}

#[test]
fn a_fold_begins_anew_where_the_log_is_not_the_one_that_was_folded() {
    let mut random = Random::new();
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path());
    let write = |ledger: &mut MadeLedger, events: u64| {
        for at in 0..events {
            ledger.now += 1_000_000 + at as i64;
            ledger.write(&Made::ok(&scope("acme"), "chat.send"));
        }
    };
    for ledger in &mut ledgers {
        write(ledger, 20);
    }
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    let set = of_root(root.path());
    let acme = prod(&set, "acme");
    let mut heads = Folded::open(&acme, LedgerHeads, &store).unwrap();
    heads.save();
    // After a power cut lines that were not durable are gone, and others come in their place.
    for (keep, more) in [(15, 0), (10, 3), (5, 60), (60, 5)] {
        ledgers[2].cut(keep);
        ledgers[2].now += random.below(1_000) as i64;
        write(&mut ledgers[2], more);
        heads.refresh();
        assert_eq!(text(&heads), naive(&LedgerHeads, &ledgers, &scope("acme")), "cut to {keep}");
        assert!(matches!(heads.start(), Start::Refused { reason } if reason.contains("does not continue")));
        // The same with the snapshot from before.
        let opened = Folded::open(&acme, LedgerHeads, &store).unwrap();
        assert_eq!(text(&opened), naive(&LedgerHeads, &ledgers, &scope("acme")), "opened, cut to {keep}");
        assert!(matches!(opened.start(), Start::Refused { .. }), "{:?}", opened.start());
    }
    // A set without one of the ledgers cannot use the snapshot either.
    heads.save();
    let smaller = LedgerSet::options().directory(&ledgers[0].path).open();
    let opened = Folded::open(&prod(&smaller, "acme"), LedgerHeads, &store).unwrap();
    assert_eq!(text(&opened), naive(&LedgerHeads, &ledgers[..1], &scope("acme")));
    assert!(matches!(opened.start(), Start::Refused { reason } if reason.contains("not in the set")));
}

#[test]
fn a_broken_chain_is_named_and_folded_up_to_there() {
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path());
    let acme = scope("acme");
    for ledger in &mut ledgers {
        for _ in 0..4 {
            ledger.write(&Made::ok(&acme, "chat.send"));
        }
    }
    let set = of_root(root.path());
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    let mut heads = Folded::open(&prod(&set, "acme"), LedgerHeads, &store).unwrap();
    assert_eq!(heads.snapshot().events, 12);
    // One line is forged, one is removed; both chains have sound lines before and behind that.
    ledgers[0].write(&Made::ok(&acme, "chat.send"));
    let forged = ledgers[0].line(&Made::ok(&acme, "chat.send"));
    let prev = format!("\"prev\":\"{}\"", ledgers[0].events[5].prev);
    ledgers[0].append(&forged.replace(&prev, &format!("\"prev\":\"{}\"", "0".repeat(64))));
    ledgers[1].write(&Made::ok(&acme, "chat.send"));
    drop(ledgers[1].line(&Made::ok(&acme, "chat.send")));
    for ledger in &mut ledgers {
        ledger.write(&Made::ok(&acme, "chat.send"));
    }
    for _ in 0..3 {
        heads.refresh();
        let unread = &heads.last_refresh().unread;
        let named: Vec<_> = unread.iter().filter_map(|unread| unread.ledger_id).collect();
        assert_eq!(named, [ledgers[0].ledger_id, ledgers[1].ledger_id], "{unread:?}");
        assert!(unread.iter().all(|unread| unread.reason.contains("does not follow event 5")), "{unread:?}");
        assert_eq!(heads.snapshot().ledgers.values().map(|cursor| cursor.seq).collect::<Vec<_>>(), [5, 5, 5]);
        heads.save();
        let opened = Folded::open(&prod(&of_root(root.path()), "acme"), LedgerHeads, &store).unwrap();
        assert_eq!(
            (text(&opened), &opened.last_refresh().unread),
            (text(&heads), &heads.last_refresh().unread)
        );
    }
    assert_eq!(heads.start(), &Start::Zero, "a broken chain behind the cursor is no reason to fold anew");
}

/// Three replicas write a root; one dies with events in its journal. What a reader saw of it before, and
/// what recovery appends, add up to one fold of all events.
#[test]
fn a_killed_replica_is_folded_before_and_after_its_recovery() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |root: &Path| Ledger::options().root(root).journal_bytes(2 << 20).open().unwrap();
    let record = |ledger: &Ledger, events: usize| {
        let ctx = ledger.context("acme", "prod").build().unwrap();
        for _ in 0..events {
            ctx.event("budget.record").record().unwrap();
        }
    };
    let replicas = [open(root.path()), open(root.path())];
    let dying = open(other.path());
    for ledger in replicas.iter().chain([&dying]) {
        record(ledger, 30);
        ledger.flush().unwrap();
    }
    record(&dying, 12);
    // Its directory as a kill would leave it: 12 events, or some of them, are in the journal alone.
    let left = root.path().join(dying.id().to_string());
    copy(dying.path().unwrap(), &left);
    let log = left.join("log/00000001.ndjson");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, [&whole[..], b"{\"schema_version\":1,\"kind\":\"ev"].concat()).unwrap();
    let set = LedgerSet::of(&replicas[0]);
    let mut activity = Folded::in_memory(&prod(&set, "acme"), Activity).unwrap();
    let seen = activity.snapshot().events;
    assert!((90..=102).contains(&seen), "{seen}");
    assert!(activity.last_refresh().unread.is_empty());
    // The next process of the root completes what was left.
    let next = open(root.path());
    assert_eq!(next.id(), dying.id());
    record(&next, 1);
    next.flush().unwrap();
    activity.refresh();
    assert!(activity.last_refresh().unread.is_empty(), "{:?}", activity.last_refresh());
    assert_eq!(activity.snapshot().events, 103);
    let rebuilt = Folded::in_memory(&prod(&of_root(root.path()), "acme"), Activity).unwrap();
    assert_eq!(text(&activity), text(&rebuilt));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn the_scope_of_the_system_is_for_the_operator() {
    let root = tempfile::tempdir().unwrap();
    let mut ledger = MadeLedger::new(root.path(), 1);
    ledger.write(&Made::ok(&Scope::system(), "ledger.opened"));
    let set = of_root(root.path());
    let system = Scope::system();
    let refused = Folded::in_memory(&set.scope(system.tenant_id(), system.env()), Activity);
    assert!(matches!(refused, Err(crate::query::ReadError::OperatorOnly)));
    let folded = Folded::in_memory(&set.unrecorded_operator().system(), Activity).unwrap();
    assert_eq!(folded.snapshot().events, 1);
}
