//! Reading `cuts.ndjson`, which is small: a line for each time that segments were dropped.

use std::io;

use super::{Cut, StoredCut};
use crate::ids::LedgerId;
use crate::log::head_table::HeadTable;
use crate::log::heads::Heads;
use crate::log::line::hash_line;
use crate::log::storage::Storage;
use crate::log::{LogPosition, head_table_name};

/// The file of cuts, relative to the ledger's directory.
pub(crate) const CUTS_NAME: &str = "cuts.ndjson";

/// How often what a cut names is looked for while cuts are made.
const MAX_RETRIES: usize = 3;

/// The complete lines of the file. Bytes behind the last newline are a line whose writing was cut short:
/// nothing was dropped under it.
#[derive(Debug, Default)]
pub(crate) struct CutFile {
    /// Without their newlines.
    pub(crate) lines: Vec<Vec<u8>>,
    /// Behind the last newline: where the next line belongs.
    pub(crate) end: u64,
    pub(crate) torn_bytes: u64,
}

impl CutFile {
    /// Reads the file; one that is absent has no lines.
    pub(crate) fn read(storage: &dyn Storage) -> io::Result<Self> {
        let Some(bytes) = storage.read(CUTS_NAME)? else { return Ok(Self::default()) };
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let lines = bytes[..end].split_inclusive(|byte| *byte == b'\n');
        Ok(Self {
            lines: lines.map(|line| line[..line.len() - 1].to_vec()).collect(),
            end: end as u64,
            torn_bytes: (bytes.len() - end) as u64,
        })
    }

    /// The file's bytes, without what is torn.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect()
    }

    /// The newest cut; `None` when there is none.
    pub(crate) fn newest(&self) -> Result<Option<StoredCut>, serde_json::Error> {
        let Some(line) = self.lines.last() else { return Ok(None) };
        let cut = Cut::from_line(line)?;
        Ok(Some(StoredCut { cut, hash: hash_line(line), line: line.clone() }))
    }
}

/// Where a log that was cut begins, and what its streams go on from.
pub(crate) struct CutHeads {
    pub(crate) position: LogPosition,
    pub(crate) heads: Heads,
}

/// Reads the newest cut with its heads, for readers; `None` when the log begins with the ledger. Whether the cut holds
/// is for `verify` to tell.
pub(crate) fn cut_heads(storage: &dyn Storage, ledger_id: LedgerId) -> io::Result<Option<CutHeads>> {
    // The head table goes when the next cut is made: then that is the newest.
    for _ in 0..MAX_RETRIES {
        let Some(newest) = CutFile::read(storage)?.newest().map_err(io::Error::other)? else {
            return Ok(None);
        };
        let bytes = storage.read(&head_table_name(newest.cut.table_segment()))?;
        let table = bytes.filter(|bytes| HeadTable::hash(bytes) == newest.cut.head_table);
        if let Some(table) = table.and_then(|bytes| HeadTable::parse(&bytes, ledger_id).ok()) {
            return Ok(Some(CutHeads { position: newest.cut.position, heads: table.heads }));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the head table of the newest cut is not there; run verify",
    ))
}

/// Whether a segment lies before the newest cut, and so is no part of the log any more.
pub(crate) fn is_dropped(storage: &dyn Storage, segment: u32) -> bool {
    let newest = CutFile::read(storage).ok().and_then(|cuts| cuts.newest().ok().flatten());
    newest.is_some_and(|newest| segment < newest.cut.position.segment)
}

/// Where the log begins, for readers: at the newest cut, or at the first segment that is there.
///
/// What a dead process had yet to remove before the cut is no part of the log. Whether the cut holds is for
/// `verify` to tell.
pub(crate) fn log_start(storage: &dyn Storage) -> io::Result<LogPosition> {
    let newest = CutFile::read(storage)?.newest().map_err(io::Error::other)?;
    let begin = newest.map_or(LogPosition::START, |newest| newest.cut.position);
    let names = storage.list("log")?;
    let segments = names.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse::<u32>().ok());
    let first = segments.filter(|segment| *segment >= begin.segment).min();
    Ok(first.map_or(begin, |segment| LogPosition { segment, offset: 0 }))
}
