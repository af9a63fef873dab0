//! The table route -> limit -> codes, made of the same values that the router is made of.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use dataset_events::{Code, ErrorCode};
use http::Method;

use crate::codes;
use crate::envelope::ApiError;
use crate::identity::AuthError;
use crate::limits::{Limits, RouteLimits};
use crate::rate_limit::{RateLimit, RateLimits};

/// One route: method, template, handler, its limits and the codes it can answer.
#[must_use = "a route is served when it is in a table"]
pub struct Route<S = ()> {
    method: Method,
    filter: MethodFilter,
    template: String,
    handler: MethodRouter<S>,
    rate_limit: Option<RateLimit>,
    limits: Option<Limits>,
    codes: Vec<Code>,
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("method", &self.method)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

macro_rules! by_method {
    ($($(#[$doc:meta])* $name:ident, $filter:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name<H, T>(template: impl Into<String>, handler: H) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            Self::new(Method::$filter, MethodFilter::$filter, template, on(MethodFilter::$filter, handler))
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    by_method! {
        /// A `GET` route. As in axum it answers `HEAD` too.
        get, GET;
        /// A `POST` route.
        post, POST;
        /// A `PUT` route.
        put, PUT;
        /// A `PATCH` route.
        patch, PATCH;
        /// A `DELETE` route.
        delete, DELETE;
    }

    fn new(
        method: Method,
        filter: MethodFilter,
        template: impl Into<String>,
        handler: MethodRouter<S>,
    ) -> Self {
        let template = template.into();
        Self { method, filter, template, handler, rate_limit: None, limits: None, codes: Vec::new() }
    }

    /// The limit by tenant, of its own: for this method and template.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// The bounds of body and times, of its own: for this method and template.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The route can fail with the codes of this error type.
    pub fn errors<E: ErrorCode>(mut self) -> Self {
        self.codes.extend_from_slice(E::codes());
        self
    }

    /// The route can fail with this code.
    pub fn code(mut self, code: Code) -> Self {
        self.codes.push(code);
        self
    }
}

/// The routes of a service.
///
/// The router and the printed table are made of it, so they cannot differ.
///
/// ```
/// use dataset_events_service::{RateLimit, Route, RouteTable};
///
/// async fn read() -> &'static str { "42" }
///
/// let table: RouteTable = RouteTable::new()
///     .rate_limit(RateLimit::per_second(100))
///     .route(Route::get("/v1/answers/{id}", read).rate_limit(RateLimit::per_minute(5)));
/// assert!(table.markdown().contains("| `GET` | `/v1/answers/{id}` | 5/min |"));
/// let router: axum::Router = table.router();
/// # let _ = router;
/// ```
#[must_use = "routes are served by `router()`"]
pub struct RouteTable<S = ()> {
    routes: Vec<Route<S>>,
    rate_limit: Option<RateLimit>,
    limits: Limits,
}

impl<S> fmt::Debug for RouteTable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl<S: Clone + Send + Sync + 'static> Default for RouteTable<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> RouteTable<S> {
    /// A table without routes.
    pub fn new() -> Self {
        Self { routes: Vec::new(), rate_limit: None, limits: Limits::new() }
    }

    /// The rate limit of routes that have none of their own. Defaults to none.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// The bounds of routes that have none of their own. Defaults to [`Limits::new`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a route.
    pub fn route(mut self, route: Route<S>) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds the routes of another table. Its defaults do not come along.
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self
    }

    /// Every route can fail with the codes of this error type too.
    pub fn errors_everywhere<E: ErrorCode>(mut self) -> Self {
        for route in &mut self.routes {
            route.codes.extend_from_slice(E::codes());
        }
        self
    }

    /// The same routes with their limits and codes, each answered by this handler: for a service that stands
    /// in front of another and hands its requests on.
    pub fn answered_by<S2, H, T>(self, handler: H) -> RouteTable<S2>
    where
        S2: Clone + Send + Sync + 'static,
        H: Handler<T, S2>,
        T: 'static,
    {
        let routes = self.routes.into_iter().map(|route| Route {
            method: route.method,
            filter: route.filter,
            template: route.template,
            handler: on(route.filter, handler.clone()),
            rate_limit: route.rate_limit,
            limits: route.limits,
            codes: route.codes,
        });
        RouteTable { routes: routes.collect(), rate_limit: self.rate_limit, limits: self.limits }
    }

    /// The rate limits, for [`AdmissionBuilder::rate_limits`](crate::AdmissionBuilder::rate_limits).
    pub fn rate_limits(&self) -> RateLimits {
        let mut limits = match self.rate_limit {
            Some(limit) => RateLimits::default_limit(limit),
            None => RateLimits::none(),
        };
        for route in &self.routes {
            if let Some(limit) = route.rate_limit {
                limits = limits.method_route(&route.method, &route.template, limit);
            }
        }
        limits
    }

    /// The bounds, for [`AdmissionBuilder::limits`](crate::AdmissionBuilder::limits).
    pub fn route_limits(&self) -> RouteLimits {
        let mut limits = RouteLimits::new(self.limits);
        for route in &self.routes {
            if let Some(own) = route.limits {
                limits = limits.method_route(&route.method, &route.template, own);
            }
        }
        limits
    }

    /// Mounts every route, with [`route_not_found`] as the fallback. Add the state, then the admission layer.
    ///
    /// # Panics
    ///
    /// When a template is malformed, or the same method and template stands in the table twice, as axum does.
    pub fn router(self) -> Router<S> {
        let router = Router::new().fallback(route_not_found);
        self.routes.into_iter().fold(router, |router, route| router.route(&route.template, route.handler))
    }

    /// The table as Markdown: a row for each route, then the codes that every route can answer.
    pub fn markdown(&self) -> String {
        let (rate_limits, limits) = (self.rate_limits(), self.route_limits());
        let mut rows = BTreeMap::new();
        for route in &self.routes {
            let rate = rate_limits.of_method(&route.method, &route.template);
            let rate = rate.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            let mut row = format!("| `{}` | `{}` | {rate} | ", route.method, route.template);
            let _ = write!(
                row,
                "{} | {} |",
                limits.of_method(&route.method, &route.template),
                listed(&route.codes)
            );
            rows.insert((route.template.clone(), route.method.as_str()), row);
        }
        let mut text = String::from(
            "| method | route | rate limit a tenant | body, time | codes |\n|---|---|---|---|---|\n",
        );
        for row in rows.values() {
            text.push_str(row);
            text.push('\n');
        }
        let every: Vec<Code> = AuthError::codes().iter().chain(&codes::EVERY_ROUTE).copied().collect();
        let _ = write!(text, "\nEvery route can also answer: {}.\n", listed(&every));
        text.push_str("\nA handler that panics is answered `internal` 500; its event says `panic`.\n");
        let elsewhere = [codes::ROUTE_NOT_FOUND, codes::METHOD_NOT_ALLOWED];
        let _ = write!(text, "\nWhere no route fits: {}.\n", listed(&elsewhere));
        text
    }
}

/// Answers where no route fits: 404 `http.route_not_found`.
///
/// A router that gets the admission layer and is then merged with another needs it as its fallback, set before
/// the layer: of two routers without one, axum takes the fallback of the other, which the layer does not cover.
pub async fn route_not_found() -> ApiError {
    ApiError::new(codes::ROUTE_NOT_FOUND, "no route fits this path")
}

/// Each code once, with its status, in order.
fn listed(codes: &[Code]) -> String {
    let codes: BTreeMap<_, _> = codes.iter().map(|code| (code.name(), code.http_status())).collect();
    let codes = codes.iter().map(|(name, status)| format!("`{name}` {status}"));
    codes.collect::<Vec<_>>().join(", ")
}
