//! Checkpoints: signed statements of what the log holds, each naming the one before.

mod chain;
mod file;
mod surfaces;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub(crate) use self::chain::{CheckpointBody, CheckpointChain};
pub(crate) use self::file::{CHECKPOINTS_NAME, CheckpointFile, CheckpointLines, StoredCheckpoint};
pub(crate) use self::surfaces::surfaces_hash;
use super::LogPosition;
use super::heads::StreamHead;
use super::signer::is_signed_by;
use crate::event::{LineHash, SCHEMA_VERSION};
use crate::ids::{LedgerId, decode_hex, encode_hex};

/// Why a checkpoint was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckpointReason {
    /// The ledger was opened; stands before the first line of its epoch.
    Open,
    /// Heads moved and the interval had passed.
    Interval,
    /// The segment was full; names its head table.
    Rotation,
    /// The ledger was closed; names the head table.
    Close,
    /// Events of the journal were appended after the writing process had died.
    Recovery,
    /// Somebody asked for it.
    Request,
    /// The log had lost bytes that an earlier checkpoint covers, and the operator went on with what is
    /// left. It covers the log from its start anew, and lists every head.
    AcceptedLoss,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

impl CheckpointReason {
    /// The name in a checkpoint.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Interval => "interval",
            Self::Rotation => "rotation",
            Self::Close => "close",
            Self::Recovery => "recovery",
            Self::Request => "request",
            Self::AcceptedLoss => "accepted_loss",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for CheckpointReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An Ed25519 signature in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignatureHex(pub(crate) [u8; 64]);

impl fmt::Debug for SignatureHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

impl SignatureHex {
    fn to_hex(self) -> [u8; 128] {
        let mut hex = [0; 128];
        encode_hex(&self.0, &mut hex);
        hex
    }
}

impl Serialize for SignatureHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for SignatureHex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode_hex(&text);
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("a signature has 128 hexadecimal digits"))
    }
}

/// A signed statement of what the log holds up to a position.
///
/// Field order is the order of keys in a line of `checkpoints.ndjson`. Reading a checkpoint checks
/// nothing but its form; `verify` tells whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The version of the format.
    pub schema_version: u32,
    kind: CheckpointKind,
    /// Counted from 1, without gaps.
    pub number: u64,
    /// SHA-256 of the line of the checkpoint before; of a genesis text for the first.
    pub prev: LineHash,
    /// The ledger.
    pub ledger_id: LedgerId,
    /// When it was made, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Why it was made.
    pub reason: CheckpointReason,
    /// How often the ledger had been opened for writing.
    pub epoch: u64,
    /// Where its range begins; `None`: where the checkpoint before ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<LogPosition>,
    /// Where its range ends: every byte before it is covered.
    pub position: LogPosition,
    /// The length of the range in bytes.
    pub log_bytes: u64,
    /// SHA-256 of the bytes of the range, newlines included.
    pub log_hash: LineHash,
    /// How many streams have at least one event.
    pub streams: u64,
    /// One hash over the heads of all streams.
    pub root: LineHash,
    /// The heads that moved in the range, by tenant, then env.
    pub heads: Vec<StreamHead>,
    /// SHA-256 of the list of surfaces that the writing program links.
    pub surfaces: LineHash,
    /// SHA-256 of the head table beside the segment, written at this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_table: Option<LineHash>,
    /// The key that signed.
    pub key_id: String,
    signature: SignatureHex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CheckpointKind {
    Checkpoint,
}

impl Checkpoint {
    /// Reads a line of `checkpoints.ndjson`, without its newline.
    ///
    /// # Errors
    ///
    /// When the line is not a checkpoint of a version that this crate reads.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        let checkpoint: Self = serde_json::from_slice(line)?;
        if checkpoint.schema_version == SCHEMA_VERSION {
            return Ok(checkpoint);
        }
        let version = checkpoint.schema_version;
        Err(serde::de::Error::custom(format_args!("version {version} is not read, only {SCHEMA_VERSION}")))
    }

    /// The Ed25519 signature over the line without its last key.
    pub fn signature(&self) -> [u8; 64] {
        self.signature.0
    }

    /// Whether this checkpoint's line was signed with the secret half of a public key.
    pub(crate) fn is_signed_by(&self, line: &[u8], public_key: &[u8; 32]) -> bool {
        is_line_signed_by(line, &self.signature, public_key)
    }
}

/// Whether a line that ends in its signature was signed with the secret half of a public key.
pub(in crate::log) fn is_line_signed_by(
    line: &[u8],
    signature: &SignatureHex,
    public_key: &[u8; 32],
) -> bool {
    signed_part(line).is_some_and(|message| is_signed_by(public_key, &message, &signature.0))
}

/// What stands between the signed part of a line and its end: `,"signature":"`, 128 digits, `"}`.
const SIGNATURE_KEY: &[u8] = b",\"signature\":\"";
const SIGNATURE_LEN: usize = SIGNATURE_KEY.len() + 128 + 2;

/// The bytes that are signed: the line without its last key.
pub(in crate::log) fn signed_part(line: &[u8]) -> Option<Vec<u8>> {
    let (head, tail) = line.split_at_checked(line.len().checked_sub(SIGNATURE_LEN)?)?;
    tail.strip_prefix(SIGNATURE_KEY)?.strip_suffix(b"\"}")?;
    let mut message = head.to_vec();
    message.push(b'}');
    Some(message)
}

/// Puts the signature in as the last key of what was signed.
pub(in crate::log) fn with_signature(mut message: Vec<u8>, signature: SignatureHex) -> Vec<u8> {
    message.pop();
    message.extend_from_slice(SIGNATURE_KEY);
    message.extend_from_slice(&signature.to_hex());
    message.extend_from_slice(b"\"}");
    message
}

/// What stands in `prev` of a ledger's first checkpoint.
pub(crate) fn checkpoint_genesis(ledger_id: LedgerId) -> LineHash {
    let text = format!("dataset-events checkpoints v1\n{ledger_id}\n");
    LineHash(Sha256::digest(text.as_bytes()).into())
}
