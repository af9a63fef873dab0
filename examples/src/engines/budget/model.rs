//! What the budget engine keeps and answers.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Currency, Money};
use crate::engines::text::{is_label, text_type};

/// What may be spent in a scope in a calendar month (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The most that may be spent.
    pub limit: Money,
    /// What it is counted in.
    pub currency: Currency,
    /// How often the policy was set.
    pub version: u64,
    /// Who set it last.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
}

/// What money is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageKind {
    /// A message that was taken in.
    ChatMessage,
    /// A reply that was given in full.
    ChatReply,
    /// An image that was taken in.
    ChatImage,
    /// Spending outside the engines, entered by an operator.
    Manual,
}

impl UsageKind {
    const ALL: [Self; 4] = [Self::ChatMessage, Self::ChatReply, Self::ChatImage, Self::Manual];

    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatMessage => "chat_message",
            Self::ChatReply => "chat_reply",
            Self::ChatImage => "chat_image",
            Self::Manual => "manual",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for UsageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

text_type! {
    /// The name of a provider, a model or a tool, such as `openai`, `gpt-4o`, `web/search`.
    Label, "label", "1 to 64 bytes of [A-Za-z0-9._:/%-]", is_label
}

/// Who was paid: what budgets are shown by, beside the kind of usage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Who runs the model or the tool.
    pub provider: Option<Label>,
    /// The model that was used.
    pub model: Option<Label>,
    /// The tool that was used.
    pub tool: Option<Label>,
}

/// Money that was spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// On what.
    pub kind: UsageKind,
    /// How much, as given; checked when it is recorded.
    #[serde(with = "crate::exact")]
    pub amount: Decimal,
    /// Who was paid.
    #[serde(default)]
    pub origin: Origin,
}

impl Usage {
    /// A usage that names nobody who was paid.
    pub fn new(kind: UsageKind, amount: Decimal) -> Self {
        Self { kind, amount, origin: Origin::default() }
    }

    /// The same usage with who was paid.
    #[must_use]
    pub fn of(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }
}

/// What recording a usage answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The entry.
    pub usage_id: String,
    /// What is spent this month, with this entry.
    pub spent: Money,
    /// What is left of the limit.
    pub remaining: Money,
    /// Whether the limit is passed: calls that were let through at the same time may pass it together.
    pub is_over_limit: bool,
}

/// What one kind of usage cost in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindTotal {
    /// The kind.
    pub kind: UsageKind,
    /// The sum.
    pub total: Money,
    /// Of how many entries.
    pub entries: u64,
}

/// What was paid to one origin in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginTotal {
    /// Who was paid.
    pub origin: Origin,
    /// The sum.
    pub total: Money,
    /// Of how many entries.
    pub entries: u64,
}

/// A month of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The month, `YYYY-MM` (UTC).
    pub month: String,
    /// The policy now.
    pub policy: Policy,
    /// What was spent.
    pub spent: Money,
    /// What is left of the limit.
    pub remaining: Money,
    /// By kind, in the order of their names.
    pub kinds: Vec<KindTotal>,
    /// By provider, model and tool, in the order of their names.
    pub origins: Vec<OriginTotal>,
}

/// The calendar month (UTC) of a time, as `YYYY-MM`.
pub(crate) fn month_of(unix_us: i64) -> String {
    // Days to civil date: H. Hinnant, "chrono-compatible low-level date algorithms".
    let days = unix_us.div_euclid(86_400_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        const DAY_US: i64 = 86_400_000_000;
        for (unix_us, month) in [
            (0, "1970-01"),
            (31 * DAY_US - 1, "1970-01"),
            (31 * DAY_US, "1970-02"),
            (-1, "1969-12"),
            // 2024-02-29T23:59:59Z and the second after.
            (1_709_251_199_000_000, "2024-02"),
            (1_709_251_200_000_000, "2024-03"),
            (1_767_225_599_999_999, "2025-12"),
            (1_767_225_600_000_000, "2026-01"),
        ] {
            assert_eq!(month_of(unix_us), month, "{unix_us}");
        }
    }
}
