//! Failures of the media engine.

use std::io;
use std::path::{Path, PathBuf};

use dataset_events::ErrorCode;
use thiserror::Error;

use super::model::{Damage, MAX_BYTES, MAX_PAGE, MediaId};
use crate::engines::NexusError;
use crate::engines::gate::GateError;

/// Why the media engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum MediaError {
    /// The upload has no bytes.
    #[error("an upload without bytes")]
    #[code("media.empty", status = 422)]
    Empty,
    /// The upload is too large.
    #[error("an upload of {len_bytes} bytes: at most {MAX_BYTES} are accepted")]
    #[code("media.too_large", status = 413)]
    TooLarge {
        /// The length of the refused upload.
        len_bytes: usize,
    },
    /// The declared type is no media type.
    #[error("a declared type of {len_bytes} bytes is no media type: expected `type/subtype`, as `image/png`")]
    #[code("media.invalid_type", status = 422)]
    InvalidType {
        /// The length of the refused type.
        len_bytes: usize,
    },
    /// The bytes are not what was declared.
    #[error("declared as {declared}, but the bytes are {sniffed}: declare that, or nothing")]
    #[code("media.type_mismatch", status = 415)]
    TypeMismatch {
        /// What was declared.
        declared: String,
        /// What the bytes show.
        sniffed: &'static str,
    },
    /// The scope has no such object. An object of another scope is no different.
    #[error("no object {media_id} in this scope")]
    #[code("media.not_found", status = 404)]
    NotFound {
        /// The object.
        media_id: MediaId,
    },
    /// The stored bytes are not those that were stored.
    #[error("the stored bytes of {media_id} {damage}: store the same content again to replace them")]
    #[code("media.corrupt", status = 500)]
    Corrupt {
        /// The object.
        media_id: MediaId,
        /// What was found.
        damage: Damage,
    },
    /// The page asked for is empty or too large.
    #[error("a page of {limit}: expected 1 to {MAX_PAGE}")]
    #[code("media.invalid_page", status = 422)]
    InvalidPage {
        /// The refused size.
        limit: u32,
    },
    /// The bytes could not be written or read.
    #[error("the media engine could not use its files")]
    #[code("media.storage_failed", status = 500, retryable)]
    Storage(#[from] FileError),
    /// A control refused or failed: kill switch, strategy lock, KPI or temperature.
    #[error(transparent)]
    #[code(transparent)]
    Gate(#[from] GateError),
    /// The database failed.
    #[error("the media engine could not use its state")]
    #[code("media.internal", status = 500)]
    Internal(#[from] NexusError),
}

/// A file of the media engine could not be used.
#[derive(Debug, Error)]
#[error("{attempted} {}", path.display())]
pub struct FileError {
    attempted: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    pub(super) fn new(attempted: &'static str, path: &Path, source: io::Error) -> Self {
        Self { attempted, path: path.to_owned(), source }
    }
}
