//! What was written, before anything is known of its meaning: a tree whose nodes keep their origin.

use std::collections::BTreeMap;
use std::fmt;

use super::Origin;

/// Keys with their values.
pub(super) type Table = BTreeMap<String, Entry>;

/// A key that was written, and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Of the key; of the value when the key has none of its own.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

/// A value and where it was written.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) raw: Raw,
}

/// A value as written.
#[derive(Clone)]
pub(super) enum Raw {
    Flag(bool),
    Integer(i128),
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// A kind of value that no key takes; its name.
    Other(&'static str),
}

impl Raw {
    /// What it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Which values are secret is not known here, so none is shown.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.raw {
            Raw::Table(table) => table.fmt(f),
            other => write!(f, "{} at {}", other.kind(), self.origin),
        }
    }
}

/// Whether a table stands for a text that lies elsewhere: `{ file = ".." }`, `{ env = ".." }`.
pub(super) fn is_reference(table: &Table) -> bool {
    table.len() == 1 && table.keys().all(|key| key == "file" || key == "env")
}

/// Lays one table over another: what is above wins, tables are merged.
pub(super) fn lay_over(below: &mut Table, above: Table) {
    for (key, over) in above {
        match (below.get_mut(&key).map(|entry| &mut entry.node.raw), over.node.raw) {
            (Some(Raw::Table(under)), Raw::Table(table)) if !is_reference(&table) && !is_reference(under) => {
                lay_over(under, table);
            }
            (_, raw) => {
                let node = Node { origin: over.node.origin, raw };
                below.insert(key, Entry { origin: over.origin, node });
            }
        }
    }
}
