use std::fs;
use std::path::{Path, PathBuf};

use super::restored::tests::{Made, contents};
use super::*;
use crate::ids::{Env, Scope, TenantId};
use crate::ledger::Ledger;
use crate::ledger_set::{LedgerSet, LedgerStatus};
use crate::log::checkpoint::Checkpoint;
use crate::log::verify::{VerifyOptions, verify};
use crate::query::synthetic::Random;
use crate::read_models::{Activity, Folded, SnapshotStore, Start};
use crate::sinks::replica::{ReplicaSettings, ReplicaSink};
use crate::sinks::{Entry, MemoryState, Sink, SinkStart};

/// The entries of a ledger in the order in which they are forwarded.
fn entries(made: &Made) -> Vec<Entry> {
    // By the place that an entry needs to be there first: lines by their end, tables and checkpoints by theirs.
    let mut entries = Vec::new();
    for piece in made.pieces(&mut Random::new()) {
        match piece {
            SourcePiece::Identity(bytes) => {
                entries.push((LogPosition::START, 0, Entry::identity(made.ledger_id, bytes)));
            }
            SourcePiece::HeadTable { position, bytes } => {
                entries.push((position, 2, Entry::head_table(made.ledger_id, position, bytes)));
            }
            SourcePiece::Checkpoint { number, line } => {
                let position = Checkpoint::from_line(&line).unwrap().position;
                entries.push((position, 3, Entry::checkpoint(made.ledger_id, number, position, line)));
            }
            SourcePiece::Log { .. } | SourcePiece::Cut { .. } => {}
        }
    }
    for (position, line) in (1..=made.segments()).flat_map(|segment| made.lines(segment)) {
        let end = LogPosition { offset: position.offset + line.len() as u64, ..position };
        let entry = Entry::line(position, line[..line.len() - 1].to_vec()).unwrap();
        entries.push((end, 1, entry));
    }
    entries.sort_by_key(|(position, order, _)| (*position, *order));
    entries.into_iter().map(|(_, _, entry)| entry).collect()
}

fn opened(made: &Made, directory: &Path) -> ReplicaSink {
    let mut sink = ReplicaSink::new(ReplicaSettings::directory(directory));
    sink.open(&SinkStart::new(made.ledger_id, &mut MemoryState::default())).unwrap();
    sink
}

fn filled(made: &Made, directory: &Path) -> ReplicaSource {
    let entries = entries(made);
    let mut sink = opened(made, directory);
    for batch in entries.chunks(150) {
        sink.append(batch).unwrap();
    }
    ReplicaSource::new(ReplicaSettings::directory(directory))
}

