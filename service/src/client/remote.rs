//! A failure that another service answered.

use std::fmt;

use dataset_events::{Code, ErrorCode};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::codes;
use crate::envelope::ApiError;

const MAX_MESSAGE_BYTES: usize = 1_024;

/// A failure that another service answered, read from its envelope.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RemoteError {
    /// The code; `http.client_error` or `http.server_error` when the answer is no envelope.
    pub code: String,
    /// The status.
    pub status: StatusCode,
    /// The message, cut at 1 KiB.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The other side's request id.
    pub request_id: Option<String>,
    /// The details.
    pub details: Option<Value>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    details: Option<Value>,
}

impl RemoteError {
    const REFUSED: Code = Code::new("remote.refused").status(422);
    const FAILED: Code = Code::new("remote.failed").status(502);
    const UNAVAILABLE: Code = Code::new("remote.unavailable").status(503).retryable(true);
    /// The other side does not take this service's own credentials.
    const NOT_TRUSTED: Code = Code::new("remote.not_trusted").status(502);

    /// Reads an answer; `None` when its status is no failure.
    pub fn from_answer(status: StatusCode, body: &[u8]) -> Option<Self> {
        if !(status.is_client_error() || status.is_server_error()) {
            return None;
        }
        let envelope = serde_json::from_slice::<Envelope>(body).ok().map(|envelope| envelope.error);
        let Some(inner) = envelope.filter(|inner| is_code(&inner.code)) else {
            let code = if status.is_client_error() { codes::CLIENT_ERROR } else { codes::SERVER_ERROR };
            return Some(Self {
                code: code.name().to_owned(),
                status,
                message: "the answer is no envelope".to_owned(),
                retryable: matches!(status.as_u16(), 429 | 503 | 504),
                request_id: None,
                details: None,
            });
        };
        let mut message = inner.message;
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        Some(Self {
            code: inner.code,
            status,
            message,
            retryable: inner.retryable,
            request_id: inner.request_id,
            details: inner.details,
        })
    }

    /// The same failure for this service's own client.
    ///
    /// A refusal goes on with its code, status, message and details. A failure of the other side is 502 or 503,
    /// and so is a refusal of this service's own token.
    pub fn to_api_error(&self) -> ApiError {
        let code = self.code();
        if code.name() != Self::REFUSED.name() {
            return ApiError::from_error(self);
        }
        let error = ApiError::with_text(code, self.message.clone()).shown_as(self.code.clone());
        match &self.details {
            Some(details) => error.details(details.clone()),
            None => error,
        }
    }
}

/// A dotted name, or the one word of a panic.
fn is_code(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= 64 && text.split('.').all(is_part)
}

impl ErrorCode for RemoteError {
    fn code(&self) -> Code {
        match self.status.as_u16() {
            401 => Self::NOT_TRUSTED,
            403 if self.code.starts_with("auth.") => Self::NOT_TRUSTED,
            429 | 503 | 504 => Self::UNAVAILABLE,
            status @ 400..=499 => Self::REFUSED.status(status).retryable(self.retryable),
            _ => Self::FAILED.retryable(self.retryable),
        }
    }

    fn codes() -> &'static [Code] {
        &[Self::REFUSED, Self::FAILED, Self::UNAVAILABLE, Self::NOT_TRUSTED]
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the other service answered {} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}

impl std::error::Error for RemoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_goes_on_and_a_failure_becomes_this_services_own() {
        let body =
            br#"{"error":{"code":"budget.threshold_exceeded","message":"too much","retryable":false}}"#;
        let refused = RemoteError::from_answer(StatusCode::PAYMENT_REQUIRED, body).unwrap();
        let shown = refused.to_api_error();
        assert_eq!((shown.code(), shown.message()), ("budget.threshold_exceeded", "too much"));
        assert_eq!((shown.status().as_u16(), shown.recorded_code().name()), (402, "remote.refused"));
        let body = br#"{"error":{"code":"internal","message":"row 17","retryable":false}}"#;
        let failed =
            RemoteError::from_answer(StatusCode::INTERNAL_SERVER_ERROR, body).unwrap().to_api_error();
        assert_eq!((failed.code(), failed.message()), ("remote.failed", "the service failed"));
    }

    #[test]
    fn a_refused_service_token_is_no_fault_of_the_client() {
        let body = br#"{"error":{"code":"auth.token_expired","message":"expired"}}"#;
        let error = RemoteError::from_answer(StatusCode::UNAUTHORIZED, body).unwrap();
        assert_eq!(error.to_api_error().status().as_u16(), 502);
    }

    #[test]
    fn whatever_is_no_envelope_has_a_code_all_the_same() {
        for body in
            [&b"<html>"[..], br#"{"error":{"code":"Not A Code","message":"x"}}"#, br#"{"error":7}"#, b""]
        {
            let error = RemoteError::from_answer(StatusCode::BAD_GATEWAY, body).unwrap();
            assert_eq!(error.code, "http.server_error");
        }
        assert_eq!(RemoteError::from_answer(StatusCode::OK, b""), None);
    }
}
