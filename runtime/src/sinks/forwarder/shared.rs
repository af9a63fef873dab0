//! What a sink's thread, those who control it and those who ask share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate::Rate;
use super::spec::Settings;
use super::status::{ForwardState, LastError, SinkStatus, bounded};
use crate::ledger::DurableEnd;
use crate::log::LogPosition;

/// One sink, as all but its thread see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Wakes the thread.
    pub(super) work: Condvar,
    /// Wakes those who wait for the thread.
    progress: Condvar,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    /// Up to where the ledger is durable.
    pub(super) durable: DurableEnd,
    pub(super) is_paused: bool,
    /// An operator wants it to try now.
    pub(super) is_resumed: bool,
    /// From where an operator wants the log again.
    pub(super) replay: Option<LogPosition>,
    /// An operator wants the dead letters offered again.
    pub(super) is_redelivery_asked: bool,
    /// Somebody waits: a batch goes before it is full or of age.
    pub(super) is_urgent: bool,
    /// What is left is forwarded if that can be done at once, then the thread ends.
    pub(super) is_closing: bool,
    /// Nobody waits for the thread any more: it must touch nothing of the ledger's.
    pub(super) is_abandoned: bool,
    pub(super) is_ended: bool,
    pub(super) phase: Phase,
    /// The call into the sink that runs: when it began, on the sink's clock and the world's.
    pub(super) call: Option<(Duration, i64)>,
    pub(super) acknowledged: LogPosition,
    pub(super) acknowledged_events: u64,
    /// Bytes on the scale of [`DurableEnd::bytes`]; negative for what was there before that began.
    pub(super) acknowledged_bytes: i64,
    pub(super) saved: LogPosition,
    /// When the oldest line behind was recorded.
    pub(super) oldest_us: Option<i64>,
    pub(super) last_write_us: Option<i64>,
    pub(super) last_error: Option<LastError>,
    pub(super) counts: Counts,
    pub(super) rate: Rate,
}

/// Since the sink was attached; but for the dead letters, which are all that there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) forwarded: u64,
    pub(super) duplicates: u64,
    pub(super) retries: u64,
    pub(super) dead_letters: u64,
    pub(super) redelivered: u64,
    pub(super) missed_segments: u64,
}

/// What the thread is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Running,
    Waiting { until_us: i64, attempts: u64 },
    Stopped { reason: String },
}

impl Shared {
    pub(super) fn new(settings: Settings, durable: DurableEnd) -> Arc<Self> {
        let state = State {
            durable,
            is_paused: false,
            is_resumed: false,
            replay: None,
            is_redelivery_asked: false,
            is_urgent: false,
            is_closing: false,
            is_abandoned: false,
            is_ended: false,
            phase: Phase::Starting,
            call: None,
            acknowledged: LogPosition::START,
            acknowledged_events: 0,
            acknowledged_bytes: 0,
            saved: LogPosition::START,
            oldest_us: None,
            last_write_us: None,
            last_error: None,
            counts: Counts::default(),
            rate: Rate::default(),
        };
        Arc::new(Self { settings, state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the thread must see, and wakes it.
    pub(super) fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.work.notify_one();
    }

    /// Changes what others see, and wakes those who wait.
    pub(super) fn report(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.progress.notify_all();
    }

    /// The ledger is durable up to here.
    pub(super) fn advance(&self, durable: DurableEnd) {
        self.tell(|state| state.durable = durable);
    }

    /// Notes an error for the status.
    pub(super) fn note(&self, message: String) {
        let at_us = self.settings.time.wall_us();
        self.lock().last_error = Some(LastError { message: bounded(message), at_us });
    }

    /// Waits until the thread has ended; whether it has.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |state| state.is_ended)
    }

    /// Waits until something is so, or never can be; whether it is.
    pub(super) fn wait_until(&self, deadline: Instant, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if is_so(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_ended {
                return false;
            }
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn status(&self) -> SinkStatus {
        let Settings { time, .. } = &self.settings;
        let (now, wall_us) = (time.now(), time.wall_us());
        let state = self.lock();
        let settings = self.settings.clone();
        let lag_events = state.lag_events();
        let oldest_us = state.oldest_us.filter(|_| state.acknowledged < state.durable.position);
        SinkStatus {
            state: state.shown(now, settings.hang_after),
            name: settings.name,
            kind: settings.kind,
            target: settings.target,
            required: settings.is_required,
            surfaces: settings.surfaces,
            acknowledged: state.acknowledged,
            saved: state.saved,
            lag_events,
            lag_bytes: state.lag_bytes(),
            lag_seconds: oldest_us.map_or(0.0, |oldest| (wall_us - oldest).max(0) as f64 / 1e6),
            last_write_us: state.last_write_us,
            last_error: state.last_error.clone(),
            events_per_second: state.rate.at(now),
            forwarded: state.counts.forwarded,
            duplicates: state.counts.duplicates,
            retries: state.counts.retries,
            dead_letters: state.counts.dead_letters,
            redelivered: state.counts.redelivered,
            missed_segments: state.counts.missed_segments,
        }
    }
}

impl State {
    pub(super) fn lag_events(&self) -> u64 {
        self.durable.events.saturating_sub(self.acknowledged_events)
    }

    pub(super) fn lag_bytes(&self) -> u64 {
        let durable = i64::try_from(self.durable.bytes).unwrap_or(i64::MAX);
        u64::try_from(durable.saturating_sub(self.acknowledged_bytes)).unwrap_or(0)
    }

    /// Whether the thread waits for an operator.
    pub(super) fn is_held(&self) -> bool {
        self.is_paused || matches!(self.phase, Phase::Stopped { .. })
    }

    fn shown(&self, now: Duration, hang_after: Duration) -> ForwardState {
        if self.is_ended {
            return ForwardState::Closed;
        }
        if let Some((_, since_us)) = self.call.filter(|(since, _)| now.saturating_sub(*since) > hang_after) {
            return ForwardState::Hanging { since_us };
        }
        match &self.phase {
            Phase::Stopped { reason } => ForwardState::Stopped { reason: reason.clone() },
            _ if self.is_paused => ForwardState::Paused,
            Phase::Starting => ForwardState::Starting,
            Phase::Running => ForwardState::Running,
            Phase::Waiting { until_us, attempts } => {
                ForwardState::Waiting { until_us: *until_us, attempts: *attempts }
            }
        }
    }
}
