//! The control area at the start of the journal: what must survive the process besides records.
//!
//! ```text
//!    0 magic "DSEVJNL1"   8 u32 version  12 u32 block count  16 u32 run blocks  20 u32 loss slots
//!   24 u32 counter slots  28 u32 0       32 u128 ledger id   48 u64 epoch       56 u64 open flag
//!   64 anchor: u64 ticks, u64 wall ns, u64 ns per tick * 2^32; version word at 88 is odd while written
//!   96 u64 durable log position   104 u8[40] boot id   144 u16 length of the writer's JSON, 146 its bytes
//! 1024 counter slots, 64 bytes each: u64 calls started, u64 calls finished
//!      loss slots, 256 bytes each: u64 hash, u64 lost, u64 reported, u64 first tick, u64 last tick,
//!      u8 tenant length, u8 env length, then their bytes
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::os::Mapping;
use super::{BLOCK_BYTES, BLOCK_HEADER_BYTES};
use crate::clock::Anchor;
use crate::ids::LedgerId;
use crate::log::LogPosition;

pub(crate) const MAGIC: [u8; 8] = *b"DSEVJNL1";
pub(crate) const VERSION: u32 = 1;
const LEDGER_AT: usize = 32;
const OPEN_AT: usize = 56;
const WRITER_AT: usize = 144;
pub(crate) const MAX_WRITER_BYTES: usize = 1024 - WRITER_AT - 2;
const COUNTERS_AT: usize = 1024;
const COUNTER_BYTES: usize = 64;
const LOSS_BYTES: usize = 256;
const LOSS_NAMES_AT: usize = 42;

/// Enough for the largest record: four sections of 64 KiB, and what stands around them.
const MIN_RUN_BLOCKS: u32 = 12;
const _: () = assert!(
    MIN_RUN_BLOCKS as usize * BLOCK_BYTES
        > BLOCK_HEADER_BYTES + 4 * crate::capture::MAX_SECTION_BYTES + 16 * 1024
);

/// How a journal of a given size is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) bytes: usize,
    pub(crate) counter_slots: u32,
    pub(crate) loss_slots: u32,
    pub(crate) blocks_at: usize,
    /// All blocks, run blocks included.
    pub(crate) blocks: u32,
    /// The last ones of `blocks`, for records over 16 KiB.
    pub(crate) run_blocks: u32,
}

impl Layout {
    /// The smallest journal: 1 MiB.
    pub(crate) const MIN_BYTES: usize = 1024 * 1024;

    pub(crate) fn of(bytes: usize) -> Self {
        let bytes = bytes.max(Self::MIN_BYTES) / BLOCK_BYTES * BLOCK_BYTES;
        let is_small = bytes < 16 * 1024 * 1024;
        let counter_slots = if is_small { 64 } else { 1024 };
        let loss_slots = if is_small { 64 } else { 4096 };
        let control = COUNTERS_AT + counter_slots * COUNTER_BYTES + loss_slots * LOSS_BYTES;
        let blocks_at = control.next_multiple_of(BLOCK_BYTES);
        let blocks = ((bytes - blocks_at) / BLOCK_BYTES) as u32;
        Self {
            bytes,
            counter_slots: counter_slots as u32,
            loss_slots: loss_slots as u32,
            blocks_at,
            blocks,
            run_blocks: (blocks / 8).max(MIN_RUN_BLOCKS),
        }
    }

    /// Blocks that threads lease.
    pub(crate) fn lease_blocks(&self) -> u32 {
        self.blocks - self.run_blocks
    }

    pub(crate) fn block_at(&self, block: u32) -> usize {
        self.blocks_at + block as usize * BLOCK_BYTES
    }
}

/// Packs a log position into a word: 24 bits of segment, 40 of offset.
pub(crate) fn pack(position: LogPosition) -> u64 {
    u64::from(position.segment) << 40 | position.offset & ((1 << 40) - 1)
}

