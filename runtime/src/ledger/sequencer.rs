//! The sequencer: cuts groups out of the journal, puts them in causal order, and makes their lines.
//!
//! # Order
//!
//! A cut takes its time `T` before it looks at any block, and takes only records completed at or before
//! `T`, sorted by completion time. A call that returned before another began completed earlier, and its
//! record was visible before `T`: so it is in the same group and earlier in it, or in an earlier group.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::full_disk::tell_failed;
use super::shared::{LedgerShared, OwnEvent, lock};
use super::waiters::{DurableSlot, Settled};
use crate::clock::Anchor;
use crate::context::Synthesized;
use crate::event::{InterruptCause, Outcome};
use crate::ids::{EventId, Scope};
use crate::journal::arena::{Arena, Place};
use crate::journal::control::scope_hash;
use crate::journal::record::{Kind, Record, flag};
use crate::log::LogPosition;
use crate::log::encode::{LineParts, StoredAttempt, append_event, write_attempt};
use crate::log::head_table::OpenAttempt;
use crate::log::heads::{Head, Heads};

/// A group is handed to the writer when its lines reach this size; a cut may make several.
pub(crate) const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Lines on their way to the disk, and what follows once they are there.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: u64,
    /// The streams that moved, with their newest heads.
    pub(crate) heads: Vec<(Scope, Head)>,
    pub(crate) waiters: Vec<Arc<DurableSlot>>,
    pub(crate) after: AfterGroup,
}

/// What the journal learns when a group is durable.
#[derive(Default)]
pub(crate) struct AfterGroup {
    /// Attempts whose event is in the log now.
    pub(crate) closed: Vec<Place>,
    /// How far blocks that stay leased are in the log.
    pub(crate) consumed: Vec<Place>,
    /// Blocks that are in the log as a whole.
    pub(crate) freed: Vec<u32>,
    /// Losses that are told of now: slot, count.
    pub(crate) reported: Vec<(u32, u64)>,
    /// The number of the cut that is complete with this group; 0 when it is not the last.
    pub(crate) cut: u64,
    pub(crate) largest_scope: u64,
}

impl Drop for Group {
    /// A group that goes under with its thread: those who wait for it are told.
    fn drop(&mut self) {
        for waiter in self.waiters.drain(..) {
            waiter.settle(Settled::Failed);
        }
    }
}

impl Group {
    /// Whether nothing follows from the group.
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
            && self.waiters.is_empty()
            && self.after.closed.is_empty()
            && self.after.consumed.is_empty()
            && self.after.freed.is_empty()
    }
}

/// What the sequencer asks of the writer.
pub(crate) enum Order {
    Group(Box<Group>),
    /// The segment is full.
    Rotate(Vec<OpenAttempt>),
    Close(Vec<OpenAttempt>),
}

/// An attempt whose event is not in the log.
enum Open {
    /// It stands in the journal alone.
    Journal(Place),
    /// Its block was, or may soon be, given back: it stands in the log as a line of its own.
    Logged { position: LogPosition, line: Box<[u8]> },
}

/// How far a block has been read.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The lease that it belongs to.
    generation: u64,
    /// Behind the last record taken.
    offset: u32,
    /// Everything in the block has been taken; it is to be freed.
    is_done: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RecordRef {
    ticks: u64,
    /// [`OWN`] for a record that the ledger made itself.
    block: u32,
    offset: u32,
}

const OWN: u32 = u32::MAX;

/// Buffers that the writer gives back.
pub(crate) type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) struct Sequencer {
    pub(crate) shared: Arc<LedgerShared>,
    pub(crate) heads: Heads,
    pub(crate) position: LogPosition,
    pub(crate) segment_bytes: u64,
    pub(crate) interval: Duration,
    pub(crate) to_writer: SyncSender<Order>,
    pub(crate) buffers: Buffers,
    pub(crate) state: SequencerState,
    /// The newest cut that went to the writer.
    pub(crate) handed_cut: u64,
    pub(crate) is_closing: bool,
}

