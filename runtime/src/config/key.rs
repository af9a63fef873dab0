//! Keys: the one table that values are read, checked, applied and documented by.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::accepted;
use super::tree::{Entry, Node, Raw, Table, is_reference};
use super::value::{Shown, Value, Values, shown_text, size_text};
use super::{Origin, Problem};

/// A key of a table that sets something of a `T`.
#[derive(Debug)]
pub(crate) struct Key<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes<T>,
    /// As it would be written in a variable; empty when there is none.
    pub(crate) default: &'static str,
    /// One sentence without its period.
    pub(crate) what: &'static str,
}

/// What a key takes, its bounds, and what is done with it.
#[allow(dead_code, reason = "which kinds are used depends on the backends that are compiled in")]
#[derive(Debug)]
pub(crate) enum Takes<T: 'static> {
    Flag(fn(T, bool) -> T),
    Count {
        min: u64,
        max: u64,
        set: fn(T, u64) -> T,
    },
    Size {
        min: u64,
        max: u64,
        set: fn(T, u64) -> T,
    },
    Time {
        min: Duration,
        max: Duration,
        set: fn(T, Duration) -> T,
    },
    Text(fn(T, String) -> T),
    /// A text that must hold to rules of its own: what they are, and what is wrong with this one.
    Checked {
        bound: &'static str,
        set: fn(T, String) -> Result<T, String>,
    },
    Path(fn(T, PathBuf) -> T),
    /// A place, in whose text a user, a password or a query may stand.
    Address(fn(T, String) -> Result<T, String>),
    Secret(fn(T, String) -> T),
    Choice {
        names: &'static [&'static str],
        set: fn(T, &str) -> T,
    },
    Texts {
        bound: &'static str,
        set: fn(T, Vec<String>) -> Result<T, String>,
    },
    /// A table of names with secret texts. Where names are written with `-`, as those of headers, variables write
    /// `_` for it.
    Secrets {
        is_dashed: bool,
        set: SetSecrets<T>,
    },
}

/// Sets texts by their names.
pub(crate) type SetSecrets<T> = fn(T, BTreeMap<String, String>) -> Result<T, String>;

/// A key as the documentation lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) default: &'static str,
    pub(crate) bound: String,
    pub(crate) what: &'static str,
}

