//! The overview, folded from events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use dataset_events::{Access, DatasetEvent, Outcome};

use super::model::{
    CodeCount, Counts, Failure, HOUR_US, HourCount, LATEST_FAILURES, Overview, Place, SurfaceCount, Window,
};

/// What is counted of a window.
pub(super) struct Fold {
    window: Window,
    totals: Counts,
    surfaces: BTreeMap<(String, Access, Outcome), u64>,
    /// How many, and when the latest.
    codes: BTreeMap<String, (u64, i64)>,
    /// Events and failures, by the beginning of the hour.
    hours: BTreeMap<i64, (u64, u64)>,
    latest: BinaryHeap<Reverse<Latest>>,
}

/// A failure, ordered by its place.
struct Latest(Place, Failure);

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Latest {}

impl PartialOrd for Latest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Latest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

fn hour_of(time_us: i64) -> i64 {
    time_us.div_euclid(HOUR_US) * HOUR_US
}

impl Fold {
    pub(super) fn over(window: Window) -> Self {
        let hours = (window.since_us.div_euclid(HOUR_US)..=(window.until_us - 1).div_euclid(HOUR_US))
            .map(|hour| (hour * HOUR_US, (0, 0)));
        Self {
            window,
            totals: Counts::default(),
            surfaces: BTreeMap::new(),
            codes: BTreeMap::new(),
            hours: hours.collect(),
            latest: BinaryHeap::new(),
        }
    }

    /// Counts an event of the window, unless it is the dashboard's own.
    pub(super) fn add(&mut self, event: &DatasetEvent) {
        if event.surface.starts_with("bossman.") {
            return;
        }
        self.totals.add(event.outcome);
        *self.surfaces.entry((event.surface.clone(), event.access, event.outcome)).or_default() += 1;
        let (events, failures) = self.hours.entry(hour_of(event.recorded_at)).or_default();
        *events += 1;
        if !event.outcome.is_failure() {
            return;
        }
        *failures += 1;
        if let Some(code) = event.code() {
            let (events, latest) = self.codes.entry(code.to_owned()).or_insert((0, i64::MIN));
            *events += 1;
            *latest = event.recorded_at.max(*latest);
        }
        self.latest.push(Reverse(Latest(Place::of(event), failure(event))));
        if self.latest.len() > LATEST_FAILURES {
            self.latest.pop();
        }
    }

    /// The overview without what is not counted: scope, time of reading, freshness.
    pub(super) fn finish(self, mut overview: Overview) -> Overview {
        overview.window = self.window;
        overview.totals = self.totals;
        let surfaces = self.surfaces.into_iter();
        overview.by_surface = surfaces
            .map(|((surface, access, outcome), events)| SurfaceCount { surface, access, outcome, events })
            .collect();
        let codes = self.codes.into_iter();
        overview.by_code =
            codes.map(|(code, (events, latest_at_us))| CodeCount { code, events, latest_at_us }).collect();
        // A stable sort: codes that are as frequent stay in the order of their names.
        overview.by_code.sort_by_key(|code| Reverse(code.events));
        let hours = self.hours.into_iter();
        overview.by_hour =
            hours.map(|(hour_us, (events, failures))| HourCount { hour_us, events, failures }).collect();
        let latest = self.latest.into_sorted_vec().into_iter();
        overview.latest_failures = latest.map(|Reverse(Latest(_, failure))| failure).collect();
        overview
    }
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        self.events += 1;
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Panic => self.panic += 1,
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Interrupted => self.interrupted += 1,
            // An outcome of a later version is a failure of some kind.
            _ => self.error += 1,
        }
    }
}

fn failure(event: &DatasetEvent) -> Failure {
    Failure {
        ledger_id: event.ledger_id,
        seq: event.seq,
        recorded_at_us: event.recorded_at,
        surface: event.surface.clone(),
        outcome: event.outcome,
        code: event.code().map(str::to_owned),
        user_id: event.user_id().cloned(),
        request_id: event.request_id.clone(),
        trace_id: event.trace_id,
    }
}
