//! Read models: state folded from the events of one scope, in all ledgers of a set, and from nothing else.
//!
//! A [`ReadModel`] says how one event changes a state; [`Folded`] keeps that state fresh and persists it.
//!
//! ```
//! # let root = tempfile::tempdir()?;
//! # let ledger = dataset_events::Ledger::options().root(root.path()).journal_bytes(2 << 20).open()?;
//! use dataset_events::read_models::{Activity, Folded, SnapshotStore, Window};
//! use dataset_events::{Env, LedgerSet, TenantId};
//!
//! let ctx = ledger.context("acme", "prod").build()?;
//! ctx.event("order.ship").record()?;
//! ledger.flush()?;
//!
//! let acme = LedgerSet::of(&ledger).scope(&TenantId::new("acme")?, &Env::new("prod")?);
//! let store = SnapshotStore::open(root.path().join("read-models"))?;
//! let mut activity = Folded::open(&acme, Activity, &store)?;
//! let end = activity.as_of().unwrap_or_default() + 1;
//! assert_eq!(activity.state().window(Window::Hour, end).total.events, 1);
//!
//! ctx.event("order.ship").record()?;
//! ledger.flush()?;
//! assert_eq!(activity.refresh().new_events, 1);
//! assert!(activity.refresh().unread.is_empty());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod activity;
mod carry;
mod decimal;
mod failures;
mod field;
mod folded;
mod heads;
mod interleaving;
mod latency;
mod latest;
mod latest_outputs;
mod rebuilt;
mod sketch;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod together;
mod totals;
mod trace;
mod windows;

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::DatasetEvent;

pub use crate::event::{EventPlace, InvalidPlace};
pub use activity::{Activity, ActivityCounts, SurfaceCounts};
pub use carry::Carrier;
pub(crate) use carry::Carry;
pub use decimal::{DecimalSum, NotADecimal};
pub use failures::{Failure, FailureCounts, Failures, FailuresState};
pub use field::{Field, InvalidField};
pub use folded::{Folded, Refreshed, Start};
pub use heads::{LedgerHead, LedgerHeads};
pub use interleaving::assert_interleaving_invariant;
pub use latency::{Latency, SurfaceLatency, SurfaceSketches};
pub use latest::{Latest, LatestByKey, LatestN};
pub use latest_outputs::{LatestOutput, LatestOutputs};
pub use rebuilt::assert_rebuilt;
pub use sketch::LatencySketch;
pub use snapshot::{LedgerCursor, Missing, Snapshot};
pub use store::SnapshotStore;
pub use totals::{GroupTotals, TotalRow, Totals, TotalsBucket};
pub use trace::{TraceNode, TraceTree};
pub use windows::{Bucket, Step, Window, Windowed, WindowedTotal};

/// How the events of one scope become a state.
///
/// **The law:** events of one ledger come in the order of their sequence numbers, each exactly once; those
/// of different ledgers interleave in any way; the state must be the same for every interleaving. Counters,
/// sums and maxima obey it. "The last one applied" does not: keep a [`Latest`], where the greatest
/// [`EventPlace`] wins. [`assert_interleaving_invariant`] holds a model to the law, [`assert_rebuilt`] what a
/// program left of its states to a fold from zero.
///
/// `apply` must not panic, must not look at clocks or anything else outside, and should cost the same
/// however large the state is. A state's serialised form must be the same for equal states: maps are sorted
/// (`BTreeMap`), and keys of maps are strings or numbers.
///
/// Up to four models in a tuple are a model too, which folds them in one pass:
/// `Folded::open(&scope, (Activity, Failures), &store)`.
pub trait ReadModel: Send + Sync + 'static {
    /// What is folded.
    type State: Serialize + DeserializeOwned + Default + Clone + Send + 'static;

    /// The name; part of the snapshot's file name.
    const NAME: &'static str;

    /// To be raised whenever `apply`, `selects` or the state's form changes: snapshots of another version are not used.
    const VERSION: u32;

    /// The settings that the state depends on. A snapshot made with others is not used.
    fn config(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    /// Whether an event is applied. By default all but those that reading itself leaves; see [`is_reading`].
    fn selects(&self, event: &DatasetEvent) -> bool {
        !is_reading(event)
    }

    /// Applies one event.
    fn apply(&self, state: &mut Self::State, event: &DatasetEvent);
}

/// Whether an event was left by reading: surfaces `ledger.read` and `bossman.*`.
///
/// They are the tenant's, but not its activity.
pub fn is_reading(event: &DatasetEvent) -> bool {
    event.surface == "ledger.read" || event.surface.starts_with("bossman.")
}