impl<T> Key<T> {
    /// The key as the documentation lists it.
    pub(crate) fn row(&self) -> Row {
        let times = |min, max| format!("{} to {}", Value::Time(min), Value::Time(max));
        let (kind, bound) = match &self.takes {
            Takes::Flag(_) => ("boolean", String::new()),
            Takes::Count { min, max, .. } => ("integer", format!("{min} to {max}")),
            Takes::Size { min, max, .. } => {
                ("size in bytes", format!("{} to {}", size_text(*min), size_text(*max)))
            }
            Takes::Time { min, max, .. } => ("duration", times(*min, *max)),
            Takes::Text(_) => ("text", String::new()),
            Takes::Checked { bound, .. } => ("text", (*bound).to_owned()),
            Takes::Path(_) => ("path", String::new()),
            Takes::Address(_) => ("address", String::new()),
            Takes::Secret(_) => ("secret", String::new()),
            Takes::Choice { names, .. } => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                ("choice", names.join(", "))
            }
            Takes::Texts { bound, .. } => ("list of texts", (*bound).to_owned()),
            Takes::Secrets { .. } => ("table of secrets", String::new()),
        };
        Row { name: self.name, kind, default: self.default, bound, what: self.what }
    }

    /// Reads a value of this key.
    pub(super) fn read(&self, node: &Node) -> Result<Value, Problem> {
        let wrong = |expected: &str| {
            let given = match &node.raw {
                Raw::Text(text) => format!("`{}`", shown_text(text, self.shown())),
                other => other.kind().to_owned(),
            };
            Problem::at(&node.origin, format!("`{}`: expected {expected}, found {given}", self.name))
        };
        match &self.takes {
            Takes::Flag(_) => flag(node).map(Value::Flag).ok_or_else(|| wrong("`true` or `false`")),
            Takes::Count { min, max, .. } => {
                let count = integer(node).ok_or_else(|| wrong("an integer"))?;
                let count = within(count, i128::from(*min), i128::from(*max));
                let bound = || wrong_bound(self.name, node, &format!("{min} to {max}"));
                count.and_then(|count| u64::try_from(count).ok()).map(Value::Count).ok_or_else(bound)
            }
            Takes::Size { min, max, .. } => {
                let size = size(node).ok_or_else(|| wrong("a size such as `64MiB`, or a number of bytes"))?;
                let bound = format!("{} to {}", size_text(*min), size_text(*max));
                let size = within(size, i128::from(*min), i128::from(*max));
                let size = size.and_then(|size| u64::try_from(size).ok());
                size.map(Value::Size).ok_or_else(|| wrong_bound(self.name, node, &bound))
            }
            Takes::Time { min, max, .. } => {
                let time =
                    time(node).ok_or_else(|| wrong("a duration with its unit, such as `30s` or `7d`"))?;
                let bound = format!("{} to {}", Value::Time(*min), Value::Time(*max));
                let time = within(time, *min, *max);
                time.map(Value::Time).ok_or_else(|| wrong_bound(self.name, node, &bound))
            }
            Takes::Choice { names, .. } => {
                let (text, _) = text(self.name, node, Shown::Whole)?;
                if names.contains(&&*text) {
                    return Ok(Value::Text(text, Shown::Whole));
                }
                let given = shown_text(&text, self.shown_of(node));
                let message = format!(
                    "`{}` cannot be `{given}`: {}",
                    self.name,
                    accepted(&given, names.iter().copied())
                );
                Err(Problem::at(&node.origin, message))
            }
            Takes::Text(_) | Takes::Checked { .. } | Takes::Path(_) => {
                text(self.name, node, Shown::Whole).map(|(text, shown)| Value::Text(text, shown))
            }
            Takes::Address(_) => {
                text(self.name, node, Shown::Address).map(|(text, shown)| Value::Text(text, shown))
            }
            Takes::Secret(_) => {
                text(self.name, node, Shown::Nothing).map(|(text, shown)| Value::Text(text, shown))
            }
            Takes::Texts { .. } => {
                let texts = texts(node).ok_or_else(|| wrong("a list of texts"))?;
                Ok(Value::Texts(texts))
            }
            Takes::Secrets { is_dashed, .. } => secrets(self.name, node, *is_dashed).map(Value::Hidden),
        }
    }

    /// The default, when there is one.
    pub(super) fn default(&self) -> Option<Value> {
        if self.default.is_empty() {
            return None;
        }
        let origin = Origin::Variable { name: String::new() };
        self.read(&Node { origin, raw: Raw::Text(self.default.to_owned()) }).ok()
    }

    fn shown(&self) -> Shown {
        match &self.takes {
            Takes::Address(_) => Shown::Address,
            Takes::Secret(_) | Takes::Secrets { .. } => Shown::Nothing,
            _ => Shown::Whole,
        }
    }

    fn shown_of(&self, node: &Node) -> Shown {
        if matches!(&node.raw, Raw::Table(_)) { Shown::Nothing } else { self.shown() }
    }

    /// Applies a value that [`read`](Self::read) gave.
    ///
    /// # Errors
    ///
    /// Why the setting does not take it.
    pub(crate) fn apply(&self, to: T, value: &Value) -> Result<T, String> {
        match (&self.takes, value) {
            (Takes::Flag(set), Value::Flag(flag)) => Ok(set(to, *flag)),
            (Takes::Count { set, .. }, Value::Count(count)) => Ok(set(to, *count)),
            (Takes::Size { set, .. }, Value::Size(bytes)) => Ok(set(to, *bytes)),
            (Takes::Time { set, .. }, Value::Time(time)) => Ok(set(to, *time)),
            (Takes::Text(set) | Takes::Secret(set), Value::Text(text, _)) => Ok(set(to, text.clone())),
            (Takes::Address(set) | Takes::Checked { set, .. }, Value::Text(text, _)) => set(to, text.clone()),
            (Takes::Path(set), Value::Text(text, _)) => Ok(set(to, PathBuf::from(text))),
            (Takes::Choice { set, .. }, Value::Text(text, _)) => Ok(set(to, text)),
            (Takes::Texts { set, .. }, Value::Texts(texts)) => set(to, texts.clone()),
            (Takes::Secrets { set, .. }, Value::Hidden(map)) => set(to, map.clone()),
            _ => Err("it is of another kind".to_owned()),
        }
    }
}

/// Applies the values of a table whose keys these are; the others are left to their own keys.
///
/// # Errors
///
/// The first key that is not taken, and why.
pub(crate) fn apply_all<T>(
    keys: &'static [Key<T>],
    to: T,
    values: &Values,
) -> Result<T, (&'static str, String)> {
    keys.iter().try_fold(to, |to, key| match values.get(key.name) {
        Some(value) => key.apply(to, value).map_err(|reason| (key.name, reason)),
        None => Ok(to),
    })
}

/// The values that say something else than the defaults of these keys.
pub(super) fn without_defaults<T>(keys: &'static [Key<T>], values: &Values) -> Values {
    let default = |name| keys.iter().find(|key| key.name == name).and_then(Key::default);
    let told = values.iter().filter(|(name, value)| default(**name).as_ref() != Some(value));
    told.map(|(name, value)| (*name, value.clone())).collect()
}

