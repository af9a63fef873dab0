//! The tables of the engines. Every primary key begins with tenant and env.

use rusqlite::Connection;

/// The newest schema version; stored as `user_version`.
pub(super) const VERSION: i64 = 1;

/// The steps from each version to the next; the first makes the tables in an empty file.
const STEPS: [&str; VERSION as usize] = ["
CREATE TABLE chat_threads (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    thread_id     TEXT NOT NULL,
    title         TEXT NOT NULL,
    created_by    TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    messages      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, thread_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_messages (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    thread_id     TEXT NOT NULL,
    position      INTEGER NOT NULL,
    message_id    TEXT NOT NULL,
    author        TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    body          TEXT,
    image_format  TEXT,
    image_width   INTEGER,
    image_height  INTEGER,
    image_bytes   INTEGER,
    image_sha256  TEXT,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, thread_id, position),
    FOREIGN KEY (tenant_id, env, thread_id) REFERENCES chat_threads (tenant_id, env, thread_id),
    CHECK ((body IS NULL) <> (image_sha256 IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_policies (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    limit_amount  TEXT NOT NULL,
    currency      TEXT NOT NULL,
    version       INTEGER NOT NULL,
    updated_by    TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_usage (
    tenant_id      TEXT NOT NULL,
    env            TEXT NOT NULL,
    usage_id       TEXT NOT NULL,
    month          TEXT NOT NULL,
    kind           TEXT NOT NULL,
    amount         TEXT NOT NULL,
    recorded_by    TEXT NOT NULL,
    recorded_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, usage_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_totals (
    tenant_id TEXT NOT NULL,
    env       TEXT NOT NULL,
    month     TEXT NOT NULL,
    kind      TEXT NOT NULL,
    total     TEXT NOT NULL,
    entries   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, month, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE kill_switches (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    target        TEXT NOT NULL,
    is_engaged    INTEGER NOT NULL CHECK (is_engaged IN (0, 1)),
    reason        TEXT NOT NULL,
    version       INTEGER NOT NULL,
    updated_by    TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, target)
) STRICT, WITHOUT ROWID;
"];

/// Brings the file to [`VERSION`] in one transaction. `Err(Ok(found))` when the file is newer.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Result<i64, rusqlite::Error>> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(Err)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(Err)?;
    let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len()).ok_or(Ok(found))?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step).map_err(Err)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(Err)?;
    transaction.commit().map_err(Err)
}
