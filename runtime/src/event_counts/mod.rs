//! How many events there are of each kind, folded from the ledger and kept exact.

mod fold;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::event::Outcome;
use crate::ids::Scope;
use crate::log::LogPosition;
use crate::operator::OperatorReader;
use crate::query::ReadParts;

use self::table::Table;

/// How [`EventCounts`] are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCountsOptions {
    max_series: usize,
}

impl Default for EventCountsOptions {
    fn default() -> Self {
        Self { max_series: 1_000_000 }
    }
}

impl EventCountsOptions {
    /// The most series that are told apart. Defaults to 1,000,000, some 100 bytes each. What comes beyond is
    /// counted together, and said to be: see [`EventCounts::cut`].
    #[must_use]
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }
}

/// The number of events by tenant, env, surface, outcome and code, over the whole log.
///
/// Made by [`OperatorReader::event_counts`]. It is a fold of what is durable, not a counter beside it: it is
/// the same after a restart, and equal to a count of the lines. [`refresh`](Self::refresh) reads only what came
/// since the last one. The first reads the index where it can, else the log.
///
/// ```
/// # use dataset_events::testing::TestLedger;
/// # let test = TestLedger::new();
/// # let ledger = test.ledger();
/// ledger.context("acme", "prod").build()?.event("orders.create").record()?;
/// ledger.flush()?;
/// let mut counts = ledger.operator("metrics").event_counts(Default::default());
/// counts.refresh()?;
/// let orders = counts.iter().find(|series| series.surface == "orders.create").expect("counted");
/// assert_eq!((orders.scope.tenant_id().as_str(), orders.events), ("acme", 1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct EventCounts {
    parts: ReadParts,
    /// Everything before it is counted.
    position: LogPosition,
    table: Table,
    skipped_lines: u64,
    dropped: u64,
}

/// One kind of event, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventCount<'a> {
    /// The tenant and env; `$system` for the ledger's own and unauthenticated events.
    pub scope: &'a Scope,
    /// The operation.
    pub surface: &'a str,
    /// How the calls ended.
    pub outcome: Outcome,
    /// The error code, if they failed.
    pub code: Option<&'a str>,
    /// How many.
    pub events: u64,
}

/// What did not fit below the cap on series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutSeries {
    /// How many events are counted together instead of in a series of their own.
    pub events: u64,
    /// How many series they would be; at least so many when [`is_lower_bound`](Self::is_lower_bound).
    pub series: u64,
    /// Whether more than 1,000,000 series were cut, so that they are no longer told apart.
    pub is_lower_bound: bool,
}

impl OperatorReader {
    /// Counts events by tenant, env, surface, outcome and code. Nothing is read before the first
    /// [`refresh`](EventCounts::refresh).
    pub fn event_counts(&self, options: EventCountsOptions) -> EventCounts {
        EventCounts {
            parts: self.parts().clone(),
            position: LogPosition::START,
            table: Table::new(options.max_series),
            skipped_lines: 0,
            dropped: 0,
        }
    }
}

impl EventCounts {
    /// Every series with its count, by tenant, env, surface, outcome and code.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventCount<'_>> {
        self.table.iter()
    }

    /// How many events are counted, those of cut series included.
    pub fn total(&self) -> u64 {
        self.table.total()
    }

    /// How many events are not counted because [retention](crate::Ledger::retain) had dropped them before.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether series were cut: there were more than the cap allows.
    pub fn is_cut(&self) -> bool {
        self.table.cut_series().events > 0
    }

    /// What was cut. The series that came first in the log are kept, and go on being exact.
    pub fn cut(&self) -> CutSeries {
        self.table.cut_series()
    }

    /// Everything in the log before this place is counted.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Lines that are neither events nor attempts of this ledger, and are not counted. `verify` says what
    /// they are.
    pub fn skipped_lines(&self) -> u64 {
        self.skipped_lines
    }
}

impl fmt::Debug for EventCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCounts")
            .field("series", &self.iter().len())
            .field("events", &self.total())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
