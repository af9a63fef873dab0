//! What the sink asks of a collector: one request, one answer.

use std::error::Error;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::settings::OtlpSettings;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// An answer of a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// At most 64 KiB of it.
    pub(super) body: Vec<u8>,
}

/// A collector, as far as the sink needs it. A call has its time limit, and nothing is tried again.
pub(super) trait Transport: Send {
    /// Sends a request. An error says that no answer came; the request may have arrived.
    fn send(&mut self, request: Vec<u8>) -> Result<Answer, Box<dyn Error + Send + Sync>>;
}

/// HTTP, with protobuf in its bodies.
pub(super) struct Http {
    runtime: Runtime,
    client: reqwest::Client,
    settings: OtlpSettings,
}

impl Http {
    pub(super) fn new(settings: OtlpSettings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &settings.headers {
            let mut value = reqwest::header::HeaderValue::from_str(value)?;
            value.set_sensitive(true);
            headers.insert(reqwest::header::HeaderName::from_bytes(name.as_bytes())?, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            // Headers hold secrets of this collector.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("dataset-events/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { runtime, client, settings })
    }
}

impl Transport for Http {
    fn send(&mut self, request: Vec<u8>) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let request = self
            .client
            .post(self.settings.url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/x-protobuf")
            .body(request);
        self.runtime.block_on(async move {
            let mut response = request.send().await?;
            let header = response.headers().get(reqwest::header::RETRY_AFTER);
            let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let mut answer = Answer {
                status: response.status().as_u16(),
                retry_after: seconds.map(Duration::from_secs),
                body: Vec::new(),
            };
            while let Some(chunk) = response.chunk().await? {
                let room = MAX_ANSWER_BYTES - answer.body.len();
                answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if answer.body.len() == MAX_ANSWER_BYTES {
                    break;
                }
            }
            Ok(answer)
        })
    }
}
