//! Ticks to wall-clock time: an anchor that is renewed, so that steps and suspends do no lasting harm.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::ticks::{self, TickSource};

/// A moment on both clocks, and the length of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) ticks: u64,
    pub(crate) wall_ns: u64,
    /// Nanoseconds in a tick, times 2^32.
    pub(crate) ns_per_tick_q32: u64,
}

impl Anchor {
    /// A span of ticks in nanoseconds.
    #[inline]
    pub(crate) fn ticks_to_ns(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.ns_per_tick_q32)) >> 32) as u64
    }

    /// A span of nanoseconds in ticks.
    fn ns_to_ticks(&self, ns: u64) -> u64 {
        ((u128::from(ns) << 32) / u128::from(self.ns_per_tick_q32)) as u64
    }

    /// The wall-clock time of a tick, in microseconds since 1970.
    #[inline]
    pub(crate) fn wall_us(&self, ticks: u64) -> i64 {
        let wall_ns = if ticks >= self.ticks {
            self.wall_ns.saturating_add(self.ticks_to_ns(ticks - self.ticks))
        } else {
            self.wall_ns.saturating_sub(self.ticks_to_ns(self.ticks - ticks))
        };
        (wall_ns / 1_000) as i64
    }
}

/// The clock of a ledger.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The machine's.
    Process(&'static ProcessClock),
    /// Advances by a fixed step at each reading, from a fixed start: for reproducible runs.
    Stepped {
        /// The wall-clock time of tick 0, in nanoseconds since 1970.
        start_ns: u64,
        /// Nanoseconds a reading.
        step_ns: u64,
        /// The current tick, in nanoseconds since the start.
        now: AtomicU64,
    },
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn process() -> Self {
        Self::Process(process())
    }

    /// The time at which a call begins.
    #[inline]
    pub(crate) fn start_ticks(&self) -> u64 {
        match self {
            Self::Process(clock) => ticks::now(clock.source),
            Self::Stepped { step_ns, now, .. } => now.fetch_add(*step_ns, Ordering::AcqRel) + step_ns,
        }
    }

    /// The time at which a call is complete: later than all that the call has seen.
    #[inline]
    pub(crate) fn end_ticks(&self) -> u64 {
        match self {
            Self::Process(clock) => ticks::now_ordered(clock.source),
            Self::Stepped { step_ns, now, .. } => now.fetch_add(*step_ns, Ordering::AcqRel) + step_ns,
        }
    }

    /// The cut time of a group; see [`ticks::now_before_reads`]. Does not advance a stepped clock.
    pub(crate) fn cut_ticks(&self) -> u64 {
        match self {
            Self::Process(clock) => ticks::now_before_reads(clock.source),
            Self::Stepped { now, .. } => now.load(Ordering::SeqCst),
        }
    }

    /// The newest anchor.
    #[inline]
    pub(crate) fn anchor(&self) -> Anchor {
        match self {
            Self::Process(clock) => clock.load(),
            Self::Stepped { start_ns, .. } => {
                Anchor { ticks: 0, wall_ns: *start_ns, ns_per_tick_q32: 1 << 32 }
            }
        }
    }

    /// Unix milliseconds at a tick, for new ids, and the ticks behind it with the same answer. An anchor
    /// over a second old is not trusted.
    pub(crate) fn unix_ms_until(&self, at: u64) -> (u64, u64) {
        let anchor = self.anchor();
        let unix_ms = self.unix_ms(at);
        let left_ns = 1_000_000 - (anchor.wall_us(at).rem_euclid(1_000) as u64) * 1_000;
        (unix_ms, at.saturating_add(anchor.ns_to_ticks(left_ns.saturating_sub(1_000))))
    }

    /// Unix milliseconds at a tick.
    pub(crate) fn unix_ms(&self, at: u64) -> u64 {
        let anchor = self.anchor();
        let age = anchor.ticks_to_ns(at.saturating_sub(anchor.ticks));
        if age > 1_000_000_000 && matches!(self, Self::Process(_)) {
            return ticks::wall_ns() / 1_000_000;
        }
        (anchor.wall_us(at) / 1_000) as u64
    }

    /// Renews the anchor when it is over 100 ms old. Returns how far the wall clock has stepped against
    /// the ticks since the last one, in nanoseconds.
    pub(crate) fn renew_anchor(&self) -> i64 {
        match self {
            Self::Process(clock) => clock.renew(),
            Self::Stepped { .. } => 0,
        }
    }
}

/// The process's anchor behind a seqlock: readers retry while it is written.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    source: TickSource,
    version: AtomicU64,
    ticks: AtomicU64,
    wall_ns: AtomicU64,
    ns_per_tick_q32: AtomicU64,
    first: (u64, u64),
    /// The length of a tick as it was found at the start.
    calibrated_q32: u64,
}

fn process() -> &'static ProcessClock {
    static CLOCK: OnceLock<ProcessClock> = OnceLock::new();
    CLOCK.get_or_init(ProcessClock::start)
}

/// A reading of ticks and another clock as close together as the machine allows.
fn read_pair(source: TickSource, clock: fn() -> u64) -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..5 {
        let before = ticks::now_ordered(source);
        let time = clock();
        let after = ticks::now_ordered(source);
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, time);
        }
    }
    (best.1, best.2)
}

