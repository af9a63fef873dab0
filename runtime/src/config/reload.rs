//! Another configuration for a ledger that is open.

use std::fmt;

use super::check::SinkConfig;
use super::key::without_defaults;
use super::ledger_keys::LEDGER_KEYS;
use super::value::Values;
use super::{Config, ConfigError};
use crate::ledger::{Ledger, OwnEvent, lock};
use crate::sinks::SinkControlError;

/// What of a configuration is in effect.
#[derive(Debug, Clone)]
pub(crate) struct InEffect {
    pub(super) ledger: Values,
    pub(super) sinks: Vec<SinkConfig>,
    /// Whether sinks are left away: under `DATASET_EVENTS=memory|stderr|off`.
    pub(super) is_silent: bool,
}

/// What a reload did, by the names of the sinks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// New ones.
    pub added: Vec<String>,
    /// Those whose settings changed; they go on from their cursor, unless kind or target is another.
    pub replaced: Vec<String>,
    /// Those that are gone; cursor and dead letters stay beside the log.
    pub removed: Vec<String>,
    /// Those that went on undisturbed.
    pub unchanged: Vec<String>,
}

impl Reloaded {
    /// Whether every sink went on undisturbed.
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unchanged() {
            return f.write_str("nothing changed");
        }
        let parts = [("added", &self.added), ("replaced", &self.replaced), ("removed", &self.removed)];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> = parts.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
        f.write_str(&parts.join("; "))
    }
}

/// A configuration did not come into effect.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// It cannot be used. Everything is as it was.
    Config(ConfigError),
    /// Keys of the ledger changed that it has been opened with. Everything is as it was.
    NeedsRestart {
        /// Their paths.
        keys: Vec<String>,
    },
    /// The ledger was not opened from a configuration. Everything is as it was.
    NotConfigured,
    /// A sink could not be changed. Those before it, by name, are; the next reload goes on from there.
    Sink {
        /// Its name.
        name: String,
        /// Why.
        source: SinkControlError,
    },
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NeedsRestart { keys } => {
                let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
                write!(f, "{} cannot change while the ledger is open: restart the process", keys.join(", "))
            }
            Self::NotConfigured => f.write_str(
                "the ledger was not opened from a configuration: open it with `Ledger::from_config`",
            ),
            Self::Sink { name, .. } => write!(f, "change the sink `{name}`"),
        }
    }
}

impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sink { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Ledger {
    /// Changes the sinks to what another configuration says. Sinks are the same by their names: those whose settings
    /// did not change go on undisturbed, others are replaced, added and removed; no event is lost or sent anew by it,
    /// because each goes on from its cursor. Sinks that code attached are not touched.
    ///
    /// What changed is itself an event, `ledger.sinks_changed`. Reloads of one ledger wait for each other; one that
    /// replaces or removes a sink waits for it to finish what it is at, for at most its `close_within`.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]. But for [`Sink`](ReloadError::Sink), everything is as it was.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, ReloadError> {
        let mut in_effect = lock(&self.owner.configured);
        let Some(in_effect) = in_effect.as_mut() else { return Err(ReloadError::NotConfigured) };
        let keys = changed_keys(&in_effect.ledger, &config.ledger);
        if !keys.is_empty() {
            return Err(ReloadError::NeedsRestart { keys });
        }
        let mut reloaded = Reloaded::default();
        if in_effect.is_silent {
            in_effect.sinks.clone_from(&config.sinks);
            return Ok(reloaded);
        }
        let changes = Changes::between(&in_effect.sinks, &config.sinks)?;
        let sinks = self.sinks();
        let mut result = Ok(());
        for change in changes.0 {
            let name = change.name().to_owned();
            let done = match change {
                Change::Keep(_) => {
                    reloaded.unchanged.push(name);
                    continue;
                }
                Change::Remove(_) => sinks.remove(&name).map(|()| {
                    in_effect.sinks.retain(|sink| sink.name != name);
                    reloaded.removed.push(name.clone());
                }),
                Change::Add(sink, spec) => sinks.add(spec).map(|()| {
                    in_effect.sinks.push(sink);
                    reloaded.added.push(name.clone());
                }),
                Change::Replace(sink, spec) => sinks.replace(spec).map(|()| {
                    in_effect.sinks.retain(|sink| sink.name != name);
                    in_effect.sinks.push(sink);
                    reloaded.replaced.push(name.clone());
                }),
            };
            if let Err(source) = done {
                result = Err(ReloadError::Sink { name, source });
                break;
            }
        }
        if !reloaded.is_unchanged() {
            let Reloaded { added, replaced, removed, .. } = &reloaded;
            let input = serde_json::json!({ "added": added, "replaced": replaced, "removed": removed });
            self.owner.shared.own_event(&OwnEvent::system("ledger.sinks_changed", &input.to_string()));
        }
        result.map(|()| reloaded)
    }
}

/// The paths of the ledger's keys that mean something else.
fn changed_keys(before: &Values, after: &Values) -> Vec<String> {
    let (before, after) = (without_defaults(LEDGER_KEYS, before), without_defaults(LEDGER_KEYS, after));
    let names = LEDGER_KEYS.iter().map(|key| key.name);
    let changed = names.filter(|name| before.get(name) != after.get(name));
    changed.map(|name| format!("ledger.{name}")).collect()
}

/// What is to be done, sink by sink.
struct Changes(Vec<Change>);

enum Change {
    Keep(String),
    Remove(String),
    Add(SinkConfig, crate::sinks::SinkSpec),
    Replace(SinkConfig, crate::sinks::SinkSpec),
}

impl Change {
    fn name(&self) -> &str {
        match self {
            Self::Keep(name) | Self::Remove(name) => name,
            Self::Add(sink, _) | Self::Replace(sink, _) => &sink.name,
        }
    }
}

impl Changes {
    /// All sinks are made before the first change, so that one that cannot be made changes nothing.
    fn between(before: &[SinkConfig], after: &[SinkConfig]) -> Result<Self, ReloadError> {
        let is_gone = |sink: &&SinkConfig| !after.iter().any(|other| other.name == sink.name);
        // First what goes: what is new may want its target.
        let mut changes: Vec<_> =
            before.iter().filter(is_gone).map(|sink| Change::Remove(sink.name.clone())).collect();
        let mut problems = Vec::new();
        for sink in after {
            let known = before.iter().find(|other| other.name == sink.name);
            if known.is_some_and(|known| known.is_same(sink)) {
                changes.push(Change::Keep(sink.name.clone()));
                continue;
            }
            match sink.spec() {
                Ok(spec) if known.is_some() => changes.push(Change::Replace(sink.clone(), spec)),
                Ok(spec) => changes.push(Change::Add(sink.clone(), spec)),
                Err((key, reason)) => problems.push(sink.not_made(key, &reason)),
            }
        }
        ConfigError::of(problems).map_err(ReloadError::Config)?;
        Ok(Self(changes))
    }
}
