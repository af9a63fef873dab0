//! The bytes of a record in a block: a fixed header, the sections, a checksum.
//!
//! ```text
//!  0 u32 length of the record, a multiple of 8; stored last, with release order
//!  4 u8 kind   5 u8 outcome   6 u8 access   7 u8 guarantee
//!  8 u64 completed ticks (of an attempt: when it was made)     16 u64 started ticks
//! 24 u128 event id    40 u64 span id    48 u64 parent span id, 0 = none    56 u64 items, MAX = none
//! 64 u8 tenant length  65 u8 env length  66 u8 surface length  67 u8 synthesized
//! 68 u8 code length    69 u8 flags       70 u8 cause           71 u8 0
//! 72 u32 context  76 u32 message  80 u32 source refs  84 u32 changes  88 u32 input  92 u32 output: lengths
//! 96 tenant env context surface code message source-refs changes input output, then 0 to 7 zeros
//! -8 u64 checksum over bytes 4 to here, keyed by where the record lies
//! ```
//!
//! Tenant, env and context are the same in every record of a request context and most of its bytes, so
//! their part of the checksum is made once, with the context.
//!
//! All numbers are little-endian. A record holds everything its line needs, so that a later process can
//! finish the work of one that died.

use crate::event::{InterruptCause, Outcome};
use crate::ids::EventId;
use crate::surface::{Access, Guarantee};

pub(crate) const HEADER_BYTES: usize = 96;
/// The header without the length word.
const FIXED_BYTES: usize = HEADER_BYTES - 4;
const CHECKSUM_BYTES: usize = 8;

/// Bits of the flags byte.
pub(crate) mod flag {
    pub(crate) const RETRYABLE: u8 = 1;
    /// The completion closes an attempt that was published before.
    pub(crate) const HAS_ATTEMPT: u8 = 2;
    /// Somebody waits for the fsync of this record's line.
    pub(crate) const IS_AWAITED: u8 = 4;
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A call ended. Self-contained.
    Completion = 1,
    /// A call with guarantee `intent` or `durable` is about to run its body.
    Attempt = 2,
}

/// A record to be written, or one that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    pub(crate) access: Access,
    pub(crate) guarantee: Guarantee,
    pub(crate) flags: u8,
    pub(crate) cause: Option<InterruptCause>,
    pub(crate) synthesized: u8,
    pub(crate) completed_ticks: u64,
    pub(crate) started_ticks: u64,
    pub(crate) event_id: EventId,
    pub(crate) span_id: u64,
    pub(crate) parent_span_id: u64,
    pub(crate) items: u64,
    pub(crate) tenant_len: u8,
    pub(crate) env_len: u8,
    pub(crate) surface_len: u8,
    /// Tenant, env, context, surface: one piece.
    pub(crate) head: &'a [u8],
    /// [`prefix_sum`] of the head without its surface, where it is known.
    pub(crate) prefix_sum: Option<u64>,
    pub(crate) code: &'a [u8],
    pub(crate) message: &'a [u8],
    pub(crate) source_refs: &'a [u8],
    pub(crate) changes: &'a [u8],
    pub(crate) input: &'a [u8],
    pub(crate) output: &'a [u8],
}

/// `items` of a call that is no stream.
pub(crate) const NO_ITEMS: u64 = u64::MAX;

