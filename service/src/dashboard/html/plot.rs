//! Values over time as inline SVG: lines, corridor, thresholds, and a table that says the same.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::blocks::class;
use super::{Frame, text, time};
use crate::dashboard::blocks::{LinePlot, Point, Tone};
use crate::dashboard::format::{Moment, plain};

/// The drawing's own units; the style stretches it.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 300.0;
/// Lines on the value axis.
const STEPS: u32 = 4;
/// Points of a line that are drawn; beyond, each run of points is drawn by its least and greatest.
const MAX_POINTS: usize = 1_000;
/// Values in the table, the newest ones.
const MAX_ROWS: usize = 200;

struct Axes {
    from_us: i64,
    until_us: i64,
    low: f64,
    high: f64,
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
        let (low, high) = rounded(low, high);
        Some(Self { from_us, until_us: until_us.max(from_us.saturating_add(1)), low, high })
    }

    fn x(&self, at_us: i64) -> f64 {
        let part =
            (at_us.saturating_sub(self.from_us)) as f64 / (self.until_us.saturating_sub(self.from_us)) as f64;
        part.clamp(0.0, 1.0) * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        (self.high - value) / (self.high - self.low) * HEIGHT
    }
}

/// Bounds between which four equal steps have few digits.
fn rounded(low: f64, high: f64) -> (f64, f64) {
    let span = if high > low { high - low } else { low.abs().max(1.0) };
    let (low, high) = if high > low { (low, high) } else { (low - span / 2.0, high + span / 2.0) };
    let raw = (high - low) * 1.05 / f64::from(STEPS);
    let power = 10_f64.powf(raw.log10().floor());
    let mut nice = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0].into_iter().map(|step| step * power);
    let fits = |step: &f64| (low / step).floor() * step + step * f64::from(STEPS) >= high;
    let step = nice.find(|step| *step >= raw && fits(step)).unwrap_or(power * 100.0);
    let low = (low / step).floor() * step;
    (low, low + step * f64::from(STEPS))
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
        let top = axes.y(corridor.high.unwrap_or(axes.high)).clamp(0.0, HEIGHT);
        let bottom = axes.y(corridor.low.unwrap_or(axes.low)).clamp(0.0, HEIGHT);
        (x, top, (right - x).max(0.0), (bottom - top).max(0.0))
    });
    boxes.collect()
}

fn says(plot: &LinePlot) -> String {
    let mut says = plot.title.clone();
    for series in &plot.series {
        let values = || series.points.iter().map(|point| point.value);
        let _ = write!(says, ". {}: {} values", series.name, series.points.len());
        if let Some(last) = series.points.last() {
            let (low, high) =
                (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            let (low, high, last) = (plain(low), plain(high), exact(last));
            let _ = write!(says, " from {low} to {high}, the last {last} {}", plot.unit);
        }
    }
    says
}

fn exact(point: &Point) -> String {
    point.exact.clone().unwrap_or_else(|| plain(point.value))
}

/// As fine as the axis is short; the date where it is another than at the beginning.
fn axis_label(at_us: i64, axes: &Axes) -> String {
    let (moment, first) = (Moment::of(at_us), Moment::of(axes.from_us));
    let clock = match axes.until_us.saturating_sub(axes.from_us) {
        ..600_000_000 => moment.clock(),
        600_000_000..172_800_000_000 => moment.hour_and_minute(),
        _ => return moment.date(),
    };
    if at_us > axes.from_us && moment.date() == first.date() {
        clock
    } else {
        format!("{} {clock}", moment.date())
    }
}

pub(super) fn line_plot(frame: &Frame<'_>, plot: &LinePlot) -> Markup {
    let Some(axes) = Axes::of(plot) else {
        return html! {
            section.card.chart { h2.caption { (text(&plot.title)) } p.nothing { "No values in this window." } }
        };
    };
    let step = (axes.high - axes.low) / f64::from(STEPS);
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
                    @for threshold in &plot.thresholds {
                        li { span class={ "key dashed " (class(threshold.tone)) } aria-hidden="true" {} (text(&threshold.label)) " " (plain(threshold.value)) }
                    }
                }
            }
            div.plot {
                div.y-axis aria-hidden="true" {
                    @for at in 0..=STEPS { span { (plain(axes.high - step * f64::from(at))) } }
                }
                svg viewBox="0 0 1000 300" preserveAspectRatio="none" role="img" aria-label=(says(plot)) {
                    @for (x, y, width, height) in corridors(plot, &axes) {
                        rect.corridor x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{width:.1}")) height=(format!("{height:.1}")) {}
                    }
                    @for at in 0..=STEPS {
                        @let y = HEIGHT * f64::from(at) / f64::from(STEPS);
                        line.grid x1="0" y1=(y) x2="1000" y2=(y) {}
                    }
                    @for threshold in &plot.thresholds {
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
                div.x-axis aria-hidden="true" {
                    span { (axis_label(axes.from_us, &axes)) }
                    span { (axis_label(axes.from_us + (axes.until_us - axes.from_us) / 2, &axes)) }
                    span { (axis_label(axes.until_us, &axes)) }
                }
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

    #[test]
    fn axes_hold_all_values_in_four_round_steps() {
        for (low, high) in [(0.0, 1.0), (-3.2, 17.9), (99.5, 100.5), (7.0, 7.0), (0.0, 0.0), (1e6, 3e6)] {
            let (bottom, top) = rounded(low, high);
            assert!(bottom <= low && high <= top, "{low}..{high} in {bottom}..{top}");
            assert!(top - bottom <= ((high - low) * 4.0).max(low.abs().max(1.0) * 4.0), "{bottom}..{top}");
        }
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
