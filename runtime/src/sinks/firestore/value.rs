//! Firestore's values: from JSON, and how large they are.

use std::collections::HashMap;

use firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use firestore::gcloud_sdk::google::firestore::v1::{ArrayValue, MapValue, Value};
use firestore::gcloud_sdk::prost_types::Timestamp;
use serde_json::Value as Json;

/// Up to how many bytes of JSON a captured value stands in a field of its own; the line holds it in any case.
const MAX_CAPTURED_BYTES: usize = 32 * 1024;

/// How deep maps may be: Firestore takes 20, and the value lies in a field.
const MAX_DEPTH: usize = 18;

/// How long the name of a field may be.
const MAX_NAME_BYTES: usize = 1_500;

pub(crate) type Fields = HashMap<String, Value>;

fn value(value_type: ValueType) -> Value {
    Value { value_type: Some(value_type) }
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    value(ValueType::StringValue(text.into()))
}

pub(crate) fn integer(integer: i64) -> Value {
    value(ValueType::IntegerValue(integer))
}

/// Numbers of the envelope are below 2^53.
pub(crate) fn unsigned(integer: u64) -> Value {
    self::integer(i64::try_from(integer).unwrap_or(i64::MAX))
}

pub(crate) fn boolean(boolean: bool) -> Value {
    value(ValueType::BooleanValue(boolean))
}

pub(crate) fn texts(texts: impl Iterator<Item = String>) -> Value {
    value(ValueType::ArrayValue(ArrayValue { values: texts.map(text).collect() }))
}

pub(crate) fn reference(name: String) -> Value {
    value(ValueType::ReferenceValue(name))
}

/// A time in microseconds since 1970; `None` outside of the years 1 to 9999, which Firestore does not take.
pub(crate) fn timestamp(unix_us: i64) -> Option<Value> {
    const YEAR_1_US: i64 = -62_135_596_800 * 1_000_000;
    const YEAR_10000_US: i64 = 253_402_300_800 * 1_000_000;
    if !(YEAR_1_US..YEAR_10000_US).contains(&unix_us) {
        return None;
    }
    let seconds = unix_us.div_euclid(1_000_000);
    let nanos = i32::try_from(unix_us.rem_euclid(1_000_000) * 1_000).ok()?;
    Some(value(ValueType::TimestampValue(Timestamp { seconds, nanos })))
}

/// A captured value: as a map when Firestore can hold every part of it as what it is, else as its JSON; `None` when it
/// is too long to be worth a second copy.
pub(crate) fn captured(json: &str) -> Option<Value> {
    if json.len() > MAX_CAPTURED_BYTES {
        return None;
    }
    let parsed = serde_json::from_str::<Json>(json).ok();
    Some(parsed.and_then(|parsed| from_json(parsed, 0, false)).unwrap_or_else(|| text(json)))
}

/// `None` for what Firestore has no value for.
fn from_json(json: Json, depth: usize, in_array: bool) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let value_type = match json {
        Json::Null => ValueType::NullValue(0),
        Json::Bool(boolean) => ValueType::BooleanValue(boolean),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => ValueType::IntegerValue(integer),
            None if number.is_u64() => return None,
            None => ValueType::DoubleValue(number.as_f64()?),
        },
        Json::String(text) => ValueType::StringValue(text),
        // An array cannot hold arrays.
        Json::Array(_) if in_array => return None,
        Json::Array(values) => {
            let values = values.into_iter().map(|value| from_json(value, depth + 1, true));
            ValueType::ArrayValue(ArrayValue { values: values.collect::<Option<_>>()? })
        }
        Json::Object(members) => {
            let fields = members.into_iter().map(|(name, value)| {
                let is_reserved = name.starts_with("__") && name.ends_with("__");
                if name.is_empty() || name.len() > MAX_NAME_BYTES || is_reserved {
                    return None;
                }
                Some((name, from_json(value, depth + 1, false)?))
            });
            ValueType::MapValue(MapValue { fields: fields.collect::<Option<_>>()? })
        }
    };
    Some(value(value_type))
}

/// How large a document is by Firestore's rules, in bytes.
pub(crate) fn document_size(name: &str, fields: &Fields) -> usize {
    let name: usize = name.split('/').map(|part| part.len() + 1).sum();
    name + 16 + 32 + fields_size(fields)
}

fn fields_size(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| name.len() + 1 + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match &value.value_type {
        None | Some(ValueType::NullValue(_) | ValueType::BooleanValue(_)) => 1,
        Some(ValueType::StringValue(text) | ValueType::ReferenceValue(text)) => text.len() + 1,
        Some(ValueType::BytesValue(bytes)) => bytes.len(),
        Some(ValueType::ArrayValue(array)) => array.values.iter().map(value_size).sum(),
        Some(ValueType::MapValue(map)) => 32 + fields_size(&map.fields),
        Some(_) => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_map(json: &str) -> bool {
        matches!(captured(json), Some(Value { value_type: Some(ValueType::MapValue(_)) }))
    }

    fn is_json(json: &str) -> bool {
        captured(json) == Some(text(json))
    }

    #[test]
    fn what_firestore_can_hold_becomes_a_map() {
        for json in
            ["{}", r#"{"n":1,"f":1.5,"s":"ä\u0000","b":true,"z":null,"a":[1,{"x":[]}],"$omitted":{}}"#]
        {
            assert!(is_map(json), "{json}");
        }
        assert_eq!(captured("-9223372036854775808"), Some(integer(i64::MIN)));
    }

    #[test]
    fn what_it_cannot_hold_stays_json() {
        let deep = format!("{}1{}", "{\"a\":".repeat(25), "}".repeat(25));
        let long_name = format!("{{\"{}\":1}}", "x".repeat(1_501));
        for json in
            ["{\"a\":[[1]]}", "{\"\":1}", "{\"__a__\":1}", "{\"n\":18446744073709551615}", &deep, &long_name]
        {
            assert!(is_json(json), "{json}");
        }
    }

    #[test]
    fn what_is_long_gets_no_field() {
        let long = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len));
        assert!(captured(&long(MAX_CAPTURED_BYTES)).is_none());
        assert!(is_map(&long(MAX_CAPTURED_BYTES - 8)));
    }

    #[test]
    fn times_keep_their_microseconds() {
        let Some(Value { value_type: Some(ValueType::TimestampValue(time)) }) = timestamp(-1) else {
            panic!("a time");
        };
        assert_eq!((time.seconds, time.nanos), (-1, 999_999_000));
        assert!(timestamp(i64::MAX).is_none() && timestamp(i64::MIN).is_none());
    }
}
