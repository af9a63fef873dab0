//! Why a source could not be read.

use std::error::Error;
use std::fmt;

/// A source could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The target is away, or refuses.
    Unavailable {
        /// What was attempted, on what.
        attempted: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The target holds what no sink of this program stores there.
    Corrupt {
        /// What was attempted, on what.
        attempted: String,
        /// What is wrong.
        found: String,
    },
    /// The query asks for what the source cannot answer.
    Refused {
        /// What was asked, and what is accepted.
        reason: String,
    },
}

impl SourceError {
    /// The target is away, or refuses.
    pub fn unavailable(
        attempted: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { attempted: attempted.into(), source: source.into() }
    }

    /// The target holds what no sink stores there.
    pub fn corrupt(attempted: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Corrupt { attempted: attempted.into(), found: found.into() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { attempted, .. } => f.write_str(attempted),
            Self::Corrupt { attempted, found } => write!(f, "{attempted}: {found}"),
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable { source, .. } => Some(&**source),
            Self::Corrupt { .. } | Self::Refused { .. } => None,
        }
    }
}
