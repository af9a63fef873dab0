//! Where an axis of values begins and ends, and where its lines are.

use crate::dashboard::format::fixed;

/// The most steps between the lines of an axis.
const STEPS: f64 = 4.0;
/// Values that are nearer to each other than this part of the greater are one: a step between them would be lost in the
/// rounding of the values themselves.
const ONE_VALUE: f64 = 1e-12;
/// What is smaller is drawn as 0.
const SMALLEST: f64 = 1e-290;
/// Steps below and values above are written with a power of ten.
const SHORTEST_STEP: f64 = 1e-9;
const GREATEST_VALUE: f64 = 1e15;

/// An axis whose lines are at multiples of 1, 2, 2.5 or 5 times a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    step: f64,
    steps: u32,
}

impl Axis {
    /// Of values between two: the shortest axis that holds both, in at most four steps.
    pub(super) fn of(low: f64, high: f64) -> Self {
        let (low, high) = (dividable(low), dividable(high));
        let (low, high) = if high - low > low.abs().max(high.abs()) * ONE_VALUE {
            (low, high)
        } else {
            // One value, in the middle of something.
            let around = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low - around, low + around)
        };
        Self::fitting(low, high, steps_from((high - low) / STEPS))
    }

    /// Of counts up to the greatest: from 0, at whole numbers.
    pub(super) fn of_counts(most: u64) -> Self {
        let most = most.max(1) as f64;
        let whole = steps_from((most / STEPS).max(1.0)).filter(|step| step.fract() == 0.0);
        Self::fitting(0.0, most, whole)
    }

    fn fitting(low: f64, high: f64, steps: impl Iterator<Item = f64>) -> Self {
        let mut fitting = steps.map(|step| {
            let (first, last) = (in_steps(low, step).floor(), in_steps(high, step).ceil());
            (first * step, step, last - first)
        });
        let found = fitting.find(|(_, _, steps)| *steps <= STEPS);
        let (low, step, steps) = found.unwrap_or((low, (high - low) / STEPS, STEPS));
        Self { low, step, steps: (steps as u32).max(1) }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.low + self.step * f64::from(self.steps)
    }

    /// How far from the top a value lies, as a part of the whole axis.
    pub(super) fn below_top(&self, value: f64) -> f64 {
        (self.high() - dividable(value)) / (self.high() - self.low)
    }

    /// The values of the lines, the highest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = f64> + use<> {
        let Self { low, step, steps } = *self;
        (0..=steps).rev().map(move |at| low + step * f64::from(at))
    }

    /// What is written beside a line: all with as many digits as the finest has.
    pub(super) fn label(&self, value: f64) -> String {
        if self.step < SHORTEST_STEP || self.low.abs().max(self.high().abs()) > GREATEST_VALUE {
            return self.with_power(value);
        }
        let is_enough = |digits: &usize| {
            let scaled = self.step * 10_f64.powi(*digits as i32);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        };
        fixed(value, (0..12).find(is_enough).unwrap_or(12))
    }

    /// A value as `2.5e-12`: all with as many digits as tell each line from the next.
    fn with_power(&self, value: f64) -> String {
        let is_enough = |digits: &usize| {
            let is_near = |line: f64| {
                let read = format!("{line:.digits$e}").parse::<f64>();
                read.is_ok_and(|read| (read - line).abs() < self.step * 1e-3)
            };
            self.lines().all(is_near)
        };
        let digits = (0..17).find(is_enough).unwrap_or(17);
        if value == 0.0 { "0".to_owned() } else { format!("{value:.digits$e}") }
    }
}

/// What is longer or shorter is not to be divided.
fn dividable(value: f64) -> f64 {
    if value.abs() < SMALLEST { 0.0 } else { value.clamp(-1e300, 1e300) }
}

/// How many steps a value is from 0; to the whole number where it misses it by the rounding of a division.
fn in_steps(value: f64, step: f64) -> f64 {
    let steps = value / step;
    if (steps - steps.round()).abs() < 1e-9 { steps.round() } else { steps }
}

