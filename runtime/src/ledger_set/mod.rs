//! Ledger sets: several ledgers, read as one.

#[cfg(test)]
pub(crate) mod made;
mod members;
mod merge;
mod operator;
mod query;
mod scope;
mod single;
mod tail_index;
#[cfg(test)]
mod tests;
mod unread;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::ids::LedgerId;
use crate::ledger::{Health, Ledger};
use crate::log::verify::{VerifyOptions, VerifyReport, verify, verify_storage};
use crate::query::{ReadError, Selection, StoredEvent};

use crate::sources::Restored;
use members::{Members, Sources};

pub(crate) use members::Member;
pub use merge::SetEvents;
pub use operator::{NoOwnLedger, SetOperator, SetScopes};
pub use query::{SetCount, SetOperatorQuery, SetPage, SetQuery};
pub use scope::SetScope;
pub use single::{CoveringCheckpoint, LedgerState, LedgerStates};
pub(crate) use tail_index::TailIndex;
pub use unread::Unread;
pub(crate) use unread::chain;

/// Several ledgers, read as one: own open ones, and those of other processes, live, closed or dead.
///
/// Each query looks for ledgers first, so that one that appears later in a root is found. Of the ledgers of
/// others nothing is locked or written; their logs are read up to the last whole line, and from there on the
/// next time. A ledger that cannot be read is named in each answer. Clones share what was read.
///
/// ```
/// # let root = tempfile::tempdir()?;
/// # let ledger = dataset_events::Ledger::options().root(root.path()).journal_bytes(2 << 20).open()?;
/// use dataset_events::{Env, LedgerSet, TenantId};
///
/// // The ledger of this process, and its siblings in the same root.
/// let set = LedgerSet::of(&ledger);
/// let acme = set.scope(&TenantId::new("acme")?, &Env::new("prod")?);
/// let page = acme.events().surface("chat.*").newest_first().page(50)?;
/// assert!(page.events.is_empty() && page.unread.is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LedgerSet {
    pub(crate) members: Arc<Members>,
}

/// Which ledgers a set reads.
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until `open`"]
pub struct LedgerSetOptions {
    sources: Sources,
}

impl LedgerSetOptions {
    /// Adds an open ledger of this process. The set shares it until the set goes; `close` closes it anyway,
    /// and then its directory is read as one of others.
    pub fn ledger(mut self, ledger: &Ledger) -> Self {
        self.sources.own.push(ledger.clone());
        self
    }

    /// Adds a root: every ledger in it, now and later.
    pub fn root(mut self, root: impl AsRef<Path>) -> Self {
        self.sources.roots.push(root.as_ref().to_owned());
        self
    }

    /// Adds one ledger's own directory, `<root>/<ledger id>`, or a copy of one.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.sources.directories.push(directory.as_ref().to_owned());
        self
    }

    /// Adds the ledgers that a source holds, put together again: of pods that are gone, say. A ledger that is also in
    /// a root counts once: there it is read while a process writes it, and else where its log is longer. Replicas are
    /// looked at every [`refresh_every`](Restored::refresh_every); while one cannot be read, what was restored before
    /// is, and each answer names it as unread.
    pub fn restored(mut self, restored: &Restored) -> Self {
        self.sources.restored.push(restored.clone());
        self
    }

    /// Keeps the indexes of other processes' ledgers as files in a directory of this process's own. By
    /// default they are in memory, at about 150 bytes an event, and built again at each start.
    pub fn index_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.sources.index_directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Makes the set. Nothing is read before a query asks for it.
    pub fn open(self) -> LedgerSet {
        LedgerSet { members: Arc::new(Members::new(self.sources)) }
    }
}

/// How a ledger of a set is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerStatus {
    /// This process has it open.
    Own,
    /// Another process has it open.
    Live,
    /// Nobody has it open: closed, or left by a process that died.
    Closed,
    /// It was put together from a source, and is nowhere else.
    Restored,
    /// Another directory with the same id is read in its place.
    Duplicate,
    /// It cannot be read.
    Unreadable {
        /// What was attempted, and why it failed.
        reason: String,
    },
}

/// One ledger of a set.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LedgerSummary {
    /// The ledger's id, when it is known.
    pub ledger_id: Option<LedgerId>,
    /// Its directory; `None` for one in memory.
    pub path: Option<PathBuf>,
    /// The service that wrote its newest event.
    pub service: Option<String>,
    /// How many events it holds, of all scopes.
    pub events: u64,
    /// When its newest event was recorded, in microseconds since 1970 (UTC).
    pub newest_at: Option<i64>,
    /// How it is.
    #[serde(flatten)]
    pub status: LedgerStatus,
}

