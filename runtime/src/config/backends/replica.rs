//! The keys of replicas.

use std::time::Duration;

use super::{Settings, count};
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::replica::{ReplicaSettings, ReplicaSink};

/// Settings once there is a place.
#[derive(Debug)]
pub(crate) struct Draft(Option<ReplicaSettings>);

impl Settings for Draft {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "url",
            takes: Takes::Address(|_, place| {
                let settings = match place.contains("://") {
                    true => ReplicaSettings::url(&place).map_err(|error| error.to_string())?,
                    false => ReplicaSettings::directory(place),
                };
                Ok(Self(Some(settings)))
            }),
            default: "",
            what: "The place: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or a directory's path",
        },
        Key {
            name: "object_bytes",
            takes: Takes::Size {
                min: 64 << 10,
                max: 256 << 20,
                set: |draft, bytes| Self(draft.0.map(|settings| settings.object_bytes(count(bytes)))),
            },
            default: "8MiB",
            what: "The most bytes of the log in one object, but always a whole line",
        },
        Key {
            name: "request_timeout",
            takes: Takes::Time {
                min: Duration::from_millis(100),
                max: Duration::from_secs(3_600),
                set: |draft, timeout| Self(draft.0.map(|settings| settings.request_timeout(timeout))),
            },
            default: "30s",
            what: "How long one request may take, repeats by the client included",
        },
        Key {
            name: "options",
            takes: Takes::Secrets {
                is_dashed: false,
                set: |draft, options| {
                    let set = |settings: ReplicaSettings| {
                        options
                            .iter()
                            .try_fold(settings, |settings, (name, value)| settings.option(name, value))
                    };
                    draft.0.map(set).transpose().map(Self).map_err(|error| error.to_string())
                },
            },
            default: "",
            what: "Options of the store's client by their names in `object_store`: `aws_region`, `aws_endpoint`, ..; they \
                   go before the environment",
        },
    ];
    const NEEDS: &'static [&'static str] = &["url"];
    const REFUSES: &'static [(&'static str, &'static str)] =
        &[("surfaces", "a replica holds the log's own bytes, all of them")];

    fn start() -> Self {
        Self(None)
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        match self.0 {
            Some(settings) => Ok(Box::new(ReplicaSink::new(settings))),
            None => Err("it lacks its `url`".to_owned()),
        }
    }
}

#[cfg(all(test, feature = "replica-s3"))]
impl Draft {
    /// One with a place, so that the other keys show.
    pub(crate) fn tested() -> Self {
        Self(ReplicaSettings::url("s3://audit/shop").ok())
    }
}