/// Steps of few digits, the smallest that is not below another one first.
fn steps_from(least: f64) -> impl Iterator<Item = f64> {
    let power = least.log10().floor() as i32;
    // Divided by a whole number where it is below one: 0.3 is nearer to 3 / 10 than to 3 * 0.1.
    let scaled = move |digits: f64, power: i32| match power {
        0.. => digits * 10_f64.powi(power),
        _ => digits / 10_f64.powi(-power),
    };
    (power..power.saturating_add(3))
        .flat_map(move |power| [1.0, 2.0, 2.5, 5.0].map(|digits| scaled(digits, power)))
        .filter(move |step| *step >= least * (1.0 - 1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(axis: Axis) -> Vec<f64> {
        axis.lines().collect()
    }

    #[test]
    fn lines_are_round_and_hold_all_values() {
        for (low, high, expected) in [
            (0.0, 1.0, vec![1.0, 0.75, 0.5, 0.25, 0.0]),
            (0.0, 100.0, vec![100.0, 75.0, 50.0, 25.0, 0.0]),
            (-3.2, 17.9, vec![20.0, 10.0, 0.0, -10.0]),
            (99.5, 100.5, vec![100.5, 100.25, 100.0, 99.75, 99.5]),
            (86.0, 97.0, vec![100.0, 95.0, 90.0, 85.0]),
            (0.1, 0.3, vec![0.3, 0.25, 0.2, 0.15, 0.1]),
            (7.0, 7.0, vec![12.5, 10.0, 7.5, 5.0, 2.5]),
            (0.0, 0.0, vec![1.0, 0.5, 0.0, -0.5, -1.0]),
            (1e6, 3e6, vec![3e6, 2.5e6, 2e6, 1.5e6, 1e6]),
        ] {
            let axis = Axis::of(low, high);
            assert!(axis.low() <= low && high <= axis.high(), "{low}..{high} in {axis:?}");
            let is_near = |(line, expected): (&f64, &f64)| (line - expected).abs() < 1e-9;
            let lines = lines(axis);
            assert!(lines.len() == expected.len() && lines.iter().zip(&expected).all(is_near), "{lines:?}");
        }
    }

    #[test]
    fn labels_have_the_digits_that_tell_the_lines_apart() {
        let labels = |axis: Axis| axis.lines().map(|line| axis.label(line)).collect::<Vec<_>>();
        assert_eq!(labels(Axis::of(0.1, 0.3)), ["0.30", "0.25", "0.20", "0.15", "0.10"]);
        assert_eq!(labels(Axis::of(-3.2, 17.9)), ["20", "10", "0", "-10"]);
        assert_eq!(labels(Axis::of(1e6, 3e6))[..2], ["3,000,000", "2,500,000"]);
        assert_eq!(labels(Axis::of(0.0, 0.0004)), ["0.0004", "0.0003", "0.0002", "0.0001", "0.0000"]);
        assert_eq!(labels(Axis::of_counts(5_000)), ["6,000", "4,000", "2,000", "0"]);
    }

    #[test]
    fn an_axis_is_at_most_twice_as_long_as_what_it_shows() {
        for at in 1..2_000_u32 {
            let (low, high) = (-f64::from(at % 7) * 0.37, f64::from(at) * 0.73);
            let axis = Axis::of(low, high);
            assert!(axis.low() <= low && high <= axis.high() && axis.steps <= 4, "{low}..{high}: {axis:?}");
            assert!(axis.high() - axis.low() <= 2.0 * (high - low) + 1e-9, "{low}..{high}: {axis:?}");
            let power = 10_f64.powf(axis.step.log10().floor());
            let digits = (axis.step / power * 10.0).round() / 10.0;
            assert!([1.0, 2.0, 2.5, 5.0, 10.0].contains(&digits), "{axis:?}");
        }
    }

    #[test]
    fn counts_begin_at_nothing_and_have_whole_lines() {
        for (most, expected) in [
            (0, vec![1.0, 0.0]),
            (1, vec![1.0, 0.0]),
            (3, vec![3.0, 2.0, 1.0, 0.0]),
            (5, vec![6.0, 4.0, 2.0, 0.0]),
            (9, vec![10.0, 5.0, 0.0]),
            (137, vec![150.0, 100.0, 50.0, 0.0]),
            (1_000, vec![1_000.0, 750.0, 500.0, 250.0, 0.0]),
        ] {
            assert_eq!(lines(Axis::of_counts(most)), expected, "{most}");
        }
        for most in (1..5_000).chain([u64::MAX / 3, u64::MAX]) {
            let axis = Axis::of_counts(most);
            assert!(axis.high() >= most as f64 && axis.steps <= 4, "{most}: {axis:?}");
            assert!(axis.lines().all(|line| line.fract() == 0.0), "{most}: {axis:?}");
        }
    }

    #[test]
    fn what_is_not_to_be_divided_is_an_axis_too() {
        for (low, high) in [
            (0.0, f64::MIN_POSITIVE),
            (5e-324, 5e-324),
            (-f64::MAX, f64::MAX),
            (f64::MAX, f64::MAX),
            (1e-300, 2e-300),
            (1e-289, 2e-289),
            (1e300, 1e300),
            (-1.0, 1e18),
            (0.0, 3e-15),
            (1.0, 1.0 + 3e-12),
            (1e15, 1e15 + 1.0),
            (0.999_999_999_999_999_9, 1.0),
            (0.3, 0.1 + 0.2),
            (-1.0, -0.999_999_999_999_999_9),
            (f64::INFINITY, f64::NEG_INFINITY),
        ] {
            let axis = Axis::of(low, high);
            assert!((1..=4).contains(&axis.steps) && lines(axis).len() <= 5, "{axis:?}");
            let places: Vec<f64> =
                axis.lines().chain([low, high]).map(|value| axis.below_top(value)).collect();
            assert!(places.iter().all(|place| place.is_finite()), "{low}..{high}: {places:?}");
            let labels: Vec<String> = axis.lines().map(|line| axis.label(line)).collect();
            let differ = labels.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(differ && labels.iter().all(|label| label.len() <= 22), "{low}..{high}: {labels:?}");
        }
    }

    #[test]
    fn very_small_and_very_great_values_are_written_with_a_power() {
        let labels = |axis: Axis| axis.lines().map(|line| axis.label(line)).collect::<Vec<_>>();
        assert_eq!(labels(Axis::of(0.0, 4e-12)), ["4e-12", "3e-12", "2e-12", "1e-12", "0"]);
        assert_eq!(labels(Axis::of(0.0, 1e18))[..2], ["1.0e18", "7.5e17"]);
    }
}
