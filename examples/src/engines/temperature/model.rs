//! What a temperature is, and how it follows from the KPIs.

use std::fmt;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::engines::Target;
use crate::engines::kpi::{Corridor, Direction, KpiStatus, KpiValue};

/// The most snapshots of an answer.
pub const MAX_PAGE: u32 = 200;
/// The longest window that breaches are counted in: 366 days.
pub const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// A temperature: 0 to 100, in steps of a thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Degrees(Decimal);

impl Degrees {
    /// The most decimal places.
    pub const MAX_SCALE: u32 = 3;

    /// Takes a temperature; `None` beyond 0 to 100, or finer than a thousandth.
    pub fn new(degrees: Decimal) -> Option<Self> {
        let normal = degrees.normalize();
        let is_accepted =
            (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&normal) && normal.scale() <= Self::MAX_SCALE;
        is_accepted.then_some(Self(normal))
    }

    /// The temperature as a decimal.
    pub fn number(self) -> Decimal {
        self.0
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::new(crate::exact::parse(text)?)
    }
}

impl TryFrom<String> for Degrees {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_stored(&text).ok_or("expected 0 to 100 as a string, at most 3 decimal places")
    }
}

impl From<Degrees> for String {
    fn from(degrees: Degrees) -> Self {
        degrees.to_string()
    }
}

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// On which side a temperature is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// Above the ceiling.
    AboveCeiling,
    /// Below the floor.
    BelowFloor,
}

impl Breach {
    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AboveCeiling => "above_ceiling",
            Self::BelowFloor => "below_floor",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        [Self::AboveCeiling, Self::BelowFloor].into_iter().find(|breach| breach.as_str() == text)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AboveCeiling => "above the bounds",
            Self::BelowFloor => "below the bounds",
        })
    }
}

/// Between which temperatures a scope is as it should be, and what must not act when it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The lowest temperature that is as it should be.
    pub floor: Degrees,
    /// The highest.
    pub ceiling: Degrees,
    /// The engine that must not act out of bounds, or all of them.
    pub guards: Target,
    /// How often the bounds were set.
    pub version: u64,
    /// Who set them last.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
}

impl Bounds {
    /// On which side a temperature is out of bounds; both bounds are within.
    pub fn breach(&self, degrees: Degrees) -> Option<Breach> {
        if degrees > self.ceiling {
            Some(Breach::AboveCeiling)
        } else if degrees < self.floor {
            Some(Breach::BelowFloor)
        } else {
            None
        }
    }
}

/// The temperature of a scope at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its place among the snapshots of the scope, from 1.
    pub position: u64,
    /// The temperature.
    pub degrees: Degrees,
    /// From how many KPIs it was computed.
    pub kpis: u64,
    /// The floor at that time.
    pub floor: Option<Degrees>,
    /// The ceiling at that time.
    pub ceiling: Option<Degrees>,
    /// On which side of them it was.
    pub breach: Option<Breach>,
    /// Who took it.
    pub taken_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub taken_at_us: i64,
}

/// The snapshots of a window that were out of bounds when they were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaches {
    /// How many there are.
    pub count: u64,
    /// The newest of them, at most [`MAX_PAGE`], the newest first.
    pub newest: Vec<Snapshot>,
}

/// The temperature of the KPIs, and how many it was computed from; `None` when none counts.
///
/// A KPI counts when it has a reading, a corridor and a weight above 0. Its heat is where its value stands
/// in its corridor, from 0 at the better end to 100 at the worse; beyond an end it is that of the end. The
/// temperature is the mean of the heats by weight, rounded to a thousandth, halves to even.
pub(super) fn temperature(kpis: &[KpiStatus]) -> Option<(Degrees, u64)> {
    let (mut sum, mut weights, mut count) = (Decimal::ZERO, Decimal::ZERO, 0);
    for KpiStatus { kpi, latest, .. } in kpis {
        let (Some(corridor), Some(reading)) = (&kpi.corridor, latest) else { continue };
        let weight = Decimal::from(corridor.weight);
        if weight.is_zero() {
            continue;
        }
        sum += heat(corridor, kpi.direction, reading.value) * weight;
        weights += weight;
        count += 1;
    }
    let mean = sum.checked_div(weights)?.round_dp(Degrees::MAX_SCALE);
    Degrees::new(mean).map(|degrees| (degrees, count))
}

