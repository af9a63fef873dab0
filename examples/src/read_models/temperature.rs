//! The temperature: bounds, the newest snapshots, breaches.

use dataset_events::DatasetEvent;
use dataset_events::read_models::{Bucket, EventPlace, ReadModel, Windowed};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::cause::acting;
use super::reading::{Write, input, output, write};
use super::{Cause, Newest, Ranked, Span, Window};
use crate::engines::Target;
use crate::engines::temperature::{Bounds, Breach, Degrees, Snapshot};

/// How many snapshots are kept one by one, and as many of those out of bounds.
pub const MAX_RECENT: usize = 200;

/// Follows the temperature of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemperatureModel;

/// What is known of a scope's temperature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemperatureState {
    bounds: Newest<(Bounds, Cause)>,
    recent: Ranked<Snapshot, MAX_RECENT>,
    breaches: Ranked<Snapshot, MAX_RECENT>,
    /// By when snapshots were taken.
    counts: Windowed<TemperatureCounts>,
    uncertain: u64,
    unreadable: u64,
}

/// The snapshots of a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemperatureCounts {
    /// All of them.
    pub snapshots: u64,
    /// Those above the ceiling of their time.
    pub above_ceiling: u64,
    /// Those below the floor of their time.
    pub below_floor: u64,
    /// The lowest temperature.
    pub lowest: Option<Degrees>,
    /// The highest.
    pub highest: Option<Degrees>,
}

/// The temperature of a scope as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemperatureView {
    /// The bounds in force.
    pub bounds: Option<Bounds>,
    /// The event that set them.
    pub bounds_event: Option<Cause>,
    /// The newest snapshot.
    pub current: Option<Snapshot>,
    /// On which side the newest snapshot is of the bounds of now.
    pub breach: Option<Breach>,
    /// The newest snapshots, newest first.
    pub recent: Vec<Snapshot>,
    /// The newest snapshots that were out of bounds when they were taken, newest first.
    pub breaches: Vec<Snapshot>,
    /// The span that `counts` are of.
    pub span: Span,
    /// The snapshots of the span.
    pub counts: TemperatureCounts,
    /// Writes of which nobody knows whether they were made.
    pub uncertain: u64,
    /// Events whose captured values could not be read.
    pub unreadable: u64,
}

impl TemperatureState {
    /// The temperature with the newest `limit` snapshots, and what was counted in a window.
    pub fn view(&self, window: Window, limit: usize) -> TemperatureView {
        let span = Span::over(&self.counts, window);
        let (bounds, bounds_event) = self.bounds.get().cloned().unzip();
        let current = self.recent.greatest().cloned();
        let breach = bounds.as_ref().zip(current.as_ref());
        TemperatureView {
            breach: breach.and_then(|(bounds, current)| bounds.breach(current.degrees)),
            bounds,
            bounds_event,
            current,
            recent: self.recent.greatest_first().take(limit).cloned().collect(),
            breaches: self.breaches.greatest_first().take(limit).cloned().collect(),
            counts: span.sum(&self.counts),
            span,
            uncertain: self.uncertain,
            unreadable: self.unreadable,
        }
    }
}

impl Bucket for TemperatureCounts {
    fn merge(&mut self, other: &Self) {
        self.snapshots += other.snapshots;
        self.above_ceiling += other.above_ceiling;
        self.below_floor += other.below_floor;
        self.lowest = self.lowest.into_iter().chain(other.lowest).min();
        self.highest = self.highest.into_iter().chain(other.highest).max();
    }
}

#[derive(Deserialize)]
struct SetBounds {
    floor: Decimal,
    ceiling: Decimal,
    guards: Target,
}

#[derive(Deserialize)]
struct WasSet {
    version: u64,
    updated_at_us: Option<i64>,
}

#[derive(Deserialize)]
struct Taken {
    position: u64,
    degrees: Degrees,
    kpis: u64,
    breach: Option<Breach>,
    floor: Option<Degrees>,
    ceiling: Option<Degrees>,
    taken_at_us: Option<i64>,
}

fn bounds(event: &DatasetEvent) -> Option<Bounds> {
    let asked: SetBounds = input(event)?;
    let set: WasSet = output(event)?;
    Some(Bounds {
        floor: Degrees::new(asked.floor)?,
        ceiling: Degrees::new(asked.ceiling)?,
        guards: asked.guards,
        version: set.version,
        updated_by: acting(event),
        updated_at_us: set.updated_at_us.unwrap_or(event.started_at),
    })
}

fn snapshot(event: &DatasetEvent) -> Option<Snapshot> {
    let Taken { position, degrees, kpis, breach, floor, ceiling, taken_at_us } = output(event)?;
    let taken_at_us = taken_at_us.unwrap_or(event.started_at);
    Some(Snapshot { position, degrees, kpis, floor, ceiling, breach, taken_by: acting(event), taken_at_us })
}

impl TemperatureState {
    fn keep(&mut self, place: EventPlace, snapshot: &Snapshot) {
        // The engine's order is that of its positions, not of the times of callers.
        self.recent.offer(0, snapshot.position, place, snapshot.clone());
        if snapshot.breach.is_some() {
            self.breaches.offer(0, snapshot.position, place, snapshot.clone());
        }
        self.counts.add(snapshot.taken_at_us, |counts| {
            counts.merge(&TemperatureCounts {
                snapshots: 1,
                above_ceiling: u64::from(snapshot.breach == Some(Breach::AboveCeiling)),
                below_floor: u64::from(snapshot.breach == Some(Breach::BelowFloor)),
                lowest: Some(snapshot.degrees),
                highest: Some(snapshot.degrees),
            });
        });
    }
}

impl ReadModel for TemperatureModel {
    type State = TemperatureState;
    const NAME: &'static str = "temperature";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        matches!(&*event.surface, "temperature.set_bounds" | "temperature.snapshot")
    }

    fn apply(&self, state: &mut TemperatureState, event: &DatasetEvent) {
        match write(event) {
            Write::Refused => {}
            Write::Uncertain => state.uncertain += 1,
            Write::Made if event.surface == "temperature.snapshot" => match snapshot(event) {
                Some(snapshot) => state.keep(EventPlace::of(event), &snapshot),
                None => state.unreadable += 1,
            },
            Write::Made => match bounds(event) {
                Some(set) => {
                    state.bounds.offer(set.version, EventPlace::of(event), (set, Cause::of(event)));
                }
                None => state.unreadable += 1,
            },
        }
    }
}
