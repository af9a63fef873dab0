//! What is written below an axis of times.

use maud::{Markup, html};

use crate::dashboard::format::Moment;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 86_400_000_000;
/// The shortest axis whose texts, a millisecond each, differ.
const SHORTEST_US: i64 = 10_000;

/// A text at an equal distance from the next.
#[derive(Debug, PartialEq)]
struct Label {
    text: String,
    /// Left out where there is little room.
    is_minor: bool,
}

/// How finely a moment is said.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Days,
}

impl Unit {
    /// The coarsest in which every moment of an axis is where it is said to be, or nearly so.
    fn of(moments: &[i64], len_us: i64, part_us: i64) -> Self {
        let are_at = |unit_us: i64| moments.iter().all(|moment| moment.rem_euclid(unit_us) == 0);
        match part_us {
            _ if len_us > 2 * DAY_US && are_at(DAY_US) => Self::Days,
            // The hours of a day are narrower than the text.
            _ if len_us > 40 * DAY_US => Self::Days,
            part_us if part_us >= 5 * MINUTE_US || are_at(MINUTE_US) => Self::Minutes,
            part_us if part_us >= 5 * SECOND_US || are_at(SECOND_US) => Self::Seconds,
            _ => Self::Milliseconds,
        }
    }
}

/// A span of no length to speak of, and half a minute on each side of it.
pub(super) fn widened(from_us: i64, until_us: i64) -> (i64, i64) {
    if until_us.saturating_sub(from_us) >= SHORTEST_US {
        return (from_us, until_us);
    }
    (from_us.saturating_sub(MINUTE_US / 2), until_us.max(from_us).saturating_add(MINUTE_US / 2))
}

fn labels(from_us: i64, until_us: i64, intervals: u8) -> Vec<Label> {
    let (intervals, len_us) = (i64::from(intervals.max(1)), until_us.saturating_sub(from_us).max(1));
    let moment_us = |number: i64| {
        let part = i128::from(len_us) * i128::from(number) / i128::from(intervals);
        from_us.saturating_add(part as i64)
    };
    let moments: Vec<i64> = (0..=intervals).map(moment_us).collect();
    let unit = Unit::of(&moments, len_us, len_us / intervals);
    let at = |number: i64| Moment::of(moment_us(number));
    let (first, last) = (at(0), at(intervals));
    let date = |moment: &Moment| if first.is_in_year_of(&last) { moment.day() } else { moment.date() };
    let text = |number: i64| {
        let moment = at(number);
        let clock = match unit {
            Unit::Milliseconds => moment.clock_to_the_millisecond(),
            Unit::Seconds => moment.clock(),
            Unit::Minutes => moment.hour_and_minute(),
            Unit::Days => return date(&moment),
        };
        match len_us {
            // Each of another day, or nearly so; the year is said where there is room for it.
            len_us if len_us > 2 * DAY_US => format!("{} {clock}", moment.day()),
            // The day is said where it begins to be another.
            _ if number == 0 || moment.date() != at(number - 1).date() => {
                format!("{} {clock}", date(&moment))
            }
            _ => clock,
        }
    };
    // The middle stays, where texts are short and there is one.
    let has_middle = intervals % 2 == 0 && unit != Unit::Milliseconds;
    let stays = |number: i64| [0, intervals].contains(&number) || has_middle && number == intervals / 2;
    (0..=intervals).map(|number| Label { text: text(number), is_minor: !stays(number) }).collect()
}

