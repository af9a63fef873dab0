//! Where new ids come from: a generator for each thread, or a counter for reproducible runs.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::ids::{EventId, RequestId, SpanId, TraceId};

/// How a ledger makes ids.
#[derive(Debug)]
pub(crate) enum IdSource {
    /// Per-thread generators, seeded by the operating system.
    Random,
    /// Counted from a seed: two runs of the same calls get the same ids.
    Stepped {
        /// Tells ledgers of one test apart.
        seed: u64,
        /// The next number.
        next: AtomicU64,
    },
}

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

const STEP: u64 = 0xa076_1d64_78bd_642f;

/// A 64-bit number from this thread's generator (wyrand: 64 bits of state, seeded from the OS).
fn random() -> u64 {
    // During thread teardown the cell is gone; a fresh seed is as good, only slower.
    let state = STATE.try_with(|state| {
        let mut value = state.get();
        if value == 0 {
            value = os_seed();
        }
        value = value.wrapping_add(STEP);
        state.set(value);
        value
    });
    mix(state.unwrap_or_else(|_| os_seed()))
}

#[inline]
fn mix(state: u64) -> u64 {
    const MIX: u64 = 0xe703_7ed1_a0b4_28db;
    let wide = u128::from(state) * u128::from(state ^ MIX);
    (wide >> 64) as u64 ^ wide as u64
}

/// Two numbers for one look-up of the generator.
#[inline]
fn random_pair() -> (u64, u64) {
    let state = STATE.try_with(|state| {
        let mut value = state.get();
        if value == 0 {
            value = os_seed();
        }
        state.set(value.wrapping_add(STEP.wrapping_mul(2)));
        value
    });
    let state = state.unwrap_or_else(|_| os_seed());
    (mix(state.wrapping_add(STEP)), mix(state.wrapping_add(STEP.wrapping_mul(2))))
}

#[cold]
fn os_seed() -> u64 {
    let mut seed = [0; 8];
    match getrandom::fill(&mut seed) {
        Ok(()) => u64::from_le_bytes(seed) | 1,
        // Without an entropy source the address of a stack slot and the time still tell threads apart.
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let nanos = now.map_or(1, |now| now.as_nanos() as u64);
            nanos ^ (std::ptr::from_ref(&seed).addr() as u64).rotate_left(32) | 1
        }
    }
}

/// Forgets this thread's generator, so that a forked child does not repeat its parent's ids.
pub(crate) fn reseed() {
    let _ = STATE.try_with(|state| state.set(0));
}

impl IdSource {
    fn next_u64(&self) -> u64 {
        match self {
            Self::Random => random(),
            Self::Stepped { seed, next } => {
                // A counter alone would make ids that look alike; the mix is a bijection, so they stay distinct.
                let count = next.fetch_add(1, Ordering::Relaxed) + 1;
                let mut value = count.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                value ^ (value >> 31)
            }
        }
    }

    /// A UUIDv7 (RFC 9562) for a call that began at `unix_ms`.
    pub(crate) fn event_id(&self, unix_ms: u64) -> EventId {
        self.call_ids(unix_ms).0
    }

    /// The ids of a call that began at `unix_ms`: its event, a UUIDv7 (RFC 9562), and its span.
    #[inline]
    pub(crate) fn call_ids(&self, unix_ms: u64) -> (EventId, SpanId) {
        let (low, span) = match self {
            Self::Random => random_pair(),
            Self::Stepped { .. } => (self.next_u64(), self.next_u64()),
        };
        // Of the version's 74 free bits 62 are of the one number, 12 of a mix with the other.
        let high = (low ^ span).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let value = u128::from(unix_ms & 0xffff_ffff_ffff) << 80
            | 0x7 << 76
            | u128::from(high & 0xfff) << 64
            | 0b10 << 62
            | u128::from(low >> 2);
        let span = SpanId::from_bytes(span.to_be_bytes())
            .unwrap_or(const { SpanId::from_bytes([1; 8]).expect("not zero") });
        (EventId::from_uuid(Uuid::from_u128(value)), span)
    }
}

const PROCESS: IdSource = IdSource::Random;

/// A request id: 32 hexadecimal digits.
pub(crate) fn request_id(source: Option<&IdSource>) -> RequestId {
    let source = source.unwrap_or(&PROCESS);
    let text = format!("{:016x}{:016x}", source.next_u64(), source.next_u64());
    RequestId::new(&text).unwrap_or(RequestId::from_static("unknown"))
}

/// A trace id.
pub(crate) fn trace_id(source: Option<&IdSource>) -> TraceId {
    let source = source.unwrap_or(&PROCESS);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&source.next_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&source.next_u64().to_be_bytes());
    TraceId::from_bytes(bytes).unwrap_or(const { TraceId::from_bytes([1; 16]).expect("not zero") })
}

/// A span id.
pub(crate) fn span_id(source: &IdSource) -> SpanId {
    SpanId::from_bytes(source.next_u64().to_be_bytes())
        .unwrap_or(const { SpanId::from_bytes([1; 8]).expect("not zero") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_are_version_7_and_distinct() {
        let source = IdSource::Random;
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let id = source.event_id(1_700_000_000_000);
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.as_u128() >> 80, 1_700_000_000_000);
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn stepped_ids_repeat_from_run_to_run() {
        let ids = || {
            let source = IdSource::Stepped { seed: 7, next: AtomicU64::new(0) };
            (0..100).map(|_| source.event_id(5)).collect::<Vec<_>>()
        };
        assert_eq!(ids(), ids());
    }
}
