//! What a panel says, without a word of HTML: the dashboard renders it, and the API serves it as JSON.

mod bars;
mod cell;
mod line_plot;
mod table;
mod tile;
mod time_bars;
mod timeline;

use serde::Serialize;

pub use bars::{Bar, BarChart};
pub use cell::{Cell, EventField, Tone};
pub use line_plot::{Corridor, LinePlot, Point, Series, Threshold};
pub use table::{Column, Table};
pub use tile::Tile;
pub use time_bars::{TimeBar, TimeBars};
pub use timeline::{Timeline, TimelineEntry};

/// One part of a panel, in the order of the page.
///
/// Every text is shown as text: markup, control characters and directions in it have no effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "block", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// A heading over what follows.
    Heading {
        /// The text.
        text: String,
    },
    /// A paragraph.
    Text {
        /// The text.
        text: String,
    },
    /// A remark that stands out.
    Notice {
        /// How serious it is.
        tone: Tone,
        /// The text.
        text: String,
    },
    /// Single figures side by side.
    Tiles {
        /// The figures.
        tiles: Vec<Tile>,
    },
    /// A table.
    Table(Table),
    /// Values over time.
    LinePlot(LinePlot),
    /// Amounts by name.
    BarChart(BarChart),
    /// Counts over time.
    TimeBars(TimeBars),
    /// What happened when.
    Timeline(Timeline),
    /// Nothing is there, and what to do about it.
    Empty {
        /// What is not there.
        title: String,
        /// What makes it appear.
        hint: String,
    },
}

impl Block {
    /// A heading over what follows.
    pub fn heading(text: impl Into<String>) -> Self {
        Self::Heading { text: text.into() }
    }

    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A remark that stands out.
    pub fn notice(tone: Tone, text: impl Into<String>) -> Self {
        Self::Notice { tone, text: text.into() }
    }

    /// Single figures side by side.
    pub fn tiles(tiles: impl IntoIterator<Item = Tile>) -> Self {
        Self::Tiles { tiles: tiles.into_iter().collect() }
    }

    /// Nothing is there, and what makes it appear.
    pub fn empty(title: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Empty { title: title.into(), hint: hint.into() }
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<LinePlot> for Block {
    fn from(plot: LinePlot) -> Self {
        Self::LinePlot(plot)
    }
}

impl From<BarChart> for Block {
    fn from(chart: BarChart) -> Self {
        Self::BarChart(chart)
    }
}

impl From<Timeline> for Block {
    fn from(timeline: Timeline) -> Self {
        Self::Timeline(timeline)
    }
}

impl From<TimeBars> for Block {
    fn from(bars: TimeBars) -> Self {
        Self::TimeBars(bars)
    }
}
