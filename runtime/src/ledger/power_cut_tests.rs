//! The disk fails, or the power goes, at every single change and sync of a run, and of the recovery
//! after it: whatever a `durable` call was told stays true.

mod full_disk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::options::{Fixed, Memory};
use super::{Health, Ledger, LedgerError, OpenError};
use crate::clock::Clock;
use crate::context::RequestContext;
use crate::draft::{CallState, End, Operation, ScopeSource};
use crate::event::{DatasetEvent, LineHash, Outcome};
use crate::id_source::IdSource;
use crate::ids::{EventId, LedgerId};
use crate::log::line::{LinePrefix, genesis, hash_line};
use crate::log::reader::LogReader;
use crate::log::signer::{Ed25519Signer, SignError, Signer};
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::storage_faults::FaultyStorage;
use crate::log::{LogPosition, segment_name};
use crate::surface::{Access, Guarantee};

const LEDGER: LedgerId = LedgerId::from_uuid(uuid::Uuid::from_u128(0x77));

fn open(storage: Arc<dyn Storage>, seed: u64) -> Result<Ledger, OpenError> {
    let mut options = Ledger::options()
        .service("test", "0")
        .instance("i")
        .signer(Ed25519Signer::fixed_for_tests())
        .journal_bytes(1 << 20)
        .segment_bytes(64 * 1024);
    options.memory = Some(Memory(storage));
    options.fixed = Some(Fixed {
        ledger_id: LEDGER,
        clock: Clock::Stepped { start_ns: seed * 1_000_000_000, step_ns: 1_000, now: AtomicU64::new(0) },
        id_source: IdSource::Stepped { seed, next: AtomicU64::new(0) },
        secret: [1; 32],
    });
    options.open()
}

/// What a caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// The body ran; the result may or may not be durable.
    Admitted,
    /// The call was refused and its body did not run.
    Refused,
}

fn durable_call(ctx: &RequestContext, told: &mut BTreeMap<EventId, Told>) {
    let operation = Operation {
        surface: "probe.durable",
        access: Access::Write,
        guarantee: Guarantee::Durable,
        site: None,
    };
    let mut state = CallState::begin(&ScopeSource::Context(ctx), operation, None).expect("not off");
    // Lines of about 2 KiB, so that segments end now and then.
    state.input.extend_from_slice(format!("{{\"text\":\"{}\"}}", "x".repeat(2_000)).as_bytes());
    let event_id = state.event_id;
    match state.admit_blocking() {
        Ok(()) => {
            told.insert(event_id, Told::Admitted);
            state.finish_blocking(&End { outcome: Outcome::Ok, code: None, message: None, items: None });
        }
        Err(_) => {
            told.insert(event_id, Told::Refused);
            let code = Some(("ledger.unavailable", true));
            state.finish(&End { outcome: Outcome::Error, code, message: None, items: None });
        }
    }
}

/// Runs calls of three scopes; returns what each was told.
fn run(ledger: &Ledger, calls: usize) -> BTreeMap<EventId, Told> {
    let contexts: Vec<_> = ["acme", "globex", "initech"]
        .map(|tenant| ledger.context(tenant, "prod").build().expect("valid"))
        .into_iter()
        .collect();
    let mut told = BTreeMap::new();
    for at in 0..calls {
        durable_call(&contexts[at % contexts.len()], &mut told);
    }
    told
}

/// Reads every line and checks sequences and chains; returns the outcome of each event.
fn read(storage: &MemoryStorage) -> BTreeMap<EventId, Outcome> {
    let segments = storage.list("log").expect("list");
    let last = segments.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse().ok()).max();
    let mut events = BTreeMap::new();
    let Some(last) = last else { return events };
    let len = storage.open(&segment_name(last), false).and_then(|file| file.len()).expect("length");
    let until = LogPosition { segment: last, offset: len };
    let mut reader = LogReader::new(Arc::new(storage.clone()), LogPosition::START, until);
    let mut heads: BTreeMap<String, (u64, LineHash)> = BTreeMap::new();
    while let Some(line) = reader.next_line().expect("read") {
        assert!(line.is_terminated);
        if let Some(LinePrefix::Event { tenant_id, env, seq, prev, .. }) = LinePrefix::parse(&line.bytes) {
            let event =
                DatasetEvent::from_line(std::str::from_utf8(&line.bytes).expect("text")).expect("an event");
            let head = heads
                .entry(format!("{tenant_id}/{env}"))
                .or_insert_with(|| (0, genesis(LEDGER, event.scope())));
            assert_eq!((seq, prev), (head.0 + 1, head.1), "{tenant_id}/{env}");
            *head = (seq, hash_line(&line.bytes));
            assert!(events.insert(event.event_id, event.outcome).is_none(), "twice: {}", event.event_id);
        }
    }
    events
}

