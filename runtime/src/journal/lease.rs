//! What a thread holds of a ledger: a block to write, a counter slot, and finished call states to reuse.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::MAX_SMALL_RECORD_BYTES;
use super::arena::{OpenBlock, Place, Urgency};
use super::record::{Kind, Record};
use crate::draft::{CallState, End};
use crate::ledger::LedgerShared;
use crate::surface::Guarantee;

/// Call states kept for reuse, a thread and ledger.
const POOL: usize = 16;

/// How long calls of one thread may wait for room in the journal, a second.
const WAIT_BUDGET: Duration = Duration::from_millis(250);

pub(crate) struct Lease {
    pub(crate) ledger: Arc<LedgerShared>,
    block: Option<OpenBlock>,
    counter_slot: u32,
    #[allow(clippy::vec_box, reason = "a state moves to and from its call as a pointer")]
    pool: Vec<Box<CallState>>,
    stripe: u32,
    /// Unix time in milliseconds, and the ticks for which it holds.
    unix_ms: u64,
    ms_from: u64,
    ms_ticks: u64,
    waited: Duration,
    waited_since: Option<Instant>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(block) = self.block.take()
            && self.ledger.arena.is_live()
        {
            self.ledger.arena.retire(block);
        }
    }
}

thread_local! {
    static LEASES: RefCell<Vec<Lease>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's lease of a ledger; `None` while the thread is being torn down.
#[inline]
pub(crate) fn with<R>(ledger: &Arc<LedgerShared>, work: impl FnOnce(&mut Lease) -> R) -> Option<R> {
    LEASES
        .try_with(|leases| {
            let mut leases = leases.try_borrow_mut().ok()?;
            if let Some(first) = leases.first_mut()
                && Arc::ptr_eq(&first.ledger, ledger)
            {
                return Some(work(first));
            }
            Some(work(find(&mut leases, ledger)))
        })
        .ok()
        .flatten()
}

#[cold]
fn find<'a>(leases: &'a mut Vec<Lease>, ledger: &Arc<LedgerShared>) -> &'a mut Lease {
    match leases.iter().position(|lease| Arc::ptr_eq(&lease.ledger, ledger)) {
        Some(at) => leases.swap(0, at),
        None => {
            leases.retain(|lease| !lease.ledger.is_closed());
            leases.insert(0, Lease::new(Arc::clone(ledger)));
        }
    }
    &mut leases[0]
}

/// Puts the state of a finished call into this thread's pool, or drops it.
///
/// The state keeps its handle of the ledger: a call neither takes nor gives one, so that calls of
/// several threads do not meet at a shared count.
#[inline]
pub(crate) fn put_back(state: Box<CallState>) {
    let _ = LEASES.try_with(|leases| {
        let mut leases = leases.try_borrow_mut().ok()?;
        let ledger = state.ledger.as_ref()?;
        let is_first = leases.first().is_some_and(|first| Arc::ptr_eq(&first.ledger, ledger));
        let lease = if is_first { &mut leases[0] } else { find(&mut leases, ledger) };
        lease.take_back(state);
        Some(())
    });
}

/// Writes the completion of a call and takes its state back, when that can be done at once: the ledger
/// is open and not under pressure, the record is small, and the thread has a block. Else the state is
/// returned as it was.
#[inline]
pub(crate) fn finish_call(state: Box<CallState>, end: &End<'_>) -> Result<(), Box<CallState>> {
    let mut state = Some(state);
    let _ = LEASES.try_with(|leases| {
        let mut leases = leases.try_borrow_mut().ok()?;
        let lease = leases.first_mut()?;
        lease.append_at_once(state.as_ref()?, Kind::Completion, end)?;
        let mut state = state.take()?;
        state.clear();
        lease.take_back(state);
        Some(())
    });
    state.map_or(Ok(()), Err)
}

/// Writes the attempt of a call, when that can be done at once; false when it cannot.
#[inline]
pub(crate) fn attempt_call(state: &CallState, end: &End<'_>) -> bool {
    let is_written = LEASES.try_with(|leases| {
        let mut leases = leases.try_borrow_mut().ok()?;
        leases.first_mut()?.append_at_once(state, Kind::Attempt, end)
    });
    matches!(is_written, Ok(Some(())))
}

/// Gives up this thread's lease of a ledger.
pub(crate) fn give_up(ledger: &Arc<LedgerShared>) {
    let given_up = LEASES.try_with(|leases| {
        let mut leases = leases.try_borrow_mut().ok()?;
        let at = leases.iter().position(|lease| Arc::ptr_eq(&lease.ledger, ledger))?;
        Some(leases.swap_remove(at))
    });
    drop(given_up);
}

