//! What the layers give together, checked.

use std::collections::BTreeMap;

use super::backends::{BACKENDS, Backend, Made};
use super::error::accepted;
use super::key::{Key, apply_all, read_table};
use super::ledger_keys::LEDGER_KEYS;
use super::sink_keys::{RETRY_MAX, RETRY_MIN, SINK_KEYS};
use super::tree::{Entry, Node, Raw, Table};
use super::value::{Value, Values};
use super::{Config, ConfigBuilder, ConfigError, Origin, Problem, Setting};
use crate::ledger::LedgerOptions;

/// A sink that a configuration names.
#[derive(Debug, Clone)]
pub(crate) struct SinkConfig {
    pub(crate) name: String,
    pub(crate) backend: &'static Backend,
    pub(crate) values: Values,
    pub(super) origin: Origin,
    pub(super) origins: BTreeMap<&'static str, Origin>,
}

impl SinkConfig {
    /// Why the sink cannot be made.
    pub(super) fn not_made(&self, key: &str, reason: &str) -> Problem {
        let origin = self.origins.get(key).unwrap_or(&self.origin);
        Problem::at(origin, format!("`{key}` of sink `{}` cannot be used: {reason}", self.name))
    }

    /// Everything that is set, by path.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting> + '_ {
        let setting = |name: &str, value: String, origin: Option<&Origin>| Setting {
            path: format!("sinks.{}.{name}", self.name),
            value,
            origin: origin.unwrap_or(&self.origin).clone(),
        };
        let backend = setting("backend", self.backend.name.to_owned(), None);
        let values = self.values.iter();
        std::iter::once(backend)
            .chain(values.map(move |(name, value)| setting(name, value.to_string(), self.origins.get(name))))
    }
}

/// Keys at the top.
const TOP: [&str; 3] = ["ledger", "sinks", "backend"];

pub(super) fn check(mut merged: Table, recipe: ConfigBuilder) -> Result<Config, ConfigError> {
    let mut problems = Vec::new();
    spell_out(&mut merged, &mut problems);
    let mut config =
        Config { ledger: Values::new(), ledger_origins: BTreeMap::new(), sinks: Vec::new(), recipe };
    if let Some(table) = part("ledger", &merged, &mut problems) {
        let names: Vec<_> = LEDGER_KEYS.iter().map(|key| key.name).collect();
        config.ledger = read_table(
            table,
            "`ledger`",
            &names,
            |name, node| read_key(LEDGER_KEYS, name, node),
            &mut problems,
        );
        config.ledger_origins = origins(table, &config.ledger);
        if let Err((name, reason)) = apply_all(LEDGER_KEYS, LedgerOptions::default(), &config.ledger) {
            let origin = config.ledger_origins.get(name).cloned();
            problems.push(Problem { origin, message: format!("`{name}` cannot be used: {reason}") });
        }
    }
    if let Some(table) = part("sinks", &merged, &mut problems) {
        for (name, entry) in table {
            config.sinks.extend(check_sink(name, entry, &mut problems));
        }
    }
    check_together(&config.sinks, &mut problems);
    // Those of one text in its order; the sort is stable.
    problems.sort_by_key(|problem| match &problem.origin {
        Some(Origin::File { line, column, .. }) => (0, *line, *column),
        Some(Origin::Variable { .. }) => (1, 0, 0),
        _ => (2, 0, 0),
    });
    ConfigError::of(problems).map(|()| config)
}

