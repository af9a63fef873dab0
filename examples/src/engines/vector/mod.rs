//! The vectors: texts of a scope, found by their likeness to a query.
//!
//! Documents are cut into chunks, and each chunk has a vector; how they are made and compared, and what
//! that cannot do, stands in `embedding`. A query is compared with every chunk of its scope and with
//! nothing else: also what a word weighs is counted in the scope alone. The ledger gets lengths and keyed
//! hashes, never a text.

mod chunks;
mod embedding;
mod error;
mod model;
mod state;

use std::sync::Arc;

use dataset_events::{RequestContext, current, dataset_event};
use sha2::{Digest, Sha256};

use super::ActionName;
use super::blocking::blocking;
use super::gate::{Action, Controls};
use super::nexus::{Nexus, NexusError, ScopedTransaction};
use embedding::{DIMENSIONS, Features, MODEL_VERSION, Weights};
pub use error::VectorError;
pub use model::{
    Document, DocumentId, Hit, Ingested, InvalidDocumentId, MAX_QUERY_BYTES, MAX_SCOPE_CHUNKS,
    MAX_TEXT_BYTES, MAX_TITLE_BYTES, MAX_TOP_K,
};

const INGEST: ActionName = ActionName::from_static("vector.ingest");
const REMOVE: ActionName = ActionName::from_static("vector.remove");

/// The vector engine.
#[derive(Debug, Clone)]
pub struct Vector {
    nexus: Nexus,
    controls: Arc<dyn Controls>,
}

impl Vector {
    /// The vectors over their data, behind controls that are in this process or in another.
    pub fn new(nexus: Nexus, controls: Arc<dyn Controls>) -> Self {
        Self { nexus, controls }
    }

