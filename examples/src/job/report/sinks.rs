//! Where the ledgers were forwarded to, how far, and what would be lost with their disk.

use std::fmt::{self, Write as _};

use comfy_table::{Cell, Table};
use serde::Serialize;

use super::collect::{Collected, Source};
use super::text::{grouped, number, table};
use crate::services::SinkReport;

/// One sink of a ledger.
#[derive(Debug, Serialize)]
pub(crate) struct SinkOfLedger {
    #[serde(flatten)]
    pub(crate) sink: SinkReport,
    /// All events of the ledger, its own included.
    pub(crate) events: u64,
    /// Those of them that the sink has acknowledged.
    pub(crate) acknowledged_events: u64,
}

impl Collected {
    /// Adds how the sinks of each ledger fare. They are asked after the events were counted.
    pub(crate) fn add_sinks(&mut self, sinks: [Vec<SinkReport>; 2]) {
        for ((service, verdict), sinks) in self.report.services.iter_mut().zip(&self.verdicts).zip(sinks) {
            let events = verdict.events;
            let of_ledger = |sink: SinkReport| {
                let acknowledged_events = events.saturating_sub(sink.lag_events);
                SinkOfLedger { sink, events, acknowledged_events }
            };
            service.sinks = sinks.into_iter().map(of_ledger).collect();
        }
    }
}

/// How the sinks were left by services that have ended; nothing where there are none.
pub(crate) fn left(sources: &[Source], sinks: &[Vec<SinkReport>]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for (source, sinks) in sources.iter().zip(sinks) {
        let shown: Vec<_> = sinks.iter().map(|sink| (sink, None)).collect();
        write_sinks(&mut text, source.service, &shown)?;
    }
    Ok(text)
}

pub(super) fn of_report(text: &mut String, service: &str, sinks: &[SinkOfLedger]) -> fmt::Result {
    let shown: Vec<_> =
        sinks.iter().map(|one| (&one.sink, Some((one.acknowledged_events, one.events)))).collect();
    write_sinks(text, service, &shown)
}

/// The sinks of one ledger, each with the events that it has of all, where these were counted.
fn write_sinks(text: &mut String, service: &str, sinks: &[(&SinkReport, Option<(u64, u64)>)]) -> fmt::Result {
    if sinks.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nSinks of the ledger of {service}")?;
    let mut shown: Table =
        table(&["sink", "kind", "target", "state", "events it has", "behind", "bytes", "seconds", "refused"]);
    for (sink, has) in sinks {
        let required = if sink.required { " (required)" } else { "" };
        let has = match has {
            Some((has, of)) => format!("{} of {}", grouped(*has), grouped(*of)),
            None if sink.lag_events == 0 => "all".to_owned(),
            None => "not all".to_owned(),
        };
        shown.add_row(vec![
            Cell::new(format!("{}{required}", sink.name)),
            Cell::new(&sink.kind),
            Cell::new(&sink.target),
            Cell::new(&sink.state),
            Cell::new(has),
            number(sink.lag_events),
            number(sink.lag_bytes),
            Cell::new(format!("{:.1}", sink.lag_seconds)),
            number(sink.dead_letters),
        ]);
    }
    writeln!(text, "{shown}")?;
    for (sink, _) in sinks.iter().filter(|(sink, _)| sink.lag_events > 0) {
        if let Some(error) = &sink.error {
            writeln!(text, "`{}` last failed: {error}", sink.name)?;
        }
    }
    let sinks: Vec<&SinkReport> = sinks.iter().map(|(sink, _)| *sink).collect();
    writeln!(text, "{}", loss_bound(service, &sinks))
}

/// What of a ledger is on its own disk alone.
fn loss_bound(service: &str, sinks: &[&SinkReport]) -> String {
    let copies = sinks.iter().filter(|sink| sink.is_copy);
    match copies.min_by_key(|sink| (sink.lag_events, sink.lag_bytes)) {
        None => format!(
            "Loss bound: no sink holds a copy that can be verified; all is lost with the disk of {service}."
        ),
        Some(sink) if sink.lag_bytes == 0 => {
            format!("Loss bound: nothing is lost with the disk of {service}; `{}` has it all.", sink.name)
        }
        Some(sink) => format!(
            "Loss bound: with the disk of {service}, {} events of the last {:.1} s would be lost, which `{}` has not acknowledged yet.",
            grouped(sink.lag_events),
            sink.lag_seconds,
            sink.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use dataset_events::LogPosition;

    use super::*;

    fn sink(name: &str, is_copy: bool, lag_events: u64) -> SinkReport {
        SinkReport {
            name: name.to_owned(),
            kind: "replica".to_owned(),
            target: "s3://audit/chat".to_owned(),
            required: true,
            is_copy,
            state: "waiting".to_owned(),
            error: Some("the store answered 503".to_owned()),
            acknowledged: LogPosition::START,
            lag_events,
            lag_bytes: lag_events * 100,
            lag_seconds: lag_events as f64 / 10.0,
            dead_letters: 0,
        }
    }

    #[test]
    fn the_loss_bound_is_that_of_the_copy_that_has_the_most() {
        let (near, far, other) = (sink("near", true, 12), sink("far", true, 40), sink("other", false, 0));
        let bound = loss_bound("gateway", &[&far, &other, &near]);
        assert!(bound.contains("12 events of the last 1.2 s") && bound.contains("`near`"), "{bound}");
        let bound = loss_bound("gateway", &[&sink("whole", true, 0), &far]);
        assert!(bound.contains("nothing is lost") && bound.contains("`whole`"), "{bound}");
        let bound = loss_bound("gateway", &[&other]);
        assert!(bound.contains("all is lost"), "{bound}");
    }

    #[test]
    fn a_sink_that_is_behind_is_shown_with_what_it_has_and_why() {
        let behind =
            SinkOfLedger { sink: sink("archive", true, 30), events: 1_230, acknowledged_events: 1_200 };
        let mut text = String::new();
        of_report(&mut text, "gateway", &[behind]).unwrap();
        for expected in ["archive", "1,200 of 1,230", "3.0", "503", "Loss bound: "] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let mut text = String::new();
        of_report(&mut text, "gateway", &[]).unwrap();
        assert_eq!(text, "");
    }
}
