//! Vector activity: documents that came and went, queries and what they found.

use dataset_events::read_models::{Bucket, EventPlace, LatestByKey, ReadModel, Windowed};
use dataset_events::{DatasetEvent, Outcome};
use serde::{Deserialize, Serialize};

use super::reading::{input, output, source_ref};
use super::{Cause, Span, Window};
use crate::engines::vector::MAX_SCOPE_CHUNKS;

/// A scope holds no more documents than chunks.
const MAX_DOCUMENTS: usize = MAX_SCOPE_CHUNKS as usize;

/// Follows the documents and queries of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct VectorModel;

/// What is known of a scope's documents and queries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorState {
    counts: Windowed<VectorCounts>,
    documents: LatestByKey<DocumentState>,
}

/// What the newest event says of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentState {
    /// Its chunks; 0 once it was removed.
    pub chunks: u64,
    /// Its version; 0 once it was removed.
    pub version: u64,
    /// Whether it was removed.
    pub is_removed: bool,
    /// The event.
    pub event: Cause,
}

/// What was done with documents in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorCounts {
    /// Documents that were new or changed.
    pub ingested: u64,
    /// Documents that were ingested and the same as before.
    pub unchanged: u64,
    /// The bytes of both.
    pub text_bytes: u64,
    /// Documents that were removed.
    pub removed: u64,
    /// Queries that were answered.
    pub queries: u64,
    /// Of those, the ones that found nothing.
    pub queries_without_hits: u64,
    /// Documents that were found.
    pub hits: u64,
    /// What the gate, or another rule, refused.
    pub denied: u64,
    /// What failed otherwise.
    pub failed: u64,
}

/// The documents and queries of a scope as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VectorActivity {
    /// How many documents there are.
    pub documents: u64,
    /// Their chunks.
    pub chunks: u64,
    /// The span that `counts` are of.
    pub span: Span,
    /// What was done in it.
    pub counts: VectorCounts,
}

impl VectorState {
    /// What there is, and what was done in a window.
    pub fn view(&self, window: Window) -> VectorActivity {
        let span = Span::over(&self.counts, window);
        let held = || self.documents.iter().filter(|(_, _, document)| !document.is_removed);
        VectorActivity {
            documents: held().count() as u64,
            chunks: held().map(|(_, _, document)| document.chunks).sum(),
            counts: span.sum(&self.counts),
            span,
        }
    }
}

impl Bucket for VectorCounts {
    fn merge(&mut self, other: &Self) {
        self.ingested += other.ingested;
        self.unchanged += other.unchanged;
        self.text_bytes += other.text_bytes;
        self.removed += other.removed;
        self.queries += other.queries;
        self.queries_without_hits += other.queries_without_hits;
        self.hits += other.hits;
        self.denied += other.denied;
        self.failed += other.failed;
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    text_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ingested {
    version: u64,
    chunks: u64,
    is_changed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    count: u64,
}

impl VectorState {
    fn count(&mut self, event: &DatasetEvent, counts: &VectorCounts) {
        self.counts.add(event.recorded_at, |bucket| bucket.merge(counts));
    }

    fn offer(&mut self, event: &DatasetEvent, chunks: u64, version: u64, is_removed: bool) {
        let Some(document_id) = source_ref(event, "document") else { return };
        let state = || DocumentState { chunks, version, is_removed, event: Cause::of(event) };
        self.documents.offer(document_id.to_owned(), EventPlace::of(event), MAX_DOCUMENTS, state);
    }
}

impl ReadModel for VectorModel {
    type State = VectorState;
    const NAME: &'static str = "vector";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.surface.starts_with("vector.")
    }

    fn apply(&self, state: &mut VectorState, event: &DatasetEvent) {
        let none = VectorCounts::default();
        let counts = match (event.outcome, &*event.surface) {
            (Outcome::Denied, _) => VectorCounts { denied: 1, ..none },
            (Outcome::Ok, "vector.ingest") => {
                let text: Text = input(event).unwrap_or_default();
                let Ingested { version, chunks, is_changed } = output(event).unwrap_or_default();
                state.offer(event, chunks, version, false);
                let (ingested, unchanged) = (u64::from(is_changed), u64::from(!is_changed));
                VectorCounts { ingested, unchanged, text_bytes: text.text_bytes, ..none }
            }
            (Outcome::Ok, "vector.remove") => {
                state.offer(event, 0, 0, true);
                VectorCounts { removed: 1, ..none }
            }
            (Outcome::Ok, "vector.query") => {
                let Found { count } = output(event).unwrap_or_default();
                let queries_without_hits = u64::from(count == 0);
                VectorCounts { queries: 1, queries_without_hits, hits: count, ..none }
            }
            (Outcome::Ok, _) => none,
            _ => VectorCounts { failed: 1, ..none },
        };
        state.count(event, &counts);
    }
}
