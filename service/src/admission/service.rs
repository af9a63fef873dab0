//! The way of one request through admission.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::response::Response;
use dataset_events::{ContextBuilder, InvalidId, RequestContext, SpanId, dataset_event};
use futures::FutureExt as _;
use http::header;
use http::request::Parts;
use tower::Service;

use super::Inner;
use super::arrival::{Arrival, Leaving, write_ids};
use super::peer::client_ip;
use super::scope::Admitted;
use crate::carried::Carried;
use crate::codes;
use crate::cut::Cut;
use crate::envelope::{self, ApiError};
use crate::identity::{AuthError, BoxFuture, Identity};
use crate::limits;
use crate::rate_limit::{Refusal, Verdict};

/// Under which panics without a tenant are counted when they are too many for events of their own.
const PANIC: &str = "panic";

const SHUTTING_DOWN: &str = "the service is shutting down: try again";

type Panic = Box<dyn Any + Send>;

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
        let inner = std::mem::replace(&mut self.inner, clone);
        let admission = Arc::clone(&self.admission);
        let matched = request.extensions().get::<MatchedPath>();
        let route: Option<Arc<str>> = matched.map(|path| Arc::from(path.as_str()));
        if route.as_deref().is_some_and(|route| admission.public.contains(route)) {
            return Box::pin(async move { Ok(admission.serve_public(request, route, inner).await) });
        }
        Box::pin(async move { Ok(admission.serve(request, route, inner).await) })
    }
}

