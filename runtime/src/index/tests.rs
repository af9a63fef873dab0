//! The index is disposable: whatever happens to it, it comes back from the log.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::event::Outcome;
use crate::ids::Scope;
use crate::log::storage::{DiskStorage, MemoryStorage, StorageFile};
use crate::query::synthetic::{Random, SyntheticLog};

fn on_disk() -> (tempfile::TempDir, SyntheticLog) {
    let directory = tempfile::tempdir().unwrap();
    let storage = DiskStorage::new(directory.path().to_owned());
    let log = SyntheticLog::new(Arc::new(storage));
    (directory, log)
}

fn open(log: &SyntheticLog) -> (Index, Option<Rebuilt>) {
    Index::open(&log.storage, log.ledger_id).unwrap()
}

/// Every row and link, by which two indexes are compared.
fn contents(index: &Index) -> Vec<(Scope, u64, Row, bool)> {
    let snapshot = index.snapshot().unwrap();
    let mut contents = Vec::new();
    for (number, scope) in snapshot.scopes().unwrap() {
        let seqs = snapshot.seqs(number).unwrap().unwrap();
        for entry in snapshot.rows(number, &seqs, false).unwrap() {
            let (seq, row) = entry.unwrap();
            let trace = Link::Trace(&format!("{:032x}", 1)).hash();
            let is_linked = snapshot.links.linked(trace, number, &(seq..=seq), false).unwrap().count() == 1;
            contents.push((scope.clone(), seq, row, is_linked));
        }
    }
    contents
}

