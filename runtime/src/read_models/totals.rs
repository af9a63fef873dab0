//! Exact decimal sums of a field, by groups.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decimal::DecimalSum;
use super::field::Field;
use super::windows::{Bucket, Windowed};
use super::{ReadModel, is_reading};
use crate::event::{DatasetEvent, Outcome};
use crate::query::glob_matches;

/// Sums a decimal field of the calls that returned, by groups, in each window: spend by provider and model.
///
/// ```
/// use dataset_events::read_models::{Field, Totals};
///
/// let spend = Totals::of("budget.record", Field::Input("cost".into()))
///     .group_by(Field::Input("provider".into()))
///     .group_by(Field::Input("model".into()));
/// # let _ = spend;
/// ```
///
/// Each group is kept in each bucket of time: group by fields with few values.
#[derive(Debug, Clone)]
pub struct Totals {
    surface: String,
    sum: Field,
    group_by: Vec<Field>,
    config: String,
}

/// The sums of a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TotalsBucket(BTreeMap<String, GroupTotals>);

/// The sum of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupTotals {
    /// The events of the group.
    pub events: u64,
    /// Of those, how many had no number that could be summed exactly.
    pub rejected: u64,
    /// The sum of the others.
    pub sum: DecimalSum,
}

/// One group as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TotalRow {
    /// The values that the group stands for, in the order of `group_by`; `None` where there was none.
    pub group: Vec<Option<String>>,
    /// The events of the group.
    pub events: u64,
    /// Of those, how many had no number that could be summed exactly.
    pub rejected: u64,
    /// The exact sum of the others, as a decimal.
    pub sum: String,
    /// Whether the sum was too large to be kept.
    pub is_overflowed: bool,
}

impl GroupTotals {
    fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.rejected += other.rejected;
        self.sum.merge(&other.sum);
    }

    fn row(&self, group: Vec<Option<String>>) -> TotalRow {
        TotalRow {
            group,
            events: self.events,
            rejected: self.rejected,
            sum: self.sum.to_string(),
            is_overflowed: self.sum.is_overflowed(),
        }
    }
}

impl TotalsBucket {
    /// Every group, in order.
    pub fn rows(&self) -> Vec<TotalRow> {
        let rows = self.0.iter();
        // A key was made by serialising such a list.
        rows.map(|(key, totals)| totals.row(serde_json::from_str(key).unwrap_or_default())).collect()
    }

    /// One group.
    pub fn group(&self, group: &[Option<&str>]) -> Option<&GroupTotals> {
        self.0.get(&serde_json::to_string(group).ok()?)
    }

    /// All groups together.
    pub fn total(&self) -> GroupTotals {
        let mut total = GroupTotals::default();
        self.0.values().for_each(|group| total.merge(group));
        total
    }
}

impl Bucket for TotalsBucket {
    fn merge(&mut self, other: &Self) {
        for (group, totals) in &other.0 {
            self.0.entry(group.clone()).or_default().merge(totals);
        }
    }
}

impl Totals {
    /// Sums a field of the surfaces that a glob describes (`budget.*`).
    pub fn of(surface: impl Into<String>, sum: Field) -> Self {
        Self { surface: surface.into(), sum, group_by: Vec::new(), config: String::new() }.configured()
    }

    /// Groups by one more field.
    pub fn group_by(mut self, field: Field) -> Self {
        self.group_by.push(field);
        self.configured()
    }

    fn configured(mut self) -> Self {
        self.config = format!("{:?} {:?} {:?}", self.sum, self.group_by, self.surface);
        self
    }
}

impl ReadModel for Totals {
    type State = Windowed<TotalsBucket>;
    const NAME: &'static str = "totals";
    const VERSION: u32 = 1;

    fn config(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.config)
    }

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.outcome == Outcome::Ok && glob_matches(&self.surface, &event.surface) && !is_reading(event)
    }

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        let group: Vec<_> = self.group_by.iter().map(|field| field.of(event)).collect();
        let key = serde_json::to_string(&group).unwrap_or_default();
        let mut one = GroupTotals { events: 1, ..GroupTotals::default() };
        let added = self.sum.of(event).map(|number| one.sum.add_text(&number));
        one.rejected = u64::from(!matches!(added, Some(Ok(()))));
        state.add(event.recorded_at, |bucket| bucket.0.entry(key.clone()).or_default().merge(&one));
    }
}
