//! What a thread holds of a ledger: a block to write, a counter slot, and finished call states to reuse.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::arena::{OpenBlock, Place, Urgency};
use super::record::Record;
use crate::draft::CallState;
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
    pool: Vec<Box<CallState>>,
    stripe: u32,
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
        if state.guarantee == Guarantee::Recorded {
            lease.count_finished();
        }
        if lease.pool.len() < POOL {
            lease.pool.push(state);
        }
        Some(())
    });
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
            ledger,
            block: None,
            pool: Vec::with_capacity(POOL),
            stripe: NEXT_STRIPE.fetch_add(1, Ordering::Relaxed),
            waited: Duration::ZERO,
            waited_since: None,
        }
    }

    /// A call state to fill: a used one, or a new one.
    #[inline]
    pub(crate) fn take_state(&mut self) -> Option<Box<CallState>> {
        self.pool.pop()
    }

    /// Counts a `recorded` call that begins.
    #[inline]
    pub(crate) fn count_started(&self) {
        bump(self.ledger.arena.control().counters(self.counter_slot).0);
    }

    /// Counts a `recorded` call that ended.
    #[inline]
    pub(crate) fn count_finished(&self) {
        bump(self.ledger.arena.control().counters(self.counter_slot).1);
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