fn rebuilt_elsewhere(log: &SyntheticLog) -> Vec<(Scope, u64, Row, bool)> {
    let copy = MemoryStorage::default();
    for segment in 1..=log.end.segment {
        let bytes = log.storage.read(&segment_name(segment)).unwrap().unwrap_or_default();
        copy.open(&segment_name(segment), true).unwrap().write_all_at(0, &bytes).unwrap();
    }
    let copy: Arc<dyn Storage> = Arc::new(copy);
    let index = Index::open(&copy, log.ledger_id).unwrap().0;
    index.catch_up(&copy, log.end).unwrap();
    contents(&index)
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

#[test]
fn a_restart_goes_on_at_the_cursor() {
    let mut random = Random::new();
    let (_directory, mut log) = on_disk();
    log.append_random(&mut random, 500);
    let (index, rebuilt) = open(&log);
    assert_eq!(rebuilt, Some(Rebuilt::Missing));
    index.catch_up(&log.storage, log.end).unwrap();
    let cursor = index.cursor();
    index.persist().unwrap();
    drop(index);
    log.append_random(&mut random, 500);
    let (index, rebuilt) = open(&log);
    assert_eq!((rebuilt, index.cursor()), (None, cursor));
    index.catch_up(&log.storage, log.end).unwrap();
    assert_eq!(contents(&index), rebuilt_elsewhere(&log));
}

#[test]
fn what_was_not_persisted_is_read_again() {
    let mut random = Random::new();
    let (directory, mut log) = on_disk();
    log.append_random(&mut random, 300);
    let (index, _) = open(&log);
    index.catch_up(&log.storage, log.end).unwrap();
    index.persist().unwrap();
    log.append_random(&mut random, 300);
    index.catch_up(&log.storage, log.end).unwrap();
    // What a killed process leaves: the file as it is now, with the last commits in memory alone.
    let left = std::fs::read(directory.path().join(INDEX_NAME)).unwrap();
    drop(index);
    std::fs::write(directory.path().join(INDEX_NAME), left).unwrap();
    let (index, rebuilt) = open(&log);
    assert_eq!(rebuilt, None);
    assert!(index.cursor() < log.end);
    index.catch_up(&log.storage, log.end).unwrap();
    assert_eq!(contents(&index), rebuilt_elsewhere(&log));
}

/// Changes the file of a closed index, opens it again and expects the answers of a fresh one.
fn survives(change: impl Fn(&Path, &mut SyntheticLog), must_say: &str) {
    let mut random = Random::new();
    let (directory, mut log) = on_disk();
    log.append_random(&mut random, 400);
    let (index, _) = open(&log);
    index.catch_up(&log.storage, log.end).unwrap();
    index.persist().unwrap();
    drop(index);
    change(&directory.path().join(INDEX_NAME), &mut log);
    let (index, rebuilt) = open(&log);
    let Some(Rebuilt::Replaced(reason)) = rebuilt else { panic!("{must_say}: not rebuilt") };
    assert!(reason.contains(must_say), "{reason}");
    index.catch_up(&log.storage, log.end).unwrap();
    assert_eq!(contents(&index), rebuilt_elsewhere(&log));
}

#[test]
fn a_file_that_is_no_index_is_replaced() {
    survives(|path, _| std::fs::write(path, b"not an index").unwrap(), "index.redb");
}

#[test]
fn a_damaged_file_is_replaced() {
    survives(
        |path, _| {
            let mut bytes = std::fs::read(path).unwrap();
            let middle = bytes.len() / 3;
            bytes[middle..middle + 65_536].fill(0xa5);
            std::fs::write(path, bytes).unwrap();
        },
        "index.redb",
    );
}

#[test]
fn the_index_of_another_ledger_is_replaced() {
    survives(
        |path, log| {
            let other = crate::ids::LedgerId::from_uuid(uuid::Uuid::from_u128(9));
            std::fs::remove_file(path).unwrap();
            drop(Index::open(&log.storage, other).unwrap());
        },
        "belongs to ledger",
    );
}

#[test]
fn an_index_of_another_format_is_replaced() {
    survives(
        |path, _| {
            let database = Database::open(path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(META).unwrap().insert(META_KEY, &b"later"[..]).unwrap();
            transaction.commit().unwrap();
        },
        "another format",
    );
}

#[test]
fn an_index_ahead_of_its_log_is_replaced() {
    survives(
        |_, log| {
            let lines = log.all_lines();
            let (cut, _) = lines[lines.len() - 3];
            log.storage.open(&segment_name(cut.segment), false).unwrap().set_len(cut.offset).unwrap();
            log.end = cut;
        },
        "the log does not reach",
    );
}

/// A log that was cut and has grown past the old end again: its length alone shows nothing.
#[test]
fn an_index_of_lines_that_were_replaced_is_replaced() {
    survives(
        |_, log| {
            let lines = log.all_lines();
            let (cut, _) = lines[lines.len() - 3];
            log.storage.open(&segment_name(cut.segment), false).unwrap().set_len(cut.offset).unwrap();
            log.end = cut;
            let scope = Scope::from_stored("acme", "prod").unwrap();
            for _ in 0..9 {
                let line = log.event(&scope, "chat.send", Outcome::Ok, None, None, "r", 1);
                log.append_line(&line);
            }
        },
        "holds another line",
    );
}

/// A flipped byte is found when the index is opened, or is harmless: never a wrong answer.
#[test]
fn no_flipped_byte_gives_a_wrong_answer() {
    let mut random = Random::new();
    let (directory, mut log) = on_disk();
    log.append_random(&mut random, 200);
    let (index, _) = open(&log);
    index.catch_up(&log.storage, log.end).unwrap();
    index.persist().unwrap();
    let expected = contents(&index);
    drop(index);
    let path = directory.path().join(INDEX_NAME);
    let good = std::fs::read(&path).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    for _ in 0..40 {
        let mut bytes = good.clone();
        let at = random.below(used as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(&path, &bytes).unwrap();
        let (index, _) = open(&log);
        index.catch_up(&log.storage, log.end).unwrap();
        assert_eq!(contents(&index), expected, "byte {at}");
    }
}

#[test]
fn attempts_stand_in_no_stream() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 400);
    let (index, _) = open(&log);
    index.catch_up(&log.storage, log.end).unwrap();
    let events = log.all_lines().iter().filter(|(_, line)| line.contains(r#""kind":"event""#)).count();
    let meta = index.snapshot().unwrap().meta;
    assert!(events < log.all_lines().len());
    assert_eq!((meta.events, meta.skipped_lines), (events as u64, 0));
}

#[test]
fn retired_segments_are_passed_over() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 200);
    log.rotate();
    let second = log.end;
    log.append_random(&mut random, 200);
    for segment in 1..second.segment {
        log.storage.remove(&segment_name(segment)).unwrap();
    }
    let (index, _) = open(&log);
    index.catch_up(&log.storage, log.end).unwrap();
    let contents = contents(&index);
    assert!(!contents.is_empty() && contents.iter().all(|(_, _, row, _)| row.position >= second));
}

/// Numbers that are missing in the log itself are no fault of the index, and no reason to build it again.
#[test]
fn a_log_with_a_gap_is_indexed_as_it_is() {
    let mut log = SyntheticLog::in_memory();
    let scope = Scope::from_stored("acme", "prod").unwrap();
    for number in 1..=9 {
        let line = log.event(&scope, "chat.send", Outcome::Ok, None, None, "r", 1);
        if ![3, 4, 8].contains(&number) {
            log.append_line(&line);
        }
    }
    let (index, _) = open(&log);
    let middle = log.all_lines()[2].0;
    index.catch_up(&log.storage, middle).unwrap();
    assert_eq!(index.snapshot().unwrap().meta.irregular_events, 0);
    index.catch_up(&log.storage, log.end).unwrap();
    assert_eq!(index.snapshot().unwrap().meta.irregular_events, 2);
    let seqs: Vec<u64> = contents(&index).iter().map(|(_, seq, ..)| *seq).collect();
    assert_eq!(seqs, [1, 2, 5, 6, 7, 9]);
    let source =
        crate::query::ReadSource::Indexed(Arc::new(IndexFollower::stopped(Arc::new(index), log.end)));
    let parts = crate::query::ReadParts { storage: log.storage.clone(), ledger_id: log.ledger_id, source };
    let reader = crate::ScopedReader::of_operator(parts, scope);
    assert_eq!(reader.events().count().unwrap(), 6);
    assert_eq!(reader.events().since(0).newest_first().page(3).unwrap().next, Some(6));
}

/// Storage whose segments cannot be read while a switch is set.
#[derive(Clone)]
struct Failing {
    inner: MemoryStorage,
    is_failing: Arc<AtomicBool>,
}

impl Storage for Failing {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        match self.is_failing.load(Ordering::SeqCst) && name.ends_with(".ndjson") {
            true => Err(io::Error::other("the disk is on fire")),
            false => self.inner.open(name, create),
        }
    }
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace(name, bytes)
    }
    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.inner.sync_folder(folder)
    }
    fn path(&self) -> Option<&Path> {
        None
    }
}