impl ProcessClock {
    fn start() -> Self {
        let source = ticks::source();
        let first = read_pair(source, ticks::monotonic_ns);
        let ns_per_tick_q32 = match source {
            TickSource::Monotonic => 1 << 32,
            TickSource::Tsc => {
                // 2 ms of waiting give the length of a tick to about 50 ppm; renewals make it exact.
                while ticks::monotonic_ns() - first.1 < 2_000_000 {
                    std::hint::spin_loop();
                }
                tick_length(first, read_pair(source, ticks::monotonic_ns))
            }
        };
        let (now, wall_ns) = read_pair(source, ticks::wall_ns);
        Self {
            source,
            version: AtomicU64::new(0),
            ticks: AtomicU64::new(now),
            wall_ns: AtomicU64::new(wall_ns),
            ns_per_tick_q32: AtomicU64::new(ns_per_tick_q32),
            first,
            calibrated_q32: ns_per_tick_q32,
        }
    }

    #[inline]
    fn load(&self) -> Anchor {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let anchor = Anchor {
                ticks: self.ticks.load(Ordering::Acquire),
                wall_ns: self.wall_ns.load(Ordering::Acquire),
                ns_per_tick_q32: self.ns_per_tick_q32.load(Ordering::Acquire),
            };
            if before & 1 == 0 && self.version.load(Ordering::Relaxed) == before {
                return anchor;
            }
            std::hint::spin_loop();
        }
    }

    fn renew(&self) -> i64 {
        let old = self.load();
        let now = ticks::now(self.source);
        // Ticks behind the anchor: the counter began anew, with a suspend or on another host.
        if now >= old.ticks && old.ticks_to_ns(now - old.ticks) < 100_000_000 {
            return 0;
        }
        // Before the version is odd: callers spin while it is.
        let (ticks_now, wall_ns) = read_pair(self.source, ticks::wall_ns);
        let ns_per_tick_q32 = match self.source {
            TickSource::Monotonic => 1 << 32,
            TickSource::Tsc => {
                let measured = tick_length(self.first, read_pair(self.source, ticks::monotonic_ns));
                plausible(measured, self.calibrated_q32)
            }
        };
        let version = self.version.load(Ordering::Relaxed);
        let is_ours = version & 1 == 0
            && self
                .version
                .compare_exchange(version, version + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if !is_ours {
            return 0;
        }
        let expected = old.wall_us(ticks_now) * 1_000;
        self.ticks.store(ticks_now, Ordering::Release);
        self.wall_ns.store(wall_ns, Ordering::Release);
        self.ns_per_tick_q32.store(ns_per_tick_q32, Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
        wall_ns as i64 - expected
    }
}

fn tick_length(from: (u64, u64), to: (u64, u64)) -> u64 {
    let ticks = u128::from(to.0.saturating_sub(from.0).max(1));
    let ns = u128::from(to.1.saturating_sub(from.1).max(1));
    u64::try_from((ns << 32) / ticks).unwrap_or(1 << 32).max(1)
}

/// The measured length of a tick, unless it is too far from the calibrated one to be a better measure of
/// it: a suspend that one of the two clocks did not see lies in between.
fn plausible(measured: u64, calibrated: u64) -> u64 {
    if measured.abs_diff(calibrated) <= calibrated / 2_000 { measured } else { calibrated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_clock_agrees_with_the_system() {
        let clock = Clock::process();
        let ours = clock.anchor().wall_us(clock.end_ticks());
        let system = (ticks::wall_ns() / 1_000) as i64;
        assert!((ours - system).abs() < 5_000, "{ours} against {system}");
    }

    #[test]
    fn a_stepped_clock_moves_with_each_reading_only() {
        let clock = Clock::Stepped { start_ns: 5_000_000, step_ns: 1_000, now: AtomicU64::new(0) };
        let first = clock.start_ticks();
        assert_eq!(clock.cut_ticks(), first);
        assert_eq!(clock.end_ticks(), first + 1_000);
        assert_eq!(clock.anchor().wall_us(first + 1_000), 5_002);
    }

    #[test]
    fn an_anchor_reads_backwards_too() {
        let anchor = Anchor { ticks: 1_000, wall_ns: 10_000, ns_per_tick_q32: 1 << 32 };
        assert_eq!(anchor.wall_us(0), 9);
        assert_eq!(anchor.wall_us(3_000), 12);
    }

    #[test]
    fn ticks_that_fell_behind_the_anchor_renew_it() {
        let clock = ProcessClock::start();
        let ahead = clock.ticks.load(Ordering::Relaxed) + (1 << 50);
        clock.ticks.store(ahead, Ordering::Relaxed);
        clock.renew();
        assert!(clock.load().ticks < ahead);
    }

    #[test]
    fn the_length_of_a_tick_does_not_follow_a_suspend() {
        // The counter went on for ten hours of which CLOCK_MONOTONIC saw two.
        let hour = 3_600_000_000_000;
        let calibrated = 1 << 32;
        let seen = tick_length((0, 0), (10 * hour, 2 * hour));
        assert_eq!(plausible(seen, calibrated), calibrated);
        let exact = tick_length((0, 0), (hour, hour + hour / 20_000));
        assert_eq!(plausible(exact, calibrated), exact);
    }
}
