//! Segments are dropped as they may be, and a death at any change or sync leaves the old log or the new one.

mod bounds;
mod copies;
mod models;
mod readers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Kept, Required, Retained};
use crate::clock::Clock;
use crate::event::DatasetEvent;
use crate::id_source::IdSource;
use crate::ids::LedgerId;
use crate::ledger::{Fixed, Ledger, LedgerOptions, Memory, OpenError};
use crate::log::LogPosition;
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::cut::{CUTS_NAME, CutFile};
use crate::log::signer::Ed25519Signer;
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::storage_faults::FaultyStorage;
use crate::log::verify::{VerifyOptions, VerifyReport, verify_storage};
use crate::log::{head_table_name, segment_name};

const LEDGER: LedgerId = LedgerId::from_uuid(uuid::Uuid::from_u128(0x88));
/// An hour after the clock of the tests begins, in microseconds.
const LATER: i64 = 3_600_000_000;

fn options(storage: Arc<dyn Storage>, seed: u64) -> LedgerOptions {
    let mut options = Ledger::options()
        .service("test", "0")
        .instance("i")
        .signer(Ed25519Signer::fixed_for_tests())
        .journal_bytes(1 << 20)
        .segment_bytes(64 * 1024)
        .keep_for(Duration::from_secs(60))
        .drop_without_copy(true);
    options.memory = Some(Memory(storage));
    options.fixed = Some(Fixed {
        ledger_id: LEDGER,
        clock: Clock::Stepped { start_ns: seed * 1_000_000_000, step_ns: 1_000, now: AtomicU64::new(0) },
        id_source: IdSource::Stepped { seed, next: AtomicU64::new(0) },
        secret: [1; 32],
    });
    options
}

/// The same in a directory.
fn on_disk(root: &Path, seed: u64) -> LedgerOptions {
    let mut options = options(Arc::new(MemoryStorage::default()), seed).root(root);
    options.memory = None;
    options
}

fn open(storage: Arc<dyn Storage>, seed: u64) -> Result<Ledger, OpenError> {
    options(storage, seed).open()
}

/// Events of two tenants, in turn, of about 4 KiB each; a segment takes some fifteen.
fn write(ledger: &Ledger, events: usize) {
    let contexts = ["acme", "globex"].map(|tenant| ledger.context(tenant, "prod").build().expect("valid"));
    let text = "x".repeat(4_000);
    for at in 0..events {
        contexts[at % 2].event("probe.write").input("text", &text).record().expect("recorded");
        ledger.flush().expect("flush");
    }
}

fn verified(storage: &dyn Storage) -> VerifyReport {
    let report = verify_storage(storage, &VerifyOptions::new()).expect("a ledger");
    assert!(report.is_verified(), "{report}");
    report
}

fn segments(storage: &dyn Storage) -> Vec<u32> {
    let names = storage.list("log").expect("list");
    names.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse().ok()).collect()
}

fn retain(ledger: &Ledger, now: i64) -> Retained {
    ledger.owner.retention.run_at(now).expect("a pass")
}

/// The cuts that events of the log tell of, without a look at the index.
fn told_of(ledger: &Ledger) -> Vec<u64> {
    ledger.flush().expect("flush");
    told_in(&*ledger.owner.storage)
}

fn told_in(storage: &dyn Storage) -> Vec<u64> {
    let mut told = Vec::new();
    for segment in segments(storage) {
        let bytes = storage.read(&segment_name(segment)).expect("read").expect("there");
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line).expect("text");
            if line.contains("\"surface\":\"ledger.cut\"") {
                let event = DatasetEvent::from_line(line).expect("an event");
                let input = event.input.as_ref().expect("an input").get();
                let input: serde_json::Value = serde_json::from_str(input).expect("json");
                told.push(input["cut"].as_u64().expect("a number"));
            }
        }
    }
    told
}