#[test]
fn a_follower_says_what_fails_and_recovers_by_itself() {
    let mut random = Random::new();
    let is_failing = Arc::new(AtomicBool::new(false));
    let storage = Failing { inner: MemoryStorage::default(), is_failing: is_failing.clone() };
    let mut log = SyntheticLog::new(Arc::new(storage));
    log.append_random(&mut random, 100);
    let follower = IndexFollower::start(log.storage.clone(), log.ledger_id, LogPosition::START);
    let half = log.end;
    is_failing.store(true, Ordering::SeqCst);
    follower.advance(half);
    let waited = follower.wait_for(half, soon());
    assert!(matches!(&waited, IndexWait::Failing(why) if why.contains("on fire")), "{waited:?}");
    assert!(!follower.health().is_ok);
    is_failing.store(false, Ordering::SeqCst);
    let reached = loop {
        match follower.wait_for(half, soon()) {
            IndexWait::Failing(_) => std::thread::yield_now(),
            other => break other,
        }
    };
    assert_eq!(reached, IndexWait::Reached);
    let health = follower.health();
    assert_eq!((health.is_ok, health.indexed, health.rebuilds), (true, half, 0), "{health:?}");
}

#[test]
fn a_follower_reaches_what_it_is_told_and_keeps_it_when_closed() {
    let mut random = Random::new();
    let (_directory, mut log) = on_disk();
    let follower = IndexFollower::start(log.storage.clone(), log.ledger_id, LogPosition::START);
    for _ in 0..20 {
        log.append_random(&mut random, 30);
        follower.advance(log.end);
    }
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    assert_eq!(follower.lag(), (log.end, log.end));
    follower.close();
    let (index, rebuilt) = open(&log);
    assert_eq!((rebuilt, index.cursor()), (None, log.end));
    assert_eq!(contents(&index), rebuilt_elsewhere(&log));
}

/// Rows become durable by themselves, also when the log never rests: a killed process finds them again.
#[test]
fn a_follower_persists_after_a_while() {
    let mut random = Random::new();
    let (directory, mut log) = on_disk();
    let storage = log.storage.clone();
    let follower = IndexFollower::start_with(storage, log.ledger_id, log.end, Duration::from_millis(1));
    log.append_random(&mut random, 50);
    let early = log.end;
    follower.advance(early);
    let deadline = Instant::now() + Duration::from_secs(60);
    let killed = tempfile::tempdir().unwrap();
    loop {
        assert!(Instant::now() < deadline, "nothing was made durable");
        log.append_random(&mut random, 1);
        follower.advance(log.end);
        assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
        let left = std::fs::read(directory.path().join(INDEX_NAME)).unwrap();
        std::fs::write(killed.path().join(INDEX_NAME), left).unwrap();
        // A copy of a file that is being written may be of two minds; then the next one is looked at.
        let found = guarded(|| {
            let mut builder = builder();
            builder.set_check_integrity_on_open(true);
            Ok(Snapshot::new(&builder.open(killed.path().join(INDEX_NAME))?)?.meta.cursor)
        });
        if found.is_ok_and(|cursor| cursor >= early) {
            break;
        }
    }
}

/// A damaged page that is met while reading: the index is given up, built again, and says why.
#[test]
fn a_distrusted_index_is_built_again() {
    let mut random = Random::new();
    let (_directory, mut log) = on_disk();
    log.append_random(&mut random, 200);
    let follower = IndexFollower::start(log.storage.clone(), log.ledger_id, log.end);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    follower.distrust("a row leads nowhere".into());
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let health = follower.health();
    assert_eq!((health.rebuilds, health.rebuild_reason.as_deref()), (1, Some("a row leads nowhere")));
    follower.close();
    assert_eq!(contents(&open(&log).0), rebuilt_elsewhere(&log));
}
