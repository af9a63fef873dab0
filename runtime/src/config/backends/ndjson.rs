//! The keys of sinks that write files of lines.

use std::path::Path;
use std::time::Duration;

use super::Settings;
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::ndjson::{NdjsonSettings, NdjsonSink};

impl Settings for NdjsonSettings {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "path",
            takes: Takes::Path(|mut settings, path| {
                settings.directory = path;
                settings
            }),
            default: "",
            what: "The directory of the files, which is made when it is not there",
        },
        Key {
            name: "rotate_bytes",
            takes: Takes::Size {
                min: 64 << 10,
                max: 1 << 40,
                set: |settings, bytes| settings.rotate_bytes(bytes),
            },
            default: "64MiB",
            what: "At how many bytes a file ends",
        },
        Key {
            name: "rotate_age",
            takes: Takes::Time {
                min: Duration::from_secs(1),
                max: Duration::from_secs(3_650 * 86_400),
                set: Self::rotate_age,
            },
            default: "1day",
            what: "At which age a file ends",
        },
        Key {
            name: "keep_files",
            takes: Takes::Count {
                min: 1,
                max: 1_000_000,
                set: |settings, files| settings.keep_files(u32::try_from(files).unwrap_or(u32::MAX)),
            },
            default: "",
            what: "How many files of a ledger are kept; without it, all",
        },
    ];
    const NEEDS: &'static [&'static str] = &["path"];

    fn start() -> Self {
        Self::new(Path::new(""))
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(NdjsonSink::new(self)))
    }
}
