//! The fixed-width rows and keys of the index.

use sha2::{Digest, Sha256};

use crate::event::Outcome;
use crate::log::LogPosition;

pub(crate) const ROW_BYTES: usize = 49;
pub(crate) type RowBytes = [u8; ROW_BYTES];
pub(crate) type RowKey = [u8; 12];

/// 128 bits of a user id's SHA-256: wide enough that counting by it equals counting by the id.
pub(crate) type UserHash = [u8; 16];

/// The hash that stands for "no user".
pub(crate) const NO_USER: UserHash = [0; 16];

/// Where an event lies, and what queries select by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: LogPosition,
    /// The length of the line, without its newline.
    pub(crate) len_bytes: u32,
    pub(crate) recorded_at: i64,
    pub(crate) surface: u32,
    /// 0: none.
    pub(crate) code: u32,
    pub(crate) outcome: Outcome,
    pub(crate) user: UserHash,
}

impl Row {
    pub(crate) fn to_bytes(self) -> RowBytes {
        let mut bytes = [0; ROW_BYTES];
        bytes[0..4].copy_from_slice(&self.position.segment.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.position.offset.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.len_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.recorded_at.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.surface.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.code.to_le_bytes());
        bytes[32] = self.outcome as u8;
        bytes[33..49].copy_from_slice(&self.user);
        bytes
    }

    /// `None` when the outcome is not one: the row is damaged.
    pub(crate) fn from_bytes(bytes: &RowBytes) -> Option<Self> {
        let outcome = Outcome::ALL.into_iter().find(|outcome| *outcome as u8 == bytes[32])?;
        Some(Self {
            position: LogPosition { segment: u32_at(bytes, 0), offset: u64_at(bytes, 4) },
            len_bytes: u32_at(bytes, 12),
            recorded_at: u64_at(bytes, 16).cast_signed(),
            surface: u32_at(bytes, 24),
            code: u32_at(bytes, 28),
            outcome,
            user: array_at(bytes, 33),
        })
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Big-endian, so that the order of keys is the order of sequence numbers.
pub(crate) fn row_key(scope: u32, seq: u64) -> RowKey {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&scope.to_be_bytes());
    key[4..].copy_from_slice(&seq.to_be_bytes());
    key
}

pub(crate) fn scope_of(key: &RowKey) -> u32 {
    u32::from_be_bytes(array_at(key, 0))
}

/// Whether a number is the next after another of the same stream.
pub(crate) fn follows(key: &RowKey, before: &RowKey) -> bool {
    seq_of(before).checked_add(1) == Some(seq_of(key))
}

pub(crate) fn seq_of(key: &RowKey) -> u64 {
    u64::from_be_bytes(array_at(key, 4))
}

pub(crate) fn user_hash(user_id: &str) -> UserHash {
    array_at(&Sha256::digest(user_id.as_bytes()), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_keys_sort_by_sequence() {
        let row = Row {
            position: LogPosition { segment: 3, offset: 1 << 40 },
            len_bytes: 612,
            recorded_at: -5,
            surface: 9,
            code: 0,
            outcome: Outcome::Interrupted,
            user: user_hash("u_1"),
        };
        assert_eq!(Row::from_bytes(&row.to_bytes()), Some(row));
        let mut damaged = row.to_bytes();
        damaged[32] = 200;
        assert_eq!(Row::from_bytes(&damaged), None);
        assert!(row_key(1, 255) < row_key(1, 256) && row_key(1, u64::MAX) < row_key(2, 0));
    }
}
