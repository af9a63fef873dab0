//! What the index and the plain scan need of a line, read without parsing the rest of it.

use std::borrow::Cow;

use crate::event::Outcome;

/// A line, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fields<'a> {
    /// An attempt: it stands in no stream's sequence.
    Attempt,
    /// An event.
    Event(EventFields<'a>),
}

/// The fields of an event that queries select by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventFields<'a> {
    pub(crate) ledger_id: &'a str,
    pub(crate) tenant_id: &'a str,
    pub(crate) env: &'a str,
    pub(crate) seq: u64,
    pub(crate) surface: Cow<'a, str>,
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<Cow<'a, str>>,
    pub(crate) recorded_at: i64,
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) request_id: Cow<'a, str>,
    pub(crate) trace_id: &'a str,
}

impl<'a> Fields<'a> {
    /// Reads a line of schema version 1; `None` when it is not one.
    ///
    /// Reading ends at `trace_id`, the last field that is needed in the fixed order of keys; unknown keys
    /// before it are passed over.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        if !line.ends_with('}') {
            return None;
        }
        let mut members = Members::new(line)?;
        let (mut ledger_id, mut tenant_id, mut env, mut seq) = (None, None, None, None);
        let (mut surface, mut outcome, mut code, mut recorded_at) = (None, None, None, None);
        let (mut user_id, mut request_id) = (None, None);
        while let Some((key, value)) = members.next()? {
            match key {
                "schema_version" if value != "1" => return None,
                "kind" => match plain(value)? {
                    "event" => {}
                    "attempt" => return Some(Self::Attempt),
                    _ => return None,
                },
                "ledger_id" => ledger_id = Some(plain(value)?),
                "tenant_id" => tenant_id = Some(plain(value)?),
                "env" => env = Some(plain(value)?),
                "seq" => seq = Some(value.parse().ok()?),
                "surface" => surface = Some(text(value)?),
                "outcome" => {
                    let name = plain(value)?;
                    outcome = Some(Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == name)?);
                }
                "error" => code = member(value, "code")?.map(text).map_or(Some(None), |c| c.map(Some))?,
                "recorded_at" => recorded_at = Some(value.parse().ok()?),
                "actor" => {
                    user_id = member(value, "user_id")?.map(text).map_or(Some(None), |id| id.map(Some))?;
                }
                "request_id" => request_id = Some(text(value)?),
                "trace_id" => {
                    return Some(Self::Event(EventFields {
                        ledger_id: ledger_id?,
                        tenant_id: tenant_id?,
                        env: env?,
                        seq: seq?,
                        surface: surface?,
                        outcome: outcome?,
                        code,
                        recorded_at: recorded_at?,
                        user_id,
                        request_id: request_id?,
                        trace_id: plain(value)?,
                    }));
                }
                _ => {}
            }
        }
        None
    }
}

/// The value of a member of an object; `Some(None)` when the object has none of that name.
fn member<'a>(object: &'a str, name: &str) -> Option<Option<&'a str>> {
    let mut members = Members::new(object)?;
    while let Some((key, value)) = members.next()? {
        if key == name {
            return Some(Some(value));
        }
    }
    Some(None)
}

/// A JSON string without escapes, without its quotes.
fn plain(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

/// A JSON string.
fn text(value: &str) -> Option<Cow<'_, str>> {
    match plain(value) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// Walks the members of a JSON object that was written without white space, as lines are.
struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    fn new(object: &'a str) -> Option<Self> {
        object.starts_with('{').then_some(Self { text: object, at: 1 })
    }

    /// The next key and the bytes of its value; `Some(None)` at the end, `None` when this is no object.
    fn next(&mut self) -> Option<Option<(&'a str, &'a str)>> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at)? {
            b'}' => return Some(None),
            b',' => self.at += 1,
            b'"' if self.at == 1 => {}
            _ => return None,
        }
        let key_end = skip_string(bytes, self.at)?;
        let key = &self.text[self.at + 1..key_end - 1];
        if bytes.get(key_end) != Some(&b':') {
            return None;
        }
        let end = skip_value(bytes, key_end + 1)?;
        self.at = end;
        Some(Some((key, &self.text[key_end + 1..end])))
    }
}

/// The offset behind the string that begins at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The offset behind the value that begins at `at`.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = skip_string(bytes, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"schema_version":1,"kind":"event","ledger_id":"L","event_id":"E","tenant_id":"acme","env":"prod","#,
        r#""seq":7,"prev":"00","surface":"chat.send","access":"create","outcome":"error","later":[{"a":"}]"}],"#,
        r#""error":{"code":"chat.x","message":"\"code\":\"no\"","retryable":false},"started_at":1,"#,
        r#""duration_ns":2,"recorded_at":-3,"actor":{"type":"user","user_id":"u\"\\1"},"request_id":"r","#,
        r#""trace_id":"t","input":{"surface":"inner"}}"#
    );

    #[test]
    fn fields_are_found_between_unknown_keys_and_nested_lookalikes() {
        let Some(Fields::Event(fields)) = Fields::parse(LINE.as_bytes()) else { panic!("not an event") };
        assert_eq!((fields.seq, fields.recorded_at), (7, -3));
        assert_eq!(fields.surface, "chat.send");
        assert_eq!(fields.code.as_deref(), Some("chat.x"));
        assert_eq!(fields.user_id.as_deref(), Some(r#"u"\1"#));
        assert_eq!((fields.tenant_id, fields.env, fields.trace_id), ("acme", "prod", "t"));
    }

    #[test]
    fn no_cut_or_flipped_line_makes_it_panic() {
        let needed = LINE.find(",\"input\"").unwrap();
        for end in 0..LINE.len() {
            // Behind the fields that are needed only the closing brace is looked at.
            let may_pass = end > needed && LINE[..end].ends_with('}');
            let is_event = Fields::parse(&LINE.as_bytes()[..end]).is_some();
            assert!(!is_event || may_pass, "cut at {end}");
        }
        let mut bytes = LINE.as_bytes().to_vec();
        for at in 0..bytes.len() {
            for flip in [1_u8, 2, 0x20, 0x80, 0xff] {
                bytes[at] ^= flip;
                let _ = Fields::parse(&bytes);
                bytes[at] ^= flip;
            }
        }
    }

    #[test]
    fn sealed_actors_have_no_user() {
        let line = LINE.replace(r#"{"type":"user","user_id":"u\"\\1"}"#, r#"{"$sealed":{"alg":"x"}}"#);
        let Some(Fields::Event(fields)) = Fields::parse(line.as_bytes()) else { panic!("not an event") };
        assert_eq!(fields.user_id, None);
    }

    #[test]
    fn attempts_and_other_versions_are_told_apart() {
        let attempt = LINE.replace(r#""kind":"event""#, r#""kind":"attempt""#);
        assert_eq!(Fields::parse(attempt.as_bytes()), Some(Fields::Attempt));
        let later = LINE.replace(r#""schema_version":1"#, r#""schema_version":2"#);
        assert_eq!(Fields::parse(later.as_bytes()), None);
    }
}