/// What the sequencer keeps from cut to cut.
pub(crate) struct SequencerState {
    open: HashMap<EventId, Open>,
    /// Completions that came before their attempt.
    early: HashSet<EventId>,
    /// By block.
    cursors: Vec<Cursor>,
    /// By block: attempts in it that are open and not in the log.
    open_in_block: Vec<u32>,
    refs: Vec<RecordRef>,
    own: Vec<Vec<u8>>,
    group: Box<Group>,
    recent_bytes: HashMap<u64, u64>,
    /// Losses told of in lines that are not durable yet, by slot.
    telling: HashMap<u32, u64>,
}

impl SequencerState {
    /// The state before the first cut.
    pub(crate) fn new(arena: &Arena) -> Self {
        let blocks = arena.layout().blocks as usize;
        Self {
            open: HashMap::new(),
            early: HashSet::new(),
            cursors: vec![Cursor::default(); blocks],
            open_in_block: vec![0; blocks],
            refs: Vec::new(),
            own: Vec::new(),
            group: Box::default(),
            recent_bytes: HashMap::new(),
            telling: HashMap::new(),
        }
    }
}

impl Sequencer {
    /// Runs until the ledger is closed or the writer is gone.
    pub(crate) fn run(mut self) {
        loop {
            let wake = self.shared.signal.wait(self.interval);
            if wake.is_closing {
                self.shared.arena.retire_stripes();
            }
            self.is_closing = wake.is_closing;
            if self.shared.has_failed() {
                // What is in the journal stays there for the reopen.
                self.shared.signal.cut_done(wake.wanted_cut);
            } else if self.cut(wake.wanted_cut).is_none() {
                break;
            }
            if wake.is_closing {
                let attempts = self.open_attempts();
                let _ = self.to_writer.send(Order::Close(attempts));
                break;
            }
        }
    }

