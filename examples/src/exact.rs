//! Decimals as texts, read exactly or not at all. Used as `#[serde(with = "crate::exact")]`.
//!
//! The library's own reading rounds what has more digits than fit, and passes over `_` between them.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serializer, de};

/// What is expected of a text.
const EXPECTED: &str = "a decimal number in a string, of at most 28 digits, such as \"12.50\"";

/// Reads a number; `None` for what is none, and for one that does not fit to its last digit.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.'));
    if is_plain { Decimal::from_str_exact(text).ok() } else { None }
}

pub(crate) fn serialize<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &EXPECTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Held(#[serde(with = "super")] Decimal);

    #[test]
    fn a_number_is_read_to_its_last_digit_or_refused() {
        for text in ["0", "-3", "12.50", "0.0000000000000000000000000001", "79228162514264337593543950335"] {
            let held: Held = serde_json::from_str(&format!("\"{text}\"")).expect(text);
            assert_eq!(serde_json::to_string(&held).expect("JSON"), format!("\"{text}\""));
        }
        for text in [
            "",
            "much",
            "1_000",
            "1e3",
            "1 ",
            "0.00000000000000000000000000001",
            "1.00000000000000000000000000001",
            "79228162514264337593543950336",
            "7.92281625142643375935439503350",
        ] {
            assert_eq!(parse(text), None, "{text}");
            let refused = serde_json::from_str::<Held>(&format!("\"{text}\"")).expect_err(text);
            assert!(refused.to_string().contains("at most 28 digits"), "{refused}");
        }
        assert!(serde_json::from_str::<Held>("12.5").is_err(), "a JSON number loses digits on the way");
    }
}