/// Texts from the beginning to the end of an axis, with so many equal intervals between them. As fine as the axis is
/// short; a day is named once.
pub(super) fn time_axis(from_us: i64, until_us: i64, intervals: u8) -> Markup {
    html! {
        div.x-axis aria-hidden="true" {
            @for label in labels(from_us, until_us, intervals) { span.minor[label.is_minor] { (label.text) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z.
    const START_US: i64 = 1_767_225_600_000_000;

    fn texts(from_us: i64, len_us: i64, intervals: u8) -> Vec<String> {
        labels(from_us, from_us + len_us, intervals).into_iter().map(|label| label.text).collect()
    }

    #[test]
    fn a_day_is_named_where_it_begins() {
        assert_eq!(
            texts(START_US + 15 * 60 * MINUTE_US, 60 * MINUTE_US, 2),
            ["Jan 1 15:00", "15:30", "16:00"]
        );
        assert_eq!(
            texts(START_US + 12 * 60 * MINUTE_US, DAY_US, 4),
            ["Jan 1 12:00", "18:00", "Jan 2 00:00", "06:00", "12:00"]
        );
        assert_eq!(texts(START_US, 30 * SECOND_US, 1), ["Jan 1 00:00:00", "00:00:30"]);
        assert_eq!(texts(START_US, SECOND_US / 2, 2), ["Jan 1 00:00:00.000", "00:00:00.250", "00:00:00.500"]);
    }

    #[test]
    fn long_axes_have_days_and_very_long_ones_years() {
        assert_eq!(texts(START_US, 30 * DAY_US, 3), ["Jan 1", "Jan 11", "Jan 21", "Jan 31"]);
        assert_eq!(texts(START_US - DAY_US, 4 * DAY_US, 2), ["2025-12-31", "2026-01-02", "2026-01-04"]);
    }

    #[test]
    fn days_that_are_not_cut_at_midnight_have_hours() {
        let hour_us = 60 * MINUTE_US;
        assert_eq!(
            texts(START_US, 60 * hour_us, 4),
            ["Jan 1 00:00", "Jan 1 15:00", "Jan 2 06:00", "Jan 2 21:00", "Jan 3 12:00"]
        );
        let week = texts(START_US + 23 * hour_us, 168 * hour_us, 7);
        let expected = (1..=8).map(|day| format!("Jan {day} 23:00"));
        assert_eq!(week, expected.collect::<Vec<_>>());
        assert_eq!(texts(START_US, 168 * hour_us, 7)[..2], ["Jan 1", "Jan 2"]);
    }

    #[test]
    fn texts_are_fine_enough_for_their_places() {
        assert_eq!(
            texts(START_US, 10 * MINUTE_US, 4),
            ["Jan 1 00:00:00", "00:02:30", "00:05:00", "00:07:30", "00:10:00"]
        );
        assert_eq!(texts(START_US, 10 * MINUTE_US, 5)[..2], ["Jan 1 00:00", "00:02"]);
        for len_us in [0, 1, 999, 9_999, 10_000, 123_456, 2_000_000, 17 * SECOND_US, 3 * DAY_US] {
            let (from_us, until_us) = widened(START_US + 7, START_US + 7 + len_us);
            let mut texts = texts(from_us, until_us - from_us, 4);
            texts.dedup();
            assert_eq!(texts.len(), 5, "{len_us}: {texts:?}");
        }
        assert_eq!(widened(5, 4), (5 - MINUTE_US / 2, 5 + MINUTE_US / 2));
    }

    #[test]
    fn where_there_is_little_room_the_ends_and_the_middle_stay() {
        let kept_of = |len_us, intervals| {
            let labels = labels(START_US, START_US + len_us, intervals).into_iter().enumerate();
            labels.filter(|(_, label)| !label.is_minor).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let kept = |intervals| kept_of(DAY_US, intervals);
        assert_eq!([kept(1), kept(2), kept(4)], [vec![0, 1], vec![0, 1, 2], vec![0, 2, 4]]);
        assert_eq!([kept(5), kept(6), kept(7)], [vec![0, 5], vec![0, 3, 6], vec![0, 7]]);
        assert_eq!(kept_of(SECOND_US, 4), [0, 4], "milliseconds are long");
    }

    #[test]
    fn an_axis_beyond_all_calendars_is_one_too() {
        assert_eq!(labels(i64::MIN, i64::MAX, 4).len(), 5);
        assert_eq!(labels(0, 0, 0).len(), 2);
    }
}
