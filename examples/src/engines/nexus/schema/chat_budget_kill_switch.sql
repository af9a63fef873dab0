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
