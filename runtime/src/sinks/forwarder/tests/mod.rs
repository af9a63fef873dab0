//! The forwarder against sinks that are told what to do, on a clock that jumps.

mod control;
mod files;
mod order;
mod outage;
mod redeliver;
mod trouble;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::State;
use super::time::Time;
use crate::clock::Clock;
use crate::id_source::IdSource;
use crate::ids::LedgerId;
use crate::ledger::{Fixed, Ledger, LedgerOptions, Memory};
use crate::log::signer::Ed25519Signer;
use crate::log::storage::{MemoryStorage, Storage};
use crate::sinks::{
    Ack, Entry, EntryKey, EntryKind, ForwardState, Sink, SinkError, SinkSpec, SinkStart, SinkStatus,
};

/// A clock on which nobody waits: to sleep until a moment is to be there.
#[derive(Debug, Default)]
pub(super) struct JumpingTime {
    now: Mutex<Duration>,
}

impl JumpingTime {
    pub(super) fn pass(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }
}

impl Time for JumpingTime {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn wall_us(&self) -> i64 {
        // Behind the stepped clock of test ledgers.
        1_800_000_000_000_000 + self.now().as_micros() as i64
    }

    fn random(&self) -> u64 {
        u64::MAX
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        signal: &Condvar,
        until: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let Some(until) = until else { return signal.wait(state).unwrap_or_else(PoisonError::into_inner) };
        let mut now = self.now.lock().unwrap();
        *now = (*now).max(until);
        state
    }
}

/// What a sink does with a batch.
pub(super) enum Answer {
    Store,
    /// Stores the batch and loses the acknowledgement.
    StoreThenRetry,
    Retry,
    Reopen,
    Fatal,
    Panic,
    /// Refuses entries by their places in the batch.
    Reject(Vec<usize>),
    /// Does not return until the target is told to.
    Hang,
}

/// What a sink wrote to, as tests see it.
#[derive(Default)]
pub(super) struct Target {
    state: Mutex<TargetState>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct TargetState {
    /// Every entry of every batch that was stored, in order, those that came again too.
    pub(super) entries: Vec<Stored>,
    /// Entries a batch.
    pub(super) batches: Vec<usize>,
    pub(super) largest_batch_bytes: usize,
    pub(super) opened: u32,
    pub(super) appends: u32,
    pub(super) closed: u32,
    pub(super) answers: VecDeque<Answer>,
    /// What is answered when there is no answer left: as long as it is there.
    pub(super) is_away: bool,
    pub(super) open_answers: VecDeque<Answer>,
    pub(super) is_released: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) kind: EntryKind,
    pub(super) key: EntryKey,
    pub(super) position: crate::LogPosition,
    pub(super) bytes: Vec<u8>,
}

impl Target {
    pub(super) fn lock(&self) -> MutexGuard<'_, TargetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.lock().answers.extend(answers);
    }

    /// Lets calls that hang return.
    pub(super) fn release(&self) {
        self.lock().is_released = true;
        self.changed.notify_all();
    }

    /// What is stored, each key once, in the order in which it came first.
    pub(super) fn in_effect(&self) -> Vec<Stored> {
        let mut keys = std::collections::HashSet::new();
        self.lock().entries.iter().filter(|entry| keys.insert(entry.key)).cloned().collect()
    }

    /// The lines that are stored, each once.
    pub(super) fn lines(&self) -> Vec<String> {
        let is_line = |entry: &Stored| matches!(entry.kind, EntryKind::Event | EntryKind::Attempt);
        let lines = self.in_effect().into_iter().filter(is_line);
        lines.map(|entry| String::from_utf8(entry.bytes).unwrap()).collect()
    }
}

pub(super) struct TestSink(pub(super) Arc<Target>);

