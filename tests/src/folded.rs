//! The read models of the tests that fold in more than one process.

use dataset_events::read_models::{Activity, Failures, Latency, LedgerHeads};

/// What is folded; all processes must mean the same.
pub fn models() -> (Activity, Failures, Latency, LedgerHeads) {
    (Activity, Failures, Latency, LedgerHeads)
}
