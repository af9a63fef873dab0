//! The head table beside a segment: all heads and open attempts at its end, so that opening a ledger
//! with many quiet streams need not read the whole log.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::LogPosition;
use super::heads::{Head, Heads};
use super::line::hash_line;
use crate::event::{LineHash, SCHEMA_VERSION};
use crate::ids::{EventId, LedgerId, Scope};

/// An attempt line whose event is not in the log yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenAttempt {
    pub(crate) event_id: EventId,
    /// Where the attempt's line begins.
    pub(crate) position: LogPosition,
}

/// All heads and open attempts at a place in the log.
#[derive(Debug)]
pub(crate) struct HeadTable {
    pub(crate) position: LogPosition,
    pub(crate) heads: Heads,
    pub(crate) root: LineHash,
    /// By position.
    pub(crate) attempts: Vec<OpenAttempt>,
}

#[derive(Serialize, Deserialize)]
struct TableFields<T> {
    schema_version: u32,
    kind: T,
    ledger_id: LedgerId,
    position: LogPosition,
    streams: u64,
    root: LineHash,
    heads: Vec<HeadFields<T>>,
    attempts: Vec<OpenAttempt>,
}

#[derive(Serialize, Deserialize)]
struct HeadFields<T> {
    tenant_id: T,
    env: T,
    seq: u64,
    hash: LineHash,
    recorded_at: i64,
}

impl HeadTable {
    /// The bytes of the table: one JSON object and a newline; and their hash, which the checkpoint names.
    pub(crate) fn encode(
        ledger_id: LedgerId,
        position: LogPosition,
        heads: &mut Heads,
        mut attempts: Vec<OpenAttempt>,
    ) -> (Vec<u8>, LineHash) {
        let root = heads.root();
        attempts.sort_unstable_by_key(|attempt| attempt.position);
        let mut sorted: Vec<(&Scope, &Head)> = heads.iter().collect();
        sorted.sort_unstable_by_key(|(scope, _)| *scope);
        let fields = TableFields {
            schema_version: SCHEMA_VERSION,
            kind: "head_table",
            ledger_id,
            position,
            streams: sorted.len() as u64,
            root,
            heads: sorted.into_iter().map(|(scope, head)| HeadFields::new(scope, head)).collect(),
            attempts,
        };
        let mut bytes = serde_json::to_vec(&fields).unwrap_or_else(|error| {
            unreachable!("a head table holds only numbers and text, yet it did not serialise: {error}")
        });
        bytes.push(b'\n');
        let hash = Self::hash(&bytes);
        (bytes, hash)
    }

    /// The hash of a table's bytes, as a checkpoint names it.
    pub(crate) fn hash(bytes: &[u8]) -> LineHash {
        hash_line(bytes)
    }

    /// Reads a table and checks that it is one of this ledger and agrees with its own root.
    ///
    /// Whether it is the one that a checkpoint signed is told by [`hash`](Self::hash) alone.
    pub(crate) fn parse(bytes: &[u8], ledger_id: LedgerId) -> Result<Self, HeadTableError> {
        let fields: TableFields<String> = serde_json::from_slice(bytes).map_err(HeadTableError::Malformed)?;
        if fields.schema_version != SCHEMA_VERSION || fields.kind != "head_table" {
            return Err(HeadTableError::Foreign("not a head table of version 1"));
        }
        if fields.ledger_id != ledger_id {
            return Err(HeadTableError::Foreign("the head table of another ledger"));
        }
        let mut heads = Heads::new(ledger_id);
        for entry in &fields.heads {
            let id = heads
                .stream(&entry.tenant_id, &entry.env)
                .map_err(|_| HeadTableError::Foreign("it names a scope that cannot exist"))?;
            if heads.head(id).seq != 0 || entry.seq == 0 {
                return Err(HeadTableError::Foreign("it names a stream twice, or one without lines"));
            }
            heads.advance(id, Head { seq: entry.seq, hash: entry.hash, recorded_at: entry.recorded_at });
        }
        heads.clear_moved();
        let root = heads.root();
        if root != fields.root || heads.len() != fields.streams {
            return Err(HeadTableError::Foreign("its heads do not have its root"));
        }
        Ok(Self { position: fields.position, heads, root, attempts: fields.attempts })
    }
}

impl<'a> HeadFields<&'a str> {
    fn new(scope: &'a Scope, head: &Head) -> Self {
        Self {
            tenant_id: scope.tenant_id().as_str(),
            env: scope.env().as_str(),
            seq: head.seq,
            hash: head.hash,
            recorded_at: head.recorded_at,
        }
    }
}

/// Bytes are not a head table of the ledger.
#[derive(Debug)]
pub(crate) enum HeadTableError {
    Malformed(serde_json::Error),
    Foreign(&'static str),
}

impl fmt::Display for HeadTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "not a head table: {error}"),
            Self::Foreign(reason) => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::heads::tests::{ledger_id, scope};
    use super::*;

    fn table() -> (Vec<u8>, LineHash, Heads) {
        let mut heads = Heads::new(ledger_id());
        for (tenant, seq) in [("b", 7), ("a", 2)] {
            let id = heads.stream_of(&scope(tenant, "prod"));
            heads.advance(id, Head { seq, hash: LineHash([seq as u8; 32]), recorded_at: 5 });
        }
        let id = heads.stream("$system", "$system").unwrap();
        heads.advance(id, Head { seq: 1, hash: LineHash([1; 32]), recorded_at: 4 });
        let event_id = "0190b5a0-0000-7000-8000-000000000002".parse().unwrap();
        let attempt = OpenAttempt { event_id, position: LogPosition { segment: 1, offset: 9 } };
        let position = LogPosition { segment: 3, offset: 99 };
        let (bytes, hash) = HeadTable::encode(ledger_id(), position, &mut heads, vec![attempt]);
        (bytes, hash, heads)
    }

    #[test]
    fn a_table_is_read_back_as_written() {
        let (bytes, hash, mut heads) = table();
        assert_eq!(HeadTable::hash(&bytes), hash);
        let mut read = HeadTable::parse(&bytes, ledger_id()).unwrap();
        assert_eq!(read.position, LogPosition { segment: 3, offset: 99 });
        assert_eq!(read.heads.all(), heads.all());
        assert_eq!(read.heads.root(), heads.root());
        let id = read.heads.stream_of(&scope("b", "prod"));
        assert_eq!(read.heads.head(id).recorded_at, 5);
        assert_eq!(read.attempts.len(), 1);
        assert!(read.heads.moved().is_empty());
    }

    #[test]
    fn an_altered_or_foreign_table_is_refused() {
        let (bytes, ..) = table();
        let text = String::from_utf8(bytes).unwrap();
        let altered = text.replacen("\"seq\":7", "\"seq\":8", 1);
        let error = HeadTable::parse(altered.as_bytes(), ledger_id()).unwrap_err();
        assert_eq!(error.to_string(), "its heads do not have its root");
        let other = "0190b5a0-0000-7000-8000-000000000009".parse().unwrap();
        let error = HeadTable::parse(text.as_bytes(), other).unwrap_err();
        assert_eq!(error.to_string(), "the head table of another ledger");
        for cut in 0..text.len() - 1 {
            assert!(HeadTable::parse(&text.as_bytes()[..cut], ledger_id()).is_err(), "cut at {cut}");
        }
    }
}
