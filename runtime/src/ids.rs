//! Identifiers: validated, cheap to clone, one type for each role.
//!
//! An id is checked once, at the edge, when it is made from text; from then on its type is the proof.
//! Every id has `Display`, `FromStr` and serde; deserialising checks as parsing does.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text was refused as an identifier.
///
/// `code` is stable and fit for an error surface; the refused text itself is not kept, only its
/// length, because ids from outside may hold anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidId {
    /// What was being made: `tenant`, `env`, `user_id`, ...
    pub what: &'static str,
    /// Why it was refused.
    pub reason: InvalidIdReason,
    /// The length of the refused text in bytes.
    pub len_bytes: usize,
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidIdReason {
    /// The text is empty.
    Empty,
    /// The text is longer than `max_bytes`.
    TooLong {
        /// The bound, in bytes.
        max_bytes: usize,
    },
    /// The byte at `at` is outside the accepted alphabet.
    Forbidden {
        /// Position of the first offending byte.
        at: usize,
        /// The accepted alphabet, in words.
        accepted: &'static str,
    },
    /// The text is a path step (`.` or `..`).
    PathStep,
    /// The text is not the hexadecimal form that is expected, or all its digits are zero.
    NotHex {
        /// How many hexadecimal digits are expected.
        digits: usize,
    },
    /// The text is not a UUID.
    NotUuid,
}

impl InvalidId {
    /// The stable code of this refusal: `context.invalid_tenant`, `context.invalid_env`, ...
    pub fn code(&self) -> &'static str {
        match self.what {
            "tenant" => "context.invalid_tenant",
            "env" => "context.invalid_env",
            "user id" => "context.invalid_user_id",
            "auth subject" => "context.invalid_auth_subject",
            "request id" => "context.invalid_request_id",
            "trace id" => "context.invalid_trace_id",
            "span id" => "context.invalid_span_id",
            "traceparent" => "context.invalid_traceparent",
            _ => "context.invalid_id",
        }
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {} of {} bytes: ", self.what, self.len_bytes)?;
        match self.reason {
            InvalidIdReason::Empty => f.write_str("it is empty"),
            InvalidIdReason::TooLong { max_bytes } => {
                write!(f, "at most {max_bytes} bytes are accepted")
            }
            InvalidIdReason::Forbidden { at, accepted } => {
                write!(f, "byte {at} is not accepted; use {accepted}")
            }
            InvalidIdReason::PathStep => f.write_str("`.` and `..` are not accepted"),
            InvalidIdReason::NotHex { digits } => {
                write!(f, "expected {digits} lower-case hexadecimal digits, not all zero")
            }
            InvalidIdReason::NotUuid => f.write_str("expected a UUID"),
        }
    }
}

impl std::error::Error for InvalidId {}

impl From<std::convert::Infallible> for InvalidId {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Text that is either known at compile time or shared: a clone never copies the bytes.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

const fn tenant_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
}

const fn env_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
}

const fn printable_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

const fn check(
    what: &'static str,
    text: &str,
    max_bytes: usize,
    accepts: AcceptedBytes,
) -> Result<(), InvalidId> {
    let bytes = text.as_bytes();
    let len_bytes = bytes.len();
    let reason = if len_bytes == 0 {
        InvalidIdReason::Empty
    } else if len_bytes > max_bytes {
        InvalidIdReason::TooLong { max_bytes }
    } else if matches!(accepts, AcceptedBytes::Tenant)
        && bytes[0] == b'.'
        && (len_bytes == 1 || (len_bytes == 2 && bytes[1] == b'.'))
    {
        InvalidIdReason::PathStep
    } else {
        let mut at = 0;
        loop {
            if at == len_bytes {
                return Ok(());
            }
            let byte = bytes[at];
            let (fits, accepted) = match accepts {
                AcceptedBytes::Tenant => (tenant_byte(byte), "A-Z a-z 0-9 . _ : -"),
                AcceptedBytes::Env => (env_byte(byte), "a-z 0-9 _ -"),
                AcceptedBytes::Printable => (printable_byte(byte), "printable ASCII without space"),
            };
            if !fits {
                break InvalidIdReason::Forbidden { at, accepted };
            }
            at += 1;
        }
    };
    Err(InvalidId { what, reason, len_bytes })
}

