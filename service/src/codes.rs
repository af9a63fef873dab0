//! The codes of refusals and failures that belong to HTTP and not to an engine.

use dataset_events::Code;

/// The body is not JSON, or not of the expected form: 400.
pub const INVALID_BODY: Code = Code::new("http.invalid_body").status(400);
/// The body's media type is not the expected one: 415.
pub const UNSUPPORTED_MEDIA_TYPE: Code = Code::new("http.unsupported_media_type").status(415);
/// A parameter in the path is not of the expected form: 400.
pub const INVALID_PATH: Code = Code::new("http.invalid_path").status(400);
/// The query is not of the expected form: 400.
pub const INVALID_QUERY: Code = Code::new("http.invalid_query").status(400);
/// The body is larger than the route accepts: 413.
pub const BODY_TOO_LARGE: Code = Code::new("http.body_too_large").status(413);
/// The body did not arrive in time: 408.
pub const BODY_TIMEOUT: Code = Code::new("http.body_timeout").status(408).retryable(true);
/// The body broke off: 400.
pub const BODY_BROKEN: Code = Code::new("http.body_broken").status(400);
/// The handler did not answer in time: 504.
pub const TIMEOUT: Code = Code::new("http.timeout").status(504).retryable(true);
/// No route fits the path: 404.
pub const ROUTE_NOT_FOUND: Code = Code::new("http.route_not_found").status(404);
/// The route has no such method: 405.
pub const METHOD_NOT_ALLOWED: Code = Code::new("http.method_not_allowed").status(405);
/// A 4xx answer that brings no code of its own.
pub const CLIENT_ERROR: Code = Code::new("http.client_error").status(400);
/// A 5xx answer that brings no code of its own.
pub const SERVER_ERROR: Code = Code::new("http.server_error").status(500);
/// The client left before it was known who asks: no answer was sent.
pub const DISCONNECTED: Code = Code::new("http.disconnected").status(499);
/// More requests in the scope and route than its limit allows: 429.
pub const RATE_LIMITED: Code = Code::new("rate_limit.exceeded").status(429).retryable(true);

/// The service stops, and the request did not end within the deadline: 503.
pub const SHUTTING_DOWN: Code = Code::new("http.shutting_down").status(503).retryable(true);

/// The codes that the admission layer and the extractors can answer on every route, besides those of
/// [`AuthError`](crate::AuthError), and the envelope's `internal` of a panic, which has no code.
pub const EVERY_ROUTE: [Code; 12] = [
    INVALID_BODY,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_PATH,
    INVALID_QUERY,
    BODY_TOO_LARGE,
    BODY_TIMEOUT,
    BODY_BROKEN,
    TIMEOUT,
    CLIENT_ERROR,
    SERVER_ERROR,
    RATE_LIMITED,
    SHUTTING_DOWN,
];
