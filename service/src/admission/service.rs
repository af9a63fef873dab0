//! The way of one request through admission.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::response::Response;
use dataset_events::{ContextBuilder, ErrorCode, InvalidId, RequestContext, SpanId, dataset_event};
use futures::FutureExt as _;
use http::request::Parts;
use http::{HeaderValue, header};
use tower::Service;

use super::Inner;
use super::peer::client_ip;
use super::scope::Admitted;
use crate::carried::Carried;
use crate::codes;
use crate::envelope::{self, ApiError};
use crate::identity::{AuthError, BoxFuture, Identity};
use crate::limits;
use crate::rate_limit::{Refusal, Verdict};
use crate::trace_context::{Incoming, TRACEPARENT, X_REQUEST_ID};

/// Stands for the template where no route fits: the raw path is never recorded.
const NO_ROUTE: &str = "(no route)";

/// A service behind [`Admission`](super::Admission).
#[derive(Clone)]
pub struct AdmissionService<S> {
    admission: Arc<Inner>,
    inner: S,
}

impl<S> AdmissionService<S> {
    pub(super) fn new(admission: Arc<Inner>, inner: S) -> Self {
        Self { admission, inner }
    }
}

impl<S> fmt::Debug for AdmissionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionService").finish_non_exhaustive()
    }
}

impl<S> Service<Request> for AdmissionService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let admission = Arc::clone(&self.admission);
        let matched = request.extensions().get::<MatchedPath>();
        let route: Option<Arc<str>> = matched.map(|path| Arc::from(path.as_str()));
        if route.as_deref().is_some_and(|route| admission.public.contains(route)) {
            return Box::pin(inner.call(request));
        }
        Box::pin(async move { Ok(admission.serve(request, route, inner).await) })
    }
}

/// What is known of a request before anybody was asked who sent it.
struct Arrival {
    method: String,
    route: Arc<str>,
    has_route: bool,
    incoming: Incoming,
}

impl Inner {
    async fn serve<S>(self: Arc<Self>, request: Request, route: Option<Arc<str>>, inner: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let arrival = Arrival {
            method: parts.method.as_str().to_owned(),
            has_route: route.is_some(),
            route: route.unwrap_or_else(|| Arc::from(NO_ROUTE)),
            incoming: Incoming::read(&parts.headers),
        };
        let leaving = Leaving { admission: &self, parts: &parts, arrival: &arrival, is_armed: true };
        let admitted = self.gate.admit(&parts).await;
        leaving.disarm();
        match admitted {
            Admitted::Nobody(error) => self.refuse_nobody(&parts, &arrival, error).await,
            Admitted::NoScope { identity, scope, error } => {
                let context = scope.map(|scope| self.ledger.context(scope.tenant_id(), scope.env()));
                match context.map(|context| self.context(context, &identity, &parts, &arrival)) {
                    Some(Ok(ctx)) => match self.limiters.check(ctx.scope(), &arrival.route) {
                        // Else somebody known could flood a stream that a limit protects.
                        verdict @ Verdict::Refused { .. } => self.refuse_rate(&ctx, &arrival, &verdict),
                        _ => self.refuse(&ctx, &arrival, ApiError::from_error(&error)).await,
                    },
                    // An identity without a tenant is nobody's.
                    Some(Err(_)) | None => self.refuse_nobody(&parts, &arrival, error).await,
                }
            }
            Admitted::InScope { identity, scope } => {
                let context = self.ledger.context(scope.tenant_id(), scope.env());
                match self.context(context, &identity, &parts, &arrival) {
                    Ok(ctx) => self.serve_in_scope(ctx, identity, parts, body, arrival, inner).await,
                    Err(_) => self.refuse_nobody(&parts, &arrival, AuthError::ScopeMismatch).await,
                }
            }
        }
    }

