//! JSON Schemas (2020-12) of what a ledger holds, made from the types that write it.

mod event;
mod payload;
mod rust_type;

use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::surface::Site;

/// The dialect that the schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of a line of the log: an event or an attempt.
///
/// It is the text of `schema/dataset-event-v1.schema.json` of this crate.
pub fn event_schema() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| text(&event::schema()))
}

/// The JSON Schema of an event of one surface: what its captured input and output look like.
///
/// It is as narrow as the types in the function's signature allow; a value of another type, or of an
/// expression, may be anything. It goes together with [`event_schema`], which describes the envelope.
///
/// ```
/// use dataset_events::{RequestContext, dataset_event, payload_schema, surfaces};
///
/// #[dataset_event(surface = "orders.create", input(count))]
/// fn create(ctx: &RequestContext, count: u8) {}
///
/// let site = surfaces().find(|site| site.surface == "orders.create").expect("linked");
/// let count = &payload_schema(site)["properties"]["input"]["anyOf"][0]["properties"]["count"];
/// assert_eq!(count["anyOf"][0]["maximum"], 255);
/// ```
pub fn payload_schema(site: &Site) -> Value {
    payload::schema(site)
}

/// A value that must be one of these texts.
fn one_of(texts: impl IntoIterator<Item = &'static str>) -> Value {
    json!({ "enum": texts.into_iter().collect::<Vec<_>>() })
}

fn hex(digits: usize) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") })
}

/// `{"$name": inner}` and nothing else.
fn marker(name: &str, inner: Value) -> Value {
    json!({
        "type": "object",
        "properties": { name: inner },
        "required": [name],
        "additionalProperties": false,
    })
}

/// What stands in place of a value that was left out.
fn omitted() -> Value {
    marker(
        "$omitted",
        json!({
            "type": "object",
            "properties": {
                "bytes": { "type": "integer", "minimum": 0 },
                "sha256": hex(64),
                "partial": { "type": "boolean" },
            },
            "required": ["bytes", "sha256"],
        }),
    )
}

/// What stands in place of a value that was encrypted.
fn sealed() -> Value {
    let text = json!({ "type": "string" });
    marker(
        "$sealed",
        json!({
            "type": "object",
            "properties": { "alg": text, "key_id": text, "nonce": text, "ct": text },
            "required": ["alg", "key_id", "nonce", "ct"],
        }),
    )
}

/// Pretty JSON with sorted names, whatever order the map of this build keeps.
fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                // A JSON string has no way to fail to be written into a String.
                let _ = write!(out, "{}: ", Value::from(name.as_str()));
                write(out, value, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        Value::Array(elements)
            if elements.iter().any(|element| element.is_object() || element.is_array()) =>
        {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                write(out, element, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(Value::to_string).collect();
            let _ = write!(out, "[{}]", elements.join(", "));
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DATASET_EVENTS_WRITE_SCHEMA=1 cargo test -p dataset-events --lib schema` writes the file.
    #[test]
    fn the_published_file_is_what_the_code_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/dataset-event-v1.schema.json");
        if std::env::var_os("DATASET_EVENTS_WRITE_SCHEMA").is_some() {
            std::fs::write(path, event_schema()).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap();
        assert!(
            published == event_schema(),
            "{path} is not what the code makes; write it again with DATASET_EVENTS_WRITE_SCHEMA=1"
        );
    }

    #[test]
    fn the_text_is_the_value() {
        assert_eq!(serde_json::from_str::<Value>(event_schema()).unwrap(), event::schema());
    }
}
