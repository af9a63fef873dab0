//! What a kill switch is about: targets, reasons, the switch itself.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// What a switch stops: one engine by name, or all of them (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Target(Cow<'static, str>);

/// A text is neither an engine's name nor `*`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a text of {len_bytes} bytes is no kill switch target: use `*` or an engine's name, [a-z][a-z0-9_]*, at most 64 bytes"
)]
pub struct InvalidTarget {
    /// The length of the refused text.
    pub len_bytes: usize,
}

impl Target {
    /// All engines.
    pub const ALL: Self = Self(Cow::Borrowed("*"));
    /// The chat engine.
    pub const CHAT: Self = Self(Cow::Borrowed("chat"));

    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let is_name = text.len() <= 64
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if text == "*" || is_name {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(InvalidTarget { len_bytes: text.len() })
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a switch was engaged. A closed list, so that the ledger can hold it without holding prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Something is broken.
    Incident,
    /// Somebody misuses the engine.
    Abuse,
    /// Costs run away.
    Cost,
    /// Work on the engine or its data.
    Maintenance,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Incident, Self::Abuse, Self::Cost, Self::Maintenance];

    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Abuse => "abuse",
            Self::Cost => "cost",
            Self::Maintenance => "maintenance",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an operator does to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Stop the target.
    Engage(Reason),
    /// Let the target act again; the reason is the one it was stopped for.
    Release(Reason),
}

impl Change {
    /// The name in an event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engage(_) => "engage",
            Self::Release(_) => "release",
        }
    }

    /// Why.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Engage(reason) | Self::Release(reason) => reason,
        }
    }

    pub(super) const fn is_engaged(self) -> bool {
        matches!(self, Self::Engage(_))
    }
}

/// The state of one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// What it stops.
    pub target: Target,
    /// Whether it stops it now.
    pub is_engaged: bool,
    /// Why it was set last.
    pub reason: Reason,
    /// How often it was set.
    pub version: u64,
    /// Who set it last.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
}
