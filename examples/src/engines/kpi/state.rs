//! The statements of the KPI engine.

use super::model::{Corridor, Direction, Kpi, KpiName, KpiStatus, KpiValue, Reading};
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// A row as it is stored.
struct Row {
    name: String,
    unit: String,
    direction: String,
    low: Option<String>,
    high: Option<String>,
    guards: Option<String>,
    weight: Option<u32>,
    readings: u64,
    version: u64,
    updated_by: String,
    updated_at_us: i64,
}

impl Row {
    const COLUMNS: &str =
        "name, unit, direction, low, high, guards, weight, readings, version, updated_by, updated_at_us";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            unit: row.get(1)?,
            direction: row.get(2)?,
            low: row.get(3)?,
            high: row.get(4)?,
            guards: row.get(5)?,
            weight: row.get(6)?,
            readings: row.get(7)?,
            version: row.get(8)?,
            updated_by: row.get(9)?,
            updated_at_us: row.get(10)?,
        })
    }

    fn kpi(self, action: &'static str) -> Result<Kpi, NexusError> {
        let corrupt = |column| NexusError::Corrupt { action, column };
        let corridor = match (self.low, self.high, self.weight) {
            (Some(low), Some(high), Some(weight)) => Some(Corridor {
                low: KpiValue::from_stored(&low).ok_or(corrupt("low"))?,
                high: KpiValue::from_stored(&high).ok_or(corrupt("high"))?,
                guards: self
                    .guards
                    .map(|guards| guards.parse().map_err(|_| corrupt("guards")))
                    .transpose()?,
                weight,
            }),
            _ => None,
        };
        Ok(Kpi {
            name: self.name.parse().map_err(|_| corrupt("name"))?,
            unit: self.unit.parse().map_err(|_| corrupt("unit"))?,
            direction: Direction::from_stored(&self.direction).ok_or(corrupt("direction"))?,
            corridor,
            readings: self.readings,
            version: self.version,
            updated_by: self.updated_by,
            updated_at_us: self.updated_at_us,
        })
    }
}

pub(super) fn kpi(db: &ScopedTransaction<'_>, name: &KpiName) -> Result<Option<Kpi>, NexusError> {
    const ACTION: &str = "read a KPI";
    let columns = Row::COLUMNS;
    let sql =
        format!("SELECT {columns} FROM kpis WHERE tenant_id = :tenant_id AND env = :env AND name = :name");
    let row = db.row(ACTION, &sql, &[(":name", &name.as_str())], Row::read)?;
    row.map(|row| row.kpi(ACTION)).transpose()
}

/// How many KPIs the scope has.
pub(super) fn count(db: &ScopedTransaction<'_>) -> Result<u64, NexusError> {
    let sql = "SELECT count(*) FROM kpis WHERE tenant_id = :tenant_id AND env = :env";
    Ok(db.row("count KPIs", sql, &[], |row| row.get(0))?.unwrap_or(0))
}

/// All KPIs of the scope with their latest readings, by name.
pub(in crate::engines) fn all(db: &ScopedTransaction<'_>) -> Result<Vec<KpiStatus>, NexusError> {
    const ACTION: &str = "list KPIs";
    let columns = Row::COLUMNS;
    let sql = format!("SELECT {columns} FROM kpis WHERE tenant_id = :tenant_id AND env = :env ORDER BY name");
    let rows = db.rows(ACTION, &sql, &[], Row::read)?;
    let status = |row: Row| {
        let kpi = row.kpi(ACTION)?;
        let latest = latest(db, &kpi.name)?;
        let is_in_corridor = kpi.corridor.as_ref().zip(latest.as_ref());
        let is_in_corridor = is_in_corridor.map(|(corridor, reading)| corridor.holds(reading.value));
        Ok(KpiStatus { kpi, latest, is_in_corridor })
    };
    rows.into_iter().map(status).collect()
}

pub(super) fn save(db: &ScopedTransaction<'_>, kpi: &Kpi) -> Result<(), NexusError> {
    let sql = "INSERT INTO kpis
                   (tenant_id, env, name, unit, direction, low, high, guards, weight, readings, version,
                    updated_by, updated_at_us)
               VALUES (:tenant_id, :env, :name, :unit, :direction, :low, :high, :guards, :weight, :readings,
                       :version, :updated_by, :updated_at_us)
               ON CONFLICT (tenant_id, env, name) DO UPDATE SET
                   unit = excluded.unit, direction = excluded.direction, low = excluded.low,
                   high = excluded.high, guards = excluded.guards, weight = excluded.weight,
                   readings = excluded.readings, version = excluded.version,
                   updated_by = excluded.updated_by, updated_at_us = excluded.updated_at_us";
    let corridor = kpi.corridor.as_ref();
    db.execute(
        "save a KPI",
        sql,
        &[
            (":name", &kpi.name.as_str()),
            (":unit", &kpi.unit.as_str()),
            (":direction", &kpi.direction.as_str()),
            (":low", &corridor.map(|corridor| corridor.low.to_string())),
            (":high", &corridor.map(|corridor| corridor.high.to_string())),
            (
                ":guards",
                &corridor.and_then(|corridor| corridor.guards.as_ref()).map(|guards| guards.as_str()),
            ),
            (":weight", &corridor.map(|corridor| corridor.weight)),
            (":readings", &kpi.readings),
            (":version", &kpi.version),
            (":updated_by", &kpi.updated_by),
            (":updated_at_us", &kpi.updated_at_us),
        ],
    )?;
    Ok(())
}

pub(super) fn add(db: &ScopedTransaction<'_>, reading: &Reading) -> Result<(), NexusError> {
    let sql = "INSERT INTO kpi_readings
                   (tenant_id, env, name, at_us, position, value, recorded_by, recorded_at_us)
               VALUES (:tenant_id, :env, :name, :at_us, :position, :value, :recorded_by, :recorded_at_us)";
    db.execute(
        "save a reading",
        sql,
        &[
            (":name", &reading.name.as_str()),
            (":at_us", &reading.at_us),
            (":position", &reading.position),
            (":value", &reading.value.to_string()),
            (":recorded_by", &reading.recorded_by),
            (":recorded_at_us", &reading.recorded_at_us),
        ],
    )?;
    Ok(())
}

pub(super) fn latest(db: &ScopedTransaction<'_>, name: &KpiName) -> Result<Option<Reading>, NexusError> {
    const ACTION: &str = "read the latest value of a KPI";
    let sql = "SELECT position, value, at_us, recorded_by, recorded_at_us FROM kpi_readings
               WHERE tenant_id = :tenant_id AND env = :env AND name = :name
               ORDER BY at_us DESC, position DESC LIMIT 1";
    let row = db.row(ACTION, sql, &[(":name", &name.as_str())], |row| {
        let value: String = row.get(1)?;
        Ok((row.get(0)?, value, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let Some((position, value, at_us, recorded_by, recorded_at_us)) = row else { return Ok(None) };
    let value =
        KpiValue::from_stored(&value).ok_or(NexusError::Corrupt { action: ACTION, column: "value" })?;
    Ok(Some(Reading { name: name.clone(), position, value, at_us, recorded_by, recorded_at_us }))
}
