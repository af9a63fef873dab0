//! Up to where a sink has the entries of a ledger.
//!
//! They come in order, so that a place says it of all before it, whatever batches they came in.

use serde::{Deserialize, Serialize};

use super::{Entry, EntryKey};
use crate::event::LineHash;
use crate::log::LogPosition;

/// The newest entry of each kind that is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    identities: Vec<LineHash>,
    /// Where the last line begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<LogPosition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_table: Option<LogPosition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<u64>,
}

impl Known {
    /// Whether an entry is stored already.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        match entry.key() {
            EntryKey::Identity(hash) => self.identities.contains(&hash),
            EntryKey::Event(_) | EntryKey::Attempt(_) => Some(entry.position()) <= self.line,
            EntryKey::HeadTable(position) => Some(position) <= self.head_table,
            EntryKey::Checkpoint(number) => Some(number) <= self.checkpoint,
            EntryKey::Cut(number) => Some(number) <= self.cut,
        }
    }

    /// Takes note of an entry that is stored now.
    pub(crate) fn note(&mut self, key: EntryKey, position: LogPosition) {
        match key {
            EntryKey::Identity(hash) if self.identities.contains(&hash) => {}
            EntryKey::Identity(hash) => self.identities.push(hash),
            EntryKey::Event(_) | EntryKey::Attempt(_) => self.line = self.line.max(Some(position)),
            EntryKey::HeadTable(position) => self.head_table = self.head_table.max(Some(position)),
            EntryKey::Checkpoint(number) => self.checkpoint = self.checkpoint.max(Some(number)),
            EntryKey::Cut(number) => self.cut = self.cut.max(Some(number)),
        }
    }
}