    /// Takes a document in, in place of one that has the same id.
    ///
    /// The title may be empty; its words count in each chunk.
    ///
    /// # Errors
    ///
    /// - `vector.too_large`: the text is longer than [`MAX_TEXT_BYTES`].
    /// - `vector.invalid_title`: the title is longer than [`MAX_TITLE_BYTES`].
    /// - `vector.empty_document`: the text has no word.
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `vector.scope_full`: the scope would have more than [`MAX_SCOPE_CHUNKS`] chunks.
    /// - `vector.internal`: the database failed.
    #[dataset_event(
        surface = "vector.ingest",
        access = "write",
        input(document_id, title_bytes = title.len(), text_bytes = text.len(), text = hashed(text)),
        output(
            version = ret.document.version,
            chunks = ret.document.chunks,
            model_version = ret.document.model_version,
            dimensions = ret.document.dimensions,
            is_changed = ret.is_changed,
        ),
        source_refs(document = document_id),
    )]
    pub async fn ingest(
        &self,
        ctx: &RequestContext,
        document_id: &DocumentId,
        title: &str,
        text: &str,
    ) -> Result<Ingested, VectorError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(VectorError::TooLarge { len_bytes: text.len() });
        }
        if title.len() > MAX_TITLE_BYTES {
            return Err(VectorError::InvalidTitle { len_bytes: title.len() });
        }
        let (owned_title, owned_text) = (title.to_owned(), text.to_owned());
        let embedded = off("embed a document", move || embed(&owned_title, &owned_text)).await?;
        let Some((sha256, chunks)) = embedded else {
            return Err(VectorError::EmptyDocument { document_id: document_id.clone() });
        };
        self.controls.pass(ctx, &Action::free(INGEST)).await?;
        let document = Document {
            document_id: document_id.clone(),
            title: title.to_owned(),
            sha256,
            version: 1,
            chunks: chunks.len() as u64,
            model_version: MODEL_VERSION,
            dimensions: DIMENSIONS,
            ingested_by: super::acting(ctx),
            ingested_at_us: self.nexus.now_us(),
        };
        self.nexus.write(ctx, "ingest a document", move |db| put(db, document, &chunks)).await
    }

    /// The documents of the scope that are the most like a query, best first, at most `top_k` (1 to
    /// [`MAX_TOP_K`]). Each is there once, with its best chunk; what has nothing in common is left out.
    ///
    /// Documents with the same score are in the order of their ids. One that is removed or replaced while it is
    /// compared is left out.
    ///
    /// # Errors
    ///
    /// - `vector.invalid_query`: the query has no word, or more than [`MAX_QUERY_BYTES`].
    /// - `vector.invalid_top_k`: `top_k` is 0 or too large.
    /// - `vector.internal`: the database failed.
    #[dataset_event(
        surface = "vector.query",
        access = "read",
        input(query_bytes = text.len(), query = hashed(text), top_k),
        output(count = ret.len(), best_score_ppm = ret.first().map(|hit| hit.score_ppm)),
    )]
    pub async fn query(&self, ctx: &RequestContext, text: &str, top_k: u32) -> Result<Vec<Hit>, VectorError> {
        if !(1..=MAX_TOP_K).contains(&top_k) {
            return Err(VectorError::InvalidTopK { top_k });
        }
        let invalid = || VectorError::InvalidQuery { len_bytes: text.len() };
        if text.len() > MAX_QUERY_BYTES {
            return Err(invalid());
        }
        let query = Features::of([text]);
        if query.is_empty() {
            return Err(invalid());
        }
        let vectors =
            self.nexus.read(ctx, "read the vectors", |db| state::candidates(db).map_err(VectorError::from));
        let vectors = vectors.await?;
        // Between two accesses: whoever compares many chunks keeps nobody else from reading.
        let ranked = off("compare vectors", move || rank(&query, vectors)).await?;
        let read = self.nexus.read(ctx, "read the passages", move |db| {
            passages(db, ranked, top_k as usize).map_err(VectorError::from)
        });
        let hits = read.await?;
        for hit in &hits {
            current().source_ref("document", &hit.document_id);
        }
        Ok(hits)
    }

    /// Removes a document. Answers how many chunks went with it.
    ///
    /// # Errors
    ///
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `vector.not_found`: the scope has no such document.
    /// - `vector.internal`: the database failed.
    #[dataset_event(
        surface = "vector.remove",
        access = "delete",
        input(document_id),
        output(chunks = ret),
        source_refs(document = document_id),
    )]
    pub async fn remove(&self, ctx: &RequestContext, document_id: &DocumentId) -> Result<u64, VectorError> {
        self.controls.pass(ctx, &Action::free(REMOVE)).await?;
        let document_id = document_id.clone();
        let removed = self.nexus.write(ctx, "remove a document", move |db| {
            let Some(document) = state::find(db, &document_id)? else {
                return Err(VectorError::NotFound { document_id });
            };
            state::remove(db, &document_id)?;
            Ok(document.chunks)
        });
        removed.await
    }
}

/// The hash of a document and its chunks; `None` when its text has no word.
fn embed(title: &str, text: &str) -> Option<(String, Vec<state::NewChunk>)> {
    if Features::of([text]).is_empty() {
        return None;
    }
    // With the length of the first, no other pair of texts is hashed as the same bytes.
    let hash = Sha256::new().chain_update((title.len() as u64).to_le_bytes());
    let sha256 = super::hex(&hash.chain_update(title).chain_update(text).finalize());
    let chunks = chunks::cut(text).into_iter();
    let chunks = chunks.map(|text| state::NewChunk { features: Features::of([title, &text]), text });
    Some((sha256, chunks.collect()))
}

fn put(
    db: &ScopedTransaction<'_>,
    mut document: Document,
    chunks: &[state::NewChunk],
) -> Result<Ingested, VectorError> {
    let before = state::find(db, &document.document_id)?;
    if let Some(before) = &before {
        if (&before.sha256, before.model_version) == (&document.sha256, MODEL_VERSION) {
            return Ok(Ingested { document: before.clone(), is_changed: false });
        }
        document.version = before.version + 1;
    }
    let others = state::chunks(db)? - before.map_or(0, |before| before.chunks);
    if others + document.chunks > MAX_SCOPE_CHUNKS {
        return Err(VectorError::ScopeFull { chunks: document.chunks });
    }
    state::replace(db, &document, chunks)?;
    Ok(Ingested { document, is_changed: true })
}

