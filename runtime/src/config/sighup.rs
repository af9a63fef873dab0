//! SIGHUP reads the configuration again.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use signal_hook::consts::SIGHUP;
use signal_hook::iterator::{Handle, Signals};

use super::{Config, ReloadError, Reloaded};
use crate::ledger::{Ledger, lock};

/// Reads the configuration again at each SIGHUP, until it is dropped. It does not keep the ledger open.
#[derive(Debug)]
#[must_use = "it ends when it is dropped: keep it beside the ledger"]
pub struct ReloadOnSighup {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    last: Arc<Mutex<Option<Result<Reloaded, String>>>>,
}

impl Config {
    /// Reads the layers of this configuration again at each SIGHUP, and gives the ledger what they say, as
    /// [`Ledger::reload`]. A configuration that cannot be used leaves everything as it is; what came of it stands on
    /// stderr.
    ///
    /// Without this, SIGHUP ends a process.
    ///
    /// # Errors
    ///
    /// When the signal cannot be taken, or no thread started.
    pub fn reload_on_sighup(&self, ledger: &Ledger) -> io::Result<ReloadOnSighup> {
        self.reload_on_sighup_with(ledger, |outcome| match outcome {
            Ok(reloaded) => eprintln!("dataset-events: SIGHUP: {reloaded}"),
            Err(error) => eprintln!("dataset-events: SIGHUP: {}; all goes on as before", text_of(error)),
        })
    }

    /// As [`reload_on_sighup`](Self::reload_on_sighup), and tells `hook` what came of it instead of stderr. The hook
    /// runs on the thread that takes the signals.
    ///
    /// # Errors
    ///
    /// When the signal cannot be taken, or no thread started.
    pub fn reload_on_sighup_with(
        &self,
        ledger: &Ledger,
        mut hook: impl FnMut(&Result<Reloaded, ReloadError>) + Send + 'static,
    ) -> io::Result<ReloadOnSighup> {
        let mut signals = Signals::new([SIGHUP])?;
        let handle = signals.handle();
        let last = Arc::new(Mutex::new(None));
        let (config, owner, to_last) = (self.clone(), Arc::downgrade(&ledger.owner), Arc::clone(&last));
        let thread =
            std::thread::Builder::new().name("dataset-events-sighup".to_owned()).spawn(move || {
                // Signals that come while one is handled count as one.
                for _ in signals.forever() {
                    let Some(owner) = owner.upgrade() else { return };
                    let ledger = Ledger { owner };
                    let outcome = config
                        .read_again()
                        .map_err(ReloadError::Config)
                        .and_then(|config| ledger.reload(&config));
                    *lock(&to_last) = Some(outcome.as_ref().map(Clone::clone).map_err(text_of));
                    hook(&outcome);
                }
            })?;
        Ok(ReloadOnSighup { handle, thread: Some(thread), last })
    }
}

impl ReloadOnSighup {
    /// What came of the newest signal: what changed, or why nothing did. `None` before the first.
    pub fn last(&self) -> Option<Result<Reloaded, String>> {
        lock(&self.last).clone()
    }
}

impl Drop for ReloadOnSighup {
    fn drop(&mut self) {
        self.handle.close();
        // The thread itself drops it when it drops the ledger that holds it.
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

/// An error and its cause.
fn text_of(error: &ReloadError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
