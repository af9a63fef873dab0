//! Failures of the vector engine.

use dataset_events::ErrorCode;
use thiserror::Error;

use super::model::{
    DocumentId, MAX_QUERY_BYTES, MAX_SCOPE_CHUNKS, MAX_TEXT_BYTES, MAX_TITLE_BYTES, MAX_TOP_K,
};
use crate::engines::NexusError;
use crate::engines::gate::GateError;

/// Why the vector engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum VectorError {
    /// The text has no word.
    #[error("document {document_id} has no word in its text")]
    #[code("vector.empty_document", status = 422)]
    EmptyDocument {
        /// The document.
        document_id: DocumentId,
    },
    /// The text is too long.
    #[error("a text of {len_bytes} bytes: at most {MAX_TEXT_BYTES} are accepted, ingest it in parts")]
    #[code("vector.too_large", status = 413)]
    TooLarge {
        /// The length of the refused text.
        len_bytes: usize,
    },
    /// The title is too long.
    #[error("a title of {len_bytes} bytes: at most {MAX_TITLE_BYTES} are accepted")]
    #[code("vector.invalid_title", status = 422)]
    InvalidTitle {
        /// The length of the refused title.
        len_bytes: usize,
    },
    /// The scope holds as much as a query can be compared with.
    #[error("{chunks} chunks more would pass the {MAX_SCOPE_CHUNKS} of a scope: remove documents first")]
    #[code("vector.scope_full", status = 409)]
    ScopeFull {
        /// The chunks of the refused document.
        chunks: u64,
    },
    /// The scope has no such document. A document of another scope is no different.
    #[error("no document {document_id} in this scope")]
    #[code("vector.not_found", status = 404)]
    NotFound {
        /// The document.
        document_id: DocumentId,
    },
    /// The query has no word, or is too long.
    #[error("a query of {len_bytes} bytes: expected a word, and at most {MAX_QUERY_BYTES} bytes")]
    #[code("vector.invalid_query", status = 422)]
    InvalidQuery {
        /// The length of the refused query.
        len_bytes: usize,
    },
    /// No hit is asked for, or too many.
    #[error("{top_k} hits: expected 1 to {MAX_TOP_K}")]
    #[code("vector.invalid_top_k", status = 422)]
    InvalidTopK {
        /// The refused number.
        top_k: u32,
    },
    /// A control refused or failed: kill switch, strategy lock, KPI or temperature.
    #[error(transparent)]
    #[code(transparent)]
    Gate(#[from] GateError),
    /// The database failed.
    #[error("the vector engine could not use its state")]
    #[code("vector.internal", status = 500)]
    Internal(#[from] NexusError),
}