pub(crate) fn unpack(word: u64) -> LogPosition {
    LogPosition { segment: (word >> 40) as u32, offset: word & ((1 << 40) - 1) }
}

/// Losses of one scope since the journal was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) slot: u32,
    /// Empty for the slot that takes the scopes which found no slot of their own.
    pub(crate) tenant: String,
    pub(crate) env: String,
    pub(crate) lost: u64,
    pub(crate) reported: u64,
    pub(crate) first_ticks: u64,
    pub(crate) last_ticks: u64,
}

/// Whether the file of a journal says that a process has, or had, it open. Reads, and maps nothing: the file
/// may be another process's, that is making it anew.
pub(crate) fn is_file_left_open(file: &File, ledger_id: LedgerId) -> bool {
    let mut start = [0; OPEN_AT + 8];
    file.read_exact_at(&mut start, 0).is_ok()
        && start.starts_with(&MAGIC)
        && start[LEDGER_AT..].starts_with(&ledger_id.as_u128().to_le_bytes())
        && start[OPEN_AT..] != [0; 8]
}

/// Typed access to the control area. All shared words are atomics.
#[derive(Clone, Copy)]
pub(crate) struct Control<'a> {
    mapping: &'a Mapping,
    layout: Layout,
}

impl<'a> Control<'a> {
    pub(crate) fn new(mapping: &'a Mapping, layout: Layout) -> Self {
        debug_assert!(mapping.len() >= layout.bytes);
        Self { mapping, layout }
    }

