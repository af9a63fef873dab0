//! The keys of OpenTelemetry sinks.

use std::time::Duration;

use super::Settings;
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::otlp::{OtlpSettings, OtlpSink};

/// Settings once there is an address.
#[derive(Debug)]
pub(crate) struct Draft(Option<OtlpSettings>);

impl Draft {
    fn map(self, set: impl FnOnce(OtlpSettings) -> OtlpSettings) -> Self {
        Self(self.0.map(set))
    }
}

impl Settings for Draft {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "url",
            takes: Takes::Address(|_, address| {
                OtlpSettings::new(&address)
                    .map(|settings| Self(Some(settings)))
                    .map_err(|error| error.to_string())
            }),
            default: "",
            what: "The collector: `http` or `https`; without a path, `/v1/logs` is put behind it",
        },
        Key {
            name: "headers",
            takes: Takes::Secrets {
                is_dashed: true,
                set: |draft, headers| {
                    let set = |settings: OtlpSettings| {
                        headers
                            .iter()
                            .try_fold(settings, |settings, (name, value)| settings.header(name, value))
                    };
                    draft.0.map(set).transpose().map(Self).map_err(|error| error.to_string())
                },
            },
            default: "",
            what: "Sent with each request: keys and tokens",
        },
        Key {
            name: "timeout",
            takes: Takes::Time {
                min: Duration::from_millis(100),
                max: Duration::from_secs(600),
                set: |draft, timeout| draft.map(|settings| settings.timeout(timeout)),
            },
            default: "10s",
            what: "How long a request may take, its answer included",
        },
        Key {
            name: "max_request_bytes",
            takes: Takes::Size {
                min: 64 << 10,
                max: 64 << 20,
                set: |draft, bytes| {
                    draft.map(|settings| {
                        settings.max_request_bytes(usize::try_from(bytes).unwrap_or(usize::MAX))
                    })
                },
            },
            default: "4MiB",
            what: "How large a request may be; a batch that is larger is sent in parts",
        },
    ];
    const NEEDS: &'static [&'static str] = &["url"];

    fn start() -> Self {
        Self(None)
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        match self.0 {
            Some(settings) => Ok(Box::new(OtlpSink::new(settings))),
            None => Err("it lacks its `url`".to_owned()),
        }
    }
}

#[cfg(test)]
impl Draft {
    /// One with an address, so that the other keys show.
    pub(crate) fn tested() -> Self {
        Self(OtlpSettings::new("http://collector:4318").ok())
    }
}
