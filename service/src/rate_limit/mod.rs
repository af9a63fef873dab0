//! Limits by tenant, env and route; and the refusals, sampled so that none is lost from the count.
//!
//! In a storm only some refusals become events. Each of those says how many it stands for: the sum of
//! `stands_for` over a stream's `rate_limit.exceeded` events, and what still waits to be told, is the number of
//! refusals. What the ledger does not take waits on.

mod limiters;
mod refusals;

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;
use http::Method;

pub(crate) use self::limiters::{Limiters, Verdict};
pub(crate) use self::refusals::{Refusal, Refusals, Told};

use crate::by_route::{ByRoute, Methods, limited_as};
use crate::method::method_name;

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
///
/// A route is a method and a template, and each has a count of its own; `HEAD` counts as `GET`.
#[derive(Debug, Clone, Default)]
pub struct RateLimits {
    default: Option<RateLimit>,
    by_route: ByRoute<RateLimit>,
}

impl RateLimits {
    /// No limits.
    pub fn none() -> Self {
        Self::default()
    }

    /// This limit on every route that has none of its own.
    pub fn default_limit(limit: RateLimit) -> Self {
        Self { default: Some(limit), by_route: ByRoute::default() }
    }

    /// A limit for a template, with one count for all of its methods that have none of their own.
    #[must_use]
    pub fn route(mut self, template: impl Into<String>, limit: RateLimit) -> Self {
        self.by_route.set(Methods::Every, template.into(), limit);
        self
    }

    /// A limit of its own for one method of a template.
    #[must_use]
    pub fn method_route(mut self, method: &Method, template: impl Into<String>, limit: RateLimit) -> Self {
        self.by_route.set(Methods::One(limited_as(method_name(method))), template.into(), limit);
        self
    }

    /// The limit that holds on the methods of a template that have none of their own.
    pub fn of(&self, template: &str) -> Option<RateLimit> {
        self.by_route.of_template(template).copied().or(self.default)
    }

    /// The limit that holds on one method of a template.
    pub fn of_method(&self, method: &Method, template: &str) -> Option<RateLimit> {
        let own = self.by_route.get(limited_as(method_name(method)), template);
        own.map(|(_, limit)| *limit).or(self.default)
    }
}
