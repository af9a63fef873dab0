//! What could not be read, by name.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ids::LedgerId;

/// A ledger, a root or an event that could not be read. An answer that has one is partial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unread {
    /// The ledger, when its id is known.
    pub ledger_id: Option<LedgerId>,
    /// Its directory, or the root; `None` for a ledger in memory.
    pub path: Option<PathBuf>,
    /// What was attempted, and why it failed.
    pub reason: String,
}

impl Unread {
    pub(crate) fn new(ledger_id: Option<LedgerId>, path: Option<&Path>, reason: &str) -> Self {
        Self { ledger_id, path: path.map(Path::to_owned), reason: reason.to_owned() }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read")?;
        if let Some(ledger_id) = self.ledger_id {
            write!(f, " ledger {ledger_id}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " in {}", path.display())?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Unread {}

/// An error with its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