/// Reads the values of a table by its keys; unknown ones are problems.
pub(super) fn read_table<'a>(
    table: &Table,
    of_what: &str,
    names: &[&'static str],
    read: impl Fn(&str, &Node) -> Option<Result<(&'static str, Value), Problem>> + 'a,
    problems: &mut Vec<Problem>,
) -> Values {
    let mut values = Values::new();
    for (name, Entry { origin, node }) in table {
        match read(name, node) {
            Some(Ok((name, value))) => {
                values.insert(name, value);
            }
            Some(Err(problem)) => problems.push(problem),
            None => {
                let accepted = accepted(name, names.iter().copied());
                problems.push(Problem::at(origin, format!("unknown key `{name}` of {of_what}; {accepted}")));
            }
        }
    }
    values
}

fn is_variable(node: &Node) -> bool {
    matches!(node.origin, Origin::Variable { .. })
}

fn within<N: PartialOrd>(number: N, min: N, max: N) -> Option<N> {
    (number >= min && number <= max).then_some(number)
}

fn wrong_bound(name: &str, node: &Node, bound: &str) -> Problem {
    let given = match &node.raw {
        Raw::Text(text) => text.clone(),
        Raw::Integer(integer) => integer.to_string(),
        other => other.kind().to_owned(),
    };
    Problem::at(&node.origin, format!("`{name}` must be {bound}, not {given}"))
}

/// A flag; in a variable, which holds texts alone, its text.
fn flag(node: &Node) -> Option<bool> {
    match &node.raw {
        Raw::Flag(flag) => Some(*flag),
        Raw::Text(text) if is_variable(node) => text.parse().ok(),
        _ => None,
    }
}

fn integer(node: &Node) -> Option<i128> {
    match &node.raw {
        Raw::Integer(integer) => Some(*integer),
        Raw::Text(text) if is_variable(node) => text.parse().ok(),
        _ => None,
    }
}

fn size(node: &Node) -> Option<i128> {
    match &node.raw {
        Raw::Integer(bytes) => Some(*bytes),
        Raw::Text(text) => text.parse::<bytesize::ByteSize>().ok().map(|size| i128::from(size.as_u64())),
        _ => None,
    }
}

fn time(node: &Node) -> Option<Duration> {
    match &node.raw {
        Raw::Text(text) => humantime::parse_duration(text).ok(),
        _ => None,
    }
}

fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.raw {
        Raw::List(list) => list
            .iter()
            .map(|one| match &one.raw {
                Raw::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        Raw::Text(text) if is_variable(node) => {
            Some(text.split(',').map(|one| one.trim().to_owned()).collect())
        }
        _ => None,
    }
}

/// The longest text that is read from a file, in bytes.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// A text that stands here, or lies in a file or a variable; then it is not shown.
fn text(name: &str, node: &Node, shown: Shown) -> Result<(String, Shown), Problem> {
    let wrong = |message: String| Problem::at(&node.origin, format!("`{name}`{message}"));
    let (text, shown) = match &node.raw {
        Raw::Text(text) => (text.clone(), shown),
        Raw::Table(table) if is_reference(table) => (referred(name, table)?, Shown::Nothing),
        other => {
            return Err(wrong(format!(
                ": expected a text, `{{ file = \"..\" }}` or `{{ env = \"..\" }}`, found {}",
                other.kind()
            )));
        }
    };
    if text.is_empty() {
        return Err(wrong(" is empty".to_owned()));
    }
    Ok((text, shown))
}

fn referred(name: &str, table: &Table) -> Result<String, Problem> {
    let Some((kind, entry)) = table.iter().next() else {
        return Ok(String::new());
    };
    let origin = &entry.node.origin;
    let Raw::Text(place) = &entry.node.raw else {
        return Err(Problem::at(origin, format!("`{name}.{kind}`: expected a text")));
    };
    if kind == "env" {
        return std::env::var(place).map_err(|error| {
            Problem::at(origin, format!("`{name}`: the variable `{place}` cannot be read: {error}"))
        });
    }
    let failed =
        |reason: String| Problem::at(origin, format!("`{name}`: the file {place} cannot be read: {reason}"));
    let size = std::fs::metadata(place).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_TEXT_BYTES {
        return Err(failed(format!("it has {size} bytes; at most {MAX_TEXT_BYTES} are read")));
    }
    let text = std::fs::read_to_string(place).map_err(|error| failed(error.to_string()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn secrets(name: &str, node: &Node, is_dashed: bool) -> Result<BTreeMap<String, String>, Problem> {
    let Raw::Table(table) = &node.raw else {
        let message = format!("`{name}`: expected a table, found {}", node.raw.kind());
        return Err(Problem::at(&node.origin, message));
    };
    let one = |(key, entry): (&String, &Entry)| {
        let key =
            if is_dashed && is_variable(&entry.node) { key.replace('_', "-") } else { key.to_lowercase() };
        let (text, _) = text(&format!("{name}.{key}"), &entry.node, Shown::Nothing)?;
        Ok((key, text))
    };
    table.iter().map(one).collect()
}
