//! The replica: the log's own bytes in a directory or in object storage.
//!
//! # What is written
//!
//! Immutable objects, named by what they hold, in a folder for each ledger:
//!
//! ```text
//! <prefix>/<ledger id>/identity/<sha256>.json                        ledger.json
//! <prefix>/<ledger id>/log/<segment>/<from>-<to>.ndjson              bytes of a segment, whole lines
//! <prefix>/<ledger id>/heads/<segment>/<offset>.json                 head tables
//! <prefix>/<ledger id>/checkpoints/<folder>/<first>-<last>.ndjson    checkpoints by number
//! <prefix>/<ledger id>/cuts/<number>.json                            cuts
//! ```
//!
//! # When it is durable
//!
//! When `append` returns: a store has acknowledged the object, a directory has fsynced file and folder. Within a batch
//! the lines are stored before the checkpoints that cover them.
//!
//! # What comes again
//!
//! An object is created, never replaced. What is stored already is read and compared: equal bytes count as
//! duplicates, other bytes under a place that is taken end the sink ([`SinkError::Fatal`]), because one of the two
//! logs is not the ledger's.
//!
//! # What is refused
//!
//! A line that does not follow the one before it. A replica takes every line or none: it cannot have a filter.
//!
//! # How to read it back
//!
//! [`ReplicaSource`](crate::sources::ReplicaSource).

mod names;
mod newest;
mod objects;
mod series;
mod settings;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use self::names::{Folder, RangeName, checkpoint_folder, parse_cut, parse_head_table};
pub(crate) use self::objects::{ObjectError, Objects};
pub use self::settings::{InvalidReplica, ReplicaSettings};

use self::names::{cut_object, head_table_object};
use self::newest::Newest;
use self::objects::Created;
use self::series::{Part, Series};
use self::steps::{NotContiguous, Step, follows, steps};
use super::{Ack, Entry, Sink, SinkError, SinkStart, SinkState};
use crate::ids::LedgerId;
use crate::log::LogPosition;

/// A sink that keeps the log's own bytes in a directory or in object storage. See the [module](self).
#[derive(Debug)]
pub struct ReplicaSink {
    settings: ReplicaSettings,
    open: Option<Open>,
}

/// What there is from the opening on.
#[derive(Debug)]
struct Open {
    objects: Objects,
    ledger_id: LedgerId,
    log: Series,
    checkpoints: Series,
    state: Box<dyn SinkState>,
    saved: Newest,
}

impl ReplicaSink {
    /// A sink with these settings. Connects to nothing before it is opened.
    pub fn new(settings: ReplicaSettings) -> Self {
        Self { settings, open: None }
    }
}

impl Sink for ReplicaSink {
    fn kind(&self) -> &'static str {
        "replica"
    }

    fn target(&self) -> String {
        self.settings.address()
    }

    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.open = None;
        let objects = Objects::open(&self.settings, true)?;
        let ledger_id = start.ledger_id;
        let saved = Newest::load(&*start.state);
        let state = start.state.handle();
        let (log, checkpoints) = (Series::default(), Series::default());
        let mut open = Open { objects, ledger_id, log, checkpoints, state, saved };
        // So that the first batch is stored by its first request, and a store that is away shows before it. Where
        // there is more than a page, the first batch says from where on it is listed.
        open.list_log(saved.segment, true)?;
        open.list_checkpoints(saved.checkpoint_folder, true)?;
        self.open = Some(open);
        Ok(())
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let Some(open) = &mut self.open else {
            return Err(SinkError::reopen("append to a replica", "it is not open"));
        };
        if let Some(foreign) = batch.iter().find(|entry| entry.ledger_id() != open.ledger_id) {
            let attempted = format!("append to the replica of ledger {}", open.ledger_id);
            return Err(SinkError::fatal(attempted, format!("an entry of ledger {}", foreign.ledger_id())));
        }
        let steps = steps(batch, self.settings.object_bytes).map_err(|gap| open.not_contiguous(&gap))?;
        let mut duplicates = 0;
        for step in steps {
            duplicates += match step {
                Step::Identity { hash, bytes } => {
                    open.one(Folder::Identity, &format!("{hash}.json"), bytes)?
                }
                Step::HeadTable { position, bytes } => {
                    open.one(Folder::Heads, &head_table_object(position), bytes)?
                }
                Step::Cut { number, bytes } => open.one(Folder::Cuts, &cut_object(number), &bytes)?,
                Step::Log { position, bytes } => open.lines(position, &bytes)?,
                Step::Checkpoints { first, lines } => open.checkpoints(first, &lines)?,
            };
        }
        open.save_newest();
        Ok(Ack::all().with_duplicates(duplicates))
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.open = None;
        Ok(())
    }
}

