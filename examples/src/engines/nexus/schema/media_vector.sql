CREATE TABLE media_objects (
    tenant_id    TEXT NOT NULL,
    env          TEXT NOT NULL,
    media_id     TEXT NOT NULL,
    media_type   TEXT NOT NULL,
    sniffed_type TEXT NOT NULL,
    size_bytes   INTEGER NOT NULL,
    stored_by    TEXT NOT NULL,
    stored_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, media_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE vector_documents (
    tenant_id      TEXT NOT NULL,
    env            TEXT NOT NULL,
    document_id    TEXT NOT NULL,
    title          TEXT NOT NULL,
    sha256         TEXT NOT NULL,
    version        INTEGER NOT NULL,
    chunks         INTEGER NOT NULL,
    model_version  INTEGER NOT NULL,
    dimensions     INTEGER NOT NULL,
    ingested_by    TEXT NOT NULL,
    ingested_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, document_id)
) STRICT, WITHOUT ROWID;

-- Rows of this table are large, which a table without row ids does not take well.
CREATE TABLE vector_chunks (
    tenant_id   TEXT NOT NULL,
    env         TEXT NOT NULL,
    document_id TEXT NOT NULL,
    position    INTEGER NOT NULL,
    text        TEXT NOT NULL,
    vector      BLOB NOT NULL,
    PRIMARY KEY (tenant_id, env, document_id, position),
    FOREIGN KEY (tenant_id, env, document_id)
        REFERENCES vector_documents (tenant_id, env, document_id) ON DELETE CASCADE
) STRICT;
