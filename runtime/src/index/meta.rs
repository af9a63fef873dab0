//! What the index knows of itself: whose it is, and how far it has read.

use uuid::Uuid;

use super::row::{u32_at, u64_at};
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::LogPosition;

/// Raised whenever tables or rows change their form; an index of another version is rebuilt.
const FORMAT_VERSION: u32 = 3;
const META_BYTES: usize = 4 + 16 + 12 + 1 + 12 + 32 + 8 + 8 + 8 + 8 + 8 + 12 + 8;

/// An index with fewer removed rows is not worth building again.
const REMOVED_ROWS_FLOOR: u64 = 100_000;

/// Written in the transaction of the rows that it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) ledger_id: LedgerId,
    /// Everything before it is in the index.
    pub(crate) cursor: LogPosition,
    /// The last line before the cursor, by which a log that was cut and grew again is recognised.
    pub(crate) last_line: Option<(LogPosition, LineHash)>,
    pub(crate) events: u64,
    /// Of those, how many have their links no longer in young runs, and how many have them in old ones.
    pub(crate) merged_events: [u64; 2],
    /// Events that did not follow the one before in their stream: numbers missing or used twice.
    pub(crate) irregular_events: u64,
    /// Rows before it were removed: the log began there.
    pub(crate) begin: LogPosition,
    /// How many rows were removed; their links are still there.
    pub(crate) removed_rows: u64,
    /// Lines that are no event or attempt of this ledger; `verify` says what they are.
    pub(crate) skipped_lines: u64,
}

impl Meta {
    pub(crate) fn new(ledger_id: LedgerId) -> Self {
        Self {
            ledger_id,
            cursor: LogPosition::START,
            last_line: None,
            events: 0,
            merged_events: [0; 2],
            irregular_events: 0,
            begin: LogPosition::START,
            removed_rows: 0,
            skipped_lines: 0,
        }
    }

    /// Whether most of what is in the index speaks of events that are gone.
    pub(crate) fn is_mostly_removed(&self) -> bool {
        self.removed_rows > REMOVED_ROWS_FLOOR && self.removed_rows > self.events / 2
    }

    pub(crate) fn to_bytes(self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        bytes[0..4].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[4..20].copy_from_slice(self.ledger_id.as_uuid().as_bytes());
        put_position(&mut bytes[20..32], self.cursor);
        if let Some((position, hash)) = self.last_line {
            bytes[32] = 1;
            put_position(&mut bytes[33..45], position);
            bytes[45..77].copy_from_slice(&hash.0);
        }
        bytes[77..85].copy_from_slice(&self.events.to_le_bytes());
        bytes[85..93].copy_from_slice(&self.skipped_lines.to_le_bytes());
        bytes[93..101].copy_from_slice(&self.merged_events[0].to_le_bytes());
        bytes[101..109].copy_from_slice(&self.merged_events[1].to_le_bytes());
        bytes[109..117].copy_from_slice(&self.irregular_events.to_le_bytes());
        put_position(&mut bytes[117..129], self.begin);
        bytes[129..137].copy_from_slice(&self.removed_rows.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are of another format.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != META_BYTES || u32_at(bytes, 0) != FORMAT_VERSION {
            return None;
        }
        let last_line = match bytes[32] {
            0 => None,
            _ => Some((position_at(bytes, 33), LineHash(bytes[45..77].try_into().ok()?))),
        };
        Some(Self {
            ledger_id: LedgerId::from_uuid(Uuid::from_slice(&bytes[4..20]).ok()?),
            cursor: position_at(bytes, 20),
            last_line,
            events: u64_at(bytes, 77),
            skipped_lines: u64_at(bytes, 85),
            merged_events: [u64_at(bytes, 93), u64_at(bytes, 101)],
            irregular_events: u64_at(bytes, 109),
            begin: position_at(bytes, 117),
            removed_rows: u64_at(bytes, 129),
        })
    }
}

fn put_position(bytes: &mut [u8], position: LogPosition) {
    bytes[..4].copy_from_slice(&position.segment.to_le_bytes());
    bytes[4..].copy_from_slice(&position.offset.to_le_bytes());
}

fn position_at(bytes: &[u8], at: usize) -> LogPosition {
    LogPosition { segment: u32_at(bytes, at), offset: u64_at(bytes, at + 4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_round_trips_and_other_formats_are_refused() {
        let mut meta = Meta::new(LedgerId::from_uuid(Uuid::from_u128(7)));
        assert_eq!(Meta::from_bytes(&meta.to_bytes()), Some(meta));
        meta.cursor = LogPosition { segment: 2, offset: 9 };
        meta.last_line = Some((LogPosition::START, LineHash([3; 32])));
        (meta.events, meta.skipped_lines) = (5, 6);
        (meta.merged_events, meta.irregular_events) = ([7, 9], 8);
        assert_eq!(Meta::from_bytes(&meta.to_bytes()), Some(meta));
        let mut other = meta.to_bytes();
        other[0] ^= 1;
        assert_eq!(Meta::from_bytes(&other), None);
        assert_eq!(Meta::from_bytes(&other[..20]), None);
    }
}
