//! The journal: one memory-mapped file that the calling threads write and the sequencer reads.
//!
//! # Layout
//!
//! ```text
//! control    header, clock anchor, durable position, call counters, loss counters
//! blocks     32 KiB each: leased to threads from a free list, or shared under a lock when scarce
//! run blocks the last eighth: contiguous runs for records over 16 KiB, allocated under a lock
//! ```
//!
//! # Invariants
//!
//! 1. A record is written whole, behind the last one of its block, and then published by one release
//!    store of its length word. A length word of 0 means: nothing published from here on.
//! 2. One thread writes a block at a time: the lease holder, or the holder of its stripe's lock.
//! 3. A published record is never written again until its block is freed; only the sequencer's side
//!    frees, after the record's line is fsynced.
//! 4. The mapping lives as long as any thread's lease or any handle of the ledger.
//! 5. A forked child never touches the mapping: the live word reads 0 there.
//!
//! This is the one module of the crate with `unsafe` code: mapped memory, and system calls that the
//! standard library does not have.
#![allow(unsafe_code, reason = "the journal is mapped memory; each block states its invariant")]

pub(crate) mod arena;
pub(crate) mod control;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod os;
pub(crate) mod record;
pub(crate) mod ticks;

/// The size of a block, in bytes.
pub(crate) const BLOCK_BYTES: usize = 32 * 1024;

/// The bytes of a block before its first record.
pub(crate) const BLOCK_HEADER_BYTES: usize = 64;

/// A longer record takes a contiguous run of blocks.
pub(crate) const MAX_SMALL_RECORD_BYTES: usize = 16 * 1024;
