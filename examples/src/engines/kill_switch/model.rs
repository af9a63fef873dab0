//! What a kill switch is about: reasons, changes, the switch itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engines::Target;

/// Why a switch was engaged. A closed list, so that the ledger can hold it without holding prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
