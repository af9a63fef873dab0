//! Reads the report from the ledgers, through the reads that any program has.
//!
//! The services that write them may be running: what they answered before is in the report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dataset_events::{
    LedgerReader, Outcome, ReadError, Scope, TraceId, VerifyError, VerifyOptions, VerifyReport, surfaces,
    verify,
};
use thiserror::Error;

use super::tree::Span;
use super::{Report, ServiceReport, StreamReport, SurfaceReport};

/// The report could not be read from a ledger.
#[derive(Debug, Error)]
pub(crate) enum ReportError {
    #[error("read the ledger in {}", ledger.display())]
    Read {
        ledger: PathBuf,
        #[source]
        source: ReadError,
    },
    /// The ledger was changed; what `verify` found says how.
    #[error("the report cannot be read from the log; {}", verdict.to_string().trim_end())]
    Unreadable {
        verdict: Box<VerifyReport>,
        #[source]
        source: Box<ReportError>,
    },
    #[error("verify the ledger")]
    Verify(#[from] VerifyError),
}

/// One service's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) service: &'static str,
    pub(crate) ledger: PathBuf,
}

/// The report and what only the console shows of it.
pub(crate) struct Collected {
    pub(crate) report: Report,
    /// Events of the ledgers themselves, such as their opening, and of requests without identity.
    pub(crate) own_events: u64,
    pub(crate) trace: Option<Trace>,
    pub(crate) verdicts: Vec<VerifyReport>,
}

/// One trace, over both services.
pub(crate) struct Trace {
    pub(crate) scope: Scope,
    pub(crate) trace_id: TraceId,
    pub(crate) spans: Vec<Span>,
}

pub(super) fn reader(ledger: &Path) -> Result<LedgerReader, ReportError> {
    LedgerReader::open(ledger).map_err(|source| read_error(ledger, source))
}

pub(super) fn read_error(ledger: &Path, source: ReadError) -> ReportError {
    ReportError::Read { ledger: ledger.to_owned(), source }
}

/// Reads the report, and verifies each ledger.
pub(crate) fn collect(sources: &[Source]) -> Result<Collected, ReportError> {
    let mut counts = Counts::of_this_program();
    let mut services = Vec::new();
    let mut verdicts = Vec::new();
    for source in sources {
        let verdict = verify(&source.ledger, &VerifyOptions::new())?;
        match read(source, &mut counts) {
            Ok(mut service) => {
                service.verified = verdict.is_verified();
                services.push(service);
                verdicts.push(verdict);
            }
            Err(error) if !verdict.is_verified() => {
                return Err(ReportError::Unreadable { verdict: Box::new(verdict), source: Box::new(error) });
            }
            Err(error) => return Err(error),
        }
    }
    let trace = counts.chosen.take().map(|(scope, trace_id)| trace(sources, scope, trace_id)).transpose()?;
    let report = Report {
        verified: services.iter().all(|service| service.verified),
        services,
        sinks_unknown: None,
        surfaces: counts.surfaces(),
        trace_id: trace.as_ref().map(|trace| trace.trace_id.to_string()),
    };
    Ok(Collected { report, own_events: counts.own_events, trace, verdicts })
}

/// What is counted over all ledgers.
struct Counts {
    by_surface: BTreeMap<String, (u64, u64, BTreeSet<&'static str>)>,
    own_events: u64,
    chosen: Option<(Scope, TraceId)>,
}

impl Counts {
    /// What this program can record and never did is part of the report too.
    fn of_this_program() -> Self {
        let recorded = surfaces().filter(|site| site.skip.is_none());
        let by_surface = recorded.map(|site| (site.surface.to_owned(), Default::default())).collect();
        Self { by_surface, own_events: 0, chosen: None }
    }

    fn surfaces(&self) -> Vec<SurfaceReport> {
        let report = |(surface, (ok, failed, services)): (&String, &(u64, u64, BTreeSet<&'static str>))| {
            let services = services.iter().copied().collect();
            SurfaceReport { surface: surface.clone(), services, ok: *ok, failed: *failed }
        };
        self.by_surface.iter().map(report).collect()
    }
}

/// Folds every scope's events of one ledger.
fn read(source: &Source, counts: &mut Counts) -> Result<ServiceReport, ReportError> {
    let failed = |error| read_error(&source.ledger, error);
    let operator = reader(&source.ledger)?.unrecorded_operator();
    let mut streams: BTreeMap<Scope, StreamReport> = BTreeMap::new();
    let mut events = 0;
    for stored in operator.events().iter() {
        let event = stored.map_err(failed)?.event;
        let scope = event.scope();
        if scope.is_system() {
            counts.own_events += 1;
            continue;
        }
        events += 1;
        let stream = streams.entry(scope.clone()).or_insert_with(|| StreamReport {
            tenant: scope.tenant_id().to_string(),
            env: scope.env().to_string(),
            ..StreamReport::default()
        });
        stream.add(&event);
        let (ok, failures, services) = counts.by_surface.entry(event.surface.clone()).or_default();
        *if event.outcome.is_failure() { failures } else { ok } += 1;
        services.insert(source.service);
        // A reply that the client left: its trace has nesting in both services, and an end that is no error.
        // The newest of the first scope that has one.
        if event.outcome == Outcome::Cancelled
            && event.surface == "chat.stream_reply"
            && counts.chosen.as_ref().is_none_or(|(first, _)| first == scope)
        {
            counts.chosen = Some((scope.clone(), event.trace_id));
        }
    }
    let streams = streams.into_values().collect();
    let (service, ledger) = (source.service, source.ledger.clone());
    Ok(ServiceReport { service, ledger, verified: false, events, streams, sinks: Vec::new() })
}

fn trace(sources: &[Source], scope: Scope, trace_id: TraceId) -> Result<Trace, ReportError> {
    let mut spans = Vec::new();
    for source in sources {
        let reader = reader(&source.ledger)?;
        let query = reader.scope(scope.tenant_id(), scope.env()).events().trace(trace_id).oldest_first();
        for stored in query.iter() {
            let stored = stored.map_err(|error| read_error(&source.ledger, error))?;
            spans.push(Span::of(&stored.event, source.service));
        }
    }
    Ok(Trace { scope, trace_id, spans })
}