    /// The ids and the client, as far as they are known.
    fn describe(&self, builder: ContextBuilder, parts: &Parts, arrival: &Arrival) -> ContextBuilder {
        let mut builder = builder;
        if let Some(parent) = arrival.incoming.parent {
            builder = builder.traceparent(parent);
        }
        if let Some(request_id) = &arrival.incoming.request_id {
            builder = builder.request_id(request_id);
        }
        if let Some(ip) = client_ip(parts, &self.trusted_proxies) {
            builder = builder.client_ip(ip);
        }
        if let Some(user_agent) = parts.headers.get(header::USER_AGENT) {
            builder = builder.user_agent(String::from_utf8_lossy(user_agent.as_bytes()));
        }
        builder
    }

    fn context(
        &self,
        builder: ContextBuilder,
        identity: &Identity,
        parts: &Parts,
        arrival: &Arrival,
    ) -> Result<RequestContext, InvalidId> {
        let mut builder = self.describe(builder, parts, arrival);
        builder = builder.auth_subject(&identity.subject).actor_type(identity.actor_type);
        if let Some(user_id) = &identity.user_id {
            builder = builder.user_id(user_id);
        }
        if let Some(user_id) = &identity.on_behalf_of {
            builder = builder.on_behalf_of(user_id);
        }
        builder.build()
    }

    /// Refuses a request that belongs to no tenant: an event of `$system`, or one more in its count.
    async fn refuse_nobody(self: &Arc<Self>, parts: &Parts, arrival: &Arrival, error: AuthError) -> Response {
        let api_error = ApiError::from_error(&error);
        // Each part of the context was checked when it was read.
        let Ok(ctx) = self.describe(self.ledger.unauthenticated(), parts, arrival).build() else {
            return api_error.response(None);
        };
        if self.unauthenticated.takes(error.code().name()) {
            return self.refuse(&ctx, arrival, api_error).await;
        }
        let mut response = api_error.response(Some(&ctx));
        write_ids(&mut response, &ctx, self.ledger.new_span_id(), true);
        response
    }

    /// Refuses a request by one event.
    async fn refuse(&self, ctx: &RequestContext, arrival: &Arrival, error: ApiError) -> Response {
        let answer = async { error.response(Some(ctx)) };
        request(ctx, &arrival.method, &arrival.route, self.answered(ctx, arrival, answer)).await
    }

