//! The keys that every sink has.

use std::time::Duration;

use super::check::SinkConfig;
use super::key::{Key, Takes, apply_all, without_defaults};
use crate::sinks::SinkSpec;

const fn key(
    name: &'static str,
    takes: Takes<SinkSpec>,
    default: &'static str,
    what: &'static str,
) -> Key<SinkSpec> {
    Key { name, takes, default, what }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The defaults of `retry_min` and `retry_max`, which are compared with each other.
pub(super) const RETRY_MIN: Duration = Duration::from_millis(100);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(30);

/// How a sink is driven.
pub(crate) static SINK_KEYS: &[Key<SinkSpec>] = &[
    key("required", Takes::Flag(SinkSpec::required), "false", "Retention and draining wait for it"),
    key(
        "surfaces",
        Takes::Texts {
            bound: "globs; `*` stands for any run of characters",
            set: |spec, globs| match globs.iter().find(|glob| !is_glob(glob)) {
                Some(glob) => {
                    Err(format!("`{glob}` can match no surface: a to z, 0 to 9, `_`, `.`, `$` and `*`"))
                }
                None => Ok(spec.surfaces(globs)),
            },
        },
        "",
        "Only lines of these surfaces; what such a sink holds cannot be verified as a whole log",
    ),
    key(
        "batch_entries",
        Takes::Count { min: 1, max: 100_000, set: |spec, entries| spec.batch_entries(count(entries)) },
        "500",
        "The most entries of a batch",
    ),
    key(
        "batch_bytes",
        Takes::Size { min: 64 << 10, max: 256 << 20, set: |spec, bytes| spec.batch_bytes(count(bytes)) },
        "4MiB",
        "The most bytes of a batch; an entry that is larger goes alone",
    ),
    key(
        "batch_age",
        Takes::Time { min: Duration::ZERO, max: Duration::from_secs(60), set: SinkSpec::batch_age },
        "200ms",
        "How long an entry waits for others before a batch that is not full goes",
    ),
    key(
        "retry_min",
        Takes::Time {
            min: Duration::from_millis(1),
            max: Duration::from_secs(3600),
            set: SinkSpec::retry_min,
        },
        "100ms",
        "The longest pause before the second attempt; it doubles with each that fails, and a pause is anything up to it",
    ),
    key(
        "retry_max",
        Takes::Time {
            min: Duration::from_millis(1),
            max: Duration::from_secs(3600),
            set: SinkSpec::retry_max,
        },
        "30s",
        "The longest pause between attempts, of which there is no end",
    ),
    key(
        "hang_after",
        Takes::Time {
            min: Duration::from_millis(10),
            max: Duration::from_secs(86_400),
            set: SinkSpec::hang_after,
        },
        "1m",
        "After how long a call into the sink is shown as hanging",
    ),
    key(
        "close_within",
        Takes::Time { min: Duration::ZERO, max: Duration::from_secs(3600), set: SinkSpec::close_within },
        "5s",
        "How long closing, replacing and removing wait for it to take what is left",
    ),
];

fn is_glob(glob: &str) -> bool {
    !glob.is_empty() && glob.chars().all(|char| matches!(char, 'a'..='z' | '0'..='9' | '_' | '.' | '$' | '*'))
}

impl SinkConfig {
    /// Makes the sink and says how it is driven.
    ///
    /// # Errors
    ///
    /// The key that cannot be used, and why.
    pub(crate) fn spec(&self) -> Result<SinkSpec, (&'static str, String)> {
        let made = self.backend.made.as_ref().ok_or(("backend", "it is not compiled in".to_owned()))?;
        let sink = (made.sink)(&self.values)?;
        let spec = SinkSpec::new(&self.name, sink).map_err(|error| ("backend", error.to_string()))?;
        apply_all(SINK_KEYS, spec, &self.values)
    }

    /// Whether another says the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let told = |sink: &Self| {
            let common = without_defaults(SINK_KEYS, &sink.values);
            sink.backend.made.as_ref().map_or(common.clone(), |made| (made.without_defaults)(&common))
        };
        self.backend.name == other.backend.name && told(self) == told(other)
    }
}
