//! The W3C `traceparent`: the trace of a request, and the span that caused it.

use std::fmt;
use std::str::FromStr;

use crate::ids::{InvalidId, InvalidIdReason, SpanId, TraceId, decode_hex};

/// What a W3C `traceparent` header says. <https://www.w3.org/TR/trace-context/#traceparent-header>
///
/// Reads version 00, and the same fields of later versions; writes version 00.
///
/// ```
/// # use dataset_events::TraceParent;
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = header.parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), header);
/// # Ok::<_, dataset_events::InvalidId>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
}

const SAMPLED: u8 = 1;
/// The second half of the trace id is random (level 2 of the specification).
const RANDOM: u8 = 2;

impl TraceParent {
    /// Names a span of a trace as the parent of what follows.
    pub const fn new(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> Self {
        Self { trace_id, span_id, flags: if is_sampled { SAMPLED } else { 0 } }
    }

    /// The trace.
    pub const fn trace_id(self) -> TraceId {
        self.trace_id
    }

    /// The caller's span.
    pub const fn span_id(self) -> SpanId {
        self.span_id
    }

    /// Whether the caller records its spans. It has no influence on what is recorded here.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags byte: bit 0 is `sampled`, bit 1 is `random`; all others are 0, whatever came in.
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// The same trace and flags with another span: what is sent on from inside that span.
    #[must_use]
    pub const fn with_span(self, span_id: SpanId) -> Self {
        Self { span_id, ..self }
    }

    /// The current OpenTelemetry span; `None` where there is none, or it has no valid ids.
    #[cfg(feature = "opentelemetry")]
    pub fn of_opentelemetry() -> Option<Self> {
        use opentelemetry::trace::TraceContextExt as _;
        opentelemetry::Context::map_current(|context| {
            if !context.has_active_span() {
                return None;
            }
            let span = context.span().span_context().clone();
            let trace_id = TraceId::from_bytes(span.trace_id().to_bytes())?;
            let span_id = SpanId::from_bytes(span.span_id().to_bytes())?;
            Some(Self::new(trace_id, span_id, span.is_sampled()))
        })
    }
}

fn parse(header: &str) -> Option<TraceParent> {
    let bytes = header.as_bytes();
    if bytes.len() < 55 || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
        return None;
    }
    let version = decode_hex::<1>(header.get(0..2)?)?[0];
    if version == 0xff || (version == 0 && bytes.len() != 55) || (bytes.len() > 55 && bytes[55] != b'-') {
        return None;
    }
    let flags = decode_hex::<1>(header.get(53..55)?)?[0];
    Some(TraceParent {
        trace_id: header.get(3..35)?.parse().ok()?,
        span_id: header.get(36..52)?.parse().ok()?,
        // Of a later version only `sampled` is known to mean the same.
        flags: flags & if version == 0 { SAMPLED | RANDOM } else { SAMPLED },
    })
}

impl FromStr for TraceParent {
    type Err = InvalidId;
    fn from_str(header: &str) -> Result<Self, InvalidId> {
        parse(header).ok_or(InvalidId {
            what: "traceparent",
            reason: InvalidIdReason::NotHex { digits: 55 },
            len_bytes: header.len(),
        })
    }
}

impl TryFrom<&str> for TraceParent {
    type Error = InvalidId;
    fn try_from(header: &str) -> Result<Self, InvalidId> {
        header.parse()
    }
}

impl TryFrom<&String> for TraceParent {
    type Error = InvalidId;
    fn try_from(header: &String) -> Result<Self, InvalidId> {
        header.parse()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn traceparent_follows_the_specification() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parse(&good).unwrap().trace_id().to_string(), TRACE);
        assert!(parse(&format!("01-{TRACE}-00f067aa0ba902b7-01-later")).is_some());
        for bad in [
            String::new(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-x"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-00f067aa0ba902b7-0g"),
            format!("01-{TRACE}-00f067aa0ba902b7-01.later"),
            format!("00_{TRACE}-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(
                bad.parse::<TraceParent>().unwrap_err().code(),
                "context.invalid_traceparent",
                "{bad}"
            );
        }
    }

    #[test]
    fn what_goes_out_is_version_00_with_known_flags() {
        for (sent, flags) in [("00", "ff"), ("00", "01"), ("cc", "ff")]
            .map(|(version, flags)| (format!("{version}-{TRACE}-00f067aa0ba902b7-{flags}"), (version, flags)))
        {
            let parent: TraceParent = sent.parse().unwrap();
            let expected = match flags {
                ("00", "ff") => "03",
                _ => "01",
            };
            assert_eq!(parent.to_string(), format!("00-{TRACE}-00f067aa0ba902b7-{expected}"));
        }
    }

    #[cfg(feature = "opentelemetry")]
    #[test]
    fn the_current_opentelemetry_span_is_the_parent_when_no_trace_was_given() {
        use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
        let otel_trace = opentelemetry::trace::TraceId::from_hex(TRACE).unwrap();
        let otel_span = opentelemetry::trace::SpanId::from_hex("00f067aa0ba902b7").unwrap();
        let span = SpanContext::new(otel_trace, otel_span, TraceFlags::SAMPLED, true, TraceState::default());
        let attached = opentelemetry::Context::new().with_remote_span_context(span).attach();
        let ctx = crate::RequestContext::builder("acme", "prod").build().unwrap();
        assert_eq!(ctx.trace_id().to_string(), TRACE);
        assert_eq!(ctx.parent_span_id().unwrap().to_string(), "00f067aa0ba902b7");
        assert!(!ctx.is_trace_id_synthesized());
        let given = crate::id_source::trace_id(None);
        let ctx = crate::RequestContext::builder("acme", "prod").trace_id(given).build().unwrap();
        assert_eq!((ctx.trace_id(), ctx.parent_span_id()), (given, None));
        drop(attached);
        let ctx = crate::RequestContext::builder("acme", "prod").build().unwrap();
        assert!(ctx.is_trace_id_synthesized() && ctx.parent_span_id().is_none());
    }
}