    fn word(&self, at: usize) -> &'a AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= self.layout.blocks_at);
        // SAFETY: inside the mapping, aligned, and only ever accessed as an atomic once the ledger is open.
        unsafe { &*self.mapping.base().add(at).cast::<AtomicU64>() }
    }

    fn half(&self, at: usize) -> &'a AtomicU32 {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.layout.blocks_at);
        // SAFETY: as in `word`.
        unsafe { &*self.mapping.base().add(at).cast::<AtomicU32>() }
    }

    fn copy_out(&self, at: usize, len: usize) -> Vec<u8> {
        debug_assert!(at + len <= self.layout.blocks_at);
        // SAFETY: inside the mapping; these bytes are written at open, or before the slot is published.
        unsafe { std::slice::from_raw_parts(self.mapping.base().add(at), len).to_vec() }
    }

    fn copy_in(&self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.layout.blocks_at);
        // SAFETY: inside the mapping; the caller is the only one that writes these bytes.
        unsafe { self.mapping.base().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Writes a fresh control area. Blocks are untouched.
    pub(crate) fn format(&self, ledger_id: LedgerId, epoch: u64, boot_id: &str, writer: &[u8]) {
        self.copy_in(0, &vec![0; self.layout.blocks_at]);
        self.half(8).store(VERSION, Ordering::Relaxed);
        self.half(12).store(self.layout.blocks, Ordering::Relaxed);
        self.half(16).store(self.layout.run_blocks, Ordering::Relaxed);
        self.half(20).store(self.layout.loss_slots, Ordering::Relaxed);
        self.half(24).store(self.layout.counter_slots, Ordering::Relaxed);
        self.copy_in(32, &ledger_id.as_u128().to_le_bytes());
        self.word(48).store(epoch, Ordering::Relaxed);
        let boot = boot_id.as_bytes();
        self.copy_in(104, &boot[..boot.len().min(40)]);
        let writer = &writer[..writer.len().min(MAX_WRITER_BYTES)];
        self.copy_in(WRITER_AT, &(writer.len() as u16).to_le_bytes());
        self.copy_in(WRITER_AT + 2, writer);
        self.copy_in(0, &MAGIC);
    }

    /// Whether the area was written by `format` for this ledger and layout.
    pub(crate) fn is_of(&self, ledger_id: LedgerId) -> bool {
        self.copy_out(0, 8) == MAGIC
            && self.half(8).load(Ordering::Relaxed) == VERSION
            && self.half(12).load(Ordering::Relaxed) == self.layout.blocks
            && self.half(16).load(Ordering::Relaxed) == self.layout.run_blocks
            && self.half(20).load(Ordering::Relaxed) == self.layout.loss_slots
            && self.half(24).load(Ordering::Relaxed) == self.layout.counter_slots
            && self.copy_out(LEDGER_AT, 16) == ledger_id.as_u128().to_le_bytes()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.word(48).load(Ordering::Relaxed)
    }

    /// Whether a process had the journal open and did not close it.
    pub(crate) fn is_open(&self) -> bool {
        self.word(OPEN_AT).load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.word(OPEN_AT).store(u64::from(is_open), Ordering::Release);
    }

    pub(crate) fn boot_id(&self) -> String {
        String::from_utf8_lossy(&self.copy_out(104, 40)).trim_end_matches('\0').to_owned()
    }

    pub(crate) fn writer(&self) -> Vec<u8> {
        let len = self.copy_out(WRITER_AT, 2);
        let len = usize::from(u16::from_le_bytes([len[0], len[1]])).min(MAX_WRITER_BYTES);
        self.copy_out(WRITER_AT + 2, len)
    }

    pub(crate) fn set_anchor(&self, anchor: Anchor) {
        let version = self.word(88).load(Ordering::Relaxed);
        self.word(88).store(version | 1, Ordering::Release);
        self.word(64).store(anchor.ticks, Ordering::Release);
        self.word(72).store(anchor.wall_ns, Ordering::Release);
        self.word(80).store(anchor.ns_per_tick_q32, Ordering::Release);
        self.word(88).store((version | 1) + 1, Ordering::Release);
    }

    /// The last anchor that the process wrote. One that it died writing is off by one renewal at most.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor {
            ticks: self.word(64).load(Ordering::Acquire),
            wall_ns: self.word(72).load(Ordering::Acquire),
            ns_per_tick_q32: self.word(80).load(Ordering::Acquire).max(1),
        }
    }

    pub(crate) fn durable(&self) -> LogPosition {
        unpack(self.word(96).load(Ordering::Acquire))
    }

    pub(crate) fn set_durable(&self, position: LogPosition) {
        self.word(96).store(pack(position), Ordering::Release);
    }

    /// The words (started, finished) of a counter slot below `counter_slots`.
    pub(crate) fn counters(&self, slot: u32) -> (&'a AtomicU64, &'a AtomicU64) {
        let at = COUNTERS_AT + slot as usize * COUNTER_BYTES;
        (self.word(at), self.word(at + 8))
    }

    /// `recorded` calls that had begun and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let (mut started, mut finished) = (0_u64, 0_u64);
        for slot in 0..self.layout.counter_slots {
            let (one, other) = self.counters(slot);
            started = started.wrapping_add(one.load(Ordering::Relaxed));
            finished = finished.wrapping_add(other.load(Ordering::Relaxed));
        }
        started.saturating_sub(finished)
    }

    fn loss_at(&self, slot: u32) -> usize {
        COUNTERS_AT + self.layout.counter_slots as usize * COUNTER_BYTES + slot as usize * LOSS_BYTES
    }

    /// Counts a lost call of a scope. `lock` serialises the claiming of slots.
    pub(crate) fn count_loss(&self, lock: &std::sync::Mutex<()>, tenant: &[u8], env: &[u8], at_ticks: u64) {
        let hash = scope_hash(tenant, env);
        let last = self.layout.loss_slots - 1;
        let mut slot = (hash % u64::from(last)) as u32;
        let mut found = last;
        for _ in 0..8 {
            let at = self.loss_at(slot);
            let mut owner = self.word(at).load(Ordering::Acquire);
            if owner == 0 {
                let _claim = lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                owner = self.word(at).load(Ordering::Acquire);
                if owner == 0 {
                    self.copy_in(at + 40, &[tenant.len() as u8, env.len() as u8]);
                    self.copy_in(at + LOSS_NAMES_AT, tenant);
                    self.copy_in(at + LOSS_NAMES_AT + tenant.len(), env);
                    self.word(at + 24).store(at_ticks, Ordering::Relaxed);
                    self.word(at).store(hash, Ordering::Release);
                    owner = hash;
                }
            }
            if owner == hash {
                found = slot;
                break;
            }
            slot = (slot + 1) % last;
        }
        let at = self.loss_at(found);
        let _ = self.word(at + 24).compare_exchange(0, at_ticks, Ordering::Relaxed, Ordering::Relaxed);
        self.word(at + 32).fetch_max(at_ticks, Ordering::Relaxed);
        self.word(at + 8).fetch_add(1, Ordering::AcqRel);
    }

    /// Scopes with losses that no durable event reports yet.
    pub(crate) fn unreported_losses(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for slot in 0..self.layout.loss_slots {
            let at = self.loss_at(slot);
            let lost = self.word(at + 8).load(Ordering::Acquire);
            let reported = self.word(at + 16).load(Ordering::Relaxed);
            if lost > reported {
                losses.push(self.loss(slot, lost, reported));
            }
        }
        losses
    }

    fn loss(&self, slot: u32, lost: u64, reported: u64) -> Loss {
        let at = self.loss_at(slot);
        let lens = self.copy_out(at + 40, 2);
        let names = self.copy_out(at + LOSS_NAMES_AT, LOSS_BYTES - LOSS_NAMES_AT);
        let tenant_len = usize::from(lens[0]).min(names.len());
        let env_end = (tenant_len + usize::from(lens[1])).min(names.len());
        Loss {
            slot,
            tenant: String::from_utf8_lossy(&names[..tenant_len]).into_owned(),
            env: String::from_utf8_lossy(&names[tenant_len..env_end]).into_owned(),
            lost,
            reported,
            first_ticks: self.word(at + 24).load(Ordering::Relaxed),
            last_ticks: self.word(at + 32).load(Ordering::Relaxed),
        }
    }

    /// Marks losses as reported by a durable event.
    pub(crate) fn set_reported(&self, slot: u32, lost: u64) {
        self.word(self.loss_at(slot) + 16).store(lost, Ordering::Release);
    }
}

