//! What contexts, calls and threads share of an open ledger, and the way of a record into the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::waiters::{DurableSlot, Waiters};
use crate::clock::Clock;
use crate::error_code::UnavailableReason;
use crate::id_source::IdSource;
use crate::ids::{EventId, LedgerId};
use crate::journal::MAX_SMALL_RECORD_BYTES;
use crate::journal::arena::{Arena, Place, Urgency};
use crate::journal::control::scope_hash;
use crate::journal::lease;
use crate::journal::record::{Kind, NO_ITEMS, Record, flag};
use crate::retention::RetentionWake;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A write or an fsync failed: what is in the journal waits for a reopen. Closing does not undo it: the
/// end of the log is not where the sequencer takes it to be.
const FAILED: u8 = 1;
const CLOSED: u8 = 2;
/// The disk is full; the writer tries again.
const NO_ROOM: u8 = 4;

/// Wakes the sequencer and tells those who wait what it has done.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    to_sequencer: Condvar,
    to_waiters: Condvar,
    /// Wakes a writer that waits for room on the disk.
    to_writer: Condvar,
}

#[derive(Default)]
struct SignalState {
    wanted_cut: u64,
    /// The newest cut that the sequencer has been asked for.
    asked_cut: u64,
    done_cut: u64,
    is_awaited: bool,
    is_filling: bool,
    is_closing: bool,
    is_over: bool,
    /// The writer waits for room on the disk.
    is_stalled: bool,
    /// Orders that the writer has not finished.
    orders: u32,
}

/// How a wait for a cut ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutWait {
    Done,
    /// The deadline came first.
    Late,
    /// The sequencer is gone.
    Over,
    /// The disk is full.
    Stalled,
}

/// Why the sequencer wakes.
pub(crate) struct Wake {
    /// The newest cut that somebody waits for.
    pub(crate) wanted_cut: u64,
    pub(crate) is_closing: bool,
}

impl Signal {
    /// Sleeps until there is a reason to cut a group, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Wake {
        let state = lock(&self.state);
        // While an fsync runs, more callers can join the group that follows it; only a full one is made
        // ahead, so that its lines are ready when the disk is.
        let is_idle = |state: &mut SignalState| {
            let is_wanted = state.is_awaited || state.is_closing || state.wanted_cut > state.asked_cut;
            !(state.is_filling || is_wanted && state.orders == 0)
        };
        let (mut state, _) = self
            .to_sequencer
            .wait_timeout_while(state, timeout, is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_awaited = false;
        state.is_filling = false;
        state.asked_cut = state.wanted_cut;
        Wake { wanted_cut: state.wanted_cut, is_closing: state.is_closing }
    }

    fn notify(&self, change: impl FnOnce(&mut SignalState)) {
        change(&mut lock(&self.state));
        self.to_sequencer.notify_one();
    }

    /// A `durable` caller waits: cut at once.
    pub(crate) fn awaited(&self) {
        self.notify(|state| state.is_awaited = true);
    }

    /// A group's worth of records is there, or room is needed.
    pub(crate) fn filling(&self) {
        self.notify(|state| state.is_filling = true);
    }

    /// An order goes to the writer.
    pub(crate) fn writer_begins(&self) {
        lock(&self.state).orders += 1;
    }

    /// The writer has finished an order.
    pub(crate) fn writer_ends(&self) {
        self.notify(|state| state.orders -= 1);
    }

    pub(crate) fn close(&self) {
        self.notify(|state| state.is_closing = true);
        self.to_writer.notify_all();
    }

    fn set_stalled(&self, is_stalled: bool) {
        lock(&self.state).is_stalled = is_stalled;
        self.to_waiters.notify_all();
    }

    /// Sleeps until the writer no longer waits for room.
    #[cfg(test)]
    pub(crate) fn wait_until_writing(&self, timeout: Duration) {
        let state = lock(&self.state);
        drop(self.to_waiters.wait_timeout_while(state, timeout, |state| state.is_stalled));
    }

