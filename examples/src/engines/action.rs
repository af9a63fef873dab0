//! What the controls are about: actions, the engines they belong to, patterns over them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidText;
use super::text::{is_action, is_name, is_pattern, text_type};

/// An engine by name, or all of them (`*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Target(Cow<'static, str>);

impl Target {
    /// All engines.
    pub const ALL: Self = Self(Cow::Borrowed("*"));
    /// The chat engine.
    pub const CHAT: Self = Self(Cow::Borrowed("chat"));

    /// The target as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what holds for this target holds for `other`: it is the same, or this one is all engines.
    pub fn covers(&self, other: &Self) -> bool {
        *self == Self::ALL || self == other
    }
}

impl FromStr for Target {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        if text == "*" || is_name(&text) {
            return Ok(Self(Cow::Owned(text)));
        }
        let expected = "`*` or an engine's name, [a-z][a-z0-9_]*, at most 64 bytes";
        Err(InvalidText { what: "target", expected, len_bytes: text.len() })
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0.into_owned()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_type! {
    /// An action by its surface: `engine.action`, such as `chat.send_message`.
    ActionName, "action", "engine.action, both [a-z][a-z0-9_]*, at most 64 bytes", is_action
}

impl ActionName {
    /// The engine that acts.
    pub fn engine(&self) -> Target {
        let engine = self.as_str().split('.').next().unwrap_or_default();
        Target(Cow::Owned(engine.to_owned()))
    }
}

text_type! {
    /// Which actions: one (`chat.send_message`), all of an engine (`chat.*`), or all (`*`).
    ActionPattern, "pattern of actions", "`*`, `engine.*` or engine.action, at most 64 bytes", is_pattern
}

impl ActionPattern {
    /// Whether the action is among those that the pattern names.
    pub fn matches(&self, action: &ActionName) -> bool {
        match self.as_str().strip_suffix('*') {
            // `chat.` with its dot, or nothing, which every action begins with.
            Some(beginning) => action.as_str().starts_with(beginning),
            None => self.as_str() == action.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_engines_and_single_actions() {
        let action = ActionName::from_static("chat.send_message");
        assert_eq!(action.engine(), Target::CHAT);
        for (pattern, expected) in [
            ("*", true),
            ("chat.*", true),
            ("chat.send_message", true),
            ("chat.send", false),
            ("cha.*", false),
            ("media.*", false),
        ] {
            assert_eq!(pattern.parse::<ActionPattern>().unwrap().matches(&action), expected, "{pattern}");
        }
    }

    #[test]
    fn all_engines_cover_each() {
        let media: Target = "media".parse().unwrap();
        assert!(Target::ALL.covers(&Target::CHAT) && Target::CHAT.covers(&Target::CHAT));
        assert!(!media.covers(&Target::CHAT) && !Target::CHAT.covers(&Target::ALL));
        assert!(serde_json::from_str::<Target>("\"No\"").is_err());
    }
}
