//! What a KPI is: a named number with a unit, a direction and, if one is set, a corridor.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::KpiError;
use crate::engines::Target;
use crate::engines::text::{NAME, is_label, is_name, text_type};

/// The greatest weight of a KPI in the temperature.
pub const MAX_WEIGHT: u32 = 1_000;
/// The most KPIs of a scope: a check, a list and a snapshot read them all.
pub const MAX_KPIS: u64 = 200;

text_type! {
    /// The name of a KPI.
    KpiName, "name of a KPI", NAME, is_name
}

text_type! {
    /// What a KPI is measured in, such as `ms`, `%` or `EUR/day`.
    Unit, "unit", "1 to 64 bytes of [A-Za-z0-9._:/%-]", is_label
}

/// A value of a KPI: decimal, exact, between -[`KpiValue::MAX`] and that, in steps of a billionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KpiValue(Decimal);

impl KpiValue {
    /// The greatest value: 1,000,000,000,000.
    pub const MAX: Decimal = Decimal::from_parts(0xd4a5_1000, 0xe8, 0, false, 0);
    /// The most decimal places.
    pub const MAX_SCALE: u32 = 9;

    /// Takes a value.
    ///
    /// # Errors
    ///
    /// `kpi.invalid_value`: beyond the greatest value, or finer than a billionth.
    pub fn new(value: Decimal) -> Result<Self, KpiError> {
        let normal = value.normalize();
        let is_accepted = normal.abs() <= Self::MAX && normal.scale() <= Self::MAX_SCALE;
        if is_accepted { Ok(Self(normal)) } else { Err(KpiError::InvalidValue { value }) }
    }

    /// The value as a decimal.
    pub fn number(self) -> Decimal {
        self.0
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::new(crate::exact::parse(text)?).ok()
    }
}

impl TryFrom<String> for KpiValue {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let value = text.parse().map_err(|_| "expected a decimal number as a string".to_owned())?;
        Self::new(value).map_err(|error| error.to_string())
    }
}

impl From<KpiValue> for String {
    fn from(value: KpiValue) -> Self {
        value.to_string()
    }
}

impl fmt::Display for KpiValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which end of a corridor is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The upper end.
    HigherIsBetter,
    /// The lower end.
    LowerIsBetter,
}

impl Direction {
    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HigherIsBetter => "higher_is_better",
            Self::LowerIsBetter => "lower_is_better",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        [Self::HigherIsBetter, Self::LowerIsBetter].into_iter().find(|direction| direction.as_str() == text)
    }
}

/// Between which values a KPI is as it should be, and what follows when it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corridor {
    /// The lowest value that is as it should be.
    pub low: KpiValue,
    /// The highest.
    pub high: KpiValue,
    /// The engine that must not act while the KPI is outside; `None`: the KPI is watched only.
    pub guards: Option<Target>,
    /// How much the KPI counts in the temperature, 0 (not at all) to [`MAX_WEIGHT`].
    pub weight: u32,
}

impl Corridor {
    /// Takes a corridor.
    ///
    /// # Errors
    ///
    /// - `kpi.invalid_value`: an end is beyond the greatest value, or too fine.
    /// - `kpi.invalid_corridor`: `low` is not below `high`, or the weight is above [`MAX_WEIGHT`].
    pub fn new(low: Decimal, high: Decimal, guards: Option<Target>, weight: u32) -> Result<Self, KpiError> {
        let (low, high) = (KpiValue::new(low)?, KpiValue::new(high)?);
        if low >= high || weight > MAX_WEIGHT {
            return Err(KpiError::InvalidCorridor { low, high, weight });
        }
        Ok(Self { low, high, guards, weight })
    }

    /// Whether a value is as it should be; both ends are.
    pub fn holds(&self, value: KpiValue) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// One KPI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kpi {
    /// Its name.
    pub name: KpiName,
    /// What it is measured in.
    pub unit: Unit,
    /// Which end of its corridor is the better one.
    pub direction: Direction,
    /// Between which values it is as it should be.
    pub corridor: Option<Corridor>,
    /// How many readings it has.
    pub readings: u64,
    /// How often it was defined or its corridor was set.
    pub version: u64,
    /// Who did so last.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
}

/// One value of a KPI at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The KPI.
    pub name: KpiName,
    /// Its place among the readings of the KPI, in the order in which they were recorded, from 1.
    pub position: u64,
    /// The value.
    pub value: KpiValue,
    /// When it was so, in microseconds since 1970 (UTC).
    pub at_us: i64,
    /// Who recorded it.
    pub recorded_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub recorded_at_us: i64,
}

/// A KPI with its latest reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KpiStatus {
    /// The KPI.
    pub kpi: Kpi,
    /// The reading of the latest time; of several at one time, the one that was recorded last.
    pub latest: Option<Reading>,
    /// Whether the latest value is inside the corridor; `None` without a value or a corridor.
    pub is_in_corridor: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_and_exact() {
        assert_eq!(KpiValue::MAX.to_string(), "1000000000000");
        for good in ["0", "-0.000000001", "-1000000000000", "1000000000000.000000000", "99.950"] {
            assert!(KpiValue::new(good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in ["0.0000000001", "1000000000000.1", "-1000000000001"] {
            let refused = KpiValue::new(bad.parse().unwrap());
            assert!(matches!(refused, Err(KpiError::InvalidValue { .. })), "{bad}");
        }
        assert_eq!(serde_json::from_str::<KpiValue>("\"0.10\"").unwrap().to_string(), "0.1");
        // A JSON number may have lost digits on its way.
        assert!(serde_json::from_str::<KpiValue>("0.1").is_err());
        assert!(serde_json::from_str::<KpiValue>("\"0.0000000001\"").is_err());
    }

    #[test]
    fn both_ends_belong_to_the_corridor() {
        let corridor = Corridor::new(Decimal::ONE, Decimal::TEN, None, 1).unwrap();
        for (value, is_inside) in [("0.9", false), ("1", true), ("10.0", true), ("10.000000001", false)] {
            assert_eq!(corridor.holds(KpiValue::from_stored(value).unwrap()), is_inside, "{value}");
        }
        let refused = Corridor::new(Decimal::ONE, Decimal::ONE, None, 1);
        assert!(matches!(refused, Err(KpiError::InvalidCorridor { .. })));
        let refused = Corridor::new(Decimal::ONE, Decimal::TEN, None, MAX_WEIGHT + 1);
        assert!(matches!(refused, Err(KpiError::InvalidCorridor { .. })));
    }
}
