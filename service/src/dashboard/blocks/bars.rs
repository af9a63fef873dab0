//! Amounts side by side.

use serde::Serialize;

use super::{Cell, Tone};

/// Amounts by name, as horizontal bars with their figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BarChart {
    /// What is compared.
    pub title: String,
    /// The bars, in the order given.
    pub bars: Vec<Bar>,
    /// The length of a full bar; by default the greatest amount.
    pub full: Option<f64>,
    /// What is said in place of no bars.
    pub when_empty: String,
}

/// One amount.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// How long the bar is.
    pub length: f64,
    /// The figure beside it.
    pub value: Cell,
    /// How good it is.
    pub tone: Tone,
}

impl BarChart {
    /// A chart without bars.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            bars: Vec::new(),
            full: None,
            when_empty: "Nothing in this window.".to_owned(),
        }
    }

    /// Adds a bar with the figure that stands beside it.
    #[must_use]
    pub fn bar(self, label: impl Into<String>, length: f64, value: Cell) -> Self {
        self.toned_bar(label, length, value, Tone::Neutral)
    }

    /// Adds a bar that is good or bad.
    #[must_use]
    pub fn toned_bar(mut self, label: impl Into<String>, length: f64, value: Cell, tone: Tone) -> Self {
        self.bars.push(Bar { label: label.into(), length, value, tone });
        self
    }

    /// The length of a full bar: a limit, of which each bar is a part.
    #[must_use]
    pub fn full(mut self, length: f64) -> Self {
        self.full = Some(length);
        self
    }

    /// Says this in place of no bars.
    #[must_use]
    pub fn when_empty(mut self, text: impl Into<String>) -> Self {
        self.when_empty = text.into();
        self
    }
}
