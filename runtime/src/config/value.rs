//! Values whose key is known.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How much of a text may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it.
    Whole,
    /// An address without its user, password and query.
    Address,
    /// Nothing: a secret, or a text that lies elsewhere.
    Nothing,
}

/// A checked value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    Count(u64),
    Size(u64),
    Time(Duration),
    Text(String, Shown),
    Texts(Vec<String>),
    /// Names in lower case, with texts that are never shown.
    Hidden(BTreeMap<String, String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Size(bytes) => f.write_str(&size_text(*bytes)),
            Self::Time(time) => humantime::format_duration(*time).fmt(f),
            Self::Text(text, shown) => f.write_str(&shown_text(text, *shown)),
            Self::Texts(texts) => f.write_str(&texts.join(",")),
            Self::Hidden(map) => {
                f.write_str(&map.keys().map(|name| format!("{name}=***")).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(..) => write!(f, "{:?}", self.to_string()),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

/// What of a text may be in messages and statuses.
pub(super) fn shown_text(text: &str, shown: Shown) -> String {
    match shown {
        Shown::Whole => text.to_owned(),
        Shown::Address => address_text(text),
        Shown::Nothing => "***".to_owned(),
    }
}

/// An address without what may be a secret in it.
fn address_text(address: &str) -> String {
    let (address, query) = match address.split_once(['?', '#']) {
        Some((address, _)) => (address, "?***"),
        None => (address, ""),
    };
    let Some((scheme, rest)) = address.split_once("://") else { return format!("{address}{query}") };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}{query}"),
        None => format!("{scheme}://{rest}{query}"),
    }
}

/// A size in the largest unit that gives a whole number.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fits = |&&(_, shift): &&(&str, u32)| bytes > 0 && bytes.trailing_zeros() >= shift;
    match units.iter().find(fits) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// The checked values of one table.
pub(crate) type Values = BTreeMap<&'static str, Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_whole_units() {
        assert_eq!(size_text(64 << 20), "64MiB");
        assert_eq!(size_text(1536), "1536B");
        assert_eq!(size_text(3 << 10), "3KiB");
        assert_eq!(size_text(0), "0B");
    }

    #[test]
    fn addresses_are_shown_without_user_password_and_query() {
        let shown = |text| shown_text(text, Shown::Address);
        assert_eq!(shown("https://key:pass@host:1/a@b?sig=x"), "https://***@host:1/a@b?***");
        assert_eq!(shown("s3://bucket/prefix"), "s3://bucket/prefix");
        assert_eq!(shown("/var/archive?token=x"), "/var/archive?***");
        assert_eq!(shown("https://user@host"), "https://***@host");
    }

    #[test]
    fn hidden_values_are_in_no_output() {
        let text = Value::Text("hunter2".to_owned(), Shown::Nothing);
        let map = Value::Hidden(BTreeMap::from([("api-key".to_owned(), "hunter2".to_owned())]));
        assert_eq!(format!("{text} {text:?} {map} {map:?}"), "*** \"***\" api-key=*** api-key=***");
    }
}
