//! Backends: the kinds of sink that a configuration can name.

#[cfg(feature = "bigquery")]
mod bigquery;
#[cfg(feature = "firestore")]
pub(crate) mod firestore;
#[cfg(any(feature = "bigquery", feature = "firestore"))]
mod google;
pub(crate) mod memory;
mod ndjson;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "replica")]
pub(crate) mod replica;
mod stdout;

use super::Problem;
use super::key::{Key, Row, apply_all, without_defaults};
use super::tree::Node;
use super::value::{Value, Values};
use crate::sinks::Sink;

/// A kind of sink.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    /// The feature of this crate that brings it; `None` when it is always there.
    pub(crate) feature: Option<&'static str>,
    /// `None` when it is not compiled in.
    pub(crate) made: Option<Made>,
}

/// A key that a backend has: what was read for it.
pub(super) type ReadKey = Result<(&'static str, Value), Problem>;

/// The key that is wrong, and why.
pub(super) type Refused = (&'static str, String);

/// What a configuration needs of a backend that is compiled in.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) rows: fn() -> Vec<Row>,
    pub(super) without_defaults: fn(&Values) -> Values,
    pub(super) read: fn(&str, &Node) -> Option<ReadKey>,
    /// Keys that must be there.
    pub(crate) needs: &'static [&'static str],
    /// Common keys that it cannot have, and why.
    pub(crate) refuses: &'static [(&'static str, &'static str)],
    /// Rules over several keys: the key that is wrong, and why.
    pub(super) check: fn(&Values) -> Result<(), (&'static str, String)>,
    /// Makes the sink, which does not connect by that.
    pub(super) sink: fn(&Values) -> Result<Box<dyn Sink>, Refused>,
}

/// What the settings of a backend must offer. `Self` is what the keys fill.
pub(crate) trait Settings: Sized + 'static {
    const KEYS: &'static [Key<Self>];
    const NEEDS: &'static [&'static str] = &[];
    const REFUSES: &'static [(&'static str, &'static str)] = &[];

    /// The settings before any key.
    fn start() -> Self;

    /// Rules over several keys.
    fn check(values: &Values) -> Result<(), (&'static str, String)> {
        let _ = values;
        Ok(())
    }

    /// Makes the sink, which does not connect by that.
    fn sink(self) -> Result<Box<dyn Sink>, String>;
}

impl Made {
    pub(super) const fn of<S: Settings>() -> Self {
        Self {
            rows: || S::KEYS.iter().map(Key::row).collect(),
            without_defaults: |values| without_defaults(S::KEYS, values),
            read: |name, node| {
                let key = S::KEYS.iter().find(|key| key.name == name)?;
                Some(key.read(node).map(|value| (key.name, value)))
            },
            needs: S::NEEDS,
            refuses: S::REFUSES,
            check: S::check,
            sink: |values| {
                let settings = apply_all(S::KEYS, S::start(), values)?;
                settings.sink().map_err(|reason| ("backend", reason))
            },
        }
    }
}

/// A number of bytes or of things; on a machine that cannot count so far, the most that it can.
#[allow(dead_code, reason = "which backends use it depends on the features")]
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Every backend, whether compiled in or not.
pub(crate) static BACKENDS: &[Backend] = &[
    Backend {
        name: "replica",
        feature: Some("replica"),
        #[cfg(feature = "replica")]
        made: Some(Made::of::<replica::Draft>()),
        #[cfg(not(feature = "replica"))]
        made: None,
    },
    Backend { name: "ndjson", feature: None, made: Some(Made::of::<crate::sinks::ndjson::NdjsonSettings>()) },
    Backend { name: "stdout", feature: None, made: Some(Made::of::<crate::sinks::stdout::StdoutSettings>()) },
    Backend { name: "memory", feature: None, made: Some(Made::of::<memory::MaxBytes>()) },
    Backend {
        name: "firestore",
        feature: Some("firestore"),
        #[cfg(feature = "firestore")]
        made: Some(Made::of::<firestore::Draft>()),
        #[cfg(not(feature = "firestore"))]
        made: None,
    },
    Backend {
        name: "bigquery",
        feature: Some("bigquery"),
        #[cfg(feature = "bigquery")]
        made: Some(Made::of::<crate::sinks::bigquery::BigQuerySettings>()),
        #[cfg(not(feature = "bigquery"))]
        made: None,
    },
    Backend {
        name: "otlp",
        feature: Some("otlp"),
        #[cfg(feature = "otlp")]
        made: Some(Made::of::<otlp::Draft>()),
        #[cfg(not(feature = "otlp"))]
        made: None,
    },
];