/// The best chunk of each document that has anything in common with the query, best document first.
fn rank(query: &Features, candidates: Vec<state::Candidate>) -> Vec<(u32, state::Candidate)> {
    let weights = Weights::over(candidates.iter().map(|candidate| &candidate.features));
    let query = weights.unit(query);
    let mut best: Vec<(u32, state::Candidate)> = Vec::new();
    // The chunks of a document follow each other.
    for candidate in candidates {
        let score = query.cosine_ppm(&weights.unit(&candidate.features));
        match best.last_mut().filter(|(_, last)| last.document_id == candidate.document_id) {
            Some(last) if score > last.0 => *last = (score, candidate),
            Some(_) => {}
            None => best.push((score, candidate)),
        }
    }
    best.retain(|(score, _)| *score > 0);
    // A stable sort: what scores the same stays in the order of ids.
    best.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    best
}

/// The first `top_k` that are still what was compared.
fn passages(
    db: &ScopedTransaction<'_>,
    ranked: Vec<(u32, state::Candidate)>,
    top_k: usize,
) -> Result<Vec<Hit>, NexusError> {
    let mut hits = Vec::new();
    for (score_ppm, candidate) in ranked {
        if hits.len() == top_k {
            break;
        }
        if let Some((document_id, title, text)) = state::passage(db, &candidate)? {
            hits.push(Hit { document_id, title, chunk: candidate.position, text, score_ppm });
        }
    }
    Ok(hits)
}

/// Runs `body` off the executor's threads.
async fn off<T: Send + 'static>(
    action: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NexusError> {
    blocking(body).await.ok_or(NexusError::ShuttingDown { action })
}

#[cfg(test)]
mod tests {
    use dataset_events::RequestContext;

    use super::*;
    use crate::engines::{Engines, Sources};

    /// Ranks all of the scope, then lets `change` happen, then reads the passages.
    async fn found_after(change: impl AsyncFnOnce(&Vector, &RequestContext)) -> Vec<String> {
        let nexus = Nexus::in_memory(Sources::counted()).unwrap();
        let vector = Engines::over(nexus.clone()).vector;
        let ctx = RequestContext::builder("acme", "prod").build().unwrap();
        for id in ["a", "b", "c"] {
            vector.ingest(&ctx, &id.parse().unwrap(), "", "Ships in the harbour.").await.unwrap();
        }
        let vectors = nexus.read(&ctx, "read", state::candidates).await.unwrap();
        let ranked = rank(&Features::of(["harbour"]), vectors);
        assert_eq!(ranked.len(), 3);
        change(&vector, &ctx).await;
        let hits = nexus.read(&ctx, "read", move |db| passages(db, ranked, 2)).await.unwrap();
        hits.into_iter().map(|hit| format!("{}: {}", hit.document_id, hit.text)).collect()
    }

    #[tokio::test]
    async fn what_changed_while_it_was_compared_is_left_out_for_the_next_best() {
        assert_eq!(
            found_after(async |_, _| {}).await,
            ["a: Ships in the harbour.", "b: Ships in the harbour."]
        );
        let left = ["b: Ships in the harbour.", "c: Ships in the harbour."];
        let id: DocumentId = "a".parse().unwrap();
        let removed = found_after(async |vector, ctx| {
            vector.remove(ctx, &id).await.unwrap();
        });
        assert_eq!(removed.await, left);
        let replaced = found_after(async |vector, ctx| {
            vector.ingest(ctx, &id, "", "Bread in the bakery.").await.unwrap();
        });
        assert_eq!(replaced.await, left);
        // The version alone would take this for what was compared.
        let made_anew = found_after(async |vector, ctx| {
            vector.remove(ctx, &id).await.unwrap();
            vector.ingest(ctx, &id, "", "Bread in the bakery.").await.unwrap();
        });
        assert_eq!(made_anew.await, left);
    }
}
