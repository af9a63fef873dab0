//! The thread that drops old segments once a minute, and at once when the log has no room left.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Retention;
use crate::ledger::lock;

/// How often it is looked for what may be dropped.
const INTERVAL: Duration = Duration::from_secs(60);
/// The same while the log waits for room.
const URGENT_INTERVAL: Duration = Duration::from_secs(1);

/// Wakes the thread.
#[derive(Default)]
pub(crate) struct RetentionWake {
    state: Mutex<WakeState>,
    changed: Condvar,
}

#[derive(Default)]
struct WakeState {
    is_closing: bool,
    is_due: bool,
}

impl RetentionWake {
    /// Asks for a pass now.
    pub(crate) fn pass(&self) {
        lock(&self.state).is_due = true;
        self.changed.notify_all();
    }

    /// Waits for the next pass; false when the ledger is being closed.
    fn wait(&self, interval: Duration) -> bool {
        let state = lock(&self.state);
        let is_idle = |state: &mut WakeState| !state.is_closing && !state.is_due;
        let waited = self.changed.wait_timeout_while(state, interval, is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_due = false;
        !state.is_closing
    }
}

/// Runs until it is closed.
pub(crate) struct RetentionThread {
    retention: Arc<Retention>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RetentionThread {
    /// Starts the thread.
    pub(crate) fn start(retention: Arc<Retention>) -> std::io::Result<Self> {
        let of_thread = Arc::clone(&retention);
        let thread = std::thread::Builder::new()
            .name("dataset-events-retain".to_owned())
            .spawn(move || run(&of_thread))?;
        Ok(Self { retention, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread, after the pass that it is in.
    pub(crate) fn close(&self) {
        let wake = &self.retention.shared.retention_wake;
        lock(&wake.state).is_closing = true;
        wake.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has been printed by its hook; the log is untouched by it.
            let _ = thread.join();
        }
    }
}

fn run(retention: &Retention) {
    let shared = &retention.shared;
    let mut last_error = None;
    loop {
        let interval = if shared.lacks_room() { URGENT_INTERVAL } else { INTERVAL };
        if !shared.retention_wake.wait(interval) {
            return;
        }
        let error = retention.run().err().map(|error| error.to_string());
        if let Some(error) = &error
            && last_error.as_ref() != Some(error)
        {
            eprintln!("dataset-events: ledger {}: {error}.", shared.ledger_id);
        }
        last_error = error;
    }
}
