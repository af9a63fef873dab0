//! How the sinks of this process fare: for a tenant without what is of all tenants, for an operator as a whole.

use dataset_events::sinks::{ForwardState, SinkStatus};
use dataset_events::{LedgerId, LedgerState};
use maud::{Markup, html};
use serde::Serialize;

use crate::dashboard::blocks::{Cell, Table, Tile, Tone};
use crate::dashboard::format::{count, counted, duration, per_second};
use crate::dashboard::html::{Frame, cell, name, text, time, time_to_come};

/// A sink as a tenant sees it. Targets, errors and counts are of all tenants, and for the operator alone.
#[derive(Debug, Serialize)]
pub(super) struct SinkRow {
    ledger_id: LedgerId,
    name: String,
    kind: &'static str,
    required: bool,
    /// `starting`, `running`, `waiting`, `hanging`, `paused`, `stopped` or `closed`.
    state: &'static str,
    /// The age of the oldest line that it has not acknowledged; 0 when there is none.
    lag_seconds: f64,
    last_write_us: Option<i64>,
    /// Whether it lacks anything. How much is of all tenants.
    #[serde(skip)]
    is_behind: bool,
}

impl SinkRow {
    pub(super) fn of(state: &LedgerState) -> impl Iterator<Item = Self> {
        state.sinks.iter().map(|status| Self {
            ledger_id: state.ledger_id,
            name: status.name.clone(),
            kind: status.kind,
            required: status.required,
            state: status.state.as_str(),
            lag_seconds: status.lag_seconds,
            last_write_us: status.last_write_us,
            is_behind: is_behind(status),
        })
    }
}

/// Whether a sink lacks anything. The age of its oldest line does not tell: it is 0 also where it is not known, as
/// after each batch that was acknowledged, and before the first.
fn is_behind(status: &SinkStatus) -> bool {
    status.lag_events > 0 || status.lag_bytes > 0
}

fn state_cell(state: &'static str) -> Cell {
    let tone = match state {
        "running" => Tone::Good,
        "starting" | "waiting" | "paused" => Tone::Warning,
        "closed" => Tone::Neutral,
        _ => Tone::Bad,
    };
    Cell::status(tone, state)
}

/// How long the oldest line has waited that is not acknowledged, where that is known.
fn behind(is_behind: bool, lag_seconds: f64) -> Cell {
    match is_behind {
        false => Cell::status(Tone::Good, "up to date"),
        true if lag_seconds > 0.0 => Cell::text(duration((lag_seconds * 1e9) as u64)),
        true => Cell::text("behind"),
    }
}

pub(super) fn sinks_tile(sinks: &[SinkRow]) -> Tile {
    let tile = Tile::new("Sinks", Cell::count(sinks.len() as u64));
    let troubled = sinks.iter().filter(|sink| sink.state != "running").count();
    match (sinks.len(), troubled) {
        (0, _) => tile.note("this process forwards to none"),
        (1, 0) => tile.note("it runs").tone(Tone::Good),
        (_, 0) => tile.note("all of them run").tone(Tone::Good),
        (_, troubled) => tile.note(format!("{troubled} not running")).tone(Tone::Warning),
    }
}

pub(super) fn sinks_table(sinks: &[SinkRow]) -> Table {
    let columns = ["Sink", "Kind", "Ledger", "State", "Required", "Behind", "Last write (UTC)"];
    let mut table = Table::new("Sinks of this process", &columns);
    for sink in sinks {
        table.push([
            Cell::name(sink.name.clone()),
            Cell::name(sink.kind),
            Cell::name(sink.ledger_id.to_string()),
            state_cell(sink.state),
            Cell::text(if sink.required { "yes" } else { "no" }),
            behind(sink.is_behind, sink.lag_seconds),
            Cell::or_none(sink.last_write_us, Cell::time),
        ]);
    }
    table
}

