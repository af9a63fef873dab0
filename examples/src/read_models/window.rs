//! Spans of time, and what was counted in them.

use dataset_events::read_models::{Bucket, Step, Windowed};
use serde::{Deserialize, Serialize};

/// The longest window: 31 days, in microseconds.
pub const MAX_WINDOW_US: i64 = 31 * 24 * HOUR_US;
/// An hour in microseconds.
pub(crate) const HOUR_US: i64 = 3_600_000_000;

/// A span of time: from `since_us` to before `until_us`, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first microsecond.
    pub since_us: i64,
    /// The first microsecond after it.
    pub until_us: i64,
}

impl Window {
    /// The hours that end with `now_us`.
    pub fn hours_until(now_us: i64, hours: u32) -> Self {
        let until_us = now_us.saturating_add(1);
        Self { since_us: until_us.saturating_sub(i64::from(hours).saturating_mul(HOUR_US)), until_us }
    }

    pub(crate) fn is_valid(self) -> bool {
        self.until_us.checked_sub(self.since_us).is_some_and(|length| (1..=MAX_WINDOW_US).contains(&length))
    }
}

/// What was counted in whole buckets of time, and the span that they cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The length of the buckets: five minutes, hours or days.
    pub step: Step,
    /// Where the first begins.
    pub since_us: i64,
    /// Where the last ends.
    pub until_us: i64,
}

impl Span {
    /// The whole buckets that hold a window: the shortest that are still kept for all of it.
    pub fn over<B: Bucket>(counts: &Windowed<B>, window: Window) -> Self {
        let step = finest::<B>(counts.newest_us(), window.since_us);
        let until_us = match step.start_of(window.until_us) {
            start if start == window.until_us => start,
            start => start.saturating_add(step.len_us()),
        };
        Self { step, since_us: step.start_of(window.since_us), until_us }
    }

    /// The sum of the span.
    pub fn sum<B: Bucket>(self, counts: &Windowed<B>) -> B {
        let mut total = B::default();
        for (_, bucket) in counts.series(self.step, self.since_us, self.until_us) {
            total.merge(bucket);
        }
        total
    }
}

/// The shortest step whose buckets are kept since a time. Five minutes are kept for 25 hours.
fn finest<B: Bucket>(newest_us: Option<i64>, since_us: i64) -> Step {
    let kept_us = [(Step::FiveMinutes, 25), (Step::Hour, i64::from(B::HOURS_KEPT_DAYS) * 24)];
    let is_kept = |(step, hours): &(Step, i64)| {
        let floor = newest_us.map(|newest| step.start_of(newest).saturating_sub(hours * HOUR_US));
        floor.is_none_or(|floor| step.start_of(since_us) >= floor)
    };
    kept_us.into_iter().find(is_kept).map_or(Step::Day, |(step, _)| step)
}
