//! The event as it is read back: one line of the log, parsed.

mod dataset_event;
mod marker;
mod place;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{AuthSubject, UserId};

pub use dataset_event::DatasetEvent;
pub use marker::{Marker, Omitted, Sealed};
pub use place::{EventPlace, InvalidPlace};

/// The version of the envelope that this crate writes.
pub const SCHEMA_VERSION: u32 = 1;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Outcome {
    /// The call returned its value.
    Ok,
    /// The call failed with a code.
    Error,
    /// The call was refused: its code says that the caller is not allowed.
    Denied,
    /// The call panicked.
    Panic,
    /// The future or stream was dropped before its end.
    Cancelled,
    /// The process or the host died inside the call.
    Interrupted,
}

impl Outcome {
    /// The name in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Panic => "panic",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Every outcome, in the order of the design.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Error, Self::Denied, Self::Panic, Self::Cancelled, Self::Interrupted];

    /// Whether the call did not return its value.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Ok)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActorType {
    /// A person.
    User,
    /// Another service.
    Service,
    /// An automated agent acting for somebody.
    Agent,
    /// The holder of an API key.
    ApiKey,
    /// The program itself.
    System,
    /// Nobody was authenticated. The default when no user is known.
    #[default]
    Anonymous,
}

impl ActorType {
    /// The name in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Agent => "agent",
            Self::ApiKey => "api_key",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    pub(crate) const ALL: [Self; 6] =
        [Self::User, Self::Service, Self::Agent, Self::ApiKey, Self::System, Self::Anonymous];
}

/// Who acted, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The kind of actor.
    #[serde(rename = "type")]
    pub actor_type: ActorType,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The authenticated subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_subject: Option<AuthSubject>,
    /// The user for whom the actor acted, when it is not the actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<UserId>,
}

/// Where a request came from, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Client {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The user agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Why a call failed, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventError {
    /// The code, `engine.reason`; one word (`panic`, `cancelled`, `interrupted`) for the framework's own.
    pub code: String,
    /// The message, recorded only where the program opted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// What else is known of the end of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutcomeDetail {
    /// For a stream: the items delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// For `interrupted`: what died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<InterruptCause>,
}

/// What died inside an interrupted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InterruptCause {
    /// The process: the call did not return.
    Process,
    /// The host, or the journal was lost: the call may have returned.
    Host,
    /// The result could not be made durable.
    Ledger,
}

impl InterruptCause {
    /// The name in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Host => "host",
            Self::Ledger => "ledger",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Process, Self::Host, Self::Ledger];
}

/// A thing that the call read or wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceRef {
    /// The kind: `thread`, `policy`, ...
    pub kind: String,
    /// The id within its kind.
    pub id: String,
}

/// A field that the call changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The field.
    pub field: String,
    /// The value before.
    pub before: Box<RawValue>,
    /// The value after.
    pub after: Box<RawValue>,
}

/// Which program wrote the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Writer {
    /// The service's name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Its build: a commit or an image digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The running instance.
    pub instance: String,
    /// How often this ledger has been opened for writing.
    pub epoch: u64,
}

/// A hash of a line, or of the genesis string of a stream: 32 bytes of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineHash(pub(crate) [u8; 32]);

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; 64];
        crate::ids::encode_hex(&self.0, &mut hex);
        f.pad(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineHash({self})")
    }
}

impl std::str::FromStr for LineHash {
    type Err = crate::ids::InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::ids::decode_hex(text).map(Self).ok_or(crate::ids::InvalidId {
            what: "line hash",
            reason: crate::ids::InvalidIdReason::NotHex { digits: 64 },
            len_bytes: text.len(),
        })
    }
}

impl Serialize for LineHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
