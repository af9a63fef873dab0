//! Numbers, times and texts as people read them.

use std::fmt::Write as _;

/// A whole number with thousands separators.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time with three digits at most.
pub(super) fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    if ns >= 60_000_000_000 {
        let seconds = ns / 1_000_000_000;
        let (hours, minutes) = (seconds / 3_600, seconds % 3_600 / 60);
        return match hours {
            0 => format!("{minutes} min {} s", seconds % 60),
            1..48 => format!("{hours} h {minutes} min"),
            _ => format!("{} d {} h", hours / 24, hours % 24),
        };
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| ns >= *unit).unwrap_or((1, "ns"));
    let (whole, thousandths) = (ns / unit, ns % unit * 1_000 / unit);
    match whole {
        _ if unit == 1 => format!("{whole} {name}"),
        100.. => format!("{whole} {name}"),
        10.. => format!("{whole}.{} {name}", thousandths / 100),
        _ => format!("{whole}.{:02} {name}", thousandths / 10),
    }
}

/// A part of a whole in percent.
pub(super) fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A number of a plot to six digits, without needless ones.
pub(super) fn plain(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value != 0.0 && !(1e-9..1e15).contains(&value.abs()) {
        return format!("{value:e}");
    }
    let power = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let text = fixed(value, usize::try_from(DIGITS - 1 - power).unwrap_or(0));
    if !text.contains('.') {
        return text;
    }
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// A number with so many digits behind the point, and thousands separators before it.
pub(super) fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (sign, text) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    match rest {
        Some(rest) => format!("{sign}{whole}.{rest}"),
        None if whole == "0" => whole,
        None => format!("{sign}{whole}"),
    }
}

/// How often something happens in a second.
pub(super) fn per_second(rate: f64) -> String {
    let digits = match rate {
        ..=0.0 => 0,
        ..0.005 => return "< 0.01 / s".to_owned(),
        ..1.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{} / s", fixed(rate, digits))
}

/// A count with its noun: `1 event`, `2 events`.
pub(super) fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// A moment, taken apart, in UTC.
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    seconds: i64,
    micros: i64,
}

impl Moment {
    /// Of microseconds since 1970; the calendar's arithmetic is Howard Hinnant's `civil_from_days`.
    pub(super) fn of(at_us: i64) -> Self {
        const DAY_US: i64 = 86_400_000_000;
        let (days, within) = (at_us.div_euclid(DAY_US), at_us.rem_euclid(DAY_US));
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            seconds: within / 1_000_000,
            micros: within % 1_000_000,
        }
    }

    pub(super) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// The day without its year: `Jan 31`.
    pub(super) fn day(&self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month));
        format!("{} {}", month.unwrap_or(&"?"), self.day)
    }

    pub(super) fn is_in_year_of(&self, other: &Self) -> bool {
        self.year == other.year
    }

    pub(super) fn clock(&self) -> String {
        let Self { seconds, .. } = self;
        format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }

    pub(super) fn clock_to_the_millisecond(&self) -> String {
        format!("{}.{:03}", self.clock(), self.micros / 1_000)
    }

    pub(super) fn hour_and_minute(&self) -> String {
        format!("{:02}:{:02}", self.seconds / 3_600, self.seconds / 60 % 60)
    }

    /// Date and time to the millisecond.
    pub(super) fn full(&self) -> String {
        format!("{} {}", self.date(), self.clock_to_the_millisecond())
    }

    /// The form of `<time datetime>`, to the microsecond.
    pub(super) fn iso(&self) -> String {
        format!("{}T{}.{:06}Z", self.date(), self.clock(), self.micros)
    }
}

/// How long ago a moment was; in words when it lies ahead.
pub(super) fn ago(at_us: i64, now_us: i64) -> String {
    let seconds = now_us.saturating_sub(at_us) / 1_000_000;
    match seconds {
        ..-1 => "ahead of this clock".to_owned(),
        -1..2 => "just now".to_owned(),
        2..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// How far ahead a moment lies that is to come.
pub(super) fn ahead(at_us: i64, now_us: i64) -> String {
    let seconds = at_us.saturating_sub(now_us) / 1_000_000;
    match seconds {
        ..1 => "now".to_owned(),
        1..60 => format!("in {seconds} s"),
        60..3_600 => format!("in {} min", seconds / 60),
        _ => format!("in {} h", seconds / 3_600),
    }
}

/// A text whose controls are seen instead of having an effect: directions, line breaks, escapes.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{0}'..='\u{1f}' => {
                shown.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {
                let _ = write!(shown, "\u{27e8}U+{:04X}\u{27e9}", u32::from(character));
            }
            other => shown.push(other),
        }
    }
    shown
}

