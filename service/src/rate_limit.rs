//! Limits by tenant, env and route; and the refusals, sampled so that none is lost from the count.
//!
//! In a storm only some refusals become events. Each of those says how many it stands for: the sum of
//! `stands_for` over a stream's `rate_limit.exceeded` events, and what still waits to be told, is the number of
//! refusals.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataset_events::{Access, RequestContext, Scope};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use http::HeaderMap;
use tokio::time::Instant;

use crate::codes;

/// How many keys there may be before idle ones are looked for at each new check of this number.
const SWEEP_EVERY: u64 = 1_024;

/// So many requests, refilled evenly over a period; all of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    requests: NonZeroU32,
    period: Duration,
}

impl RateLimit {
    /// So many requests in each period. Zero of either is taken as one (of a second).
    pub const fn new(requests: u32, period: Duration) -> Self {
        let requests = match NonZeroU32::new(requests) {
            Some(requests) => requests,
            None => NonZeroU32::MIN,
        };
        let period = if period.is_zero() { Duration::from_secs(1) } else { period };
        Self { requests, period }
    }

    /// So many requests a second.
    pub const fn per_second(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many requests a minute.
    pub const fn per_minute(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(60))
    }

    /// So many requests an hour.
    pub const fn per_hour(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(3_600))
    }

    fn quota(self) -> Quota {
        let each = self.period / self.requests.get();
        let each = each.max(Duration::from_nanos(1));
        // A period of zero was replaced.
        Quota::with_period(each).unwrap_or(Quota::per_second(self.requests)).allow_burst(self.requests)
    }
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.period.as_secs_f64() {
            1.0 => write!(f, "{}/s", self.requests),
            60.0 => write!(f, "{}/min", self.requests),
            3_600.0 => write!(f, "{}/h", self.requests),
            seconds => write!(f, "{} in {seconds} s", self.requests),
        }
    }
}

/// Which limit holds on which route.
#[derive(Debug, Clone, Default)]
pub struct RateLimits {
    default: Option<RateLimit>,
    by_route: HashMap<String, RateLimit>,
}

impl RateLimits {
    /// No limits.
    pub fn none() -> Self {
        Self::default()
    }

    /// This limit on every route that has none of its own.
    pub fn default_limit(limit: RateLimit) -> Self {
        Self { default: Some(limit), by_route: HashMap::new() }
    }

    /// A limit of its own for a route, named by its template.
    #[must_use]
    pub fn route(mut self, template: impl Into<String>, limit: RateLimit) -> Self {
        self.by_route.insert(template.into(), limit);
        self
    }

    /// The limit that holds on a route.
    pub fn of(&self, template: &str) -> Option<RateLimit> {
        self.by_route.get(template).copied().or(self.default)
    }
}

type Key = (Scope, Arc<str>);
type Limiter = RateLimiter<
    Key,
    governor::state::keyed::DashMapStateStore<Key>,
    DefaultClock,
    StateInformationMiddleware,
>;

/// What a limit says of a request.
pub(crate) enum Verdict {
    /// No limit holds.
    Free,
    /// The request fits.
    Fits { limit: u32, remaining: u32 },
    /// The request does not fit; it may after so many seconds.
    Refused { limit: u32, retry_after_secs: u64 },
}

impl Verdict {
    /// Says the verdict to the client.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        match *self {
            Self::Free => {}
            Self::Fits { limit, remaining } => {
                headers.insert("ratelimit-limit", limit.into());
                headers.insert("ratelimit-remaining", remaining.into());
            }
            Self::Refused { limit, retry_after_secs } => {
                headers.insert(http::header::RETRY_AFTER, retry_after_secs.into());
                headers.insert("ratelimit-limit", limit.into());
                headers.insert("ratelimit-remaining", 0.into());
                headers.insert("ratelimit-reset", retry_after_secs.into());
            }
        }
    }
}

/// The limits while they are in force.
pub(crate) struct Limiters {
    default: Option<Limiter>,
    by_route: HashMap<String, Limiter>,
    clock: DefaultClock,
    checks: AtomicU64,
}

