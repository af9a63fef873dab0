//! Which ledgers a set has: the own ones, and what lies in its roots and directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::LedgerStatus;
use super::tail_index::TailIndex;
use super::unread::{Unread, chain};
use crate::ids::LedgerId;
use crate::journal::lock::is_held;
use crate::ledger::{Health, Ledger};
use crate::log::LogPosition;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::storage::{DiskStorage, Storage};
use crate::query::{ReadParts, ReadSource};
use crate::sources::Restored;
use crate::sources::restored::Elsewhere;

/// Where a set looks for ledgers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) own: Vec<Ledger>,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) index_directory: Option<PathBuf>,
    pub(crate) restored: Vec<Restored>,
}

/// A ledger that can be read.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) ledger_id: LedgerId,
    pub(crate) path: Option<PathBuf>,
    pub(crate) parts: ReadParts,
    /// Changes whenever what was read before may no longer be in the log.
    pub(crate) generation: u64,
    pub(crate) is_own: bool,
    /// Put together from a source.
    pub(crate) is_restored: bool,
}

impl Member {
    pub(crate) fn status(&self) -> LedgerStatus {
        match &self.path {
            _ if self.is_own => LedgerStatus::Own,
            _ if self.is_restored => LedgerStatus::Restored,
            Some(path) if is_open(path) => LedgerStatus::Live,
            _ => LedgerStatus::Closed,
        }
    }
}

/// What a refresh found.
pub(crate) struct Found {
    pub(crate) members: Vec<Member>,
    pub(crate) unread: Vec<Unread>,
    /// Directories whose ledger is read from another one.
    pub(crate) duplicates: Vec<(LedgerId, PathBuf)>,
}

impl Found {
    /// Whether a ledger belongs to the set, readable or not.
    pub(crate) fn knows(&self, ledger_id: LedgerId) -> bool {
        self.members.iter().any(|member| member.ledger_id == ledger_id)
            || self.unread.iter().any(|unread| unread.ledger_id == Some(ledger_id))
    }
}

/// The generation of an own ledger: its log does not lose lines while it is open.
const OWN_GENERATION: u64 = u64::MAX;

/// Added to the generation of a restored ledger, whose log may be shorter than the one that was read before it.
const RESTORED_GENERATION: u64 = 1 << 62;

pub(crate) struct Members {
    pub(crate) sources: Sources,
    /// The ledgers of others that were found so far, by directory.
    foreign: ForeignLedgers,
    /// Those that were restored.
    restored: ForeignLedgers,
}

type ForeignLedgers = Mutex<BTreeMap<PathBuf, Arc<Foreign>>>;

struct Foreign {
    ledger_id: LedgerId,
    tail: Arc<TailIndex>,
}

impl Foreign {
    fn member(&self, path: PathBuf) -> Member {
        Member {
            ledger_id: self.ledger_id,
            path: Some(path),
            parts: ReadParts {
                storage: Arc::clone(self.tail.storage()),
                ledger_id: self.ledger_id,
                source: ReadSource::Tailed(Arc::clone(&self.tail)),
            },
            generation: self.tail.generation(),
            is_own: false,
            is_restored: false,
        }
    }
}

impl Members {
    pub(crate) fn new(sources: Sources) -> Self {
        Self { sources, foreign: Mutex::default(), restored: Mutex::default() }
    }

    /// Looks for ledgers and reads what is new in those of others.
    pub(crate) fn refresh(&self) -> Found {
        let mut found = Found { members: Vec::new(), unread: Vec::new(), duplicates: Vec::new() };
        let mut seen = BTreeSet::new();
        for ledger in &self.sources.own {
            // A closed one may be written by another process by now; it is read as what lies in its directory.
            if (ledger.health() != Health::Closed || ledger.path().is_none()) && seen.insert(ledger.id()) {
                found.members.push(Member {
                    ledger_id: ledger.id(),
                    path: ledger.path().map(Path::to_owned),
                    parts: ledger.read_parts(),
                    generation: OWN_GENERATION,
                    is_own: true,
                    is_restored: false,
                });
            }
        }
        let mut directories = Vec::new();
        for root in &self.sources.roots {
            if let Err(error) = list_root(root, &mut directories) {
                found.unread.push(Unread::new(None, Some(root), &format!("list the root: {error}")));
            }
        }
        let closed = self.sources.own.iter().filter(|ledger| ledger.health() == Health::Closed);
        directories.extend(closed.filter_map(|ledger| ledger.path().map(Path::to_owned)));
        directories.extend(self.sources.directories.iter().cloned());
        // Also what was there before and is no longer listed: it must not vanish in silence.
        directories.extend(self.foreign.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned());
        let mut visited = BTreeSet::new();
        let mut unread = Vec::new();
        for path in directories {
            if visited.insert(path.clone()) {
                self.visit(path, &mut seen, &mut found, &mut unread);
            }
        }
        for restored in &self.sources.restored {
            self.restored(restored, &mut found);
        }
        // What cannot be read in one place and was restored is read from there.
        unread.retain(|unread| {
            let is_read = |member: &Member| unread.ledger_id == Some(member.ledger_id);
            !found.members.iter().any(is_read)
        });
        found.unread.append(&mut unread);
        found
    }

