//! The limits while they are in force.

use std::sync::Arc;
use std::time::Duration;

use dataset_events::Scope;
use governor::RateLimiter;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use http::HeaderMap;

use super::{RateLimit, RateLimits};
use crate::by_route::{ByRoute, Methods, limited_as};
use crate::deferred::Due;

/// How long after the first check idle keys are looked for.
const SWEEP_AFTER: Duration = Duration::from_secs(10);

/// Whose count it is: a scope, the method or all that share a limit, and the template.
type Key = (Scope, &'static str, Arc<str>);
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
    by_route: ByRoute<Limiter>,
    clock: DefaultClock,
    sweep: Due,
}

impl Limiters {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let limiter = |limit: &RateLimit| {
            RateLimiter::dashmap(limit.quota()).with_middleware::<StateInformationMiddleware>()
        };
        Self {
            default: limits.default.as_ref().map(limiter),
            by_route: limits.by_route.map(limiter),
            clock: DefaultClock::default(),
            sweep: Due::default(),
        }
    }

    pub(crate) fn check(self: &Arc<Self>, scope: &Scope, method: &'static str, route: &Arc<str>) -> Verdict {
        let method = limited_as(method);
        let (methods, limiter) = match (self.by_route.get(method, route), &self.default) {
            (Some(own), _) => own,
            (None, Some(default)) => (Methods::One(method), default),
            (None, None) => return Verdict::Free,
        };
        let this = Arc::downgrade(self);
        self.sweep.after_aside(SWEEP_AFTER, move || {
            if let Some(this) = this.upgrade() {
                this.sweep();
            }
        });
        let sharing = match methods {
            Methods::Every => "",
            Methods::One(method) => method,
        };
        match limiter.check_key(&(scope.clone(), sharing, Arc::clone(route))) {
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
    /// that were active within one period, and those of the last 10 seconds.
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

#[cfg(test)]
mod tests {
    use super::*;
    use dataset_events::{Env, TenantId};

    fn scope(tenant: &str) -> Scope {
        Scope::new(TenantId::new(tenant).unwrap(), Env::from_static("test"))
    }

    fn limiters(limits: &RateLimits) -> Arc<Limiters> {
        Arc::new(Limiters::new(limits))
    }

    fn fits(limiters: &Arc<Limiters>, tenant: &str, method: &'static str, route: &str) -> bool {
        matches!(limiters.check(&scope(tenant), method, &Arc::from(route)), Verdict::Fits { .. })
    }

    #[test]
    fn tenants_and_routes_are_limited_apart() {
        let limits = RateLimits::default_limit(RateLimit::per_hour(2)).route("/b", RateLimit::per_hour(1));
        let limiters = limiters(&limits);
        let fits = |tenant, route| fits(&limiters, tenant, "GET", route);
        assert!(fits("acme", "/a") && fits("acme", "/a") && !fits("acme", "/a"));
        assert!(fits("acme", "/c") && fits("globex", "/a"));
        assert!(fits("acme", "/b") && !fits("acme", "/b"));
        let none = Arc::new(Limiters::new(&RateLimits::none()));
        assert!(matches!(none.check(&scope("acme"), "GET", &Arc::from("/a")), Verdict::Free));
    }

    #[test]
    fn a_method_has_a_limit_and_a_count_of_its_own_and_head_counts_as_get() {
        let limits = RateLimits::none().route("/a", RateLimit::per_hour(1)).method_route(
            &http::Method::GET,
            "/a",
            RateLimit::per_hour(2),
        );
        let limiters = limiters(&limits);
        let fits = |method| fits(&limiters, "acme", method, "/a");
        assert!(fits("GET") && fits("HEAD") && !fits("GET") && !fits("HEAD"));
        // The others share the one of the template.
        assert!(fits("POST") && !fits("PUT"));
    }

    #[test]
    fn a_refusal_says_when_to_come_again_in_whole_seconds() {
        let limiters = limiters(&RateLimits::default_limit(RateLimit::per_minute(1)));
        let route = Arc::from("/a");
        limiters.check(&scope("acme"), "GET", &route);
        let Verdict::Refused { limit, retry_after_secs } = limiters.check(&scope("acme"), "GET", &route)
        else {
            panic!("the second request in a minute fits")
        };
        assert_eq!((limit, retry_after_secs), (1, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_keys_are_forgotten_after_a_while() {
        // A key is as new again after a microsecond.
        let limits = RateLimits::default_limit(RateLimit::new(1_000, Duration::from_millis(1)));
        let limiters = limiters(&limits);
        for round in 0..3 {
            for number in 0..2_000 {
                limiters.check(&scope(&format!("t{round}-{number}")), "GET", &Arc::from("/a"));
            }
            assert_eq!(limiters.keys(), 2_000);
            tokio::time::sleep(SWEEP_AFTER + Duration::from_secs(1)).await;
            assert_eq!(limiters.keys(), 0);
        }
    }
}