fn assert_holds(told: &BTreeMap<EventId, Told>, events: &BTreeMap<EventId, Outcome>, at: &str) {
    for (event_id, told) in told {
        let outcome = events.get(event_id);
        match told {
            Told::Admitted => assert!(
                matches!(outcome, Some(Outcome::Ok | Outcome::Interrupted)),
                "{at}: an admitted call has {outcome:?}"
            ),
            Told::Refused => assert!(
                matches!(outcome, None | Some(Outcome::Error | Outcome::Interrupted)),
                "{at}: a refused call has {outcome:?}"
            ),
        }
    }
}

const CALLS: usize = 40;

#[test]
fn a_power_cut_at_any_point_keeps_what_durable_calls_were_told() {
    let whole = FaultyStorage::default();
    let ledger = open(Arc::new(whole.clone()), 1).expect("open");
    let told = run(&ledger, CALLS);
    assert!(told.values().all(|told| *told == Told::Admitted));
    ledger.close().expect("close");
    let operations = whole.operations();
    assert!(operations > 160, "{operations}: every call syncs twice");
    for fail_at in 1..=operations {
        let storage = FaultyStorage::failing_at(fail_at);
        // A disk that fails while the ledger is opened refuses the start; nothing was told.
        let told = match open(Arc::new(storage.clone()), 1) {
            Ok(ledger) => run(&ledger, CALLS),
            Err(_) => BTreeMap::new(),
        };
        for (what, left) in [("power", storage.after_power_cut()), ("process", storage.after_process_death())]
        {
            let at = format!("{what} lost at operation {fail_at}");
            let ledger = open(Arc::new(left.clone()), 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            run(&ledger, 2);
            ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
            let events = read(&left);
            assert_holds(&told, &events, &at);
        }
    }
}

#[test]
fn checkpoints_outlive_a_power_cut() {
    let storage = FaultyStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    run(&ledger, CALLS);
    let left = storage.after_power_cut();
    let checkpoints = left.read("checkpoints.ndjson").expect("read").unwrap_or_default();
    assert!(!checkpoints.is_empty(), "the file was made, but its name is not durable");
}

/// A disk that was full for a moment, say: the ledger must not go on with it, not even to close.
#[test]
fn a_single_failure_at_any_point_ends_the_writing_until_the_reopen() {
    let whole = FaultyStorage::default();
    run(&open(Arc::new(whole.clone()), 1).expect("open"), CALLS);
    for fail_at in 1..=whole.operations() {
        let storage = FaultyStorage::failing_once_at(fail_at);
        let at = format!("operation {fail_at} failed");
        let mut told = BTreeMap::new();
        if let Ok(ledger) = open(Arc::new(storage.clone()), 1) {
            told = run(&ledger, CALLS);
            // Calls that nobody waits for are in the journal when the ledger is closed.
            let ctx = ledger.context("acme", "prod").build().expect("valid");
            for _ in 0..3 {
                recorded_call(&ctx);
            }
            let _ = ledger.close();
        }
        let left = storage.after_process_death();
        let ledger = open(Arc::new(left.clone()), 2).unwrap_or_else(|error| panic!("{at}: {error}"));
        run(&ledger, 2);
        ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_holds(&told, &read(&left), &at);
    }
}

fn recorded_call(ctx: &RequestContext) {
    let operation = Operation {
        surface: "probe.recorded",
        access: Access::Read,
        guarantee: Guarantee::Recorded,
        site: None,
    };
    let state = CallState::begin(&ScopeSource::Context(ctx), operation, None).expect("not off");
    state.finish(&End { outcome: Outcome::Ok, code: None, message: None, items: None });
}

/// Panics when it is asked for its second signature.
#[derive(Debug)]
struct PanickingSigner(Ed25519Signer, AtomicU64);

impl Signer for PanickingSigner {
    fn key_id(&self) -> &str {
        self.0.key_id()
    }
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let before = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(before == 0, "the signer of this test panics");
        self.0.sign(message)
    }
}