fn heat(corridor: &Corridor, direction: Direction, value: KpiValue) -> Decimal {
    let (low, high) = (corridor.low.number(), corridor.high.number());
    let inside = value.number().clamp(low, high);
    let from_the_better_end = match direction {
        Direction::LowerIsBetter => inside - low,
        Direction::HigherIsBetter => high - inside,
    };
    // The quotient first: at most 1, so that nothing overflows. `low < high` holds for every corridor.
    from_the_better_end / (high - low) * Decimal::ONE_HUNDRED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::kpi::{Kpi, KpiName, Reading, Unit};

    fn status(direction: Direction, corridor: (&str, &str, u32), value: Option<&str>) -> KpiStatus {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        let name = KpiName::from_static("k");
        let corridor = Corridor::new(number(corridor.0), number(corridor.1), None, corridor.2).unwrap();
        let latest = value.map(|value| Reading {
            name: name.clone(),
            position: 1,
            value: KpiValue::new(number(value)).unwrap(),
            at_us: 0,
            recorded_by: String::new(),
            recorded_at_us: 0,
        });
        let kpi = Kpi {
            name,
            unit: Unit::from_static("ms"),
            direction,
            corridor: Some(corridor),
            readings: 1,
            version: 1,
            updated_by: String::new(),
            updated_at_us: 0,
        };
        KpiStatus { kpi, latest, is_in_corridor: None }
    }

    fn degrees(kpis: &[KpiStatus]) -> Option<String> {
        temperature(kpis).map(|(degrees, _)| degrees.to_string())
    }

    #[test]
    fn heat_runs_from_the_better_end_to_the_worse_and_stops_there() {
        use Direction::{HigherIsBetter, LowerIsBetter};
        for (direction, value, expected) in [
            (LowerIsBetter, "10", "0"),
            (LowerIsBetter, "15", "25"),
            (LowerIsBetter, "30", "100"),
            (LowerIsBetter, "31", "100"),
            (LowerIsBetter, "-5", "0"),
            (HigherIsBetter, "10", "100"),
            (HigherIsBetter, "15", "75"),
            (HigherIsBetter, "99", "0"),
        ] {
            let kpi = status(direction, ("10", "30", 1), Some(value));
            assert_eq!(degrees(&[kpi]).as_deref(), Some(expected), "{direction:?} {value}");
        }
    }

    #[test]
    fn the_mean_is_by_weight_and_exact_to_a_thousandth() {
        let hot = || status(Direction::LowerIsBetter, ("0", "1", 1), Some("1"));
        let cold = || status(Direction::LowerIsBetter, ("0", "1", 2), Some("0"));
        assert_eq!(degrees(&[hot(), cold()]).as_deref(), Some("33.333"));
        // 0.1 and 0.2 have no exact floats.
        let tenth = status(Direction::LowerIsBetter, ("0", "1", 1), Some("0.1"));
        let fifth = status(Direction::LowerIsBetter, ("0", "1", 1), Some("0.2"));
        assert_eq!(degrees(&[tenth, fifth]).as_deref(), Some("15"));
        let extreme = status(
            Direction::HigherIsBetter,
            ("-1000000000000", "1000000000000", MAX_PAGE),
            Some("0.000000001"),
        );
        assert_eq!(degrees(&[extreme]).as_deref(), Some("50"));
    }

    #[test]
    fn what_has_no_reading_or_no_weight_does_not_count() {
        let unread = status(Direction::LowerIsBetter, ("0", "1", 1), None);
        let weightless = status(Direction::LowerIsBetter, ("0", "1", 0), Some("1"));
        assert_eq!(degrees(&[unread.clone(), weightless.clone()]), None);
        let warm = status(Direction::LowerIsBetter, ("0", "1", 1), Some("0.5"));
        let (degrees, count) = temperature(&[unread, weightless, warm]).unwrap();
        assert_eq!((degrees.to_string().as_str(), count), ("50", 1));
    }
}
