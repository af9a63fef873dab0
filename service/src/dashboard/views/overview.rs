//! The overview of a scope.

use dataset_events::read_models::{LatencySketch, Step, Window};
use dataset_events::{EventPlace, Outcome, TraceId, Unread};
use serde::Serialize;

use super::{Heading, unread_json};
use crate::dashboard::blocks::{Block, Cell, EventField, Table, Tile, TimeBars, Tone};
use crate::dashboard::digest::ScopeDigest;
use crate::dashboard::error::DashboardError;
use crate::dashboard::format;
use crate::dashboard::html::{self, Frame, Nav, Page};
use crate::dashboard::models::ScopeModels;
use crate::dashboard::window::{name_of, step_of, title_of};

/// Latest failures that are listed.
const LATEST: usize = 20;
/// Those of them that the page shows.
const SHOWN_FAILURES: usize = 10;
/// Rows of the tables by surface and by code.
const MAX_ROWS: usize = 50;
/// Bars of a chart of all time, the newest ones.
const MAX_DAYS: i64 = 366;

/// The overview, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(in crate::dashboard) struct Overview {
    #[serde(flatten)]
    heading: Heading,
    window: &'static str,
    /// The span that the counts cover: whole buckets.
    from_us: Option<i64>,
    until_us: i64,
    /// When the newest event that was read was recorded.
    pub(in crate::dashboard) as_of_us: Option<i64>,
    /// Events of the scope that were read in all.
    pub(in crate::dashboard) events_read: u64,
    #[serde(serialize_with = "unread_json")]
    unread: Vec<Unread>,
    events: u64,
    failures: u64,
    latency: Option<Quantiles>,
    by_outcome: Vec<OutcomeCount>,
    by_code: Vec<CodeCount>,
    by_surface: Vec<SurfaceRow>,
    activity: Activity,
    latest_failures: Vec<FailureRow>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Quantiles {
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

#[derive(Debug, Clone, Serialize)]
struct OutcomeCount {
    outcome: Outcome,
    events: u64,
}

#[derive(Debug, Clone, Serialize)]
struct CodeCount {
    code: String,
    events: u64,
}

#[derive(Debug, Clone, Serialize)]
struct SurfaceRow {
    surface: String,
    events: u64,
    failures: u64,
    #[serde(flatten)]
    latency: Option<Quantiles>,
}

#[derive(Debug, Clone, Serialize)]
struct Activity {
    step_us: i64,
    from_us: i64,
    until_us: i64,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Bucket {
    at_us: i64,
    events: u64,
    failures: u64,
}

#[derive(Debug, Clone, Serialize)]
struct FailureRow {
    place: EventPlace,
    surface: String,
    outcome: Outcome,
    code: Option<String>,
    retryable: bool,
    trace_id: TraceId,
    duration_ns: u64,
}

impl Overview {
    pub(in crate::dashboard) fn read(
        models: &ScopeModels,
        window: Window,
        now_us: i64,
    ) -> Result<Self, DashboardError> {
        let overview = models.fold(ScopeDigest, |folded| {
            let state = folded.state();
            let end_us = now_us.saturating_add(1);
            let counted = state.activity.window(window, end_us);
            let sketches = state.latency.window(window, end_us).total;
            let quantiles = |sketch: &LatencySketch| {
                let [p50_ns, p90_ns, p99_ns] = sketch.quantiles([0.5, 0.9, 0.99])?;
                Some(Quantiles { p50_ns, p90_ns, p99_ns, max_ns: sketch.max_ns() })
            };
            let counts = counted.total;
            let mut by_surface: Vec<SurfaceRow> = counts
                .by_surface
                .iter()
                .map(|(surface, counts)| SurfaceRow {
                    surface: surface.clone(),
                    events: counts.events,
                    failures: counts.failures,
                    latency: sketches.sketch(surface).and_then(quantiles),
                })
                .collect();
            by_surface.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.surface.cmp(&b.surface)));
            let mut by_code: Vec<CodeCount> = counts
                .by_code
                .iter()
                .map(|(code, events)| CodeCount { code: code.clone(), events: *events })
                .collect();
            by_code.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.code.cmp(&b.code)));
            let latest = state.failures.latest.newest_first().filter(|(place, _)| {
                counted.from_us.is_none_or(|from_us| place.recorded_at >= from_us)
                    && place.recorded_at < counted.until_us
            });
            let latest_failures = latest.take(LATEST).map(|(place, failure)| FailureRow {
                place,
                surface: failure.surface.clone(),
                outcome: failure.outcome,
                code: failure.code.clone(),
                retryable: failure.is_retryable,
                trace_id: failure.trace_id,
                duration_ns: failure.duration_ns,
            });
            let step = step_of(window);
            let until_us = step.start_of(now_us).saturating_add(step.len_us());
            let first_us = || state.activity.series(step, i64::MIN, until_us).next().map(|(at_us, _)| at_us);
            let from_us = match window.len_us() {
                Some(len_us) => until_us.saturating_sub(len_us),
                // From the first day on, and at least two weeks.
                None => first_us().unwrap_or(until_us).clamp(
                    until_us.saturating_sub(MAX_DAYS * step.len_us()),
                    until_us.saturating_sub(14 * step.len_us()),
                ),
            };
            let buckets = state.activity.series(step, from_us, until_us);
            let buckets = buckets.map(|(at_us, counts)| Bucket {
                at_us,
                events: counts.events,
                failures: counts.failures,
            });
            Overview {
                heading: Heading::new(models.reader().scope(), now_us),
                window: name_of(window),
                from_us: counted.from_us,
                until_us: counted.until_us,
                as_of_us: folded.as_of(),
                events_read: folded.snapshot().events,
                unread: folded.last_refresh().unread.clone(),
                events: counts.events,
                failures: counts.failures,
                latency: quantiles(&sketches.overall()),
                by_outcome: counts
                    .by_outcome
                    .iter()
                    .map(|(outcome, events)| OutcomeCount { outcome: *outcome, events: *events })
                    .collect(),
                by_code,
                by_surface,
                activity: Activity { step_us: step.len_us(), from_us, until_us, buckets: buckets.collect() },
                latest_failures: latest_failures.collect(),
            }
        });
        Ok(overview?)
    }

    fn share_of_failures(&self) -> f64 {
        if self.events == 0 { 0.0 } else { self.failures as f64 / self.events as f64 }
    }

    fn tiles(&self, window: Window) -> Block {
        let span = match window {
            Window::All => "of all time".to_owned(),
            other => format!("in the last {}", title_of(other)),
        };
        let failed = self.share_of_failures();
        let tone = match self.failures {
            0 => Tone::Good,
            _ if failed < 0.05 => Tone::Warning,
            _ => Tone::Bad,
        };
        let note = match self.failures {
            0 => "none".to_owned(),
            _ => format!("{} of all events", format::share(failed)),
        };
        let ns = |quantile: fn(Quantiles) -> u64| {
            Cell::or_none(self.latency, |all| Cell::duration_ns(quantile(all)))
        };
        Block::tiles([
            Tile::new("Events", Cell::count(self.events)).note(span),
            Tile::new("Failures", Cell::count(self.failures)).note(note).tone(tone),
            Tile::new("Surfaces", Cell::count(self.by_surface.len() as u64)).note("with events"),
            Tile::new("Latency p50", ns(|all| all.p50_ns)).note("the median of all"),
            Tile::new("Latency p90", ns(|all| all.p90_ns)).note("of all surfaces"),
            Tile::new("Latency p99", ns(|all| all.p99_ns)).note(match self.latency {
                Some(all) => format!("longest {}", format::duration(all.max_ns)),
                None => "of all surfaces".to_owned(),
            }),
        ])
    }

    fn blocks(&self, window: Window) -> [Block; 5] {
        let Activity { step_us, from_us, until_us, .. } = self.activity;
        let title = match step_of(window) {
            Step::FiveMinutes => "Activity by five minutes",
            Step::Hour => "Activity by hour",
            _ => "Activity by day",
        };
        let mut bars = TimeBars::new(title, step_us, from_us, until_us);
        for bucket in &self.activity.buckets {
            bars = bars.bar(bucket.at_us, bucket.events, bucket.failures);
        }
        let mut surfaces = Table::new("Surfaces", &["Surface", "Events", "Failures", "p50", "p90", "p99"])
            .left_out(self.by_surface.len().saturating_sub(MAX_ROWS) as u64);
        for row in self.by_surface.iter().take(MAX_ROWS) {
            let ns = |quantile: fn(Quantiles) -> u64| {
                Cell::or_none(row.latency, |all| Cell::duration_ns(quantile(all)))
            };
            surfaces.push([
                Cell::events_with(EventField::Surface, &row.surface),
                Cell::count(row.events),
                Cell::count(row.failures),
                ns(|all| all.p50_ns),
                ns(|all| all.p90_ns),
                ns(|all| all.p99_ns),
            ]);
        }
        let mut codes = Table::new("Error codes", &["Code", "Events", "Share of failures"])
            .when_empty("No call failed with a code in this window.")
            .left_out(self.by_code.len().saturating_sub(MAX_ROWS) as u64);
        for row in self.by_code.iter().take(MAX_ROWS) {
            codes.push([
                Cell::events_with(EventField::Code, &row.code),
                Cell::count(row.events),
                Cell::share(row.events as f64 / self.failures.max(1) as f64),
            ]);
        }
        let mut outcomes = Table::new("Outcomes", &["Outcome", "Events", "Share"]);
        for row in &self.by_outcome {
            outcomes.push([
                Cell::outcome(row.outcome),
                Cell::count(row.events),
                Cell::share(row.events as f64 / self.events.max(1) as f64),
            ]);
        }
        let mut failures =
            Table::new("Latest failures", &["Time (UTC)", "Surface", "Outcome", "Code", "Duration", "Trace"])
                .when_empty("No failure in this window.")
                .left_out(self.latest_failures.len().saturating_sub(SHOWN_FAILURES) as u64);
        for row in self.latest_failures.iter().take(SHOWN_FAILURES) {
            failures.push([
                Cell::event_time(row.place),
                Cell::events_with(EventField::Surface, &row.surface),
                Cell::outcome(row.outcome),
                Cell::or_none(row.code.as_ref(), |code| Cell::events_with(EventField::Code, code)),
                Cell::duration_ns(row.duration_ns),
                Cell::trace(row.trace_id),
            ]);
        }
        [bars.into(), surfaces.into(), codes.into(), outcomes.into(), failures.into()]
    }
}

pub(in crate::dashboard) fn overview_page(
    frame: &Frame<'_>,
    overview: &Overview,
    window: Window,
    is_stale: bool,
) -> maud::Markup {
    let body = if overview.events_read == 0 {
        html::blocks(
            frame,
            &[Block::empty(
                "No events yet",
                "This scope has no events in any ledger of the set. They appear here once a service records a call \
             in it: annotate a function with #[dataset_event], or send a request through the admission layer.",
            )],
        )
    } else {
        let [bars, surfaces, codes, outcomes, failures] = overview.blocks(window);
        maud::html! {
            (html::blocks(frame, &[overview.tiles(window), bars]))
            div.pair { (html::blocks(frame, &[codes, outcomes])) }
            (html::blocks(frame, &[failures, surfaces]))
        }
    };
    html::page(
        frame,
        Page {
            nav: Nav::Overview,
            title: "Overview",
            lead: "What happened in this scope, computed from its ledgers. Reading is left out.",
            window: Some((window, "/")),
            as_of: overview.as_of_us,
            unread: &overview.unread,
            is_stale,
            body,
        },
    )
}