#[test]
fn segments_older_than_keep_for_are_dropped_under_a_cut_that_an_event_tells_of() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    write(&ledger, 50);
    let before = verified(&storage);
    let all = segments(&storage);
    assert!(all.len() >= 4, "{all:?}");

    let young = retain(&ledger, 2_000_000);
    assert_eq!(young, Retained { cut: None, kept: Kept::Young { segment: 1 } });
    assert_eq!(segments(&storage), all);

    let done = retain(&ledger, LATER);
    let cut = done.cut.expect("a cut");
    assert_eq!(done.kept, Kept::Newest);
    assert_eq!(segments(&storage), [*all.last().unwrap()]);
    assert_eq!((cut.number, cut.segments.len(), cut.held_by.len()), (1, all.len() - 1, 0));
    assert_eq!(told_of(&ledger), [1]);
    let after = verified(&storage);
    let begins = after.cut.as_ref().expect("it begins at a cut");
    assert_eq!((begins.number, begins.dropped_events), (1, cut.events));
    assert_eq!(after.events + cut.events, before.events + 1, "the event of the cut");
    assert_eq!(retain(&ledger, LATER).cut, None);

    write(&ledger, 40);
    let cut = retain(&ledger, LATER).cut.expect("another cut");
    assert_eq!(cut.number, 2);
    assert_eq!(told_of(&ledger), [2], "the event of the first cut was dropped with its segment");
    assert!(verified(&storage).is_verified());
    ledger.close().expect("close");
    let ledger = open(Arc::new(storage.clone()), 2).expect("open again");
    write(&ledger, 3);
    assert_eq!(told_of(&ledger), [2], "nothing is told twice");
    ledger.close().expect("close");
    verified(&storage);
}

#[test]
fn nothing_is_dropped_without_a_copy_unless_that_is_accepted() {
    let storage = MemoryStorage::default();
    let ledger = options(Arc::new(storage.clone()), 1).drop_without_copy(false).open().expect("open");
    write(&ledger, 50);
    let all = segments(&storage);
    assert_eq!(retain(&ledger, LATER).kept, Kept::NoRequiredSink);
    let sinks = vec!["replica".to_owned()];
    let have = |ledger: &Ledger, position| {
        let required = Required { position, sinks: vec!["replica".to_owned()] };
        ledger.owner.retention.set_required(Box::new(move || Some(required.clone())));
    };
    let len = storage.open(&segment_name(2), false).expect("open").len().expect("length");
    have(&ledger, LogPosition { segment: 2, offset: len - 1 });
    let done = retain(&ledger, LATER);
    assert_eq!(done.cut.expect("a cut").held_by, sinks);
    assert_eq!(done.kept, Kept::NotCopied { segment: 2, sinks: sinks.clone() });
    assert_eq!(segments(&storage), all[1..]);
    have(&ledger, LogPosition { segment: 2, offset: len });
    assert_eq!(retain(&ledger, LATER).cut.expect("a cut").position.segment, 3);
    verified(&storage);
}

#[test]
fn without_keep_for_everything_is_kept() {
    let mut options = options(Arc::new(MemoryStorage::default()), 1);
    options.retention.keep_for = None;
    let ledger = options.open().expect("open");
    write(&ledger, 40);
    assert_eq!(retain(&ledger, LATER), Retained { cut: None, kept: Kept::Everything });
}

#[test]
fn what_was_tampered_with_is_not_dropped() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    write(&ledger, 50);
    let name = segment_name(2);
    let mut bytes = storage.read(&name).expect("read").expect("there");
    let at = memchr::memmem::find(&bytes, b"xxx").expect("the text");
    bytes[at] = b'y';
    storage.replace(&name, &bytes).expect("write");
    let all = segments(&storage);
    let done = retain(&ledger, LATER);
    assert!(
        matches!(&done.kept, Kept::NotVerified { finding } if finding.contains("altered_line")),
        "{done:?}"
    );
    assert_eq!((done.cut, segments(&storage)), (None, all));
    assert!(storage.read(CUTS_NAME).expect("read").is_none());
}

