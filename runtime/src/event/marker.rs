//! What stands in place of a value that is not there to be read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::LineHash;

/// Stands in place of an input, an output, an actor or source refs: an object whose one name begins with `$`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Marker {
    /// Encrypted: whoever has the key can read it.
    Sealed(Sealed),
    /// Left out: too large, or erased.
    Omitted(Omitted),
    /// Of a kind that this version does not know.
    Other {
        /// Its name, with the `$`.
        name: String,
    },
}

/// A value that was encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sealed {
    /// The algorithm.
    pub alg: String,
    /// Which key opens it.
    pub key_id: String,
    /// The nonce, as written.
    pub nonce: String,
    /// The ciphertext, as written.
    pub ct: String,
}

/// A value that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Omitted {
    /// The length of its JSON, in bytes.
    pub bytes: u64,
    /// SHA-256 of its JSON.
    pub sha256: LineHash,
    /// Whether more followed the bytes that were counted and hashed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[derive(Deserialize)]
enum Known {
    #[serde(rename = "$sealed")]
    Sealed(Sealed),
    #[serde(rename = "$omitted")]
    Omitted(Omitted),
}

impl Marker {
    /// Reads a marker; `None` when the value is a value.
    pub(super) fn of(value: &RawValue) -> Option<Self> {
        let name = name_of(value)?;
        Some(match serde_json::from_str(value.get()) {
            Ok(Known::Sealed(sealed)) => Self::Sealed(sealed),
            Ok(Known::Omitted(omitted)) => Self::Omitted(omitted),
            Err(_) => Self::Other { name: name.to_owned() },
        })
    }
}

/// Whether a value is an object whose first name begins with `$`.
pub(super) fn is_marker(value: &RawValue) -> bool {
    name_of(value).is_some()
}

fn name_of(value: &RawValue) -> Option<&str> {
    let inside = value.get().trim_start().strip_prefix('{')?.trim_start().strip_prefix('"')?;
    let name = inside.split('"').next()?;
    name.starts_with('$').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Marker> {
        Marker::of(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn markers_are_told_from_values() {
        let hash = "ab".repeat(32);
        let omitted = of(&format!(r#"{{"$omitted":{{"bytes":70000,"sha256":"{hash}","partial":true}}}}"#));
        let Some(Marker::Omitted(omitted)) = omitted else { panic!("{omitted:?}") };
        assert_eq!((omitted.bytes, omitted.partial, omitted.sha256.to_string()), (70_000, true, hash));
        let sealed = of(r#"{ "$sealed" : {"alg":"a","key_id":"k","nonce":"n","ct":"c","later":1} }"#);
        assert!(matches!(sealed, Some(Marker::Sealed(Sealed { ref ct, .. })) if ct == "c"), "{sealed:?}");
        assert_eq!(of(r#"{"$later":1}"#), Some(Marker::Other { name: "$later".to_owned() }));
        assert_eq!(of(r#"{"$omitted":1}"#), Some(Marker::Other { name: "$omitted".to_owned() }));
        for value in ["{}", r#"{"a":"$"}"#, r#"["$omitted"]"#, r#""$omitted""#, "1", "null"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
