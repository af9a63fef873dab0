//! The newest event of each ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ReadModel;
use super::latest::Latest;
use crate::event::{DatasetEvent, EventPlace, Writer};
use crate::ids::LedgerId;

/// Keeps the newest event, its time and its writer for each ledger, those of reading too.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerHeads;

/// The newest event of a scope in one ledger; its place has the number and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerHead {
    /// Its surface.
    pub surface: String,
    /// Which program wrote it.
    pub writer: Writer,
}

impl ReadModel for LedgerHeads {
    type State = BTreeMap<LedgerId, Latest<LedgerHead>>;
    const NAME: &'static str = "ledger_heads";
    const VERSION: u32 = 1;

    fn selects(&self, _event: &DatasetEvent) -> bool {
        true
    }

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        let head = || LedgerHead { surface: event.surface.clone(), writer: event.writer.clone() };
        state.entry(event.ledger_id).or_default().offer(EventPlace::of(event), head);
    }
}