#[test]
fn a_thread_that_panics_fails_the_ledger_and_leaves_nobody_waiting() {
    let mut options = Ledger::options()
        .signer(PanickingSigner(Ed25519Signer::fixed_for_tests(), AtomicU64::new(0)))
        .journal_bytes(1 << 20);
    options.memory = Some(Memory::default());
    let ledger = options.open().expect("open");
    // The checkpoint a second after the first event is the panicking one: each flush before it succeeds.
    let deadline = Instant::now() + Duration::from_secs(20);
    let flushed = loop {
        let flushed = ledger.flush();
        if flushed.is_err() || Instant::now() > deadline {
            break flushed;
        }
    };
    assert!(matches!(flushed, Err(LedgerError::Failed { .. })), "{flushed:?}");
    assert!(matches!(ledger.health(), Health::Failed { .. }), "{:?}", ledger.health());
}

#[test]
fn a_failure_at_any_point_of_recovery_is_recovered_from() {
    let first = FaultyStorage::failing_at(70);
    let told = run(&open(Arc::new(first.clone()), 1).expect("open"), CALLS);
    let left = first.after_process_death();
    for fail_at in 1..40 {
        let second = FaultyStorage::failing_at(fail_at);
        for folder in ["log", "quarantine"] {
            copy(&left, &second, folder);
        }
        copy_file(&left, &second, "ledger.json");
        copy_file(&left, &second, "checkpoints.ndjson");
        drop(open(Arc::new(second.clone()), 2));
        for (what, left) in [("power", second.after_power_cut()), ("process", second.after_process_death())] {
            let at = format!("{what} lost at operation {fail_at} of recovery");
            let ledger = open(Arc::new(left.clone()), 3).unwrap_or_else(|error| panic!("{at}: {error}"));
            ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_holds(&told, &read(&left), &at);
        }
    }
}

fn copy(from: &MemoryStorage, to: &FaultyStorage, folder: &str) {
    for name in from.list(folder).expect("list") {
        copy_file(from, to, &format!("{folder}/{name}"));
    }
}

/// Copies a file as one that a power cut leaves, without counting it.
fn copy_file(from: &MemoryStorage, to: &FaultyStorage, name: &str) {
    if let Some(bytes) = from.read(name).expect("read") {
        to.put(name, bytes);
    }
}

#[test]
fn records_are_found_in_the_journal_of_the_last_run_wherever_that_was() {
    let root = tempfile::tempdir().expect("a directory");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let options = || Ledger::options().root(root.path()).journal_bytes(1 << 20);
    let directory = {
        let ledger = options().journal_dir(elsewhere.path()).open().expect("open");
        let ctx = ledger.context("acme", "prod").build().expect("valid");
        let operation = Operation {
            surface: "probe.open",
            access: Access::Write,
            guarantee: Guarantee::Intent,
            site: None,
        };
        let mut state = CallState::begin(&ScopeSource::Context(&ctx), operation, None).expect("not off");
        state.attempt();
        std::mem::forget(state);
        // As a process that dies: the log is failed, so that close leaves everything to the journal.
        ledger.owner.shared.fail("the disk is gone".to_owned());
        ledger.path().expect("on disk").to_owned()
    };
    let ledger = options().open().expect("open without journal_dir");
    assert_eq!(ledger.path(), Some(directory.as_path()));
    let tenant = crate::ids::TenantId::from_static("acme");
    let env = crate::ids::Env::from_static("prod");
    let events: Vec<_> = ledger.scope(&tenant, &env).events().iter().collect::<Result<_, _>>().expect("read");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.outcome, Outcome::Interrupted);
    assert!(directory.join("journal").exists());
    let left = std::fs::read_dir(elsewhere.path()).expect("list").count();
    assert_eq!(left, 0, "the journal before is removed");
}
