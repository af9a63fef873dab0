//! Failures of the temperature engine.

use std::time::Duration;

use dataset_events::ErrorCode;
use rust_decimal::Decimal;
use thiserror::Error;

use super::{Breach, Degrees, MAX_PAGE, MAX_WINDOW};
use crate::engines::{NexusError, Target};

/// Why the temperature engine refused or failed.
#[derive(Debug, Error, ErrorCode)]
#[non_exhaustive]
pub enum TemperatureError {
    /// The newest snapshot is out of bounds, and the bounds guard the target.
    #[error("the temperature is {degrees}, {breach} of {floor} to {ceiling}, which guard {target}")]
    #[code("temperature.breached", status = 403)]
    Breached {
        /// The temperature of the newest snapshot.
        degrees: Degrees,
        /// On which side it is out of bounds.
        breach: Breach,
        /// The lower bound.
        floor: Degrees,
        /// The upper bound.
        ceiling: Degrees,
        /// What was to act.
        target: Target,
    },
    /// There is nothing to compute a temperature from.
    #[error("no KPI of this scope has a reading, a corridor and a weight: there is no temperature")]
    #[code("temperature.no_readings", status = 409)]
    NoReadings,
    /// The bounds are the wrong way round, beyond 0 to 100, or too fine.
    #[error(
        "bounds of {floor} and {ceiling}: expected 0 <= floor < ceiling <= 100, at most {} decimal places",
        Degrees::MAX_SCALE
    )]
    #[code("temperature.invalid_bounds", status = 422)]
    InvalidBounds {
        /// The refused floor.
        floor: Decimal,
        /// The refused ceiling.
        ceiling: Decimal,
    },
    /// The page asked for is empty or too large.
    #[error("a page of {limit}: expected 1 to {MAX_PAGE}")]
    #[code("temperature.invalid_page", status = 422)]
    InvalidPage {
        /// The refused size.
        limit: u32,
    },
    /// The window is empty or too long.
    #[error("a window of {window:?}: expected more than nothing, at most {} days", MAX_WINDOW.as_secs() / 86_400)]
    #[code("temperature.invalid_window", status = 422)]
    InvalidWindow {
        /// The refused window.
        window: Duration,
    },
    /// Somebody changed the bounds since the caller looked at them.
    #[error("the bounds are at version {found}, not {expected}: look at them again, then repeat")]
    #[code("temperature.stale_version", status = 409)]
    StaleVersion {
        /// The version that the caller knows.
        expected: u64,
        /// The stored version.
        found: u64,
    },
    /// The database failed.
    #[error("the temperature engine could not use its state")]
    #[code("temperature.internal", status = 500)]
    Internal(#[from] NexusError),
}
