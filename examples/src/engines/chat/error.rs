//! Failures of the chat engine.

use dataset_events::ErrorCode;
use thiserror::Error;

use super::model::{MAX_BODY_BYTES, MAX_IMAGE_BYTES, MAX_PAGE, MAX_TITLE_BYTES, ThreadId};
use crate::engines::NexusError;
use crate::engines::gate::GateError;

/// Why the chat engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum ChatError {
    /// The scope has no such thread. A thread of another scope is no different.
    #[error("no thread {thread_id} in this scope")]
    #[code("chat.thread_not_found", status = 404)]
    ThreadNotFound {
        /// The thread.
        thread_id: ThreadId,
    },
    /// The title is empty or too long.
    #[error("a title of {len_bytes} bytes: expected 1 to {MAX_TITLE_BYTES}")]
    #[code("chat.invalid_title", status = 422)]
    InvalidTitle {
        /// The length of the refused title.
        len_bytes: usize,
    },
    /// The message has no text.
    #[error("a message without text")]
    #[code("chat.empty_message", status = 422)]
    EmptyMessage,
    /// The message is too long.
    #[error("a message of {len_bytes} bytes: at most {MAX_BODY_BYTES} are accepted, send it in parts")]
    #[code("chat.message_too_long", status = 413)]
    MessageTooLong {
        /// The length of the refused message.
        len_bytes: usize,
    },
    /// The bytes are no image of a kind that is accepted.
    #[error("{len_bytes} bytes that are no PNG, GIF or JPEG image of at most {MAX_IMAGE_BYTES} bytes")]
    #[code("chat.unsupported_image", status = 415)]
    UnsupportedImage {
        /// The length of the refused upload.
        len_bytes: usize,
    },
    /// The page asked for is empty or too large.
    #[error("a page of {limit}: expected 1 to {MAX_PAGE}")]
    #[code("chat.invalid_page", status = 422)]
    InvalidPage {
        /// The refused size.
        limit: u32,
    },
    /// The thread holds no text of a user that a reply could be made of.
    #[error("thread {thread_id} has no text to reply to")]
    #[code("chat.nothing_to_reply_to", status = 409)]
    NothingToReplyTo {
        /// The thread.
        thread_id: ThreadId,
    },
    /// A control refused or failed: kill switch, strategy lock, budget, KPI or temperature.
    #[error(transparent)]
    #[code(transparent)]
    Gate(#[from] GateError),
    /// The database failed.
    #[error("the chat engine could not use its state")]
    #[code("chat.internal", status = 500)]
    Internal(#[from] NexusError),
}
