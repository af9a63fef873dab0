//! Reading `cuts.ndjson`, which is small: a line for each time that segments were dropped.

use std::io;

use super::{Cut, StoredCut};
use crate::log::LogPosition;
use crate::log::line::hash_line;
use crate::log::storage::Storage;

/// The file of cuts, relative to the ledger's directory.
pub(crate) const CUTS_NAME: &str = "cuts.ndjson";

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
