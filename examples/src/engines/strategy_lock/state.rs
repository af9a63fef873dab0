//! The statements of the strategy lock.

use super::model::{Lock, LockId, LockState};
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// A row as it is stored.
struct Row {
    lock_id: String,
    strategy: String,
    pattern: String,
    reason: String,
    state: String,
    version: u64,
    proposed_by: String,
    proposed_at_us: i64,
    approved_by: Option<String>,
    updated_by: String,
    updated_at_us: i64,
}

impl Row {
    const COLUMNS: &str = "lock_id, strategy, pattern, reason, state, version, proposed_by, proposed_at_us, \
                           approved_by, updated_by, updated_at_us";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            lock_id: row.get(0)?,
            strategy: row.get(1)?,
            pattern: row.get(2)?,
            reason: row.get(3)?,
            state: row.get(4)?,
            version: row.get(5)?,
            proposed_by: row.get(6)?,
            proposed_at_us: row.get(7)?,
            approved_by: row.get(8)?,
            updated_by: row.get(9)?,
            updated_at_us: row.get(10)?,
        })
    }

    fn lock(self, action: &'static str) -> Result<Lock, NexusError> {
        let corrupt = |column| NexusError::Corrupt { action, column };
        Ok(Lock {
            lock_id: self.lock_id.parse().map_err(|_| corrupt("lock_id"))?,
            strategy: self.strategy.parse().map_err(|_| corrupt("strategy"))?,
            pattern: self.pattern.parse().map_err(|_| corrupt("pattern"))?,
            reason: self.reason,
            state: LockState::from_stored(&self.state).ok_or(corrupt("state"))?,
            version: self.version,
            proposed_by: self.proposed_by,
            proposed_at_us: self.proposed_at_us,
            approved_by: self.approved_by,
            updated_by: self.updated_by,
            updated_at_us: self.updated_at_us,
        })
    }
}

pub(super) fn lock(db: &ScopedTransaction<'_>, id: &LockId) -> Result<Option<Lock>, NexusError> {
    const ACTION: &str = "read a strategy lock";
    let sql = format!(
        "SELECT {} FROM strategy_locks
         WHERE tenant_id = :tenant_id AND env = :env AND lock_id = :lock_id",
        Row::COLUMNS
    );
    let row = db.row(ACTION, &sql, &[(":lock_id", &id.as_str())], Row::read)?;
    row.map(|row| row.lock(ACTION)).transpose()
}

/// The locks in a state, the oldest first: those after `after`, at most `limit`.
pub(super) fn page(
    db: &ScopedTransaction<'_>,
    state: LockState,
    after: Option<&Lock>,
    limit: u32,
) -> Result<Vec<Lock>, NexusError> {
    const ACTION: &str = "list strategy locks";
    let sql = format!(
        "SELECT {} FROM strategy_locks
         WHERE tenant_id = :tenant_id AND env = :env AND state = :state
           AND (proposed_at_us, lock_id) > (:proposed_at_us, :lock_id)
         ORDER BY proposed_at_us, lock_id LIMIT :limit",
        Row::COLUMNS
    );
    let proposed_at_us = after.map_or(i64::MIN, |lock| lock.proposed_at_us);
    let lock_id = after.map_or("", |lock| lock.lock_id.as_str());
    let named: [(&str, &dyn rusqlite::ToSql); 4] = [
        (":state", &state.as_str()),
        (":proposed_at_us", &proposed_at_us),
        (":lock_id", &lock_id),
        (":limit", &limit),
    ];
    let rows = db.rows(ACTION, &sql, &named, Row::read)?;
    rows.into_iter().map(|row| row.lock(ACTION)).collect()
}

/// How many locks of the scope are proposed or in force.
pub(super) fn open(db: &ScopedTransaction<'_>) -> Result<u64, NexusError> {
    let sql = "SELECT count(*) FROM strategy_locks
               WHERE tenant_id = :tenant_id AND env = :env AND state IN ('proposed', 'in_force')";
    Ok(db.row("count strategy locks", sql, &[], |row| row.get(0))?.unwrap_or(0))
}

pub(super) fn save(db: &ScopedTransaction<'_>, lock: &Lock) -> Result<(), NexusError> {
    let sql = "INSERT INTO strategy_locks
                   (tenant_id, env, lock_id, strategy, pattern, reason, state, version, proposed_by,
                    proposed_at_us, approved_by, updated_by, updated_at_us)
               VALUES (:tenant_id, :env, :lock_id, :strategy, :pattern, :reason, :state, :version, :proposed_by,
                       :proposed_at_us, :approved_by, :updated_by, :updated_at_us)
               ON CONFLICT (tenant_id, env, lock_id) DO UPDATE SET
                   state = excluded.state, version = excluded.version, approved_by = excluded.approved_by,
                   updated_by = excluded.updated_by, updated_at_us = excluded.updated_at_us";
    db.execute(
        "save a strategy lock",
        sql,
        &[
            (":lock_id", &lock.lock_id.as_str()),
            (":strategy", &lock.strategy.as_str()),
            (":pattern", &lock.pattern.as_str()),
            (":reason", &lock.reason),
            (":state", &lock.state.as_str()),
            (":version", &lock.version),
            (":proposed_by", &lock.proposed_by),
            (":proposed_at_us", &lock.proposed_at_us),
            (":approved_by", &lock.approved_by),
            (":updated_by", &lock.updated_by),
            (":updated_at_us", &lock.updated_at_us),
        ],
    )?;
    Ok(())
}
