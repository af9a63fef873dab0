//! What becomes of an attempt.

use std::any::Any;

use super::super::shared::Phase;
use super::super::status::{bounded, message_of};
use super::Forwarding;
use crate::sinks::SinkError;

impl Forwarding {
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.attempts = 0;
        self.retry_at = None;
        self.shared.lock().phase = Phase::Running;
    }

    pub(super) fn failed(&mut self, error: &SinkError) {
        let message = message_of(error);
        match error {
            SinkError::Retry { .. } => self.retry(message),
            SinkError::Reopen { .. } => {
                self.is_open = false;
                self.retry(message);
            }
            SinkError::Fatal { .. } => self.stop(message),
        }
    }

    /// The same again after a pause.
    pub(super) fn retry(&mut self, message: String) {
        let time = &self.shared.settings.time;
        let pause = self.backoff.next(time.random());
        self.attempts += 1;
        self.retry_at = Some(time.now() + pause);
        let until_us = time.wall_us() + i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
        self.shared.note(message);
        let attempts = self.attempts;
        let mut is_closing = false;
        self.shared.report(|state| {
            if !matches!(state.phase, Phase::Stopped { .. }) {
                state.phase = Phase::Waiting { until_us, attempts };
            }
            state.counts.retries += 1;
            is_closing = state.is_closing;
        });
        self.has_given_up |= is_closing;
    }

    pub(super) fn panicked(&mut self, when: &str, panic: &(dyn Any + Send)) {
        self.stop(format!("the sink panicked {when}: {}", panic_text(panic)));
    }

    /// Nothing more until an operator resumes or replaces the sink.
    pub(super) fn stop(&mut self, reason: String) {
        self.is_open = false;
        self.shared.note(reason.clone());
        self.shared.report(|state| {
            state.counts.retries += 1;
            state.phase = Phase::Stopped { reason: bounded(reason) };
        });
    }
}

/// What a panic says.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}
