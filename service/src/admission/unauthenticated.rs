//! Requests without an identity: at most so many events a second, the rest counted, and the count told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataset_events::{Access, Ledger};
use tokio::time::Instant;

use crate::deferred::Due;
use crate::rate_limit::Told;

/// How long a window is, and how long a count waits to be told.
const WINDOW: Duration = Duration::from_secs(1);

/// The surface of the event that tells the count.
pub(super) const SUPPRESSED: &str = "http.unauthenticated_suppressed";

/// Decides which requests without an identity become events of their own.
pub(super) struct Unauthenticated {
    ledger: Ledger,
    per_second: u32,
    window: Mutex<Window>,
    /// Held while a count is told: who flushes then knows that nothing is on its way elsewhere. Requests do not
    /// wait for it.
    telling: Mutex<()>,
    flush: Due,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    recorded: u32,
    /// By code. The codes of refusals are few.
    suppressed: BTreeMap<&'static str, u64>,
}

impl Unauthenticated {
    pub(super) fn new(ledger: Ledger, per_second: u32) -> Self {
        Self {
            ledger,
            per_second,
            window: Mutex::default(),
            telling: Mutex::default(),
            flush: Due::default(),
        }
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
        drop(window);
        self.suppress(code);
        false
    }

    /// Counts a refusal with this code that gets no event of its own.
    pub(super) fn suppress(self: &Arc<Self>, code: &'static str) {
        *self.lock().suppressed.entry(code).or_default() += 1;
        metrics::counter!("dataset_events_http_unauthenticated_suppressed_total", "code" => code)
            .increment(1);
        self.flush_later();
    }

    fn flush_later(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        self.flush.after(WINDOW, move || {
            if let Some(this) = this.upgrade()
                && this.flush().untold > 0
            {
                this.flush_later();
            }
        });
    }

    /// Tells what was counted since the last time. What the ledger does not take is counted on: told as lost it
    /// would count as one.
    pub(super) fn flush(&self) -> Told {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let suppressed = std::mem::take(&mut self.lock().suppressed);
        let count: u64 = suppressed.values().sum();
        if count == 0 {
            return Told::default();
        }
        if self.tell(count, &suppressed) {
            return Told { told: count, untold: 0 };
        }
        let mut window = self.lock();
        for (code, count) in suppressed {
            *window.suppressed.entry(code).or_default() += count;
        }
        Told { told: 0, untold: window.suppressed.values().sum() }
    }

    fn tell(&self, count: u64, codes: &BTreeMap<&'static str, u64>) -> bool {
        let Ok(ctx) = self.ledger.unauthenticated().build() else { return false };
        let event = ctx.event(SUPPRESSED).access(Access::Execute);
        event.input("count", &count).input("codes", codes).try_record().is_ok()
    }
}

impl Drop for Unauthenticated {
    /// The timer does not outlive the service; what it would have told is told here.
    fn drop(&mut self) {
        self.flush();
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
        assert_eq!(strangers.flush(), Told { told: 10, untold: 0 });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(told(&ledger), [480, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_that_the_ledger_does_not_take_is_kept() {
        let ledger = TestLedger::new();
        let strangers = Arc::new(Unauthenticated::new(ledger.ledger().clone(), 1));
        ledger.ledger().clone().close().unwrap();
        let lost = ledger.ledger().stats().after_close;
        let taken = (0..5_000).filter(|_| strangers.takes("auth.missing_credentials")).count();
        assert_eq!(taken, 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(strangers.flush(), Told { told: 0, untold: 4_999 });
        strangers.suppress("auth.token_expired");
        assert_eq!(strangers.flush(), Told { told: 0, untold: 5_000 });
        assert_eq!(ledger.ledger().stats().after_close, lost);
    }
}
