//! What the dashboard's own pages need, folded in one pass over the events.

use std::collections::BTreeMap;

use dataset_events::read_models::{
    Activity, Failures, FailuresState, Latency, Latest, LedgerHead, LedgerHeads, ReadModel,
};
use dataset_events::{DatasetEvent, LedgerId};
use serde::{Deserialize, Serialize};

/// Activity, failures, latency and heads together, so that each event is read once.
pub(super) struct ScopeDigest;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct DigestState {
    pub(super) activity: <Activity as ReadModel>::State,
    pub(super) failures: FailuresState,
    pub(super) latency: <Latency as ReadModel>::State,
    pub(super) heads: BTreeMap<LedgerId, Latest<LedgerHead>>,
}

fn apply<M: ReadModel>(model: &M, state: &mut M::State, event: &DatasetEvent) {
    if model.selects(event) {
        model.apply(state, event);
    }
}

impl ReadModel for ScopeDigest {
    type State = DigestState;
    const NAME: &'static str = "dashboard";
    const VERSION: u32 = Activity::VERSION
        + Failures::VERSION * 100
        + Latency::VERSION * 10_000
        + LedgerHeads::VERSION * 1_000_000;

    /// Each part chooses for itself.
    fn selects(&self, _event: &DatasetEvent) -> bool {
        true
    }

    fn apply(&self, state: &mut DigestState, event: &DatasetEvent) {
        apply(&Activity, &mut state.activity, event);
        apply(&Failures, &mut state.failures, event);
        apply(&Latency, &mut state.latency, event);
        apply(&LedgerHeads, &mut state.heads, event);
    }
}
