//! The blocks: who may write which, how a record becomes visible, how a block comes back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::control::{Control, Layout, pack, unpack};
use super::os::{LiveWord, Mapping};
use super::record::{Record, checksum_key};
use super::{BLOCK_BYTES, BLOCK_HEADER_BYTES, MAX_SMALL_RECORD_BYTES};
use crate::clock::Clock;
use crate::ids::LedgerId;
use crate::log::LogPosition;

const BLOCK_MAGIC: u32 = 0x4b4c_4231;
const STRIPES: usize = 16;

const FREE: u32 = 0;
const LEASED: u32 = 1;
const RETIRED: u32 = 2;
/// A block of a run that is not its first.
const RUN_TAIL: u32 = 3;

/// Set in the length word of an attempt that needs no look any more. Lengths are multiples of 8.
const CLOSED_BIT: u32 = 1;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: u32,
    pub(crate) offset: u32,
}

/// A block that one owner writes.
#[derive(Debug)]
pub(crate) struct OpenBlock {
    pub(crate) block: u32,
    generation: u64,
    offset: usize,
    capacity: usize,
    /// One of the blocks that are kept for completions of attempts.
    is_kept: bool,
}

/// How scarce blocks are for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A new call, or a completion that no attempt stands before.
    Normal,
    /// The completion of an attempt: it may take the blocks that are kept back for it.
    Completion,
}

/// The mapped blocks and who holds them.
pub(crate) struct Arena {
    mapping: Mapping,
    layout: Layout,
    ledger_key: u64,
    live: LiveWord,
    states: Box<[AtomicU32]>,
    /// The free list: a stack through `next`, its head tagged against reuse between read and swap.
    next: Box<[AtomicU32]>,
    head: AtomicU64,
    free: AtomicU32,
    generation: AtomicU64,
    runs: Mutex<()>,
    stripes: [Mutex<Option<OpenBlock>>; STRIPES],
    loss_lock: Mutex<()>,
    next_counter_slot: AtomicU32,
}

const NONE: u32 = u32::MAX;

impl Arena {
    /// Takes over a mapping whose control area is formatted. All blocks become free.
    pub(crate) fn new(
        mapping: Mapping,
        layout: Layout,
        ledger_id: LedgerId,
        epoch: u64,
    ) -> std::io::Result<Self> {
        let count = layout.blocks as usize;
        let arena = Self {
            layout,
            ledger_key: ledger_key(ledger_id),
            live: LiveWord::new()?,
            states: (0..count).map(|_| AtomicU32::new(FREE)).collect(),
            next: (0..count).map(|_| AtomicU32::new(NONE)).collect(),
            head: AtomicU64::new(u64::from(NONE)),
            free: AtomicU32::new(0),
            generation: AtomicU64::new(epoch << 32),
            runs: Mutex::new(()),
            stripes: [const { Mutex::new(None) }; STRIPES],
            loss_lock: Mutex::new(()),
            next_counter_slot: AtomicU32::new(0),
            mapping,
        };
        arena.mapping.populate(0, layout.bytes);
        for block in (0..layout.blocks).rev() {
            arena.header_word(block, 8).store(0, Ordering::Relaxed);
            if block < layout.lease_blocks() {
                arena.push_free(block);
            }
        }
        Ok(arena)
    }

