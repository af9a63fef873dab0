//! TOML as a layer: each value with its line.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Entry, Node, Raw, Table};
use super::{Origin, Problem};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Table, Vec<Problem>> {
    let failed = |reason: String| {
        vec![Problem::absent(format!("read the configuration file {}: {reason}", path.display()))]
    };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(failed(format!("it has {size} bytes; at most {MAX_BYTES} are read")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&path.display().to_string(), &text)
}

/// Reads a text of TOML.
pub(super) fn parse(name: &str, text: &str) -> Result<Table, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(document.get_ref(), name, text));
    }
    // The error's own `Display` quotes the line, which may hold a secret.
    let problem = |error: &toml::de::Error| {
        let byte = error.span().map_or(0, |span| span.start);
        Problem::at(&Origin::in_text(name, text, byte), format!("not TOML: {}", error.message()))
    };
    Err(errors.iter().map(problem).collect())
}

fn table(read: &DeTable<'_>, name: &str, text: &str) -> Table {
    let entries = read.iter().map(|(key, value)| {
        let origin = Origin::in_text(name, text, key.span().start);
        (key.get_ref().to_string(), Entry { origin, node: node(value, name, text) })
    });
    entries.collect()
}

fn node(read: &Spanned<DeValue<'_>>, name: &str, text: &str) -> Node {
    let raw = match read.get_ref() {
        DeValue::String(string) => Raw::Text(string.to_string()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Raw::Integer(integer),
            Err(_) => Raw::Other("an integer out of range"),
        },
        DeValue::Float(_) => Raw::Other("a number with a fraction"),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(list) => Raw::List(list.iter().map(|one| node(one, name, text)).collect()),
        DeValue::Table(inner) => Raw::Table(table(inner, name, text)),
    };
    Node { origin: Origin::in_text(name, text, read.span().start), raw }
}
