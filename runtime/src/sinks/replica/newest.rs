//! What the sink keeps between runs: from where on it lists what is stored.

use serde::{Deserialize, Serialize};

use crate::sinks::SinkState;

/// The newest segment and the newest folder of checkpoints that hold something. Older than what is stored, it costs a
/// longer listing; it is never newer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Newest {
    pub(super) segment: u64,
    pub(super) checkpoint_folder: u64,
}

impl Newest {
    /// What was saved last; the beginning when that was nothing, or is damaged.
    pub(super) fn load(state: &dyn SinkState) -> Self {
        state.load().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self).unwrap_or_default()
    }
}
