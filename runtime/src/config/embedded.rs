//! A configuration as part of a larger document that the program reads with serde.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::tree::{Entry, Node, Raw, Table};
use super::{Config, Origin};

/// Takes the place of files; the environment is laid over it. Errors name keys, not lines, which serde does not tell.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     port: u16,
///     dataset_events: dataset_events::config::Config,
/// }
///
/// let settings: Settings = serde_json::from_str(
///     r#"{"port": 80, "dataset_events": {"ledger": {"service": "shop", "group_interval": "20ms"}}}"#,
/// )?;
/// assert_eq!(settings.dataset_events.get("ledger.group_interval").as_deref(), Some("20ms"));
/// # Ok::<_, serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        Self::builder().embedded(table(object)).environment().build().map_err(D::Error::custom)
    }
}

fn table(object: serde_json::Map<String, serde_json::Value>) -> Table {
    let entry = |value| Entry { origin: Origin::Embedded, node: node(value) };
    // Absent values of optional fields are written as null.
    let there = object.into_iter().filter(|(_, value)| !value.is_null());
    there.map(|(key, value)| (key, entry(value))).collect()
}

fn node(value: serde_json::Value) -> Node {
    let raw = match value {
        serde_json::Value::Null => Raw::Other("nothing"),
        serde_json::Value::Bool(flag) => Raw::Flag(flag),
        serde_json::Value::Number(number) => match number.as_i128() {
            Some(integer) => Raw::Integer(integer),
            None => Raw::Other("a number with a fraction"),
        },
        serde_json::Value::String(text) => Raw::Text(text),
        serde_json::Value::Array(list) => Raw::List(list.into_iter().map(node).collect()),
        serde_json::Value::Object(object) => Raw::Table(table(object)),
    };
    Node { origin: Origin::Embedded, raw }
}