/// A message of an error, which begins in lower case and has no full stop, as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).chain(['.']).collect()
}

/// JSON with line breaks and indents, its numbers and strings as they are stored.
pub(super) fn pretty_json(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        // What is nested deeper than 40 is not indented further.
        out.extend(std::iter::repeat_n("  ", depth.min(40)));
    };
    let mut characters = raw.chars().filter(|c| *c != '\r').peekable();
    while let Some(character) = characters.next() {
        if in_string {
            out.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\n' | '\t' => {}
            '"' => {
                in_string = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(character);
                let end = if character == '{' { '}' } else { ']' };
                if characters.peek() == Some(&end) {
                    out.push(end);
                    characters.next();
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out
}

/// A value in a query.
pub(super) fn in_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_short() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        let shown = [7, 1_500, 12_345_678, 123_456_789, 2_000_000_000, 75_000_000_000, 3 * 3_600_000_000_000];
        let shown: Vec<_> = shown.into_iter().map(duration).collect();
        assert_eq!(shown, ["7 ns", "1.50 µs", "12.3 ms", "123 ms", "2.00 s", "1 min 15 s", "3 h 0 min"]);
        assert_eq!([plain(1_234.56), plain(0.5), plain(-2.0), plain(0.0)], ["1,234.56", "0.5", "-2", "0"]);
        assert_eq!([plain(0.0004), plain(100.25), plain(-0.1 - 0.2)], ["0.0004", "100.25", "-0.3"]);
        assert_eq!([plain(2e-12), plain(1_234_567.8), plain(1e300)], ["2e-12", "1,234,568", "1e300"]);
        assert_eq!([fixed(1_234.5, 0), fixed(-0.25, 2), fixed(-0.1, 0)], ["1,234", "-0.25", "0"]);
        assert_eq!(
            [per_second(0.0), per_second(0.031), per_second(4.26), per_second(1_234.5)],
            ["0 / s", "0.03 / s", "4.3 / s", "1,234 / s"]
        );
        assert_eq!([per_second(0.003), per_second(0.005)], ["< 0.01 / s", "0.01 / s"]);
        let moments = [0, 1, 59, 60, 7_200].map(|seconds| ahead(5 + seconds * 1_000_000, 5));
        assert_eq!(moments, ["now", "in 1 s", "in 59 s", "in 1 min", "in 2 h"]);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(Moment::of(0).iso(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Moment::of(-1).iso(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Moment::of(1_767_225_600_000_000).iso(), "2026-01-01T00:00:00.000000Z");
        assert_eq!(Moment::of(1_709_164_800_123_456).full(), "2024-02-29 00:00:00.123");
        assert_eq!(Moment::of(1_709_164_800_123_456).day(), "Feb 29");
    }

    #[test]
    fn controls_and_directions_are_seen() {
        assert_eq!(visible("a\u{202e}b\n\u{1b}[31m"), "a\u{27e8}U+202E\u{27e9}b\u{240a}\u{241b}[31m");
        assert_eq!(visible("Größe 日本"), "Größe 日本");
    }

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence("the filter `x` is wrong"), "The filter `x` is wrong.");
        assert_eq!(sentence("über"), "Über.");
    }

    #[test]
    fn json_keeps_its_numbers_and_strings() {
        let raw = r#"{"a":[1.10,12345678901234567890123],"b":{},"c":"x\"{,:"}"#;
        let pretty = "{\n  \"a\": [\n    1.10,\n    12345678901234567890123\n  ],\n  \"b\": {},\n  \"c\": \"x\\\"{,:\"\n}";
        assert_eq!(pretty_json(raw), pretty);
    }
}
