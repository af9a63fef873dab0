//! Events a second, of late.

use std::time::Duration;

/// What was counted more than about so long ago no longer matters.
const MEMORY: Duration = Duration::from_secs(10);

/// A rate that forgets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    per_second: f64,
    at: Duration,
}

impl Rate {
    /// Counts events at a moment.
    pub(super) fn count(&mut self, now: Duration, events: u64) {
        self.per_second = self.at(now) + events as f64 / MEMORY.as_secs_f64();
        self.at = now;
    }

    /// The rate at a moment.
    pub(super) fn at(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.at).as_secs_f64();
        let rate = self.per_second * (-age / MEMORY.as_secs_f64()).exp();
        if rate < 0.001 { 0.0 } else { rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_has_none() {
        let mut rate = Rate::default();
        for tick in 0..600_u32 {
            rate.count(Duration::from_millis(100) * tick, 50);
        }
        let end = Duration::from_millis(59_900);
        assert!((rate.at(end) - 500.0).abs() < 10.0, "{}", rate.at(end));
        assert!(rate.at(end + Duration::from_secs(10)) < 200.0);
        assert!(rate.at(end + Duration::from_secs(3600)).abs() < f64::EPSILON);
    }
}
