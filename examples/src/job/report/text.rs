//! The report for people.

use std::fmt::{self, Write as _};
use std::path::Path;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::collect::{Collected, Trace};
use super::{StreamReport, SurfaceReport, sinks, tree};

/// The report as text.
pub(crate) fn text(collected: &Collected) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let report = &collected.report;
    for service in &report.services {
        writeln!(text, "\nEvents of the {} service by scope, since its ledger began", service.service)?;
        writeln!(text, "{}", streams(&service.streams))?;
    }
    let counts: Vec<String> = report
        .services
        .iter()
        .map(|service| format!("{} in the ledger of {}", grouped(service.events), service.service))
        .collect();
    writeln!(
        text,
        "Events of tenants: {}; {} more are the ledgers' own, which only an operator reads",
        counts.join(", "),
        grouped(collected.own_events)
    )?;
    writeln!(text, "\nSurfaces: every operation that the services can record, and how it was seen to end")?;
    writeln!(text, "{}", surfaces(&report.surfaces))?;
    if let Some(trace) = &collected.trace {
        write_trace(&mut text, trace)?;
    }
    for (service, verdict) in report.services.iter().zip(&collected.verdicts) {
        writeln!(text, "\nVerify the ledger of {}\n{}", service.service, verdict.to_string().trim_end())?;
    }
    if let Some(error) = &report.sinks_unknown {
        writeln!(text, "\nHow the sinks of the ledgers fare is not known: {error}")?;
    }
    for service in &report.services {
        sinks::of_report(&mut text, service.service, &service.sinks)?;
    }
    write_log(&mut text, report.services.iter().map(|service| service.ledger.as_path()))?;
    Ok(text)
}

fn streams(streams: &[StreamReport]) -> Table {
    let mut table =
        table(&["tenant", "env", "ok", "error", "denied", "panic", "cancelled", "failures by code"]);
    for stream in streams {
        let codes: Vec<String> =
            stream.codes.iter().map(|(code, count)| format!("{} {code}", grouped(*count))).collect();
        let mut row = vec![Cell::new(&stream.tenant), Cell::new(&stream.env)];
        let counts = [stream.ok, stream.error, stream.denied, stream.panic, stream.cancelled];
        row.extend(counts.map(number));
        row.push(Cell::new(codes.join("\n")));
        table.add_row(row);
    }
    table
}

fn surfaces(surfaces: &[SurfaceReport]) -> Table {
    let mut table = table(&["surface", "in the ledger of", "succeeded", "failed", "seen"]);
    for surface in surfaces {
        let seen = match (surface.ok, surface.failed) {
            (0, 0) => "never called",
            (0, _) => "never to succeed",
            (_, 0) => "never to fail",
            _ => "both",
        };
        let row = vec![
            Cell::new(&surface.surface),
            Cell::new(surface.services.join(", ")),
            number(surface.ok),
            number(surface.failed),
            Cell::new(seen),
        ];
        table.add_row(row);
    }
    table
}

fn write_trace(text: &mut String, trace: &Trace) -> fmt::Result {
    let rows = tree::rows(&trace.spans);
    writeln!(text, "\nOne trace of {} through both services: {}", trace.scope, trace.trace_id)?;
    let width = rows.iter().map(|row| row.branch.chars().count() + row.event.surface.len()).max();
    let width = width.unwrap_or_default();
    for row in rows {
        let name = format!("{}{}", row.branch, row.event.surface);
        let micros = row.event.duration_ns / 1_000;
        let (service, ended) = (row.event.service, &row.event.ended);
        writeln!(text, "  {service:<8} {name:<width$}  {:>9} us  {ended}", grouped(micros))?;
    }
    Ok(())
}

fn write_log<'a>(text: &mut String, ledgers: impl Iterator<Item = &'a Path>) -> fmt::Result {
    let logs: Vec<String> =
        ledgers.map(|ledger| ledger.join("log").join("*.ndjson").display().to_string()).collect();
    writeln!(text, "\nThe log is text, one event a line. To see what failed, and with which code:")?;
    writeln!(
        text,
        "  jq -r 'select(.kind == \"event\" and .outcome != \"ok\") \
         | [.tenant_id, .env, .seq, .surface, .outcome, .error.code] | @tsv' {}",
        logs.join(" ")
    )
}

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        // Codes are wrapped rather than the table where the terminal is narrow.
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

pub(super) fn number(count: u64) -> Cell {
    let text = if count == 0 { "\u{b7}".to_owned() } else { grouped(count) };
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
