//! What a file holds, line by line.
//!
//! Each line is one of the ledger's own, bit by bit, and says by its key `kind` what it is. Two kinds are the sink's:
//! the first line of a file says what stands in the files before it, and a place says where in the log the next line
//! begins, where that is not just behind the line before.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::SCHEMA_VERSION;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::checkpoint::Checkpoint;
use crate::log::cut::Cut;
use crate::sinks::known::Known;
use crate::sinks::{Entry, EntryKind};

const START: &[u8] = b"{\"schema_version\":1,\"kind\":\"";
const HEADER: &str = "ndjson_file";
const PLACE: &str = "place";

/// The first line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    schema_version: u32,
    kind: String,
    pub(crate) ledger_id: LedgerId,
    pub(crate) number: u64,
    /// In microseconds since 1970 (UTC).
    pub(crate) created_at: i64,
    /// What stands in the files before it.
    pub(crate) after: Known,
}

impl Header {
    pub(crate) fn new(ledger_id: LedgerId, number: u64, created_at: i64, after: Known) -> Self {
        Self { schema_version: SCHEMA_VERSION, kind: HEADER.to_owned(), ledger_id, number, created_at, after }
    }

    /// The line, without its newline.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| {
            unreachable!("a header holds only numbers and text, yet it did not serialise: {error}")
        })
    }

    pub(crate) fn parse(line: &[u8]) -> Result<Self, LineError> {
        match kind(line) {
            Some(HEADER) => serde_json::from_slice(line).map_err(LineError::Malformed),
            kind => Err(LineError::Unknown(kind.unwrap_or_default().to_owned())),
        }
    }
}

/// The line that gives the place of the next.
pub(super) fn place(position: LogPosition) -> Vec<u8> {
    let LogPosition { segment, offset } = position;
    format!("{{\"schema_version\":1,\"kind\":\"{PLACE}\",\"segment\":{segment},\"offset\":{offset}}}")
        .into_bytes()
}

#[derive(Deserialize)]
struct Position {
    position: LogPosition,
}

/// What a line says that it is.
fn kind(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(START)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// Whether bytes are a line as a ledger writes it: one object, in which control characters are escaped. What a power
/// cut left is not.
pub(super) fn is_whole(line: &[u8]) -> bool {
    line.first() == Some(&b'{') && line.last() == Some(&b'}') && line.iter().all(|byte| *byte >= 0x20)
}

/// Follows the lines of a file.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    ledger_id: LedgerId,
    /// Where the next line of the log begins, if none says another place.
    next: Option<LogPosition>,
}

impl Lines {
    /// Behind the header.
    pub(crate) fn new(ledger_id: LedgerId) -> Self {
        Self { ledger_id, next: None }
    }

    /// The entry of a line; `None` of a line that is the file's own.
    pub(crate) fn take(&mut self, line: &[u8]) -> Result<Option<Entry>, LineError> {
        let with_newline = || [line, b"\n"].concat();
        let entry = match kind(line) {
            Some(PLACE) => {
                self.next = Some(serde_json::from_slice(line).map_err(LineError::Malformed)?);
                return Ok(None);
            }
            Some("event" | "attempt") => {
                let position = self.next.ok_or(LineError::NoPlace)?;
                self.next = Some(behind(position, line));
                Entry::line(position, line.to_vec()).ok_or(LineError::NoLine)?
            }
            Some("ledger") => Entry::identity(self.ledger_id, with_newline()),
            Some("head_table") => {
                let Position { position } = serde_json::from_slice(line).map_err(LineError::Malformed)?;
                Entry::head_table(self.ledger_id, position, with_newline())
            }
            Some("checkpoint") => {
                let checkpoint = Checkpoint::from_line(line).map_err(LineError::Malformed)?;
                Entry::checkpoint(self.ledger_id, checkpoint.number, checkpoint.position, line.to_vec())
            }
            Some("cut") => {
                let cut = Cut::from_line(line).map_err(LineError::Malformed)?;
                Entry::cut(self.ledger_id, cut.number, cut.position, line.to_vec())
            }
            kind => return Err(LineError::Unknown(kind.unwrap_or_default().to_owned())),
        };
        Ok(Some(entry))
    }

    /// Whether the place of a line has to be said.
    pub(super) fn needs_place(&self, position: LogPosition) -> bool {
        self.next != Some(position)
    }

    /// Where the next line of the log begins, as far as is known.
    pub(super) fn next(&self) -> Option<LogPosition> {
        self.next
    }

    /// The lines that an entry becomes, each with its newline; `None` when reading them would not give it back.
    pub(super) fn encode(&mut self, entry: &Entry) -> Option<Vec<u8>> {
        let line = entry.line_bytes();
        let is_log = matches!(entry.kind(), EntryKind::Event | EntryKind::Attempt);
        if !is_whole(line) || entry.ledger_id() != self.ledger_id {
            return None;
        }
        let mut bytes = Vec::with_capacity(line.len() + 1);
        let before = self.next;
        if is_log && self.needs_place(entry.position()) {
            bytes = place(entry.position());
            bytes.push(b'\n');
            self.next = Some(entry.position());
        }
        let is_given_back = self.take(line).is_ok_and(|read| {
            read.is_some_and(|read| {
                read.key() == entry.key()
                    && read.position() == entry.position()
                    && read.bytes() == entry.bytes()
            })
        });
        if !is_given_back {
            self.next = before;
            return None;
        }
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        Some(bytes)
    }
}

/// Where the line behind one begins.
fn behind(position: LogPosition, line: &[u8]) -> LogPosition {
    LogPosition { offset: position.offset + line.len() as u64 + 1, ..position }
}

/// A line is none that this sink writes.
#[derive(Debug)]
pub(crate) enum LineError {
    Malformed(serde_json::Error),
    /// A line of the log, and nothing says where it stands there.
    NoPlace,
    NoLine,
    /// Its kind, or nothing.
    Unknown(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "a line cannot be parsed: {error}"),
            Self::NoPlace => f.write_str("a line of the log without its place"),
            Self::NoLine => f.write_str("a line is no line of a log"),
            Self::Unknown(kind) => write!(f, "a line of version 1 has no kind {kind:?}"),
        }
    }
}

impl std::error::Error for LineError {}
