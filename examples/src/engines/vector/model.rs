//! Documents, their parts, and what a query answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest text of a document, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// The longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 256;
/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 4 * 1024;
/// The most hits of a query.
pub const MAX_TOP_K: u32 = 50;
/// The most chunks of a scope: a query compares itself with each of them.
pub const MAX_SCOPE_CHUNKS: u64 = 20_000;

/// The id of a document, chosen by the caller: 1 to 128 bytes of `[a-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DocumentId(String);

/// A text is no document id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a text of {len_bytes} bytes is no document id: expected 1 to 128 bytes of [a-z0-9._-]")]
pub struct InvalidDocumentId {
    /// The length of the refused text.
    pub len_bytes: usize,
}

impl DocumentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DocumentId {
    type Err = InvalidDocumentId;

    fn from_str(text: &str) -> Result<Self, InvalidDocumentId> {
        let is_id = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if is_id { Ok(Self(text.to_owned())) } else { Err(InvalidDocumentId { len_bytes: text.len() }) }
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidDocumentId;

    fn try_from(text: String) -> Result<Self, InvalidDocumentId> {
        text.parse()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A document, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Its id.
    pub document_id: DocumentId,
    /// What it is about; its words count in each of its chunks.
    pub title: String,
    /// SHA-256 of title and text, in hexadecimal digits.
    pub sha256: String,
    /// How often it was ingested with another text or title.
    pub version: u64,
    /// In how many parts it was cut.
    pub chunks: u64,
    /// The version of the method that made its vectors.
    pub model_version: u32,
    /// The number of dimensions of its vectors.
    pub dimensions: u32,
    /// Who ingested it last.
    pub ingested_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub ingested_at_us: i64,
}

/// What ingesting answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ingested {
    /// The document as it is now.
    pub document: Document,
    /// Whether anything changed: the same text and title again change nothing.
    pub is_changed: bool,
}

/// A document that is like a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The document.
    pub document_id: DocumentId,
    /// Its title.
    pub title: String,
    /// Which of its chunks is the most like the query, from 1.
    pub chunk: u64,
    /// The text of that chunk.
    pub text: String,
    /// Cosine of the angle between the two vectors, in millionths: 0 nothing in common, 1,000,000 the same.
    pub score_ppm: u32,
}