#[test]
fn an_open_attempt_keeps_its_segment() {
    use crate::draft::{CallState, End, Operation, ScopeSource};
    use crate::surface::{Access, Guarantee};

    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    let ctx = ledger.context("acme", "prod").build().expect("valid");
    let (access, guarantee) = (Access::Write, Guarantee::Durable);
    let operation = Operation { surface: "probe.long", access, guarantee, site: None };
    let mut state = CallState::begin(&ScopeSource::Context(&ctx), operation, None).expect("not off");
    state.admit_blocking().expect("admitted");
    write(&ledger, 50);
    let done = retain(&ledger, LATER);
    assert!(matches!(done.kept, Kept::OpenAttempt { segment: 1, .. }), "{done:?}");
    assert_eq!(done.cut, None);
    state.finish_blocking(&End {
        outcome: crate::event::Outcome::Ok,
        code: None,
        message: None,
        items: None,
    });
    // The next head table no longer lists it.
    write(&ledger, 20);
    assert!(retain(&ledger, LATER).cut.is_some());
    ledger.close().expect("close");
    open(Arc::new(storage.clone()), 2).expect("open again").close().expect("close");
    verified(&storage);
}

#[test]
fn a_log_without_its_start_and_without_a_cut_is_not_opened() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    write(&ledger, 50);
    retain(&ledger, LATER).cut.expect("a cut");
    let begin = segments(&storage)[0];
    ledger.close().expect("close");
    let cuts = storage.read(CUTS_NAME).expect("read").expect("there");
    storage.remove(CUTS_NAME).expect("remove");
    let error = open(Arc::new(storage.clone()), 2).expect_err("no cut");
    assert!(matches!(error, OpenError::Corrupt { position: LogPosition { segment: 1, .. }, .. }), "{error}");
    for (from, to) in [("\"number\":1", "\"number\":7"), ("\"kind\":\"cut\"", "\"kind\":\"but\"")] {
        let text = String::from_utf8(cuts.clone()).expect("text").replace(from, to);
        storage.replace(CUTS_NAME, text.as_bytes()).expect("write");
        let error = open(Arc::new(storage.clone()), 2).expect_err("a forged cut");
        assert_eq!(error.code(), "ledger.cut", "{error}");
    }
    storage.replace(CUTS_NAME, &cuts).expect("write");
    let table = head_table_name(begin - 1);
    let bytes = storage.read(&table).expect("read").expect("there");
    storage.remove(&table).expect("remove");
    assert_eq!(open(Arc::new(storage.clone()), 2).expect_err("no heads").code(), "ledger.cut");
    storage.replace(&table, &bytes).expect("write");
    open(Arc::new(storage.clone()), 2).expect("whole again").close().expect("close");
    verified(&storage);
}

#[test]
fn a_loss_behind_a_cut_is_accepted_and_the_log_is_cut_again_behind_it() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    write(&ledger, 50);
    retain(&ledger, LATER).cut.expect("a cut");
    write(&ledger, 5);
    ledger.close().expect("close");
    let newest = *segments(&storage).last().expect("a segment");
    let file = storage.open(&segment_name(newest), false).expect("open");
    file.set_len(file.len().expect("length") - 5_000).expect("cut");
    storage.remove(&head_table_name(newest)).expect("remove");
    let error = open(Arc::new(storage.clone()), 2).expect_err("the log is short");
    assert_eq!(error.code(), "ledger.log_shorter_than_checkpoint");
    let ledger = options(Arc::new(storage.clone()), 2).accept_loss(true).open().expect("accepted");
    assert_eq!(verified(&storage).accepted_losses.len(), 1);
    write(&ledger, 60);
    let cut = retain(&ledger, LATER).cut.expect("a cut");
    assert!(cut.position.segment > newest + 1, "it lies behind what the loss made one range: {cut:?}");
    verified(&storage);
    let text = storage.read(CHECKPOINTS_NAME).expect("read").expect("there");
    assert!(memchr::memmem::find(&text, b"accepted_loss").is_some());
    ledger.close().expect("close");
    open(Arc::new(storage.clone()), 3).expect("open again").close().expect("close");
    verified(&storage);
}

/// Runs, drops, runs and drops again; the disk may fail at any point. Returns whether each cut was reported.
fn run(storage: &FaultyStorage) -> u64 {
    let Ok(ledger) = open(Arc::new(storage.clone()), 1) else { return 0 };
    let mut reported = 0;
    for _ in 0..2 {
        let ctx = ledger.context("acme", "prod").build().expect("valid");
        let text = "x".repeat(4_000);
        for _ in 0..20 {
            let _ = ctx.event("probe.write").input("text", &text).record();
            let _ = ledger.flush();
        }
        if let Ok(Retained { cut: Some(cut), .. }) = ledger.owner.retention.run_at(LATER) {
            reported = cut.number;
        }
    }
    let _ = ledger.close();
    reported
}

