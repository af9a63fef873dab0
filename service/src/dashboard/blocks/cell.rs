//! One value, with what it means.

use dataset_events::{EventPlace, Outcome, TraceId};
use serde::Serialize;

/// How good or bad something is. Never shown by colour alone: a text stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tone {
    /// Neither.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Not as it should be.
    Bad,
}

/// A field that the list of events can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventField {
    /// The surface; as a filter also with `*`.
    Surface,
    /// The error code.
    Code,
    /// The user.
    User,
    /// The request.
    Request,
}

impl EventField {
    pub(in crate::dashboard) const fn as_str(self) -> &'static str {
        match self {
            Self::Surface => "surface",
            Self::Code => "code",
            Self::User => "user",
            Self::Request => "request",
        }
    }
}

/// One value of a table, a tile or a timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cell {
    /// Nothing; shown as a dash.
    None,
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// A name that programs use: a surface, a code, an id. In the font of code.
    Name {
        /// The name.
        text: String,
    },
    /// A whole number, with thousands separators.
    Count {
        /// The number.
        value: u64,
    },
    /// An exact number as text, aligned as a number.
    Number {
        /// The number as it is shown.
        text: String,
    },
    /// A part of a whole, from 0 to 1; shown in percent.
    Share {
        /// The part.
        value: f64,
    },
    /// A length of time.
    Duration {
        /// In nanoseconds.
        ns: u64,
    },
    /// A moment, shown in UTC.
    Time {
        /// In microseconds since 1970.
        at_us: i64,
    },
    /// A state with its colour and its text.
    Status {
        /// How good it is.
        tone: Tone,
        /// What it is.
        text: String,
    },
    /// A link to an event.
    Event {
        /// The event's place.
        place: EventPlace,
        /// The text of the link.
        text: String,
    },
    /// The time of an event, as a link to it.
    EventTime {
        /// The event's place.
        place: EventPlace,
    },
    /// A value, as a link to the list of events that have it.
    EventsWith {
        /// The field that the list is filtered by.
        field: EventField,
        /// The value.
        value: String,
    },
    /// A link to a trace.
    Trace {
        /// The trace.
        trace_id: TraceId,
    },
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A name that programs use.
    pub fn name(text: impl Into<String>) -> Self {
        Self::Name { text: text.into() }
    }

    /// A whole number.
    pub fn count(value: u64) -> Self {
        Self::Count { value }
    }

    /// An exact number, a decimal say, as it is to be shown.
    pub fn number(text: impl ToString) -> Self {
        Self::Number { text: text.to_string() }
    }

    /// A part of a whole, from 0 to 1.
    pub fn share(value: f64) -> Self {
        Self::Share { value }
    }

    /// A length of time in nanoseconds.
    pub fn duration_ns(ns: u64) -> Self {
        Self::Duration { ns }
    }

    /// A moment in microseconds since 1970 (UTC).
    pub fn time(at_us: i64) -> Self {
        Self::Time { at_us }
    }

    /// A state with its tone.
    pub fn status(tone: Tone, text: impl Into<String>) -> Self {
        Self::Status { tone, text: text.into() }
    }

    /// The outcome of a call.
    pub fn outcome(outcome: Outcome) -> Self {
        Self::status(Tone::from(outcome), outcome.as_str())
    }

    /// A link to an event.
    pub fn event(place: EventPlace, text: impl Into<String>) -> Self {
        Self::Event { place, text: text.into() }
    }

    /// The time of an event, as a link to it.
    pub fn event_time(place: EventPlace) -> Self {
        Self::EventTime { place }
    }

    /// A value, as a link to the list of events that have it.
    pub fn events_with(field: EventField, value: impl Into<String>) -> Self {
        Self::EventsWith { field, value: value.into() }
    }

    /// A link to a trace.
    pub fn trace(trace_id: TraceId) -> Self {
        Self::Trace { trace_id }
    }

    /// The value, or nothing.
    pub fn or_none<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::None, cell)
    }

    pub(in crate::dashboard) fn is_numeric(&self) -> bool {
        matches!(self, Self::Count { .. } | Self::Number { .. } | Self::Share { .. } | Self::Duration { .. })
    }
}

impl From<Outcome> for Tone {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Good,
            Outcome::Denied | Outcome::Cancelled => Self::Warning,
            _ => Self::Bad,
        }
    }
}
