//! The schema of what one surface captures.

use serde_json::{Map, Value, json};

use super::rust_type::schema_of;
use super::{DIALECT, hex, marker, omitted, sealed};
use crate::event::Outcome;
use crate::surface::{CaptureForm, CapturedField, Site};

pub(super) fn schema(site: &Site) -> Value {
    json!({
        "$schema": DIALECT,
        "title": site.surface,
        "type": "object",
        "properties": {
            "surface": { "const": site.surface },
            "input": section(site.inputs, None),
            "output": section(site.outputs, Some(json!({}))),
        },
        "required": if site.inputs.is_empty() { json!(["surface"]) } else { json!(["surface", "input"]) },
        // A failure has no value to take outputs from; what the body adds by itself may be there.
        "if": { "properties": { "outcome": { "const": Outcome::Ok.as_str() } }, "required": ["outcome"] },
        "then": if site.outputs.is_empty() { json!({}) } else { captured_outputs(site.outputs) },
    })
}

fn captured_outputs(fields: &[CapturedField]) -> Value {
    let names: Vec<_> = fields.iter().map(|field| field.name).collect();
    let all = json!({ "required": names });
    json!({
        "required": ["output"],
        "properties": { "output": { "anyOf": [all, omitted(), sealed()] } },
    })
}

/// `others`: what names that the attribute does not list may hold. An input has no others.
fn section(fields: &[CapturedField], others: Option<Value>) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), captured(field))).collect();
    let mut object = json!({ "type": "object", "properties": properties });
    object["additionalProperties"] = json!(false);
    match others {
        Some(others) => object["patternProperties"] = json!({ "^([^$]|\\$refused$)": others }),
        None => {
            let names: Vec<_> = fields.iter().map(|field| field.name).collect();
            object["required"] = json!(names);
        }
    }
    json!({ "anyOf": [object, omitted(), sealed()] })
}

/// The value, or what stands in its place when capturing it failed.
fn captured(field: &CapturedField) -> Value {
    let masked = || {
        let chars = json!({
            "type": "object",
            "properties": { "chars": { "type": "integer", "minimum": 0 } },
            "required": ["chars"],
        });
        marker("$masked", chars)
    };
    let mut forms = match field.form {
        CaptureForm::Serialize => vec![schema_of(field.rust_type)],
        CaptureForm::Display | CaptureForm::Debug => vec![json!({ "type": "string" })],
        // Without a ledger there is no key to hash with.
        CaptureForm::Hashed => vec![marker("$hashed", hex(64)), masked()],
        CaptureForm::Masked => vec![masked()],
    };
    forms.push(marker("$error", json!({ "const": "capture" })));
    json!({ "anyOf": forms })
}