    /// Runs what answers, inside the event: completes a failure, and says the status and the ids.
    async fn answered<F>(&self, ctx: &RequestContext, arrival: &Arrival, answer: F) -> Response
    where
        F: Future<Output = Response>,
    {
        let response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                // On through the event, whose outcome it is.
                dataset_events::current().output("status", 500);
                resume_unwind(panic)
            }
        };
        let mut response = envelope::complete(response, ctx, arrival.has_route);
        dataset_events::current().output("status", response.status().as_u16());
        let span_id = self.span_id();
        write_ids(&mut response, ctx, span_id, arrival.is_sampled());
        response
    }

    /// The span of the call that runs; one that is made up where recording is off.
    fn span_id(&self) -> SpanId {
        dataset_events::current().span_id().unwrap_or_else(|| self.ledger.new_span_id())
    }

    async fn serve_in_scope<S>(
        &self,
        ctx: RequestContext,
        identity: Identity,
        mut parts: Parts,
        body: Body,
        arrival: Arrival,
        mut inner: S,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let verdict = self.limiters.check(ctx.scope(), &arrival.route);
        if let Verdict::Refused { .. } = verdict {
            return self.refuse_rate(&ctx, &arrival, &verdict);
        }
        let limits = self.limits.of(&arrival.route);
        let (body, body_verdict) = match limits::bound(&parts.headers, body, &limits) {
            Ok(bounded) => bounded,
            Err(error) => return self.refuse(&ctx, &arrival, error).await,
        };
        let span_id = OnceLock::new();
        let answer = async {
            let span_id = *span_id.get_or_init(|| self.span_id());
            let token = parts.headers.get(header::AUTHORIZATION).cloned().map(|mut token| {
                token.set_sensitive(true);
                token
            });
            let state = arrival.incoming.state.clone();
            let carried = Carried::new(ctx.clone(), span_id, arrival.is_sampled(), state, token);
            parts.extensions.insert(ctx.clone());
            parts.extensions.insert(identity);
            parts.extensions.insert(carried.clone());
            let mut request = Request::from_parts(parts, body);
            // The bound is ours, by route.
            DefaultBodyLimit::disable().apply(&mut request);
            let handled = carried.clone().scope(inner.call(request));
            let response = match tokio::time::timeout(limits.time_to_answer(), handled).await {
                Ok(Ok(response)) => carried.answer(response),
                Ok(Err(never)) => match never {},
                Err(_) => ApiError::new(codes::TIMEOUT, "the handler did not answer in time").response(None),
            };
            match body_verdict.refusal() {
                Some(refusal) => refusal.response(None),
                None => response,
            }
        };
        let recorded = request(&ctx, &arrival.method, &arrival.route, self.answered(&ctx, &arrival, answer));
        let mut response = match AssertUnwindSafe(recorded).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                let mut response = ApiError::panicked().response(Some(&ctx));
                let span_id = span_id.get().copied().unwrap_or_else(|| self.ledger.new_span_id());
                write_ids(&mut response, &ctx, span_id, arrival.is_sampled());
                response
            }
        };
        verdict.write(response.headers_mut());
        response
    }

    /// Refuses a request by the count of its tenant and route.
    fn refuse_rate(&self, ctx: &RequestContext, arrival: &Arrival, verdict: &Verdict) -> Response {
        self.refusals.count(Refusal {
            ctx: ctx.clone(),
            method: arrival.method.clone(),
            route: Arc::clone(&arrival.route),
        });
        metrics::counter!("dataset_events_http_rate_limited_total").increment(1);
        let error = ApiError::new(codes::RATE_LIMITED, "too many requests: come again after `Retry-After`");
        let mut response = error.response(Some(ctx));
        verdict.write(response.headers_mut());
        write_ids(&mut response, ctx, self.ledger.new_span_id(), arrival.is_sampled());
        response
    }
}

impl Arrival {
    fn is_sampled(&self) -> bool {
        self.incoming.parent.is_none_or(|parent| parent.is_sampled())
    }
}

/// The one event of a request. It ends with the head of the answer; a body that streams on is not waited for.
#[dataset_event(
    surface = "http.request",
    access = "execute",
    guarantee = "intent",
    input(method, route),
    fails = envelope::code_of
)]
async fn request<F>(ctx: &RequestContext, method: &str, route: &str, answer: F) -> Response
where
    F: Future<Output = Response>,
{
    answer.await
}

/// Says the ids of a request in its answer.
fn write_ids(response: &mut Response, ctx: &RequestContext, span_id: SpanId, is_sampled: bool) {
    let headers = response.headers_mut();
    // The alphabet of a request id is that of a header.
    if let Ok(request_id) = HeaderValue::from_str(ctx.request_id().as_str()) {
        headers.insert(X_REQUEST_ID, request_id);
    }
    let parent = dataset_events::TraceParent::new(ctx.trace_id(), span_id, is_sampled);
    if let Ok(parent) = HeaderValue::try_from(parent.to_string()) {
        headers.insert(TRACEPARENT, parent);
    }
}

/// Records a client that leaves before it is known who asks: then no call has begun that could be cancelled.
struct Leaving<'a> {
    admission: &'a Arc<Inner>,
    parts: &'a Parts,
    arrival: &'a Arrival,
    is_armed: bool,
}

impl Leaving<'_> {
    fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Inner { ledger, unauthenticated, .. } = &**self.admission;
        if !self.is_armed || !unauthenticated.takes(codes::DISCONNECTED.name()) {
            return;
        }
        let builder = self.admission.describe(ledger.unauthenticated(), self.parts, self.arrival);
        if let Ok(ctx) = builder.build() {
            let event = ctx.event("http.request").access(dataset_events::Access::Execute);
            let event = event.input("method", &self.arrival.method).input("route", &*self.arrival.route);
            // A ledger that takes no event counts it as lost by itself.
            let _ = event.code(codes::DISCONNECTED).record();
        }
    }
}
