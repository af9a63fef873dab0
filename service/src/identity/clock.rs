//! The clock that tokens and cached keys are judged by.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time in whole seconds since 1970-01-01 UTC.
///
/// Every function `Fn() -> u64` is one, so that a test can hold the time still.
pub trait UnixClock: Send + Sync + 'static {
    /// The time now, in seconds since the epoch.
    fn now(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync + 'static> UnixClock for F {
    fn now(&self) -> u64 {
        self()
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl UnixClock for SystemClock {
    fn now(&self) -> u64 {
        // A clock before 1970 reads as 0: every token with `iat` or `nbf` is then refused as not yet valid.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
