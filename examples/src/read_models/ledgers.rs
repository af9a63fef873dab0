//! Ledgers: what each of them holds of a scope, and what it says that it lost.

use std::collections::BTreeMap;

use dataset_events::read_models::{EventPlace, Latest, ReadModel};
use dataset_events::{DatasetEvent, LedgerId, Outcome};
use serde::{Deserialize, Serialize};

use super::reading::input;

/// Follows the ledgers that hold events of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgersModel;

/// What is known of the ledgers, by id.
pub type LedgersState = BTreeMap<LedgerId, LedgerState>;

/// What one ledger holds of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    /// Which program wrote its newest event.
    pub service: Latest<String>,
    /// How many events of the scope it holds, those of reading too.
    pub events: u64,
    /// When the first was recorded, in microseconds since 1970 (UTC).
    pub first_at_us: Option<i64>,
    /// Calls that its process died in.
    pub interrupted: u64,
    /// Events that were lost under overload, as its gaps tell.
    pub lost: u64,
    /// How often it told of a gap.
    pub gaps: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Gap {
    lost: u64,
}

impl ReadModel for LedgersModel {
    type State = LedgersState;
    const NAME: &'static str = "ledgers";
    const VERSION: u32 = 1;

    fn selects(&self, _event: &DatasetEvent) -> bool {
        true
    }

    fn apply(&self, state: &mut LedgersState, event: &DatasetEvent) {
        let ledger = state.entry(event.ledger_id).or_default();
        ledger.service.offer(EventPlace::of(event), || event.writer.service.clone());
        ledger.events += 1;
        ledger.first_at_us = ledger.first_at_us.into_iter().chain([event.recorded_at]).min();
        ledger.interrupted += u64::from(event.outcome == Outcome::Interrupted);
        if event.surface == "ledger.gap" {
            ledger.gaps += 1;
            ledger.lost += input::<Gap>(event).unwrap_or_default().lost;
        }
    }
}
