//! Amounts of money: decimal, exact, bounded.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use super::BudgetError;
use crate::exact;

/// An amount of money: 0 to [`Money::MAX`], in steps of a millionth.
///
/// Sums saturate at the greatest amount: a budget that is spent beyond counting stays spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(Decimal);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);
    /// The greatest amount: 1,000,000,000,000.
    pub const MAX: Self = Self(Decimal::from_parts(0xd4a5_1000, 0xe8, 0, false, 0));
    /// The most decimal places.
    pub const MAX_SCALE: u32 = 6;

    /// Takes an amount.
    ///
    /// # Errors
    ///
    /// `budget.invalid_amount`: negative, above the greatest amount, or finer than a millionth.
    pub fn new(amount: Decimal) -> Result<Self, BudgetError> {
        let normal = amount.normalize();
        let is_accepted =
            normal >= Decimal::ZERO && normal <= Self::MAX.0 && normal.scale() <= Self::MAX_SCALE;
        if is_accepted { Ok(Self(normal)) } else { Err(BudgetError::InvalidAmount { amount }) }
    }

    /// The amount as a decimal.
    pub fn amount(self) -> Decimal {
        self.0
    }

    /// The sum, at most the greatest amount.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::MAX.0).normalize())
    }

    /// What is left after `other` is taken away, at least nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(Decimal::ZERO).normalize())
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::new(exact::parse(text)?).ok()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As a string, because a JSON number may lose digits on the way.
impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = exact::deserialize(deserializer)?;
        Self::new(amount).map_err(de::Error::custom)
    }
}

/// A currency by its ISO 4217 code: three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

/// A text is no currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a currency as three capital letters, such as EUR")]
pub struct InvalidCurrency;

impl Currency {
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");
    /// US dollar.
    pub const USD: Self = Self(*b"USD");

    /// The code.
    pub fn as_str(&self) -> &str {
        // Only capital letters are ever stored in it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(InvalidCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Result<Money, BudgetError> {
        Money::new(text.parse().unwrap())
    }

    #[test]
    fn amounts_are_bounded() {
        assert_eq!(Money::MAX.to_string(), "1000000000000");
        for good in ["0", "0.000001", "12.50", "1000000000000", "1.0000000"] {
            assert!(money(good).is_ok(), "{good}");
        }
        for bad in ["-0.01", "0.0000001", "1000000000000.000001"] {
            assert!(matches!(money(bad), Err(BudgetError::InvalidAmount { .. })), "{bad}");
        }
    }

    #[test]
    fn sums_are_exact_and_saturate() {
        let tenth = money("0.1").unwrap();
        let sum = (0..10).fold(Money::ZERO, |sum, _| sum.saturating_add(tenth));
        assert_eq!(sum.to_string(), "1");
        assert_eq!(Money::MAX.saturating_add(tenth), Money::MAX);
        assert_eq!(tenth.saturating_sub(sum), Money::ZERO);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("USD".parse(), Ok(Currency::USD));
        for bad in ["", "usd", "US", "USDT", "U\u{20ac}"] {
            assert_eq!(bad.parse::<Currency>(), Err(InvalidCurrency), "{bad}");
        }
    }

    #[test]
    fn money_in_json_is_a_string_and_checked() {
        assert_eq!(serde_json::to_string(&money("12.50").unwrap()).unwrap(), "\"12.5\"");
        assert_eq!(serde_json::from_str::<Money>("\"12.5\"").unwrap(), money("12.5").unwrap());
        for bad in ["12.5", "\"-1\"", "\"0.0000001\"", "\"1_0\"", "\"much\""] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::from_str::<Currency>("\"EUR\"").unwrap(), Currency::EUR);
        assert!(serde_json::from_str::<Currency>("\"euro\"").is_err());
    }
}
