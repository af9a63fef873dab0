//! Calls before a ledger: which ledger a call without one of its own records to, and the ring that
//! keeps events until a ledger is installed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::clock::Clock;
use crate::journal::record::Record;
use crate::ledger::{Ledger, LedgerShared, lock};

/// At most this many events wait for a ledger, and at most [`MAX_BYTES`] of them.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What `DATASET_EVENTS` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Ledgers lie where they are opened. The default.
    Disk,
    /// Ledgers lie in memory, and end with the process.
    Memory,
    /// As `Memory`, and each line is written to stderr when it is in the log.
    Stderr,
    /// Nothing is recorded.
    Off,
}

/// The mode of this process, read once from `DATASET_EVENTS`.
pub(crate) fn mode() -> Mode {
    static MODE: OnceLock<Mode> = OnceLock::new();
    *MODE.get_or_init(|| match std::env::var("DATASET_EVENTS") {
        Err(_) => Mode::Disk,
        Ok(text) => match text.as_str() {
            "" | "disk" => Mode::Disk,
            "memory" => Mode::Memory,
            "stderr" => Mode::Stderr,
            "off" => Mode::Off,
            other => {
                eprintln!(
                    "dataset-events: DATASET_EVENTS={other:?} is not known and ignored; \
                     accepted: memory, stderr, off"
                );
                Mode::Disk
            }
        },
    })
}

/// The ledger of this process.
static INSTALLED: OnceCell<Arc<LedgerShared>> = OnceCell::new();

/// Keeps the ledger that `DATASET_EVENTS=memory|stderr` opens by itself.
static SELF_OPENED: OnceCell<Option<Ledger>> = OnceCell::new();

static RING: Mutex<Ring> = Mutex::new(Ring { records: VecDeque::new(), bytes: 0, is_taken: false });
static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Ring {
    records: VecDeque<Vec<u8>>,
    bytes: usize,
    is_taken: bool,
}

thread_local! {
    static ENTERED: RefCell<Vec<Arc<LedgerShared>>> = const { RefCell::new(Vec::new()) };
}

/// The ledger for a call that brings none.
pub(crate) enum Ambient {
    /// Entered on this thread by a test.
    Entered(Arc<LedgerShared>),
    /// Installed in this process.
    Installed(&'static Arc<LedgerShared>),
    /// None yet.
    NotYet,
}

/// Finds the ledger for a call that brings none; `None` when recording is switched off.
#[inline]
pub(crate) fn ambient() -> Option<Ambient> {
    if let Ok(Some(ledger)) = ENTERED.try_with(|entered| entered.try_borrow().ok()?.last().cloned()) {
        return Some(Ambient::Entered(ledger));
    }
    match INSTALLED.get() {
        Some(ledger) => Some(Ambient::Installed(ledger)),
        None => without_ledger(),
    }
}

#[cold]
fn without_ledger() -> Option<Ambient> {
    match mode() {
        Mode::Off => None,
        Mode::Disk => Some(Ambient::NotYet),
        Mode::Memory | Mode::Stderr => {
            let opened = SELF_OPENED.get_or_init(|| {
                let ledger = Ledger::options().open().ok()?;
                ledger.install().ok()?;
                // Nobody closes it; a short program ends before its first group is made.
                crate::journal::os::at_exit(flush_at_exit);
                Some(ledger)
            });
            match (opened, INSTALLED.get()) {
                (_, Some(ledger)) => Some(Ambient::Installed(ledger)),
                _ => Some(Ambient::NotYet),
            }
        }
    }
}

/// The ledger that opened itself under `DATASET_EVENTS=memory|stderr`, if a call came before the program
/// opened one. It is then the program's too: it has the events, and is installed.
pub(crate) fn self_opened() -> Option<Ledger> {
    SELF_OPENED.get()?.clone()
}

extern "C" fn flush_at_exit() {
    // A bound, for a program that ends while a thread of the ledger cannot go on.
    let flush = || self_opened().map(|ledger| ledger.drain(Duration::from_secs(5)));
    let _ = std::panic::catch_unwind(flush);
}

/// Makes a ledger the one of this process and hands it the events that waited for one. False when
/// another one is installed.
pub(crate) fn install(ledger: &Arc<LedgerShared>) -> bool {
    // Under the ring's lock until the ledger is in place: what was kept comes before what follows.
    let mut ring = lock(&RING);
    if let Some(installed) = INSTALLED.get() {
        // A program that installs the ledger which opened itself has what it asks for.
        return Arc::ptr_eq(installed, ledger) && self_opened().is_some();
    }
    for bytes in std::mem::take(&mut ring.records) {
        hand_over(ledger, &bytes);
    }
    ring.bytes = 0;
    ring.is_taken = true;
    let is_set = INSTALLED.set(Arc::clone(ledger)).is_ok();
    drop(ring);
    if !is_set {
        return false;
    }
    let dropped = DROPPED.load(Ordering::Relaxed);
    if dropped > 0 {
        ledger.own_event(&crate::ledger::OwnEvent {
            outcome: crate::event::Outcome::Error,
            code: "ledger.not_installed",
            ..crate::ledger::OwnEvent::system("ledger.gap", &format!("{{\"lost\":{dropped}}}"))
        });
    }
    true
}

pub(crate) fn hand_over(ledger: &Arc<LedgerShared>, bytes: &[u8]) {
    if let Some(mut record) = Record::decode(bytes, None) {
        publish(ledger, &mut record);
    }
}

/// Records a call that began before there was a ledger.
fn publish(ledger: &Arc<LedgerShared>, record: &mut Record<'_>) {
    if matches!(ledger.clock, Clock::Stepped { .. }) {
        // Its ticks are those of the machine's clock, which no cut of this ledger would ever reach.
        record.started_ticks = ledger.clock.start_ticks();
        record.completed_ticks = 0;
    }
    // Refusals are counted by `publish`.
    let _ = ledger.publish(record, true);
}

/// Keeps the completion of a call until a ledger is installed.
pub(crate) fn keep(record: &mut Record<'_>) {
    if let Some(ledger) = INSTALLED.get() {
        publish(ledger, record);
        return;
    }
    warn_once();
    record.completed_ticks = Clock::process().end_ticks();
    let mut bytes = vec![0; record.len() - 4];
    record.encode(&mut bytes, 0);
    let mut ring = lock(&RING);
    if ring.is_taken {
        drop(ring);
        if let Some(ledger) = INSTALLED.get() {
            publish(ledger, record);
        }
        return;
    }
    ring.bytes += bytes.len();
    ring.records.push_back(bytes);
    while ring.records.len() > MAX_EVENTS || ring.bytes > MAX_BYTES {
        if let Some(oldest) = ring.records.pop_front() {
            ring.bytes -= oldest.len();
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn warn_once() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        eprintln!(
            "dataset-events: no ledger is installed yet; up to {MAX_EVENTS} events are kept for it. \
             Call `Ledger::dev()?` or `ledger.install()?` in main, or set DATASET_EVENTS=off."
        );
    }
}

/// Makes a ledger this thread's own until [`leave`].
pub(crate) fn enter(ledger: &Arc<LedgerShared>) {
    ENTERED.with_borrow_mut(|entered| entered.push(Arc::clone(ledger)));
}

/// Undoes the newest [`enter`] of a ledger on this thread.
pub(crate) fn leave(ledger: &Arc<LedgerShared>) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if let Some(at) = entered.iter().rposition(|one| Arc::ptr_eq(one, ledger)) {
            entered.remove(at);
        }
    });
}
