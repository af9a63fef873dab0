//! Failures of the KPI engine.

use dataset_events::ErrorCode;
use rust_decimal::Decimal;
use thiserror::Error;

use super::{KpiName, KpiValue, MAX_KPIS, MAX_WEIGHT, Unit};
use crate::engines::{NexusError, Target};

/// Why the KPI engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum KpiError {
    /// A KPI that guards the target is outside its corridor.
    #[error("{name} is at {value}, outside {low} to {high}, and guards {target}")]
    #[code("kpi.out_of_corridor", status = 403)]
    OutOfCorridor {
        /// The KPI.
        name: KpiName,
        /// Its latest value.
        value: KpiValue,
        /// The lower end of the corridor.
        low: KpiValue,
        /// The upper end of the corridor.
        high: KpiValue,
        /// What was to act.
        target: Target,
    },
    /// The scope has no such KPI. A KPI of another scope is no different.
    #[error("no KPI {name} in this scope: define it first")]
    #[code("kpi.not_found", status = 404)]
    NotFound {
        /// The KPI.
        name: KpiName,
    },
    /// Nothing was recorded of the KPI yet.
    #[error("{name} has no reading yet")]
    #[code("kpi.no_reading", status = 404)]
    NoReading {
        /// The KPI.
        name: KpiName,
    },
    /// The unit of a KPI cannot change while it has readings in the old one.
    #[error("{name} has readings in {current}: {asked} is refused")]
    #[code("kpi.unit_mismatch", status = 409)]
    UnitMismatch {
        /// The KPI.
        name: KpiName,
        /// The unit of its readings.
        current: Unit,
        /// The unit that was asked for.
        asked: Unit,
    },
    /// The scope has as many KPIs as it may.
    #[error("define {name}: this scope has {MAX_KPIS} KPIs already")]
    #[code("kpi.too_many", status = 409)]
    TooMany {
        /// The KPI.
        name: KpiName,
    },
    /// The value is too large or too fine.
    #[error("{value} is no value of a KPI here: expected -{max} to {max}, at most {scale} decimal places",
        max = KpiValue::MAX, scale = KpiValue::MAX_SCALE)]
    #[code("kpi.invalid_value", status = 422)]
    InvalidValue {
        /// The refused value.
        value: Decimal,
    },
    /// The ends of the corridor are the wrong way round, or its weight is too large.
    #[error("a corridor from {low} to {high} of weight {weight}: expected low < high and 0 to {MAX_WEIGHT}")]
    #[code("kpi.invalid_corridor", status = 422)]
    InvalidCorridor {
        /// The lower end.
        low: KpiValue,
        /// The upper end.
        high: KpiValue,
        /// The weight.
        weight: u32,
    },
    /// The reading is of before 1970 or of the future: it would hide all that come after it.
    #[error("a reading of {at_us} us since 1970, at {now_us}: expected one of the past")]
    #[code("kpi.invalid_time", status = 422)]
    InvalidTime {
        /// The time that was given.
        at_us: i64,
        /// The time now.
        now_us: i64,
    },
    /// The database failed.
    #[error("the KPI engine could not use its state")]
    #[code("kpi.internal", status = 500)]
    Internal(#[from] NexusError),
}
