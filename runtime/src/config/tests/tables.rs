//! The tables of keys against the code that they set: defaults, bounds, and that each key does something.

use std::time::Duration;

use super::super::Origin;
use super::super::key::{Key, Takes};
use super::super::ledger_keys::LEDGER_KEYS;
use super::super::sink_keys::{RETRY_MAX, RETRY_MIN, SINK_KEYS};
use super::super::tree::{Node, Raw};
use super::super::value::Value;
use crate::ledger::LedgerOptions;
use crate::sinks::{Ack, Entry, Sink, SinkError, SinkSpec};

/// What a setting looks like when one value was applied.
fn with<T: std::fmt::Debug + 'static>(key: &Key<T>, start: fn() -> T, value: &Value) -> String {
    format!("{:?}", key.apply(start(), value).expect("a value of this key"))
}

/// A value that is not the default.
fn another<T>(key: &Key<T>) -> Value {
    use super::super::value::Shown::Whole;
    match &key.takes {
        Takes::Flag(_) => Value::Flag(key.default != "true"),
        Takes::Count { min, .. } => Value::Count(*min + 1),
        Takes::Size { min, .. } => Value::Size(*min + 1024),
        Takes::Time { min, .. } => Value::Time(*min + Duration::from_millis(7)),
        Takes::Choice { names, .. } => {
            let other = names.iter().find(|name| **name != key.default).expect("two choices");
            Value::Text((*other).to_owned(), Whole)
        }
        Takes::Texts { .. } => Value::Texts(vec!["x".to_owned()]),
        Takes::Secrets { .. } => Value::Hidden([("x".to_owned(), "y".to_owned())].into()),
        _ => Value::Text("x".to_owned(), Whole),
    }
}

/// What holds for every table: each key changes something, its default is the code's own, and the code's bounds are
/// those of the table.
///
/// Those of `loose` have bounds in the table alone.
fn check<T: std::fmt::Debug + 'static>(keys: &'static [Key<T>], start: fn() -> T, loose: &[&str]) {
    let untouched = format!("{:?}", start());
    for key in keys {
        let name = key.name;
        assert_ne!(with(key, start, &another(key)), untouched, "`{name}` changes nothing");
        assert!(!key.what.is_empty() && !key.what.ends_with('.'), "`{name}` says what it does");
        if !key.default.is_empty() {
            let origin = Origin::Variable { name: String::new() };
            let node = Node { origin, raw: Raw::Text(key.default.to_owned()) };
            let default =
                key.read(&node).unwrap_or_else(|problem| panic!("the default of `{name}`: {problem}"));
            assert_eq!(with(key, start, &default), untouched, "the default of `{name}`");
            assert_eq!(default.to_string(), key.default, "the default of `{name}` as it is shown");
        }
        let ends: Vec<[Value; 2]> = match key.takes {
            Takes::Count { min, max, .. } => {
                [min.checked_sub(1).map(|below| (below, min)), max.checked_add(1).map(|above| (above, max))]
                    .into_iter()
                    .flatten()
                    .map(|(beyond, end)| [Value::Count(beyond), Value::Count(end)])
                    .collect()
            }
            Takes::Size { min, max, .. } => {
                [[min - 1, min], [max + 1, max]].map(|ends| ends.map(Value::Size)).to_vec()
            }
            Takes::Time { min, max, .. } => {
                let step = Duration::from_micros(1);
                let below = min.checked_sub(step).map(|below| [below, min]);
                let above = Some([max + step, max]);
                below.into_iter().chain(above).map(|ends| ends.map(Value::Time)).collect()
            }
            _ => Vec::new(),
        };
        for [beyond, end] in ends.into_iter().filter(|_| !loose.contains(&name)) {
            assert_eq!(with(key, start, &beyond), with(key, start, &end), "the code's bounds of `{name}`");
        }
    }
}

#[test]
fn the_keys_of_the_ledger_are_those_of_the_code() {
    check(LEDGER_KEYS, LedgerOptions::default, &["keep_for", "max_disk_bytes"]);
}

#[derive(Debug)]
struct Nowhere;

impl Sink for Nowhere {
    fn kind(&self) -> &'static str {
        "nowhere"
    }

    fn append(&mut self, _: &[Entry]) -> Result<Ack, SinkError> {
        Ok(Ack::all())
    }
}

#[test]
fn the_keys_of_every_sink_are_those_of_the_code() {
    check(SINK_KEYS, || SinkSpec::new("x", Box::new(Nowhere)).expect("a name"), &["hang_after"]);
    let default = |name: &str| SINK_KEYS.iter().find(|key| key.name == name).and_then(Key::default);
    assert_eq!(default("retry_min"), Some(Value::Time(RETRY_MIN)));
    assert_eq!(default("retry_max"), Some(Value::Time(RETRY_MAX)));
}

#[cfg(feature = "otlp")]
#[test]
fn the_keys_of_otlp_sinks_are_those_of_the_code() {
    use super::super::backends::{Settings, otlp::Draft};
    let others: &'static [Key<Draft>] = &Draft::KEYS[1..];
    check(others, Draft::tested, &[]);
}

#[test]
fn the_keys_of_memory_sinks_are_those_of_the_code() {
    use super::super::backends::{Settings, memory::MaxBytes};
    check(MaxBytes::KEYS, MaxBytes::start, &["max_bytes"]);
}

#[cfg(feature = "bigquery")]
#[test]
fn the_keys_of_bigquery_sinks_are_those_of_the_code() {
    use super::super::backends::Settings;
    use crate::sinks::bigquery::BigQuerySettings;
    check(BigQuerySettings::KEYS, BigQuerySettings::start, &["partition_expiry"]);
}

#[cfg(feature = "replica-s3")]
#[test]
fn the_keys_of_replicas_are_those_of_the_code() {
    use super::super::backends::{Settings, replica::Draft};
    let (others, options): (&'static [Key<Draft>], _) = (&Draft::KEYS[1..3], &Draft::KEYS[3]);
    check(others, Draft::tested, &["request_timeout"]);
    let option = Value::Hidden([("aws_region".to_owned(), "x".to_owned())].into());
    assert!(with(options, Draft::tested, &option).contains("aws_region"));
}

#[cfg(feature = "firestore")]
#[test]
fn the_keys_of_firestore_sinks_are_those_of_the_code() {
    use super::super::backends::{Settings, firestore::Draft};
    let others: &'static [Key<Draft>] = &Draft::KEYS[1..];
    check(others, Draft::tested, &["expire_after", "connect_timeout", "request_timeout"]);
}

#[test]
fn the_keys_of_local_sinks_are_those_of_the_code() {
    use super::super::backends::Settings;
    use crate::sinks::ndjson::NdjsonSettings;
    use crate::sinks::stdout::StdoutSettings;
    check(NdjsonSettings::KEYS, NdjsonSettings::start, &["rotate_bytes", "rotate_age", "keep_files"]);
    let kinds = &StdoutSettings::KEYS[0];
    let checkpoints = Value::Texts(vec!["checkpoint".to_owned()]);
    let untouched = format!("{:?}", StdoutSettings::start());
    assert_ne!(with(kinds, StdoutSettings::start, &checkpoints), untouched);
    let default = kinds.default().expect("a default");
    assert_eq!(with(kinds, StdoutSettings::start, &default), untouched);
    assert!(kinds.apply(StdoutSettings::start(), &Value::Texts(vec!["x".to_owned()])).is_err());
}
