//! From layers to a configuration.

use std::ffi::OsString;
use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{Entry, Node, Raw, Table, lay_over};
use super::{Config, ConfigError, Origin, Problem, check, file, variables};

/// Where a configuration comes from. Whatever the order of the calls, the environment is laid over files, and values
/// that code sets over both; of two files, and of two values for one key, the later wins.
///
/// ```
/// use dataset_events::config::Config;
///
/// let config = Config::builder()
///     .toml("defaults", "[ledger]\nservice = \"shop\"\njournal_bytes = \"16MiB\"")
///     .set("ledger.journal_bytes", "32MiB")
///     .build()?;
/// assert_eq!(config.get("ledger.journal_bytes").as_deref(), Some("32MiB"));
/// assert_eq!(config.get("ledger.service").as_deref(), Some("shop"));
/// # Ok::<_, dataset_events::config::ConfigError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a configuration is read by `build()`"]
pub struct ConfigBuilder {
    files: Vec<Text>,
    environment: Vec<Environment>,
    code: Table,
    wrong: Vec<Problem>,
}

#[derive(Clone)]
enum Text {
    File(PathBuf),
    FileIfThere(PathBuf),
    Given { name: String, text: String },
    Embedded(Table),
}

#[derive(Clone)]
enum Environment {
    OfProcess,
    Given(Vec<(OsString, OsString)>),
}

impl ConfigBuilder {
    /// A TOML file, which must be there when the configuration is built. At most 1 MiB.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.files.push(Text::File(path.as_ref().to_owned()));
        self
    }

    /// A TOML file that counts for nothing when it is not there.
    pub fn file_if_there(mut self, path: impl AsRef<Path>) -> Self {
        self.files.push(Text::FileIfThere(path.as_ref().to_owned()));
        self
    }

    /// A text of TOML; errors call it `name`.
    pub fn toml(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push(Text::Given { name: name.into(), text: text.into() });
        self
    }

    /// The variables of the process whose names begin with `DATASET_EVENTS__`.
    pub fn environment(mut self) -> Self {
        self.environment.push(Environment::OfProcess);
        self
    }

    /// Variables that are given, as [`environment`](Self::environment).
    pub fn variables<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let given = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.environment.push(Environment::Given(given.collect()));
        self
    }

    /// A value that code decides: `set("sinks.archive.url", url)`. Nothing overrides it.
    #[track_caller]
    pub fn set(mut self, path: &str, value: impl Into<ConfigValue>) -> Self {
        let origin = Origin::code(Location::caller());
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        if last.is_empty() || parts.iter().any(|part| part.is_empty()) {
            let message = format!("`{path}` is no path of a key; expected one like `ledger.root`");
            self.wrong.push(Problem::at(&origin, message));
            return self;
        }
        let node = value.into().node(&origin);
        let leaf = Table::from([(last.to_owned(), Entry { origin: origin.clone(), node })]);
        let table = parts.iter().rev().fold(leaf, |inner, part| {
            let node = Node { origin: origin.clone(), raw: Raw::Table(inner) };
            Table::from([((*part).to_owned(), Entry { origin: origin.clone(), node })])
        });
        lay_over(&mut self.code, table);
        self
    }

    pub(super) fn embedded(mut self, table: Table) -> Self {
        self.files.push(Text::Embedded(table));
        self
    }

    /// Reads the layers and checks what they give together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong. Where a text is not TOML, the rest is not looked at.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut problems = self.wrong.clone();
        let mut merged = Table::new();
        for text in &self.files {
            let read = match text {
                Text::FileIfThere(path) if !path.exists() => Ok(Table::new()),
                Text::File(path) | Text::FileIfThere(path) => file::read(path),
                Text::Given { name, text } => file::parse(name, text),
                Text::Embedded(table) => Ok(table.clone()),
            };
            match read {
                Ok(table) => lay_over(&mut merged, table),
                Err(found) => problems.extend(found),
            }
        }
        for environment in &self.environment {
            let mut table = match environment {
                Environment::OfProcess => variables::read(std::env::vars_os(), &mut problems),
                Environment::Given(given) => variables::read(given.clone(), &mut problems),
            };
            variables::name_sinks_as_below(&mut table, &merged);
            lay_over(&mut merged, table);
        }
        ConfigError::of(problems)?;
        lay_over(&mut merged, self.code.clone());
        check::check(merged, self)
    }
}

/// Texts and values may be secrets: it says where the configuration comes from.
impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |text: &Text| match text {
            Text::File(path) | Text::FileIfThere(path) => path.display().to_string(),
            Text::Given { name, .. } => name.clone(),
            Text::Embedded(_) => Origin::Embedded.to_string(),
        };
        f.debug_struct("ConfigBuilder")
            .field("files", &self.files.iter().map(name).collect::<Vec<_>>())
            .field("environment", &!self.environment.is_empty())
            .field("code", &self.code)
            .finish()
    }
}

/// A value that code sets.
#[derive(Clone)]
pub struct ConfigValue(Given);

#[derive(Clone)]
enum Given {
    Flag(bool),
    Integer(i128),
    Text(String),
    Texts(Vec<String>),
}

impl ConfigValue {
    fn node(self, origin: &Origin) -> Node {
        let text = |text| Node { origin: origin.clone(), raw: Raw::Text(text) };
        let raw = match self.0 {
            Given::Flag(flag) => Raw::Flag(flag),
            Given::Integer(integer) => Raw::Integer(integer),
            Given::Text(given) => return text(given),
            Given::Texts(texts) => Raw::List(texts.into_iter().map(text).collect()),
        };
        Node { origin: origin.clone(), raw }
    }
}

/// It may be a secret.
impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigValue(***)")
    }
}

impl From<bool> for ConfigValue {
    fn from(flag: bool) -> Self {
        Self(Given::Flag(flag))
    }
}

impl From<u32> for ConfigValue {
    fn from(number: u32) -> Self {
        Self(Given::Integer(number.into()))
    }
}

impl From<i32> for ConfigValue {
    fn from(number: i32) -> Self {
        Self(Given::Integer(number.into()))
    }
}

impl From<u64> for ConfigValue {
    fn from(number: u64) -> Self {
        Self(Given::Integer(number.into()))
    }
}

impl From<&str> for ConfigValue {
    fn from(text: &str) -> Self {
        Self(Given::Text(text.to_owned()))
    }
}

impl From<String> for ConfigValue {
    fn from(text: String) -> Self {
        Self(Given::Text(text))
    }
}

/// A path that is not UTF-8 is given as near as it can be.
impl From<&Path> for ConfigValue {
    fn from(path: &Path) -> Self {
        Self(Given::Text(path.to_string_lossy().into_owned()))
    }
}

impl From<Duration> for ConfigValue {
    fn from(duration: Duration) -> Self {
        Self(Given::Text(humantime::format_duration(duration).to_string()))
    }
}

impl From<Vec<String>> for ConfigValue {
    fn from(texts: Vec<String>) -> Self {
        Self(Given::Texts(texts))
    }
}

impl<const N: usize> From<[&str; N]> for ConfigValue {
    fn from(texts: [&str; N]) -> Self {
        Self(Given::Texts(texts.map(str::to_owned).to_vec()))
    }
}
