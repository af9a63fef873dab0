ALTER TABLE budget_usage ADD COLUMN provider TEXT;
ALTER TABLE budget_usage ADD COLUMN model TEXT;
ALTER TABLE budget_usage ADD COLUMN tool TEXT;

-- Empty where a usage names none.
CREATE TABLE budget_origins (
    tenant_id TEXT NOT NULL,
    env       TEXT NOT NULL,
    month     TEXT NOT NULL,
    provider  TEXT NOT NULL,
    model     TEXT NOT NULL,
    tool      TEXT NOT NULL,
    total     TEXT NOT NULL,
    entries   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, month, provider, model, tool)
) STRICT, WITHOUT ROWID;

CREATE TABLE strategy_locks (
    tenant_id      TEXT NOT NULL,
    env            TEXT NOT NULL,
    lock_id        TEXT NOT NULL,
    strategy       TEXT NOT NULL,
    pattern        TEXT NOT NULL,
    reason         TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('proposed', 'in_force', 'withdrawn', 'released')),
    version        INTEGER NOT NULL,
    proposed_by    TEXT NOT NULL,
    proposed_at_us INTEGER NOT NULL,
    approved_by    TEXT,
    updated_by     TEXT NOT NULL,
    updated_at_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, lock_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX strategy_locks_by_state ON strategy_locks (tenant_id, env, state);

CREATE TABLE kpis (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    name          TEXT NOT NULL,
    unit          TEXT NOT NULL,
    direction     TEXT NOT NULL CHECK (direction IN ('higher_is_better', 'lower_is_better')),
    low           TEXT,
    high          TEXT,
    guards        TEXT,
    weight        INTEGER,
    readings      INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    updated_by    TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, name),
    CHECK ((low IS NULL) = (high IS NULL) AND (low IS NULL) = (weight IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE kpi_readings (
    tenant_id      TEXT NOT NULL,
    env            TEXT NOT NULL,
    name           TEXT NOT NULL,
    at_us          INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    value          TEXT NOT NULL,
    recorded_by    TEXT NOT NULL,
    recorded_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, name, at_us, position),
    FOREIGN KEY (tenant_id, env, name) REFERENCES kpis (tenant_id, env, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE temperature_bounds (
    tenant_id     TEXT NOT NULL,
    env           TEXT NOT NULL,
    floor         TEXT NOT NULL,
    ceiling       TEXT NOT NULL,
    guards        TEXT NOT NULL,
    version       INTEGER NOT NULL,
    updated_by    TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE temperature_snapshots (
    tenant_id   TEXT NOT NULL,
    env         TEXT NOT NULL,
    position    INTEGER NOT NULL,
    degrees     TEXT NOT NULL,
    kpis        INTEGER NOT NULL,
    floor       TEXT,
    ceiling     TEXT,
    breach      TEXT CHECK (breach IN ('above_ceiling', 'below_floor')),
    taken_by    TEXT NOT NULL,
    taken_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, env, position),
    CHECK ((floor IS NULL) = (ceiling IS NULL))
) STRICT, WITHOUT ROWID;
