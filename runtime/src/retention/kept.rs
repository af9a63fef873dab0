//! Why the oldest segment that is left was not dropped.

use std::fmt;

use serde::Serialize;

use crate::ids::{EventId, Scope};

/// Why the oldest segment that is left was not dropped, and so nothing behind it either: a log has no holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kept {
    /// `keep_for` is not set: everything is kept.
    Everything,
    /// It is the newest segment, which is being written.
    Newest,
    /// It holds events that are younger than `keep_for`.
    Young {
        /// The segment.
        segment: u32,
    },
    /// There is no required sink, and dropping without a copy was not accepted.
    NoRequiredSink,
    /// Required sinks do not have all of it yet.
    NotCopied {
        /// The segment.
        segment: u32,
        /// The required sinks.
        sinks: Vec<String>,
    },
    /// The index has not read all of it yet.
    NotIndexed {
        /// The segment.
        segment: u32,
    },
    /// It holds lines of a scope under a legal hold.
    Held {
        /// The segment.
        segment: u32,
        /// The scope.
        scope: Scope,
    },
    /// It holds an attempt whose event has not come.
    OpenAttempt {
        /// The segment.
        segment: u32,
        /// The attempt.
        event_id: EventId,
    },
    /// No checkpoint with a head table ends where it ends, so that a cut would have nothing to go on from.
    NotSigned {
        /// The segment.
        segment: u32,
    },
    /// It, or something before it, does not verify. What was tampered with is kept as evidence.
    NotVerified {
        /// The first finding.
        finding: String,
    },
    /// A read model could not be saved up to its end.
    NotCarried {
        /// Which, and why.
        reason: String,
    },
    /// The ledger has failed, or is being closed.
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything is kept: `keep_for` is not set"),
            Self::Newest => f.write_str("only the newest segment is left"),
            Self::Young { segment } => write!(f, "segment {segment} is younger than `keep_for`"),
            Self::NoRequiredSink => f.write_str(
                "there is no required sink; add one, or accept with `drop_without_copy` that nobody has a copy",
            ),
            Self::NotCopied { segment, sinks } => {
                write!(f, "segment {segment} is not yet held by the required sinks {}", sinks.join(", "))
            }
            Self::NotIndexed { segment } => write!(f, "segment {segment} is not indexed yet"),
            Self::Held { segment, scope } => {
                write!(f, "segment {segment} holds lines of {scope}, which is under a legal hold")
            }
            Self::OpenAttempt { segment, event_id } => {
                write!(f, "segment {segment} holds the attempt {event_id}, whose event has not come")
            }
            Self::NotSigned { segment } => {
                write!(f, "no checkpoint with a head table ends where segment {segment} ends")
            }
            Self::NotVerified { finding } => write!(f, "what is to be dropped does not verify: {finding}"),
            Self::NotCarried { reason } => write!(f, "a read model is not saved up to there: {reason}"),
            Self::Unavailable { reason } => f.write_str(reason),
        }
    }
}