    pub(crate) fn control(&self) -> Control<'_> {
        Control::new(&self.mapping, self.layout)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether this is the process that opened the ledger; a forked child must not go on.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_live()
    }

    pub(crate) fn counter_slot(&self) -> u32 {
        self.next_counter_slot.fetch_add(1, Ordering::Relaxed) % self.layout.counter_slots
    }

    /// Blocks that threads can lease now.
    pub(crate) fn free_blocks(&self) -> u32 {
        self.free.load(Ordering::Relaxed)
    }

    pub(crate) fn count_loss(&self, tenant: &[u8], env: &[u8], at_ticks: u64) {
        self.control().count_loss(&self.loss_lock, tenant, env, at_ticks);
    }

    fn at(&self, block: u32, offset: usize) -> *mut u8 {
        debug_assert!(block < self.layout.blocks);
        let at = self.layout.block_at(block) + offset;
        debug_assert!(at < self.mapping.len());
        // SAFETY: inside the mapping.
        unsafe { self.mapping.base().add(at) }
    }

    fn header_word(&self, block: u32, at: usize) -> &AtomicU64 {
        // SAFETY: block headers are aligned to 32 KiB and accessed as atomics only.
        unsafe { &*self.at(block, at).cast::<AtomicU64>() }
    }

    fn length_word(&self, block: u32, offset: usize) -> &AtomicU32 {
        debug_assert!(offset.is_multiple_of(8));
        // SAFETY: records begin at multiples of 8; their first word is accessed as an atomic only.
        unsafe { &*self.at(block, offset).cast::<AtomicU32>() }
    }

    fn push_free(&self, block: u32) {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            self.next[block as usize].store(head as u32, Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(block);
            match self.head.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        self.free.fetch_add(1, Ordering::AcqRel);
    }

    fn pop_free(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let block = head as u32;
            if block == NONE {
                return None;
            }
            let next = self.next[block as usize].load(Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            match self.head.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.free.fetch_sub(1, Ordering::AcqRel);
                    return Some(block);
                }
                Err(now) => head = now,
            }
        }
    }

    /// Blocks kept back so that attempts can complete: a sixteenth, at least one.
    fn reserve(&self) -> u32 {
        (self.layout.lease_blocks() / 16).max(1)
    }

    /// Whether so few blocks are free that threads share them.
    pub(crate) fn is_scarce(&self) -> bool {
        self.free_blocks() < self.layout.lease_blocks() / 4
    }

    /// Whether more than half of the blocks are in use.
    pub(crate) fn is_half_full(&self) -> bool {
        self.free_blocks() < self.layout.lease_blocks() / 2
    }

    fn open(&self, block: u32, run: u32, state: u32) -> OpenBlock {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.length_word(block, BLOCK_HEADER_BYTES).store(0, Ordering::Relaxed);
        self.header_word(block, 0).store(u64::from(run) << 32 | u64::from(BLOCK_MAGIC), Ordering::Relaxed);
        let durable = pack(self.control().durable());
        self.header_word(block, 16).store(durable, Ordering::Relaxed);
        self.header_word(block, 24).store(0, Ordering::Relaxed);
        self.header_word(block, 32).store(durable, Ordering::Relaxed);
        // The generation last: a header is read by recovery only when it is whole.
        self.header_word(block, 8).store(generation, Ordering::Release);
        self.states[block as usize].store(state, Ordering::Release);
        let capacity = run as usize * BLOCK_BYTES;
        OpenBlock { block, generation, offset: BLOCK_HEADER_BYTES, capacity, is_kept: false }
    }

    /// Leases a free block; `None` when there is none for this urgency.
    pub(crate) fn lease(&self, urgency: Urgency) -> Option<OpenBlock> {
        let is_kept = self.free_blocks() <= self.reserve();
        if is_kept && urgency == Urgency::Normal {
            return None;
        }
        Some(OpenBlock { is_kept, ..self.open(self.pop_free()?, 1, LEASED) })
    }

    /// Gives a block up: nothing more is written to it.
    pub(crate) fn retire(&self, open: OpenBlock) {
        self.states[open.block as usize].store(RETIRED, Ordering::Release);
    }

    /// Writes and publishes a record behind the last one; `None` when the block has no room.
    pub(crate) fn append(
        &self,
        open: &mut OpenBlock,
        record: &mut Record<'_>,
        clock: &Clock,
    ) -> Option<Place> {
        self.append_here(open, record, clock)
    }

    /// [`append`](Self::append) as a part of its caller, which then need not build the record in memory.
    #[inline(always)]
    pub(crate) fn append_here(
        &self,
        open: &mut OpenBlock,
        record: &mut Record<'_>,
        clock: &Clock,
    ) -> Option<Place> {
        let len = record.len();
        let end = open.offset + len;
        if end > open.capacity {
            return None;
        }
        if end < open.capacity {
            // The word that says what follows must read 0 before this record can be seen.
            self.length_word(open.block, end).store(0, Ordering::Relaxed);
        }
        // A record that was kept for this ledger brings the time at which its call ended.
        if record.completed_ticks == 0 {
            record.completed_ticks = clock.end_ticks();
        }
        let key = checksum_key(self.ledger_key, open.block, open.generation, open.offset as u32, len as u32);
        // SAFETY: invariant 2: this owner alone writes the block; invariant 3: no reader looks behind a
        // length word of 0, so these bytes are seen by nobody until the store below. The length word
        // itself is not part of the slice.
        let place = unsafe { std::slice::from_raw_parts_mut(self.at(open.block, open.offset + 4), len - 4) };
        record.encode(place, key);
        self.length_word(open.block, open.offset).store(len as u32, Ordering::Release);
        let place = Place { block: open.block, offset: open.offset as u32 };
        open.offset = end;
        Some(place)
    }

    /// Writes a record into a block that several threads share.
    pub(crate) fn append_shared(
        &self,
        stripe: u32,
        record: &mut Record<'_>,
        clock: &Clock,
        urgency: Urgency,
    ) -> Option<Place> {
        let own = stripe as usize % STRIPES;
        let is_for = |block: &OpenBlock| !block.is_kept || urgency == Urgency::Completion;
        {
            let mut open = self.stripe(own);
            if let Some(block) = open.as_mut().filter(|block| is_for(block)) {
                let place = self.append(block, record, clock);
                if place.is_some() {
                    return place;
                }
            }
            if let Some(full) = open.take_if(|block| is_for(block)) {
                self.retire(full);
            }
            if let Some(mut block) = self.lease(urgency) {
                let place = self.append(&mut block, record, clock);
                if let Some(kept) = open.replace(block) {
                    self.retire(kept);
                }
                return place;
            }
        }
        // When blocks are scarcer than stripes, others may have one with room.
        (1..STRIPES).find_map(|step| {
            let mut open = self.stripe((own + step) % STRIPES);
            let block = open.as_mut().filter(|block| is_for(block))?;
            self.append(block, record, clock)
        })
    }

    fn stripe(&self, at: usize) -> MutexGuard<'_, Option<OpenBlock>> {
        self.stripes[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record over 16 KiB into a run of blocks of its own.
    pub(crate) fn append_run(&self, record: &mut Record<'_>, clock: &Clock) -> Option<Place> {
        debug_assert!(record.len() > MAX_SMALL_RECORD_BYTES);
        let run = (BLOCK_HEADER_BYTES + record.len()).div_ceil(BLOCK_BYTES) as u32;
        let first = {
            let _claim = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            let first = self.find_run(run)?;
            for block in first..first + run {
                self.states[block as usize].store(RUN_TAIL, Ordering::Relaxed);
            }
            first
        };
        let mut open = self.open(first, run, LEASED);
        let place = self.append(&mut open, record, clock);
        self.retire(open);
        place
    }

    fn find_run(&self, run: u32) -> Option<u32> {
        let mut first = self.layout.lease_blocks();
        let mut block = first;
        while block < self.layout.blocks {
            if self.states[block as usize].load(Ordering::Acquire) != FREE {
                first = block + 1;
            } else if block + 1 - first == run {
                return Some(first);
            }
            block += 1;
        }
        None
    }

    /// The blocks that may hold records: (block, its lease, whether nothing more will be written to it).
    ///
    /// The flag is read before the caller looks for records, so that a block reported as given up holds
    /// nothing beyond what the caller then finds.
    pub(crate) fn used_blocks(&self) -> impl Iterator<Item = (u32, u64, bool)> {
        (0..self.layout.blocks).filter_map(|block| self.lease_of(block))
    }

    /// Whether blocks are on their way back.
    pub(crate) fn has_given_up_blocks(&self) -> bool {
        self.states.iter().any(|state| state.load(Ordering::Acquire) == RETIRED)
    }

    /// The lease of a block and its state, read as of one moment: the writer thread frees blocks, and
    /// threads lease them again, while this looks. A block that is being freed has no lease; reading it once
    /// more would record its events twice, and give it up twice.
    fn lease_of(&self, block: u32) -> Option<(u32, u64, bool)> {
        let state = &self.states[block as usize];
        loop {
            // Only the first block of a run has a header.
            if !matches!(state.load(Ordering::Acquire), LEASED | RETIRED) {
                return None;
            }
            let generation = self.generation(block);
            if generation == 0 {
                return None;
            }
            let is_given_up = match state.load(Ordering::Acquire) {
                LEASED => false,
                RETIRED => true,
                _ => return None,
            };
            // Leases are numbered once and for all: the same number on both sides means the same lease.
            if self.generation(block) == generation {
                return Some((block, generation, is_given_up));
            }
        }
    }

    /// The number of a used block's lease; 0 while it is freed.
    fn generation(&self, block: u32) -> u64 {
        self.header_word(block, 8).load(Ordering::Acquire)
    }

    /// The published record at a place, without its length word, and the offset behind it.
    pub(crate) fn published(&self, place: Place) -> Option<(&[u8], u32)> {
        let run = self.header_word(place.block, 0).load(Ordering::Relaxed) >> 32;
        let offset = place.offset as usize;
        let capacity = run as usize * BLOCK_BYTES;
        if offset + 8 > capacity {
            return None;
        }
        let len = (self.length_word(place.block, offset).load(Ordering::Acquire) & !CLOSED_BIT) as usize;
        if len < 8 || offset + len > capacity {
            return None;
        }
        // SAFETY: the length was stored with release order behind the bytes, and invariant 3 keeps them
        // unchanged until the caller, who is the only one that frees, frees the block.
        let bytes = unsafe { std::slice::from_raw_parts(self.at(place.block, offset + 4), len - 4) };
        Some((bytes, (offset + len) as u32))
    }

    /// The bytes of a record that is known to be published.
    pub(crate) fn record_bytes(&self, place: Place) -> &[u8] {
        self.published(place).map_or(&[], |(bytes, _)| bytes)
    }

    /// The offset of a block's first record.
    pub(crate) const FIRST_OFFSET: u32 = BLOCK_HEADER_BYTES as u32;

    /// Notes that an attempt's event, or its own line, is durable in the log.
    pub(crate) fn close_attempt(&self, place: Place) {
        self.length_word(place.block, place.offset as usize).fetch_or(CLOSED_BIT, Ordering::Relaxed);
    }

    /// Notes that a block's records before an offset are durable in the log.
    pub(crate) fn set_consumed(&self, place: Place, durable: LogPosition) {
        // The offset first: a process that dies in between leaves the older, lower position.
        self.header_word(place.block, 24).store(u64::from(place.offset), Ordering::Release);
        self.header_word(place.block, 32).store(pack(durable), Ordering::Release);
    }

    /// Frees a block whose every record stands fsynced in the log.
    pub(crate) fn release(&self, block: u32) {
        let run = (self.header_word(block, 0).load(Ordering::Relaxed) >> 32) as u32;
        self.header_word(block, 8).store(0, Ordering::Release);
        // Writeback has write-protected the pages again; the next holder must not pay for that.
        self.mapping.populate(self.layout.block_at(block), run as usize * BLOCK_BYTES);
        if block < self.layout.lease_blocks() {
            self.states[block as usize].store(FREE, Ordering::Release);
            self.push_free(block);
        } else {
            let _claim = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            for block in block..block + run {
                self.states[block as usize].store(FREE, Ordering::Release);
            }
        }
    }

    /// Retires the blocks that stripes hold; for close.
    pub(crate) fn retire_stripes(&self) {
        for stripe in &self.stripes {
            if let Some(open) = stripe.lock().unwrap_or_else(PoisonError::into_inner).take() {
                self.retire(open);
            }
        }
    }
}