/// Turns the short form, `backend = ".."` and the keys of that sink at the top, into a sink named after its backend.
fn spell_out(merged: &mut Table, problems: &mut Vec<Problem>) {
    let Some(backend) = merged.remove("backend") else {
        for (name, entry) in merged.iter().filter(|(name, _)| !TOP.contains(&name.as_str())) {
            let message = format!("unknown key `{name}`; {}", accepted(name, TOP));
            problems.push(Problem::at(&entry.origin, message));
        }
        return;
    };
    let own: Vec<String> = merged.keys().filter(|name| !TOP.contains(&name.as_str())).cloned().collect();
    let mut sink: Table = own.iter().filter_map(|name| merged.remove_entry(name)).collect();
    let origin = backend.origin.clone();
    let Raw::Text(name) = &backend.node.raw else {
        let message = format!("`backend`: expected a text, found {}", backend.node.raw.kind());
        problems.push(Problem::at(&backend.node.origin, message));
        return;
    };
    let name = name.clone();
    sink.insert("backend".to_owned(), backend);
    let table = |origin: &Origin, table| Entry {
        origin: origin.clone(),
        node: Node { origin: origin.clone(), raw: Raw::Table(table) },
    };
    let sinks = merged.entry("sinks".to_owned()).or_insert_with(|| table(&origin, Table::new()));
    if let Raw::Table(sinks) = &mut sinks.node.raw {
        if let Some(other) = sinks.get(&name) {
            let message = format!(
                "`backend` at the top names a sink `{name}`, and so does `sinks.{name}` ({}): keep one of them",
                other.origin
            );
            problems.push(Problem::at(&origin, message));
            return;
        }
        sinks.insert(name, table(&origin, sink));
    }
}

/// A table at the top.
fn part<'a>(name: &str, merged: &'a Table, problems: &mut Vec<Problem>) -> Option<&'a Table> {
    let node = &merged.get(name)?.node;
    match &node.raw {
        Raw::Table(table) => Some(table),
        other => {
            let message = format!("`{name}`: expected a table, found {}", other.kind());
            problems.push(Problem::at(&node.origin, message));
            None
        }
    }
}

fn read_key<T>(
    keys: &'static [Key<T>],
    name: &str,
    node: &Node,
) -> Option<Result<(&'static str, Value), Problem>> {
    let key = keys.iter().find(|key| key.name == name)?;
    Some(key.read(node).map(|value| (key.name, value)))
}

fn origins(table: &Table, values: &Values) -> BTreeMap<&'static str, Origin> {
    let origin = |name: &&'static str| Some((*name, table.get(*name)?.node.origin.clone()));
    values.keys().filter_map(origin).collect()
}

/// Whether a text can name a sink: it is part of the names of files.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|char| matches!(char, 'a'..='z' | '0'..='9' | '_' | '-'))
        && name.len() <= 64
}

fn check_sink(name: &str, entry: &Entry, problems: &mut Vec<Problem>) -> Option<SinkConfig> {
    let wrong = |origin: &Origin, message: String| Problem::at(origin, message);
    if !is_name(name) {
        let rule = "expected a letter and at most 63 letters, digits, `_` and `-`, in lower case";
        problems.push(wrong(&entry.origin, format!("`{name}` cannot name a sink: {rule}")));
    }
    let Raw::Table(table) = &entry.node.raw else {
        let found = entry.node.raw.kind();
        let message = format!("`sinks.{name}`: expected a table with a `backend`, found {found}");
        problems.push(wrong(&entry.node.origin, message));
        return None;
    };
    let names = || BACKENDS.iter().map(|backend| backend.name);
    let Some(given) = table.get("backend") else {
        let message = format!("sink `{name}` lacks its `backend`; {}", accepted("", names()));
        problems.push(wrong(&entry.origin, message));
        return None;
    };
    let Raw::Text(given_name) = &given.node.raw else {
        let message = format!("`backend`: expected a text, found {}", given.node.raw.kind());
        problems.push(wrong(&given.node.origin, message));
        return None;
    };
    let Some(backend) = BACKENDS.iter().find(|backend| backend.name == given_name) else {
        let message =
            format!("unknown backend `{given_name}` of sink `{name}`; {}", accepted(given_name, names()));
        problems.push(wrong(&given.node.origin, message));
        return None;
    };
    let Some(made) = &backend.made else {
        let message = match backend.feature {
            Some(feature) => format!(
                "the backend `{given_name}` of sink `{name}` is not compiled in: build the crate `dataset-events` \
                 with the feature `{feature}`"
            ),
            None => format!("the backend `{given_name}` of sink `{name}` is not part of this build"),
        };
        problems.push(wrong(&given.node.origin, message));
        return None;
    };
    let mut keys = table.clone();
    keys.remove("backend");
    let sink = read_sink(name, backend, made, &keys, problems);
    let sink = SinkConfig {
        origin: entry.origin.clone(),
        origins: origins(table, &sink),
        values: sink,
        name: name.to_owned(),
        backend,
    };
    check_keys(&sink, made, problems);
    Some(sink)
}

