//! Requests without an identity: at most so many events a second, the rest counted, and the count told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataset_events::{Access, Ledger};
use tokio::time::Instant;

/// How long a window is, and how long a count waits to be told.
const WINDOW: Duration = Duration::from_secs(1);

/// The surface of the event that tells the count.
pub(super) const SUPPRESSED: &str = "http.unauthenticated_suppressed";

/// Decides which requests without an identity become events of their own.
pub(super) struct Unauthenticated {
    ledger: Ledger,
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    recorded: u32,
    /// By code. The codes of refusals are few.
    suppressed: BTreeMap<&'static str, u64>,
    is_flush_due: bool,
}

impl Unauthenticated {
    pub(super) fn new(ledger: Ledger, per_second: u32) -> Self {
        Self { ledger, per_second, window: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next refusal with this code becomes an event; else it is counted here.
    pub(super) fn takes(self: &Arc<Self>, code: &'static str) -> bool {
        let now = Instant::now();
        let mut window = self.lock();
        if window.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.recorded = 0;
        }
        if window.recorded < self.per_second {
            window.recorded += 1;
            return true;
        }
        *window.suppressed.entry(code).or_default() += 1;
        let is_first = !std::mem::replace(&mut window.is_flush_due, true);
        drop(window);
        metrics::counter!("dataset_events_http_unauthenticated_suppressed_total", "code" => code)
            .increment(1);
        if is_first {
            let this = Arc::clone(self);
            super::later(WINDOW, move || {
                this.flush();
            });
        }
        false
    }

    /// Tells what was counted since the last time; gives how many. What cannot be told is counted on.
    pub(super) fn flush(&self) -> u64 {
        // The event is recorded while the lock is held: who flushes then knows that nothing is on its way
        // elsewhere.
        let mut window = self.lock();
        window.is_flush_due = false;
        let count: u64 = window.suppressed.values().sum();
        if count == 0 {
            return 0;
        }
        let Ok(ctx) = self.ledger.unauthenticated().build() else { return 0 };
        let event = ctx.event(SUPPRESSED).access(Access::Execute);
        if event.input("count", &count).input("codes", &window.suppressed).record().is_err() {
            return 0;
        }
        window.suppressed.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataset_events::testing::TestLedger;

    fn told(ledger: &TestLedger) -> Vec<u64> {
        let events = ledger.system_events().into_iter().filter(|event| event.surface == SUPPRESSED);
        events.map(|event| event.input_value()["count"].as_u64().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_bounded_and_its_rest_is_told_once_a_second() {
        let ledger = TestLedger::new();
        let strangers = Arc::new(Unauthenticated::new(ledger.ledger().clone(), 20));
        let taken = (0..500).filter(|_| strangers.takes("auth.missing_credentials")).count();
        assert_eq!(taken, 20);
        assert!(told(&ledger).is_empty());
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(told(&ledger), [480]);
        let taken = (0..30).filter(|_| strangers.takes("auth.token_expired")).count();
        assert_eq!(taken, 20);
        assert_eq!(strangers.flush(), 10);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(told(&ledger), [480, 10]);
    }
}
