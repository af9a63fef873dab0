//! The temperature of a scope: one number from 0 to 100 for how strained its KPIs are, with bounds.
//!
//! A KPI counts when it has a reading, a corridor and a weight above 0. Its heat is where its value stands in
//! its corridor, from 0 at the better end to 100 at the worse; beyond an end it is that of the end. The
//! temperature is the mean of the heats by weight, rounded to a thousandth, halves to even; all decimal.
//!
//! Above the ceiling a scope is strained; below the floor its numbers are better than anybody should believe,
//! as when what they measure has stopped. Snapshots are taken when somebody asks for one, and kept with the
//! bounds of their time.

mod error;
mod model;
mod state;

use std::time::Duration;

use dataset_events::{RequestContext, current, dataset_event};
use rust_decimal::Decimal;

use super::Target;
use super::kpi;
use super::nexus::Nexus;
pub use error::TemperatureError;
pub use model::{Bounds, Breach, Breaches, Degrees, MAX_PAGE, MAX_WINDOW, Snapshot};

/// The temperature engine.
#[derive(Debug, Clone)]
pub struct Temperature {
    nexus: Nexus,
}

impl Temperature {
    pub(super) fn new(nexus: Nexus) -> Self {
        Self { nexus }
    }

    /// Sets between which temperatures the scope is as it should be, and what must not act when it is not.
    ///
    /// `expected_version` guards against two operators who do not know of each other: 0 for bounds that were
    /// never set, else the version of the [`Bounds`] that the caller has seen; `None` overrides.
    ///
    /// # Errors
    ///
    /// - `temperature.invalid_bounds`: not 0 <= floor < ceiling <= 100, or finer than a thousandth.
    /// - `temperature.stale_version`: somebody else was quicker.
    /// - `temperature.internal`: the database failed.
    #[dataset_event(
        surface = "temperature.set_bounds",
        access = "update",
        input(%floor, %ceiling, %guards, expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(temperature = "bounds"),
    )]
    pub async fn set_bounds(
        &self,
        ctx: &RequestContext,
        floor: Decimal,
        ceiling: Decimal,
        guards: &Target,
        expected_version: Option<u64>,
    ) -> Result<Bounds, TemperatureError> {
        let (floor, ceiling) = match (Degrees::new(floor), Degrees::new(ceiling)) {
            (Some(floor), Some(ceiling)) if floor < ceiling => (floor, ceiling),
            _ => return Err(TemperatureError::InvalidBounds { floor, ceiling }),
        };
        let guards = guards.clone();
        let updated_by = super::acting(ctx);
        let updated_at_us = self.nexus.now_us();
        let set = self.nexus.write(ctx, "set the temperature's bounds", move |db| {
            let before = state::bounds(db)?;
            let found = before.as_ref().map_or(0, |bounds| bounds.version);
            if let Some(expected) = expected_version.filter(|expected| *expected != found) {
                return Err(TemperatureError::StaleVersion { expected, found });
            }
            let bounds = Bounds { floor, ceiling, guards, version: found + 1, updated_by, updated_at_us };
            state::save_bounds(db, &bounds)?;
            Ok((before, bounds))
        });
        let (before, after) = set.await?;
        let before = before.as_ref();
        if before.is_none_or(|before| before.floor != after.floor) {
            current().change("floor", before.map(|before| before.floor), after.floor);
        }
        if before.is_none_or(|before| before.ceiling != after.ceiling) {
            current().change("ceiling", before.map(|before| before.ceiling), after.ceiling);
        }
        if before.is_none_or(|before| before.guards != after.guards) {
            current().change("guards", before.map(|before| &before.guards), &after.guards);
        }
        Ok(after)
    }

    /// Computes the temperature from the KPIs as they are now, and keeps it.
    ///
    /// The KPIs are read, and the snapshot is written, in one transaction: nothing can come between two of
    /// the values that it is made of.
    ///
    /// # Errors
    ///
    /// - `temperature.no_readings`: no KPI counts.
    /// - `temperature.internal`: the database failed.
    #[dataset_event(
        surface = "temperature.snapshot",
        access = "create",
        output(
            position = ret.position,
            degrees = ret.degrees,
            kpis = ret.kpis,
            breach = ret.breach,
            floor = ret.floor,
            ceiling = ret.ceiling,
            taken_at_us = ret.taken_at_us,
        ),
        source_refs(temperature = "snapshots"),
    )]
    pub async fn snapshot(&self, ctx: &RequestContext) -> Result<Snapshot, TemperatureError> {
        let taken_by = super::acting(ctx);
        let taken_at_us = self.nexus.now_us();
        let taken = self.nexus.write(ctx, "take the temperature", move |db| {
            let (degrees, kpis) = model::temperature(&kpi::all(db)?).ok_or(TemperatureError::NoReadings)?;
            let bounds = state::bounds(db)?;
            let snapshot = Snapshot {
                position: 0,
                degrees,
                kpis,
                breach: bounds.as_ref().and_then(|bounds| bounds.breach(degrees)),
                floor: bounds.as_ref().map(|bounds| bounds.floor),
                ceiling: bounds.map(|bounds| bounds.ceiling),
                taken_by,
                taken_at_us,
            };
            Ok(state::add(db, snapshot)?)
        });
        taken.await
    }

    /// The newest snapshots, at most `limit` (1 to [`MAX_PAGE`]), the newest first.
    ///
    /// # Errors
    ///
    /// - `temperature.invalid_page`: `limit` is 0 or too large.
    /// - `temperature.internal`: the database failed.
    #[dataset_event(
        surface = "temperature.recent",
        access = "read",
        input(limit),
        output(count = ret.len()),
    )]
    pub async fn recent(&self, ctx: &RequestContext, limit: u32) -> Result<Vec<Snapshot>, TemperatureError> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(TemperatureError::InvalidPage { limit });
        }
        let read = self.nexus.read(ctx, "read temperatures", move |db| {
            state::recent(db, limit).map_err(TemperatureError::from)
        });
        read.await
    }

    /// The snapshots of the last `window` (at most [`MAX_WINDOW`]) that were out of bounds when they were
    /// taken.
    ///
    /// # Errors
    ///
    /// - `temperature.invalid_window`: the window is empty or too long.
    /// - `temperature.internal`: the database failed.
    #[dataset_event(
        surface = "temperature.breaches",
        access = "read",
        input(window_s = window.as_secs()),
        output(count = ret.count),
    )]
    pub async fn breaches(
        &self,
        ctx: &RequestContext,
        window: Duration,
    ) -> Result<Breaches, TemperatureError> {
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        if window_us == 0 || window > MAX_WINDOW {
            return Err(TemperatureError::InvalidWindow { window });
        }
        let since_us = self.nexus.now_us().saturating_sub(window_us);
        let read = self.nexus.read(ctx, "read temperatures out of bounds", move |db| {
            state::breaches(db, since_us).map_err(TemperatureError::from)
        });
        read.await
    }

    /// Whether `target` may act: succeeds unless the newest snapshot is out of the bounds of now, and these
    /// guard it. Without bounds or a snapshot nothing is out of bounds.
    ///
    /// # Errors
    ///
    /// - `temperature.breached`: the newest snapshot is above the ceiling or below the floor.
    /// - `temperature.internal`: the database failed; the caller must not act.
    #[dataset_event(
        surface = "temperature.check",
        access = "read",
        input(%target),
        output(degrees = ret),
        source_refs(target = target),
    )]
    pub async fn check(
        &self,
        ctx: &RequestContext,
        target: &Target,
    ) -> Result<Option<Degrees>, TemperatureError> {
        let target = target.clone();
        let read = self.nexus.read(ctx, "check the temperature", move |db| {
            let newest = state::recent(db, 1)?.pop().map(|snapshot| snapshot.degrees);
            let bounds = state::bounds(db)?.filter(|bounds| bounds.guards.covers(&target));
            if let Some((degrees, bounds)) = newest.zip(bounds)
                && let Some(breach) = bounds.breach(degrees)
            {
                let Bounds { floor, ceiling, .. } = bounds;
                return Err(TemperatureError::Breached { degrees, breach, floor, ceiling, target });
            }
            Ok(newest)
        });
        let answer = read.await;
        if let Err(TemperatureError::Breached { degrees, breach, floor, ceiling, .. }) = &answer {
            // A denial is disputed by its numbers.
            current().output("degrees", degrees).output("breach", breach);
            current().output("floor", floor).output("ceiling", ceiling);
        }
        answer
    }
}
