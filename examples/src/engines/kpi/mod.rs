//! KPIs: named numbers of a scope, each with a corridor if one is set, and what follows when one leaves it.
//!
//! The engine gives no number a meaning: what a KPI measures is up to who defines and records it. Values are
//! decimal and exact, in state and in the ledger.

mod error;
mod model;
mod state;

use dataset_events::{RequestContext, current, dataset_event};
use rust_decimal::Decimal;

use super::Target;
use super::nexus::Nexus;
pub use error::KpiError;
pub use model::{
    Corridor, Direction, Kpi, KpiName, KpiStatus, KpiValue, MAX_KPIS, MAX_WEIGHT, Reading, Unit,
};
pub(super) use state::all;

/// How far a reading may be ahead of this machine's clock, in microseconds: a minute.
const MAX_AHEAD_US: i64 = 60_000_000;

/// The KPI engine.
#[derive(Debug, Clone)]
pub struct Kpis {
    nexus: Nexus,
}

impl Kpis {
    pub(super) fn new(nexus: Nexus) -> Self {
        Self { nexus }
    }

    /// Defines a KPI, or changes its unit and direction. A corridor that was set stays.
    ///
    /// # Errors
    ///
    /// - `kpi.unit_mismatch`: it has readings in another unit.
    /// - `kpi.too_many`: it would be one more than [`MAX_KPIS`] of the scope.
    /// - `kpi.internal`: the database failed.
    #[dataset_event(
        surface = "kpi.define",
        access = "update",
        input(%name, unit, direction),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(kpi = name),
    )]
    pub async fn define(
        &self,
        ctx: &RequestContext,
        name: &KpiName,
        unit: &Unit,
        direction: Direction,
    ) -> Result<Kpi, KpiError> {
        let (name, unit) = (name.clone(), unit.clone());
        let updated_by = super::acting(ctx);
        let updated_at_us = self.nexus.now_us();
        let defined = self.nexus.write(ctx, "define a KPI", move |db| {
            let before = state::kpi(db, &name)?;
            if let Some(Kpi { unit: current, readings: 1.., .. }) = &before
                && *current != unit
            {
                return Err(KpiError::UnitMismatch { name, current: current.clone(), asked: unit });
            }
            if before.is_none() && state::count(db)? >= MAX_KPIS {
                return Err(KpiError::TooMany { name });
            }
            let (corridor, readings, version) = match &before {
                Some(kpi) => (kpi.corridor.clone(), kpi.readings, kpi.version + 1),
                None => (None, 0, 1),
            };
            let kpi = Kpi { name, unit, direction, corridor, readings, version, updated_by, updated_at_us };
            state::save(db, &kpi)?;
            Ok((before, kpi))
        });
        let (before, after) = defined.await?;
        let (unit, direction) = before.map(|kpi| (kpi.unit, kpi.direction)).unzip();
        if unit.as_ref() != Some(&after.unit) {
            current().change("unit", unit, &after.unit);
        }
        if direction != Some(after.direction) {
            current().change("direction", direction, after.direction);
        }
        Ok(after)
    }

    /// Sets between which values a KPI is as it should be, what it guards, and its weight in the temperature.
    ///
    /// # Errors
    ///
    /// - `kpi.not_found`: the scope has no such KPI.
    /// - `kpi.invalid_value`, `kpi.invalid_corridor`: as [`Corridor::new`].
    /// - `kpi.internal`: the database failed.
    #[dataset_event(
        surface = "kpi.set_corridor",
        access = "update",
        input(%name, %low, %high, guards, weight),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(kpi = name),
    )]
    pub async fn set_corridor(
        &self,
        ctx: &RequestContext,
        name: &KpiName,
        low: Decimal,
        high: Decimal,
        guards: Option<&Target>,
        weight: u32,
    ) -> Result<Kpi, KpiError> {
        let corridor = Corridor::new(low, high, guards.cloned(), weight)?;
        let name = name.clone();
        let updated_by = super::acting(ctx);
        let updated_at_us = self.nexus.now_us();
        let set = self.nexus.write(ctx, "set a corridor", move |db| {
            let Some(before) = state::kpi(db, &name)? else { return Err(KpiError::NotFound { name }) };
            let version = before.version + 1;
            let corridor = Some(corridor);
            let kpi = Kpi { corridor, version, updated_by, updated_at_us, ..before.clone() };
            state::save(db, &kpi)?;
            Ok((before.corridor, kpi))
        });
        let (before, after) = set.await?;
        if before != after.corridor {
            current().change("corridor", before, &after.corridor);
        }
        Ok(after)
    }

    /// Records a value that the KPI had at a time.
    ///
    /// # Errors
    ///
    /// - `kpi.invalid_value`: the value is too large or too fine.
    /// - `kpi.invalid_time`: before 1970, or more than a minute ahead.
    /// - `kpi.not_found`: the scope has no such KPI.
    /// - `kpi.internal`: the database failed.
    #[dataset_event(
        surface = "kpi.record",
        access = "create",
        input(%name, %value, at_us),
        output(position = ret.position, recorded_at_us = ret.recorded_at_us),
        source_refs(kpi = name),
    )]
    pub async fn record(
        &self,
        ctx: &RequestContext,
        name: &KpiName,
        value: Decimal,
        at_us: i64,
    ) -> Result<Reading, KpiError> {
        let value = KpiValue::new(value)?;
        let now_us = self.nexus.now_us();
        if at_us < 0 || at_us > now_us.saturating_add(MAX_AHEAD_US) {
            return Err(KpiError::InvalidTime { at_us, now_us });
        }
        let name = name.clone();
        let recorded_by = super::acting(ctx);
        let recorded = self.nexus.write(ctx, "record a reading", move |db| {
            let Some(mut kpi) = state::kpi(db, &name)? else { return Err(KpiError::NotFound { name }) };
            kpi.readings += 1;
            state::save(db, &kpi)?;
            let position = kpi.readings;
            let reading = Reading { name, position, value, at_us, recorded_by, recorded_at_us: now_us };
            state::add(db, &reading)?;
            Ok(reading)
        });
        recorded.await
    }

    /// The reading of the latest time; of several at one time, the one that was recorded last.
    ///
    /// # Errors
    ///
    /// - `kpi.not_found`: the scope has no such KPI.
    /// - `kpi.no_reading`: nothing was recorded of it.
    /// - `kpi.internal`: the database failed.
    #[dataset_event(
        surface = "kpi.latest",
        access = "read",
        input(%name),
        output(value = ret.value, at_us = ret.at_us),
        source_refs(kpi = name),
    )]
    pub async fn latest(&self, ctx: &RequestContext, name: &KpiName) -> Result<Reading, KpiError> {
        let name = name.clone();
        let read = self.nexus.read(ctx, "read the latest value of a KPI", move |db| {
            match (state::latest(db, &name)?, state::kpi(db, &name)?) {
                (Some(reading), _) => Ok(reading),
                (None, Some(_)) => Err(KpiError::NoReading { name }),
                (None, None) => Err(KpiError::NotFound { name }),
            }
        });
        read.await
    }

    /// All KPIs of the scope, at most [`MAX_KPIS`], with their latest readings, by name.
    ///
    /// # Errors
    ///
    /// - `kpi.internal`: the database failed.
    #[dataset_event(surface = "kpi.list", access = "read", output(count = ret.len()))]
    pub async fn list(&self, ctx: &RequestContext) -> Result<Vec<KpiStatus>, KpiError> {
        let read = self.nexus.read(ctx, "list KPIs", |db| state::all(db).map_err(KpiError::from));
        read.await
    }

    /// Whether `target` may act: succeeds unless a KPI that guards it is outside its corridor. A KPI without
    /// a reading is not outside. Answers how many were judged.
    ///
    /// # Errors
    ///
    /// - `kpi.out_of_corridor`: the first by name that is outside.
    /// - `kpi.internal`: the database failed; the caller must not act.
    #[dataset_event(
        surface = "kpi.check",
        access = "read",
        input(%target),
        output(judged = ret),
        source_refs(target = target),
    )]
    pub async fn check(&self, ctx: &RequestContext, target: &Target) -> Result<u64, KpiError> {
        let target = target.clone();
        let read = self.nexus.read(ctx, "check the KPIs", move |db| {
            let mut judged = 0;
            for KpiStatus { kpi, latest, .. } in state::all(db)? {
                let (Some(corridor), Some(reading)) = (kpi.corridor, latest) else { continue };
                if !corridor.guards.as_ref().is_some_and(|guards| guards.covers(&target)) {
                    continue;
                }
                if !corridor.holds(reading.value) {
                    let (name, value, Corridor { low, high, .. }) = (kpi.name, reading.value, corridor);
                    return Err(KpiError::OutOfCorridor { name, value, low, high, target });
                }
                judged += 1;
            }
            Ok(judged)
        });
        let answer = read.await;
        if let Err(KpiError::OutOfCorridor { name, value, low, high, .. }) = &answer {
            // A denial is disputed by its numbers.
            current().source_ref("kpi", name).output("value", value).output("low", low).output("high", high);
        }
        answer
    }
}
