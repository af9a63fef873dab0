//! What bytes are, and whether a declared type may be said of them.
//!
//! The rules, in this order:
//!
//! 1. Bytes that are UTF-8 without control characters (tab, line feed, form feed and carriage return are
//!    text) are text. Of the signatures only those of text formats count for them, so that a letter which
//!    begins with `BM` is no bitmap. Without one they are `text/plain`.
//! 2. Other bytes are what their signature says, unless it is a text format's.
//! 3. Bytes without a signature are `application/octet-stream`.

/// Bytes of which nothing is known.
pub(super) const UNKNOWN: &str = "application/octet-stream";
const PLAIN: &str = "text/plain";

/// Formats that are written as text and known by how they begin.
const TEXT_SIGNATURES: [&str; 3] = ["application/pdf", "application/postscript", "application/rtf"];
/// Types of text beside `text/*`, `*+json` and `*+xml`.
const TEXT_TYPES: [&str; 7] = [
    "application/javascript",
    "application/json",
    "application/toml",
    "application/x-ndjson",
    "application/x-sh",
    "application/xml",
    "application/yaml",
];
/// Names in use for what is registered under another name.
const ALIASES: [(&str, &str); 11] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-icon", "image/vnd.microsoft.icon"),
    ("image/x-ms-bmp", "image/bmp"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/wav", "audio/x-wav"),
    ("audio/flac", "audio/x-flac"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-gzip", "application/gzip"),
    ("application/x-zip-compressed", "application/zip"),
];

/// The type that the bytes show.
pub(super) fn sniff(bytes: &[u8]) -> &'static str {
    let signature = infer::get(bytes).map(|kind| kind.mime_type());
    let is_text_signature = |kind: &&str| kind.starts_with("text/") || TEXT_SIGNATURES.contains(kind);
    if is_text(bytes) {
        signature.filter(is_text_signature).unwrap_or(PLAIN)
    } else {
        signature.filter(|kind| !kind.starts_with("text/")).unwrap_or(UNKNOWN)
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let is_text_char =
        |character: char| !character.is_control() || matches!(character, '\t' | '\n' | '\x0c' | '\r');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_text_char))
}

/// A declared type without its parameters, in lower case and by its usual name; `None` when it is no type.
pub(super) fn essence(declared: &str) -> Option<String> {
    let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = declared.split_once('/')?;
    let is_token = |text: &str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let alias = ALIASES.into_iter().find(|(alias, _)| *alias == declared);
    Some(alias.map_or(declared, |(_, name)| name.to_owned()))
}

/// The type to serve the bytes as; `None` when the declared type contradicts the sniffed one.
///
/// - Nothing declared, or `application/octet-stream`: what was sniffed.
/// - Text may be declared as any type of text; JSON must parse.
/// - A ZIP archive may be declared as a format that is one inside.
/// - Bytes of which nothing is known may be declared as what has no known signature and is no text.
/// - Anything else must be what was sniffed.
pub(super) fn agree(declared: Option<&str>, sniffed: &str, bytes: &[u8]) -> Option<String> {
    let Some(declared) = declared.filter(|declared| *declared != UNKNOWN) else {
        return Some(sniffed.to_owned());
    };
    let is_allowed = declared == sniffed
        || match sniffed {
            UNKNOWN => !is_text_type(declared) && !infer::is_mime_supported(declared),
            "application/zip" => is_zip_inside(declared),
            _ => sniffed.starts_with("text/") && is_text_type(declared) && parses_as(declared, bytes),
        };
    is_allowed.then(|| declared.to_owned())
}

fn is_text_type(kind: &str) -> bool {
    let is_structured = kind.ends_with("+json") || kind.ends_with("+xml");
    kind.starts_with("text/") || is_structured || TEXT_TYPES.contains(&kind)
}

fn is_zip_inside(kind: &str) -> bool {
    let families = ["application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."];
    kind.ends_with("+zip")
        || kind == "application/java-archive"
        || families.iter().any(|family| kind.starts_with(family))
}

/// Whether text that is declared as JSON is JSON. Nothing is asked of other kinds of text.
fn parses_as(declared: &str, bytes: &[u8]) -> bool {
    if declared == "application/json" || declared.ends_with("+json") {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    } else {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0";

    #[test]
    fn bytes_are_what_they_show() {
        for (bytes, expected) in [
            (PNG, "image/png"),
            (b"GIF89a\x40\x01\xf0\0", "image/gif"),
            (b"PK\x03\x04\x14\0\0\0", "application/zip"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
            (b"%PDF-1.7 in plain letters", "application/pdf"),
            (b"#!/bin/sh\necho", "text/x-shellscript"),
            (b"<!DOCTYPE html><p>", "text/html"),
            (b"<?xml version=\"1.0\"?><a/>", "text/xml"),
            (b"BMW is a car, MZ were its neighbours", "text/plain"),
            ("gr\u{fc}n\r\n\t\u{1f600}".as_bytes(), "text/plain"),
            (b"text\0with a zero", UNKNOWN),
            (b"<html>\0</html>", UNKNOWN),
            (b"caf\xe9", UNKNOWN),
        ] {
            assert_eq!(sniff(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_declared_type_is_read_without_parameters_and_under_its_usual_name() {
        assert_eq!(essence("Text/Plain; charset=utf-8").as_deref(), Some("text/plain"));
        assert_eq!(essence("image/jpg").as_deref(), Some("image/jpeg"));
        let long = format!("text/{}", "x".repeat(101));
        for bad in ["", "text", "text/", "/plain", "text/a b", "text/a/b", "text/\u{e4}", "a\r\nb/c", &long] {
            assert_eq!(essence(bad), None, "{bad}");
        }
    }

    #[test]
    fn declared_types_narrow_what_was_sniffed_and_never_contradict_it() {
        let json: &[u8] = br#"{"a": 1}"#;
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        for (declared, bytes, expected) in [
            (None, PNG, Some("image/png")),
            (Some(UNKNOWN), PNG, Some("image/png")),
            (Some("image/png"), PNG, Some("image/png")),
            (Some("image/gif"), PNG, None),
            (Some("text/plain"), PNG, None),
            (Some("text/markdown"), b"# Title", Some("text/markdown")),
            (Some("application/json"), json, Some("application/json")),
            (Some("application/problem+json"), json, Some("application/problem+json")),
            (Some("application/json"), b"{\"a\": ", None),
            (Some("image/svg+xml"), b"<svg/>", Some("image/svg+xml")),
            (Some("image/png"), b"<svg/>", None),
            (Some("application/pdf"), b"a letter", None),
            (Some(docx), b"PK\x03\x04\x14\0\0\0", Some(docx)),
            (Some("image/png"), b"PK\x03\x04\x14\0\0\0", None),
            (Some("application/x-own"), b"\0\x01\x02", Some("application/x-own")),
            (Some("image/png"), b"\0\x01\x02", None),
            (Some("text/plain"), b"\0\x01\x02", None),
        ] {
            let agreed = agree(declared, sniff(bytes), bytes);
            assert_eq!(agreed.as_deref(), expected, "{declared:?} of {}", String::from_utf8_lossy(bytes));
        }
    }
}