impl Open {
    fn name(&self, folder: Folder, name: &str) -> String {
        format!("{}/{name}", folder.of(self.ledger_id))
    }

    /// Lists the objects of a segment and those behind it; a page of them at most.
    fn list_log(&mut self, segment: u64, is_page: bool) -> Result<(), SinkError> {
        let names = self.list(Folder::Log, &format!("{segment:08}"), is_page)?;
        if let Some(names) = names {
            self.log.learn(segment, names.iter().filter_map(|name| RangeName::parse_log(name)));
        }
        Ok(())
    }

    /// The same of a folder of checkpoints.
    fn list_checkpoints(&mut self, folder: u64, is_page: bool) -> Result<(), SinkError> {
        let names = self.list(Folder::Checkpoints, &format!("{folder:016}"), is_page)?;
        if let Some(names) = names {
            self.checkpoints
                .learn(folder, names.iter().filter_map(|name| RangeName::parse_checkpoints(name)));
        }
        Ok(())
    }

    fn list(&self, folder: Folder, from: &str, is_page: bool) -> Result<Option<Vec<String>>, SinkError> {
        let folder = folder.of(self.ledger_id);
        Ok(match is_page {
            true => self.objects.list_page(&folder, Some(from))?,
            false => Some(self.objects.list(&folder, Some(from))?),
        })
    }

    /// Keeps from where on the next opening lists. It is no more than that: what is stored, the store says.
    fn save_newest(&mut self) {
        let newest = Newest {
            segment: self.log.end().map_or(self.saved.segment, |(segment, _)| segment),
            checkpoint_folder: self
                .checkpoints
                .end()
                .map_or(self.saved.checkpoint_folder, |(folder, _)| folder),
        };
        if newest != self.saved && self.state.save(&newest.to_bytes()).is_ok() {
            self.saved = newest;
        }
    }

    /// Stores an object that is a whole by itself; returns how many there were already.
    fn one(&self, folder: Folder, name: &str, bytes: &[u8]) -> Result<u64, SinkError> {
        let name = self.name(folder, name);
        match self.objects.create(&name, bytes.to_vec())? {
            Created::New => Ok(0),
            Created::Exists => self.compare(&name, bytes, |stored| Some(stored)).map(|()| 1),
        }
    }

    /// Stores whole lines of one segment; returns how many were there already.
    fn lines(&mut self, position: LogPosition, bytes: &[u8]) -> Result<u64, SinkError> {
        let folder = u64::from(position.segment);
        let wanted = RangeName { folder, from: position.offset, to: position.offset + bytes.len() as u64 };
        if !self.log.knows(folder) {
            self.list_log(folder, false)?;
        }
        self.check_place(position)?;
        let slice = |from: u64, to: u64| {
            let at = |place: u64| usize::try_from(place - wanted.from).unwrap_or(usize::MAX);
            bytes.get(at(from)..at(to)).unwrap_or_default()
        };
        let mut duplicates = 0;
        for part in self.log.parts(wanted) {
            let (from, to, held) = match part {
                Part::Held { from, to, by } => (from, to, Some(by)),
                Part::Missing { from, to } => (from, to, None),
            };
            let range = held.unwrap_or(RangeName { folder, from, to });
            let name = self.name(Folder::Log, &range.of_log());
            let is_held =
                held.is_some() || self.objects.create(&name, slice(from, to).to_vec())? == Created::Exists;
            if is_held {
                let start = usize::try_from(from - range.from).unwrap_or(usize::MAX);
                let len = slice(from, to).len();
                self.compare(&name, slice(from, to), |stored| stored.get(start..)?.get(..len))?;
                duplicates += slice(from, to).iter().filter(|byte| **byte == b'\n').count() as u64;
            }
            self.log.insert(range);
        }
        self.log.forget_before(folder);
        Ok(duplicates)
    }

