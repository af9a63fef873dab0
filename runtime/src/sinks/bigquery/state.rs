//! What the sink remembers between runs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::EntryKind;
use super::row::Row;
use crate::ids::LedgerId;
use crate::log::LogPosition;

const VERSION: u32 = 1;

/// The state of a sink, as it is saved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    version: u32,
    pub(crate) ledger_id: LedgerId,
    pub(crate) events: LaneState,
    pub(crate) entries: LaneState,
}

impl Saved {
    pub(crate) fn new(ledger_id: LedgerId, events: LaneState, entries: LaneState) -> Self {
        Self { version: VERSION, ledger_id, events, entries }
    }

    /// What was saved for a ledger; `None` when it is damaged, of another version, or of another ledger.
    pub(crate) fn read(bytes: &[u8], ledger_id: LedgerId) -> Option<Self> {
        let saved: Self = serde_json::from_slice(bytes).ok()?;
        (saved.version == VERSION && saved.ledger_id == ledger_id).then_some(saved)
    }

    pub(crate) fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(std::io::Error::other)
    }
}

/// What is known of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaneState {
    /// The full name of the table: for another one, nothing of this counts.
    pub(crate) table: String,
    /// Up to where rows were ever sent; `None` when nobody knows.
    pub(crate) marks: Option<Marks>,
    pub(crate) stream: Option<StreamState>,
}

/// A write stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) name: String,
    /// How many rows of the stream are known to be stored; the next is sent at this offset.
    pub(crate) next: i64,
    /// The keys of the rows that were sent at `next`, all in one request, and of which nobody knows whether they
    /// arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<Vec<String>>,
}

/// Up to where rows were ever sent. What lies beyond is in no table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Of events or attempts.
    pub(crate) line: Option<LogPosition>,
    pub(crate) head_table: Option<LogPosition>,
    /// 0 for none.
    pub(crate) checkpoint: u64,
    /// 0 for none.
    #[serde(default)]
    pub(crate) cut: u64,
    /// The hashes of identities.
    pub(crate) identities: BTreeSet<String>,
}

impl Marks {
    /// Whether a row was certainly never sent.
    pub(crate) fn lie_before(&self, row: &Row<'_>) -> bool {
        match row.kind {
            EntryKind::Event | EntryKind::Attempt => Some(row.position) > self.line,
            EntryKind::HeadTable => Some(row.position) > self.head_table,
            EntryKind::Checkpoint => row.number > Some(self.checkpoint),
            EntryKind::Cut => row.number > Some(self.cut),
            EntryKind::Identity => !self.identities.contains(&row.hash.to_string()),
        }
    }

    /// Notes that a row is sent.
    pub(crate) fn advance(&mut self, row: &Row<'_>) {
        match row.kind {
            EntryKind::Event | EntryKind::Attempt => self.line = self.line.max(Some(row.position)),
            EntryKind::HeadTable => self.head_table = self.head_table.max(Some(row.position)),
            EntryKind::Checkpoint => self.checkpoint = self.checkpoint.max(row.number.unwrap_or_default()),
            EntryKind::Cut => self.cut = self.cut.max(row.number.unwrap_or_default()),
            EntryKind::Identity => {
                self.identities.insert(row.hash.to_string());
            }
        }
    }
}
