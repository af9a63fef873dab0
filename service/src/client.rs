//! Calling the next service: the context goes along, and identity only as a token.

mod remote;
mod token;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use dataset_events::{Code, ErrorCode, Ledger, RequestContext, TraceParent};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use thiserror::Error;
use tower::{BoxError, Service};

pub use self::remote::RemoteError;
pub use self::token::{BearerToken, ForwardToken, InvalidToken, NoToken, TokenRequest, TokenSource};

use crate::carried::Carried;
use crate::identity::BoxFuture;
use crate::identity::{ENV_HEADER, TENANT_HEADER};
use crate::trace_context::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};

/// Headers that say who asks or in which context. Those that came in, or that a caller set by hand, never go
/// out.
const STRIPPED: [HeaderName; 8] = [
    HeaderName::from_static("x-tenant-id"),
    HeaderName::from_static("x-env"),
    HeaderName::from_static("x-user-id"),
    HeaderName::from_static("x-forwarded-for"),
    header::AUTHORIZATION,
    TRACEPARENT,
    TRACESTATE,
    X_REQUEST_ID,
];

/// A request could not be given its context.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CarryError {
    /// There is no request context: none among the request's extensions, and no request is served here.
    #[error(
        "carry a request context to {audience:?}: there is none; put one among the request's extensions, or \
         give it on to the task with `Carried::scope`"
    )]
    NoContext {
        /// Whom the request is for.
        audience: String,
    },
    /// There is no token for the other side.
    #[error("get a token for {audience:?}")]
    Token {
        /// Whom the request is for.
        audience: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

impl ErrorCode for CarryError {
    fn code(&self) -> Code {
        match self {
            Self::NoContext { .. } => Self::NO_CONTEXT,
            Self::Token { .. } => Self::NO_TOKEN,
        }
    }

    fn codes() -> &'static [Code] {
        &[Self::NO_CONTEXT, Self::NO_TOKEN]
    }
}

impl CarryError {
    const NO_CONTEXT: Code = Code::new("client.no_context");
    const NO_TOKEN: Code = Code::new("client.no_token");
}

/// Puts context and token onto requests to one service.
///
/// A tower layer over `http::Request`; for other clients, [`carry`](Self::carry) does it to a map of headers.
/// Each request gets `traceparent` (its parent is the annotated call that runs, else the request's own),
/// `tracestate`, `x-request-id`, and `authorization` by the token source. `x-tenant-id` and `x-env` say the scope
/// of the context: where the token is good for several, the other side chooses the same one. They only narrow.
#[derive(Clone)]
pub struct Carrier {
    ledger: Ledger,
    audience: Arc<str>,
    tokens: Arc<dyn TokenSource>,
}

impl Carrier {
    /// A carrier to the service of this name, which is the audience of minted tokens.
    pub fn new(ledger: &Ledger, audience: impl Into<String>, tokens: impl TokenSource) -> Self {
        Self { ledger: ledger.clone(), audience: Arc::from(audience.into()), tokens: Arc::new(tokens) }
    }

    /// Sets the headers of a request in this context.
    ///
    /// What stood in them of context or identity is removed first.
    ///
    /// # Errors
    ///
    /// [`CarryError::Token`]: the token source has none.
    pub async fn carry(&self, headers: &mut HeaderMap, ctx: &RequestContext) -> Result<(), CarryError> {
        let carried = Carried::current();
        let parent = self.parent(ctx, carried.as_ref());
        self.set(headers, ctx, carried, parent).await
    }

    /// Names the span that the request comes from. Asked before anything is awaited: the call that runs now is
    /// the one that sends.
    fn parent(&self, ctx: &RequestContext, carried: Option<&Carried>) -> TraceParent {
        match carried.filter(|carried| carried.context().trace_id() == ctx.trace_id()) {
            Some(carried) => carried.trace_parent(),
            None => {
                let span_id = dataset_events::current().span_id().or(ctx.parent_span_id());
                let span_id = span_id.unwrap_or_else(|| self.ledger.new_span_id());
                TraceParent::new(ctx.trace_id(), span_id, true)
            }
        }
    }

    async fn set(
        &self,
        headers: &mut HeaderMap,
        ctx: &RequestContext,
        carried: Option<Carried>,
        parent: TraceParent,
    ) -> Result<(), CarryError> {
        for name in STRIPPED {
            headers.remove(name);
        }
        let carried = carried.filter(|carried| carried.context().trace_id() == ctx.trace_id());
        // No token may name the ledger's own scope.
        if !ctx.scope().is_system() {
            for (name, value) in [(TENANT_HEADER, ctx.tenant_id().as_str()), (ENV_HEADER, ctx.env().as_str())]
            {
                // The alphabets of both are accepted in a header.
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        // Both alphabets are accepted in a header.
        if let Ok(parent) = HeaderValue::try_from(parent.to_string()) {
            headers.insert(TRACEPARENT, parent);
        }
        if let Ok(request_id) = HeaderValue::from_str(ctx.request_id().as_str()) {
            headers.insert(X_REQUEST_ID, request_id);
        }
        if let Some(state) = carried.as_ref().and_then(Carried::trace_state) {
            headers.insert(TRACESTATE, state.as_header().clone());
        }
        // A token of one scope proves nothing about another, though the trace goes through both.
        let carried = carried.filter(|carried| carried.is_of(ctx));
        let request = TokenRequest { ctx, audience: &self.audience, carried: carried.as_ref() };
        match self.tokens.token(request).await {
            Ok(Some(token)) => {
                headers.insert(header::AUTHORIZATION, token.into_header());
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(source) => Err(CarryError::Token { audience: self.audience.to_string(), source }),
        }
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl<S> tower::Layer<S> for Carrier {
    type Service = CarrierService<S>;

    fn layer(&self, inner: S) -> CarrierService<S> {
        CarrierService { carrier: self.clone(), inner }
    }
}

/// A client behind a [`Carrier`].
///
/// The context is the `RequestContext` among the request's extensions, else that of the request being served.
#[derive(Debug, Clone)]
pub struct CarrierService<S> {
    carrier: Carrier,
    inner: S,
}

impl<S, B> Service<Request<B>> for CarrierService<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let carrier = self.carrier.clone();
        let carried = Carried::current();
        let ctx = request.extensions().get::<RequestContext>().cloned();
        let ctx = ctx.or_else(|| carried.as_ref().map(|carried| carried.context().clone()));
        let parent = ctx.as_ref().map(|ctx| carrier.parent(ctx, carried.as_ref()));
        Box::pin(async move {
            let (Some(ctx), Some(parent)) = (ctx, parent) else {
                return Err(CarryError::NoContext { audience: carrier.audience.to_string() }.into());
            };
            carrier.set(request.headers_mut(), &ctx, carried, parent).await?;
            inner.call(request).await.map_err(Into::into)
        })
    }
}

#[cfg(feature = "reqwest")]
impl Carrier {
    /// Finishes a request of `reqwest` with the context and the token.
    ///
    /// # Errors
    ///
    /// [`CarryError`], or that the request could not be built.
    pub async fn prepare(
        &self,
        request: reqwest::RequestBuilder,
        ctx: &RequestContext,
    ) -> Result<reqwest::Request, BoxError> {
        let mut request = request.build()?;
        self.carry(request.headers_mut(), ctx).await?;
        Ok(request)
    }
}
