//! Waiting for async clients from threads that are not async.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with one thread, which keeps connections alive between calls.
pub(crate) struct Blocking {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Blocking {
    /// Starts the runtime; `name` is its thread's, of which the system shows 15 bytes.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Waits for a future, at most for `limit`. What it had begun may go on at the other end.
    pub(crate) fn run<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, NotRun> {
        let Some(runtime) = &self.runtime else { return Err(NotRun::Ended) };
        // tokio panics when one of its own threads blocks.
        if Handle::try_current().is_ok() {
            return Err(NotRun::InsideRuntime);
        }
        runtime
            .block_on(async { tokio::time::timeout(limit, future).await })
            .map_err(|_| NotRun::TimedOut(limit))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // An ordinary drop waits for the thread, and panics on a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

/// Why a future gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRun {
    /// It did not end within the limit.
    TimedOut(Duration),
    /// The caller is a thread of an async runtime.
    InsideRuntime,
    /// The runtime is being dropped.
    Ended,
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
            Self::InsideRuntime => f.write_str(
                "called from a thread of an async runtime, which must not wait: use `spawn_blocking` or a thread",
            ),
            Self::Ended => f.write_str("the runtime of the client has ended"),
        }
    }
}

impl Error for NotRun {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_hangs_is_given_up_at_the_limit() {
        let blocking = Blocking::start("test").expect("start a runtime");
        let limit = Duration::from_millis(20);
        assert_eq!(blocking.run(limit, std::future::pending::<()>()), Err(NotRun::TimedOut(limit)));
        assert_eq!(blocking.run(Duration::from_secs(60), async { 7 }), Ok(7));
    }

    #[test]
    fn a_call_from_inside_a_runtime_is_an_error_and_no_panic() {
        let blocking = Blocking::start("test").expect("start a runtime");
        let outer = Blocking::start("outer").expect("start a runtime");
        let inner = outer.run(Duration::from_secs(60), async move {
            let result = blocking.run(Duration::from_secs(1), async { 7 });
            drop(blocking);
            result
        });
        assert_eq!(inner, Ok(Err(NotRun::InsideRuntime)));
    }
}
