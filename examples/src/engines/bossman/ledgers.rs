//! The ledgers that a dashboard is read from, always one scope of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dataset_events::{EventQuery, Ledger, LedgerId, LedgerReader, Scope, ScopedReader, StoredEvent};

use super::error::BossmanError;
use super::model::{EventFilter, LedgerHead, Place};

/// The process's own ledger, and those of other processes by their directories.
#[derive(Debug, Clone)]
pub(super) struct Ledgers {
    own: Ledger,
    directories: Vec<PathBuf>,
    root: Option<PathBuf>,
}

/// One ledger, opened for one read of one scope.
pub(super) struct Opened {
    ledger_id: LedgerId,
    is_own: bool,
    reader: ScopedReader,
}

impl Ledgers {
    pub(super) fn new(own: Ledger) -> Self {
        Self { own, directories: Vec::new(), root: None }
    }

    pub(super) fn add(&mut self, directory: PathBuf) {
        self.directories.push(directory);
    }

    pub(super) fn set_root(&mut self, root: PathBuf) {
        self.root = Some(root);
    }

    /// Opens each ledger once, by id; what their logs hold now is what is read.
    pub(super) fn open(&self, scope: &Scope) -> Result<Vec<Opened>, BossmanError> {
        let (tenant_id, env) = (scope.tenant_id(), scope.env());
        let own = self.own.id();
        let mut opened =
            vec![Opened { ledger_id: own, is_own: true, reader: self.own.scope(tenant_id, env) }];
        let in_root = self.root.as_deref().map(|root| below(root, own)).transpose()?.unwrap_or_default();
        for directory in self.directories.iter().chain(&in_root) {
            let ledger = LedgerReader::open(directory)
                .map_err(|error| unreadable(directory.display().to_string(), error))?;
            if opened.iter().all(|other| other.ledger_id != ledger.id()) {
                let reader = ledger.scope(tenant_id, env);
                opened.push(Opened { ledger_id: ledger.id(), is_own: false, reader });
            }
        }
        opened.sort_by_key(|ledger| ledger.ledger_id);
        Ok(opened)
    }
}

/// The other ledgers of a root that anything was written to.
fn below(root: &Path, own: LedgerId) -> Result<Vec<PathBuf>, BossmanError> {
    let failed = |error: io::Error| unreadable(root.display().to_string(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_other = name.parse::<LedgerId>().is_ok_and(|ledger_id| ledger_id != own);
        // One that is just being made has no segment yet. What lost its identity has one, and is an error.
        if is_other && has_segment(&path.join("log")).map_err(failed)? {
            found.push(path);
        }
    }
    Ok(found)
}

fn has_segment(log: &Path) -> io::Result<bool> {
    match fs::read_dir(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(mut segments) => Ok(segments.next().transpose()?.is_some()),
    }
}

pub(super) fn unreadable(
    ledger: String,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> BossmanError {
    BossmanError::LedgerUnreadable { ledger, source: source.into() }
}

impl Opened {
    /// The end of the scope's stream.
    pub(super) fn head(&self) -> Result<LedgerHead, BossmanError> {
        let newest = self.read(self.reader.events().newest_first().limit(1))?;
        let newest = newest.first();
        Ok(LedgerHead {
            ledger_id: self.ledger_id,
            is_own: self.is_own,
            seq: newest.map_or(0, |newest| newest.event.seq),
            hash: newest.map(StoredEvent::hash),
            recorded_at_us: newest.map(|newest| newest.event.recorded_at),
        })
    }

    /// Gives each selected event to `each`, oldest first.
    pub(super) fn fold(
        &self,
        filter: &EventFilter,
        mut each: impl FnMut(&StoredEvent),
    ) -> Result<(), BossmanError> {
        for stored in select(self.reader.events(), filter).oldest_first().iter() {
            each(&stored.map_err(|error| self.unreadable(error))?);
        }
        Ok(())
    }

    /// The selected events before a place, newest first, at most `limit`.
    pub(super) fn before(
        &self,
        filter: &EventFilter,
        place: Option<Place>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, BossmanError> {
        let mut filter = filter.clone();
        let mut before_seq = None;
        if let Some(place) = place {
            // In a stream time never decreases, so that the order of places is that of its numbers.
            let until = match self.ledger_id.cmp(&place.ledger_id) {
                std::cmp::Ordering::Greater => place.recorded_at_us,
                _ => place.recorded_at_us.saturating_add(1),
            };
            before_seq = (self.ledger_id == place.ledger_id).then_some(place.seq);
            filter.until_us = Some(filter.until_us.map_or(until, |asked| asked.min(until)));
        }
        let query = select(self.reader.events(), &filter).newest_first().limit(limit);
        self.read(before_seq.map_or(query.clone(), |seq| query.before_seq(seq)))
    }

    /// The earliest selected events, at most `limit`.
    pub(super) fn earliest(
        &self,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, BossmanError> {
        self.read(select(self.reader.events(), filter).oldest_first().limit(limit))
    }

    fn read(&self, query: EventQuery) -> Result<Vec<StoredEvent>, BossmanError> {
        query.iter().collect::<Result<_, _>>().map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: dataset_events::ReadError) -> BossmanError {
        unreadable(format!("ledger {}", self.ledger_id), error)
    }
}

fn select(mut query: EventQuery, filter: &EventFilter) -> EventQuery {
    let EventFilter { surface, outcome, code, user_id, request_id, trace_id, since_us, until_us } = filter;
    if let Some(surface) = surface {
        query = query.surface(surface);
    }
    if let Some(outcome) = outcome {
        query = query.outcome(*outcome);
    }
    if let Some(code) = code {
        query = query.code(code);
    }
    if let Some(user_id) = user_id {
        query = query.user(user_id);
    }
    if let Some(request_id) = request_id {
        query = query.request(request_id);
    }
    if let Some(trace_id) = trace_id {
        query = query.trace(*trace_id);
    }
    if let Some(since_us) = since_us {
        query = query.since(*since_us);
    }
    if let Some(until_us) = until_us {
        query = query.until(*until_us);
    }
    query
}