impl<'a> Record<'a> {
    /// The bytes the record takes in a block.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        let sections = self.head.len()
            + self.code.len()
            + self.message.len()
            + self.source_refs.len()
            + self.changes.len()
            + self.input.len()
            + self.output.len();
        (HEADER_BYTES + sections).next_multiple_of(8) + CHECKSUM_BYTES
    }

    #[inline(always)]
    fn sections(&self) -> [&'a [u8]; 7] {
        [self.head, self.code, self.message, self.source_refs, self.changes, self.input, self.output]
    }

    /// Writes all but the length word: `bytes` is the record's place without its first 4 bytes.
    #[inline(always)]
    pub(crate) fn encode(&self, bytes: &mut [u8], key: u64) {
        let body = bytes.len() - CHECKSUM_BYTES;
        // The zeros that fill the last word; what stands before them is written over.
        bytes[body - 8..body].copy_from_slice(&[0; 8]);
        let (fixed, mut rest) = bytes.split_at_mut(FIXED_BYTES);
        let fixed: &mut [u8; FIXED_BYTES] = fixed.try_into().expect("split at the length of the header");
        fixed[0..4].copy_from_slice(&[
            self.kind as u8,
            self.outcome as u8,
            self.access as u8,
            self.guarantee as u8,
        ]);
        fixed[4..12].copy_from_slice(&self.completed_ticks.to_le_bytes());
        fixed[12..20].copy_from_slice(&self.started_ticks.to_le_bytes());
        fixed[20..36].copy_from_slice(&self.event_id.as_u128().to_le_bytes());
        fixed[36..44].copy_from_slice(&self.span_id.to_le_bytes());
        fixed[44..52].copy_from_slice(&self.parent_span_id.to_le_bytes());
        fixed[52..60].copy_from_slice(&self.items.to_le_bytes());
        fixed[60..68].copy_from_slice(&[
            self.tenant_len,
            self.env_len,
            self.surface_len,
            self.synthesized,
            self.code.len() as u8,
            self.flags,
            encode_cause(self.cause),
            0,
        ]);
        fixed[68..72].copy_from_slice(&((self.head.len() - self.names_len()) as u32).to_le_bytes());
        fixed[72..76].copy_from_slice(&(self.message.len() as u32).to_le_bytes());
        fixed[76..80].copy_from_slice(&(self.source_refs.len() as u32).to_le_bytes());
        fixed[80..84].copy_from_slice(&(self.changes.len() as u32).to_le_bytes());
        fixed[84..88].copy_from_slice(&(self.input.len() as u32).to_le_bytes());
        fixed[88..92].copy_from_slice(&(self.output.len() as u32).to_le_bytes());
        for section in self.sections() {
            if !section.is_empty() {
                let (place, behind) = rest.split_at_mut(section.len());
                place.copy_from_slice(section);
                rest = behind;
            }
        }
        let prefix_len = self.head.len() - usize::from(self.surface_len);
        let prefix = self.prefix_sum.unwrap_or_else(|| prefix_sum(&self.head[..prefix_len]));
        let sum = checksum(&bytes[..body], prefix_len, prefix, key);
        bytes[body..].copy_from_slice(&sum.to_le_bytes());
    }

    fn names_len(&self) -> usize {
        usize::from(self.tenant_len) + usize::from(self.env_len) + usize::from(self.surface_len)
    }

    /// Reads a record from its bytes without the length word. With a key the checksum is checked too;
    /// `None` when the bytes are not a whole record.
    pub(crate) fn decode(bytes: &'a [u8], key: Option<u64>) -> Option<Self> {
        let body = bytes.len().checked_sub(CHECKSUM_BYTES)?;
        if body < FIXED_BYTES || !(body - FIXED_BYTES).is_multiple_of(8) {
            return None;
        }
        let [tenant_len, env_len, surface_len, synthesized, code_len, flags, cause, _] =
            *bytes.get(60..68)?.first_chunk()?;
        let len_at = |at: usize| u32_at(bytes, at) as usize;
        let head_len = usize::from(tenant_len) + usize::from(env_len) + usize::from(surface_len) + len_at(68);
        if let Some(key) = key {
            let prefix_len = head_len - usize::from(surface_len);
            let prefix = bytes[FIXED_BYTES..body].get(..prefix_len)?;
            if u64_at(bytes, body) != checksum(&bytes[..body], prefix_len, prefix_sum(prefix), key) {
                return None;
            }
        }
        let lens =
            [head_len, usize::from(code_len), len_at(72), len_at(76), len_at(80), len_at(84), len_at(88)];
        let mut rest = &bytes[FIXED_BYTES..body];
        let mut sections = [&[][..]; 7];
        for (section, len) in sections.iter_mut().zip(lens) {
            (*section, rest) = rest.split_at_checked(len)?;
        }
        if rest.len() >= 8 {
            return None;
        }
        let [head, code, message, source_refs, changes, input, output] = sections;
        Some(Self {
            kind: match bytes[0] {
                1 => Kind::Completion,
                2 => Kind::Attempt,
                _ => return None,
            },
            outcome: *Outcome::ALL.get(usize::from(bytes[1]))?,
            access: *Access::ALL.get(usize::from(bytes[2]))?,
            guarantee: *[Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable]
                .get(usize::from(bytes[3]))?,
            flags,
            cause: decode_cause(cause),
            synthesized,
            completed_ticks: u64_at(bytes, 4),
            started_ticks: u64_at(bytes, 12),
            event_id: EventId::from_uuid(uuid::Uuid::from_u128(
                u128::from(u64_at(bytes, 20)) | u128::from(u64_at(bytes, 28)) << 64,
            )),
            span_id: u64_at(bytes, 36),
            parent_span_id: u64_at(bytes, 44),
            items: u64_at(bytes, 52),
            tenant_len,
            env_len,
            surface_len,
            head,
            prefix_sum: None,
            code,
            message,
            source_refs,
            changes,
            input,
            output,
        })
    }

    /// The completion time in a record's bytes, without reading the rest.
    #[inline]
    pub(crate) fn completed_ticks_of(bytes: &[u8]) -> u64 {
        u64_at(bytes, 4)
    }

    pub(crate) fn tenant(&self) -> &'a str {
        text(&self.head[..usize::from(self.tenant_len)])
    }

    pub(crate) fn env(&self) -> &'a str {
        let start = usize::from(self.tenant_len);
        text(&self.head[start..start + usize::from(self.env_len)])
    }

    pub(crate) fn surface(&self) -> &'a str {
        text(&self.head[self.head.len() - usize::from(self.surface_len)..])
    }

    /// The context's part of the line.
    pub(crate) fn context(&self) -> &'a [u8] {
        let start = usize::from(self.tenant_len) + usize::from(self.env_len);
        &self.head[start..self.head.len() - usize::from(self.surface_len)]
    }
}

