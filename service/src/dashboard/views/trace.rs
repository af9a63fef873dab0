//! The waterfall of a trace, across services.

use std::collections::BTreeSet;

use dataset_events::read_models::TraceTree;
use dataset_events::{EventPlace, Outcome, SetScope, SpanId, TraceId, Unread};
use maud::{Markup, html};
use serde::Serialize;

use super::{Heading, unread_json};
use crate::dashboard::blocks::{Block, Cell, Tile, Tone};
use crate::dashboard::error::DashboardError;
use crate::dashboard::format::{counted, duration, visible};
use crate::dashboard::html::{Frame, Nav, Page, blocks, cell, name, page, text};

/// Events of a trace that are shown.
const MAX_EVENTS: usize = 500;
/// Steps of indentation that the style has.
const MAX_INDENT: usize = 12;

/// A trace, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct TraceView {
    #[serde(flatten)]
    heading: Heading,
    trace_id: TraceId,
    started_at_us: i64,
    duration_ns: u64,
    services: Vec<String>,
    failures: u64,
    is_truncated: bool,
    #[serde(serialize_with = "unread_json")]
    unread: Vec<Unread>,
    /// Each parent before its children.
    pub(in crate::dashboard) spans: Vec<SpanRow>,
}

/// One call, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct SpanRow {
    place: EventPlace,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    /// How many of its ancestors are among the spans.
    depth: usize,
    is_parent_missing: bool,
    surface: String,
    service: String,
    outcome: Outcome,
    code: Option<String>,
    started_at_us: i64,
    duration_ns: u64,
}

impl TraceView {
    pub(in crate::dashboard) fn read(
        reader: &SetScope,
        named: &str,
        now_us: i64,
    ) -> Result<Self, DashboardError> {
        let trace_id: TraceId = named.parse().map_err(|_| DashboardError::NotFound)?;
        let TraceTree { nodes, started_at, ended_at, is_truncated, unread, .. } =
            reader.trace(trace_id, MAX_EVENTS)?;
        let (Some(started_at_us), Some(ended_at)) = (started_at, ended_at) else {
            return Err(DashboardError::NotFound);
        };
        let spans: Vec<SpanRow> = nodes
            .into_iter()
            .map(|node| {
                let event = node.event.event;
                SpanRow {
                    place: EventPlace::of(&event),
                    span_id: event.span_id,
                    parent_span_id: event.parent_span_id,
                    depth: node.depth,
                    is_parent_missing: node.is_parent_missing,
                    code: event.code().map(str::to_owned),
                    surface: event.surface,
                    service: event.writer.service,
                    outcome: event.outcome,
                    started_at_us: event.started_at,
                    duration_ns: event.duration_ns,
                }
            })
            .collect();
        let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        // A call that is shorter than a microsecond has a length all the same.
        let longest = spans.iter().map(|span| span.duration_ns).max().unwrap_or(0);
        let span_us = u64::try_from(ended_at.saturating_sub(started_at_us)).unwrap_or(0);
        Ok(Self {
            heading: Heading::new(reader.scope(), now_us),
            trace_id,
            started_at_us,
            duration_ns: span_us.saturating_mul(1_000).max(longest),
            services: services.into_iter().map(str::to_owned).collect(),
            failures: spans.iter().filter(|span| span.outcome.is_failure()).count() as u64,
            is_truncated,
            unread,
            spans,
        })
    }

    /// Beginning and length of a span, in thousandths of the trace; at least visible.
    fn part(&self, span: &SpanRow) -> (u64, u64) {
        let whole = u128::from(self.duration_ns.max(1));
        let offset_us = u64::try_from(span.started_at_us.saturating_sub(self.started_at_us)).unwrap_or(0);
        let start = (u128::from(offset_us) * 1_000_000 / whole).min(996) as u64;
        let length =
            (u128::from(span.duration_ns) * 1_000 / whole).clamp(4, u128::from(1_000 - start)) as u64;
        (start, length)
    }
}

