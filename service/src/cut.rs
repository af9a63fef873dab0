//! How a service ends, as its requests see it.

use tokio::sync::watch;

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections and requests are taken.
    Serving,
    /// What is in flight may finish.
    Draining,
    /// What is still in flight is cut.
    Cut,
}

/// Tells a request that it is cut. The server puts it among the extensions of each.
#[derive(Debug, Clone)]
pub(crate) struct Cut(watch::Receiver<Phase>);

impl Cut {
    pub(crate) fn new(phase: watch::Receiver<Phase>) -> Self {
        Self(phase)
    }

    pub(crate) fn has_come(&self) -> bool {
        *self.0.borrow() == Phase::Cut
    }

    /// Waits until requests are cut.
    pub(crate) async fn comes(mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Cut).await.is_err() {
            // The server is gone, and with it whoever could cut.
            std::future::pending().await
        }
    }

    /// Waits until requests are cut; for ever where no server says so.
    pub(crate) async fn of(cut: Option<Self>) {
        match cut {
            Some(cut) => cut.comes().await,
            None => std::future::pending().await,
        }
    }
}
