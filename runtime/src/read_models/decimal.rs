//! Exact decimal sums.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits behind the point that are kept.
const SCALE: u32 = 18;
const ONE: u128 = 10_u128.pow(SCALE);

/// An exact sum of decimal numbers with up to 18 digits behind the point.
///
/// Positive and negative numbers are summed apart, each up to 3.4 * 10^20, so that whether a sum overflows
/// does not depend on the order of arrival. What overflowed stays marked. Serialised as two strings of
/// units of 10^-18.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecimalSum {
    positive: u128,
    negative: u128,
}

/// A text is not a decimal number that can be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotADecimal {
    /// It is not a number.
    Malformed,
    /// It has more than 18 digits behind the point.
    TooFine,
    /// It is beyond 3.4 * 10^20.
    TooLarge,
}

impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "read a decimal: expected digits, as in `12.50`",
            Self::TooFine => "read a decimal: at most 18 digits behind the point are summed",
            Self::TooLarge => "read a decimal: it is beyond 3.4e20",
        })
    }
}

impl std::error::Error for NotADecimal {}

impl DecimalSum {
    /// Adds a number as it stands in JSON or in a string: `12.50`, `-3`, `1.5e-7`.
    ///
    /// # Errors
    ///
    /// [`NotADecimal`]; then nothing is added.
    pub fn add_text(&mut self, text: &str) -> Result<(), NotADecimal> {
        let (is_negative, units) = parse(text)?;
        let side = if is_negative { &mut self.negative } else { &mut self.positive };
        *side = side.saturating_add(units);
        Ok(())
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.positive = self.positive.saturating_add(other.positive);
        self.negative = self.negative.saturating_add(other.negative);
    }

    /// Whether the sum was too large to be kept; then it says too little.
    pub fn is_overflowed(&self) -> bool {
        self.positive == u128::MAX || self.negative == u128::MAX
    }
}

impl fmt::Display for DecimalSum {
    /// The shortest exact form: `12.5`, `-3`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.positive.abs_diff(self.negative);
        let sign = if self.negative > self.positive { "-" } else { "" };
        let fraction = format!("{:018}", units % ONE);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        f.pad(&format!("{sign}{}{point}{fraction}", units / ONE))
    }
}

impl Serialize for DecimalSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.positive.to_string(), self.negative.to_string()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DecimalSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (positive, negative) = <(String, String)>::deserialize(deserializer)?;
        let units = |text: String| text.parse().map_err(serde::de::Error::custom);
        Ok(Self { positive: units(positive)?, negative: units(negative)? })
    }
}

/// The sign and the units of 10^-18.
fn parse(text: &str) -> Result<(bool, u128), NotADecimal> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| NotADecimal::Malformed)?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(NotADecimal::Malformed);
    }
    let digits = [whole, fraction].concat();
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return Ok((is_negative, 0));
    }
    let dropped = i32::try_from(digits.len() - trimmed.len()).map_err(|_| NotADecimal::TooLarge)?;
    let behind_point = i32::try_from(fraction.len()).map_err(|_| NotADecimal::TooFine)?;
    // The number is `trimmed * 10^shift` units.
    let shift = i64::from(SCALE) + i64::from(exponent) - i64::from(behind_point) + i64::from(dropped);
    let shift = u32::try_from(shift).map_err(|_| NotADecimal::TooFine)?;
    let number = trimmed.trim_start_matches('0').parse::<u128>().map_err(|_| NotADecimal::TooLarge)?;
    let factor = 10_u128.checked_pow(shift).ok_or(NotADecimal::TooLarge)?;
    let units = number.checked_mul(factor).filter(|units| *units < u128::MAX);
    Ok((is_negative, units.ok_or(NotADecimal::TooLarge)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> DecimalSum {
        let mut sum = DecimalSum::default();
        for text in texts {
            sum.add_text(text).unwrap();
        }
        sum
    }

    #[test]
    fn sums_are_exact_and_shortest() {
        for (texts, expected) in [
            (&["0.1", "0.2"][..], "0.3"),
            (&["1e-18", "2.50", "-1"], "1.500000000000000001"),
            (&["1.5E3", "0.000"], "1500"),
            (&["-0.25", "-1e0"], "-1.25"),
            (&["7", "-7.00"], "0"),
            (&["100000000000000000000", "1.000000000000000000000"], "100000000000000000001"),
        ] {
            assert_eq!(sum(texts).to_string(), expected, "{texts:?}");
        }
    }

    #[test]
    fn what_cannot_be_summed_exactly_is_refused() {
        for (text, expected) in [
            ("", NotADecimal::Malformed),
            ("1.", NotADecimal::Malformed),
            (".5", NotADecimal::Malformed),
            ("0x10", NotADecimal::Malformed),
            ("1_000", NotADecimal::Malformed),
            ("1.0_0", NotADecimal::Malformed),
            ("1e", NotADecimal::Malformed),
            ("--1", NotADecimal::Malformed),
            ("NaN", NotADecimal::Malformed),
            ("1e-19", NotADecimal::TooFine),
            ("1e-2000000000", NotADecimal::TooFine),
            ("1e21", NotADecimal::TooLarge),
            ("1e2000000000", NotADecimal::TooLarge),
            ("400000000000000000000", NotADecimal::TooLarge),
        ] {
            assert_eq!(DecimalSum::default().add_text(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn an_overflow_is_marked_in_whatever_order_it_came() {
        let (large, negative) = ("300000000000000000000", "-300000000000000000000");
        for texts in [[large, large, negative], [large, negative, large], [negative, large, large]] {
            let sum = sum(&texts);
            assert!(sum.is_overflowed());
            let stored = serde_json::to_string(&sum).unwrap();
            assert_eq!(serde_json::from_str::<DecimalSum>(&stored).unwrap(), sum);
        }
        assert!(!sum(&[large, negative]).is_overflowed());
    }
}