/// A hash of a scope that is never 0.
pub(crate) fn scope_hash(tenant: &[u8], env: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in tenant.iter().chain(b"\0").chain(env) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash | 1
}

const _: () = assert!(LOSS_NAMES_AT + 128 + 32 <= LOSS_BYTES);
const _: () = assert!(BLOCK_HEADER_BYTES.is_multiple_of(8));

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn layouts_fit_their_bytes() {
        for bytes in [0, 1 << 20, 3_000_000, 16 << 20, 64 << 20] {
            let layout = Layout::of(bytes);
            assert!(layout.block_at(layout.blocks) <= layout.bytes, "{layout:?}");
            assert!(layout.lease_blocks() >= 8, "{layout:?}");
            assert!(layout.blocks_at.is_multiple_of(BLOCK_BYTES));
        }
    }

    #[test]
    fn losses_add_up_also_when_slots_run_out() {
        let layout = Layout::of(1 << 20);
        let mapping = Mapping::anonymous(layout.bytes).unwrap();
        let control = Control::new(&mapping, layout);
        let lock = Mutex::new(());
        for tenant in 0..500_u32 {
            for _ in 0..3 {
                control.count_loss(&lock, format!("tenant-{tenant}").as_bytes(), b"prod", 5);
            }
        }
        let losses = control.unreported_losses();
        assert_eq!(losses.iter().map(|loss| loss.lost).sum::<u64>(), 1_500);
        let own = losses.iter().filter(|loss| !loss.tenant.is_empty()).count();
        assert!(own > 20, "{own}");
        for loss in &losses {
            control.set_reported(loss.slot, loss.lost);
        }
        assert!(control.unreported_losses().is_empty());
    }

    #[test]
    fn positions_pack() {
        let position = LogPosition { segment: 70_000, offset: (1 << 39) + 5 };
        assert_eq!(unpack(pack(position)), position);
    }
}
