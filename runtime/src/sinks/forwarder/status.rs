//! How a sink fares.

use serde::Serialize;

use crate::log::LogPosition;

/// How a sink fares.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SinkStatus {
    /// The operator's name of it.
    pub name: String,
    /// What it is: `firestore`.
    pub kind: &'static str,
    /// Where it writes, without secrets; may be empty.
    pub target: String,
    /// Whether retention and `drain` wait for it.
    pub required: bool,
    /// The globs of the surfaces that it gets. When there are any, what it holds cannot be verified as a whole log.
    pub surfaces: Vec<String>,
    /// What it does.
    pub state: ForwardState,
    /// Up to where it has the log.
    pub acknowledged: LogPosition,
    /// Up to where it is known to have the log after a crash of this process: the cursor's file.
    pub saved: LogPosition,
    /// Durable events behind [`acknowledged`](Self::acknowledged).
    pub lag_events: u64,
    /// Durable bytes of the log behind it.
    pub lag_bytes: u64,
    /// The age of the oldest line that it has not acknowledged; 0 when there is none.
    pub lag_seconds: f64,
    /// When it acknowledged last, in microseconds since 1970 (UTC).
    pub last_write_us: Option<i64>,
    /// What went wrong last; it stays when all is well again.
    pub last_error: Option<LastError>,
    /// Events acknowledged a second, of late.
    pub events_per_second: f64,
    /// Entries acknowledged since it was attached; those that came again count again.
    pub forwarded: u64,
    /// Those of them that were there already.
    pub duplicates: u64,
    /// Attempts that have failed since it was attached.
    pub retries: u64,
    /// Entries that it refused for good and that are kept beside the cursor.
    pub dead_letters: u64,
    /// Dead letters that it took since it was attached, when they were offered again.
    pub redelivered: u64,
    /// Segments that were dropped before it had them.
    pub missed_segments: u64,
}

/// A required sink that does not have everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SinkBehind {
    /// The operator's name of it.
    pub name: String,
    /// Durable events that it has not acknowledged.
    pub events: u64,
    /// Durable bytes of the log that it has not acknowledged.
    pub bytes: u64,
    /// What it does.
    pub state: ForwardState,
}

/// What a sink's forwarder does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForwardState {
    /// It is being opened for the first time.
    Starting,
    /// It forwards, or has nothing to forward.
    Running,
    /// The last attempt failed; the next is made by itself.
    Waiting {
        /// When, in microseconds since 1970 (UTC).
        until_us: i64,
        /// How many attempts have failed in a row.
        attempts: u64,
    },
    /// A call into the sink has not returned for longer than its `hang_after`.
    Hanging {
        /// When it began, in microseconds since 1970 (UTC).
        since_us: i64,
    },
    /// An operator paused it.
    Paused,
    /// It does nothing until an operator resumes or replaces it.
    Stopped {
        /// Why, and what to do.
        reason: String,
    },
    /// The ledger is closed, or the sink was removed.
    Closed,
}

impl ForwardState {
    /// The name in metrics and on pages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting { .. } => "waiting",
            Self::Hanging { .. } => "hanging",
            Self::Paused => "paused",
            Self::Stopped { .. } => "stopped",
            Self::Closed => "closed",
        }
    }
}

/// An error of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastError {
    /// What was attempted, and why it failed; cut at 1 KiB.
    pub message: String,
    /// When, in microseconds since 1970 (UTC).
    pub at_us: i64,
}

/// An error and its causes in one text.
pub(super) fn message_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Many errors repeat their cause.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    bounded(text)
}

/// Cuts a text at 1 KiB.
pub(super) fn bounded(mut text: String) -> String {
    const MAX: usize = 1024;
    if text.len() > MAX {
        let mut end = MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(" ..");
    }
    text
}
