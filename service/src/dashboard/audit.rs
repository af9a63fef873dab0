//! That somebody read, and what: one event `ledger.read` for each page and each API read.

use std::fmt;

use dataset_events::{RequestContext, Scope, dataset_event};

use super::error::DashboardError;

/// What a reading was narrowed by. The names are recorded as they are, the values as one keyed hash.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<(&'static str, String)>);

impl Filters {
    /// Adds a filter that was given.
    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    pub(super) fn with_some(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Unambiguous whatever the values hold: each with its length.
impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| write!(f, "{name}:{}={value};", value.len()))
    }
}

/// An answer, and how many events are in it or were counted for it.
pub(super) struct Rows<T> {
    pub(super) answer: T,
    pub(super) rows: u64,
}

/// Runs a reading inside its event.
#[dataset_event(
    surface = "ledger.read",
    access = "read",
    input(
        view,
        tenant = scope.tenant_id().as_str(),
        env = scope.env().as_str(),
        filters = filters.names(),
        filter_values = hashed(filters),
    ),
    output(rows = ret.rows)
)]
pub(super) async fn audited<T, F>(
    ctx: &RequestContext,
    view: &str,
    scope: &Scope,
    filters: &Filters,
    reading: F,
) -> Result<Rows<T>, DashboardError>
where
    F: Future<Output = Result<Rows<T>, DashboardError>>,
{
    reading.await
}
