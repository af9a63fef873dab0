//! Values over time, with the corridor they should stay in.

use serde::Serialize;

use super::Tone;

/// Values over time.
///
/// Values are `f64` for drawing; a point may bring its exact value as text, which is what is read out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LinePlot {
    /// What is plotted.
    pub title: String,
    /// The unit of the values, `°C` say; may be empty.
    pub unit: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Where the values should stay, each from a moment on, oldest first.
    pub corridors: Vec<Corridor>,
    /// Lines at fixed values.
    pub thresholds: Vec<Threshold>,
    /// The beginning of the time axis in microseconds since 1970; by default the first point's time.
    pub from_us: Option<i64>,
    /// The end of the time axis; by default the last point's time.
    pub until_us: Option<i64>,
}

/// One line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, oldest first.
    pub points: Vec<Point>,
}

/// One value at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// In microseconds since 1970.
    pub at_us: i64,
    /// The value. One that is not finite is left out.
    pub value: f64,
    /// The exact value as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Whether the point stands out: a breach.
    pub tone: Tone,
}

/// Where values should stay from a moment on, until the next corridor begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Corridor {
    /// From when on, in microseconds since 1970; `None` from the start of the plot.
    pub from_us: Option<i64>,
    /// The lower bound.
    pub low: Option<f64>,
    /// The upper bound.
    pub high: Option<f64>,
}

/// A line at a fixed value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Threshold {
    /// What it is.
    pub label: String,
    /// Its value.
    pub value: f64,
    /// How bad it is to pass it.
    pub tone: Tone,
}

impl Point {
    /// A value at a time.
    pub fn new(at_us: i64, value: f64) -> Self {
        Self { at_us, value, exact: None, tone: Tone::Neutral }
    }

    /// The exact value as text.
    #[must_use]
    pub fn exact(mut self, text: impl ToString) -> Self {
        self.exact = Some(text.to_string());
        self
    }

    /// Makes the point stand out.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl LinePlot {
    /// A plot without lines.
    pub fn new(title: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            unit: unit.into(),
            series: Vec::new(),
            corridors: Vec::new(),
            thresholds: Vec::new(),
            from_us: None,
            until_us: None,
        }
    }

    /// Adds a line; its points are put in the order of time.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        let mut points: Vec<Point> = points.into_iter().filter(|point| point.value.is_finite()).collect();
        points.sort_by_key(|point| point.at_us);
        self.series.push(Series { name: name.into(), points });
        self
    }

    /// Where values should stay, over the whole plot.
    #[must_use]
    pub fn corridor(mut self, low: Option<f64>, high: Option<f64>) -> Self {
        self.corridors.push(Corridor { from_us: None, low, high });
        self
    }

    /// Where values should stay from a moment on. To be given oldest first.
    #[must_use]
    pub fn corridor_from(mut self, from_us: i64, low: Option<f64>, high: Option<f64>) -> Self {
        self.corridors.push(Corridor { from_us: Some(from_us), low, high });
        self
    }

    /// Adds a line at a fixed value.
    #[must_use]
    pub fn threshold(mut self, label: impl Into<String>, value: f64, tone: Tone) -> Self {
        self.thresholds.push(Threshold { label: label.into(), value, tone });
        self
    }

    /// The span of the time axis, in microseconds since 1970.
    #[must_use]
    pub fn span(mut self, from_us: i64, until_us: i64) -> Self {
        (self.from_us, self.until_us) = (Some(from_us), Some(until_us));
        self
    }
}