#[test]
fn a_death_at_any_point_leaves_the_old_log_or_the_new_one() {
    let whole = FaultyStorage::default();
    assert_eq!(run(&whole), 2);
    let operations = whole.operations();
    let mut seen = std::collections::BTreeMap::new();
    for fail_at in 1..=operations {
        let storage = FaultyStorage::failing_at(fail_at);
        let reported = run(&storage);
        for (what, left) in [("power", storage.after_power_cut()), ("process", storage.after_process_death())]
        {
            let at = format!("{what} lost at operation {fail_at} of {operations}");
            if left.list("log").expect("list").is_empty() {
                continue;
            }
            let ledger = open(Arc::new(left.clone()), 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            let cuts = CutFile::read(&left).expect("read").lines.len() as u64;
            assert!(cuts >= reported, "{at}: a reported cut is lost");
            let told = told_of(&ledger);
            assert_eq!(told.last().copied().unwrap_or(0), cuts, "{at}: told of {told:?}");
            assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{at}: told of {told:?}");
            *seen.entry((reported, cuts)).or_insert(0) += 1;
            write(&ledger, 2);
            ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
            let report = verify_storage(&left, &VerifyOptions::new()).expect("a ledger");
            assert!(report.is_verified(), "{at}: {report}");
            let begin = report.cut.map_or(1, |cut| cut.position.segment);
            assert_eq!(segments(&left)[0], begin, "{at}: what was dropped is removed");
        }
    }
    assert!(seen.len() >= 4, "deaths before, between and after the cuts: {seen:?}");
}

#[test]
fn a_death_at_any_point_of_the_opening_that_finishes_a_cut_is_finished_by_the_next() {
    // The disk goes after the cut is written and before its event is durable.
    let whole = FaultyStorage::default();
    run(&whole);
    let is_untold = |storage: &MemoryStorage| {
        CutFile::read(storage).expect("read").lines.len() == 1 && super::told(storage).expect("read") == 0
    };
    let found = (1..whole.operations()).find_map(|fail_at| {
        let storage = FaultyStorage::failing_at(fail_at);
        run(&storage);
        Some(storage.after_power_cut()).filter(is_untold)
    });
    let left = found.expect("some death is between a cut and its event");
    let copy = || {
        let storage = FaultyStorage::default();
        for folder in ["log", "quarantine"] {
            for name in left.list(folder).expect("list") {
                let name = format!("{folder}/{name}");
                storage.put(&name, left.read(&name).expect("read").expect("there"));
            }
        }
        for name in ["ledger.json", CHECKPOINTS_NAME, CUTS_NAME] {
            storage.put(name, left.read(name).expect("read").expect("there"));
        }
        storage
    };
    let done = copy();
    drop(open(Arc::new(done.clone()), 2).expect("open"));
    for fail_at in 1..=done.operations() {
        let second = copy();
        second.fail_from(fail_at);
        drop(open(Arc::new(second.clone()), 2));
        for (what, left) in [("power", second.after_power_cut()), ("process", second.after_process_death())] {
            let at = format!("{what} lost at operation {fail_at} of the opening");
            let ledger = open(Arc::new(left.clone()), 3).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(told_of(&ledger), [1], "{at}");
            ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
            let report = verify_storage(&left, &VerifyOptions::new()).expect("a ledger");
            assert!(report.is_verified(), "{at}: {report}");
        }
    }
}

#[test]
fn a_pass_beside_writers_drops_nothing_that_is_not_whole() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            write(&ledger, 150);
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            retain(&ledger, LATER);
            let report = verify_storage(&storage, &VerifyOptions::new()).expect("a ledger");
            assert!(report.is_verified(), "{report}");
        }
    });
    let report = verified(&storage);
    let dropped = report.cut.expect("cuts were made").dropped_events;
    assert!(!told_of(&ledger).is_empty());
    assert_eq!(report.events + dropped, 150 + 1 + told_of(&ledger).last().copied().expect("told"));
}
