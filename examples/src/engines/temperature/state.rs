//! The statements of the temperature engine.

use super::model::{Bounds, Breach, Breaches, Degrees, MAX_PAGE, Snapshot};
use crate::engines::nexus::{NexusError, ScopedTransaction};

pub(super) fn bounds(db: &ScopedTransaction<'_>) -> Result<Option<Bounds>, NexusError> {
    const ACTION: &str = "read the temperature's bounds";
    let sql = "SELECT floor, ceiling, guards, version, updated_by, updated_at_us FROM temperature_bounds
               WHERE tenant_id = :tenant_id AND env = :env";
    let row = db.row(ACTION, sql, &[], |row| {
        let (floor, ceiling, guards): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((floor, ceiling, guards, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    let Some((floor, ceiling, guards, version, updated_by, updated_at_us)) = row else { return Ok(None) };
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    Ok(Some(Bounds {
        floor: Degrees::from_stored(&floor).ok_or(corrupt("floor"))?,
        ceiling: Degrees::from_stored(&ceiling).ok_or(corrupt("ceiling"))?,
        guards: guards.parse().map_err(|_| corrupt("guards"))?,
        version,
        updated_by,
        updated_at_us,
    }))
}

pub(super) fn save_bounds(db: &ScopedTransaction<'_>, bounds: &Bounds) -> Result<(), NexusError> {
    let sql = "INSERT INTO temperature_bounds
                   (tenant_id, env, floor, ceiling, guards, version, updated_by, updated_at_us)
               VALUES (:tenant_id, :env, :floor, :ceiling, :guards, :version, :updated_by, :updated_at_us)
               ON CONFLICT (tenant_id, env) DO UPDATE SET
                   floor = excluded.floor, ceiling = excluded.ceiling, guards = excluded.guards,
                   version = excluded.version, updated_by = excluded.updated_by,
                   updated_at_us = excluded.updated_at_us";
    db.execute(
        "save the temperature's bounds",
        sql,
        &[
            (":floor", &bounds.floor.to_string()),
            (":ceiling", &bounds.ceiling.to_string()),
            (":guards", &bounds.guards.as_str()),
            (":version", &bounds.version),
            (":updated_by", &bounds.updated_by),
            (":updated_at_us", &bounds.updated_at_us),
        ],
    )?;
    Ok(())
}

/// Adds a snapshot behind the newest; answers it with its place.
pub(super) fn add(db: &ScopedTransaction<'_>, snapshot: Snapshot) -> Result<Snapshot, NexusError> {
    let newest = recent(db, 1)?.pop();
    let position = newest.map_or(0, |newest| newest.position) + 1;
    let snapshot = Snapshot { position, ..snapshot };
    let sql = "INSERT INTO temperature_snapshots
                   (tenant_id, env, position, degrees, kpis, floor, ceiling, breach, taken_by, taken_at_us)
               VALUES (:tenant_id, :env, :position, :degrees, :kpis, :floor, :ceiling, :breach, :taken_by,
                       :taken_at_us)";
    db.execute(
        "save a temperature",
        sql,
        &[
            (":position", &snapshot.position),
            (":degrees", &snapshot.degrees.to_string()),
            (":kpis", &snapshot.kpis),
            (":floor", &snapshot.floor.map(|floor| floor.to_string())),
            (":ceiling", &snapshot.ceiling.map(|ceiling| ceiling.to_string())),
            (":breach", &snapshot.breach.map(Breach::as_str)),
            (":taken_by", &snapshot.taken_by),
            (":taken_at_us", &snapshot.taken_at_us),
        ],
    )?;
    Ok(snapshot)
}

/// The newest snapshots, the newest first.
pub(super) fn recent(db: &ScopedTransaction<'_>, limit: u32) -> Result<Vec<Snapshot>, NexusError> {
    const ACTION: &str = "read temperatures";
    let sql = "SELECT position, degrees, kpis, floor, ceiling, breach, taken_by, taken_at_us
               FROM temperature_snapshots
               WHERE tenant_id = :tenant_id AND env = :env ORDER BY position DESC LIMIT :limit";
    let rows = db.rows(ACTION, sql, &[(":limit", &limit)], |row| Ok(snapshot(row, ACTION)))?;
    rows.into_iter().collect()
}

/// The snapshots since a time that were out of bounds.
pub(super) fn breaches(db: &ScopedTransaction<'_>, since_us: i64) -> Result<Breaches, NexusError> {
    const ACTION: &str = "read temperatures out of bounds";
    let sql = "SELECT count(*) FROM temperature_snapshots
               WHERE tenant_id = :tenant_id AND env = :env AND breach IS NOT NULL AND taken_at_us >= :since_us";
    let count = db.row(ACTION, sql, &[(":since_us", &since_us)], |row| row.get(0))?.unwrap_or_default();
    let sql = "SELECT position, degrees, kpis, floor, ceiling, breach, taken_by, taken_at_us
               FROM temperature_snapshots
               WHERE tenant_id = :tenant_id AND env = :env AND breach IS NOT NULL AND taken_at_us >= :since_us
               ORDER BY position DESC LIMIT :limit";
    let rows = db.rows(ACTION, sql, &[(":since_us", &since_us), (":limit", &MAX_PAGE)], |row| {
        Ok(snapshot(row, ACTION))
    })?;
    Ok(Breaches { count, newest: rows.into_iter().collect::<Result<_, _>>()? })
}

fn snapshot(row: &rusqlite::Row<'_>, action: &'static str) -> Result<Snapshot, NexusError> {
    let failed = |source| NexusError::statement(action, source);
    let corrupt = |column| NexusError::Corrupt { action, column };
    let degrees = |text: String, column| Degrees::from_stored(&text).ok_or(corrupt(column));
    let floor: Option<String> = row.get(3).map_err(failed)?;
    let ceiling: Option<String> = row.get(4).map_err(failed)?;
    let breach: Option<String> = row.get(5).map_err(failed)?;
    Ok(Snapshot {
        position: row.get(0).map_err(failed)?,
        degrees: degrees(row.get(1).map_err(failed)?, "degrees")?,
        kpis: row.get(2).map_err(failed)?,
        floor: floor.map(|text| degrees(text, "floor")).transpose()?,
        ceiling: ceiling.map(|text| degrees(text, "ceiling")).transpose()?,
        breach: breach.map(|text| Breach::from_stored(&text).ok_or(corrupt("breach"))).transpose()?,
        taken_by: row.get(6).map_err(failed)?,
        taken_at_us: row.get(7).map_err(failed)?,
    })
}
