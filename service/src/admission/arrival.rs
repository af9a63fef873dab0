//! A request before anybody was asked who sent it, and one that leaves then.

use std::sync::Arc;

use axum::response::Response;
use dataset_events::{RequestContext, SpanId, TraceParent};
use http::HeaderValue;
use http::request::Parts;

use super::Inner;
use crate::codes;
use crate::method::method_name;
use crate::trace_context::{Incoming, TRACEPARENT, X_REQUEST_ID};

/// Stands for the template where no route fits: the raw path is never recorded.
const NO_ROUTE: &str = "(no route)";

/// What is known of a request before anybody was asked who sent it.
pub(super) struct Arrival {
    pub(super) method: &'static str,
    pub(super) route: Arc<str>,
    pub(super) has_route: bool,
    pub(super) incoming: Incoming,
}

impl Arrival {
    pub(super) fn read(parts: &Parts, route: Option<Arc<str>>) -> Self {
        Self {
            method: method_name(&parts.method),
            has_route: route.is_some(),
            route: route.unwrap_or_else(|| Arc::from(NO_ROUTE)),
            incoming: Incoming::read(&parts.headers),
        }
    }

    /// A span of the request, with the flags that came in.
    pub(super) fn trace_parent(&self, ctx: &RequestContext, span_id: SpanId) -> TraceParent {
        match self.incoming.parent {
            Some(parent) => parent.with_span(span_id),
            None => TraceParent::new(ctx.trace_id(), span_id, true),
        }
    }
}

/// Says the ids of a request in its answer.
pub(super) fn write_ids(response: &mut Response, ctx: &RequestContext, parent: TraceParent) {
    let headers = response.headers_mut();
    // The alphabet of a request id is that of a header.
    if let Ok(request_id) = HeaderValue::from_str(ctx.request_id().as_str()) {
        headers.insert(X_REQUEST_ID, request_id);
    }
    if let Ok(parent) = HeaderValue::try_from(parent.to_string()) {
        headers.insert(TRACEPARENT, parent);
    }
}

/// Records a client that leaves before it is known who asks: then no call has begun that could be cancelled.
pub(super) struct Leaving<'a> {
    pub(super) admission: &'a Arc<Inner>,
    pub(super) parts: &'a Parts,
    pub(super) arrival: &'a Arrival,
    pub(super) is_armed: bool,
}

impl Leaving<'_> {
    pub(super) fn disarm(mut self) {
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
            let event = event.input("method", self.arrival.method).input("route", &*self.arrival.route);
            // In a destructor nothing may wait: what finds no room is counted instead.
            if event.code(codes::DISCONNECTED).try_record().is_err() {
                unauthenticated.suppress(codes::DISCONNECTED.name());
            }
        }
    }
}
