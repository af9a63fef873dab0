//! Pauses between attempts: full jitter, from a first bound that doubles up to a last one.

use std::time::Duration;

/// The pauses of one sink.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    bound: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, bound: first }
    }

    /// How long to pause now: anything from nothing to the bound, which then doubles. Sinks that lost the same
    /// target so do not come back in one wave.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.last);
        let nanos = (bound.as_nanos() * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// An attempt went well.
    pub(super) fn reset(&mut self) {
        self.bound = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_anything_up_to_a_bound_that_doubles_to_the_last() {
        let (first, last) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut longest = Backoff::new(first, last);
        let bounds: Vec<_> = (0..11).map(|_| longest.next(u64::MAX).as_millis() + 1).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        longest.reset();
        assert_eq!(longest.next(u64::MAX / 2).as_millis(), 49);
        assert_eq!(Backoff::new(first, last).next(0), Duration::ZERO);
    }
}
