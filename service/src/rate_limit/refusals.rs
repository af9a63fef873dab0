//! Refused requests on their way to events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataset_events::{Access, RequestContext, Scope};
use tokio::time::Instant;

use crate::codes;
use crate::deferred::Due;

/// How often keys without refusals are looked for, while there are refusals.
const SWEEP_AFTER: Duration = Duration::from_secs(10);

/// A refused request, as its event will say it.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) ctx: RequestContext,
    pub(crate) method: &'static str,
    pub(crate) route: Arc<str>,
}

/// What was counted, told or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Told {
    pub(crate) told: u64,
    /// What the ledger did not take. It is counted on.
    pub(crate) untold: u64,
}

/// By scope, method and template.
type Key = (Scope, &'static str, Arc<str>);

/// Refusals on their way to events.
pub(crate) struct Refusals {
    interval: Duration,
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
    sweep: Due,
}

/// The refusals of one key. Its lock is held while it is told, which never waits: who flushes then knows that
/// nothing is on its way elsewhere.
#[derive(Default)]
struct Entry {
    waiting: Mutex<Waiting>,
    flush: Due,
}

#[derive(Default)]
struct Waiting {
    last_try: Option<Instant>,
    count: u64,
    newest: Option<Refusal>,
}

impl Refusals {
    /// At most one event per key and interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, entries: Mutex::default(), sweep: Due::default() }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal: in an event of its own, or in one that comes within the interval.
    pub(crate) fn count(self: &Arc<Self>, refusal: Refusal) {
        let key = (refusal.ctx.scope().clone(), refusal.method, Arc::clone(&refusal.route));
        let entry = Arc::clone(self.entries().entry(key).or_default());
        let this = Arc::downgrade(self);
        self.sweep.after_aside(SWEEP_AFTER, move || {
            if let Some(this) = this.upgrade() {
                this.sweep(Instant::now());
            }
        });
        entry.count(refusal, self.interval);
    }

    /// Tells all that waits.
    pub(crate) fn flush(&self) -> Told {
        let now = Instant::now();
        let entries: Vec<_> = self.entries().values().cloned().collect();
        let each = entries.iter().map(|entry| {
            let mut waiting = entry.lock();
            Told { told: waiting.tell(now), untold: waiting.count }
        });
        each.fold(Told::default(), |sum, each| Told {
            told: sum.told + each.told,
            untold: sum.untold + each.untold,
        })
    }

    /// Forgets keys without refusals. An entry that somebody holds may just be counted in.
    fn sweep(self: &Arc<Self>, now: Instant) {
        let mut entries = self.entries();
        entries.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.lock().is_busy(now, self.interval));
        let is_empty = entries.is_empty();
        drop(entries);
        let this = Arc::downgrade(self);
        if !is_empty {
            self.sweep.after_aside(SWEEP_AFTER, move || {
                if let Some(this) = this.upgrade() {
                    this.sweep(Instant::now());
                }
            });
        }
    }
}

impl Drop for Refusals {
    /// The timers do not outlive the service; what they would have told is told here.
    fn drop(&mut self) {
        self.flush();
    }
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(self: &Arc<Self>, refusal: Refusal, interval: Duration) {
        let now = Instant::now();
        let mut waiting = self.lock();
        waiting.count += 1;
        waiting.newest = Some(refusal);
        let since = waiting.last_try.map(|last_try| now.duration_since(last_try));
        let wait = match since.filter(|since| *since < interval) {
            Some(since) => interval - since,
            None => {
                waiting.tell(now);
                interval
            }
        };
        let is_waiting = waiting.count > 0;
        drop(waiting);
        if is_waiting {
            self.flush_after(wait, interval);
        }
    }

    fn flush_after(self: &Arc<Self>, wait: Duration, interval: Duration) {
        let this = Arc::downgrade(self);
        self.flush.after(wait, move || {
            if let Some(this) = this.upgrade() {
                this.flush(interval);
            }
        });
    }

    fn flush(self: &Arc<Self>, interval: Duration) {
        let mut waiting = self.lock();
        waiting.tell(Instant::now());
        let is_waiting = waiting.count > 0;
        drop(waiting);
        if is_waiting {
            self.flush_after(interval, interval);
        }
    }
}

impl Waiting {
    fn is_busy(&self, now: Instant, interval: Duration) -> bool {
        self.count > 0 || self.last_try.is_some_and(|last_try| now.duration_since(last_try) < interval)
    }

    /// Makes one event of all that waits; gives for how many refusals it stands. What the ledger does not take
    /// waits on: told as lost it would count as one.
    fn tell(&mut self, now: Instant) -> u64 {
        let Some(refusal) = self.newest.as_ref().filter(|_| self.count > 0) else { return 0 };
        self.last_try = Some(now);
        let event = refusal.ctx.event("http.request").access(Access::Execute);
        let event = event.input("method", refusal.method).input("route", &*refusal.route);
        let event = event.output("status", &codes::RATE_LIMITED.http_status());
        if event.output("stands_for", &self.count).code(codes::RATE_LIMITED).try_record().is_err() {
            return 0;
        }
        self.newest = None;
        std::mem::take(&mut self.count)
    }
}

#[cfg(test)]
mod tests;