    /// Sleeps until the next attempt to write; true when the ledger is being closed.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self.to_writer.wait_timeout_while(state, timeout, |state| !state.is_closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    /// Asks for a cut from now on and returns its number.
    pub(crate) fn request_cut(&self) -> u64 {
        let mut number = 0;
        self.notify(|state| {
            state.wanted_cut += 1;
            number = state.wanted_cut;
        });
        number
    }

    /// Everything up to a cut is durable, or will never be.
    pub(crate) fn cut_done(&self, cut: u64) {
        let mut state = lock(&self.state);
        state.done_cut = state.done_cut.max(cut);
        self.to_waiters.notify_all();
    }

    /// The sequencer is gone.
    pub(crate) fn over(&self) {
        lock(&self.state).is_over = true;
        self.to_waiters.notify_all();
    }

    /// Waits for a cut, as long as it can come.
    pub(crate) fn wait_for_cut(&self, cut: u64, deadline: Option<Instant>) -> CutWait {
        let mut state = lock(&self.state);
        loop {
            if state.done_cut >= cut {
                return CutWait::Done;
            }
            if state.is_over {
                return CutWait::Over;
            }
            if state.is_stalled {
                return CutWait::Stalled;
            }
            state = match deadline {
                None => self.to_waiters.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return CutWait::Late;
                    }
                    self.to_waiters.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// Counters of an open ledger, since it was opened.
#[derive(Default)]
pub(crate) struct Counts {
    /// Calls whose record found no room in the journal.
    pub(crate) shed: AtomicU64,
    /// Times that a call waited for room.
    pub(crate) waits: AtomicU64,
    pub(crate) synthesized: AtomicU64,
    pub(crate) synthesized_request_ids: AtomicU64,
    pub(crate) synthesized_trace_ids: AtomicU64,
    pub(crate) synthesized_scopes: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) fsync_ns: AtomicU64,
    pub(crate) open_attempts: AtomicU64,
    pub(crate) after_close: AtomicU64,
}

/// What contexts, calls and threads share of an open ledger.
pub(crate) struct LedgerShared {
    pub(crate) ledger_id: LedgerId,
    pub(crate) arena: Arena,
    pub(crate) clock: Clock,
    pub(crate) id_source: IdSource,
    pub(crate) signal: Signal,
    pub(crate) waiters: Waiters,
    pub(crate) counts: Counts,
    pub(crate) failure: Mutex<Option<String>>,
    /// What found no room, while the disk is full.
    pub(crate) shortage: Mutex<Option<String>>,
    /// Bits of [`FAILED`], [`CLOSED`] and [`NO_ROOM`]; none while the ledger takes all calls.
    state: AtomicU8,
    /// Blocks given up since the last cut.
    filled: AtomicU32,
    group_blocks: u32,
    is_shedding: AtomicBool,
    /// Hash of the scope that wrote most of late; shed first.
    largest_scope: AtomicU64,
    room: (Mutex<()>, Condvar),
    /// Attempts whose completion found no room even in the reserve.
    pub(crate) abandoned: Mutex<Vec<EventId>>,
    /// Records that the ledger makes itself, already encoded.
    pub(crate) own_records: Mutex<Vec<Vec<u8>>>,
    /// How many bytes the log may grow before the cap on disk use; `u64::MAX` without a cap.
    pub(crate) log_room: AtomicU64,
    pub(crate) retention_wake: RetentionWake,
    secret: [u8; 32],
    tenant_keys: Mutex<HashMap<String, [u8; 32]>>,
    /// What the sequencer's event lines say about the program.
    pub(crate) writer_json: Vec<u8>,
    /// Nothing is recorded: `DATASET_EVENTS=off`.
    pub(crate) is_off: bool,
}

/// A record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) UnavailableReason);

impl LedgerShared {
    #[allow(clippy::too_many_arguments, reason = "called by `open` alone")]
    pub(crate) fn new(
        ledger_id: LedgerId,
        arena: Arena,
        clock: Clock,
        id_source: IdSource,
        secret: [u8; 32],
        writer_json: Vec<u8>,
        is_off: bool,
    ) -> Self {
        Self {
            // 1 MiB of records, or a quarter of a small journal.
            group_blocks: (arena.layout().lease_blocks() / 4).clamp(1, 32),
            ledger_id,
            arena,
            clock,
            id_source,
            signal: Signal::default(),
            waiters: Waiters::default(),
            counts: Counts::default(),
            failure: Mutex::new(None),
            shortage: Mutex::new(None),
            state: AtomicU8::new(0),
            filled: AtomicU32::new(0),
            is_shedding: AtomicBool::new(false),
            largest_scope: AtomicU64::new(0),
            room: (Mutex::new(()), Condvar::new()),
            abandoned: Mutex::new(Vec::new()),
            own_records: Mutex::new(Vec::new()),
            log_room: AtomicU64::new(u64::MAX),
            retention_wake: RetentionWake::default(),
            secret,
            tenant_keys: Mutex::new(HashMap::new()),
            writer_json,
            is_off,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether a record can be written without a further question.
    #[inline]
    pub(crate) fn is_plainly_open(&self) -> bool {
        self.arena.is_live()
            && self.state.load(Ordering::Acquire) & CLOSED == 0
            && !self.is_shedding.load(Ordering::Relaxed)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state.load(Ordering::Acquire) & FAILED != 0
    }

    pub(crate) fn set_closed(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Marks the ledger as failed and keeps the first reason.
    pub(crate) fn fail(&self, reason: String) {
        lock(&self.failure).get_or_insert(reason);
        self.state.fetch_or(FAILED, Ordering::AcqRel);
        self.waiters.fail_all();
        self.has_room_again();
    }

    /// Marks the disk as full: `durable` calls are refused until it is not, and nobody waits for it.
    pub(crate) fn lack_room(&self, reason: String) {
        *lock(&self.shortage) = Some(reason);
        self.state.fetch_or(NO_ROOM, Ordering::AcqRel);
        self.waiters.fail_all();
        self.signal.set_stalled(true);
    }

    pub(crate) fn lacks_room(&self) -> bool {
        self.state.load(Ordering::Acquire) & NO_ROOM != 0
    }

    /// Takes the mark of a full disk back; whether there was one.
    pub(crate) fn has_room_again(&self) -> bool {
        if !self.lacks_room() {
            return false;
        }
        self.state.fetch_and(!NO_ROOM, Ordering::AcqRel);
        lock(&self.shortage).take();
        self.signal.set_stalled(false);
        true
    }

    /// Why a `durable` call cannot be taken now, if so.
    pub(crate) fn unavailable(&self) -> Option<UnavailableReason> {
        if !self.arena.is_live() {
            return Some(UnavailableReason::Forked);
        }
        match self.state.load(Ordering::Acquire) {
            0 => None,
            state if state & FAILED != 0 => Some(UnavailableReason::Failed),
            state if state & CLOSED == 0 => Some(UnavailableReason::NoRoom),
            _ => Some(UnavailableReason::Closed),
        }
    }

    /// The key under which values of a tenant are hashed: HMAC-SHA-256 of the tenant under the ledger's
    /// secret.
    pub(crate) fn tenant_key(&self, tenant: &str) -> [u8; 32] {
        if let Some(key) = lock(&self.tenant_keys).get(tenant) {
            return *key;
        }
        let key = derive_key(&self.secret, tenant.as_bytes());
        let mut keys = lock(&self.tenant_keys);
        // A bound on memory, not on correctness: a key that is not kept is derived again.
        if keys.len() >= 10_000 {
            keys.clear();
        }
        keys.insert(tenant.to_owned(), key);
        key
    }

    /// A lease's block is full: the sequencer is woken when they make a group.
    pub(crate) fn block_filled(&self) {
        if self.filled.fetch_add(1, Ordering::Relaxed) + 1 == self.group_blocks {
            self.signal.filling();
        }
    }

    /// The sequencer begins a cut.
    pub(crate) fn cut_begins(&self) {
        self.filled.store(0, Ordering::Relaxed);
    }

    /// Blocks came back: those who wait for room may go on.
    pub(crate) fn room_made(&self, largest_scope: u64) {
        self.largest_scope.store(largest_scope, Ordering::Relaxed);
        if self.is_shedding.load(Ordering::Relaxed) && !self.arena.is_scarce() {
            self.is_shedding.store(false, Ordering::Relaxed);
        }
        let _guard = lock(&self.room.0);
        self.room.1.notify_all();
    }

    /// Ends the shedding when a quarter is free, or when no block is left that could come back: threads
    /// that rest on a block each may hold more than three quarters, and a call may have been refused after
    /// the last block came back.
    pub(crate) fn relax(&self) {
        if self.is_shedding() && (!self.arena.is_scarce() || !self.arena.has_given_up_blocks()) {
            self.is_shedding.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_shedding(&self) -> bool {
        self.is_shedding.load(Ordering::Relaxed)
    }

    /// Writes a record into the journal. When this returns `Ok`, the record survives the process.
    ///
    /// Waits for room within the thread's budget when `may_wait`; a record that finds none is counted
    /// as a loss of its scope (a completion as soon as it is refused, an attempt never: its completion
    /// still follows).
    pub(crate) fn publish(
        self: &Arc<Self>,
        record: &mut Record<'_>,
        may_wait: bool,
    ) -> Result<Place, Refused> {
        if !self.arena.is_live() {
            return Err(Refused(UnavailableReason::Forked));
        }
        if self.is_closed() {
            self.counts.after_close.fetch_add(1, Ordering::Relaxed);
            warn_once_after_close();
            return Err(Refused(UnavailableReason::Closed));
        }
        let urgency = if record.flags & flag::HAS_ATTEMPT != 0 && record.kind == Kind::Completion {
            Urgency::Completion
        } else {
            Urgency::Normal
        };
        let is_shed_first = urgency == Urgency::Normal && self.is_shed_first(record);
        if !is_shed_first {
            if let Some(place) = self.try_append(record, urgency) {
                return Ok(place);
            }
            if may_wait && let Some(place) = self.wait_for_room(record, urgency) {
                return Ok(place);
            }
        }
        self.is_shedding.store(true, Ordering::Relaxed);
        if record.kind == Kind::Completion {
            if urgency == Urgency::Completion {
                // The attempt stands in the journal: the event will read `interrupted`.
                lock(&self.abandoned).push(record.event_id);
            } else {
                self.counts.shed.fetch_add(1, Ordering::Relaxed);
                self.arena.count_loss(
                    record.tenant().as_bytes(),
                    record.env().as_bytes(),
                    self.clock.cut_ticks(),
                );
            }
        }
        self.signal.filling();
        Err(Refused(UnavailableReason::Overloaded))
    }

    /// Whether a record is of the scope that wrote most, while the journal is over half full and sheds.
    fn is_shed_first(&self, record: &Record<'_>) -> bool {
        self.is_shedding.load(Ordering::Relaxed)
            && self.arena.is_half_full()
            && self.largest_scope.load(Ordering::Relaxed)
                == scope_hash(record.tenant().as_bytes(), record.env().as_bytes())
    }

    /// Writes the completion of a call without an attempt, if that can be done at once.
    ///
    /// Never waits for room. What is refused is no loss: whoever asks keeps it.
    pub(crate) fn try_publish(self: &Arc<Self>, record: &mut Record<'_>) -> Result<Place, Refused> {
        if !self.arena.is_live() {
            return Err(Refused(UnavailableReason::Forked));
        }
        if self.is_closed() {
            return Err(Refused(UnavailableReason::Closed));
        }
        if !self.is_shed_first(record)
            && let Some(place) = self.try_append(record, Urgency::Normal)
        {
            return Ok(place);
        }
        self.signal.filling();
        Err(Refused(UnavailableReason::Overloaded))
    }

    #[inline]
    fn try_append(self: &Arc<Self>, record: &mut Record<'_>, urgency: Urgency) -> Option<Place> {
        if record.len() > MAX_SMALL_RECORD_BYTES {
            return self.arena.append_run(record, &self.clock);
        }
        match lease::with(self, |lease| lease.append(record, urgency)) {
            Some(place) => place,
            // The thread is going down: a shared block needs nothing of the thread.
            None => self.arena.append_shared(0, record, &self.clock, urgency),
        }
    }

    #[cold]
    fn wait_for_room(self: &Arc<Self>, record: &mut Record<'_>, urgency: Urgency) -> Option<Place> {
        if self.is_shedding.load(Ordering::Relaxed) && urgency == Urgency::Normal {
            return None;
        }
        let start = Instant::now();
        let budget = lease::with(self, |lease| lease.wait_budget(start)).unwrap_or_default();
        let mut place = None;
        self.counts.waits.fetch_add(1, Ordering::Relaxed);
        while place.is_none() {
            let left = budget.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            self.signal.filling();
            let guard = lock(&self.room.0);
            let _ = self.room.1.wait_timeout(guard, left.min(Duration::from_millis(10)));
            place = self.try_append(record, urgency);
        }
        let waited = start.elapsed();
        lease::with(self, |lease| lease.count_wait(waited));
        place
    }

    /// Registers a waiter for the fsync of the record of `event_id`, attempt or completion.
    pub(crate) fn await_durable(&self, event_id: EventId, kind: Kind) -> Arc<DurableSlot> {
        self.waiters.register(event_id, kind)
    }

    /// Records an event of the ledger's own, in `$system` or, for a loss, in the scope it tells of.
    pub(crate) fn own_event(&self, own: &OwnEvent<'_>) {
        lock(&self.own_records).push(encode_own(own, &self.clock, &self.id_source));
    }
}

/// An event of the ledger's own.
pub(crate) struct OwnEvent<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) env: &'a str,
    pub(crate) surface: &'a str,
    pub(crate) outcome: crate::event::Outcome,
    /// Empty for `ok`.
    pub(crate) code: &'a str,
    /// A JSON object.
    pub(crate) input: &'a str,
}

impl<'a> OwnEvent<'a> {
    /// An `ok` event in the ledger's own scope.
    pub(crate) fn system(surface: &'a str, input: &'a str) -> Self {
        Self {
            tenant: "$system",
            env: "$system",
            surface,
            outcome: crate::event::Outcome::Ok,
            code: "",
            input,
        }
    }
}

/// The record of an event of the ledger's own.
pub(crate) fn encode_own(own: &OwnEvent<'_>, clock: &Clock, ids: &IdSource) -> Vec<u8> {
    let ticks = clock.end_ticks();
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(own.tenant.as_bytes());
    head.extend_from_slice(own.env.as_bytes());
    crate::context::write_fragment(
        &mut head,
        &crate::context::FragmentParts {
            actor_type: crate::event::ActorType::System,
            user_id: None,
            auth_subject: None,
            on_behalf_of: None,
            client_ip: None,
            user_agent: None,
            request_id: crate::id_source::request_id(Some(ids)).as_str(),
            trace_id: crate::id_source::trace_id(Some(ids)),
        },
    );
    head.extend_from_slice(own.surface.as_bytes());
    let (event_id, span_id) = ids.call_ids(clock.unix_ms(ticks));
    let record = Record {
        kind: Kind::Completion,
        outcome: own.outcome,
        access: crate::surface::Access::Write,
        guarantee: crate::surface::Guarantee::Recorded,
        flags: 0,
        cause: None,
        synthesized: crate::context::Synthesized::REQUEST_ID | crate::context::Synthesized::TRACE_ID,
        completed_ticks: ticks,
        started_ticks: ticks,
        event_id,
        span_id: u64::from_be_bytes(span_id.to_bytes()),
        parent_span_id: 0,
        items: NO_ITEMS,
        tenant_len: own.tenant.len() as u8,
        env_len: own.env.len() as u8,
        surface_len: own.surface.len() as u8,
        head: &head,
        prefix_sum: None,
        code: own.code.as_bytes(),
        message: b"",
        source_refs: b"",
        changes: b"",
        input: own.input.as_bytes(),
        output: b"",
    };
    let mut bytes = vec![0; record.len() - 4];
    record.encode(&mut bytes, 0);
    bytes
}

/// HMAC-SHA-256.
pub(crate) fn derive_key(secret: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cold]
fn warn_once_after_close() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        eprintln!(
            "dataset-events: a call was made after its ledger was closed; its event is not recorded. \
             Keep the `Ledger` alive until the last call has returned."
        );
    }
}

impl std::fmt::Debug for LedgerShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerShared").field("ledger_id", &self.ledger_id).finish_non_exhaustive()
    }
}