/// What a sink is about beside its figures: why it does nothing, and what went wrong last.
fn remarks(frame: &Frame<'_>, status: &SinkStatus) -> Option<Markup> {
    let state = match &status.state {
        ForwardState::Stopped { reason } => Some(html! { "Stopped: " (text(reason)) }),
        ForwardState::Waiting { until_us, attempts } => Some(html! {
            (counted(*attempts, "attempt", "attempts")) " failed in a row; the next is made at "
            (time_to_come(*until_us, frame.now_us))
        }),
        ForwardState::Hanging { since_us } => {
            Some(html! { "No answer since " (time(*since_us, frame.now_us)) })
        }
        _ => None,
    };
    let missed = (status.missed_segments > 0).then(|| {
        let dropped = "segment was dropped before it had it";
        counted(status.missed_segments, dropped, "segments were dropped before it had them")
    });
    // What stopped it is not said twice.
    let is_said =
        |message: &str| matches!(&status.state, ForwardState::Stopped { reason } if reason == message);
    let error = status.last_error.as_ref().filter(|error| !is_said(&error.message));
    let error = error.map(|error| {
        html! { "Last error, " (time(error.at_us, frame.now_us)) ": " (text(&error.message)) }
    });
    let remarks: Vec<Markup> =
        [state, missed.map(|missed| html! { (missed) }), error].into_iter().flatten().collect();
    (!remarks.is_empty()).then(|| html! { @for remark in remarks { p { (remark) } } })
}

/// Every sink of this process as the operator sees it: where it writes, how far it is, and what went wrong last.
pub(super) fn operators_sinks(frame: &Frame<'_>, sinks: &[(LedgerId, SinkStatus)]) -> Markup {
    const COLUMNS: [(&str, bool); 8] = [
        ("Sink", false),
        ("Target", false),
        ("State", false),
        ("Events behind", true),
        ("Oldest waits", false),
        ("Rate", true),
        ("Dead letters", true),
        ("Last write (UTC)", false),
    ];
    html! {
        section.card {
            @if sinks.is_empty() {
                h2.caption { "Sinks" }
                p.nothing { "This process forwards its ledger to no sink. Sinks are named in the configuration." }
            } @else {
                table.sinks {
                    caption { "Sinks of this process" }
                    thead { tr { @for (title, is_numeric) in COLUMNS { th.number[is_numeric] scope="col" { (title) } } } }
                    @for (ledger_id, status) in sinks {
                        tbody {
                            tr {
                                th scope="row" data-label="Sink" title=(format!("of ledger {ledger_id}")) {
                                    (name(&status.name)) " " span.remark { (if status.required { "required" } else { "optional" }) }
                                }
                                td.target data-label="Target" {
                                    (name(status.kind)) @if !status.target.is_empty() { " " (text(&status.target)) }
                                }
                                td data-label="State" { (cell(frame, &state_cell(status.state.as_str()))) }
                                td.number data-label="Events behind" { (count(status.lag_events)) }
                                td data-label="Oldest waits" { (cell(frame, &behind(is_behind(status), status.lag_seconds))) }
                                td.number data-label="Rate" { (per_second(status.events_per_second)) }
                                td.number.bad[status.dead_letters > 0] data-label="Dead letters" { (count(status.dead_letters)) }
                                td.blank[status.last_write_us.is_none()] data-label="Last write (UTC)" {
                                    (cell(frame, &Cell::or_none(status.last_write_us, Cell::time)))
                                }
                            }
                            @if let Some(remarks) = remarks(frame, status) {
                                tr.remarks { td colspan=(COLUMNS.len()) { (remarks) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_that_lacks_anything_is_not_said_to_be_up_to_date() {
        assert_eq!(behind(false, 0.0), Cell::status(Tone::Good, "up to date"));
        assert_eq!(behind(true, 2.5), Cell::text("2.50 s"));
        assert_eq!(behind(true, 0.0), Cell::text("behind"), "since when is not known");
    }
}
