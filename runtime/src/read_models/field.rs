//! Naming a value of an event: what read models group by and sum.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::event::DatasetEvent;

/// Names a value of an event.
///
/// As text: `input.a.b`, `output.a.b` (members of captured objects), `source_ref.<kind>`, `surface`,
/// `outcome`, `code`, `user`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// A member of the captured input; dots lead into objects.
    Input(String),
    /// A member of the captured output; dots lead into objects.
    Output(String),
    /// The id of the first source ref of a kind.
    SourceRef(String),
    /// The surface.
    Surface,
    /// The outcome.
    Outcome,
    /// The error code.
    Code,
    /// The user.
    User,
}

/// A text does not name a value of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidField {
    /// The text.
    pub text: String,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "read the field {:?}: expected `input.<name>`, `output.<name>`, `source_ref.<kind>`, `surface`, \
             `outcome`, `code` or `user`",
            self.text
        )
    }
}

impl std::error::Error for InvalidField {}

impl FromStr for Field {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        Ok(match text.split_once('.') {
            Some(("input", path)) if !path.is_empty() => Self::Input(path.to_owned()),
            Some(("output", path)) if !path.is_empty() => Self::Output(path.to_owned()),
            Some(("source_ref", kind)) if !kind.is_empty() => Self::SourceRef(kind.to_owned()),
            None if text == "surface" => Self::Surface,
            None if text == "outcome" => Self::Outcome,
            None if text == "code" => Self::Code,
            None if text == "user" => Self::User,
            _ => return Err(InvalidField { text: text.to_owned() }),
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(path) => write!(f, "input.{path}"),
            Self::Output(path) => write!(f, "output.{path}"),
            Self::SourceRef(kind) => write!(f, "source_ref.{kind}"),
            Self::Surface => f.write_str("surface"),
            Self::Outcome => f.write_str("outcome"),
            Self::Code => f.write_str("code"),
            Self::User => f.write_str("user"),
        }
    }
}

impl Field {
    /// The value as text: a string's contents, another value's JSON as it stands, so that a decimal keeps
    /// its digits. `None` where there is none, or `null`.
    pub fn of(&self, event: &DatasetEvent) -> Option<String> {
        match self {
            Self::Input(path) => captured(event.input.as_deref()?, path),
            Self::Output(path) => captured(event.output.as_deref()?, path),
            Self::SourceRef(kind) => {
                let mut refs = event.source_refs.iter();
                refs.find(|found| found.kind == *kind).map(|found| found.id.clone())
            }
            Self::Surface => Some(event.surface.clone()),
            Self::Outcome => Some(event.outcome.as_str().to_owned()),
            Self::Code => event.code().map(str::to_owned),
            Self::User => event.user_id().map(|user| user.as_str().to_owned()),
        }
    }
}

fn captured(section: &RawValue, path: &str) -> Option<String> {
    let mut value = section;
    for name in path.split('.') {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
        value = members.get(name).copied()?;
    }
    match value.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}
