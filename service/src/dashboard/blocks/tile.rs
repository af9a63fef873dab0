//! A single figure.

use serde::Serialize;

use super::{Cell, Tone};

/// A single figure with its name and a remark.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tile {
    /// What it is.
    pub label: String,
    /// The figure.
    pub value: Cell,
    /// A remark below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How good it is.
    pub tone: Tone,
}

impl Tile {
    /// A figure and what it is.
    pub fn new(label: impl Into<String>, value: Cell) -> Self {
        Self { label: label.into(), value, note: None, tone: Tone::Neutral }
    }

    /// A remark below the figure.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// How good the figure is; the remark should say so in words.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}
