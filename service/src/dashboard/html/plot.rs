//! Values over time as inline SVG: lines, corridor, thresholds, and a table that says the same.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::Axis;
use super::blocks::class;
use super::time_axis::{time_axis, widened};
use super::{Frame, text, time};
use crate::dashboard::blocks::{LinePlot, Point, Threshold, Tone};
use crate::dashboard::format::{Moment, plain};

/// The drawing's own units; the style stretches it.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 300.0;
/// Points of a line that are drawn; beyond, each run of points is drawn by its least and greatest.
const MAX_POINTS: usize = 1_000;
/// Values in the table, the newest ones.
const MAX_ROWS: usize = 200;

struct Axes {
    from_us: i64,
    until_us: i64,
    values: Axis,
}

impl Axes {
    fn of(plot: &LinePlot) -> Option<Self> {
        let points = || plot.series.iter().flat_map(|series| &series.points);
        let from_us = plot.from_us.or_else(|| points().map(|point| point.at_us).min())?;
        let until_us = plot.until_us.or_else(|| points().map(|point| point.at_us).max())?;
        points().next()?;
        let bounds = plot.corridors.iter().flat_map(|corridor| [corridor.low, corridor.high]).flatten();
        let thresholds = plot.thresholds.iter().map(|threshold| threshold.value);
        let values = points().map(|point| point.value).chain(bounds).chain(thresholds);
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (from_us, until_us) = widened(from_us, until_us);
        Some(Self { from_us, until_us, values: Axis::of(low, high) })
    }

    fn x(&self, at_us: i64) -> f64 {
        let part =
            (at_us.saturating_sub(self.from_us)) as f64 / (self.until_us.saturating_sub(self.from_us)) as f64;
        part.clamp(0.0, 1.0) * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        self.values.below_top(value) * HEIGHT
    }
}

/// At most so many points, extremes kept.
fn thinned(points: &[Point]) -> Vec<&Point> {
    if points.len() <= MAX_POINTS {
        return points.iter().collect();
    }
    let run = points.len().div_ceil(MAX_POINTS / 2);
    let mut kept = Vec::with_capacity(MAX_POINTS);
    for run in points.chunks(run) {
        let least = run.iter().min_by(|a, b| a.value.total_cmp(&b.value));
        let greatest = run.iter().max_by(|a, b| a.value.total_cmp(&b.value));
        if let (Some(least), Some(greatest)) = (least, greatest) {
            let (first, second) =
                if least.at_us <= greatest.at_us { (least, greatest) } else { (greatest, least) };
            kept.push(first);
            if first.at_us != second.at_us {
                kept.push(second);
            }
        }
    }
    kept
}

fn path(axes: &Axes, points: &[&Point]) -> String {
    let mut path = String::new();
    for (at, point) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", axes.x(point.at_us), axes.y(point.value));
    }
    path
}

/// The corridors as boxes: x, y, width, height.
fn corridors(plot: &LinePlot, axes: &Axes) -> Vec<(f64, f64, f64, f64)> {
    let ends = plot.corridors.iter().skip(1).map(|next| next.from_us).chain([None]);
    let boxes = plot.corridors.iter().zip(ends).map(|(corridor, end)| {
        let x = axes.x(corridor.from_us.unwrap_or(axes.from_us));
        let right = axes.x(end.unwrap_or(axes.until_us));
        // An end that is not finite is none.
        let end = |end: Option<f64>| end.filter(|end| end.is_finite());
        let top = axes.y(end(corridor.high).unwrap_or(axes.values.high())).clamp(0.0, HEIGHT);
        let bottom = axes.y(end(corridor.low).unwrap_or(axes.values.low())).clamp(0.0, HEIGHT);
        (x, top, (right - x).max(0.0), (bottom - top).max(0.0))
    });
    boxes.collect()
}

/// The thresholds that can be drawn.
fn thresholds(plot: &LinePlot) -> impl Iterator<Item = &Threshold> {
    plot.thresholds.iter().filter(|threshold| threshold.value.is_finite())
}

fn says(plot: &LinePlot) -> String {
    let mut says = plot.title.clone();
    for series in &plot.series {
        let by_value = |one: &&Point, other: &&Point| one.value.total_cmp(&other.value);
        let (least, greatest) =
            (series.points.iter().min_by(by_value), series.points.iter().max_by(by_value));
        let _ = write!(says, ". {}: {} values", series.name, series.points.len());
        if let (Some(least), Some(greatest), Some(last)) = (least, greatest, series.points.last()) {
            let (low, high, last) = (exact(least), exact(greatest), exact(last));
            let _ = write!(says, " from {low} to {high}, the last {last} {}", plot.unit);
        }
    }
    says
}

fn exact(point: &Point) -> String {
    point.exact.clone().unwrap_or_else(|| plain(point.value))
}