/// Names in a record were checked when they were made; bytes that are not text come only from damage
/// that the checksum would have shown.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn encode_cause(cause: Option<InterruptCause>) -> u8 {
    match cause {
        None => 0,
        Some(InterruptCause::Process) => 1,
        Some(InterruptCause::Host) => 2,
        Some(InterruptCause::Ledger) => 3,
    }
}

fn decode_cause(cause: u8) -> Option<InterruptCause> {
    match cause {
        1 => Some(InterruptCause::Process),
        2 => Some(InterruptCause::Host),
        3 => Some(InterruptCause::Ledger),
        _ => None,
    }
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The key of a record's checksum: the same bytes elsewhere, or of an earlier lease, do not pass.
#[inline]
pub(crate) fn checksum_key(ledger: u64, block: u32, generation: u64, offset: u32, len: u32) -> u64 {
    let place = u64::from(block) << 32 | u64::from(offset);
    fold(ledger ^ place, generation ^ u64::from(len).rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15)
}

#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let wide = u128::from(left) * u128::from(right);
    (wide >> 64) as u64 ^ wide as u64
}

const A: u64 = 0xa076_1d64_78bd_642f;
const B: u64 = 0xe703_7ed1_a0b4_28db;
const C: u64 = 0x8ebc_6af0_9c88_c6e3;
const D: u64 = 0x5899_65cc_7537_4cc3;

/// A keyed 64-bit checksum of a record's bytes by folded multiplication, in three lanes so that the
/// multiplications overlap. Against torn and stale bytes, not against an adversary: those meet the hash
/// chain.
///
/// `bytes` are those between the length word and the sum; of the prefix only the bytes of its last,
/// partial word are read, the others are in `prefix_sum`.
#[inline]
fn checksum(bytes: &[u8], prefix_len: usize, prefix_sum: u64, key: u64) -> u64 {
    let word = |at: usize| u64_at(bytes, at);
    let mut lanes = [
        fold(key ^ prefix_sum ^ word(4), word(12) ^ A),
        fold(key ^ B ^ word(20), word(28) ^ C),
        fold(key ^ D ^ word(36), word(44) ^ A),
    ];
    lanes[0] = fold(lanes[0] ^ word(52), word(60) ^ B);
    lanes[1] = fold(lanes[1] ^ word(68), word(76) ^ D);
    lanes[2] = fold(lanes[2] ^ word(84), u64::from(u32_at(bytes, 0)) ^ C);
    let (words, _) = bytes[FIXED_BYTES + (prefix_len & !7)..].as_chunks::<8>();
    let (rounds, last) = words.as_chunks::<4>();
    for [one, two, three, four] in rounds {
        lanes[0] = fold(lanes[0] ^ u64::from_le_bytes(*one), u64::from_le_bytes(*two) ^ B);
        lanes[1] = fold(lanes[1] ^ u64::from_le_bytes(*three), u64::from_le_bytes(*four) ^ C);
    }
    if let [one, two, ..] = last {
        lanes[2] = fold(lanes[2] ^ u64::from_le_bytes(*one), u64::from_le_bytes(*two) ^ D);
    }
    if let [one] | [_, _, one] = last {
        lanes[1] = fold(lanes[1] ^ u64::from_le_bytes(*one), B);
    }
    fold(lanes[0] ^ words.len() as u64, fold(lanes[1] ^ B, lanes[2] ^ D) ^ C)
}

