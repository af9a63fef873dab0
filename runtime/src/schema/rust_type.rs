//! What a Rust type looks like as JSON, as far as its name tells.
//!
//! Types are known by the tokens of a signature alone. Names that every program may define for itself, and
//! all that is not known, may hold anything: a schema must never refuse what the program really writes.

use serde_json::{Value, json};

/// The schema of a value of this type, serialised by serde; `true` where the type does not tell.
pub(super) fn schema_of(rust_type: &str) -> Value {
    parse(rust_type).unwrap_or(Value::Bool(true))
}

fn parse(rust_type: &str) -> Option<Value> {
    let text = rust_type.trim();
    if let Some(behind) = text.strip_prefix('&') {
        let behind = behind.trim_start();
        let behind = match behind.strip_prefix('\'') {
            Some(lifetime) => lifetime.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
            None => behind,
        };
        let behind = behind.trim_start();
        return parse(behind.strip_prefix("mut ").unwrap_or(behind));
    }
    if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        return Some(tuple(&split(inside, ',')?));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let parts = split(inside, ';')?;
        let items = schema_of(parts.first()?);
        return Some(json!({ "type": "array", "items": items }));
    }
    let (path, arguments) = match text.split_once('<') {
        Some((path, arguments)) => (path, split(arguments.trim_end().strip_suffix('>')?, ',')?),
        None => (text, Vec::new()),
    };
    let segments: Vec<&str> = path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).collect();
    let is_std = matches!(segments.first(), Some(&("std" | "core" | "alloc")));
    if segments.len() > 1 && !is_std {
        return None;
    }
    let arguments: Vec<_> = arguments.into_iter().filter(|argument| !argument.starts_with('\'')).collect();
    match (*segments.last()?, arguments.as_slice()) {
        (name, []) => scalar(name),
        ("Option", [of]) => Some(json!({ "anyOf": [schema_of(of), { "type": "null" }] })),
        ("Box" | "Rc" | "Arc" | "Cow", [of]) => parse(of),
        ("Vec" | "VecDeque" | "LinkedList" | "BinaryHeap", [of]) => {
            Some(json!({ "type": "array", "items": schema_of(of) }))
        }
        ("BTreeSet", [of]) | ("HashSet", [of, ..]) => {
            Some(json!({ "type": "array", "items": schema_of(of) }))
        }
        ("BTreeMap", [_, of]) | ("HashMap", [_, of, ..]) => {
            Some(json!({ "type": "object", "additionalProperties": schema_of(of) }))
        }
        _ => None,
    }
}

fn scalar(name: &str) -> Option<Value> {
    let integer = |low: Value, high: Value| json!({ "type": "integer", "minimum": low, "maximum": high });
    Some(match name {
        "bool" => json!({ "type": "boolean" }),
        "str" | "String" => json!({ "type": "string" }),
        "char" => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        "u8" => integer(json!(u8::MIN), json!(u8::MAX)),
        "u16" => integer(json!(u16::MIN), json!(u16::MAX)),
        "u32" => integer(json!(u32::MIN), json!(u32::MAX)),
        "u64" | "usize" => integer(json!(u64::MIN), json!(u64::MAX)),
        "i8" => integer(json!(i8::MIN), json!(i8::MAX)),
        "i16" => integer(json!(i16::MIN), json!(i16::MAX)),
        "i32" => integer(json!(i32::MIN), json!(i32::MAX)),
        "i64" | "isize" => integer(json!(i64::MIN), json!(i64::MAX)),
        "u128" => json!({ "type": "integer", "minimum": 0 }),
        "i128" => json!({ "type": "integer" }),
        // JSON has no infinity and no NaN: they are written as null.
        "f32" | "f64" => json!({ "type": ["number", "null"] }),
        _ => return None,
    })
}

fn tuple(of: &[&str]) -> Value {
    if of.is_empty() {
        return json!({ "type": "null" });
    }
    if let [one] = of {
        // Parentheses around a type are no tuple; `(T,)` has lost its comma here and is the rarer one.
        return json!({ "anyOf": [schema_of(one), { "type": "array", "prefixItems": [schema_of(one)] }] });
    }
    let items: Vec<Value> = of.iter().map(|of| schema_of(of)).collect();
    let len = items.len();
    json!({ "type": "array", "prefixItems": items, "minItems": len, "maxItems": len })
}

/// Splits at a separator outside brackets; `None` when brackets do not match.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            // The end of `->` is no bracket.
            '>' if before == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            _ if character == separator && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + character.len_utf8();
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
        before = character;
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_are_narrow() {
        let byte = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
        let text = json!({ "type": "string" });
        for (rust_type, expected) in [
            ("u8", byte.clone()),
            ("&'a mut u8", byte.clone()),
            ("& 'static str", text.clone()),
            ("std::string::String", text.clone()),
            ("Cow<'_, str>", text.clone()),
            ("Arc<Box<str>>", text.clone()),
            ("Option<u8>", json!({ "anyOf": [byte.clone(), { "type": "null" }] })),
            ("Vec<Vec<u8>>", json!({ "type": "array", "items": { "type": "array", "items": byte.clone() } })),
            ("[u8; 4]", json!({ "type": "array", "items": byte.clone() })),
            ("&[String]", json!({ "type": "array", "items": text.clone() })),
            ("HashMap<String, u8>", json!({ "type": "object", "additionalProperties": byte.clone() })),
            ("()", json!({ "type": "null" })),
            (
                "(u8, Option<(u8, String)>)",
                json!({
                    "type": "array",
                    "prefixItems": [byte.clone(), { "anyOf": [
                        { "type": "array", "prefixItems": [byte, text], "minItems": 2, "maxItems": 2 },
                        { "type": "null" },
                    ] }],
                    "minItems": 2,
                    "maxItems": 2,
                }),
            ),
            ("f64", json!({ "type": ["number", "null"] })),
        ] {
            assert_eq!(schema_of(rust_type), expected, "{rust_type}");
        }
    }

    #[test]
    fn what_a_name_does_not_tell_may_be_anything() {
        for rust_type in [
            "",
            "UserId",
            "my::String",
            "impl Serialize",
            "&dyn Fn(u8) -> u8",
            "Option",
            "T",
            "Vec<",
            "(u8",
            ">>",
            "Self::Item",
            "<T as Trait>::Out",
            "Result<u8, String>",
            "fn(u8)",
            "*const u8",
            "é<ü>",
        ] {
            assert_eq!(schema_of(rust_type), Value::Bool(true), "{rust_type}");
        }
        assert_eq!(schema_of("Vec<Thing>"), json!({ "type": "array", "items": true }));
    }
}
