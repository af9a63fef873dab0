//! Surface globs: `*` stands for any run of characters, dots among them; all else is itself.

/// Whether `text` is what `pattern` describes.
///
/// Never recursive and never more than `pattern.len() * text.len()` steps, whatever the pattern.
pub(crate) fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut in_text) = (0, 0);
    // Behind the last star seen, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, in_text));
        } else if pattern.get(at) == Some(&text[in_text]) {
            at += 1;
            in_text += 1;
        } else if let Some((behind, swallowed)) = star {
            star = Some((behind, swallowed + 1));
            at = behind;
            in_text = swallowed + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_segments() {
        for (pattern, text, expected) in [
            ("chat.*", "chat.send", true),
            ("chat.*", "chat.room.send", true),
            ("chat.*", "chats.send", false),
            ("chat.*", "chat", false),
            ("*.send", "chat.room.send", true),
            ("chat.*.send", "chat.room.send", true),
            ("*", "a.b", true),
            ("", "a.b", false),
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a*b*c", "a.b.x.c", true),
            ("a*b*c", "a.b.x.d", false),
            ("**b", "a.b", true),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn other_wildcards_are_plain_characters() {
        for pattern in ["a.?", "a.[b]", "a.%", "a._", "a.{b,c}", "(a|.)+", "a.b\0", "\\*", "a.b' OR 1=1"] {
            assert!(!glob_matches(pattern, "a.b"), "{pattern}");
        }
        assert!(glob_matches("a.?", "a.?"));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = "*a".repeat(5_000) + "b";
        assert!(!glob_matches(&pattern, &"a".repeat(64)));
    }
}
