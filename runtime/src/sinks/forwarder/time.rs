//! Time and chance, as the forwarder needs them: a test brings its own.

use std::fmt;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::shared::State;

/// Where a forwarder gets its time and its chance from.
pub(crate) trait Time: Send + Sync + fmt::Debug {
    /// Since some moment; never goes back.
    fn now(&self) -> Duration;
    /// In microseconds since 1970.
    fn wall_us(&self) -> i64;
    /// A number that nobody can foretell.
    fn random(&self) -> u64;
    /// Sleeps until there is a signal, at most until a moment of [`now`](Self::now). May return early.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        signal: &Condvar,
        until: Option<Duration>,
    ) -> MutexGuard<'a, State>;
}

/// The machine's.
#[derive(Debug)]
pub(super) struct MachineTime {
    start: Instant,
}

impl MachineTime {
    pub(super) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Time for MachineTime {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        // Without the system's numbers, pauses of several sinks may fall together; no more depends on it.
        getrandom::u64().unwrap_or(u64::MAX / 2)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        signal: &Condvar,
        until: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match until {
            None => signal.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_sub(self.now());
                signal.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
