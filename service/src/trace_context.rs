//! W3C Trace Context and `x-request-id`: what came in, and what goes out.
//!
//! What goes out is well-formed whatever came in: a malformed `traceparent` or `x-request-id` is replaced, a
//! malformed `tracestate` dropped, and each is counted. <https://www.w3.org/TR/trace-context/>

use std::collections::HashSet;
use std::fmt;

use dataset_events::{RequestId, TraceParent};
use http::{HeaderMap, HeaderName, HeaderValue};

/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `x-request-id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_MEMBERS: usize = 32;
const MAX_STATE_BYTES: usize = 512;

/// A well-formed `tracestate`: at most 32 members, 512 bytes, no key twice.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(HeaderValue);

impl TraceState {
    /// Reads all `tracestate` headers as one list; `None` when it is empty or malformed.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers).ok().flatten()
    }

    fn parse(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let mut joined = String::new();
        let mut keys = HashSet::new();
        for value in headers.get_all(TRACESTATE) {
            let text = value.to_str().map_err(|_| Malformed)?;
            for member in text.split(',') {
                let member = member.trim_matches([' ', '\t']);
                if member.is_empty() {
                    continue;
                }
                let (key, value) = member.split_once('=').ok_or(Malformed)?;
                if !is_key(key) || !is_value(value) || keys.len() == MAX_MEMBERS || !keys.insert(key) {
                    return Err(Malformed);
                }
                if !joined.is_empty() {
                    joined.push(',');
                }
                joined.push_str(member);
                if joined.len() > MAX_STATE_BYTES {
                    return Err(Malformed);
                }
            }
        }
        if joined.is_empty() {
            return Ok(None);
        }
        HeaderValue::try_from(joined).map(|value| Some(Self(value))).map_err(|_| Malformed)
    }

    /// As a header's value.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceState({:?})", self.0)
    }
}

struct Malformed;

/// `simple-key / tenant-id "@" system-id`; a digit may begin a simple key since level 2.
fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        Some((tenant, system)) => is_key_part(tenant, 241, true) && is_key_part(system, 14, false),
        None => is_key_part(key, 256, true),
    }
}

fn is_key_part(text: &str, max_bytes: usize, may_begin_with_digit: bool) -> bool {
    let Some(first) = text.bytes().next() else { return false };
    text.len() <= max_bytes
        && (first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit()))
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
        })
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 256
        && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=')
        && !value.ends_with(' ')
}

/// The ids that a request brought, as far as they are well-formed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Incoming {
    /// The trace, the caller's span in it, and its flags.
    pub parent: Option<TraceParent>,
    /// The caller's `tracestate`; only with a parent.
    pub state: Option<TraceState>,
    /// The request id.
    pub request_id: Option<RequestId>,
}

impl Incoming {
    /// Reads the ids of a request. What is malformed, or given more than once, is left out and counted in
    /// `dataset_events_http_ids_replaced_total`.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut incoming = Self::default();
        match one(headers, &TRACEPARENT).map(|value| value.map(str::parse::<TraceParent>)) {
            Ok(None) => {}
            Ok(Some(Ok(parent))) => {
                incoming.parent = Some(parent);
                match TraceState::parse(headers) {
                    Ok(state) => incoming.state = state,
                    Err(Malformed) => replaced("tracestate"),
                }
            }
            Ok(Some(Err(_))) | Err(Malformed) => replaced("traceparent"),
        }
        match one(headers, &X_REQUEST_ID).map(|value| value.map(RequestId::new)) {
            Ok(None) => {}
            Ok(Some(Ok(request_id))) => incoming.request_id = Some(request_id),
            Ok(Some(Err(_))) | Err(Malformed) => replaced("x-request-id"),
        }
        incoming
    }
}

/// The text of a header that may be given once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed);
    }
    value.to_str().map(Some).map_err(|_| Malformed)
}

fn replaced(header: &'static str) {
    metrics::counter!("dataset_events_http_ids_replaced_total", "header" => header).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACESTATE, HeaderValue::from_static(value));
        }
        TraceState::read(&headers).map(|state| state.as_header().to_str().unwrap().to_owned())
    }

    #[test]
    fn the_bound_of_a_state_is_512_bytes() {
        let member = |key: &str, len: usize| -> &'static str {
            String::leak(format!("{key}={}", "x".repeat(len - key.len() - 1)))
        };
        assert_eq!(state(&[member("a", 256), member("b", 255)]).unwrap().len(), 512);
        assert_eq!(state(&[member("a", 256), member("b", 256)]), None);
    }

    #[test]
    fn a_system_id_begins_with_a_letter() {
        assert_eq!(state(&["1a@b=1"]).as_deref(), Some("1a@b=1"));
        assert_eq!(state(&["a@1b=1"]), None);
    }
}
