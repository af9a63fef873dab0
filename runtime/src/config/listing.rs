//! Every key, listed: what `docs/configuration.md` is made from.

use super::Config;
use super::backends::BACKENDS;
use super::key::{Key, Row};
use super::ledger_keys::LEDGER_KEYS;
use super::sink_keys::SINK_KEYS;

/// A key that a configuration can have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its path: `ledger.root`; of a sink, `sinks.<name>.batch_age`.
    pub path: String,
    /// The backend whose sinks have it; `None` when it belongs to the ledger or to every sink.
    pub backend: Option<&'static str>,
    /// What it takes: `text`, `size`, `duration`, ..
    pub kind: &'static str,
    /// The default as it is written in a file; empty when there is none.
    pub default: &'static str,
    /// What is accepted, in words; empty when all is.
    pub bound: String,
    /// Whether a sink of its backend must have it.
    pub is_needed: bool,
    /// What it does, in one sentence.
    pub what: &'static str,
}

impl Config {
    /// Every key that this build knows; those of a backend that is not compiled in are not there.
    pub fn keys() -> Vec<KeyInfo> {
        let info = |prefix: &str, row: Row, backend, needs: &[&str]| KeyInfo {
            path: format!("{prefix}.{}", row.name),
            backend,
            kind: row.kind,
            default: row.default,
            bound: row.bound,
            is_needed: needs.contains(&row.name),
            what: row.what,
        };
        let ledger = LEDGER_KEYS.iter().map(Key::row).map(|row| info("ledger", row, None, &[]));
        let sinks = SINK_KEYS.iter().map(Key::row).map(|row| info("sinks.<name>", row, None, &[]));
        let own = BACKENDS.iter().filter_map(|backend| Some((backend.name, backend.made.as_ref()?)));
        let own = own.flat_map(|(name, made)| {
            (made.rows)().into_iter().map(move |row| info("sinks.<name>", row, Some(name), made.needs))
        });
        ledger.chain(sinks).chain(own).collect()
    }

    /// Every backend, and the feature of this crate that brings it; `None` when it is always there.
    pub fn backends() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        BACKENDS.iter().map(|backend| (backend.name, backend.feature))
    }
}
