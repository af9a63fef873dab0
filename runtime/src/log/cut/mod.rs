//! Cuts: signed statements that the log begins later than it did, because segments were dropped.
//!
//! A cut names the checkpoint at whose end the log begins now, and the head table of that place, which stays:
//! chains, sequence numbers and checkpoints go on from them.

mod file;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use self::file::{CUTS_NAME, CutFile, cut_heads, is_dropped, log_start};
use super::LogPosition;
use super::checkpoint::{SignatureHex, is_line_signed_by, signed_part, with_signature};
use super::signer::{SignError, Signer};
use super::verify::CheckpointHead;
use crate::event::{LineHash, SCHEMA_VERSION, Writer};
use crate::ids::LedgerId;

/// A segment that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DroppedSegment {
    /// Its number.
    pub segment: u32,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, by which a copy of it can be recognised.
    pub hash: LineHash,
}

impl DroppedSegment {
    pub(crate) fn new(segment: u32, bytes: u64, hash: LineHash) -> Self {
        Self { segment, bytes, hash }
    }
}

/// A signed statement of where the log begins since older segments were dropped.
///
/// Field order is the order of keys in a line of `cuts.ndjson`. Reading a cut checks nothing but its form;
/// `verify` tells whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cut {
    /// The version of the format.
    pub schema_version: u32,
    kind: CutKind,
    /// Counted from 1, without gaps.
    pub number: u64,
    /// SHA-256 of the line of the cut before; of a genesis text for the first.
    pub prev: LineHash,
    /// The ledger.
    pub ledger_id: LedgerId,
    /// When it was made, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Which program made it.
    pub writer: Writer,
    /// Why: what was older than this was to be dropped, in seconds.
    pub keep_for_s: u64,
    /// The required sinks that hold what was dropped. Empty: nobody holds a copy, as the options accept.
    pub held_by: Vec<String>,
    /// Where the log begins from now on: the start of a segment.
    pub position: LogPosition,
    /// Up to where the log was durable when the cut was made. The event that tells of it stands behind.
    pub log_end: LogPosition,
    /// The checkpoint that ends where the log begins now.
    pub checkpoint: CheckpointHead,
    /// SHA-256 of the head table beside the last dropped segment, which that checkpoint names and which stays.
    pub head_table: LineHash,
    /// How many streams had events up to here.
    pub streams: u64,
    /// One hash over the heads of all streams here.
    pub root: LineHash,
    /// Events in the dropped segments.
    pub events: u64,
    /// The dropped segments, in order, from where the cut before left the log.
    pub segments: Vec<DroppedSegment>,
    /// The key that signed.
    pub key_id: String,
    signature: SignatureHex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CutKind {
    Cut,
}

/// What a cut says, but for what the chain of cuts itself knows.
#[derive(Debug, Clone)]
pub(crate) struct CutBody {
    pub(crate) at: i64,
    pub(crate) writer: Writer,
    pub(crate) keep_for_s: u64,
    pub(crate) held_by: Vec<String>,
    pub(crate) position: LogPosition,
    pub(crate) log_end: LogPosition,
    pub(crate) checkpoint: CheckpointHead,
    pub(crate) head_table: LineHash,
    pub(crate) streams: u64,
    pub(crate) root: LineHash,
    pub(crate) events: u64,
    pub(crate) segments: Vec<DroppedSegment>,
}

impl Cut {
    /// Reads a line of `cuts.ndjson`, without its newline.
    ///
    /// # Errors
    ///
    /// When the line is not a cut of a version that this crate reads.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        let cut: Self = serde_json::from_slice(line)?;
        if cut.schema_version == SCHEMA_VERSION {
            return Ok(cut);
        }
        let version = cut.schema_version;
        Err(serde::de::Error::custom(format_args!("version {version} is not read, only {SCHEMA_VERSION}")))
    }

    /// Signs the cut that follows `before`: its line, newline included.
    pub(crate) fn seal(
        ledger_id: LedgerId,
        before: Option<&StoredCut>,
        body: CutBody,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, SignError> {
        let cut = Self {
            schema_version: SCHEMA_VERSION,
            kind: CutKind::Cut,
            number: before.map_or(1, |before| before.cut.number + 1),
            prev: before.map_or_else(|| cut_genesis(ledger_id), |before| before.hash),
            ledger_id,
            at: body.at,
            writer: body.writer,
            keep_for_s: body.keep_for_s,
            held_by: body.held_by,
            position: body.position,
            log_end: body.log_end,
            checkpoint: body.checkpoint,
            head_table: body.head_table,
            streams: body.streams,
            root: body.root,
            events: body.events,
            segments: body.segments,
            key_id: signer.key_id().to_owned(),
            signature: SignatureHex([0; 64]),
        };
        let unsigned = serde_json::to_vec(&cut).map_err(|error| SignError::new(signer.key_id(), error))?;
        let message = signed_part(&unsigned)
            .ok_or_else(|| SignError::new(signer.key_id(), "the cut has no room for a signature"))?;
        let signature = signer.sign(&message)?;
        let mut line = with_signature(message, SignatureHex(signature));
        line.push(b'\n');
        Ok(line)
    }

    /// The Ed25519 signature over the line without its last key.
    pub fn signature(&self) -> [u8; 64] {
        self.signature.0
    }

    /// Whether this cut's line was signed with the secret half of a public key.
    pub(crate) fn is_signed_by(&self, line: &[u8], public_key: &[u8; 32]) -> bool {
        is_line_signed_by(line, &self.signature, public_key)
    }

    /// The segment whose head table has the heads at the cut.
    pub(crate) fn table_segment(&self) -> u32 {
        self.position.segment.saturating_sub(1)
    }

    /// Bytes of the segments that it dropped.
    pub(crate) fn dropped_bytes(&self) -> u64 {
        self.segments.iter().map(|dropped| dropped.bytes).sum()
    }
}

/// A cut, and its line as it is stored, without the newline.
#[derive(Debug, Clone)]
pub(crate) struct StoredCut {
    pub(crate) cut: Cut,
    pub(crate) line: Vec<u8>,
    pub(crate) hash: LineHash,
}

/// What stands in `prev` of a ledger's first cut.
pub(crate) fn cut_genesis(ledger_id: LedgerId) -> LineHash {
    let text = format!("dataset-events cuts v1\n{ledger_id}\n");
    LineHash(Sha256::digest(text.as_bytes()).into())
}
