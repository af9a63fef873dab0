//! What the media engine keeps and answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The largest object, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most items of a page.
pub const MAX_PAGE: u32 = 200;

/// The id of an object: SHA-256 of its bytes, 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MediaId(String);

/// A text is no media id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a text of {len_bytes} bytes is no media id: expected 64 digits of [0-9a-f]")]
pub struct InvalidMediaId {
    /// The length of the refused text.
    pub len_bytes: usize,
}

impl MediaId {
    /// The id of an object with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crate::engines::hex(&Sha256::digest(bytes)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MediaId {
    type Err = InvalidMediaId;

    fn from_str(text: &str) -> Result<Self, InvalidMediaId> {
        let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text.to_owned())) } else { Err(InvalidMediaId { len_bytes: text.len() }) }
    }
}

impl TryFrom<String> for MediaId {
    type Error = InvalidMediaId;

    fn try_from(text: String) -> Result<Self, InvalidMediaId> {
        text.parse()
    }
}

impl From<MediaId> for String {
    fn from(id: MediaId) -> Self {
        id.0
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaInfo {
    /// Its id.
    pub media_id: MediaId,
    /// What it is served as: the declared type where the bytes allow it, else the sniffed one.
    pub media_type: String,
    /// What its bytes say that it is.
    pub sniffed_type: String,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Who stored it first.
    pub stored_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub stored_at_us: i64,
}

/// What storing answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The object. Of bytes that were there before: as they were stored first, with the type of then.
    pub info: MediaInfo,
    /// Whether the scope did not have these bytes before.
    pub is_new: bool,
    /// Whether the scope had the object, but its bytes were missing or changed on disk, and were replaced.
    pub is_repaired: bool,
}

/// An object with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// The object.
    pub info: MediaInfo,
    /// Its bytes; their hash was compared with the id.
    pub bytes: Vec<u8>,
}

/// What was found in place of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Damage {
    /// No file.
    Missing,
    /// Other bytes.
    Changed {
        /// SHA-256 of what is there, up to one byte more than the largest object.
        sha256: MediaId,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("are missing"),
            Self::Changed { sha256 } => write!(f, "have the hash {sha256}"),
        }
    }
}