impl Limiters {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let limiter = |limit: RateLimit| {
            RateLimiter::dashmap(limit.quota()).with_middleware::<StateInformationMiddleware>()
        };
        Self {
            default: limits.default.map(limiter),
            by_route: limits.by_route.iter().map(|(route, limit)| (route.clone(), limiter(*limit))).collect(),
            clock: DefaultClock::default(),
            checks: AtomicU64::new(0),
        }
    }

    pub(crate) fn check(&self, scope: &Scope, route: &str) -> Verdict {
        let Some(limiter) = self.by_route.get(route).or(self.default.as_ref()) else { return Verdict::Free };
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        match limiter.check_key(&(scope.clone(), Arc::from(route))) {
            Ok(state) => Verdict::Fits {
                limit: state.quota().burst_size().get(),
                remaining: state.remaining_burst_capacity(),
            },
            Err(refusal) => {
                let wait = refusal.wait_time_from(self.clock.now());
                let retry_after_secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let limit = refusal.quota().burst_size().get();
                Verdict::Refused { limit, retry_after_secs: retry_after_secs.max(1) }
            }
        }
    }

    /// Forgets keys whose limit is full again: they are as new ones. So what is kept are the scopes and routes
    /// that were active within one period, and those of the last 1,024 checks.
    fn sweep(&self) {
        for limiter in self.by_route.values().chain(&self.default) {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.by_route.values().chain(&self.default).map(RateLimiter::len).sum()
    }
}

/// A refused request, as its event will say it.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) ctx: RequestContext,
    pub(crate) method: String,
    pub(crate) route: Arc<str>,
}

/// Refusals on their way to events.
pub(crate) struct Refusals {
    interval: Duration,
    waiting: Mutex<HashMap<Key, Waiting>>,
}

#[derive(Default)]
struct Waiting {
    last_event: Option<Instant>,
    count: u64,
    newest: Option<Refusal>,
    is_flush_due: bool,
}

impl Refusals {
    /// At most one event per key and interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, waiting: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal: in an event of its own, or in one that comes within the interval.
    pub(crate) fn count(self: &Arc<Self>, refusal: Refusal) {
        let key = (refusal.ctx.scope().clone(), Arc::clone(&refusal.route));
        let now = Instant::now();
        let mut waiting = self.lock();
        if !waiting.contains_key(&key) {
            waiting.retain(|_, entry| entry.is_busy(now, self.interval));
        }
        let entry = waiting.entry(key.clone()).or_default();
        entry.count += 1;
        entry.newest = Some(refusal);
        let since = entry.last_event.map(|last_event| now.duration_since(last_event));
        match since.filter(|since| *since < self.interval) {
            // Told while the lock is held: who flushes then knows that nothing is on its way elsewhere.
            None => {
                entry.tell(now);
            }
            Some(since) => {
                if !std::mem::replace(&mut entry.is_flush_due, true) {
                    let this = Arc::clone(self);
                    drop(waiting);
                    crate::admission::later(self.interval - since, move || this.flush_key(&key));
                }
            }
        }
    }

    fn flush_key(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.is_flush_due = false;
            entry.tell(Instant::now());
        }
    }

    /// Tells all that waits; gives how many refusals that were.
    pub(crate) fn flush(&self) -> u64 {
        let now = Instant::now();
        self.lock().values_mut().map(|entry| entry.tell(now)).sum()
    }
}

impl Waiting {
    fn is_busy(&self, now: Instant, interval: Duration) -> bool {
        self.count > 0 || self.last_event.is_some_and(|last_event| now.duration_since(last_event) < interval)
    }