pub(super) fn line_plot(frame: &Frame<'_>, plot: &LinePlot) -> Markup {
    let Some(axes) = Axes::of(plot) else {
        return html! {
            section.card.chart { h2.caption { (text(&plot.title)) } p.nothing { "No values in this window." } }
        };
    };
    let mut rows: Vec<(&str, &Point)> = Vec::new();
    for series in &plot.series {
        rows.extend(series.points.iter().map(|point| (series.name.as_str(), point)));
    }
    rows.sort_by_key(|(_, point)| std::cmp::Reverse(point.at_us));
    rows.truncate(MAX_ROWS);
    html! {
        section.card.chart {
            div.chart-head {
                h2.caption { (text(&plot.title)) @if !plot.unit.is_empty() { " " span.unit { "(" (text(&plot.unit)) ")" } } }
                ul.legend {
                    @for (at, series) in plot.series.iter().enumerate() {
                        li { span class={ "key line series-" (at % 6) } aria-hidden="true" {} (text(&series.name)) }
                    }
                    @if !plot.corridors.is_empty() { li { span.key.corridor aria-hidden="true" {} "Corridor" } }
                    @for threshold in thresholds(plot) {
                        li { span class={ "key dashed " (class(threshold.tone)) } aria-hidden="true" {} (text(&threshold.label)) " " (plain(threshold.value)) }
                    }
                }
            }
            div.plot {
                div.y-axis aria-hidden="true" {
                    @for line in axes.values.lines() { span { (axes.values.label(line)) } }
                }
                svg viewBox="0 0 1000 300" preserveAspectRatio="none" role="img" aria-label=(says(plot)) {
                    @for (x, y, width, height) in corridors(plot, &axes) {
                        rect.corridor x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{width:.1}")) height=(format!("{height:.1}")) {}
                    }
                    @for line in axes.values.lines() {
                        @let y = format!("{:.1}", axes.y(line));
                        line.grid x1="0" y1=(y) x2="1000" y2=(y) {}
                    }
                    @for threshold in thresholds(plot) {
                        @let y = format!("{:.1}", axes.y(threshold.value));
                        line class={ "threshold " (class(threshold.tone)) } x1="0" y1=(y) x2="1000" y2=(y) {}
                    }
                    @for (at, series) in plot.series.iter().enumerate() {
                        @let points = thinned(&series.points);
                        path class={ "line series-" (at % 6) } d=(path(&axes, &points)) {}
                        // A line without length and with round ends is a dot that is not stretched.
                        @for point in points.iter().filter(|point| points.len() <= 60 || point.tone != Tone::Neutral) {
                            path class={ "dot series-" (at % 6) " " (class(point.tone)) } d=(format!("M{:.1} {:.1}h0", axes.x(point.at_us), axes.y(point.value))) {
                                title { (Moment::of(point.at_us).full()) ": " (exact(point)) " " (plot.unit) }
                            }
                        }
                    }
                }
                (time_axis(axes.from_us, axes.until_us, 4))
            }
            details {
                summary { "The same as a table" }
                table {
                    caption.visually-hidden { (text(&plot.title)) }
                    thead { tr { th scope="col" { "Time (UTC)" } th scope="col" { "Line" } th.number scope="col" { "Value" } } }
                    tbody { @for (line, point) in rows {
                        tr {
                            th scope="row" data-label="Time (UTC)" { (time(point.at_us, frame.now_us)) }
                            td data-label="Line" { (text(line)) }
                            td class={ "number " (class(point.tone)) } data-label="Value" { (text(&exact(point))) }
                        }
                    } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_767_225_600_000_000;

    #[test]
    fn what_is_read_out_is_not_rounded_to_nothing() {
        let points = [Point::new(0, 0.0004), Point::new(1, 0.0001), Point::new(2, 0.0002).exact("0.00020")];
        let plot = LinePlot::new("Loss", "%").series("loss", points);
        assert_eq!(says(&plot), "Loss. loss: 3 values from 0.0001 to 0.0004, the last 0.00020 %");
        let exact = [Point::new(0, 0.5).exact("0.500"), Point::new(1, 1.5).exact("1.500")];
        let plot = LinePlot::new("Loss", "").series("loss", exact);
        assert_eq!(says(&plot), "Loss. loss: 2 values from 0.500 to 1.500, the last 1.500 ");
    }

    #[test]
    fn one_reading_lies_in_the_middle_of_a_minute() {
        let plot = LinePlot::new("Load", "").series("load", [Point::new(NOW_US, 1.0)]);
        let axes = Axes::of(&plot).expect("a point");
        assert_eq!((axes.from_us, axes.until_us), (NOW_US - 30_000_000, NOW_US + 30_000_000));
        assert_eq!(axes.x(NOW_US), WIDTH / 2.0);
    }

    #[test]
    fn ends_and_thresholds_that_are_not_finite_are_not_drawn() {
        let plot = LinePlot::new("Load", "")
            .series("load", [Point::new(0, 1.0), Point::new(60_000_000, 2.0)])
            .corridor(Some(f64::NAN), Some(f64::INFINITY))
            .threshold("never", f64::NAN, Tone::Bad)
            .threshold("limit", 100.25, Tone::Bad);
        let axes = Axes::of(&plot).expect("points");
        assert_eq!(thresholds(&plot).map(|threshold| plain(threshold.value)).collect::<Vec<_>>(), ["100.25"]);
        assert_eq!(corridors(&plot, &axes), [(0.0, 0.0, WIDTH, HEIGHT)]);
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let value = |at: i64| if at == 7_777 { 1_000.0 } else { (at % 10) as f64 };
        let points: Vec<Point> = (0..10_000).map(|at| Point::new(at, value(at))).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= MAX_POINTS);
        assert!(kept.iter().any(|point| point.value == 1_000.0));
        assert!(kept.windows(2).all(|pair| pair[0].at_us < pair[1].at_us));
    }
}