    /// Adds the ledgers of a source that are nowhere else, or end earlier there.
    fn restored(&self, restored: &Restored, found: &mut Found) {
        let view = restored.view(&|ledger_id| {
            let Some(member) = found.members.iter().find(|member| member.ledger_id == ledger_id) else {
                return Elsewhere::No;
            };
            match (member.status(), &member.parts.source) {
                (LedgerStatus::Closed, ReadSource::Tailed(tail)) => Elsewhere::Until(tail.current().1),
                _ => Elsewhere::Written,
            }
        });
        for (ledger_id, reason) in &view.failed {
            found.unread.push(Unread::new(*ledger_id, None, reason));
        }
        for (&ledger_id, gap) in &view.ledgers {
            let path = restored.path(ledger_id);
            let held = found.members.iter().position(|member| member.ledger_id == ledger_id);
            if held.is_some_and(|at| found.members[at].status() != LedgerStatus::Closed) {
                // It was opened since the last look, or another source has it.
                continue;
            }
            let foreign = match self.foreign_at(&self.restored, &path) {
                Ok(Some(foreign)) => foreign,
                // Nothing of it could be restored; that was named.
                Ok(None) | Err(_) => continue,
            };
            if let Err(error) = foreign.tail.advance() {
                found.unread.push(Unread::new(Some(ledger_id), Some(&path), &chain(&error)));
                continue;
            }
            if let Some(at) = held {
                let ends = |member: &Member| match &member.parts.source {
                    ReadSource::Tailed(tail) => tail.current().1,
                    _ => LogPosition::START,
                };
                if foreign.tail.current().1 <= ends(&found.members[at]) {
                    continue;
                }
                let shorter = found.members.swap_remove(at);
                found.duplicates.extend(shorter.path.map(|path| (ledger_id, path)));
            }
            if let Some(gap) = gap {
                found.unread.push(Unread::new(Some(ledger_id), Some(&path), &gap.to_string()));
            }
            let mut member = foreign.member(path);
            member.generation = RESTORED_GENERATION.saturating_add(member.generation);
            member.is_restored = true;
            found.members.push(member);
        }
    }

    fn visit(
        &self,
        path: PathBuf,
        seen: &mut BTreeSet<LedgerId>,
        found: &mut Found,
        failed: &mut Vec<Unread>,
    ) {
        let foreign = match self.foreign_at(&self.foreign, &path) {
            Ok(Some(foreign)) => foreign,
            Ok(None) => return,
            Err(reason) => {
                let named = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                if named.is_none_or(|named| !seen.contains(&named)) {
                    failed.push(Unread::new(named, Some(&path), &reason));
                }
                return;
            }
        };
        let ledger_id = foreign.ledger_id;
        if !seen.insert(ledger_id) {
            let is_own = found.members.iter().any(|member| member.path.as_ref() == Some(&path));
            if !is_own {
                found.duplicates.push((ledger_id, path));
            }
            return;
        }
        match foreign.tail.advance() {
            Ok(()) => found.members.push(foreign.member(path)),
            Err(error) => failed.push(Unread::new(Some(ledger_id), Some(&path), &chain(&error))),
        }
    }

    /// The ledger in a directory; `None` for one that is being made and holds nothing yet.
    fn foreign_at(&self, known: &ForeignLedgers, path: &Path) -> Result<Option<Arc<Foreign>>, String> {
        if let Some(known) = known.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Some(Arc::clone(known)));
        }
        let storage: Arc<dyn Storage> = Arc::new(DiskStorage::new(path.to_owned()));
        let identity =
            storage.read(IDENTITY_NAME).map_err(|error| format!("read {IDENTITY_NAME}: {error}"))?;
        let Some(identity) = identity else {
            let is_being_made = path.join("lock").exists() && !path.join("log").exists();
            return match is_being_made {
                true => Ok(None),
                false => Err(format!("it has no {IDENTITY_NAME}; name a ledger's own directory")),
            };
        };
        let identity = LedgerIdentity::parse(&identity)
            .map_err(|error| format!("understand {IDENTITY_NAME}: {error}"))?;
        let ledger_id = identity.ledger_id;
        let file = self.sources.index_directory.as_ref().map(|directory| {
            // When it cannot be made, the index is in memory.
            let _ = fs::create_dir_all(directory);
            let kind = if std::ptr::eq(known, &self.restored) { "restored.redb" } else { "redb" };
            directory.join(format!("{ledger_id}.{kind}"))
        });
        let tail = Arc::new(TailIndex::new(storage, ledger_id, file));
        let foreign = Arc::new(Foreign { ledger_id, tail });
        let mut all = known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(Arc::clone(all.entry(path.to_owned()).or_insert(foreign))))
    }
}

/// The directories of a root that hold a ledger or are named like one, oldest ledger first.
fn list_root(root: &Path, directories: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let is_named = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_named.parse::<LedgerId>().is_ok() && path.is_dir() {
            found.push(path);
        }
    }
    found.sort_unstable();
    directories.append(&mut found);
    Ok(())
}

/// Whether a process has the ledger in a directory open.
pub(crate) fn is_open(directory: &Path) -> bool {
    File::open(directory.join("lock")).and_then(|file| is_held(&file)).unwrap_or(false)
}
