//! KPIs: definitions and corridors in force, the latest readings against them, a history to plot.

use std::collections::BTreeMap;

use dataset_events::DatasetEvent;
use dataset_events::read_models::{EventPlace, ReadModel};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::cause::acting;
use super::reading::{Write, input, output, write};
use super::{Cause, Newest, Ranked};
use crate::engines::Target;
use crate::engines::kpi::{Corridor, Direction, Kpi, KpiName, KpiValue, Reading, Unit};

/// How many readings of a KPI are kept one by one.
pub const MAX_HISTORY: usize = 200;

/// Follows the KPIs of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct KpiModel;

/// What is known of a scope's KPIs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KpisState {
    kpis: BTreeMap<String, KpiState>,
    uncertain: u64,
    unreadable: u64,
}

/// What is known of one KPI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KpiState {
    definition: Newest<Set<Definition>>,
    corridor: Newest<Set<Corridor>>,
    /// The greatest position, which is the number of readings.
    readings: u64,
    history: Ranked<Reading, MAX_HISTORY>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Set<T> {
    value: T,
    by: String,
    at_us: i64,
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Definition {
    unit: Unit,
    direction: Direction,
}

/// The KPIs of a scope as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KpisView {
    /// Each KPI, by name.
    pub kpis: Vec<KpiView>,
    /// How many have their latest value outside the corridor.
    pub outside: u64,
    /// Writes of which nobody knows whether they were made.
    pub uncertain: u64,
    /// Events whose captured values could not be read.
    pub unreadable: u64,
}

/// One KPI as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KpiView {
    /// The KPI with its corridor.
    pub kpi: Kpi,
    /// The event that defined it last.
    pub definition_event: Cause,
    /// The event that set its corridor.
    pub corridor_event: Option<Cause>,
    /// The reading of the latest time; of several at one time, the one that was recorded last.
    pub latest: Option<Reading>,
    /// Whether the latest value is inside the corridor; `None` without a value or a corridor.
    pub is_in_corridor: Option<bool>,
    /// The readings of the latest times, oldest first.
    pub history: Vec<KpiPoint>,
}

/// One reading to plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KpiPoint {
    /// When it was so, in microseconds since 1970 (UTC).
    pub at_us: i64,
    /// The value.
    pub value: KpiValue,
}

impl KpisState {
    /// The KPIs with the latest `limit` readings of each.
    pub fn view(&self, limit: usize) -> KpisView {
        let kpis = self.kpis.iter().filter_map(|(name, kpi)| kpi.view(name, limit));
        let kpis: Vec<KpiView> = kpis.collect();
        let outside = kpis.iter().filter(|kpi| kpi.is_in_corridor == Some(false)).count() as u64;
        KpisView { kpis, outside, uncertain: self.uncertain, unreadable: self.unreadable }
    }
}

impl KpiState {
    /// `None` for a KPI whose definition no event tells.
    fn view(&self, name: &str, limit: usize) -> Option<KpiView> {
        let (definition, corridor) = (self.definition.get()?, self.corridor.get());
        let by_corridor = corridor.filter(|_| self.corridor.version() > self.definition.version());
        let (updated_by, updated_at_us) = match by_corridor {
            Some(set) => (&set.by, set.at_us),
            None => (&definition.by, definition.at_us),
        };
        let latest = self.history.greatest().cloned();
        let value = corridor.zip(latest.as_ref());
        let mut history: Vec<KpiPoint> = self
            .history
            .greatest_first()
            .take(limit)
            .map(|reading| KpiPoint { at_us: reading.at_us, value: reading.value })
            .collect();
        history.reverse();
        Some(KpiView {
            kpi: Kpi {
                name: name.parse().ok()?,
                unit: definition.value.unit.clone(),
                direction: definition.value.direction,
                corridor: corridor.map(|set| set.value.clone()),
                readings: self.readings,
                version: self.definition.version().max(self.corridor.version()),
                updated_by: updated_by.clone(),
                updated_at_us,
            },
            definition_event: definition.cause.clone(),
            corridor_event: corridor.map(|set| set.cause.clone()),
            is_in_corridor: value.map(|(set, reading)| set.value.holds(reading.value)),
            latest,
            history,
        })
    }
}

#[derive(Deserialize)]
struct Defined {
    name: KpiName,
    #[serde(flatten)]
    definition: Definition,
}

#[derive(Deserialize)]
struct SetCorridor {
    name: KpiName,
    low: Decimal,
    high: Decimal,
    guards: Option<Target>,
    weight: u32,
}

#[derive(Deserialize)]
struct Recorded {
    name: KpiName,
    value: Decimal,
    at_us: i64,
}

#[derive(Deserialize)]
struct WasSet {
    version: u64,
    updated_at_us: Option<i64>,
}

#[derive(Deserialize)]
struct WasRecorded {
    position: u64,
    recorded_at_us: Option<i64>,
}

fn set<T>(event: &DatasetEvent, value: T) -> Option<(u64, Set<T>)> {
    let WasSet { version, updated_at_us } = output(event)?;
    let at_us = updated_at_us.unwrap_or(event.started_at);
    Some((version, Set { value, by: acting(event), at_us, cause: Cause::of(event) }))
}

impl KpisState {
    fn of(&mut self, name: &KpiName) -> &mut KpiState {
        self.kpis.entry(name.to_string()).or_default()
    }

    /// `None` when the event does not hold what it should.
    fn made(&mut self, event: &DatasetEvent) -> Option<()> {
        let place = EventPlace::of(event);
        match &*event.surface {
            "kpi.define" => {
                let Defined { name, definition } = input(event)?;
                let (version, set) = set(event, definition)?;
                self.of(&name).definition.offer(version, place, set);
            }
            "kpi.set_corridor" => {
                let SetCorridor { name, low, high, guards, weight } = input(event)?;
                let corridor = Corridor::new(low, high, guards, weight).ok()?;
                let (version, set) = set(event, corridor)?;
                self.of(&name).corridor.offer(version, place, set);
            }
            _ => {
                let Recorded { name, value, at_us } = input(event)?;
                let WasRecorded { position, recorded_at_us } = output(event)?;
                let reading = Reading {
                    name: name.clone(),
                    position,
                    value: KpiValue::new(value).ok()?,
                    at_us,
                    recorded_by: acting(event),
                    recorded_at_us: recorded_at_us.unwrap_or(event.started_at),
                };
                let kpi = self.of(&name);
                kpi.readings = kpi.readings.max(position);
                kpi.history.offer(at_us, position, place, reading);
            }
        }
        Some(())
    }
}

impl ReadModel for KpiModel {
    type State = KpisState;
    const NAME: &'static str = "kpi";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        matches!(&*event.surface, "kpi.define" | "kpi.set_corridor" | "kpi.record")
    }

    fn apply(&self, state: &mut KpisState, event: &DatasetEvent) {
        match write(event) {
            Write::Refused => {}
            Write::Uncertain => state.uncertain += 1,
            Write::Made => {
                if state.made(event).is_none() {
                    state.unreadable += 1;
                }
            }
        }
    }
}
