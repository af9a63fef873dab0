//! What is forwarded: pieces of a ledger, each as its exact bytes.

use std::fmt;
use std::sync::OnceLock;

use crate::event::{DatasetEvent, LineHash};
use crate::ids::{EventId, InvalidId, LedgerId, Scope};
use crate::log::LogPosition;
use crate::log::line::{LinePrefix, hash_line};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EntryKind {
    /// The contents of `ledger.json`.
    Identity,
    /// A line of kind `event`.
    Event,
    /// A line of kind `attempt`.
    Attempt,
    /// The contents of a head table.
    HeadTable,
    /// A line of `checkpoints.ndjson`.
    Checkpoint,
    /// A line of `cuts.ndjson`.
    Cut,
}

impl EntryKind {
    /// The name in documents, rows and statuses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Event => "event",
            Self::Attempt => "attempt",
            Self::HeadTable => "head_table",
            Self::Checkpoint => "checkpoint",
            Self::Cut => "cut",
        }
    }
}

/// Under what an entry is stored once, in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EntryKey {
    /// An identity: keys are added to it over time.
    Identity(LineHash),
    /// An event.
    Event(EventId),
    /// An attempt; its event has the same id.
    Attempt(EventId),
    /// A head table, by its place.
    HeadTable(LogPosition),
    /// A checkpoint, by its number.
    Checkpoint(u64),
    /// A cut, by its number.
    Cut(u64),
}

/// A piece of a ledger.
pub struct Entry {
    ledger_id: LedgerId,
    kind: EntryKind,
    key: EntryKey,
    position: LogPosition,
    bytes: Vec<u8>,
    event: OnceLock<Option<Box<DatasetEvent>>>,
}

impl Entry {
    /// The contents of `ledger.json`.
    pub fn identity(ledger_id: LedgerId, bytes: Vec<u8>) -> Self {
        let key = EntryKey::Identity(hash_line(&bytes));
        Self::new(ledger_id, EntryKind::Identity, key, LogPosition::START, bytes)
    }

    /// A line of the log without its newline, and where it begins; `None` when it is not one of version 1.
    pub fn line(position: LogPosition, bytes: Vec<u8>) -> Option<Self> {
        Self::try_line(position, bytes).ok()
    }

    /// As [`line`](Self::line), but gives bytes back that are not a line.
    pub(crate) fn try_line(position: LogPosition, bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        let (ledger_id, kind, key) = match LinePrefix::parse(&bytes) {
            Some(LinePrefix::Event { ledger_id, event_id, .. }) => {
                (ledger_id, EntryKind::Event, EntryKey::Event(event_id))
            }
            Some(LinePrefix::Attempt { ledger_id, event_id, .. }) => {
                (ledger_id, EntryKind::Attempt, EntryKey::Attempt(event_id))
            }
            None => return Err(bytes),
        };
        Ok(Self::new(ledger_id, kind, key, position, bytes))
    }

    /// The contents of a head table, and the place in the log that it speaks of.
    pub fn head_table(ledger_id: LedgerId, position: LogPosition, bytes: Vec<u8>) -> Self {
        Self::new(ledger_id, EntryKind::HeadTable, EntryKey::HeadTable(position), position, bytes)
    }

    /// A line of `checkpoints.ndjson` without its newline, its number, and up to where it covers the log.
    pub fn checkpoint(ledger_id: LedgerId, number: u64, position: LogPosition, bytes: Vec<u8>) -> Self {
        Self::new(ledger_id, EntryKind::Checkpoint, EntryKey::Checkpoint(number), position, bytes)
    }

    /// A line of `cuts.ndjson` without its newline, its number, and where the log begins by it.
    pub fn cut(ledger_id: LedgerId, number: u64, position: LogPosition, bytes: Vec<u8>) -> Self {
        Self::new(ledger_id, EntryKind::Cut, EntryKey::Cut(number), position, bytes)
    }

    fn new(
        ledger_id: LedgerId,
        kind: EntryKind,
        key: EntryKey,
        position: LogPosition,
        bytes: Vec<u8>,
    ) -> Self {
        Self { ledger_id, kind, key, position, bytes, event: OnceLock::new() }
    }

    /// The ledger.
    pub fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Under what it is stored once.
    pub fn key(&self) -> EntryKey {
        self.key
    }

    /// Where a line begins; for a head table and a checkpoint, up to where it speaks of the log; for a cut, where the
    /// log begins by it.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The exact bytes; of lines, without the newline.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as one line: those of a file lose the newline that they end with.
    pub(crate) fn line_bytes(&self) -> &[u8] {
        match self.kind {
            EntryKind::Identity | EntryKind::HeadTable => {
                self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes)
            }
            EntryKind::Event | EntryKind::Attempt | EntryKind::Checkpoint | EntryKind::Cut => &self.bytes,
        }
    }

    /// The exact bytes, without a copy.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes as text; stored lines are UTF-8.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> LineHash {
        hash_line(&self.bytes)
    }

    /// The scope of an event or an attempt; `None` for the rest.
    ///
    /// # Errors
    ///
    /// When the line's tenant or env is not one that a ledger writes.
    pub fn scope(&self) -> Result<Option<Scope>, InvalidId> {
        match LinePrefix::parse(&self.bytes) {
            Some(LinePrefix::Event { tenant_id, env, .. } | LinePrefix::Attempt { tenant_id, env, .. }) => {
                Scope::from_stored(tenant_id, env).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The event, parsed once; `None` when it is no event, or one that this program cannot read.
    pub fn event(&self) -> Option<&DatasetEvent> {
        let parsed = self.event.get_or_init(|| {
            let line = std::str::from_utf8(&self.bytes).ok().filter(|_| self.kind == EntryKind::Event)?;
            DatasetEvent::from_line(line).ok().map(Box::new)
        });
        parsed.as_deref()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("kind", &self.kind)
            .field("key", &self.key)
            .field("position", &self.position)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
