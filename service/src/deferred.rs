//! Work that is due after a while, once however often it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether a piece of work is due.
#[derive(Debug, Default)]
pub(crate) struct Due(Arc<AtomicBool>);

/// Ends what is due, also where the runtime ends before the time has come.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Due {
    /// Does `work` after a while, unless it is due already. Without a runtime it is not done.
    pub(crate) fn after(&self, wait: Duration, work: impl FnOnce() + Send + 'static) {
        if self.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let ends = Ends(Arc::clone(&self.0));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(wait).await;
                // First, so that the work itself, and whoever comes while it is done, can ask again.
                drop(ends);
                work();
            });
        }
    }

    /// The same, on a thread on which nothing is served: for work that takes long.
    pub(crate) fn after_aside(&self, wait: Duration, work: impl FnOnce() + Send + 'static) {
        self.after(wait, move || {
            tokio::task::spawn_blocking(work);
        });
    }
}