fn waterfall(frame: &Frame<'_>, view: &TraceView) -> Markup {
    let service_at = |service: &str| view.services.iter().position(|known| known == service).unwrap_or(0) % 6;
    html! {
        section.card.trace {
            div.chart-head {
                h2.caption { "Calls" }
                ul.legend { @for service in &view.services {
                    li { span class={ "key series-" (service_at(service)) } aria-hidden="true" {} (text(service)) }
                } }
            }
            table.waterfall {
                caption.visually-hidden { "The calls of the trace: each below its caller, in the order of their beginning" }
                thead { tr {
                    th scope="col" { "Call" }
                    th scope="col" { "Service" }
                    th scope="col" { "Outcome" }
                    th.number scope="col" { "Duration" }
                    th.span-bar scope="col" {
                        span.ticks { span { "0" } span { (duration(view.duration_ns / 2)) } span { (duration(view.duration_ns)) } }
                    }
                } }
                tbody { @for span in &view.spans {
                    @let (start, length) = view.part(span);
                    @let offset = u64::try_from(span.started_at_us.saturating_sub(view.started_at_us)).unwrap_or(0);
                    tr {
                        th scope="row" class={ "depth-" (span.depth.min(MAX_INDENT)) } data-label="Call" {
                            @if span.depth > 0 { span.visually-hidden { "Level " (span.depth) ": " } }
                            a href=(frame.href(&format!("/events/{}", span.place))) { (name(&span.surface)) }
                            @if span.is_parent_missing { " " span.remark title="It ran in a span that is not recorded in this scope." { "caller not here" } }
                        }
                        td data-label="Service" { (name(&span.service)) }
                        td data-label="Outcome" {
                            span {
                                (cell(frame, &Cell::outcome(span.outcome)))
                                // The code of a call that was dropped is its outcome.
                                @if let Some(code) = span.code.as_ref().filter(|code| *code != span.outcome.as_str()) { " " (name(code)) }
                            }
                        }
                        td.number data-label="Duration" { (duration(span.duration_ns)) }
                        td.span-bar data-label="" {
                            svg viewBox="0 0 1000 12" preserveAspectRatio="none" role="img"
                                aria-label={ "Begins " (duration(offset.saturating_mul(1_000))) " after the trace and takes " (duration(span.duration_ns)) } {
                                line.grid x1="500" y1="0" x2="500" y2="12" {}
                                rect class={ "series-" (service_at(&span.service)) (if span.outcome.is_failure() { " failed" } else { "" }) }
                                    x=(start) y="1" width=(length) height="10" {
                                    title { (visible(&span.surface)) ": " (duration(span.duration_ns)) }
                                }
                            }
                        }
                    }
                } }
            }
        }
    }
}

pub(in crate::dashboard) fn trace_page(frame: &Frame<'_>, view: &TraceView) -> Markup {
    let failures = Tile::new("Failures", Cell::count(view.failures));
    let failures = match view.failures {
        0 => failures.note("every call returned its value").tone(Tone::Good),
        1 => failures.note("call did not return its value").tone(Tone::Bad),
        _ => failures.note("calls did not return their value").tone(Tone::Bad),
    };
    let mut shown = vec![Block::tiles([
        Tile::new("Duration", Cell::duration_ns(view.duration_ns)).note("from first beginning to last end"),
        Tile::new("Calls", Cell::count(view.spans.len() as u64))
            .note(format!("in {}", counted(view.services.len() as u64, "service", "services"))),
        failures,
        Tile::new("Began", Cell::time(view.started_at_us)).note("UTC"),
    ])];
    if view.is_truncated {
        shown.push(Block::notice(
            Tone::Warning,
            format!("The trace has more events; the first {MAX_EVENTS} are shown."),
        ));
    }
    let body = html! { (blocks(frame, &shown)) (waterfall(frame, view)) };
    page(
        frame,
        Page {
            nav: Nav::Events,
            title: "Trace",
            lead: &view.trace_id.to_string(),
            window: None,
            as_of: None,
            unread: &view.unread,
            is_stale: false,
            body,
        },
    )
}
