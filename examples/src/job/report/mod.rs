//! What the main job says at its end, all of it read from the ledgers.

mod collect;
mod requests;
mod sinks;
mod text;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dataset_events::{DatasetEvent, Outcome};
use serde::Serialize;

pub(crate) use collect::{Source, collect};
pub(crate) use requests::Requests;
use sinks::SinkOfLedger;
pub(crate) use sinks::left;
pub(crate) use text::text;

/// The report as data; `--json` writes exactly this.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether every ledger verifies.
    pub(crate) verified: bool,
    pub(crate) services: Vec<ServiceReport>,
    /// Why it is not known how the sinks of the services fare.
    pub(crate) sinks_unknown: Option<String>,
    /// Over both services.
    pub(crate) surfaces: Vec<SurfaceReport>,
    /// The trace that is shown.
    pub(crate) trace_id: Option<String>,
}

/// What one service's ledger holds.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceReport {
    pub(crate) service: &'static str,
    pub(crate) ledger: PathBuf,
    pub(crate) verified: bool,
    /// The events of all streams below.
    pub(crate) events: u64,
    pub(crate) streams: Vec<StreamReport>,
    /// Where the ledger is forwarded to.
    pub(crate) sinks: Vec<SinkOfLedger>,
}

/// One scope's events by how they ended.
#[derive(Debug, Default, Serialize)]
pub(crate) struct StreamReport {
    pub(crate) tenant: String,
    pub(crate) env: String,
    pub(crate) ok: u64,
    pub(crate) error: u64,
    pub(crate) denied: u64,
    pub(crate) panic: u64,
    pub(crate) cancelled: u64,
    /// Failures by code; also those of calls in which the process died (`interrupted`).
    pub(crate) codes: BTreeMap<String, u64>,
}

/// One surface: how often it was seen to succeed and to fail.
#[derive(Debug, Serialize)]
pub(crate) struct SurfaceReport {
    pub(crate) surface: String,
    /// The services whose ledgers hold it.
    pub(crate) services: Vec<&'static str>,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
}

impl StreamReport {
    fn add(&mut self, event: &DatasetEvent) {
        match event.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Error => self.error += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Panic => self.panic += 1,
            Outcome::Cancelled => self.cancelled += 1,
            // `interrupted` has no column: it is the sign of a killed run, and shows among the codes.
            _ => {}
        }
        if event.outcome.is_failure() {
            *self.codes.entry(event.code().unwrap_or("(no code)").to_owned()).or_default() += 1;
        }
    }
}
