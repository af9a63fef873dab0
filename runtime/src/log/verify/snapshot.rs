//! What a ledger's directory held at one moment, taken without stopping its writer.

use std::io;
use std::path::PathBuf;

use super::VerifyError;
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::checkpoint::{CHECKPOINTS_NAME, CheckpointFile};
use crate::log::cut::{CUTS_NAME, CutFile};
use crate::log::head_table::HeadTable;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::storage::Storage;
use crate::log::{LogPosition, RESTORED_NAME, head_table_name, segment_name};

/// How often a snapshot is taken anew because a rotation came between.
const MAX_RETAKES: usize = 3;

/// A segment and how far it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) len: u64,
}

/// A head table as it lies beside its segment.
#[derive(Debug)]
pub(super) struct StoredTable {
    pub(super) segment: u32,
    pub(super) hash: LineHash,
    /// Its position and root, or why it is no head table.
    pub(super) content: Result<(LogPosition, LineHash), String>,
}

/// What is verified.
pub(super) struct Snapshot {
    pub(super) identity: LedgerIdentity,
    pub(super) checkpoints: Option<CheckpointFile>,
    /// By segment.
    pub(super) tables: Vec<StoredTable>,
    pub(super) cuts: CutFile,
    /// By number.
    pub(super) segments: Vec<Segment>,
    /// Where the log begins.
    pub(super) begin: LogPosition,
    /// Whether the ledger was put together from a source.
    pub(super) is_restored: bool,
}

impl Snapshot {
    /// Takes the snapshot.
    pub(super) fn take(storage: &dyn Storage) -> Result<Self, VerifyError> {
        let mut snapshot = Self::take_once(storage)?;
        for _ in 0..MAX_RETAKES {
            let covered = snapshot.checkpoints.as_ref().map(|file| file.newest()).transpose();
            let covered = covered.map_err(|source| io_error(storage, "read", CHECKPOINTS_NAME, source))?;
            let covered = covered.flatten().and_then(|newest| newest.parse().ok());
            let covered = covered.map_or(LogPosition::START, |checkpoint| checkpoint.position);
            if snapshot.newest_whole_segment().is_none_or(|whole| covered >= whole) {
                break;
            }
            // A segment was begun after the checkpoints were read, or the one that ends it was removed.
            snapshot = Self::take_once(storage)?;
        }
        Ok(snapshot)
    }

    /// The order matters while a process writes: a checkpoint and a head table are written after the lines
    /// they speak of, so lengths taken last cover what they name.
    fn take_once(storage: &dyn Storage) -> Result<Self, VerifyError> {
        let identity = read_identity(storage)?;
        let cuts = CutFile::read(storage).map_err(|source| io_error(storage, "read", CUTS_NAME, source))?;
        let checkpoints = CheckpointFile::open(storage)
            .map_err(|source| io_error(storage, "open", CHECKPOINTS_NAME, source))?;
        let names = storage.list("log").map_err(|source| io_error(storage, "list", "log", source))?;
        let mut tables = Vec::new();
        for name in &names {
            let Some(segment) = number_of(name, ".heads.json") else { continue };
            if let Some(table) = read_table(storage, segment, identity.ledger_id)? {
                tables.push(table);
            }
        }
        // Listed again: a segment may have been begun in the meantime.
        let names = storage.list("log").map_err(|source| io_error(storage, "list", "log", source))?;
        let mut segments = Vec::new();
        for number in names.iter().filter_map(|name| number_of(name, ".ndjson")) {
            let name = segment_name(number);
            let len = storage.open(&name, false).and_then(|file| file.len());
            let len = len.map_err(|source| io_error(storage, "open", &name, source))?;
            segments.push(Segment { number, len });
        }
        segments.sort_unstable_by_key(|segment| segment.number);
        let begin = LogPosition::START;
        let is_restored =
            storage.read(RESTORED_NAME).map_err(|source| io_error(storage, "read", RESTORED_NAME, source))?;
        let is_restored = is_restored.is_some();
        Ok(Self { identity, checkpoints, tables, cuts, segments, begin, is_restored })
    }

    /// Takes a place as the beginning of the log: what lies before it is no part of it.
    pub(super) fn begin_at(&mut self, begin: LogPosition) {
        self.begin = begin;
        self.segments.retain(|segment| segment.number >= begin.segment);
        self.tables.retain(|table| table.segment >= begin.segment);
    }

    /// The segment before the newest one: whole, so a checkpoint that the rotation wrote covers it.
    pub(super) fn newest_whole_segment(&self) -> Option<LogPosition> {
        let [.., whole, _] = self.segments.as_slice() else { return None };
        Some(LogPosition { segment: whole.number, offset: whole.len })
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> LogPosition {
        self.segments
            .last()
            .map_or(self.begin, |segment| LogPosition { segment: segment.number, offset: segment.len })
    }

    /// The length of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

fn read_identity(storage: &dyn Storage) -> Result<LedgerIdentity, VerifyError> {
    let path = || storage.path().map(PathBuf::from).unwrap_or_default();
    let bytes =
        storage.read(IDENTITY_NAME).map_err(|source| io_error(storage, "read", IDENTITY_NAME, source))?;
    let bytes = bytes.ok_or_else(|| VerifyError::NotALedger { path: path() })?;
    LedgerIdentity::parse(&bytes).map_err(|source| VerifyError::Identity { path: path(), source })
}

fn read_table(
    storage: &dyn Storage,
    segment: u32,
    ledger_id: LedgerId,
) -> Result<Option<StoredTable>, VerifyError> {
    let name = head_table_name(segment);
    let bytes = storage.read(&name).map_err(|source| io_error(storage, "read", &name, source))?;
    Ok(bytes.map(|bytes| StoredTable {
        segment,
        hash: HeadTable::hash(&bytes),
        content: HeadTable::parse(&bytes, ledger_id)
            .map(|table| (table.position, table.root))
            .map_err(|error| error.to_string()),
    }))
}

/// The number in a file name of the log folder, if it is written as the ledger writes it.
fn number_of(name: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_suffix(suffix)?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (format!("{number:08}") == digits).then_some(number)
}

pub(super) fn io_error(
    storage: &dyn Storage,
    attempted: &'static str,
    name: &str,
    source: io::Error,
) -> VerifyError {
    let path = storage.path().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    VerifyError::Io { attempted, path, source }
}
