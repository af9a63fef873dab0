//! Where the engines' ids and times come from: the system, or a sequence that repeats from run to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The source of ids and times of a [`Nexus`](super::Nexus).
#[derive(Debug, Clone)]
pub struct Sources(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Counted(Arc<AtomicU64>),
}

/// 2026-01-01T00:00:00Z: where counted time begins.
const COUNTED_START_US: i64 = 1_767_225_600_000_000;

impl Sources {
    /// Random ids and the system's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Ids counted from 1, and a clock that moves one second with each use.
    ///
    /// Two runs of the same operations, one after the other, get the same ids and times.
    pub fn counted() -> Self {
        Self(Kind::Counted(Arc::new(AtomicU64::new(0))))
    }

    /// The time in microseconds since 1970 (UTC).
    pub(crate) fn now_us(&self) -> i64 {
        match &self.0 {
            Kind::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            }
            Kind::Counted(next) => {
                let step = next.fetch_add(1, Ordering::Relaxed);
                COUNTED_START_US + i64::try_from(step).unwrap_or(0) * 1_000_000
            }
        }
    }

    /// A new id: `prefix`, an underscore, 16 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub(crate) fn id(&self, prefix: &str) -> Result<String, getrandom::Error> {
        let number = match &self.0 {
            Kind::System => getrandom::u64()?,
            Kind::Counted(next) => next.fetch_add(1, Ordering::Relaxed) + 1,
        };
        Ok(format!("{prefix}_{number:016x}"))
    }
}
