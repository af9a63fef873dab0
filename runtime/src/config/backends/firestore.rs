//! The keys of Firestore sinks.

use std::time::Duration;

use super::google::credentials;
use super::{Settings, count};
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::firestore::{FirestoreSettings, FirestoreSink};

/// Settings once there is a project.
#[derive(Debug)]
pub(crate) struct Draft(Option<FirestoreSettings>);

impl Draft {
    fn map(self, set: impl FnOnce(FirestoreSettings) -> FirestoreSettings) -> Self {
        Self(self.0.map(set))
    }
}

const SECOND: Duration = Duration::from_secs(1);

impl Settings for Draft {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "project",
            takes: Takes::Text(|_, project| Self(Some(FirestoreSettings::new(project)))),
            default: "",
            what: "The project of the database",
        },
        Key {
            name: "database",
            takes: Takes::Text(|draft, database| draft.map(|settings| settings.database(database))),
            default: "(default)",
            what: "The database, which should hold nothing else",
        },
        Key {
            name: "emulator",
            takes: Takes::Text(|draft, host_and_port| draft.map(|settings| settings.emulator(host_and_port))),
            default: "",
            what: "Host and port of an emulator in place of the service, reached without TLS",
        },
        Key {
            name: "credentials",
            takes: Takes::Text(|draft, text| draft.map(|settings| settings.credentials(credentials(&text)))),
            default: "",
            what: "`application_default`, `emulator`, `anonymous`, or the path of a credentials file; without it, the \
                   first, with an emulator the second",
        },
        Key {
            name: "expire_after",
            takes: Takes::Time {
                min: SECOND,
                max: Duration::from_secs(36_500 * 86_400),
                set: |draft, time| draft.map(|settings| settings.expire_after(time)),
            },
            default: "",
            what: "Writes a field `expires_at` for a TTL policy, so long behind `recorded_at`; without it, there is none",
        },
        Key {
            name: "connect_timeout",
            takes: Takes::Time {
                min: SECOND,
                max: Duration::from_secs(600),
                set: |draft, time| draft.map(|settings| settings.connect_timeout(time)),
            },
            default: "10s",
            what: "How long connecting may take",
        },
        Key {
            name: "request_timeout",
            takes: Takes::Time {
                min: SECOND,
                max: Duration::from_secs(600),
                set: |draft, time| draft.map(|settings| settings.request_timeout(time)),
            },
            default: "30s",
            what: "How long one request may take",
        },
        Key {
            name: "requests_in_flight",
            takes: Takes::Count {
                min: 1,
                max: 16,
                set: |draft, requests| draft.map(|settings| settings.requests_in_flight(count(requests))),
            },
            default: "4",
            what: "How many requests of one batch are under way together",
        },
        Key {
            name: "max_request_writes",
            takes: Takes::Count {
                min: 1,
                max: 500,
                set: |draft, writes| draft.map(|settings| settings.max_request_writes(count(writes))),
            },
            default: "500",
            what: "How many documents one request writes at most",
        },
    ];
    const NEEDS: &'static [&'static str] = &["project"];

    fn start() -> Self {
        Self(None)
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        match self.0 {
            Some(settings) => Ok(Box::new(FirestoreSink::new(settings))),
            None => Err("it lacks its `project`".to_owned()),
        }
    }
}

#[cfg(test)]
impl Draft {
    /// One with a project, so that the other keys show.
    pub(crate) fn tested() -> Self {
        Self(Some(FirestoreSettings::new("shop")))
    }
}