#[derive(Clone, Copy)]
enum AcceptedBytes {
    Tenant,
    Env,
    Printable,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $accepts:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Text);

        impl $name {
            /// The greatest length, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Makes the id from text.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] when the text is empty, too long, or has a byte outside the alphabet.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                check($what, text, $max, AcceptedBytes::$accepts)?;
                Ok(Self(Text::Shared(Arc::from(text))))
            }

            /// Makes the id from a literal, at compile time when used in a `const`.
            ///
            /// # Panics
            ///
            /// When the text would be refused by [`new`](Self::new); in a `const` that is a build error.
            pub const fn from_static(text: &'static str) -> Self {
                match check($what, text, $max, AcceptedBytes::$accepts) {
                    Ok(()) => Self(Text::Static(text)),
                    Err(_) => panic!(concat!("this text is not accepted as ", $what)),
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = InvalidId;
            fn try_from(text: &String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A tenant: 1 to 128 bytes of `[A-Za-z0-9._:-]`, neither `.` nor `..`.
    ///
    /// ```
    /// # use dataset_events::TenantId;
    /// const ACME: TenantId = TenantId::from_static("acme");
    /// assert_eq!("acme".parse::<TenantId>()?, ACME);
    /// assert!(TenantId::new("../etc").is_err());
    /// # Ok::<_, dataset_events::InvalidId>(())
    /// ```
    TenantId, "tenant", 128, Tenant
}

text_id! {
    /// An environment: 1 to 32 bytes of `[a-z0-9_-]`, such as `prod` or `staging`.
    Env, "env", 32, Env
}

text_id! {
    /// The user on whose behalf a request runs: 1 to 256 bytes of printable ASCII without space.
    UserId, "user id", 256, Printable
}

text_id! {
    /// The subject that was authenticated, issuer and subject as the identity layer writes it:
    /// 1 to 256 bytes of printable ASCII without space.
    AuthSubject, "auth subject", 256, Printable
}

text_id! {
    /// A request id: 1 to 128 bytes of printable ASCII without space.
    RequestId, "request id", 128, Printable
}

impl From<Uuid> for TenantId {
    fn from(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(Text::Shared(Arc::from(&*uuid.hyphenated().encode_lower(&mut buffer))))
    }
}

impl TenantId {
    /// The tenant of the ledger's own scope. No text that a user can pass makes this value.
    pub(crate) const SYSTEM: Self = Self(Text::Static(Self::SYSTEM_NAME));
    pub(crate) const SYSTEM_NAME: &'static str = "$system";
}

impl Env {
    /// The env of the ledger's own scope. No text that a user can pass makes this value.
    pub(crate) const SYSTEM: Self = Self(Text::Static("$system"));
    /// Stands for the env of a tenant's event whose call named that of `$system`.
    pub(crate) const UNKNOWN_NAME: &'static str = "unknown";
}

/// A (tenant, env) pair: what every event belongs to and every read needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scope {
    pub(crate) tenant_id: TenantId,
    pub(crate) env: Env,
}

impl Scope {
    /// Makes a scope of a tenant and an env.
    pub fn new(tenant_id: TenantId, env: Env) -> Self {
        Self { tenant_id, env }
    }

    /// The scope of the ledger's own and of unauthenticated events; only the operator reads it.
    pub(crate) fn system() -> Self {
        Self { tenant_id: TenantId::SYSTEM, env: Env::SYSTEM }
    }

    /// A scope as it stands in a stored line, where `$system` is an accepted value.
    pub(crate) fn from_stored(tenant: &str, env: &str) -> Result<Self, InvalidId> {
        if tenant == "$system" && env == "$system" {
            return Ok(Self::system());
        }
        Ok(Self { tenant_id: TenantId::new(tenant)?, env: Env::new(env)? })
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &TenantId {
        &self.tenant_id
    }

    /// The env.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Whether this is the scope of the ledger's own events.
    pub fn is_system(&self) -> bool {
        self.tenant_id == TenantId::SYSTEM
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant_id, self.env)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Makes the id from its bytes; `None` when all are zero, which W3C trace context refuses.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                let mut at = 0;
                while at < $bytes {
                    if bytes[at] != 0 {
                        return Some(Self(bytes));
                    }
                    at += 1;
                }
                None
            }

            /// The bytes of the id, most significant first.
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// The lower-case hexadecimal form.
            pub(crate) fn to_hex(self) -> [u8; $bytes * 2] {
                let mut hex = [0; $bytes * 2];
                encode_hex(&self.0, &mut hex);
                hex
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = self.to_hex();
                f.pad(std::str::from_utf8(&hex).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode_hex::<$bytes>(text).and_then(Self::from_bytes).ok_or(InvalidId {
                    what: $what,
                    reason: InvalidIdReason::NotHex { digits: $bytes * 2 },
                    len_bytes: text.len(),
                })
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// A W3C trace id: 16 bytes, 32 lower-case hexadecimal digits, not all zero.
    TraceId, "trace id", 16
}

hex_id! {
    /// A W3C span (parent) id: 8 bytes, 16 lower-case hexadecimal digits, not all zero.
    SpanId, "span id", 8
}

/// Writes `bytes` as lower-case hexadecimal into `hex`, which is twice as long.
pub(crate) fn encode_hex(bytes: &[u8], hex: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(hex.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The value of each lower-case hexadecimal digit; 16 for any other byte.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    // One test at the end instead of one a digit: verification decodes a hash for every line.
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (DIGIT_VALUES[usize::from(pair[0])], DIGIT_VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 16).then_some(bytes)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes the id from a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// The id as a number, most significant byte first.
            pub(crate) const fn as_u128(&self) -> u128 {
                self.0.as_u128()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = Uuid::encode_buffer();
                f.pad(self.0.hyphenated().encode_lower(&mut buffer))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId {
                    what: $what,
                    reason: InvalidIdReason::NotUuid,
                    len_bytes: text.len(),
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id! {
    /// The id of one event: a UUIDv7, minted when the call begins.
    EventId, "event id"
}

uuid_id! {
    /// The id of one ledger: the name of its directory in the root.
    LedgerId, "ledger id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_tenants_are_refused() {
        let long = "a".repeat(129);
        for bad in
            ["", ".", "..", "../x", "a/b", "a\0b", "a b", "ä", "a*", "%", "$system", "a\u{202e}", &long]
        {
            assert!(TenantId::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "A.b_c:d-1", "...", "00000000-0000-0000-0000-000000000001", &long[..128]] {
            assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn hostile_envs_are_refused() {
        for bad in ["", "Prod", "a.b", "$system", "prod ", &"a".repeat(33)] {
            assert!(Env::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(Env::new("prod-eu_1").is_ok());
    }

    #[test]
    fn lone_surrogate_in_json_is_refused() {
        assert!(serde_json::from_str::<UserId>(r#""\ud800""#).is_err());
    }

    #[test]
    fn hex_ids_round_trip_and_refuse_zero_and_upper_case() {
        let text = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        assert!("0".repeat(32).parse::<TraceId>().is_err());
        assert!(text.to_uppercase().parse::<TraceId>().is_err());
        assert!("00f067aa0ba902b".parse::<SpanId>().is_err());
    }

    #[test]
    fn codes_name_what_was_refused() {
        assert_eq!(TenantId::new("").unwrap_err().code(), "context.invalid_tenant");
        assert_eq!(RequestId::new("\n").unwrap_err().code(), "context.invalid_request_id");
    }
}
