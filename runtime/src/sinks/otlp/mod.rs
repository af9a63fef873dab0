//! OpenTelemetry log records, for a collector; over HTTP with protobuf.
//!
//! **What is written**: one log record for each entry, with the exact line as its body. Of an event, time, trace and
//! the attributes that OpenTelemetry has names for are beside it (`docs/formats.md`, "Names elsewhere"); tenant, env
//! and service are attributes of the resource.
//!
//! **When it is durable**: a collector answers when it has taken a request. Whether it, or what is behind it, still has
//! it after a crash is a matter of its own queues.
//!
//! **At least once**: a collector knows no keys, so that a request whose answer got lost is there twice. Whoever reads
//! tells repeats by `audit.record.id`.
//!
//! **When it is full or away**: `429`, `5xx`, refused credentials and no answer at all are tried again, not before the
//! collector's `Retry-After` (in seconds). Any other `4xx` stops the sink. A request that is too large for the collector (`413`) is sent in halves.
//!
//! **Records that a collector refuses** while it takes the rest of a request: it tells how many, not which, and must
//! not be asked again. All of the request become dead letters, with that reason.
//!
//! It is not read back from: OpenTelemetry has no interface for that.

mod encoder;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

pub use self::settings::{InvalidOtlp, OtlpSettings};
use self::transport::{Answer, Http, Transport};
use super::{Ack, Entry, Rejected, Sink, SinkError, SinkStart};

/// The longest that a collector's `Retry-After` is heeded.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// An entry and its place in its batch.
type Placed<'a> = (usize, &'a Entry);

/// A sink that sends log records to a collector.
pub struct OtlpSink {
    settings: OtlpSettings,
    transport: Option<Box<dyn Transport>>,
    /// Until when the collector wants to be left alone.
    not_before: Option<Instant>,
}

impl OtlpSink {
    /// A sink that has not connected yet.
    pub fn new(settings: OtlpSettings) -> Self {
        Self { settings, transport: None, not_before: None }
    }

    #[cfg(test)]
    fn with_transport(settings: OtlpSettings, transport: Box<dyn Transport>) -> Self {
        Self { settings, transport: Some(transport), not_before: None }
    }

    fn attempted(&self) -> String {
        format!("send log records to {}", self.settings.address())
    }

    /// Sends entries, each with its place in the batch, in as many requests as they need. Those before one that failed
    /// come again with the rest.
    fn send(&mut self, entries: &[Placed<'_>], rejected: &mut Vec<Rejected>) -> Result<(), SinkError> {
        let Some((first, _)) = entries.first() else { return Ok(()) };
        let request = encoder::request(entries.iter().map(|(_, entry)| *entry)).encode_to_vec();
        if request.len() > self.settings.max_request_bytes && entries.len() > 1 {
            return self.send_halves(entries, rejected);
        }
        let attempted = self.attempted();
        let Some(transport) = &mut self.transport else {
            return Err(SinkError::reopen(attempted, "it is not open"));
        };
        let answer = transport.send(request).map_err(|error| SinkError::retry(attempted.clone(), error))?;
        match answer.status {
            200..=299 => {
                rejected.extend(refused(&answer, entries));
                Ok(())
            }
            413 if entries.len() > 1 => self.send_halves(entries, rejected),
            413 => {
                rejected.push(Rejected::new(
                    *first,
                    format!("the collector finds it too large: {}", said(&answer)),
                ));
                Ok(())
            }
            // Credentials can be put right on the other side.
            401 | 403 | 407 => {
                let hint = format!("{attempted}: it refuses the credentials; look at `headers`");
                Err(SinkError::retry(hint, said(&answer)))
            }
            408 | 429 | 500..=599 => {
                let pause = answer.retry_after.map(|pause| pause.min(LONGEST_PAUSE));
                self.not_before = pause.and_then(|pause| Instant::now().checked_add(pause));
                Err(SinkError::retry(attempted, said(&answer)))
            }
            _ => {
                let hint =
                    format!("{attempted}: it does not take them; is this the address of an OTLP collector?");
                Err(SinkError::fatal(hint, said(&answer)))
            }
        }
    }

    fn send_halves(&mut self, entries: &[Placed<'_>], rejected: &mut Vec<Rejected>) -> Result<(), SinkError> {
        let (left, right) = entries.split_at(entries.len() / 2);
        self.send(left, rejected)?;
        self.send(right, rejected)
    }
}

impl std::fmt::Debug for OtlpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Sink for OtlpSink {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn target(&self) -> String {
        self.settings.address().to_owned()
    }

    fn open(&mut self, _: &SinkStart<'_>) -> Result<(), SinkError> {
        if self.transport.is_none() {
            let http = Http::new(self.settings.clone());
            let http = http.map_err(|error| SinkError::retry("make an HTTP client", error))?;
            self.transport = Some(Box::new(http));
        }
        Ok(())
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let pause = self.not_before.and_then(|until| until.checked_duration_since(Instant::now()));
        if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
            let reason = format!("the collector asks to be left alone for another {} s", pause.as_secs() + 1);
            return Err(SinkError::retry(self.attempted(), reason));
        }
        self.not_before = None;
        let is_text = |(_, entry): &Placed<'_>| std::str::from_utf8(entry.bytes()).is_ok();
        let (texts, others): (Vec<_>, Vec<_>) = batch.iter().enumerate().partition(is_text);
        let mut rejected: Vec<_> =
            others.iter().map(|(index, _)| Rejected::new(*index, "its bytes are no UTF-8")).collect();
        self.send(&texts, &mut rejected)?;
        rejected.sort_by_key(|rejected| rejected.index);
        Ok(Ack::all().with_rejected(rejected))
    }
}

/// What a request lacks at the collector although it was answered with success.
fn refused(answer: &Answer, sent: &[Placed<'_>]) -> Vec<Rejected> {
    let Ok(ExportLogsServiceResponse { partial_success: Some(partial) }) =
        ExportLogsServiceResponse::decode(&*answer.body)
    else {
        return Vec::new();
    };
    let count = usize::try_from(partial.rejected_log_records).unwrap_or(0);
    if count == 0 {
        return Vec::new();
    }
    let message = shortened(&partial.error_message);
    let records = sent.len();
    let reason = if count >= records {
        format!("the collector refuses it: {message}")
    } else {
        format!(
            "the collector refuses {count} of the {records} records of a request, does not say which, and has the \
             others: {message}"
        )
    };
    sent.iter().map(|(index, _)| Rejected::new(*index, reason.clone())).collect()
}

/// An answer in words.
fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    // Errors of collectors are protobuf or JSON with a text in it.
    let text: String = text.chars().filter(|char| !char.is_control() && *char != '\u{fffd}').collect();
    format!("it answers {} {}", answer.status, shortened(&text)).trim_end().to_owned()
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
