//! Bounds on a request: the size of its body, the time to read it, the time to answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use dataset_events::Code;
use futures::{FutureExt as _, Stream, StreamExt as _};
use http::{HeaderMap, Method, header};
use tokio::time::{Instant, Sleep};

use crate::by_route::{ByRoute, Methods, limited_as};
use crate::codes;
use crate::envelope::ApiError;
use crate::method::method_name;

/// The bounds of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    body_bytes: u64,
    body_time: Duration,
    answer_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// 1 MiB, 15 s to read it, 30 s to answer.
    pub const fn new() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            body_time: Duration::from_secs(15),
            answer_time: Duration::from_secs(30),
        }
    }

    /// The largest body, in bytes: 413 `http.body_too_large` above it.
    #[must_use]
    pub const fn body_bytes(mut self, bytes: u64) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// How long the body may take from the request's head on: 408 `http.body_timeout` after it. Counts only
    /// while the handler reads.
    #[must_use]
    pub const fn body_time(mut self, time: Duration) -> Self {
        self.body_time = time;
        self
    }

    /// How long the handler may take: 504 `http.timeout` after it. The handler is dropped, so that its open
    /// calls are recorded as `cancelled`.
    #[must_use]
    pub const fn answer_time(mut self, time: Duration) -> Self {
        self.answer_time = time;
        self
    }

    pub(crate) fn time_to_answer(&self) -> Duration {
        self.answer_time
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (body, answer) = (self.body_time.as_secs_f64(), self.answer_time.as_secs_f64());
        match self.body_bytes {
            bytes if bytes >= 1024 * 1024 && bytes % (1024 * 1024) == 0 => {
                write!(f, "{} MiB in {body} s", bytes / (1024 * 1024))?;
            }
            bytes if bytes >= 1024 && bytes % 1024 == 0 => write!(f, "{} KiB in {body} s", bytes / 1024)?,
            bytes => write!(f, "{bytes} B in {body} s")?,
        }
        write!(f, ", {answer} s to answer")
    }
}

/// Which bounds hold on which route.
#[derive(Debug, Clone, Default)]
pub struct RouteLimits {
    default: Limits,
    by_route: ByRoute<Limits>,
}

impl RouteLimits {
    /// These bounds on every route that has none of its own.
    pub fn new(default: Limits) -> Self {
        Self { default, by_route: ByRoute::default() }
    }

    /// Bounds for a template: for all of its methods that have none of their own.
    #[must_use]
    pub fn route(mut self, template: impl Into<String>, limits: Limits) -> Self {
        self.by_route.set(Methods::Every, template.into(), limits);
        self
    }

    /// Bounds of its own for one method of a template. Those of `GET` hold for `HEAD` too.
    #[must_use]
    pub fn method_route(mut self, method: &Method, template: impl Into<String>, limits: Limits) -> Self {
        self.by_route.set(Methods::One(limited_as(method_name(method))), template.into(), limits);
        self
    }

    /// The bounds that hold on the methods of a template that have none of their own.
    pub fn of(&self, template: &str) -> Limits {
        self.by_route.of_template(template).copied().unwrap_or(self.default)
    }

    /// The bounds that hold on one method of a template.
    pub fn of_method(&self, method: &Method, template: &str) -> Limits {
        self.by_name(method_name(method), template)
    }

    pub(crate) fn by_name(&self, method: &'static str, template: &str) -> Limits {
        self.by_route.get(limited_as(method), template).map_or(self.default, |(_, limits)| *limits)
    }
}

const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;
const BROKEN: u8 = 3;

/// What became of a body, seen from outside of the handler that read it.
#[derive(Clone, Default)]
pub(crate) struct BodyVerdict(Arc<AtomicU8>);

impl BodyVerdict {
    /// The refusal that the answer must be, whatever the handler made of the broken body.
    pub(crate) fn refusal(&self) -> Option<ApiError> {
        match self.0.load(Ordering::Acquire) {
            TOO_LARGE => Some(too_large()),
            TOO_SLOW => Some(ApiError::new(codes::BODY_TIMEOUT, "the body did not arrive in time")),
            BROKEN => {
                Some(ApiError::new(codes::BODY_BROKEN, "the body broke off, or is not framed as HTTP says"))
            }
            _ => None,
        }
    }
}

fn too_large() -> ApiError {
    ApiError::new(codes::BODY_TOO_LARGE, "the body is larger than this route accepts")
}

/// Bounds a body; refuses at once one that says to be too large.
pub(crate) fn bound(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<(Body, BodyVerdict), ApiError> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limits.body_bytes) {
        return Err(too_large());
    }
    let verdict = BodyVerdict::default();
    let bounded = Bounded {
        stream: body.into_data_stream(),
        left: limits.body_bytes,
        deadline: Instant::now() + limits.body_time,
        sleep: None,
        verdict: verdict.clone(),
    };
    Ok((Body::from_stream(bounded), verdict))
}

struct Bounded {
    stream: BodyDataStream,
    left: u64,
    deadline: Instant,
    /// Made when the body is waited for: most bodies are there with their head.
    sleep: Option<Pin<Box<Sleep>>>,
    verdict: BodyVerdict,
}

impl Bounded {
    fn refuse(&self, verdict: u8, code: Code) -> Option<Result<Bytes, axum::Error>> {
        self.verdict.0.store(verdict, Ordering::Release);
        Some(Err(axum::Error::new(Refused(code))))
    }
}

#[derive(Debug)]
struct Refused(Code);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body was refused: {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Stream for Bounded {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.stream.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(bytes))) => match this.left.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    this.left = left;
                    Poll::Ready(Some(Ok(bytes)))
                }
                None => Poll::Ready(this.refuse(TOO_LARGE, codes::BODY_TOO_LARGE)),
            },
            Poll::Ready(Some(Err(error))) => {
                this.verdict.0.store(BROKEN, Ordering::Release);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let deadline = this.deadline;
                let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                match sleep.poll_unpin(cx) {
                    Poll::Ready(()) => Poll::Ready(this.refuse(TOO_SLOW, codes::BODY_TIMEOUT)),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}
