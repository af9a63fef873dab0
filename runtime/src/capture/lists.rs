//! Sections that grow while the call runs: members of an object, elements of a list.

use std::fmt::Display;

use sha2::{Digest, Sha256};

use super::{ByDisplay, Capture, Detached, MAX_SECTION_BYTES, scratch, write_omitted, write_value};
use crate::context::write_json_str;
use crate::ids::encode_hex;

/// The longest id of a source ref that is kept as it is, in bytes; a longer one is kept as its hash.
pub(crate) const MAX_SOURCE_ID_BYTES: usize = 512;

/// Writes the id of a source ref as a JSON string.
pub(crate) fn detached_id(id: &dyn Display) -> Detached {
    let mut bytes = scratch();
    write_id(&mut bytes, &ByDisplay(id));
    Detached(bytes)
}

/// Writes an id into an empty buffer. An oversized one is kept as a hash of its JSON text, a failed one
/// as the marker's name.
fn write_id(out: &mut Vec<u8>, id: &dyn Capture) {
    write_value(out, None, id);
    let is_string = out.first() == Some(&b'"');
    if is_string && out.len() <= MAX_SOURCE_ID_BYTES + 2 {
        return;
    }
    let mut hex = [0; 64];
    let replaced = if is_string {
        encode_hex(&Sha256::digest(&out[1..out.len() - 1]), &mut hex);
        [b"\"$sha256:".as_slice(), &hex, b"\""].concat()
    } else {
        b"\"$error\"".to_vec()
    };
    *out = replaced;
}

/// Adds a source ref whose id is captured here.
pub(crate) fn write_source_ref(section: &mut Vec<u8>, kind: &str, id: &dyn Capture) {
    let mut bytes = scratch();
    write_id(&mut bytes, id);
    push_source_ref(section, kind, &Detached(bytes));
}

/// Adds a source ref whose id is JSON text already.
pub(crate) fn push_source_ref(section: &mut Vec<u8>, kind: &str, id: &[u8]) {
    let kind = if is_field_name(kind) { kind } else { "$refused" };
    push_element(
        section,
        &[b"{\"kind\":\"", kind.as_bytes(), b"\",\"id\":", id, b"}"],
        br#"{"kind":"$omitted","id":"more"}"#,
    );
}

/// Adds a change whose values are JSON text already.
pub(crate) fn push_change(section: &mut Vec<u8>, field: &str, before: &[u8], after: &[u8]) {
    let field = if is_field_name(field) { field } else { "$refused" };
    push_element(
        section,
        &[b"{\"field\":\"", field.as_bytes(), b"\",\"before\":", before, b",\"after\":", after, b"}"],
        br#"{"field":"$omitted","before":null,"after":null}"#,
    );
}

/// Adds an element to a list without brackets; when it has no room, one marker ends the list.
fn push_element(section: &mut Vec<u8>, parts: &[&[u8]], marker: &[u8]) {
    if section.ends_with(marker) {
        return;
    }
    if !section.is_empty() {
        section.push(b',');
    }
    let len: usize = parts.iter().map(|part| part.len()).sum();
    if section.len() + len + marker.len() + 1 > MAX_SECTION_BYTES {
        section.extend_from_slice(marker);
        return;
    }
    for part in parts {
        section.extend_from_slice(part);
    }
}

/// Whether a name may stand in a payload: 1 to 64 bytes of `[A-Za-z_][A-Za-z0-9_.-]*`.
pub(crate) fn is_field_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 64
        && bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Sets a member of the object in `section`; a member of the same name is replaced.
pub(crate) fn set_member(section: &mut Vec<u8>, name: &str, value: &[u8]) {
    if section.starts_with(br#"{"$omitted""#) {
        return;
    }
    let (name, value) =
        if is_field_name(name) { (name, value) } else { ("$refused", &b"\"field name\""[..]) };
    if let Some(member) = find_member(section, name) {
        section.splice(member, value.iter().copied());
    } else {
        match section.pop() {
            None => section.push(b'{'),
            Some(_) => section.push(b','),
        }
        write_json_str(section, name);
        section.push(b':');
        section.extend_from_slice(value);
        section.push(b'}');
    }
    if section.len() > MAX_SECTION_BYTES {
        let mut hasher = Sha256::new();
        hasher.update(&*section);
        let bytes = section.len() as u64;
        section.clear();
        write_omitted(section, hasher, bytes, false);
    }
}

/// Where the value of a top-level member lies in an object that this module wrote.
fn find_member(object: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let mut at = 1;
    while at < object.len() && object[at] != b'}' {
        let key_end = skip_value(object, at);
        let key = &object[at + 1..key_end - 1];
        let start = key_end + 1;
        let end = skip_value(object, start);
        if key == name.as_bytes() {
            return Some(start..end);
        }
        at = end + 1;
    }
    None
}

/// The end of the JSON value that begins at `at`.
fn skip_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    while at < json.len() {
        match json[at] {
            b'\\' if in_string => at += 1,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return at + 1;
                }
            }
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return at,
            b'}' | b']' => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}
