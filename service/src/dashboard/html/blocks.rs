//! The blocks of a panel as HTML.

use maud::{Markup, html};

use super::plot::line_plot;
use super::time_bars::time_bars;
use super::{Frame, name, text, time};
use crate::dashboard::blocks::{BarChart, Block, Cell, Table, Tile, Timeline, Tone};
use crate::dashboard::format;

pub(in crate::dashboard) fn blocks(frame: &Frame<'_>, blocks: &[Block]) -> Markup {
    html! { @for block in blocks { (one(frame, block)) } }
}

fn one(frame: &Frame<'_>, block: &Block) -> Markup {
    match block {
        Block::Heading { text: heading } => html! { h2 { (text(heading)) } },
        Block::Text { text: paragraph } => html! { p { (text(paragraph)) } },
        Block::Notice { tone, text: notice } => {
            html! { p class={ "notice " (class(*tone)) } { (text(notice)) } }
        }
        Block::Tiles { tiles } => html! { dl.tiles { @for tile in tiles { (one_tile(frame, tile)) } } },
        Block::Table(content) => table(frame, content),
        Block::LinePlot(plot) => line_plot(frame, plot),
        Block::BarChart(chart) => bar_chart(frame, chart),
        Block::TimeBars(bars) => time_bars(frame, bars),
        Block::Timeline(content) => timeline(frame, content),
        Block::Empty { title, hint } => {
            html! { section.card.empty { h2 { (text(title)) } p { (text(hint)) } } }
        }
    }
}

pub(super) fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "neutral",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    }
}

fn one_tile(frame: &Frame<'_>, tile: &Tile) -> Markup {
    html! {
        div class={ "tile " (class(tile.tone)) } {
            dt { (text(&tile.label)) }
            dd.figure { (cell(frame, &tile.value)) }
            @if let Some(note) = &tile.note { dd.note { (text(note)) } }
        }
    }
}

/// One value, linked into the scope that is shown.
pub(in crate::dashboard) fn cell(frame: &Frame<'_>, value: &Cell) -> Markup {
    match value {
        Cell::None => html! { span.none { "–" } },
        Cell::Text { text: value } | Cell::Number { text: value } => text(value),
        Cell::Name { text: value } => name(value),
        Cell::Count { value } => html! { (format::count(*value)) },
        Cell::Share { value } => html! { (format::share(*value)) },
        Cell::Duration { ns } => html! { (format::duration(*ns)) },
        Cell::Time { at_us } => time(*at_us, frame.now_us),
        Cell::Status { tone, text: value } => {
            html! { span class={ "status " (class(*tone)) } { (text(value)) } }
        }
        Cell::Event { place, text: value } => {
            html! { a href=(frame.href(&format!("/events/{place}"))) { (text(value)) } }
        }
        Cell::EventTime { place } => {
            let href = frame.href(&format!("/events/{place}"));
            html! { a href=(href) { (time(place.recorded_at, frame.now_us)) } }
        }
        Cell::EventsWith { field, value } => {
            let query = format!("/events?{}={}", field.as_str(), format::in_query(value));
            html! { a href=(frame.href(&query)) { (name(value)) } }
        }
        Cell::Trace { trace_id } => {
            let (id, short) = (trace_id.to_string(), &trace_id.to_string()[..8]);
            let href = frame.href(&format!("/traces/{id}"));
            html! { a.name href=(href) title=(id) { span.visually-hidden { "Trace " } (short) } }
        }
    }
}

/// A table in a card. At phone width each row is a card whose cells bring their heads along, those
/// that are empty aside.
pub(in crate::dashboard) fn table(frame: &Frame<'_>, content: &Table) -> Markup {
    html! {
        section.card {
            @if content.rows.is_empty() {
                h2.caption { (text(&content.caption)) }
                p.nothing { (text(&content.when_empty)) }
            } @else {
                table {
                    caption { (text(&content.caption)) }
                    thead {
                        tr { @for column in &content.columns {
                            th scope="col" class=[column.is_numeric.then_some("number")] { (text(&column.title)) }
                        } }
                    }
                    tbody { @for row in &content.rows {
                        tr { @for (at, (column, value)) in content.columns.iter().zip(row).enumerate() {
                            @let is_blank = matches!(value, Cell::None);
                            @if at == 0 {
                                th.number[column.is_numeric] scope="row" data-label=(column.title) { (cell(frame, value)) }
                            } @else {
                                td.number[column.is_numeric].blank[is_blank] data-label=(column.title) { (cell(frame, value)) }
                            }
                        } }
                    } }
                }
                @if content.left_out > 0 {
                    p.nothing { (format::count(content.left_out)) " more are not shown." }
                }
            }
        }
    }
}

fn bar_chart(frame: &Frame<'_>, chart: &BarChart) -> Markup {
    let longest = chart.bars.iter().map(|bar| bar.length).filter(|length| length.is_finite());
    let full = chart.full.unwrap_or_else(|| longest.fold(0.0, f64::max));
    html! {
        section.card {
            h2.caption { (text(&chart.title)) }
            @if chart.bars.is_empty() { p.nothing { (text(&chart.when_empty)) } }
            ul.bars { @for bar in &chart.bars {
                // What is there at all is at least visible.
                @let part = match bar.length / full {
                    part if part > 0.0 && full.is_finite() => part.clamp(0.004, 1.0),
                    _ => 0.0,
                };
                li {
                    span.label { (name(&bar.label)) }
                    span.value { (cell(frame, &bar.value)) }
                    svg.bar viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                        rect.track x="0" y="0" width="1000" height="8" {}
                        rect class=(class(bar.tone)) x="0" y="0" width=(format!("{:.0}", part * 1_000.0)) height="8" {}
                    }
                }
            } }
        }
    }
}

fn timeline(frame: &Frame<'_>, content: &Timeline) -> Markup {
    html! {
        section.card {
            h2.caption { (text(&content.title)) }
            @if content.entries.is_empty() { p.nothing { (text(&content.when_empty)) } }
            ol.timeline { @for entry in &content.entries {
                li class=(class(entry.tone)) {
                    p.when { (time(entry.at_us, frame.now_us)) }
                    p.what {
                        @match entry.event {
                            Some(place) => (cell(frame, &Cell::event(place, &entry.title))),
                            None => (text(&entry.title)),
                        }
                        @if let Some(actor) = &entry.actor { " " span.by { "by " (name(actor)) } }
                    }
                    @if !entry.facts.is_empty() {
                        dl.facts { @for (fact, value) in &entry.facts {
                            div { dt { (text(fact)) } dd { (cell(frame, value)) } }
                        } }
                    }
                }
            } }
        }
    }
}
