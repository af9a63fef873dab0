//! Counts over time as inline SVG, with a table that says the same.

use maud::{Markup, html};

use super::axis::Axis;
use super::time_axis::time_axis;
use super::{Frame, text, time};
use crate::dashboard::blocks::{TimeBar, TimeBars};
use crate::dashboard::format::{Moment, count};

/// The most bars that are drawn; older ones are left out.
const MAX_BARS: i64 = 400;
const DAY_US: i64 = 86_400_000_000;

fn label(at_us: i64, step_us: i64) -> String {
    let moment = Moment::of(at_us);
    if step_us >= DAY_US { moment.date() } else { format!("{} {}", moment.date(), moment.hour_and_minute()) }
}

/// How many texts the axis has behind its first: each at the beginning of a bar, and days apart where there are days.
fn intervals(bars: i64, step_us: i64) -> u8 {
    let fitting = || [4, 6, 5, 7, 3, 2].into_iter().filter(|intervals| bars % i64::from(*intervals) == 0);
    let part_us = |intervals: u8| (bars / i64::from(intervals)).saturating_mul(step_us);
    let mut by_days = fitting().filter(|intervals| part_us(*intervals) % DAY_US == 0);
    by_days.next().or_else(|| fitting().next()).unwrap_or(1)
}

pub(super) fn time_bars(frame: &Frame<'_>, chart: &TimeBars) -> Markup {
    let step = chart.step_us;
    let bars = chart.until_us.saturating_sub(chart.from_us).div_euclid(step).clamp(1, MAX_BARS);
    let from_us = chart.until_us.saturating_sub(bars.saturating_mul(step));
    let shown: Vec<&TimeBar> = chart.bars.iter().filter(|bar| bar.at_us >= from_us).collect();
    let most = shown.iter().map(|bar| bar.count).max().unwrap_or(0);
    let (total, bad) =
        shown.iter().fold((0_u64, 0_u64), |(total, bad), bar| (total + bar.count, bad + bar.bad));
    let says = format!(
        "{}: {} {}, {} {}, from {} to {} UTC; at most {} in one bar.",
        chart.title,
        count(total),
        chart.noun,
        count(bad),
        chart.bad_noun,
        label(from_us, step),
        label(chart.until_us, step),
        count(most),
    );
    let axis = Axis::of_counts(most);
    // A thousand high; what is there at all is at least visible.
    let height = |value: u64| match value {
        0 => 0,
        value => ((value as f64 / axis.high() * 1_000.0) as u64).clamp(12, 1_000),
    };
    html! {
        section.card.chart {
            div.chart-head {
                h2.caption { (text(&chart.title)) }
                ul.legend {
                    li { span.key.accent aria-hidden="true" {} (text(&chart.noun)) }
                    li { span.key.bad aria-hidden="true" {} (text(&chart.bad_noun)) }
                }
            }
            @if most == 0 {
                p.nothing { "No " (text(&chart.noun)) " in this window." }
            } @else {
                div.plot {
                    div.y-axis aria-hidden="true" { @for line in axis.lines() { span { (axis.label(line)) } } }
                    svg viewBox={ "0 0 " (bars * 10) " 1000" } preserveAspectRatio="none" role="img" aria-label=(says) {
                        @for line in axis.lines() {
                            @let y = format!("{:.1}", axis.below_top(line) * 1_000.0);
                            line.grid x1="0" y1=(y) x2=(bars * 10) y2=(y) {}
                        }
                        @for bar in &shown {
                            @let x = bar.at_us.saturating_sub(from_us).div_euclid(step) * 10 + 1;
                            @let (all, bad) = (height(bar.count), height(bar.bad).min(height(bar.count)));
                            g {
                                title { (label(bar.at_us, step)) ": " (count(bar.count)) " " (chart.noun) ", " (count(bar.bad)) " " (chart.bad_noun) }
                                rect.accent x=(x) y=(1_000 - all) width="8" height=(all) {}
                                @if bad > 0 { rect.bad x=(x) y=(1_000 - bad) width="8" height=(bad) {} }
                            }
                        }
                    }
                    (time_axis(from_us, chart.until_us, intervals(bars, step)))
                }
                details {
                    summary { "The same as a table" }
                    table {
                        caption.visually-hidden { (text(&chart.title)) }
                        thead { tr {
                            th scope="col" { "From (UTC)" }
                            th.number scope="col" { (text(&chart.noun)) }
                            th.number scope="col" { (text(&chart.bad_noun)) }
                        } }
                        tbody { @for bar in shown.iter().rev() {
                            tr {
                                th scope="row" data-label="From (UTC)" { (time(bar.at_us, frame.now_us)) }
                                td.number data-label=(chart.noun) { (count(bar.count)) }
                                td.number data-label=(chart.bad_noun) { (count(bar.bad)) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_axis_are_at_the_beginnings_of_bars() {
        // An hour by five minutes, a day and a week by hours, a month by days, a year.
        let hour_us = DAY_US / 24;
        assert_eq!([12, 24, 7].map(|bars| intervals(bars, hour_us / 12)), [4, 4, 7]);
        assert_eq!([24, 60, 72, 168].map(|bars| intervals(bars, hour_us)), [4, 4, 3, 7]);
        assert_eq!([30, 366, 14, 1].map(|bars| intervals(bars, DAY_US)), [6, 6, 7, 1]);
        for step_us in [hour_us / 12, hour_us, DAY_US] {
            assert!((1..=MAX_BARS).all(|bars| bars % i64::from(intervals(bars, step_us)) == 0));
        }
    }
}