impl Lease {
    fn new(ledger: Arc<LedgerShared>) -> Self {
        static NEXT_STRIPE: AtomicU32 = AtomicU32::new(0);
        Self {
            counter_slot: ledger.arena.counter_slot(),
            unix_ms: 0,
            ms_from: 0,
            ms_ticks: 0,
            ledger,
            block: None,
            pool: Vec::with_capacity(POOL),
            stripe: NEXT_STRIPE.fetch_add(1, Ordering::Relaxed),
            waited: Duration::ZERO,
            waited_since: None,
        }
    }

    /// A call state, used before or new, with the time and ids of a call that begins now.
    #[inline]
    pub(crate) fn begin_call(&mut self, guarantee: Guarantee) -> Box<CallState> {
        let ledger = &self.ledger;
        // A forked child does not have the counters.
        if guarantee == Guarantee::Recorded && ledger.arena.is_live() {
            bump(ledger.arena.control().counters(self.counter_slot).0);
        }
        let mut state = match self.pool.pop() {
            Some(state) => state,
            None => CallState::new(Some(Arc::clone(ledger))),
        };
        let now = ledger.clock.start_ticks();
        if now.wrapping_sub(self.ms_from) >= self.ms_ticks {
            let (unix_ms, until) = ledger.clock.unix_ms_until(now);
            (self.unix_ms, self.ms_from, self.ms_ticks) = (unix_ms, now, until.saturating_sub(now));
        }
        state.started_ticks = now;
        (state.event_id, state.span_id) = ledger.id_source.call_ids(self.unix_ms);
        state
    }

    #[inline]
    fn take_back(&mut self, state: Box<CallState>) {
        if state.guarantee == Guarantee::Recorded && self.ledger.arena.is_live() {
            bump(self.ledger.arena.control().counters(self.counter_slot).1);
        }
        if self.pool.len() < POOL {
            self.pool.push(state);
        }
    }

    /// Writes the record of a call of this lease's ledger into the block at hand, if it has one and
    /// nothing speaks against it.
    #[inline(always)]
    fn append_at_once(&mut self, call: &CallState, kind: Kind, end: &End<'_>) -> Option<()> {
        let is_plain = call.ledger.as_ref().is_some_and(|ledger| Arc::ptr_eq(ledger, &self.ledger))
            && self.ledger.is_plainly_open();
        let block = self.block.as_mut().filter(|_| is_plain)?;
        let mut record = call.record(kind, end);
        if record.len() > MAX_SMALL_RECORD_BYTES {
            return None;
        }
        self.ledger.arena.append_here(block, &mut record, &self.ledger.clock).map(|_| ())
    }

    /// Writes a record of at most 16 KiB; `None` when no block is to be had.
    #[inline]
    pub(crate) fn append(&mut self, record: &mut Record<'_>, urgency: Urgency) -> Option<Place> {
        let ledger = &self.ledger;
        if let Some(block) = &mut self.block
            && let Some(place) = ledger.arena.append(block, record, &ledger.clock)
        {
            return Some(place);
        }
        self.append_to_next(record, urgency)
    }

    #[cold]
    fn append_to_next(&mut self, record: &mut Record<'_>, urgency: Urgency) -> Option<Place> {
        let ledger = &self.ledger;
        if let Some(full) = self.block.take() {
            ledger.arena.retire(full);
            ledger.block_filled();
        }
        if ledger.arena.is_scarce() {
            return ledger.arena.append_shared(self.stripe, record, &ledger.clock, urgency);
        }
        let mut block = ledger.arena.lease(urgency)?;
        let place = ledger.arena.append(&mut block, record, &ledger.clock);
        self.block = Some(block);
        place
    }

    /// What is left of this thread's waiting time in the current second.
    pub(crate) fn wait_budget(&mut self, now: Instant) -> Duration {
        if self.waited_since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            self.waited_since = Some(now);
            self.waited = Duration::ZERO;
        }
        WAIT_BUDGET.saturating_sub(self.waited)
    }

    pub(crate) fn count_wait(&mut self, waited: Duration) {
        self.waited += waited;
    }
}

/// Counts without a locked instruction: the slot is this thread's own. Beyond 1,024 threads slots are
/// shared and the count, which only a report after a crash reads, becomes approximate.
#[inline]
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
