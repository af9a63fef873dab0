//! The one form of every failure: an error with a code becomes a JSON envelope with its status.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use dataset_events::{Code, ErrorCode, RequestContext};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::codes;

/// The code of a panic in the envelope. The event of the request has outcome `panic` instead.
const PANIC: &str = "internal";

/// A failure on its way to the client.
///
/// Made from any error with a code, so that `?` in a handler is enough. The message of the error is shown when
/// the status is a 4xx; the message of a 5xx says nothing of the inside.
///
/// ```
/// use dataset_events::ErrorCode;
/// use dataset_events_service::ApiError;
///
/// #[derive(Debug, ErrorCode, thiserror::Error)]
/// enum OrderError {
///     #[error("an order needs at least one line")]
///     #[code("orders.empty", status = 422)]
///     Empty,
///     #[error("row 17 of /var/db is damaged")]
///     #[code("orders.internal")]
///     Damaged,
/// }
///
/// let shown = ApiError::from(OrderError::Empty);
/// assert_eq!((shown.code(), shown.message()), ("orders.empty", "an order needs at least one line"));
/// let hidden = ApiError::from(OrderError::Damaged);
/// assert_eq!((hidden.code(), hidden.message()), ("orders.internal", "the service failed"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "an error is answered by returning it"]
pub struct ApiError {
    /// What the event says.
    recorded: Code,
    /// What the envelope says, where that is not the recorded name.
    shown: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    details: Option<Value>,
}

impl ApiError {
    /// The failure that this error is.
    pub fn from_error<E: ErrorCode + fmt::Display + ?Sized>(error: &E) -> Self {
        let code = error.code();
        let message = match code.http_status() {
            500.. => Cow::Borrowed(hidden_message(code.http_status())),
            _ => Cow::Owned(error.to_string()),
        };
        Self { recorded: code, shown: None, message, details: None }
    }

    /// A failure with this code and message. A literal has nothing of the inside, so it is shown whatever the
    /// status.
    pub fn new(code: Code, message: &'static str) -> Self {
        Self { recorded: code, shown: None, message: Cow::Borrowed(message), details: None }
    }

    /// As [`new`](Self::new), with a message that is made at run time; hidden when the status is a 5xx.
    pub(crate) fn with_text(code: Code, message: String) -> Self {
        let status = code.http_status();
        let message = if status >= 500 { hidden_message(status).into() } else { Cow::Owned(message) };
        Self { recorded: code, shown: None, message, details: None }
    }

    /// What a client hears of a panic.
    pub(crate) fn panicked() -> Self {
        Self { shown: Some(Cow::Borrowed(PANIC)), ..Self::new(codes::SERVER_ERROR, "the service failed") }
    }

    /// A failure that shows another code than the one that is recorded: one that came from another service.
    pub(crate) fn shown_as(mut self, code: String) -> Self {
        self.shown = Some(Cow::Owned(code));
        self
    }

    /// The same failure with details for the client. They are shown as they are, whatever the status.
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The code in the envelope.
    pub fn code(&self) -> &str {
        self.shown.as_deref().unwrap_or(self.recorded.name())
    }

    /// The code in the event of the request.
    pub fn recorded_code(&self) -> Code {
        self.recorded
    }

    /// The message in the envelope.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.recorded.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn body(&self, ids: Option<&RequestContext>) -> Vec<u8> {
        let trace_id = ids.map(|ctx| ctx.trace_id().to_string());
        let envelope = Envelope {
            error: Inner {
                code: self.code(),
                message: &self.message,
                request_id: ids.map(|ctx| ctx.request_id().as_str()),
                trace_id: trace_id.as_deref(),
                retryable: self.recorded.is_retryable(),
                details: self.details.as_ref(),
            },
        };
        // Strings, a flag and a JSON value have no way to fail.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }

    /// The answer, with the ids of a request.
    pub(crate) fn response(self, ids: Option<&RequestContext>) -> Response {
        let mut response = Response::new(Body::from(self.body(ids)));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}

/// The form of a failure on the wire.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
    request_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    retryable: bool,
    details: Option<&'a Value>,
}

fn hidden_message(status: u16) -> &'static str {
    match status {
        503 => "the service cannot take the request at the moment: try again later",
        504 => "the service did not answer in time",
        _ => "the service failed",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.response(None)
    }
}

// No `ErrorCode` for `ApiError`: this conversion would meet `From<T> for T`.
impl<E: ErrorCode + fmt::Display> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::from_error(&error)
    }
}

/// Marks an answer as an envelope.
#[derive(Clone)]
struct Failure(Arc<ApiError>);

/// The code that an answer is recorded with; `None` when it is a success.
pub(crate) fn code_of(response: &Response) -> Option<Code> {
    response.extensions().get::<Failure>().map(|failure| failure.0.recorded)
}

/// Puts the ids of a request into a failure, and makes an envelope of one that is none.
///
/// Headers are kept, those aside that speak of the old body. With `keeps_foreign` the body of a route's own
/// failure is kept too, and the event has its code all the same.
pub(crate) fn complete(
    mut response: Response,
    ctx: &RequestContext,
    has_route: bool,
    keeps_foreign: bool,
) -> Response {
    let status = response.status().as_u16();
    if status < 400 {
        return response;
    }
    // The router's own answers have no body to keep.
    let is_of_the_router = !has_route || status == 405;
    if keeps_foreign && !is_of_the_router && code_of(&response).is_none() {
        let failure = Failure(Arc::new(foreign(response.status(), has_route)));
        response.extensions_mut().insert(failure);
        return response;
    }
    let error = match response.extensions().get::<Failure>() {
        Some(failure) => Arc::clone(&failure.0),
        None => Arc::new(foreign(response.status(), has_route)),
    };
    let (mut parts, _) = response.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::ETAG, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Body::from(error.body(Some(ctx)));
    parts.extensions.insert(Failure(error));
    Response::from_parts(parts, body)
}

/// The failure that an answer without an envelope stands for.
fn foreign(status: StatusCode, has_route: bool) -> ApiError {
    match status.as_u16() {
        404 if !has_route => ApiError::new(codes::ROUTE_NOT_FOUND, "no route fits this path"),
        405 => ApiError::new(codes::METHOD_NOT_ALLOWED, "the route has no such method: see `Allow`"),
        number @ 400..=499 => ApiError::new(
            codes::CLIENT_ERROR.status(number),
            status.canonical_reason().unwrap_or("the request was refused"),
        ),
        number @ 500..=599 => ApiError::new(codes::SERVER_ERROR.status(number), hidden_message(number)),
        _ => ApiError::new(codes::SERVER_ERROR, hidden_message(500)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_out_of_range_is_a_server_error() {
        let status = StatusCode::from_u16(999).unwrap();
        assert_eq!(foreign(status, true).code(), "http.server_error");
    }

    #[test]
    fn a_missing_thing_is_not_a_missing_route() {
        assert_eq!(foreign(StatusCode::NOT_FOUND, true).code(), "http.client_error");
        assert_eq!(foreign(StatusCode::NOT_FOUND, false).code(), "http.route_not_found");
    }
}
