//! What the sink asks of BigQuery, and how an answer that is no success is told apart.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;

use arrow_array::RecordBatch;

use super::super::SinkError;
use super::row::TableKind;
use super::state::Marks;
use crate::ids::LedgerId;

/// BigQuery, as far as the sink needs it. Every call has its time limit, and nothing is retried.
pub(crate) trait Transport: Send {
    /// Makes sure that tables, columns and views are there.
    fn prepare(&mut self) -> Result<(), Refusal>;

    /// Makes a committed stream and gives its name.
    fn create_stream(&mut self, table: TableKind) -> Result<String, Refusal>;

    /// Connects to a stream that was made before. [`RefusalKind::Gone`]: there is none of that name any more.
    fn attach_stream(&mut self, table: TableKind, stream: &str) -> Result<(), Refusal>;

    /// Ends a stream: when this returns `Ok` or [`RefusalKind::Gone`], nothing that was sent to it can still arrive.
    fn finalize_stream(&mut self, table: TableKind, stream: &str) -> Result<(), Refusal>;

    /// Appends rows at an offset of the stream, all or none.
    fn append(
        &mut self,
        table: TableKind,
        stream: &str,
        offset: i64,
        rows: &RecordBatch,
    ) -> Result<(), Refusal>;

    /// Which of the keys a table holds.
    fn stored(&mut self, table: TableKind, asked: &Asked<'_>) -> Result<HashSet<String>, Refusal>;

    /// Up to where a table holds a ledger.
    fn marks(&mut self, table: TableKind, ledger_id: LedgerId) -> Result<Marks, Refusal>;
}

/// Which rows are asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) ledger_id: LedgerId,
    pub(crate) keys: Vec<&'a str>,
    /// The least and the greatest `started_at` of the rows that have one, so that few partitions are read.
    pub(crate) started_us: Option<(i64, i64)>,
    /// Whether some have none.
    pub(crate) some_without_time: bool,
}

/// A call that did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    /// What was attempted, on what.
    pub(crate) attempted: String,
    /// Why it failed.
    pub(crate) source: Box<dyn Error + Send + Sync>,
}

/// What a refusal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// Nobody knows whether it was done: no answer, a broken connection, a time limit, an error of the server.
    Unknown,
    /// The credentials are missing or refused; it was not done.
    Denied,
    /// The stream, or its table, is not there, or takes nothing more; it was not done.
    Gone,
    /// The offset is taken, or the name; it was not done.
    Taken,
    /// The offset lies behind the end of the stream; it was not done.
    Beyond,
    /// These rows, by their place in the request, will never be taken; it was not done.
    Rows(Vec<(usize, String)>),
    /// It cannot work until somebody changes something; it was not done.
    Blocked,
}

impl Refusal {
    pub(crate) fn new(
        kind: RefusalKind,
        attempted: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, attempted: attempted.into(), source: source.into() }
    }

    /// The credentials could not be loaded, or no token could be had.
    pub(crate) fn from_credentials(error: SinkError) -> Self {
        match error {
            SinkError::Fatal { attempted, source } => Self { kind: RefusalKind::Blocked, attempted, source },
            SinkError::Retry { attempted, source } | SinkError::Reopen { attempted, source } => {
                Self { kind: RefusalKind::Denied, attempted, source }
            }
        }
    }
}

/// Of calls other than an append: whatever was not done is tried again.
impl From<Refusal> for SinkError {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            RefusalKind::Blocked => Self::fatal(refusal.attempted, refusal.source),
            _ => Self::reopen(refusal.attempted, refusal.source),
        }
    }
}

/// What stands in place of a connection that could not be made.
pub(crate) struct Closed;

impl Closed {
    fn refuse<T>() -> Result<T, Refusal> {
        Err(Refusal::new(RefusalKind::Unknown, "reach BigQuery", "there is no connection"))
    }
}

impl Transport for Closed {
    fn prepare(&mut self) -> Result<(), Refusal> {
        Self::refuse()
    }

    fn create_stream(&mut self, _: TableKind) -> Result<String, Refusal> {
        Self::refuse()
    }

    fn attach_stream(&mut self, _: TableKind, _: &str) -> Result<(), Refusal> {
        Self::refuse()
    }

    fn finalize_stream(&mut self, _: TableKind, _: &str) -> Result<(), Refusal> {
        Self::refuse()
    }

    fn append(&mut self, _: TableKind, _: &str, _: i64, _: &RecordBatch) -> Result<(), Refusal> {
        Self::refuse()
    }

    fn stored(&mut self, _: TableKind, _: &Asked<'_>) -> Result<HashSet<String>, Refusal> {
        Self::refuse()
    }

    fn marks(&mut self, _: TableKind, _: LedgerId) -> Result<Marks, Refusal> {
        Self::refuse()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempted)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