    /// Takes one cut; `None` when the writer is gone.
    fn cut(&mut self, wanted: u64) -> Option<()> {
        let shared = Arc::clone(&self.shared);
        shared.cut_begins();
        let step_ns = shared.clock.renew_anchor();
        if step_ns.abs() > 1_000_000_000 {
            let input = format!("{{\"step_ms\":{}}}", step_ns / 1_000_000);
            shared.own_event(&OwnEvent::system("ledger.clock_stepped", &input));
        }
        let anchor = shared.clock.anchor();
        shared.arena.control().set_anchor(anchor);
        shared.relax();
        let reported = self.tell_losses();
        // Own records first, then the cut time: they were made before it.
        let own = std::mem::take(&mut *lock(&shared.own_records));
        let cut_ticks = shared.clock.cut_ticks();
        let mut freed = Vec::new();
        let mut consumed = Vec::new();
        self.collect(&shared.arena, cut_ticks, own, &mut freed, &mut consumed);
        let refs = std::mem::take(&mut self.state.refs);
        for one in &refs {
            self.take_record(&shared, *one, anchor)?;
        }
        self.state.refs = refs;
        self.state.refs.clear();
        self.settle_abandoned(&shared, anchor)?;
        let moving = if self.is_closing {
            shared.arena.used_blocks().map(|(block, ..)| block).collect()
        } else {
            freed.clone()
        };
        self.log_open_attempts_of(&moving, anchor)?;
        let largest_scope = self.largest_scope();
        let after = &mut self.state.group.after;
        after.freed = freed;
        after.consumed = consumed;
        // With the last group of the cut, and so behind the events that tell of the losses.
        after.reported = reported;
        after.cut = wanted;
        after.largest_scope = largest_scope;
        if self.state.group.is_empty() && wanted == self.handed_cut {
            return Some(());
        }
        self.handed_cut = wanted;
        shared.counts.open_attempts.store(self.state.open.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.hand_over()
    }

    /// Finds the records to take, and sorts them.
    fn collect(
        &mut self,
        arena: &Arena,
        cut_ticks: u64,
        own: Vec<Vec<u8>>,
        freed: &mut Vec<u32>,
        consumed: &mut Vec<Place>,
    ) {
        let state = &mut self.state;
        state.refs.clear();
        for (block, generation, is_given_up) in arena.used_blocks() {
            let cursor = &mut state.cursors[block as usize];
            if cursor.generation != generation {
                *cursor = Cursor { generation, offset: Arena::FIRST_OFFSET, is_done: false };
            }
            if cursor.is_done {
                // Its last group is on the way to the disk.
                continue;
            }
            let start = cursor.offset;
            let mut offset = start;
            let mut has_later = false;
            while let Some((bytes, behind)) = arena.published(Place { block, offset }) {
                let ticks = Record::completed_ticks_of(bytes);
                if ticks > cut_ticks {
                    has_later = true;
                    break;
                }
                state.refs.push(RecordRef { ticks, block, offset });
                offset = behind;
            }
            cursor.offset = offset;
            if is_given_up && !has_later {
                cursor.is_done = true;
                freed.push(block);
            } else if offset != start {
                consumed.push(Place { block, offset });
            }
        }
        for (at, bytes) in own.iter().enumerate() {
            let ticks = Record::completed_ticks_of(bytes);
            state.refs.push(RecordRef { ticks, block: OWN, offset: at as u32 });
        }
        state.own = own;
        state.refs.sort_unstable();
    }

    /// Makes the lines of one record.
    fn take_record(&mut self, shared: &Arc<LedgerShared>, one: RecordRef, anchor: Anchor) -> Option<()> {
        let place = Place { block: one.block, offset: one.offset };
        let own;
        let bytes = if one.block == OWN {
            own = std::mem::take(&mut self.state.own[one.offset as usize]);
            &own
        } else {
            shared.arena.record_bytes(place)
        };
        let Some(record) = Record::decode(bytes, None) else {
            shared.fail(format!("journal block {} holds a damaged record at {}", place.block, place.offset));
            return Some(());
        };
        match record.kind {
            Kind::Attempt => self.take_attempt(shared, &record, place, anchor),
            Kind::Completion => {
                if record.flags & flag::HAS_ATTEMPT != 0 {
                    self.close_attempt(record.event_id);
                }
                if record.flags & flag::IS_AWAITED != 0
                    && let Some(waiter) = shared.waiters.take(record.event_id, Kind::Completion)
                {
                    self.state.group.waiters.push(waiter);
                }
                let started_at = anchor.wall_us(record.started_ticks);
                let duration_ns =
                    anchor.ticks_to_ns(record.completed_ticks.saturating_sub(record.started_ticks));
                let parts = LineParts::of(&record, started_at, duration_ns, &shared.writer_json);
                self.write_event(&parts, anchor.wall_us(record.completed_ticks));
            }
        }
        self.hand_over_when_full()
    }

    fn take_attempt(&mut self, shared: &LedgerShared, record: &Record<'_>, place: Place, anchor: Anchor) {
        if self.state.early.remove(&record.event_id) {
            self.state.group.after.closed.push(place);
            return;
        }
        if record.flags & flag::IS_AWAITED != 0 {
            let entry = self.log_attempt(record, anchor);
            self.state.open.insert(record.event_id, entry);
            self.state.group.after.closed.push(place);
            if let Some(waiter) = shared.waiters.take(record.event_id, Kind::Attempt) {
                self.state.group.waiters.push(waiter);
            }
        } else {
            self.state.open_in_block[place.block as usize] += 1;
            self.state.open.insert(record.event_id, Open::Journal(place));
        }
    }

    fn close_attempt(&mut self, event_id: EventId) -> Option<Open> {
        let entry = self.state.open.remove(&event_id);
        match &entry {
            Some(Open::Journal(place)) => {
                self.state.open_in_block[place.block as usize] -= 1;
                self.state.group.after.closed.push(*place);
            }
            Some(Open::Logged { .. }) => {}
            None => {
                self.state.early.insert(event_id);
            }
        }
        entry
    }

    /// Writes an attempt line, so that the attempt can outlive its block.
    fn log_attempt(&mut self, record: &Record<'_>, anchor: Anchor) -> Open {
        let shared = Arc::clone(&self.shared);
        let at = anchor.wall_us(record.started_ticks);
        let parts = LineParts::of(record, at, 0, &shared.writer_json);
        let bytes = &mut self.state.group.bytes;
        let start = bytes.len();
        write_attempt(bytes, shared.ledger_id, &parts, anchor.wall_us(record.completed_ticks));
        let line = bytes[start..].into();
        bytes.push(b'\n');
        let position = LogPosition { offset: self.position.offset + start as u64, ..self.position };
        Open::Logged { position, line }
    }

    /// Before blocks go back: attempts in them that are still open move to the log.
    fn log_open_attempts_of(&mut self, freed: &[u32], anchor: Anchor) -> Option<()> {
        if freed.iter().all(|block| self.state.open_in_block[*block as usize] == 0) {
            return Some(());
        }
        let shared = Arc::clone(&self.shared);
        let mut moving: Vec<(EventId, Place)> = self
            .state
            .open
            .iter()
            .filter_map(|(event_id, entry)| match entry {
                Open::Journal(place) if freed.contains(&place.block) => Some((*event_id, *place)),
                _ => None,
            })
            .collect();
        moving.sort_unstable_by_key(|(_, place)| (place.block, place.offset));
        for (event_id, place) in moving {
            if let Some(record) = Record::decode(shared.arena.record_bytes(place), None) {
                let entry = self.log_attempt(&record, anchor);
                self.state.open.insert(event_id, entry);
                self.state.group.after.closed.push(place);
                self.state.open_in_block[place.block as usize] -= 1;
                self.hand_over_when_full()?;
            }
        }
        Some(())
    }

    /// Attempts whose completion found no room: their event says so.
    fn settle_abandoned(&mut self, shared: &Arc<LedgerShared>, anchor: Anchor) -> Option<()> {
        let abandoned = std::mem::take(&mut *lock(&shared.abandoned));
        for event_id in abandoned {
            match self.close_attempt(event_id) {
                Some(Open::Journal(place)) => {
                    if let Some(record) = Record::decode(shared.arena.record_bytes(place), None) {
                        let started_at = anchor.wall_us(record.started_ticks);
                        let parts = LineParts::of(&record, started_at, 0, &shared.writer_json)
                            .interrupted(InterruptCause::Ledger);
                        self.write_event(&parts, anchor.wall_us(record.completed_ticks));
                    }
                }
                Some(Open::Logged { line, .. }) => {
                    if let Some(stored) = StoredAttempt::parse(&line) {
                        let parts = stored.parts.interrupted(InterruptCause::Ledger);
                        self.write_event(&parts, stored.recorded_at);
                    }
                }
                // Its attempt is not in the journal yet; it comes with a later cut.
                None => {
                    self.state.early.remove(&event_id);
                    lock(&shared.abandoned).push(event_id);
                }
            }
            self.hand_over_when_full()?;
        }
        Some(())
    }

    /// Gives a line its place in its stream.
    fn write_event(&mut self, parts: &LineParts<'_>, recorded_at: i64) {
        let group = &mut *self.state.group;
        let start = group.bytes.len();
        if !append_event(&mut group.bytes, &mut self.heads, self.shared.ledger_id, parts, recorded_at) {
            self.shared.fail(format!("a record names a scope that cannot be: {:?}", parts.tenant));
            return;
        }
        let scope = scope_hash(parts.tenant.as_bytes(), parts.env.as_bytes());
        *self.state.recent_bytes.entry(scope).or_default() += (group.bytes.len() - start) as u64;
        group.events += 1;
        if parts.synthesized & Synthesized::SCOPE != 0 {
            self.shared.counts.synthesized_scopes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        // The ledger's own events have no request.
        if parts.synthesized != 0 && !parts.surface.starts_with("ledger.") {
            let counts = &self.shared.counts;
            let add = |count: &std::sync::atomic::AtomicU64, bits: u8| {
                let is_so = parts.synthesized & bits != 0;
                count.fetch_add(u64::from(is_so), std::sync::atomic::Ordering::Relaxed);
            };
            add(&counts.synthesized, Synthesized::REQUEST_ID | Synthesized::TRACE_ID);
            add(&counts.synthesized_request_ids, Synthesized::REQUEST_ID);
            add(&counts.synthesized_trace_ids, Synthesized::TRACE_ID);
        }
    }

    /// Once the pressure is off, losses become events that add up to what was lost.
    ///
    /// Returns what is told (slot, count), to be settled when the events are durable.
    fn tell_losses(&mut self) -> Vec<(u32, u64)> {
        let shared = &self.shared;
        let mut reported = Vec::new();
        if shared.is_shedding() && !self.is_closing {
            return reported;
        }
        let control = shared.arena.control();
        let anchor = shared.clock.anchor();
        for loss in control.unreported_losses() {
            let told = self.state.telling.get(&loss.slot).copied().unwrap_or_default().max(loss.reported);
            if told >= loss.lost {
                continue;
            }
            shared.own_event(&gap_event(&loss, told, anchor, &mut String::new()));
            self.state.telling.insert(loss.slot, loss.lost);
            reported.push((loss.slot, loss.lost));
        }
        reported
    }

    /// The scope that wrote most of late, forgetting half at each cut.
    fn largest_scope(&mut self) -> u64 {
        let largest = self.state.recent_bytes.iter().max_by_key(|(scope, bytes)| (**bytes, **scope));
        let largest = largest.map_or(0, |(scope, _)| *scope);
        self.state.recent_bytes.retain(|_, bytes| {
            *bytes /= 2;
            *bytes > 0
        });
        largest
    }

    fn hand_over_when_full(&mut self) -> Option<()> {
        if self.state.group.bytes.len() >= GROUP_BYTES { self.hand_over() } else { Some(()) }
    }

    /// Gives the group to the writer; the segment ends when it is long enough.
    fn hand_over(&mut self) -> Option<()> {
        let moved: Vec<_> = self.heads.moved_streams().to_vec();
        let heads: Vec<_> =
            moved.into_iter().map(|id| (self.heads.scope(id).clone(), *self.heads.head(id))).collect();
        self.heads.clear_moved();
        let mut next = Box::<Group>::default();
        next.bytes = lock(&self.buffers).pop().unwrap_or_default();
        let mut group = std::mem::replace(&mut self.state.group, next);
        group.heads = heads;
        self.position.offset += group.bytes.len() as u64;
        if self.shared.lacks_room() {
            // The writer will not look at it before there is room.
            tell_failed(&mut group.waiters);
        }
        self.shared.signal.writer_begins();
        self.to_writer.send(Order::Group(group)).ok()?;
        if self.position.offset >= self.segment_bytes {
            let attempts = self.open_attempts();
            self.shared.signal.writer_begins();
            self.to_writer.send(Order::Rotate(attempts)).ok()?;
            self.position = LogPosition { segment: self.position.segment + 1, offset: 0 };
        }
        Some(())
    }

    fn open_attempts(&self) -> Vec<OpenAttempt> {
        let logged = self.state.open.iter().filter_map(|(event_id, entry)| match entry {
            Open::Logged { position, .. } => Some(OpenAttempt { event_id: *event_id, position: *position }),
            Open::Journal(_) => None,
        });
        logged.collect()
    }
}

/// The event that tells of lost calls of a scope; of all scopes without a slot of their own, in `$system`.
pub(crate) fn gap_event<'a>(
    loss: &'a crate::journal::control::Loss,
    told: u64,
    anchor: Anchor,
    input: &'a mut String,
) -> OwnEvent<'a> {
    *input = format!(
        "{{\"lost\":{},\"lost_total\":{},\"slot\":{},\"first_at\":{},\"last_at\":{}}}",
        loss.lost - told,
        loss.lost,
        loss.slot,
        anchor.wall_us(loss.first_ticks),
        anchor.wall_us(loss.last_ticks),
    );
    let is_own_slot = !loss.tenant.is_empty();
    OwnEvent {
        tenant: if is_own_slot { &loss.tenant } else { "$system" },
        env: if is_own_slot { &loss.env } else { "$system" },
        surface: "ledger.gap",
        outcome: Outcome::Error,
        code: "ledger.overloaded",
        input,
    }
}

#[cfg(test)]
mod tests;
