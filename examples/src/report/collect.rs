//! Reads the report from the ledger, through the reads that any program has.

use std::collections::BTreeMap;

use dataset_events::{
    Ledger, LedgerError, Outcome, ReadError, Scope, TraceId, VerifyError, VerifyOptions, VerifyReport,
    surfaces, verify,
};
use thiserror::Error;

use super::tree::Span;
use super::{Report, StreamReport, SurfaceReport};

/// The report could not be read from the ledger.
#[derive(Debug, Error)]
pub(crate) enum ReportError {
    #[error("read the events of {scope}")]
    Read {
        scope: Scope,
        #[source]
        source: ReadError,
    },
    #[error("read the scopes of the ledger")]
    Scopes(#[source] ReadError),
    /// The ledger was changed; what `verify` found says how.
    #[error("the report cannot be read from the log; {}", verdict.to_string().trim_end())]
    Unreadable {
        verdict: Box<VerifyReport>,
        #[source]
        source: Box<ReportError>,
    },
    #[error("close the ledger")]
    Close(#[from] LedgerError),
    #[error("verify the ledger")]
    Verify(#[from] VerifyError),
}

/// The report and what only the console shows of it.
pub(crate) struct Collected {
    pub(crate) report: Report,
    /// Events of the ledger itself, such as its opening.
    pub(crate) own_events: u64,
    pub(crate) trace: Option<Trace>,
    pub(crate) verdict: VerifyReport,
}

/// One trace.
pub(crate) struct Trace {
    pub(crate) scope: Scope,
    pub(crate) trace_id: TraceId,
    pub(crate) spans: Vec<Span>,
}

/// Reads the report, closes the ledger and verifies it: the last checkpoint, which closing makes, covers
/// all that the report is about.
pub(crate) fn collect(ledger: Ledger) -> Result<Collected, ReportError> {
    let path = ledger.path().map(ToOwned::to_owned).unwrap_or_default();
    let read = read(&ledger);
    ledger.close()?;
    let verdict = verify(&path, &VerifyOptions::new())?;
    match read {
        Ok(Read { streams, surfaces, own_events, trace }) => {
            let events = streams.iter().map(|(_, events)| events).sum();
            let streams = streams.into_iter().map(|(stream, _)| stream).collect();
            let report = Report { events, streams, surfaces, verified: verdict.is_verified(), ledger: path };
            Ok(Collected { report, own_events, trace, verdict })
        }
        Err(source) if !verdict.is_verified() => {
            Err(ReportError::Unreadable { verdict: Box::new(verdict), source: Box::new(source) })
        }
        Err(error) => Err(error),
    }
}

/// What is read from the ledger while it is open.
struct Read {
    /// With the number of its events.
    streams: Vec<(StreamReport, u64)>,
    surfaces: Vec<SurfaceReport>,
    own_events: u64,
    trace: Option<Trace>,
}

/// Folds every scope's events.
fn read(ledger: &Ledger) -> Result<Read, ReportError> {
    let operator = ledger.operator("report of the main job");
    let mut streams = Vec::new();
    let mut by_surface: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    // What this program can record and never did is part of the report too.
    for site in surfaces().filter(|site| site.skip.is_none()) {
        by_surface.entry(site.surface.to_owned()).or_default();
    }
    let mut own_events = 0;
    let mut chosen: Option<(Scope, TraceId)> = None;
    for summary in operator.scopes().map_err(ReportError::Scopes)? {
        let scope = summary.scope;
        if scope.is_system() {
            own_events = summary.events;
            continue;
        }
        let mut events = 0;
        let mut stream = StreamReport {
            tenant: scope.tenant_id().to_string(),
            env: scope.env().to_string(),
            ..StreamReport::default()
        };
        for stored in ledger.scope(scope.tenant_id(), scope.env()).events().iter() {
            let stored = stored.map_err(|source| ReportError::Read { scope: scope.clone(), source })?;
            let event = stored.event;
            events += 1;
            stream.add(&event);
            let (ok, failures) = by_surface.entry(event.surface.clone()).or_default();
            *if event.outcome.is_failure() { failures } else { ok } += 1;
            // A reply that the client left: its trace has nesting, and an end that is no error. The
            // newest of the first scope that has one.
            if event.outcome == Outcome::Cancelled && chosen.as_ref().is_none_or(|(first, _)| *first == scope)
            {
                chosen = Some((scope.clone(), event.trace_id));
            }
        }
        streams.push((stream, events));
    }
    let trace = chosen.map(|(scope, trace_id)| trace(ledger, scope, trace_id)).transpose()?;
    let surfaces = by_surface.into_iter();
    let surfaces = surfaces.map(|(surface, (ok, failed))| SurfaceReport { surface, ok, failed }).collect();
    Ok(Read { streams, surfaces, own_events, trace })
}

fn trace(ledger: &Ledger, scope: Scope, trace_id: TraceId) -> Result<Trace, ReportError> {
    let query = ledger.scope(scope.tenant_id(), scope.env()).events().trace(trace_id).oldest_first();
    let spans = query.iter().map(|stored| stored.map(|stored| Span::from(&stored.event)));
    match spans.collect() {
        Ok(spans) => Ok(Trace { scope, trace_id, spans }),
        Err(source) => Err(ReportError::Read { scope, source }),
    }
}
