//! Backends: the kinds of sink that a configuration can name.

pub(crate) mod memory;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;

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

/// What a configuration needs of a backend that is compiled in.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) rows: fn() -> Vec<Row>,
    pub(super) without_defaults: fn(&Values) -> Values,
    pub(super) read: fn(&str, &Node) -> Option<Result<(&'static str, Value), Problem>>,
    /// Keys that must be there.
    pub(crate) needs: &'static [&'static str],
    /// Common keys that it cannot have, and why.
    pub(crate) refuses: &'static [(&'static str, &'static str)],
    /// Rules over several keys: the key that is wrong, and why.
    pub(super) check: fn(&Values) -> Result<(), (&'static str, String)>,
    /// Makes the sink, which does not connect by that.
    pub(super) sink: fn(&Values) -> Result<Box<dyn Sink>, (&'static str, String)>,
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

/// Every backend, whether compiled in or not.
pub(crate) static BACKENDS: &[Backend] = &[
    Backend { name: "replica", feature: Some("replica"), made: None },
    Backend { name: "ndjson", feature: None, made: None },
    Backend { name: "stdout", feature: None, made: None },
    Backend { name: "memory", feature: None, made: Some(Made::of::<memory::MaxBytes>()) },
    Backend { name: "firestore", feature: Some("firestore"), made: None },
    Backend { name: "bigquery", feature: Some("bigquery"), made: None },
    Backend {
        name: "otlp",
        feature: Some("otlp"),
        #[cfg(feature = "otlp")]
        made: Some(Made::of::<otlp::Draft>()),
        #[cfg(not(feature = "otlp"))]
        made: None,
    },
];