fn read_sink(
    name: &str,
    backend: &Backend,
    made: &Made,
    keys: &Table,
    problems: &mut Vec<Problem>,
) -> Values {
    let own = (made.rows)();
    let mut names: Vec<_> = own.iter().map(|row| row.name).collect();
    names.extend(SINK_KEYS.iter().map(|key| key.name));
    names.push("backend");
    let of_what = format!("sink `{name}` ({})", backend.name);
    let read = |key: &str, node: &Node| (made.read)(key, node).or_else(|| read_key(SINK_KEYS, key, node));
    read_table(keys, &of_what, &names, read, problems)
}

/// What must be there, what cannot be there, and what does not go together.
fn check_keys(sink: &SinkConfig, made: &Made, problems: &mut Vec<Problem>) {
    let before = problems.len();
    let name = &sink.name;
    for key in made.needs.iter().filter(|key| !sink.origins.contains_key(*key)) {
        let message = format!("sink `{name}` ({}) lacks `{key}`", sink.backend.name);
        problems.push(Problem::at(&sink.origin, message));
    }
    for (key, reason) in made.refuses {
        let is_set = !matches!(sink.values.get(key), None | Some(Value::Flag(false)));
        if let (true, Some(origin)) = (is_set, sink.origins.get(key)) {
            let message = format!("sink `{name}` ({}) cannot have `{key}`: {reason}", sink.backend.name);
            problems.push(Problem::at(origin, message));
        }
    }
    let pause = |key, default| match sink.values.get(key) {
        Some(Value::Time(time)) => *time,
        _ => default,
    };
    let (min, max) = (pause("retry_min", RETRY_MIN), pause("retry_max", RETRY_MAX));
    if min > max {
        let key = if sink.origins.contains_key("retry_min") { "retry_min" } else { "retry_max" };
        let [min, max] = [min, max].map(Value::Time);
        let message = format!("`retry_min` of sink `{name}` ({min}) is longer than its `retry_max` ({max})");
        problems.push(Problem::at(sink.origins.get(key).unwrap_or(&sink.origin), message));
    }
    if problems.len() > before {
        return;
    }
    let made = (made.check)(&sink.values).and_then(|()| sink.spec().map(drop));
    problems.extend(made.err().map(|(key, reason)| sink.not_made(key, &reason)));
}

/// Two sinks with one target would write over each other.
fn check_together(sinks: &[SinkConfig], problems: &mut Vec<Problem>) {
    for (index, sink) in sinks.iter().enumerate() {
        for key in ["path", "url"] {
            let target = |sink: &SinkConfig| match sink.values.get(key) {
                Some(Value::Text(text, _)) => Some(text.clone()),
                _ => None,
            };
            let Some(own) = target(sink) else { continue };
            let is_same = |other: &&SinkConfig| {
                other.backend.name == sink.backend.name && target(other).as_ref() == Some(&own)
            };
            if let Some(other) = sinks[..index].iter().find(is_same) {
                let message = format!(
                    "sinks `{}` and `{}` have the same `{key}`: each needs a target of its own",
                    other.name, sink.name
                );
                problems.push(Problem::at(sink.origins.get(key).unwrap_or(&sink.origin), message));
            }
        }
    }
}
