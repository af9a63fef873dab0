//! The canonical bytes of a line: what is hashed is what is stored.

use sha2::{Digest, Sha256};

use crate::event::LineHash;
use crate::ids::{EventId, LedgerId, Scope};

/// SHA-256 of a line's bytes, without its newline.
pub(crate) fn hash_line(line: &[u8]) -> LineHash {
    LineHash(Sha256::digest(line).into())
}

/// What stands in `prev` of the first line of a stream.
pub(crate) fn genesis(ledger_id: LedgerId, scope: &Scope) -> LineHash {
    let text = format!("dataset-events genesis v1\n{ledger_id}\n{}\n{}\n", scope.tenant_id(), scope.env());
    LineHash(Sha256::digest(text.as_bytes()).into())
}

/// The part of a line that stands before its surface, read without parsing the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinePrefix<'a> {
    Event {
        ledger_id: LedgerId,
        event_id: EventId,
        tenant_id: &'a str,
        env: &'a str,
        seq: u64,
        prev: LineHash,
    },
    Attempt {
        ledger_id: LedgerId,
        event_id: EventId,
        tenant_id: &'a str,
        env: &'a str,
    },
}

impl<'a> LinePrefix<'a> {
    /// Reads the fixed beginning of a line; `None` when the bytes are not a line of version 1.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        take(&mut rest, b"{\"schema_version\":1,\"kind\":\"")?;
        let is_attempt = match take_until(&mut rest, b'"')? {
            "event" => false,
            "attempt" => true,
            _ => return None,
        };
        take(&mut rest, b",\"ledger_id\":\"")?;
        let ledger_id = take_until(&mut rest, b'"')?.parse().ok()?;
        take(&mut rest, b",\"event_id\":\"")?;
        let event_id = take_until(&mut rest, b'"')?.parse().ok()?;
        take(&mut rest, b",\"tenant_id\":\"")?;
        let tenant_id = take_until(&mut rest, b'"')?;
        take(&mut rest, b",\"env\":\"")?;
        let env = take_until(&mut rest, b'"')?;
        if is_attempt {
            return Some(Self::Attempt { ledger_id, event_id, tenant_id, env });
        }
        take(&mut rest, b",\"seq\":")?;
        let seq = take_until(&mut rest, b',')?.parse().ok()?;
        take(&mut rest, b"\"prev\":\"")?;
        let prev = take_until(&mut rest, b'"')?.parse().ok()?;
        if rest.last() != Some(&b'}') {
            return None;
        }
        Some(Self::Event { ledger_id, event_id, tenant_id, env, seq, prev })
    }
}

/// The surface of a line; `None` when the bytes are not a line of version 1.
pub(crate) fn line_surface(line: &[u8]) -> Option<&str> {
    let mut rest = line;
    take(&mut rest, b"{\"schema_version\":1,\"kind\":\"")?;
    let is_event = take_until(&mut rest, b'"')? == "event";
    // `ledger_id`, `event_id`, `tenant_id`, `env`: none of them can hold a quote.
    for key in [&b",\"ledger_id\":\""[..], b",\"event_id\":\"", b",\"tenant_id\":\"", b",\"env\":\""] {
        take(&mut rest, key)?;
        take_until(&mut rest, b'"')?;
    }
    if is_event {
        take(&mut rest, b",\"seq\":")?;
        take_until(&mut rest, b',')?;
        take(&mut rest, b"\"prev\":\"")?;
        take_until(&mut rest, b'"')?;
    }
    take(&mut rest, b",\"surface\":\"")?;
    take_until(&mut rest, b'"')
}

/// When a line was recorded, in microseconds since 1970.
pub(crate) fn line_recorded_at(line: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b",\"recorded_at\":";
    // Inside of a text its quotes would be escaped, so the first is the key.
    let at = memchr::memmem::find(line, KEY)? + KEY.len();
    let len = line[at..].iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&line[at..at + len]).ok()?.parse().ok()
}

fn take(rest: &mut &[u8], expected: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

fn take_until<'a>(rest: &mut &'a [u8], end: u8) -> Option<&'a str> {
    let at = rest.iter().position(|byte| *byte == end)?;
    let text = std::str::from_utf8(&rest[..at]).ok()?;
    *rest = &rest[at + 1..];
    Some(text)
}
