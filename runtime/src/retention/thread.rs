//! The thread that drops old segments once a minute.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Retention;
use crate::ledger::lock;

/// How often it is looked for what may be dropped.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Wake {
    is_closing: Mutex<bool>,
    changed: Condvar,
}

/// Runs until it is closed.
pub(crate) struct RetentionThread {
    wake: Arc<Wake>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RetentionThread {
    /// Starts the thread.
    pub(crate) fn start(retention: Arc<Retention>) -> std::io::Result<Self> {
        let wake = Arc::new(Wake::default());
        let of_thread = Arc::clone(&wake);
        let thread = std::thread::Builder::new()
            .name("dataset-events-retain".to_owned())
            .spawn(move || run(&retention, &of_thread))?;
        Ok(Self { wake, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread, after the pass that it is in.
    pub(crate) fn close(&self) {
        *lock(&self.wake.is_closing) = true;
        self.wake.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread has been printed by its hook; the log is untouched by it.
            let _ = thread.join();
        }
    }
}

fn run(retention: &Retention, wake: &Wake) {
    let mut last_error = None;
    loop {
        let closing = lock(&wake.is_closing);
        let waited = wake.changed.wait_timeout_while(closing, INTERVAL, |is_closing| !*is_closing);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        let error = retention.run().err().map(|error| error.to_string());
        if let Some(error) = &error
            && last_error.as_ref() != Some(error)
        {
            eprintln!("dataset-events: ledger {}: {error}.", retention.shared.ledger_id);
        }
        last_error = error;
    }
}
