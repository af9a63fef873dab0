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
    /// Adds how the sinks of each ledger fare, or why that is not known. They are asked after the events were counted.
    pub(crate) fn add_sinks(&mut self, sinks: Result<[Vec<SinkReport>; 2], String>) {
        let sinks = match sinks {
            Ok(sinks) => sinks,
            Err(error) => return self.report.sinks_unknown = Some(error),
        };
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

/// The sinks of one ledger, each with the events that it has acknowledged of all, where these were counted.
fn write_sinks(text: &mut String, service: &str, sinks: &[(&SinkReport, Option<(u64, u64)>)]) -> fmt::Result {
    if sinks.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nSinks of the ledger of {service}")?;
    let mut shown: Table =
        table(&["sink", "kind", "target", "state", "acknowledged", "behind", "bytes", "seconds", "refused"]);
    for (sink, acknowledged) in sinks {
        let required = if sink.required { " (required)" } else { "" };
        let acknowledged = match acknowledged {
            Some((acknowledged, of)) => format!("{} of {}", grouped(*acknowledged), grouped(*of)),
            None if sink.lag_events == 0 => "all".to_owned(),
            None => "not all".to_owned(),
        };
        shown.add_row(vec![
            Cell::new(format!("{}{required}", sink.name)),
            Cell::new(&sink.kind),
            Cell::new(&sink.target),
            Cell::new(&sink.state),
            Cell::new(acknowledged),
            number(sink.lag_events),
            number(sink.lag_bytes),
            Cell::new(format!("{:.1}", sink.lag_seconds)),
            number(sink.dead_letters),
        ]);
    }
    writeln!(text, "{shown}")?;
    for (sink, _) in sinks {
        let lacks = never_has(sink);
        if !lacks.is_empty() {
            writeln!(text, "`{}` is no whole copy: it {}", sink.name, lacks.join(", "))?;
        }
        let is_troubled = sink.lag_events > 0 || sink.dead_letters > 0;
        if let Some(error) = sink.error.as_ref().filter(|_| is_troubled) {
            writeln!(text, "`{}` last failed: {error}", sink.name)?;
        }
    }
    let sinks: Vec<&SinkReport> = sinks.iter().map(|(sink, _)| *sink).collect();
    writeln!(text, "{}", loss_bound(service, &sinks))
}

/// Why a sink does not come to have everything, however far it acknowledges.
fn never_has(sink: &SinkReport) -> Vec<String> {
    let mut lacks = Vec::new();
    if !sink.surfaces.is_empty() {
        lacks.push(format!("gets the surfaces {} alone", sink.surfaces.join(", ")));
    }
    if sink.dead_letters > 0 {
        lacks.push(format!("refused {} entries", grouped(sink.dead_letters)));
    }
    if sink.missed_segments > 0 {
        lacks.push(format!("missed {} segments, which were dropped before", grouped(sink.missed_segments)));
    }
    if let Some(limit) = &sink.limited_by {
        lacks.push(format!("drops what is old (`{limit}`)"));
    }
    lacks
}

/// What of a ledger is on its own disk alone. What is not durable yet is on no disk, or in the journal on this one.
fn loss_bound(service: &str, sinks: &[&SinkReport]) -> String {
    let nearest = |on_same_disk: bool| {
        let copies = sinks.iter().filter(|sink| sink.is_copy && never_has(sink).is_empty());
        let copies = copies.filter(|sink| sink.is_on_same_disk == on_same_disk);
        copies.min_by_key(|sink| (sink.lag_events, sink.lag_bytes))
    };
    let text = match nearest(false).map(|sink| (&sink.name, behind(sink))) {
        Some((name, None)) => {
            format!("nothing is lost with the disk of {service}; `{name}` has it all.")
        }
        Some((name, Some(behind))) => format!(
            "with the disk of {service}, {behind} would be lost, which `{name}` has not acknowledged yet."
        ),
        None => {
            let all = format!("no sink holds a whole copy off the disk of {service}; all is lost with it.");
            match nearest(true).map(|sink| (&sink.name, behind(sink))) {
                Some((name, None)) => format!("{all} On the same disk, `{name}` has it all."),
                Some((name, Some(behind))) => {
                    format!("{all} On the same disk, `{name}` has all but {behind}.")
                }
                None => all,
            }
        }
    };
    format!("Loss bound of what is durable: {text}")
}

/// What a sink has not acknowledged.
fn behind(sink: &SinkReport) -> Option<String> {
    match (sink.lag_events, sink.lag_bytes) {
        (0, 0) => None,
        (0, bytes) => Some(format!("{} bytes of lines that are no events", grouped(bytes))),
        (events, _) if sink.lag_seconds == 0.0 => Some(format!("{} events", grouped(events))),
        (events, _) => Some(format!("{} events of the last {:.1} s", grouped(events), sink.lag_seconds)),
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
            is_on_same_disk: false,
            surfaces: Vec::new(),
            limited_by: None,
            state: "waiting".to_owned(),
            error: Some("the store answered 503".to_owned()),
            acknowledged: LogPosition::START,
            lag_events,
            lag_bytes: lag_events * 100,
            lag_seconds: lag_events as f64 / 10.0,
            dead_letters: 0,
            missed_segments: 0,
        }
    }

    fn shown(sink: SinkReport) -> String {
        let mut text = String::new();
        write_sinks(&mut text, "gateway", &[(&sink, None)]).expect("write to a string");
        text
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
    fn a_sink_that_never_has_everything_is_no_copy_although_it_is_not_behind() {
        let whole = || sink("archive", true, 0);
        for (lacking, why) in [
            (SinkReport { dead_letters: 3, ..whole() }, "it refused 3 entries"),
            (SinkReport { missed_segments: 2, ..whole() }, "it missed 2 segments"),
            (
                SinkReport { surfaces: vec!["chat.*".to_owned()], ..whole() },
                "it gets the surfaces chat.* alone",
            ),
            (SinkReport { limited_by: Some("keep_files = 3".to_owned()), ..whole() }, "`keep_files = 3`"),
        ] {
            let bound = loss_bound("gateway", &[&lacking]);
            assert!(bound.contains("all is lost") && !bound.contains("`archive`"), "{bound}");
            let text = shown(lacking);
            assert!(text.contains("`archive` is no whole copy: ") && text.contains(why), "{why}: {text}");
        }
        assert!(!shown(whole()).contains("no whole copy"));
    }

    #[test]
    fn a_sink_that_refused_entries_is_shown_with_why_although_it_is_not_behind() {
        let text = shown(SinkReport { dead_letters: 3, ..sink("archive", true, 0) });
        assert!(text.contains("`archive` last failed: the store answered 503"), "{text}");
        assert!(!shown(sink("archive", true, 0)).contains("last failed"), "what is over");
    }

    #[test]
    fn a_copy_on_the_same_disk_is_lost_with_it_and_its_state_is_told() {
        let beside = |lag| SinkReport { is_on_same_disk: true, ..sink("beside", true, lag) };
        let bound = loss_bound("gateway", &[&beside(0)]);
        assert!(bound.contains("all is lost") && bound.contains("same disk, `beside` has it all"), "{bound}");
        let bound = loss_bound("gateway", &[&beside(12)]);
        assert!(bound.contains("all is lost") && bound.contains("all but 12 events"), "{bound}");
        let bound = loss_bound("gateway", &[&beside(0), &sink("away", true, 12)]);
        assert!(bound.contains("12 events") && bound.contains("`away`"), "{bound}");
    }

    #[test]
    fn what_is_behind_is_told_without_an_age_that_is_not_known_and_bytes_as_bytes() {
        let bound = |sink: SinkReport| loss_bound("gateway", &[&sink]);
        let text = bound(SinkReport { lag_seconds: 0.0, ..sink("archive", true, 12) });
        assert!(text.contains(" 12 events would be lost"), "{text}");
        let text = bound(SinkReport { lag_bytes: 1_200, ..sink("archive", true, 0) });
        assert!(text.contains(" 1,200 bytes of lines that are no events would be lost"), "{text}");
    }

    #[test]
    fn a_sink_that_is_behind_is_shown_with_what_it_has_and_why() {
        let behind =
            SinkOfLedger { sink: sink("archive", true, 30), events: 1_230, acknowledged_events: 1_200 };
        let mut text = String::new();
        of_report(&mut text, "gateway", &[behind]).unwrap();
        for expected in ["archive", "1,200 of 1,230", "3.0", "503", "Loss bound "] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let mut text = String::new();
        of_report(&mut text, "gateway", &[]).unwrap();
        assert_eq!(text, "");
    }
}
