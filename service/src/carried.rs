//! What a request carries on to the next service, besides its request context.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use dataset_events::{RequestContext, TraceParent};
use http::HeaderValue;
use http_body::{Frame, SizeHint};

use crate::trace_context::TraceState;

tokio::task_local! {
    static CARRIED: Carried;
}

/// The context of the request that is being served, its `tracestate` and the caller's token.
///
/// The admission layer puts it among the extensions of a request, and makes it the current one of the task that
/// serves it. A task that is spawned runs without; give it on with [`scope`](Self::scope).
#[derive(Clone)]
pub struct Carried {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: RequestContext,
    /// The span of the request, with the flags that came in.
    parent: TraceParent,
    state: Option<TraceState>,
    token: Option<HeaderValue>,
}

impl Carried {
    pub(crate) fn new(
        ctx: RequestContext,
        parent: TraceParent,
        state: Option<TraceState>,
        token: Option<HeaderValue>,
    ) -> Self {
        Self { inner: Arc::new(Inner { ctx, parent, state, token }) }
    }

    /// What the request of this task carries; `None` where none is served.
    pub fn current() -> Option<Self> {
        CARRIED.try_with(Clone::clone).ok()
    }

    /// Runs a future with this as the current one.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CARRIED.scope(self, future)
    }

    /// A body that is made with this as the current one: it is polled after the handler has returned.
    pub(crate) fn body(self, body: Body) -> Body {
        // A body of known length is there already, and runs nothing.
        if http_body::Body::size_hint(&body).exact().is_some() {
            return body;
        }
        Body::new(InScope { carried: self, body })
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
        match dataset_events::current().span_id() {
            Some(span_id) => self.inner.parent.with_span(span_id),
            None => self.inner.parent,
        }
    }

    /// Whether this is of the same tenant, env and trace.
    pub(crate) fn is_of(&self, ctx: &RequestContext) -> bool {
        self.context().trace_id() == ctx.trace_id() && self.context().scope() == ctx.scope()
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

/// A body whose parts are made in the scope of a request.
struct InScope {
    carried: Carried,
    body: Body,
}

impl http_body::Body for InScope {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        CARRIED.sync_scope(this.carried.clone(), || Pin::new(&mut this.body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