/// What keys the checksums of a ledger's records.
pub(crate) fn ledger_key(ledger_id: LedgerId) -> u64 {
    let id = ledger_id.as_u128();
    (id >> 64) as u64 ^ (id as u64).rotate_left(32)
}

/// A record that a dead process left.
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    /// An attempt whose event, or whose own line, is in the log.
    pub(crate) is_closed: bool,
    /// The record was taken before the log position `consumed_at` became durable.
    pub(crate) is_consumed: bool,
    /// The log position that was durable when the block was leased.
    pub(crate) lease: LogPosition,
    pub(crate) consumed_at: LogPosition,
}

/// Reads what a dead process left: every whole record of every block that was in use. A record that fails its checksum ends its block:
/// what stands behind it was never published, or did not reach the disk.
pub(crate) fn scan(
    mapping: &Mapping,
    layout: Layout,
    ledger_id: LedgerId,
    mut visit: impl FnMut(&Found<'_>),
) {
    // SAFETY: nobody else has the journal: its ledger is locked and no arena is made of it yet.
    let bytes = unsafe { std::slice::from_raw_parts(mapping.base(), layout.bytes) };
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let key = ledger_key(ledger_id);
    let mut block = 0;
    while block < layout.blocks {
        let start = layout.block_at(block);
        let (magic, run) = (word(start) as u32, (word(start) >> 32) as u32);
        let generation = word(start + 8);
        let is_used = magic == BLOCK_MAGIC && generation != 0 && run >= 1 && run <= layout.blocks - block;
        if !is_used {
            block += 1;
            continue;
        }
        let lease = unpack(word(start + 16));
        let consumed = word(start + 24);
        let consumed_at = unpack(word(start + 32));
        let capacity = run as usize * BLOCK_BYTES;
        let mut offset = BLOCK_HEADER_BYTES;
        while offset + 8 <= capacity {
            let length_word = word(start + offset) as u32;
            let len = length_word & !CLOSED_BIT;
            let end = offset + len as usize;
            if len < 8 || !len.is_multiple_of(8) || end > capacity {
                break;
            }
            let key = checksum_key(key, block, generation, offset as u32, len);
            let Some(record) = Record::decode(&bytes[start + offset + 4..start + end], Some(key)) else {
                break;
            };
            visit(&Found {
                record,
                is_closed: length_word & CLOSED_BIT != 0,
                is_consumed: (offset as u64) < consumed,
                lease,
                consumed_at,
            });
            offset = end;
        }
        block += if block < layout.lease_blocks() { 1 } else { run };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn append(arena: &Arena, stripe: u32, urgency: Urgency) -> bool {
        let clock = Clock::process();
        let own = crate::ledger::OwnEvent::system("probe.call", "{}");
        let bytes = crate::ledger::shared::encode_own(&own, &clock, &crate::id_source::IdSource::Random);
        let mut record = Record::decode(&bytes, None).unwrap();
        arena.append_shared(stripe, &mut record, &clock, urgency).is_some()
    }

    #[test]
    fn a_stripe_that_gets_no_block_uses_that_of_another() {
        let arena = arena();
        let reserve = arena.reserve();
        while arena.free_blocks() > reserve + 1 {
            arena.lease(Urgency::Normal).unwrap();
        }
        assert!(append(&arena, 0, Urgency::Normal));
        assert!(arena.lease(Urgency::Normal).is_none());
        assert!(append(&arena, 1, Urgency::Normal), "there is room in a block that this thread may share");
    }

    #[test]
    fn blocks_kept_for_completions_take_nothing_else() {
        let arena = arena();
        while arena.lease(Urgency::Normal).is_some() {}
        assert!(append(&arena, 0, Urgency::Completion));
        assert!(!append(&arena, 0, Urgency::Normal));
        assert!(!append(&arena, 1, Urgency::Normal));
        assert!(append(&arena, 1, Urgency::Completion));
    }

    fn arena() -> Arena {
        let ledger_id = LedgerId::from_uuid(uuid::Uuid::from_u128(7));
        let layout = Layout::of(1 << 20);
        let mapping = Mapping::anonymous(layout.bytes).unwrap();
        Control::new(&mapping, layout).format(ledger_id, 1, "", b"");
        Arena::new(mapping, layout, ledger_id, 1).unwrap()
    }

    /// The log writer clears the lease's number first, then waits for the kernel to populate the block, and
    /// only then marks it free. A cut in between once took the block for a new lease: it recorded the
    /// block's events a second time and freed it twice, after which two threads wrote one block.
    #[test]
    fn a_block_that_is_being_freed_is_not_in_use() {
        let arena = arena();
        let open = arena.lease(Urgency::Normal).unwrap();
        let (block, generation) = (open.block, open.generation);
        assert_eq!(arena.used_blocks().collect::<Vec<_>>(), [(block, generation, false)]);
        arena.retire(open);
        assert_eq!(arena.used_blocks().collect::<Vec<_>>(), [(block, generation, true)]);
        arena.header_word(block, 8).store(0, Ordering::Release);
        assert_eq!(arena.used_blocks().count(), 0);
    }

    /// The same against the clock: one thread leases and gives up, one looks, one frees.
    #[test]
    fn a_lease_is_seen_as_given_up_once_and_only_when_it_is() {
        const LEASES: u64 = 20_000;
        let arena = arena();
        let held = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        let blocks = arena.free_blocks();
        let fault = thread::scope(|threads| {
            let (to_free, freed) = channel();
            let (arena, held, is_over) = (&arena, &held, &is_over);
            threads.spawn(move || {
                for block in freed {
                    arena.release(block);
                }
            });
            threads.spawn(move || {
                for _ in 0..LEASES {
                    let open = loop {
                        if is_over.load(Ordering::SeqCst) {
                            return;
                        }
                        if let Some(open) = arena.lease(Urgency::Normal) {
                            break open;
                        }
                        thread::yield_now();
                    };
                    held.store(open.generation, Ordering::SeqCst);
                    held.store(0, Ordering::SeqCst);
                    arena.retire(open);
                }
            });
            let mut given_up = vec![0; arena.layout().blocks as usize];
            let mut seen = 0;
            while seen < LEASES {
                for (block, generation, is_given_up) in arena.used_blocks() {
                    if is_given_up && given_up[block as usize] != generation {
                        let is_held = held.load(Ordering::SeqCst) == generation;
                        if is_held || generation < given_up[block as usize] {
                            is_over.store(true, Ordering::SeqCst);
                            return Some((block, generation, is_held));
                        }
                        given_up[block as usize] = generation;
                        seen += 1;
                        to_free.send(block).unwrap();
                    }
                }
            }
            None
        });
        assert_eq!(fault, None, "block, lease, whether it was still held");
        assert_eq!(arena.free_blocks(), blocks, "each block is freed once");
    }
}
