//! What a request carries on to the next service, besides its request context.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use dataset_events::{RequestContext, SpanId, TraceId, TraceParent};
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::trace_context::TraceState;

tokio::task_local! {
    static CARRIED: Carried;
}

/// The context of the request that is being served, its `tracestate` and the caller's token.
///
/// The admission layer puts it among the extensions of a request, and makes it the current one of the task that
/// serves it, also while a streamed answer is made. A task that is spawned runs without; give it on with
/// [`scope`](Self::scope).
#[derive(Clone)]
pub struct Carried {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: RequestContext,
    span_id: SpanId,
    is_sampled: bool,
    state: Option<TraceState>,
    token: Option<HeaderValue>,
}

impl Carried {
    pub(crate) fn new(
        ctx: RequestContext,
        span_id: SpanId,
        is_sampled: bool,
        state: Option<TraceState>,
        token: Option<HeaderValue>,
    ) -> Self {
        Self { inner: Arc::new(Inner { ctx, span_id, is_sampled, state, token }) }
    }

    /// What the request of this task carries; `None` where none is served.
    pub fn current() -> Option<Self> {
        CARRIED.try_with(Clone::clone).ok()
    }

    /// Runs a future with this as the current one.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CARRIED.scope(self, future)
    }

    /// Runs the body of an answer with this as the current one: a stream goes on when the handler has returned.
    pub(crate) fn answer(&self, response: Response) -> Response {
        // A body of known length is there already, and runs nothing.
        if HttpBody::size_hint(response.body()).exact().is_some() {
            return response;
        }
        let carried = self.clone();
        response.map(|body| Body::new(Streaming { body, carried }))
    }

    /// The request context.
    pub fn context(&self) -> &RequestContext {
        &self.inner.ctx
    }

    /// The `tracestate` that came with the request.
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.inner.state.as_ref()
    }

    /// The caller's `Authorization` header, when the request was authenticated by one.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.inner.token.as_ref()
    }

    /// The `traceparent` of a request that is sent now: from inside the annotated call that runs, else from
    /// inside the request's own.
    pub fn trace_parent(&self) -> TraceParent {
        let span_id = dataset_events::current().span_id().unwrap_or(self.inner.span_id);
        TraceParent::new(self.trace_id(), span_id, self.inner.is_sampled)
    }

    fn trace_id(&self) -> TraceId {
        self.inner.ctx.trace_id()
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is a secret.
        f.debug_struct("Carried")
            .field("ctx", &self.inner.ctx)
            .field("state", &self.inner.state)
            .finish_non_exhaustive()
    }
}

/// The body of an answer that is still being made.
struct Streaming {
    body: Body,
    carried: Carried,
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, carried } = &mut *self;
        CARRIED.sync_scope(carried.clone(), || Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
