//! Keeping secrets out of what other people's errors say.

/// From how many characters on a word of letters of both cases and digits is taken for a token.
const TOKEN_LEN: usize = 24;

/// How much of a text is kept, in characters.
const TEXT_LEN: usize = 300;

/// A text of another program on one line, without what looks like a token or a key.
///
/// Errors of token servers may quote what was sent to them.
pub(crate) fn redact(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(TEXT_LEN));
    let mut after_bearer = false;
    for word in text.split_whitespace() {
        if !kept.is_empty() {
            kept.push(' ');
        }
        if after_bearer {
            kept.push_str("[redacted]");
        } else {
            push_redacted(&mut kept, word);
        }
        after_bearer = word.trim_matches(|c: char| !c.is_alphanumeric()).eq_ignore_ascii_case("bearer");
    }
    match kept.char_indices().nth(TEXT_LEN) {
        Some((end, _)) => format!("{}..", &kept[..end]),
        None => kept,
    }
}

fn push_redacted(kept: &mut String, word: &str) {
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        kept.push_str(if is_token(run) { "[redacted]" } else { run });
        let between = behind.find(is_of_token).unwrap_or(behind.len());
        kept.push_str(&behind[..between]);
        rest = &behind[between..];
    }
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=' | '~')
}

fn is_token(run: &str) -> bool {
    let has = |is: fn(&u8) -> bool| run.bytes().any(|byte| is(&byte));
    run.len() >= TOKEN_LEN
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn tokens_and_keys_are_left_out() {
        for secret in [
            "ya29.a0AfH6SMBx7Qw3Zk9LmNoPqRsTuVwXyZ",
            "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl0A",
            "0gFdQ3Zk9LmNoPqRsTuVwXyZ012345",
        ] {
            let text =
                format!("refused, body=<{{\"refresh_token\":\"1//{secret}\",\"error\":\"invalid_grant\"}}>");
            let kept = redact(&text);
            assert!(!kept.contains(secret) && kept.contains("invalid_grant"), "{kept}");
        }
        assert_eq!(
            redact("header Authorization: Bearer owner was refused"),
            "header Authorization: Bearer [redacted] was refused"
        );
    }

    #[test]
    fn addresses_files_and_reasons_are_kept() {
        for text in [
            "could not find or open the credentials file /home/u/.config/gcloud/application_default_credentials.json",
            "POST https://iamcredentials.googleapis.com/v1/token: 503 Service Unavailable",
            "projects/p1/databases/(default)/documents/tenants/acme: PERMISSION_DENIED",
            "event 019b76da-a800-7de0-98c0-cec328e270d6",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn long_texts_are_cut_and_lines_are_joined() {
        assert_eq!(redact("a\n\tb"), "a b");
        assert_eq!(redact(&"ä ".repeat(2_000)).chars().count(), 302);
    }
}