impl TestSink {
    fn answer(&self, answer: Answer, batch: &[Entry]) -> Result<Ack, SinkError> {
        let store = |but: &[usize]| {
            let mut state = self.0.lock();
            let stored =
                batch.iter().enumerate().filter(|(at, _)| !but.contains(at)).map(|(_, entry)| Stored {
                    kind: entry.kind(),
                    key: entry.key(),
                    position: entry.position(),
                    bytes: entry.bytes().to_vec(),
                });
            state.entries.extend(stored);
            state.batches.push(batch.len());
            let bytes = batch.iter().map(|entry| entry.bytes().len()).sum();
            state.largest_batch_bytes = state.largest_batch_bytes.max(bytes);
        };
        match answer {
            Answer::Store => store(&[]),
            Answer::StoreThenRetry => {
                store(&[]);
                return Err(SinkError::retry("append to the test target", "the answer was lost"));
            }
            Answer::Retry => return Err(SinkError::retry("append to the test target", "it is away")),
            Answer::Reopen => return Err(SinkError::reopen("append to the test target", "it hung up")),
            Answer::Fatal => return Err(SinkError::fatal("append to the test target", "no such table")),
            Answer::Panic => panic!("on purpose"),
            Answer::Reject(indices) => {
                store(&indices);
                let rejected = indices.iter().map(|at| crate::sinks::Rejected::new(*at, "too large"));
                return Ok(Ack::all().with_rejected(rejected.collect()));
            }
            Answer::Hang => {
                let state = self.0.lock();
                drop(self.0.changed.wait_while(state, |state| !state.is_released));
                store(&[]);
            }
        }
        Ok(Ack::all())
    }
}

impl Sink for TestSink {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn open(&mut self, _start: &SinkStart<'_>) -> Result<(), SinkError> {
        let answer = {
            let mut state = self.0.lock();
            state.opened += 1;
            state.open_answers.pop_front()
        };
        answer.map_or(Ok(()), |answer| self.answer(answer, &[]).map(|_| ()))
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        assert!(!batch.is_empty());
        let answer = {
            let mut state = self.0.lock();
            state.appends += 1;
            let is_away = state.is_away;
            state.answers.pop_front().unwrap_or(if is_away { Answer::Retry } else { Answer::Store })
        };
        self.answer(answer, batch)
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.0.lock().closed += 1;
        Ok(())
    }
}

/// A target, its sink and its clock.
pub(super) struct Rig {
    pub(super) target: Arc<Target>,
    pub(super) time: Arc<JumpingTime>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self { target: Arc::default(), time: Arc::default() }
    }

    pub(super) fn spec(&self, name: &str) -> SinkSpec {
        SinkSpec::new(name, Box::new(TestSink(Arc::clone(&self.target)))).unwrap().time(self.time.clone())
    }
}

pub(super) const LEDGER: LedgerId = LedgerId::from_uuid(uuid::Uuid::from_u128(0x77));

/// Options of a small ledger on storage that outlives it.
pub(super) fn options(storage: &MemoryStorage) -> LedgerOptions {
    let mut options = Ledger::options()
        .service("test", "1")
        .signer(Ed25519Signer::fixed_for_tests())
        .journal_bytes(1 << 20)
        .segment_bytes(64 * 1024)
        .group_interval(Duration::from_millis(1));
    options.memory = Some(Memory(Arc::new(storage.clone())));
    let (clock, id_source) = (Clock::process(), IdSource::Random);
    options.fixed = Some(Fixed { ledger_id: LEDGER, clock, id_source, secret: [1; 32] });
    options
}

/// The lines of the log, as a reader of its files sees them.
pub(super) fn log_lines(storage: &MemoryStorage) -> Vec<String> {
    let names = storage.list("log").unwrap();
    let segments = names.iter().filter(|name| name.ends_with(".ndjson"));
    let bytes = segments.flat_map(|name| storage.read(&format!("log/{name}")).unwrap().unwrap()).collect();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

/// Records events of a surface in a scope, and flushes.
pub(super) fn record(ledger: &Ledger, surface: &'static str, count: usize) {
    let ctx = ledger.context("acme", "prod").build().unwrap();
    for number in 0..count {
        ctx.event(surface).input("number", &number).record().unwrap();
    }
    ledger.flush().unwrap();
}

/// Waits until the status of a sink is as wanted.
#[track_caller]
pub(super) fn wait_for(ledger: &Ledger, name: &str, is_so: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = ledger.sinks().status(name).unwrap();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "it did not come to this: {status:#?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a sink has everything that is durable.
#[track_caller]
pub(super) fn wait_until_caught_up(ledger: &Ledger, name: &str) -> SinkStatus {
    wait_for(ledger, name, |status| status.forwarded > 0 && status.lag_bytes == 0 && status.lag_events == 0)
}