fn objects(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Read at any moment, a replica gives a ledger that verifies: no checkpoint without what it covers.
#[test]
fn what_was_stored_so_far_always_verifies_and_in_the_end_it_is_the_ledger() {
    let made = Made::new();
    let mut random = Random::new();
    let (target, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = entries(&made);
    let mut sink = opened(&made, target.path());
    let restored = Restored::new(cache.path(), ReplicaSource::new(ReplicaSettings::directory(target.path())));
    let mut at = 0;
    while at < all.len() {
        let end = (at + 1 + random.below(300) as usize).min(all.len());
        sink.append(&all[at..end]).unwrap();
        at = end;
        if random.is_one_in(3) {
            at -= random.below(at.min(100) as u64 + 1) as usize;
            sink = opened(&made, target.path());
        }
        let ledger = restored.refresh_ledger(made.ledger_id).unwrap();
        assert_eq!((ledger.gap, ledger.missing_checkpoint), (None, None));
        if random.is_one_in(3) {
            let report = verify(restored.path(made.ledger_id), &VerifyOptions::new()).unwrap();
            assert!(report.verified, "{:?}", report.findings);
        }
    }
    assert_eq!(contents(&restored.path(made.ledger_id)), contents(&made.path()));
    let source = ReplicaSource::new(ReplicaSettings::directory(target.path()));
    assert_eq!(source.ledgers().unwrap(), [made.ledger_id]);
    let verified = verify_source(&source, made.ledger_id, &VerifyOptions::new()).unwrap();
    let at_home = verify(made.path(), &VerifyOptions::new()).unwrap();
    assert!(verified.is_verified() && at_home.events > 2_000, "{verified:?}");
    assert_eq!(serde_json::to_value(verified.report).unwrap(), serde_json::to_value(at_home).unwrap());
    let scope = Scope::from_stored("globex", "prod").unwrap();
    let query = SourceQuery { limit: 1_000, ..SourceQuery::default() };
    assert_eq!(source.events(&scope, &query).unwrap().events.len(), 1_000);
}

/// Whichever object is changed, cut, taken away or put elsewhere: it shows.
#[test]
fn tampering_with_any_object_shows() {
    let made = Made::of(60, 64 << 10);
    assert!(made.segments() > 1);
    let target = tempfile::tempdir().unwrap();
    let source = filled(&made, target.path());
    // What somebody noted elsewhere: without it nobody can tell that the newest checkpoints were taken away.
    let newest = verify(made.path(), &VerifyOptions::new()).unwrap().protected.unwrap().checkpoint;
    let options = VerifyOptions::new().expect_checkpoint(newest);
    let is_honest = || {
        let verified = verify_source(&source, made.ledger_id, &options);
        verified.is_ok_and(|verified| verified.is_verified())
    };
    assert!(is_honest());
    let all = objects(target.path());
    for path in &all {
        let honest = fs::read(path).unwrap();
        let text = path.strip_prefix(target.path()).unwrap().display();
        for at in [0, honest.len() / 2, honest.len() - 2] {
            let mut altered = honest.clone();
            altered[at] ^= 2;
            fs::write(path, altered).unwrap();
            assert!(!is_honest(), "{text} with byte {at} altered");
        }
        fs::write(path, &honest[..honest.len() / 2]).unwrap();
        assert!(!is_honest(), "{text} cut");
        fs::remove_file(path).unwrap();
        let is_newest_table = text.to_string().contains("/heads/");
        // A head table that is gone costs time when a ledger is opened, and proves nothing.
        assert!(is_newest_table || !is_honest(), "{text} removed");
        fs::write(path, &honest).unwrap();
    }
    assert!(is_honest());
    // One object under the name of another.
    let logs: Vec<_> = all.iter().filter(|path| path.to_str().unwrap().contains("/log/")).collect();
    let (first, second) = (fs::read(logs[0]).unwrap(), fs::read(logs[1]).unwrap());
    fs::write(logs[0], &second).unwrap();
    fs::write(logs[1], &first).unwrap();
    assert!(!is_honest());
}

#[test]
fn objects_that_overlap_must_agree_and_others_are_left_alone() {
    let made = Made::new();
    let target = tempfile::tempdir().unwrap();
    let source = filled(&made, target.path());
    let all = objects(target.path());
    let log = all.iter().find(|path| path.to_str().unwrap().contains("/log/00000001/")).unwrap();
    let bytes = fs::read(log).unwrap();
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let name = |from: usize, to: usize| log.with_file_name(format!("{from:020}-{to:020}.ndjson"));
    fs::write(name(ends[2], ends[9]), &bytes[ends[2]..ends[9]]).unwrap();
    fs::write(log.with_file_name("readme"), "not of the sink").unwrap();
    let verified = verify_source(&source, made.ledger_id, &VerifyOptions::new()).unwrap();
    assert!(verified.is_verified());
    let mut other = bytes[ends[2]..ends[9]].to_vec();
    other[40] ^= 1;
    fs::write(name(ends[2], ends[9]), other).unwrap();
    let error = verify_source(&source, made.ledger_id, &VerifyOptions::new()).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("another object holds other bytes"), "{error}");
}

#[test]
fn a_source_that_is_away_says_so() {
    let target = tempfile::tempdir().unwrap();
    let source = ReplicaSource::new(ReplicaSettings::directory(target.path().join("gone")));
    let error = source.ledgers().unwrap_err();
    assert!(
        matches!(&error, SourceError::Unavailable { attempted, .. } if attempted.contains("gone")),
        "{error:?}"
    );
    fs::create_dir(target.path().join("gone")).unwrap();
    assert_eq!(source.ledgers().unwrap(), []);
}

/// A set over a root and a replica counts each ledger once, whatever lies where, and folds go on over it.
#[test]
fn a_set_reads_each_ledger_once_from_where_it_is_whole() {
    let made = Made::of(60, 64 << 10);
    let (target, cache, root) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
    let ctx = own.context("acme", "prod").build().unwrap();
    for _ in 0..7 {
        ctx.event("chat.send").record().unwrap();
    }
    own.flush().unwrap();
    drop(filled(&made, target.path()));
    let home = made.path();
    let source = ReplicaSource::new(ReplicaSettings::directory(target.path()));
    let restored = Restored::new(cache.path(), source).refresh_every(std::time::Duration::ZERO);
    let set = LedgerSet::options().ledger(&own).root(root.path()).root(home.parent().unwrap());
    let set = set.restored(&restored).open();
    let acme = set.scope(&TenantId::from_static("acme"), &Env::from_static("prod"));
    let snapshots = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    let mut folded = Folded::open(&acme, Activity, &store).unwrap();
    let expected = serde_json::to_value(folded.state()).unwrap();
    let status = || {
        let ledgers = set.ledgers().into_iter().filter(|ledger| ledger.ledger_id == Some(made.ledger_id));
        ledgers.map(|ledger| ledger.status).collect::<Vec<_>>()
    };
    let mut assert_all = |what: &str| {
        let count = acme.events().count().unwrap();
        assert_eq!((count.events, count.unread), (90 + 7, vec![]), "{what}");
        let refreshed = folded.refresh();
        assert!(refreshed.unread.is_empty() && refreshed.new_events == 0, "{what}: {refreshed:?}");
        assert_eq!(folded.start(), &Start::Zero, "{what}: the cursors are found again");
        assert_eq!(serde_json::to_value(folded.state()).unwrap(), expected, "{what}");
        let zero = Folded::in_memory(&acme, Activity).unwrap();
        assert_eq!(serde_json::to_value(zero.state()).unwrap(), expected, "{what}");
        let verified = set.verify();
        assert!(
            verified.len() == 2 && verified.iter().all(|ledger| ledger.is_verified()),
            "{what}: {verified:?}"
        );
    };
    assert_all("at home");
    assert_eq!(status(), [LedgerStatus::Closed]);
    assert!(!restored.path(made.ledger_id).exists(), "what is at home is not restored");
    // The home loses the end of its log: the replica's is longer.
    let path = |segment| home.join(crate::log::segment_name(segment));
    let has_lines = |segment: &u32| fs::metadata(path(*segment)).unwrap().len() > 0;
    let last = (1..=made.segments()).rev().find(has_lines).unwrap();
    for empty in last + 1..=made.segments() {
        fs::remove_file(path(empty)).unwrap();
    }
    let newest = path(last);
    let bytes = fs::read(&newest).unwrap();
    let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&newest, &bytes[..end]).unwrap();
    assert_all("cut at home");
    assert_eq!(status(), [LedgerStatus::Restored, LedgerStatus::Duplicate]);
    fs::rename(&home, home.with_extension("gone")).unwrap();
    assert_all("gone");
    assert_eq!(status(), [LedgerStatus::Restored]);
    // The replica is away: what was restored is read, and each answer says so.
    fs::rename(target.path(), target.path().with_extension("away")).unwrap();
    let count = acme.events().count().unwrap();
    assert_eq!(count.events, 90 + 7);
    let [unread] = &count.unread[..] else { panic!("one source is away: {:?}", count.unread) };
    assert!(unread.reason.contains("list the ledgers of the replica"), "{unread}");
    fs::rename(target.path().with_extension("away"), target.path()).unwrap();
    // It is there, and does not hold the ledger any more.
    fs::rename(target.path().join(made.ledger_id.to_string()), target.path().join("away")).unwrap();
    let count = acme.events().count().unwrap();
    assert_eq!(count.events, 90 + 7);
    let [unread] = &count.unread[..] else { panic!("one ledger is away: {:?}", count.unread) };
    assert!(unread.ledger_id == Some(made.ledger_id) && unread.reason.contains("any more"), "{unread}");
    own.close().unwrap();
}

/// A ledger whose replica lacks a part is read up to there, and named as partial in every answer.
#[test]
fn a_gap_in_a_replica_is_named_by_the_set() {
    let made = Made::of(60, 64 << 10);
    let (target, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = filled(&made, target.path());
    let logs: Vec<_> =
        objects(target.path()).into_iter().filter(|path| path.to_str().unwrap().contains("/log/")).collect();
    fs::remove_file(&logs[1]).unwrap();
    let restored = Restored::new(cache.path(), source);
    let set = LedgerSet::options().restored(&restored).open();
    let acme = set.scope(&TenantId::from_static("acme"), &Env::from_static("prod"));
    let count = acme.events().count().unwrap();
    assert!(count.events > 0 && count.events < 90, "{count:?}");
    let [unread] = &count.unread[..] else { panic!("one gap: {:?}", count.unread) };
    assert!(
        unread.ledger_id == Some(made.ledger_id) && unread.reason.contains("the source lacks"),
        "{unread}"
    );
    let first = acme.event(made.ledger_id, 1).unwrap().expect("what is there can be looked up");
    assert_eq!(first.event.seq, 1);
    let verified = set.verify();
    assert!(verified.len() == 1 && !verified[0].is_verified(), "{verified:?}");
}
