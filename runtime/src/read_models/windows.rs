//! Counters by time: five minutes, hours and days.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// What is counted in one bucket of time.
pub trait Bucket: Default + Clone + Serialize + DeserializeOwned {
    /// Adds another bucket; in any order the sum must be the same.
    fn merge(&mut self, other: &Self);
}

/// The size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Five minutes; kept for 25 hours.
    FiveMinutes,
    /// An hour; kept for 35 days.
    Hour,
    /// A day, in UTC; kept for ever.
    Day,
}

impl Step {
    /// The length in microseconds.
    pub const fn len_us(self) -> i64 {
        match self {
            Self::FiveMinutes => 5 * MINUTE_US,
            Self::Hour => HOUR_US,
            Self::Day => DAY_US,
        }
    }

    const fn horizon_us(self) -> Option<i64> {
        match self {
            Self::FiveMinutes => Some(25 * HOUR_US),
            Self::Hour => Some(35 * DAY_US),
            Self::Day => None,
        }
    }

    /// The start of the bucket that holds a time.
    pub const fn start_of(self, at_us: i64) -> i64 {
        at_us.saturating_sub(at_us.rem_euclid(self.len_us()))
    }
}

/// A span of time that ends at a given moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Window {
    /// The last hour.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 7 days.
    Week,
    /// The last 30 days.
    Month,
    /// Everything.
    All,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::All];

    /// The length in microseconds; `None` for all time.
    pub const fn len_us(self) -> Option<i64> {
        match self {
            Self::Hour => Some(HOUR_US),
            Self::Day => Some(DAY_US),
            Self::Week => Some(7 * DAY_US),
            Self::Month => Some(30 * DAY_US),
            Self::All => None,
        }
    }

    /// The finest step that a window is summed of.
    const fn step(self) -> Step {
        match self {
            Self::Hour => Step::FiveMinutes,
            Self::Day | Self::Week | Self::Month => Step::Hour,
            Self::All => Step::Day,
        }
    }
}

/// The sum over a window, and the span that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WindowedTotal<B> {
    /// The beginning of what was summed, inclusive, in microseconds since 1970; `None` for all time.
    pub from_us: Option<i64>,
    /// Its end, exclusive.
    pub until_us: i64,
    /// The sum.
    pub total: B,
}

/// Buckets of five minutes, hours and days.
///
/// What is older than a step's horizon, measured against the newest event, is only in the longer steps; so
/// the state does not depend on the order of arrival. One event from the far future empties the short steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windowed<B> {
    newest_us: Option<i64>,
    five_minutes: BTreeMap<i64, B>,
    hours: BTreeMap<i64, B>,
    days: BTreeMap<i64, B>,
}

impl<B> Default for Windowed<B> {
    fn default() -> Self {
        Self { newest_us: None, five_minutes: BTreeMap::new(), hours: BTreeMap::new(), days: BTreeMap::new() }
    }
}

impl<B: Bucket> Windowed<B> {
    /// Counts something that was recorded at a time, in each bucket that holds the time.
    pub fn add(&mut self, recorded_at_us: i64, count: impl Fn(&mut B)) {
        let newest = self.newest_us.map_or(recorded_at_us, |newest| newest.max(recorded_at_us));
        self.newest_us = Some(newest);
        for step in [Step::FiveMinutes, Step::Hour, Step::Day] {
            let start = step.start_of(recorded_at_us);
            let floor = floor(step, newest);
            let buckets = self.buckets_mut(step);
            while let Some(first) = buckets.first_entry()
                && *first.key() < floor
            {
                first.remove();
            }
            if start >= floor {
                count(buckets.entry(start).or_default());
            }
        }
    }

    /// When the newest event was recorded.
    pub fn newest_us(&self) -> Option<i64> {
        self.newest_us
    }

    /// The sum over a window that ends at `end_us`, exclusive.
    ///
    /// It is made of whole buckets: of five minutes for an hour, of hours for days, of days for all time;
    /// where those are not kept any more, of the next longer ones. The span that they cover is in the result.
    pub fn window(&self, window: Window, end_us: i64) -> WindowedTotal<B> {
        let Some(len_us) = window.len_us() else { return self.all_until(end_us) };
        let mut step = window.step();
        let from = end_us.saturating_sub(len_us);
        while step != Step::Day && step.start_of(from) < self.floor(step) {
            step = if step == Step::FiveMinutes { Step::Hour } else { Step::Day };
        }
        let from_us = step.start_of(from);
        let until_us = ceiling(step, end_us);
        let mut total = B::default();
        if from_us < until_us {
            self.buckets(step).range(from_us..until_us).for_each(|(_, bucket)| total.merge(bucket));
        }
        WindowedTotal { from_us: Some(from_us), until_us, total }
    }

    /// Whole days, and for the day of the end the hours before it while they are kept.
    fn all_until(&self, end_us: i64) -> WindowedTotal<B> {
        let last_day = Step::Day.start_of(end_us);
        let mut total = B::default();
        self.days.range(..last_day).for_each(|(_, bucket)| total.merge(bucket));
        let step = if last_day >= self.floor(Step::Hour) { Step::Hour } else { Step::Day };
        let until_us = ceiling(step, end_us);
        if last_day < until_us {
            self.buckets(step).range(last_day..until_us).for_each(|(_, bucket)| total.merge(bucket));
        }
        WindowedTotal { from_us: None, until_us, total }
    }

    /// The buckets that start in a span, with their starts, oldest first. Empty ones are left out.
    pub fn series(&self, step: Step, from_us: i64, until_us: i64) -> impl Iterator<Item = (i64, &B)> {
        let until_us = until_us.max(from_us);
        self.buckets(step).range(from_us..until_us).map(|(start, bucket)| (*start, bucket))
    }

    fn floor(&self, step: Step) -> i64 {
        self.newest_us.map_or(i64::MIN, |newest| floor(step, newest))
    }

    fn buckets(&self, step: Step) -> &BTreeMap<i64, B> {
        match step {
            Step::FiveMinutes => &self.five_minutes,
            Step::Hour => &self.hours,
            Step::Day => &self.days,
        }
    }

    fn buckets_mut(&mut self, step: Step) -> &mut BTreeMap<i64, B> {
        match step {
            Step::FiveMinutes => &mut self.five_minutes,
            Step::Hour => &mut self.hours,
            Step::Day => &mut self.days,
        }
    }
}

/// The first start that is kept.
fn floor(step: Step, newest_us: i64) -> i64 {
    step.horizon_us().map_or(i64::MIN, |horizon| step.start_of(newest_us).saturating_sub(horizon))
}

/// The end of the last bucket that begins before a time.
fn ceiling(step: Step, end_us: i64) -> i64 {
    match step.start_of(end_us) {
        start if start == end_us => end_us,
        start => start.saturating_add(step.len_us()),
    }
}