/// What the checksum of a record takes from its prefix: tenant, env and context.
pub(crate) fn prefix_sum(prefix: &[u8]) -> u64 {
    let mut lanes = [A, B];
    let (rounds, rest) = prefix.as_chunks::<32>();
    for round in rounds {
        lanes[0] = fold(lanes[0] ^ u64_at(round, 0), u64_at(round, 8) ^ B);
        lanes[1] = fold(lanes[1] ^ u64_at(round, 16), u64_at(round, 24) ^ C);
    }
    for bytes in rest.chunks(8) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        lanes[0] = fold(lanes[0] ^ u64::from_le_bytes(word), D);
    }
    fold(lanes[0] ^ prefix.len() as u64, lanes[1] ^ A)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            kind: Kind::Completion,
            outcome: Outcome::Denied,
            access: Access::Update,
            guarantee: Guarantee::Intent,
            flags: flag::RETRYABLE | flag::HAS_ATTEMPT,
            cause: None,
            synthesized: 2,
            completed_ticks: 11,
            started_ticks: 7,
            event_id: EventId::from_uuid(uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)),
            span_id: 5,
            parent_span_id: 0,
            items: NO_ITEMS,
            tenant_len: 4,
            env_len: 4,
            surface_len: 8,
            head: b"acmeprodeverything about itchat.sen",
            prefix_sum: None,
            code: b"chat.denied",
            message: b"",
            source_refs: b"{}",
            changes: b"",
            input: b"{\"a\":1}",
            output: b"{}",
        }
    }

    fn encoded(key: u64) -> Vec<u8> {
        let mut bytes = vec![0xff; record().len() - 4];
        record().encode(&mut bytes, key);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encoded(3);
        let read = Record::decode(&bytes, Some(3)).unwrap();
        assert_eq!(read, record());
        assert_eq!((read.tenant(), read.env(), read.surface()), ("acme", "prod", "chat.sen"));
        assert_eq!(read.context(), b"everything about it");
        assert_eq!(record().len() % 8, 0);
    }

    #[test]
    fn a_prefix_sum_made_before_is_the_same() {
        let mut bytes = encoded(3);
        let prefix = record().head.len() - usize::from(record().surface_len);
        Record { prefix_sum: Some(prefix_sum(&record().head[..prefix])), ..record() }.encode(&mut bytes, 3);
        assert_eq!(bytes, encoded(3));
    }

    #[test]
    fn sections_of_every_length_are_checked_to_their_last_byte() {
        for len in 0..48 {
            let input = vec![b'7'; len];
            let record = Record { input: &input, ..record() };
            let mut bytes = vec![0xff; record.len() - 4];
            record.encode(&mut bytes, 9);
            assert_eq!(Record::decode(&bytes, Some(9)), Some(record));
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(Record::decode(&bytes, Some(9)), None, "length {len}, byte {at}");
                bytes[at] ^= 1;
            }
        }
    }

    #[test]
    fn any_changed_byte_fails_the_checksum() {
        let good = encoded(3);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Record::decode(&bad, Some(3)).is_none(), "byte {at}");
        }
        assert!(Record::decode(&good, Some(4)).is_none(), "another key");
        for len in 0..good.len() {
            assert!(Record::decode(&good[..len], Some(3)).is_none(), "cut at {len}");
        }
    }
}
