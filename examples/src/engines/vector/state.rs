//! The statements of the vector engine.

use super::embedding::{Features, MODEL_VERSION};
use super::model::{Document, DocumentId};
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// A chunk before it is stored.
pub(super) struct NewChunk {
    pub(super) text: String,
    pub(super) features: Features,
}

/// A chunk as a query needs it.
pub(super) struct Candidate {
    pub(super) document_id: String,
    pub(super) position: u64,
    pub(super) features: Features,
    /// What was compared: the document's version and hash of then.
    version: u64,
    sha256: String,
}

pub(super) fn find(db: &ScopedTransaction<'_>, id: &DocumentId) -> Result<Option<Document>, NexusError> {
    let sql = "SELECT title, sha256, version, chunks, model_version, dimensions, ingested_by, ingested_at_us
               FROM vector_documents
               WHERE tenant_id = :tenant_id AND env = :env AND document_id = :document_id";
    db.row("read a document", sql, &[(":document_id", &id.as_str())], |row| {
        Ok(Document {
            document_id: id.clone(),
            title: row.get(0)?,
            sha256: row.get(1)?,
            version: row.get(2)?,
            chunks: row.get(3)?,
            model_version: row.get(4)?,
            dimensions: row.get(5)?,
            ingested_by: row.get(6)?,
            ingested_at_us: row.get(7)?,
        })
    })
}

/// The chunks of the whole scope.
pub(super) fn chunks(db: &ScopedTransaction<'_>) -> Result<u64, NexusError> {
    let sql = "SELECT COALESCE(SUM(chunks), 0) FROM vector_documents
               WHERE tenant_id = :tenant_id AND env = :env";
    Ok(db.row("count chunks", sql, &[], |row| row.get(0))?.unwrap_or(0))
}

/// Puts a document in the place of what was there under its id.
pub(super) fn replace(
    db: &ScopedTransaction<'_>,
    document: &Document,
    chunks: &[NewChunk],
) -> Result<(), NexusError> {
    remove(db, &document.document_id)?;
    let sql = "INSERT INTO vector_documents
                   (tenant_id, env, document_id, title, sha256, version, chunks, model_version, dimensions,
                    ingested_by, ingested_at_us)
               VALUES (:tenant_id, :env, :document_id, :title, :sha256, :version, :chunks, :model_version,
                       :dimensions, :ingested_by, :ingested_at_us)";
    db.execute(
        "save a document",
        sql,
        &[
            (":document_id", &document.document_id.as_str()),
            (":title", &document.title),
            (":sha256", &document.sha256),
            (":version", &document.version),
            (":chunks", &document.chunks),
            (":model_version", &document.model_version),
            (":dimensions", &document.dimensions),
            (":ingested_by", &document.ingested_by),
            (":ingested_at_us", &document.ingested_at_us),
        ],
    )?;
    let sql = "INSERT INTO vector_chunks (tenant_id, env, document_id, position, text, vector)
               VALUES (:tenant_id, :env, :document_id, :position, :text, :vector)";
    for (position, chunk) in (1_u64..).zip(chunks) {
        db.execute(
            "save a chunk",
            sql,
            &[
                (":document_id", &document.document_id.as_str()),
                (":position", &position),
                (":text", &chunk.text),
                (":vector", &chunk.features.to_bytes()),
            ],
        )?;
    }
    Ok(())
}

/// Removes a document and its chunks; `false` when the scope has none.
pub(super) fn remove(db: &ScopedTransaction<'_>, id: &DocumentId) -> Result<bool, NexusError> {
    let named: [(&str, &dyn rusqlite::ToSql); 1] = [(":document_id", &id.as_str())];
    let sql = "DELETE FROM vector_chunks
               WHERE tenant_id = :tenant_id AND env = :env AND document_id = :document_id";
    db.execute("remove chunks", sql, &named)?;
    let sql = "DELETE FROM vector_documents
               WHERE tenant_id = :tenant_id AND env = :env AND document_id = :document_id";
    Ok(db.execute("remove a document", sql, &named)? > 0)
}

/// All chunks of the scope with their features, by document and position.
pub(super) fn candidates(db: &ScopedTransaction<'_>) -> Result<Vec<Candidate>, NexusError> {
    const ACTION: &str = "read vectors";
    // The text is read only where the vector is of another version and has to be made again.
    let sql = "SELECT chunk.document_id, position, vector, document.model_version, document.title,
                      CASE WHEN document.model_version = :model_version THEN '' ELSE chunk.text END,
                      document.version, document.sha256
               FROM vector_chunks AS chunk
               JOIN vector_documents AS document USING (tenant_id, env, document_id)
               WHERE tenant_id = :tenant_id AND env = :env
               ORDER BY chunk.document_id, position";
    let rows = db.rows(ACTION, sql, &[(":model_version", &MODEL_VERSION)], |row| {
        let vector: Vec<u8> = row.get(2)?;
        let (model_version, title, text): (u32, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let features = match model_version {
            MODEL_VERSION => Features::from_bytes(&vector),
            _ => Some(Features::of([title.as_str(), text.as_str()])),
        };
        Ok((features, row.get(0)?, row.get(1)?, row.get(6)?, row.get(7)?))
    })?;
    let candidate = |(features, document_id, position, version, sha256): (Option<Features>, _, _, _, _)| {
        let features = features.ok_or(NexusError::Corrupt { action: ACTION, column: "vector" })?;
        Ok(Candidate { document_id, position, features, version, sha256 })
    };
    rows.into_iter().map(candidate).collect()
}

/// The title of the candidate's document and the text of its chunk; `None` when the document was removed or replaced
/// since.
pub(super) fn passage(
    db: &ScopedTransaction<'_>,
    candidate: &Candidate,
) -> Result<Option<(DocumentId, String, String)>, NexusError> {
    const ACTION: &str = "read a passage";
    let sql = "SELECT document.title, chunk.text
               FROM vector_documents AS document
               LEFT JOIN vector_chunks AS chunk ON chunk.tenant_id = document.tenant_id
                   AND chunk.env = document.env AND chunk.document_id = document.document_id
                   AND chunk.position = :position
               WHERE document.tenant_id = :tenant_id AND document.env = :env
                 AND document.document_id = :document_id
                 AND document.version = :version AND document.sha256 = :sha256";
    let named: [(&str, &dyn rusqlite::ToSql); 4] = [
        (":document_id", &candidate.document_id),
        (":position", &candidate.position),
        (":version", &candidate.version),
        (":sha256", &candidate.sha256),
    ];
    let row: Option<(String, Option<String>)> =
        db.row(ACTION, sql, &named, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((title, text)) = row else { return Ok(None) };
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    let text = text.ok_or(corrupt("position"))?;
    let document_id = candidate.document_id.parse().map_err(|_| corrupt("document_id"))?;
    Ok(Some((document_id, title, text)))
}