/// What verifying one ledger of a set found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LedgerVerification {
    /// The ledger's id, when it is known.
    pub ledger_id: Option<LedgerId>,
    /// Its directory; `None` for one in memory.
    pub path: Option<PathBuf>,
    /// The report; `None` when the ledger could not be verified.
    pub report: Option<VerifyReport>,
    /// Why it could not.
    pub error: Option<String>,
}

impl LedgerVerification {
    /// Whether the ledger was verified and nothing was found.
    pub fn is_verified(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.verified)
    }
}

impl LedgerSet {
    /// Options to make a set with.
    pub fn options() -> LedgerSetOptions {
        LedgerSetOptions::default()
    }

    /// The ledger, and all others of its root when it lies in one.
    pub fn of(ledger: &Ledger) -> Self {
        let options = Self::options().ledger(ledger);
        match ledger.path().and_then(Path::parent) {
            Some(root) => options.root(root).open(),
            None => options.open(),
        }
    }

    /// Looks for ledgers and reads what is new in those of other processes; says what could not be read.
    ///
    /// Each query does so by itself. Called ahead of time, it takes the first reading of large ledgers off
    /// the first query.
    pub fn refresh(&self) -> Vec<Unread> {
        self.members.refresh().unread
    }

    /// The ledgers of the set, in no particular order. Counts are of all scopes: for the operator.
    pub fn ledgers(&self) -> Vec<LedgerSummary> {
        let found = self.members.refresh();
        let readable = found.members.iter().map(summary);
        let duplicates = found.duplicates.iter().map(|(ledger_id, path)| LedgerSummary {
            ledger_id: Some(*ledger_id),
            path: Some(path.clone()),
            service: None,
            events: 0,
            newest_at: None,
            status: LedgerStatus::Duplicate,
        });
        let unread = found.unread.iter().map(|unread| LedgerSummary {
            ledger_id: unread.ledger_id,
            path: unread.path.clone(),
            service: None,
            events: 0,
            newest_at: None,
            status: LedgerStatus::Unreadable { reason: unread.reason.clone() },
        });
        readable.chain(duplicates).chain(unread).collect()
    }

    /// Verifies each ledger.
    pub fn verify(&self) -> Vec<LedgerVerification> {
        self.verify_with(&VerifyOptions::new())
    }

    /// Verifies each ledger with options. Heads from outside belong to one ledger; give them to
    /// [`verify`](crate::verify) with its directory.
    pub fn verify_with(&self, options: &VerifyOptions) -> Vec<LedgerVerification> {
        let found = self.members.refresh();
        let readable = found.members.iter().map(|member| {
            let report = verify_storage(&*member.parts.storage, options);
            (Some(member.ledger_id), member.path.clone(), report.map_err(|error| chain(&error)))
        });
        // A partial ledger is both; its own report tells what it lacks.
        let unread = found
            .unread
            .iter()
            .filter(|unread| !found.members.iter().any(|member| unread.ledger_id == Some(member.ledger_id)));
        let unread = unread.map(|unread| {
            let report = match &unread.path {
                Some(path) => verify(path, options).map_err(|error| chain(&error)),
                None => Err(unread.reason.clone()),
            };
            (unread.ledger_id, unread.path.clone(), report)
        });
        let both = readable.chain(unread).map(|(ledger_id, path, report)| {
            let (report, error) = match report {
                Ok(report) => (Some(report), None),
                Err(error) => (None, Some(error)),
            };
            LedgerVerification { ledger_id, path, report, error }
        });
        both.collect()
    }

    fn own_ledger(&self) -> Option<&Ledger> {
        self.members.sources.own.iter().find(|ledger| ledger.health() != Health::Closed)
    }
}

fn summary(member: &Member) -> LedgerSummary {
    let read = || -> Result<(u64, Option<StoredEvent>), ReadError> {
        let all = || Selection::new(member.parts.clone(), None, true);
        let mut newest = all();
        (newest.is_newest_first, newest.limit) = (true, 1);
        Ok((all().count()?, newest.iter().next().transpose()?))
    };
    let status = member.status();
    let (events, newest, status) = match read() {
        Ok((events, newest)) => (events, newest, status),
        Err(error) => (0, None, LedgerStatus::Unreadable { reason: chain(&error) }),
    };
    LedgerSummary {
        ledger_id: Some(member.ledger_id),
        path: member.path.clone(),
        service: newest.as_ref().map(|newest| newest.event.writer.service.clone()),
        events,
        newest_at: newest.as_ref().map(|newest| newest.event.recorded_at),
        status,
    }
}

impl fmt::Debug for LedgerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LedgerSet").field(&self.members.sources).finish()
    }
}