impl Inner {
    /// Lets a request through to a public route. Only a panic is recorded.
    async fn serve_public<S>(
        self: Arc<Self>,
        request: Request,
        route: Option<Arc<str>>,
        mut inner: S,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let arrival = Arrival::read(&parts, route);
        let ctx = self.describe(self.ledger.unauthenticated(), &parts, &arrival).build();
        let answer = async { inner.call(Request::from_parts(parts, body)).await };
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => self.panicked(ctx.ok(), &arrival, panic).await,
        }
    }

    async fn serve<S>(self: Arc<Self>, request: Request, route: Option<Arc<str>>, inner: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let arrival = Arrival::read(&parts, route);
        let cut = parts.extensions.get::<Cut>().cloned();
        let leaving = Leaving { admission: &self, parts: &parts, arrival: &arrival, is_armed: true };
        // What authenticates and resolves may be the program's own.
        let admitted = AssertUnwindSafe(self.gate.admit(&parts)).catch_unwind();
        let admitted = tokio::select! {
            biased;
            admitted = tokio::time::timeout(self.authentication_time, admitted) => match admitted {
                Ok(admitted) => admitted.map_err(NotAdmitted::Panicked),
                Err(_) => Err(NotAdmitted::TooSlow),
            },
            () = Cut::of(cut.clone()) => Err(NotAdmitted::Cut),
        };
        leaving.disarm();
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(NotAdmitted::Panicked(panic)) => {
                let ctx = self.describe(self.ledger.unauthenticated(), &parts, &arrival).build();
                return self.panicked(ctx.ok(), &arrival, panic).await;
            }
            Err(NotAdmitted::TooSlow) => {
                let error = ApiError::new(codes::TIMEOUT, "it could not be found out in time who asks");
                return self.refuse_nobody(&parts, &arrival, error).await;
            }
            Err(NotAdmitted::Cut) => {
                let error = ApiError::new(codes::SHUTTING_DOWN, SHUTTING_DOWN);
                return self.refuse_nobody(&parts, &arrival, error).await;
            }
        };
        match admitted {
            Admitted::Nobody(error) => {
                self.refuse_nobody(&parts, &arrival, ApiError::from_error(&error)).await
            }
            Admitted::NoScope { identity, scope, error } => {
                let context = scope.map(|scope| self.ledger.context(scope.tenant_id(), scope.env()));
                match context.map(|context| self.context(context, &identity, &parts, &arrival)) {
                    Some(Ok(ctx)) => match self.limiters.check(ctx.scope(), arrival.method, &arrival.route) {
                        // Else somebody known could flood a stream that a limit protects.
                        verdict @ Verdict::Refused { .. } => self.refuse_rate(&ctx, &arrival, &verdict),
                        _ => self.refuse(&ctx, &arrival, ApiError::from_error(&error)).await,
                    },
                    // An identity without a tenant is nobody's.
                    Some(Err(_)) | None => {
                        self.refuse_nobody(&parts, &arrival, ApiError::from_error(&error)).await
                    }
                }
            }
            Admitted::InScope { identity, scope } => {
                let context = self.ledger.context(scope.tenant_id(), scope.env());
                match self.context(context, &identity, &parts, &arrival) {
                    Ok(ctx) => {
                        let known = Known { ctx, identity, arrival, cut };
                        self.serve_in_scope(known, parts, body, inner).await
                    }
                    Err(_) => {
                        let error = ApiError::from_error(&AuthError::ScopeMismatch);
                        self.refuse_nobody(&parts, &arrival, error).await
                    }
                }
            }
        }
    }

    /// The ids and the client, as far as they are known.
    pub(super) fn describe(
        &self,
        builder: ContextBuilder,
        parts: &Parts,
        arrival: &Arrival,
    ) -> ContextBuilder {
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
    async fn refuse_nobody(self: &Arc<Self>, parts: &Parts, arrival: &Arrival, error: ApiError) -> Response {
        // Each part of the context was checked when it was read.
        let Ok(ctx) = self.describe(self.ledger.unauthenticated(), parts, arrival).build() else {
            return error.response(None);
        };
        if self.unauthenticated.takes(error.recorded_code().name()) {
            return self.refuse(&ctx, arrival, error).await;
        }
        let mut response = error.response(Some(&ctx));
        write_ids(&mut response, &ctx, arrival.trace_parent(&ctx, self.ledger.new_span_id()));
        response
    }

    /// Answers a panic outside of every tenant, and records it in `$system`, or one more in its count.
    async fn panicked(
        self: &Arc<Self>,
        ctx: Option<RequestContext>,
        arrival: &Arrival,
        panic: Panic,
    ) -> Response {
        let Some(ctx) = ctx else { return ApiError::panicked().response(None) };
        let span_id = OnceLock::new();
        if self.unauthenticated.takes(PANIC) {
            let answer = async {
                span_id.get_or_init(|| self.span_id());
                resume_unwind(panic)
            };
            let recorded =
                request(&ctx, arrival.method, &arrival.route, self.answered(&ctx, arrival, answer));
            // It goes through the event, whose outcome it is, and no further.
            let _ = AssertUnwindSafe(recorded).catch_unwind().await;
        }
        let mut response = ApiError::panicked().response(Some(&ctx));
        let span_id = span_id.get().copied().unwrap_or_else(|| self.ledger.new_span_id());
        write_ids(&mut response, &ctx, arrival.trace_parent(&ctx, span_id));
        response
    }

    /// Refuses a request by one event.
    async fn refuse(&self, ctx: &RequestContext, arrival: &Arrival, error: ApiError) -> Response {
        let answer = async { error.response(Some(ctx)) };
        request(ctx, arrival.method, &arrival.route, self.answered(ctx, arrival, answer)).await
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
        let mut response = envelope::complete(response, ctx, arrival.has_route, self.keeps_foreign_errors);
        dataset_events::current().output("status", response.status().as_u16());
        write_ids(&mut response, ctx, arrival.trace_parent(ctx, self.span_id()));
        response
    }

    /// The span of the call that runs; one that is made up where recording is off.
    fn span_id(&self) -> SpanId {
        dataset_events::current().span_id().unwrap_or_else(|| self.ledger.new_span_id())
    }

    async fn serve_in_scope<S>(&self, known: Known, mut parts: Parts, body: Body, mut inner: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let Known { ctx, identity, arrival, cut } = known;
        let verdict = self.limiters.check(ctx.scope(), arrival.method, &arrival.route);
        if let Verdict::Refused { .. } = verdict {
            return self.refuse_rate(&ctx, &arrival, &verdict);
        }
        let limits = self.limits.by_name(arrival.method, &arrival.route);
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
            let carried = Carried::new(ctx.clone(), arrival.trace_parent(&ctx, span_id), state, token);
            parts.extensions.insert(ctx.clone());
            parts.extensions.insert(identity);
            parts.extensions.insert(carried.clone());
            let mut request = Request::from_parts(parts, body);
            // The bound is ours, by route.
            DefaultBodyLimit::disable().apply(&mut request);
            let handled = carried.clone().scope(async { inner.call(request).await });
            let response = match tokio::time::timeout(limits.time_to_answer(), handled).await {
                Ok(Ok(response)) => response.map(|body| carried.body(body)),
                Ok(Err(never)) => match never {},
                Err(_) => ApiError::new(codes::TIMEOUT, "the handler did not answer in time").response(None),
            };
            match body_verdict.refusal() {
                Some(refusal) => refusal.response(None),
                None => response,
            }
        };
        let recorded = request(&ctx, arrival.method, &arrival.route, self.answered(&ctx, &arrival, answer));
        // A request that is cut is dropped here: its event, and those of the calls that it runs, read `cancelled`.
        let ended = tokio::select! {
            biased;
            ended = AssertUnwindSafe(recorded).catch_unwind() => ended.map_err(|_| ApiError::panicked()),
            () = Cut::of(cut) => Err(ApiError::new(codes::SHUTTING_DOWN, SHUTTING_DOWN)),
        };
        let mut response = ended.unwrap_or_else(|error| {
            let mut response = error.response(Some(&ctx));
            let span_id = span_id.get().copied().unwrap_or_else(|| self.ledger.new_span_id());
            write_ids(&mut response, &ctx, arrival.trace_parent(&ctx, span_id));
            response
        });
        verdict.write(response.headers_mut());
        response
    }

    /// Refuses a request by the count of its tenant and route.
    fn refuse_rate(&self, ctx: &RequestContext, arrival: &Arrival, verdict: &Verdict) -> Response {
        self.refusals.count(Refusal {
            ctx: ctx.clone(),
            method: arrival.method,
            route: Arc::clone(&arrival.route),
        });
        metrics::counter!("dataset_events_http_rate_limited_total").increment(1);
        let error = ApiError::new(codes::RATE_LIMITED, "too many requests: come again after `Retry-After`");
        let mut response = error.response(Some(ctx));
        verdict.write(response.headers_mut());
        write_ids(&mut response, ctx, arrival.trace_parent(ctx, self.ledger.new_span_id()));
        response
    }
}

/// What is known of a request when its scope is.
struct Known {
    ctx: RequestContext,
    identity: Identity,
    arrival: Arrival,
    cut: Option<Cut>,
}

/// Why nobody can say who asks.
enum NotAdmitted {
    Panicked(Panic),
    TooSlow,
    Cut,
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
