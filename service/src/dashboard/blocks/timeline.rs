//! What happened when.

use dataset_events::EventPlace;
use serde::Serialize;

use super::{Cell, Tone};

/// Entries in the order of time, newest first: who did what, and what it changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Timeline {
    /// What happened.
    pub title: String,
    /// The entries, newest first.
    pub entries: Vec<TimelineEntry>,
    /// What is said in place of no entries.
    pub when_empty: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimelineEntry {
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// What.
    pub title: String,
    /// How good that is.
    pub tone: Tone,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// More, as name and value: `limit` and `100 → 200`, say.
    pub facts: Vec<(String, Cell)>,
    /// The event that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventPlace>,
}

impl Timeline {
    /// A timeline without entries.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), entries: Vec::new(), when_empty: "Nothing has happened yet.".to_owned() }
    }

    /// Adds an entry; entries are kept newest first.
    #[must_use]
    pub fn entry(mut self, entry: TimelineEntry) -> Self {
        let at = self.entries.partition_point(|other| other.at_us >= entry.at_us);
        self.entries.insert(at, entry);
        self
    }

    /// Says this in place of no entries.
    #[must_use]
    pub fn when_empty(mut self, text: impl Into<String>) -> Self {
        self.when_empty = text.into();
        self
    }
}

impl TimelineEntry {
    /// Something that happened at a time, in microseconds since 1970.
    pub fn new(at_us: i64, title: impl Into<String>) -> Self {
        Self { at_us, title: title.into(), tone: Tone::Neutral, actor: None, facts: Vec::new(), event: None }
    }

    /// How good it is.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Who did it.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, value: Cell) -> Self {
        self.facts.push((name.into(), value));
        self
    }

    /// Adds a change of a field: before and after.
    #[must_use]
    pub fn change(self, field: impl Into<String>, before: &str, after: &str) -> Self {
        self.fact(field, Cell::text(format!("{before} \u{2192} {after}")))
    }

    /// The event that it is.
    #[must_use]
    pub fn event(mut self, place: EventPlace) -> Self {
        self.event = Some(place);
        self
    }
}
