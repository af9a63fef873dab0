//! Short texts with a form of their own: names, ids, labels. Checked where they come in, and carried as types.

use thiserror::Error;

/// A text does not have the form that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a text of {len_bytes} bytes is no {what}: expected {expected}")]
pub struct InvalidText {
    /// What it was to be.
    pub what: &'static str,
    /// The form.
    pub expected: &'static str,
    /// The length of the refused text.
    pub len_bytes: usize,
}

/// Defines a checked text: `text_type! { /// Docs. Name, "what", "expected form", const_check }`.
macro_rules! text_type {
    ($(#[$attr:meta])* $name:ident, $what:literal, $expected:expr, $check:path) => {
        $(#[$attr])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            /// Takes a literal.
            ///
            /// # Panics
            ///
            /// When it does not have the form; in a `const` that is a build error.
            pub const fn from_static(text: &'static str) -> Self {
                assert!($check(text), concat!("this text is no ", $what));
                Self(std::borrow::Cow::Borrowed(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::engines::InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::engines::InvalidText;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                if $check(&text) {
                    Ok(Self(std::borrow::Cow::Owned(text)))
                } else {
                    let len_bytes = text.len();
                    Err($crate::engines::InvalidText { what: $what, expected: $expected, len_bytes })
                }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use text_type;

/// The form that [`is_name`] checks.
pub(crate) const NAME: &str = "[a-z][a-z0-9_]*, at most 64 bytes";

/// Whether a text is `[a-z][a-z0-9_]*` of at most 64 bytes.
pub(crate) const fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 64 && is_name_in(bytes, 0, bytes.len())
}

/// Whether a text is two names joined by a dot, at most 64 bytes.
pub(crate) const fn is_action(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut dot = 0;
    while dot < bytes.len() && bytes[dot] != b'.' {
        dot += 1;
    }
    bytes.len() <= 64
        && dot < bytes.len()
        && is_name_in(bytes, 0, dot)
        && is_name_in(bytes, dot + 1, bytes.len())
}

/// Whether a text is `*`, `engine.*`, or an action.
pub(crate) const fn is_pattern(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = bytes.len();
    match bytes {
        [b'*'] => true,
        [.., b'.', b'*'] => end <= 64 && is_name_in(bytes, 0, end - 2),
        _ => is_action(text),
    }
}

/// Whether a text is 1 to 64 bytes of `[A-Za-z0-9._:/%-]`.
pub(crate) const fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_alphanumeric()
            || matches!(bytes[at], b'.' | b'_' | b':' | b'/' | b'%' | b'-'))
        {
            return false;
        }
        at += 1;
    }
    at > 0 && at <= 64
}

const fn is_name_in(bytes: &[u8], from: usize, to: usize) -> bool {
    if from >= to || !bytes[from].is_ascii_lowercase() {
        return false;
    }
    let mut at = from + 1;
    while at < to {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_takes_its_own_and_nothing_else() {
        let long = "x".repeat(65);
        for (check, good, bad) in [
            (is_name as fn(&str) -> bool, ["a", "error_rate", "p99"], ["", "A", "1a"]),
            (is_action, ["a.b", "chat.send_message", "kpi.p2"], ["chat", "chat.", "chat.a.b"]),
            (is_pattern, ["*", "chat.*", "chat.send_message"], ["", "*.*", "chat*"]),
            (is_label, ["gpt-4o", "meta/llama:8b", "%"], ["", "a b", "\u{e4}"]),
        ] {
            assert!(good.into_iter().all(check), "{good:?}");
            assert!(!bad.into_iter().any(check), "{bad:?}");
            assert!(!check(&long));
        }
    }

    #[test]
    fn json_does_not_get_around_the_form() {
        text_type! { Name, "name", NAME, is_name }
        assert_eq!(serde_json::from_str::<Name>("\"a_b\"").unwrap().as_str(), "a_b");
        let error = serde_json::from_str::<Name>("\"a b\"").unwrap_err();
        assert!(error.to_string().contains("a text of 3 bytes is no name: expected [a-z]"), "{error}");
        assert_eq!(serde_json::to_string(&Name::from_static("a_b")).unwrap(), "\"a_b\"");
    }
}
