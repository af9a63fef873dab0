//! What is written below an axis of times.

use maud::{Markup, html};

use crate::dashboard::format::Moment;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 86_400_000_000;

/// A text at an equal distance from the next.
#[derive(Debug, PartialEq)]
struct Label {
    text: String,
    /// Left out where there is little room.
    is_minor: bool,
}

fn labels(from_us: i64, until_us: i64, intervals: u8) -> Vec<Label> {
    let (intervals, len_us) = (i64::from(intervals.max(1)), until_us.saturating_sub(from_us).max(1));
    let at = |number: i64| {
        let part = i128::from(len_us) * i128::from(number) / i128::from(intervals);
        Moment::of(from_us.saturating_add(part as i64))
    };
    let (first, last) = (at(0), at(intervals));
    let date = |moment: &Moment| if first.is_in_year_of(&last) { moment.day() } else { moment.date() };
    let text = |number: i64| {
        let moment = at(number);
        let clock = match len_us {
            len_us if len_us < 10 * SECOND_US => moment.clock_to_the_millisecond(),
            len_us if len_us < 10 * MINUTE_US => moment.clock(),
            _ => moment.hour_and_minute(),
        };
        match len_us {
            len_us if len_us > 2 * DAY_US => date(&moment),
            // The day is said where it begins to be another.
            _ if number == 0 || moment.date() != at(number - 1).date() => {
                format!("{} {clock}", date(&moment))
            }
            _ => clock,
        }
    };
    // The middle stays, where texts are short and there is one.
    let has_middle = intervals % 2 == 0 && len_us >= 10 * SECOND_US;
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
