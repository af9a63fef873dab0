//! Threads, messages and replies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::image::ImageFormat;
use crate::engines::{Nexus, NexusError};

/// The longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 256;
/// The longest message, in bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// The largest image, in bytes.
pub const MAX_IMAGE_BYTES: usize = 16 * 1024 * 1024;
/// The most items of a page.
pub const MAX_PAGE: u32 = 200;

/// The id of a thread: 1 to 64 bytes of `[a-z0-9_]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ThreadId(String);

/// A text is no thread id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a text of {len_bytes} bytes is no thread id: expected 1 to 64 bytes of [a-z0-9_]")]
pub struct InvalidThreadId {
    /// The length of the refused text.
    pub len_bytes: usize,
}

impl ThreadId {
    pub(super) fn generated(nexus: &Nexus) -> Result<Self, NexusError> {
        nexus.new_id("th").map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ThreadId {
    type Err = InvalidThreadId;

    fn from_str(text: &str) -> Result<Self, InvalidThreadId> {
        let is_id = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if is_id { Ok(Self(text.to_owned())) } else { Err(InvalidThreadId { len_bytes: text.len() }) }
    }
}

impl TryFrom<String> for ThreadId {
    type Error = InvalidThreadId;

    fn try_from(text: String) -> Result<Self, InvalidThreadId> {
        text.parse()
    }
}

impl From<ThreadId> for String {
    fn from(id: ThreadId) -> Self {
        id.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// Its id.
    pub thread_id: ThreadId,
    /// What it is about, in the user's words.
    pub title: String,
    /// Who began it.
    pub created_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub created_at_us: i64,
    /// How many messages it holds.
    pub messages: u64,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A user of the tenant.
    User,
    /// The assistant.
    Assistant,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        [Self::User, Self::Assistant].into_iter().find(|role| role.as_str() == text)
    }
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text(String),
    /// An image; its bytes are not kept, only what they are.
    Image(ImageInfo),
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageInfo {
    /// The file format.
    pub format: ImageFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The length of the upload in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the upload, in hexadecimal digits.
    pub sha256: String,
}

/// One message of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its id.
    pub message_id: String,
    /// Its place in the thread, from 1.
    pub position: u64,
    /// Who speaks.
    pub role: Role,
    /// Who sent it.
    pub author: String,
    /// What it holds.
    pub content: Content,
    /// When, in microseconds since 1970 (UTC).
    pub created_at_us: i64,
}

/// A piece of a reply while it is being given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyChunk {
    /// The next words.
    Text(String),
    /// The end: the whole reply is now a message of the thread.
    Done {
        /// The message.
        message_id: String,
    },
}
