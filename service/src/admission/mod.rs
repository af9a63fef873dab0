//! Admission: the tower layer that lets a request in, and records that it did.
//!
//! One `http.request` event for each request, whatever its end; a storm of refusals aside, where an event says
//! for how many it stands (see [`rate_limit`](crate::rate_limit)), or a count is told once a second.

mod arrival;
mod peer;
mod scope;
mod service;
mod unauthenticated;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataset_events::{Env, Ledger};
use thiserror::Error;

pub use self::peer::{AddressRange, InvalidRange};
pub use self::service::AdmissionService;

use self::scope::Gate;
use self::unauthenticated::Unauthenticated;
use crate::identity::{Authenticate, DefaultScope, ResolveScope};
use crate::limits::RouteLimits;
use crate::rate_limit::{Limiters, RateLimits, Refusals};

/// The tower layer. Put it on the whole router with `Router::layer`, after all routes and the fallback, which is
/// best [`route_not_found`](crate::route_not_found).
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    gate: Gate,
    public: HashSet<String>,
    trusted_proxies: Vec<AddressRange>,
    limits: RouteLimits,
    limiters: Arc<Limiters>,
    refusals: Arc<Refusals>,
    unauthenticated: Arc<Unauthenticated>,
    authentication_time: Duration,
    keeps_foreign_errors: bool,
}

impl Admission {
    /// Begins a layer that records to this ledger.
    pub fn builder(ledger: &Ledger) -> AdmissionBuilder {
        AdmissionBuilder {
            ledger: ledger.clone(),
            authenticate: None,
            resolve_scope: Arc::new(DefaultScope::new()),
            env: None,
            public: HashSet::new(),
            trusted_proxies: Vec::new(),
            limits: RouteLimits::default(),
            rate_limits: RateLimits::none(),
            refusal_interval: Duration::from_secs(1),
            unauthenticated_per_second: 20,
            authentication_time: Duration::from_secs(10),
            keeps_foreign_errors: false,
        }
    }

    /// Records what was counted and not told yet: refusals by rate limits, and requests without an identity.
    /// The server does it before it drains the ledger.
    pub fn flush_suppressed(&self) -> Suppressed {
        let (refusals, strangers) = (self.inner.refusals.flush(), self.inner.unauthenticated.flush());
        Suppressed {
            rate_limited: refusals.told,
            unauthenticated: strangers.told,
            untold: refusals.untold + strangers.untold,
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("ledger", &self.inner.ledger).finish_non_exhaustive()
    }
}

impl<S> tower::Layer<S> for Admission {
    type Service = AdmissionService<S>;

    fn layer(&self, inner: S) -> AdmissionService<S> {
        AdmissionService::new(Arc::clone(&self.inner), inner)
    }
}

/// How many requests were told by [`Admission::flush_suppressed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Suppressed {
    /// Refusals by rate limits, told by events with `stands_for`.
    pub rate_limited: u64,
    /// Requests without an identity, told by an event `http.unauthenticated_suppressed`.
    pub unauthenticated: u64,
    /// Both, as far as the ledger took no event of them: it is closed, or its journal is full. They are counted
    /// on, and told by the next flush that succeeds.
    pub untold: u64,
}

/// Builds an [`Admission`].
#[must_use = "a layer is made by `build()`"]
pub struct AdmissionBuilder {
    ledger: Ledger,
    authenticate: Option<Arc<dyn Authenticate>>,
    resolve_scope: Arc<dyn ResolveScope>,
    env: Option<Env>,
    public: HashSet<String>,
    trusted_proxies: Vec<AddressRange>,
    limits: RouteLimits,
    rate_limits: RateLimits,
    refusal_interval: Duration,
    unauthenticated_per_second: u32,
    authentication_time: Duration,
    keeps_foreign_errors: bool,
}

impl fmt::Debug for AdmissionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionBuilder").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// An [`Admission`] lacks what it cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("build the admission layer: nothing was given by `.{missing}(..)`")]
#[non_exhaustive]
pub struct IncompleteAdmission {
    /// The builder's method that was not called.
    pub missing: &'static str,
}

impl AdmissionBuilder {
    /// What turns credentials into an identity. Needed.
    pub fn authenticate(mut self, authenticate: impl Authenticate) -> Self {
        self.authenticate = Some(Arc::new(authenticate));
        self
    }

    /// The env of this deployment. Needed.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// What chooses the scope among those of an identity. Defaults to [`DefaultScope`].
    pub fn resolve_scope(mut self, resolve_scope: impl ResolveScope) -> Self {
        self.resolve_scope = Arc::new(resolve_scope);
        self
    }

    /// Lets everybody reach a route, named by its template, and records nothing: for health checks.
    pub fn public(mut self, template: impl Into<String>) -> Self {
        self.public.insert(template.into());
        self
    }

    /// Believes the `X-Forwarded-For` of peers in this range. Defaults to none.
    pub fn trusted_proxy(mut self, range: AddressRange) -> Self {
        self.trusted_proxies.push(range);
        self
    }

    /// The bounds of bodies and times. Defaults to [`Limits::new`](crate::Limits::new) on every route.
    pub fn limits(mut self, limits: RouteLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits by tenant and route. Defaults to none.
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rate_limits = limits;
        self
    }

    /// How often refusals of one tenant and route become an event. Defaults to 1 second.
    pub fn refusal_interval(mut self, interval: Duration) -> Self {
        self.refusal_interval = interval;
        self
    }

    /// How many requests without an identity become events of their own. Defaults to 20 a second.
    pub fn unauthenticated_per_second(mut self, events: u32) -> Self {
        self.unauthenticated_per_second = events;
        self
    }

    /// How long it may take to find out who asks: 504 `http.timeout` after it, as an event of `$system`.
    /// Defaults to 10 seconds.
    pub fn authentication_time(mut self, time: Duration) -> Self {
        self.authentication_time = time;
        self
    }

    /// Leaves the body of a 4xx or 5xx that a handler answers without [`ApiError`](crate::ApiError) as it is,
    /// instead of putting an envelope in its place. The event has the code `http.client_error` or
    /// `http.server_error` either way. For routes whose clients speak another protocol of errors.
    pub fn keep_foreign_errors(mut self) -> Self {
        self.keeps_foreign_errors = true;
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`IncompleteAdmission`] when nothing authenticates, or no env was given.
    pub fn build(self) -> Result<Admission, IncompleteAdmission> {
        let missing = |missing| IncompleteAdmission { missing };
        let gate = Gate {
            authenticate: self.authenticate.ok_or(missing("authenticate"))?,
            resolve_scope: self.resolve_scope,
            env: self.env.ok_or(missing("env"))?,
        };
        let unauthenticated = Unauthenticated::new(self.ledger.clone(), self.unauthenticated_per_second);
        Ok(Admission {
            inner: Arc::new(Inner {
                ledger: self.ledger,
                gate,
                public: self.public,
                trusted_proxies: self.trusted_proxies,
                limits: self.limits,
                limiters: Arc::new(Limiters::new(&self.rate_limits)),
                refusals: Arc::new(Refusals::new(self.refusal_interval)),
                unauthenticated: Arc::new(unauthenticated),
                authentication_time: self.authentication_time,
                keeps_foreign_errors: self.keeps_foreign_errors,
            }),
        })
    }
}
