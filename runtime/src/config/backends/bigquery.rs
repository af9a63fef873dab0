//! The keys of BigQuery sinks.

use std::time::Duration;

use super::google::credentials;
use super::{Settings, count};
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::bigquery::{BigQuerySettings, BigQuerySink};

const DAY: Duration = Duration::from_secs(86_400);

impl Settings for BigQuerySettings {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "project",
            takes: Takes::Text(|mut settings, project| {
                settings.project = project;
                settings
            }),
            default: "",
            what: "The project of the dataset; it also pays for the queries",
        },
        Key {
            name: "dataset",
            takes: Takes::Text(|mut settings, dataset| {
                settings.dataset = dataset;
                settings
            }),
            default: "",
            what: "The dataset",
        },
        Key {
            name: "table",
            takes: Takes::Text(|settings, name| settings.table(name)),
            default: "events",
            what: "The table of events",
        },
        Key {
            name: "entries_table",
            takes: Takes::Text(|settings, name| settings.entries_table(name)),
            default: "ledger_entries",
            what: "The table of the other entries: identity, attempts, head tables, checkpoints",
        },
        Key {
            name: "location",
            takes: Takes::Text(|settings, location| settings.location(location)),
            default: "",
            what: "Where the dataset lies (`EU`), when BigQuery cannot find out by itself",
        },
        Key {
            name: "create_dataset",
            takes: Takes::Flag(|settings, create| settings.create_dataset(create)),
            default: "false",
            what: "Makes the dataset when it is not there",
        },
        Key {
            name: "partition_expiry",
            takes: Takes::Time {
                min: DAY,
                max: Duration::from_secs(36_500 * 86_400),
                set: Self::partition_expiry,
            },
            default: "",
            what: "How long rows are kept after the day of their call, in whole days; without it, for ever, or as the \
                   table has it",
        },
        Key {
            name: "rest_endpoint",
            takes: Takes::Address(|mut settings, address| {
                settings.rest_endpoint = Some(address);
                Ok(settings)
            }),
            default: "",
            what: "Another address of the REST interface, `http` or `https`; a host that is not under `googleapis.com` \
                   is another server",
        },
        Key {
            name: "storage_endpoint",
            takes: Takes::Address(|mut settings, address| {
                settings.storage_endpoint = Some(address);
                Ok(settings)
            }),
            default: "",
            what: "Another address of the Storage Write API; as `rest_endpoint`",
        },
        Key {
            name: "credentials",
            takes: Takes::Text(|settings, text| settings.credentials(credentials(&text))),
            default: "application_default",
            what: "`application_default`, `emulator`, `anonymous`, or the path of a credentials file",
        },
        Key {
            name: "timeout",
            takes: Takes::Time {
                min: Duration::from_secs(1),
                max: Duration::from_secs(600),
                set: Self::timeout,
            },
            default: "30s",
            what: "How long a call may take",
        },
        Key {
            name: "query_timeout",
            takes: Takes::Time {
                min: Duration::from_secs(1),
                max: Duration::from_secs(3_600),
                set: Self::query_timeout,
            },
            default: "2m",
            what: "How long a query may take, which is asked when it is unclear what is stored",
        },
        Key {
            name: "max_request_bytes",
            takes: Takes::Size {
                min: 64 << 10,
                max: 9 << 20,
                set: |settings, bytes| settings.max_request_bytes(count(bytes)),
            },
            default: "8MiB",
            what: "How large a request may be; BigQuery takes 10 MB",
        },
    ];
    const NEEDS: &'static [&'static str] = &["project", "dataset"];

    fn start() -> Self {
        Self::new("", "")
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        self.check()?;
        Ok(Box::new(BigQuerySink::new(self)))
    }
}
