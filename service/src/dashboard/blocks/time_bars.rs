//! Counts over time.

use serde::Serialize;

/// Counts by time, as upright bars: what went well, and on top of it what did not.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeBars {
    /// What is counted.
    pub title: String,
    /// The span of a bar in microseconds.
    pub step_us: i64,
    /// The bars, oldest first; spans without one are empty.
    pub bars: Vec<TimeBar>,
    /// The beginning of the first bar, in microseconds since 1970.
    pub from_us: i64,
    /// The end of the last bar.
    pub until_us: i64,
    /// What the counts are of, `events` say.
    pub noun: String,
    /// What the bad ones are, `failures` say.
    pub bad_noun: String,
}

/// The counts of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TimeBar {
    /// Its beginning, in microseconds since 1970.
    pub at_us: i64,
    /// All that was counted.
    pub count: u64,
    /// Of those, the bad ones.
    pub bad: u64,
}

impl TimeBars {
    /// A chart of a span, with bars of `step_us` microseconds (at least 1).
    pub fn new(title: impl Into<String>, step_us: i64, from_us: i64, until_us: i64) -> Self {
        Self {
            title: title.into(),
            step_us: step_us.max(1),
            bars: Vec::new(),
            from_us,
            until_us,
            noun: "events".to_owned(),
            bad_noun: "failures".to_owned(),
        }
    }

    /// Adds the counts of the span that begins at a time. Spans are to be given oldest first.
    #[must_use]
    pub fn bar(mut self, at_us: i64, count: u64, bad: u64) -> Self {
        self.bars.push(TimeBar { at_us, count, bad });
        self
    }

    /// What the counts are of, and what the bad ones are. Defaults to events and failures.
    #[must_use]
    pub fn nouns(mut self, noun: impl Into<String>, bad_noun: impl Into<String>) -> Self {
        (self.noun, self.bad_noun) = (noun.into(), bad_noun.into());
        self
    }
}