    /// Stores checkpoints of one folder; returns how many were there already.
    fn checkpoints(&mut self, first: u64, lines: &[&[u8]]) -> Result<u64, SinkError> {
        let folder = checkpoint_folder(first);
        if !self.checkpoints.knows(folder) {
            self.list_checkpoints(folder, false)?;
        }
        let wanted = RangeName { folder, from: first, to: first + lines.len() as u64 };
        let joined = |from: u64, to: u64| -> Vec<u8> {
            let at = |place: u64| usize::try_from(place - first).unwrap_or(usize::MAX);
            let lines = lines.get(at(from)..at(to)).unwrap_or_default();
            lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
        };
        let mut duplicates = 0;
        for part in self.checkpoints.parts(wanted) {
            let (from, to, held) = match part {
                Part::Held { from, to, by } => (from, to, Some(by)),
                Part::Missing { from, to } => (from, to, None),
            };
            let range = held.unwrap_or(RangeName { folder, from, to });
            let name = self.name(Folder::Checkpoints, &range.of_checkpoints());
            let is_held = held.is_some() || self.objects.create(&name, joined(from, to))? == Created::Exists;
            if is_held {
                self.compare(&name, &joined(from, to), |stored| {
                    some_lines(stored, from - range.from, to - from)
                })?;
                duplicates += to - from;
            }
            self.checkpoints.insert(range);
        }
        self.checkpoints.forget_before(folder);
        Ok(duplicates)
    }

    /// Refuses lines that neither follow what is stored nor come again.
    fn check_place(&self, position: LogPosition) -> Result<(), SinkError> {
        let Some((folder, to)) = self.log.end() else {
            if position.offset == 0 {
                return Ok(());
            }
            let end = LogPosition { segment: position.segment, offset: 0 };
            return Err(self.not_contiguous(&NotContiguous { end, next: position }));
        };
        let end = RangeName { folder, from: 0, to }.end();
        if position <= end || follows(end, position) {
            return Ok(());
        }
        Err(self.not_contiguous(&NotContiguous { end, next: position }))
    }

    fn not_contiguous(&self, gap: &NotContiguous) -> SinkError {
        let attempted =
            format!("append to the replica of ledger {} in {}", self.ledger_id, self.objects.target());
        let reason = format!(
            "lines are missing between {} and {}: a replica takes every line; remove the surface filter, or replay \
             the sink from the beginning",
            gap.end, gap.next
        );
        SinkError::fatal(attempted, reason)
    }

    /// Compares what is stored with what would be.
    fn compare(
        &self,
        name: &str,
        bytes: &[u8],
        part: impl FnOnce(&[u8]) -> Option<&[u8]>,
    ) -> Result<(), SinkError> {
        let stored = self.objects.read(name).map_err(|error| match error.is_absent {
            // What was listed before is no longer so.
            true => SinkError::reopen(error.attempted, error.reason),
            false => error.into(),
        })?;
        if part(&stored) == Some(bytes) {
            return Ok(());
        }
        let attempted = format!("create {}/{name}", self.objects.target());
        let reason = "the replica holds other bytes there than the ledger has: one of the two was changed; verify \
                      both, and give this ledger another prefix if it went on after an accepted loss";
        Err(SinkError::fatal(attempted, reason))
    }
}

/// Some of the lines of an object, with their newlines.
fn some_lines(stored: &[u8], skip: u64, take: u64) -> Option<&[u8]> {
    let ends = |lines: u64| match lines {
        0 => Some(0),
        _ => {
            let mut newlines = memchr::memchr_iter(b'\n', stored);
            newlines.nth(usize::try_from(lines - 1).ok()?).map(|at| at + 1)
        }
    };
    stored.get(ends(skip)?..ends(skip.checked_add(take)?)?)
}

impl From<ObjectError> for SinkError {
    fn from(error: ObjectError) -> Self {
        match error.is_lasting {
            true => Self::fatal(error.attempted, error.reason),
            false => Self::retry(error.attempted, error.reason),
        }
    }
}
