//! A user's side of the HTTP interface: requests with a token, answers with their codes, all of them counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataset_events::{SpanId, TraceId, TraceParent};
use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use thiserror::Error;

/// The services failed; a refusal is no such failure.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("make the HTTP client")]
    Build(#[source] reqwest::Error),
    #[error("{method} {path}")]
    Send {
        method: Method,
        path: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{method} {path} was answered {status} with code {code:?}")]
    Failed { method: Method, path: String, status: StatusCode, code: String },
    #[error("{method} {path} was answered {status} without an error code")]
    NoCode { method: Method, path: String, status: StatusCode },
    #[error("get random bytes for a trace id")]
    Entropy(#[from] getrandom::Error),
}

/// Sends the requests of all users over one pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

/// What became of the requests of a client, once none is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The head of an answer came back.
    pub(crate) answered: u64,
    /// The client left, or the connection broke, before that.
    pub(crate) cut: u64,
}

/// Whose request it is.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) token: Arc<str>,
    /// Whether the user's program sends a trace and a request id of its own.
    pub(crate) traces: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// 2xx, with its JSON; null where there is none.
    Ok(Value),
    /// 4xx, with the code of its envelope.
    Refused { code: String },
}

impl Answer {
    /// The JSON of a success.
    pub(crate) fn ok(self) -> Option<Value> {
        match self {
            Self::Ok(value) => Some(value),
            Self::Refused { .. } => None,
        }
    }

    /// Whether it was refused with this code.
    pub(crate) fn is_refused_with(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code } if code == expected)
    }
}

/// An answer that comes in pieces. Dropping it leaves before the end.
#[derive(Debug)]
pub(crate) struct Reply {
    response: reqwest::Response,
    path: String,
}

impl Reply {
    /// How many lines the next piece has; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<usize>, ClientError> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|source| ClientError::Send {
            method: Method::POST,
            path: self.path.clone(),
            source,
        })?;
        Ok(piece.map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()))
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Result<Self, ClientError> {
        // The gateway is on this machine, whatever proxy the environment names for the way out of it.
        let http = reqwest::Client::builder().no_proxy().build().map_err(ClientError::Build)?;
        Ok(Self { http, base: base.into(), sent: Arc::default(), answered: Arc::default() })
    }

    /// What became of the requests; complete when none is in flight.
    pub(crate) fn counts(&self) -> Counts {
        let answered = self.answered.load(Ordering::Relaxed);
        Counts { answered, cut: self.sent.load(Ordering::Relaxed).saturating_sub(answered) }
    }

    /// A request with a JSON body, and its answer.
    pub(crate) async fn json(
        &self,
        user: &User,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, ClientError> {
        let request = self.request(user, method.clone(), path)?.json(body);
        self.answer(request, method, path).await
    }

    /// A request without a body, and its answer.
    pub(crate) async fn get(&self, user: &User, path: &str) -> Result<Answer, ClientError> {
        let request = self.request(user, Method::GET, path)?;
        self.answer(request, Method::GET, path).await
    }

    /// A request with bytes of a declared media type, and its answer.
    pub(crate) async fn upload(
        &self,
        user: &User,
        path: &str,
        kind: Option<&'static str>,
        bytes: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let mut request = self.request(user, Method::POST, path)?.body(bytes);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        self.answer(request, Method::POST, path).await
    }

    /// A request whose answer is a stream of lines: counted when its head is there.
    pub(crate) async fn stream(&self, user: &User, path: &str) -> Result<Reply, ClientError> {
        let request = self.request(user, Method::POST, path)?;
        let response = self.send(request, Method::POST, path).await?;
        let status = response.status();
        if status.is_server_error() {
            let (method, path) = (Method::POST, path.to_owned());
            return Err(ClientError::Failed { method, path, status, code: String::new() });
        }
        Ok(Reply { response, path: path.to_owned() })
    }

    fn request(&self, user: &User, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&user.token);
        let request = request.header(USER_AGENT, HeaderValue::from_static("dataset-events-examples"));
        if !user.traces {
            return Ok(request);
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let (trace, rest) = bytes.split_at(16);
        let (span, rest) = rest.split_at(8);
        let trace_id = TraceId::from_bytes(trace.try_into().unwrap_or([1; 16]));
        let span_id = SpanId::from_bytes(span.try_into().unwrap_or([1; 8]));
        let request_id = u64::from_be_bytes(rest.try_into().unwrap_or_default());
        let request = request.header("x-request-id", format!("req-{request_id:016x}"));
        Ok(match (trace_id, span_id) {
            (Some(trace_id), Some(span_id)) => {
                request.header("traceparent", TraceParent::new(trace_id, span_id, true).to_string())
            }
            _ => request,
        })
    }

    async fn send(
        &self,
        request: RequestBuilder,
        method: Method,
        path: &str,
    ) -> Result<reqwest::Response, ClientError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let response = request.send().await;
        let response =
            response.map_err(|source| ClientError::Send { method, path: path.to_owned(), source })?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(response)
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        method: Method,
        path: &str,
    ) -> Result<Answer, ClientError> {
        let response = self.send(request, method.clone(), path).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|source| ClientError::Send {
            method: method.clone(),
            path: path.to_owned(),
            source,
        })?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(Answer::Ok(value));
        }
        let path = path.to_owned();
        let Some(code) = value["error"]["code"].as_str().map(str::to_owned) else {
            return Err(ClientError::NoCode { method, path, status });
        };
        if status.is_client_error() {
            Ok(Answer::Refused { code })
        } else {
            Err(ClientError::Failed { method, path, status, code })
        }
    }
}