    /// Makes one event of all that waits; gives for how many refusals it stands. What cannot be told waits on.
    fn tell(&mut self, now: Instant) -> u64 {
        let Some(refusal) = self.newest.as_ref().filter(|_| self.count > 0) else { return 0 };
        let event = refusal.ctx.event("http.request").access(Access::Execute);
        let event = event.input("method", &refusal.method).input("route", &*refusal.route);
        let event = event.output("status", &codes::RATE_LIMITED.http_status());
        if event.output("stands_for", &self.count).code(codes::RATE_LIMITED).record().is_err() {
            return 0;
        }
        self.last_event = Some(now);
        self.newest = None;
        std::mem::take(&mut self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataset_events::testing::TestLedger;
    use dataset_events::{Env, TenantId};

    fn scope(tenant: &str) -> Scope {
        Scope::new(TenantId::new(tenant).unwrap(), Env::from_static("test"))
    }

    fn told(ledger: &TestLedger) -> Vec<u64> {
        let events = ledger.events_of("http.request").into_iter();
        events.map(|event| event.output_value()["stands_for"].as_u64().unwrap()).collect()
    }

    fn refusal(ledger: &TestLedger, tenant: &str) -> Refusal {
        let ctx = ledger.context(tenant, "test").build().unwrap();
        Refusal { ctx, method: "GET".to_owned(), route: Arc::from("/a") }
    }

    #[test]
    fn tenants_and_routes_are_limited_apart() {
        let limits = RateLimits::default_limit(RateLimit::per_hour(2)).route("/b", RateLimit::per_hour(1));
        let limiters = Limiters::new(&limits);
        let fits = |tenant, route| matches!(limiters.check(&scope(tenant), route), Verdict::Fits { .. });
        assert!(fits("acme", "/a") && fits("acme", "/a") && !fits("acme", "/a"));
        assert!(fits("acme", "/c") && fits("globex", "/a"));
        assert!(fits("acme", "/b") && !fits("acme", "/b"));
        assert!(matches!(Limiters::new(&RateLimits::none()).check(&scope("acme"), "/a"), Verdict::Free));
    }

    #[test]
    fn a_refusal_says_when_to_come_again_in_whole_seconds() {
        let limiters = Limiters::new(&RateLimits::default_limit(RateLimit::per_minute(1)));
        limiters.check(&scope("acme"), "/a");
        let Verdict::Refused { limit, retry_after_secs } = limiters.check(&scope("acme"), "/a") else {
            panic!("the second request in a minute fits")
        };
        assert_eq!((limit, retry_after_secs), (1, 60));
    }

    #[test]
    fn idle_keys_are_forgotten() {
        let limits = RateLimits::default_limit(RateLimit::new(1_000, Duration::from_millis(1)));
        let limiters = Limiters::new(&limits);
        for number in 0..20 * SWEEP_EVERY {
            limiters.check(&scope(&format!("t{number}")), "/a");
        }
        assert!(limiters.keys() as u64 <= 2 * SWEEP_EVERY, "{} keys", limiters.keys());
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_says_for_how_many_it_stands() {
        let ledger = TestLedger::new();
        let refusals = Arc::new(Refusals::new(Duration::from_secs(1)));
        for _ in 0..100 {
            refusals.count(refusal(&ledger, "acme"));
        }
        refusals.count(refusal(&ledger, "globex"));
        assert_eq!(told(&ledger), [1, 1]);
        tokio::time::sleep(Duration::from_millis(1_001)).await;
        assert_eq!(told(&ledger), [1, 1, 99]);
        for _ in 0..5 {
            refusals.count(refusal(&ledger, "acme"));
        }
        assert_eq!(refusals.flush(), 5);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(told(&ledger), [1, 1, 99, 5]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_refusal_is_lost_between_threads_and_timers() {
        let ledger = TestLedger::new();
        let refusals = Arc::new(Refusals::new(Duration::from_millis(1)));
        let tasks = (0..8).map(|task| {
            let refusals = Arc::clone(&refusals);
            let refusal = refusal(&ledger, if task % 2 == 0 { "acme" } else { "globex" });
            tokio::spawn(async move {
                for round in 0..500 {
                    refusals.count(refusal.clone());
                    if round % 10 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        refusals.flush();
        assert_eq!(told(&ledger).iter().sum::<u64>(), 8 * 500);
    }
}
