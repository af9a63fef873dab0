//! Configuration: one model from a file, the environment and code.
//!
//! A [`Config`] is what the layers give together: defaults, then TOML files, then variables of the environment, then
//! what code sets; the later wins, key by key. It is checked as a whole when it is built: keys that are not known,
//! values out of bounds and combinations that cannot work are refused, all at once, each with its place.
//!
//! ```toml
//! [ledger]
//! root = "/var/lib/shop"
//! service = "shop"
//!
//! [sinks.archive]
//! backend = "replica"
//! url = "s3://audit/shop"
//! required = true
//! ```
//!
//! The same by variables: `DATASET_EVENTS__LEDGER__ROOT=/var/lib/shop`, `DATASET_EVENTS__SINKS__ARCHIVE__URL=..`. With
//! one sink, `backend` and its keys can stand at the top; the sink is then named after its backend.
//!
//! Any text can lie elsewhere: `{ file = "/run/secrets/key" }`, `{ env = "API_KEY" }`. Such texts, secrets and what
//! addresses hold of them are in no error and no `Debug` output.
//!
//! Every key with its unit, default and bound is listed in `docs/configuration.md`.

mod backends;
mod builder;
mod check;
mod embedded;
mod error;
mod file;
mod key;
mod ledger_keys;
mod listing;
mod origin;
mod reload;
#[cfg(unix)]
mod sighup;
mod sink_keys;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub use self::builder::{ConfigBuilder, ConfigValue};
use self::check::SinkConfig;
pub use self::error::{ConfigError, Problem};
use self::key::apply_all;
use self::ledger_keys::LEDGER_KEYS;
pub use self::listing::KeyInfo;
pub use self::origin::Origin;
pub(crate) use self::reload::InEffect;
pub use self::reload::{ReloadError, Reloaded};
#[cfg(unix)]
pub use self::sighup::ReloadOnSighup;
use self::value::Values;
use crate::ledger::{Ledger, LedgerOptions, OpenError};
use crate::pending::{self, Mode};

/// The file that [`Config::load`] reads when no variable names one.
const FILE_NAME: &str = "dataset-events.toml";

/// The variable that names the file for [`Config::load`].
const FILE_VARIABLE: &str = "DATASET_EVENTS_CONFIG";

/// A checked configuration.
#[derive(Clone)]
pub struct Config {
    pub(crate) ledger: Values,
    ledger_origins: BTreeMap<&'static str, Origin>,
    pub(crate) sinks: Vec<SinkConfig>,
    recipe: ConfigBuilder,
}

impl Config {
    /// Begins with no layer at all.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The usual layers: the file that `DATASET_EVENTS_CONFIG` names, which must be there, or else
    /// `dataset-events.toml` in the working directory, if there is one; over it the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn load() -> Result<Self, ConfigError> {
        let builder = match std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Self::builder().file(Path::new(&path)),
            None => Self::builder().file_if_there(FILE_NAME),
        };
        builder.environment().build()
    }

    /// A file, which must be there, and over it the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::builder().file(path).environment().build()
    }

    /// Reads the same layers again.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; this configuration stays as it is.
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        self.recipe.clone().build()
    }

    /// A value by its path, as it is written in a file, secrets as `***`; `None` when it is left to its default.
    pub fn get(&self, path: &str) -> Option<String> {
        self.settings().find(|setting| setting.path == path).map(|setting| setting.value)
    }

    /// Everything that is set, by path: the ledger's keys, then those of each sink.
    pub fn settings(&self) -> impl Iterator<Item = Setting> + '_ {
        let ledger = self.ledger.iter().map(|(name, value)| Setting {
            path: format!("ledger.{name}"),
            value: value.to_string(),
            origin: self.ledger_origins.get(name).cloned().unwrap_or(Origin::Embedded),
        });
        ledger.chain(self.sinks.iter().flat_map(SinkConfig::settings))
    }

    /// The names of the sinks.
    pub fn sink_names(&self) -> impl Iterator<Item = &str> {
        self.sinks.iter().map(|sink| &*sink.name)
    }

    /// Options for the ledger with its sinks, to add what code alone can give (a signer) and open it.
    ///
    /// Under `DATASET_EVENTS=memory|stderr|off` the ledger lies in memory, and gets no sinks: a test or a tool reaches
    /// nobody. The configuration is checked all the same.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a sink cannot be made, although it could when the configuration was built.
    pub fn ledger_options(&self) -> Result<LedgerOptions, ConfigError> {
        let mut problems = Vec::new();
        let mut options = Ledger::options();
        match apply_all(LEDGER_KEYS, Ledger::options(), &self.ledger) {
            Ok(set) => options = set,
            Err((name, reason)) => problems.push(Problem {
                origin: self.ledger_origins.get(name).cloned(),
                message: format!("`{name}` cannot be used: {reason}"),
            }),
        }
        let is_silent = pending::mode() != Mode::Disk;
        for sink in self.sinks.iter().filter(|_| !is_silent) {
            match sink.spec() {
                Ok(spec) => options = options.sink(spec),
                Err((key, reason)) => problems.push(sink.not_made(key, &reason)),
            }
        }
        ConfigError::of(problems)?;
        let in_effect = InEffect { ledger: self.ledger.clone(), sinks: self.sinks.clone(), is_silent };
        Ok(options.configured(in_effect))
    }
}

impl Ledger {
    /// Opens a ledger and its sinks as a configuration says.
    ///
    /// ```no_run
    /// use dataset_events::Ledger;
    /// use dataset_events::config::Config;
    ///
    /// let ledger = Ledger::from_config(&Config::load()?)?;
    /// ledger.install()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`LedgerOptions::open`], and [`OpenError::Config`].
    pub fn from_config(config: &Config) -> Result<Self, OpenError> {
        config.ledger_options().map_err(OpenError::Config)?.open()
    }
}

/// Values stand as in a file, secrets as `***`.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.settings().map(|setting| (setting.path, setting.value))).finish()
    }
}

/// A value that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The path of its key: `sinks.archive.url`.
    pub path: String,
    /// As it is written in a file; secrets, and texts that lie elsewhere, as `***`.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
}
