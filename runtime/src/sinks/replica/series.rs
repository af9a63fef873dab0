//! Which ranges of a series (the bytes of a segment, the checkpoints of a folder) are stored.

use std::collections::BTreeMap;

use super::names::RangeName;

/// A part of a range that is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing is known to hold it.
    Missing { from: u64, to: u64 },
    /// An object holds it already.
    Held { from: u64, to: u64, by: RangeName },
}

/// What is known to be stored, from a folder on.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Folders before it were not looked at, or are forgotten.
    known_from: Option<u64>,
    /// By folder, then by `from`: the greatest `to`.
    ranges: BTreeMap<u64, BTreeMap<u64, u64>>,
}

impl Series {
    /// Whether what is stored in a folder, and behind it, is known.
    pub(super) fn knows(&self, folder: u64) -> bool {
        self.known_from.is_some_and(|known| known <= folder)
    }

    /// Takes in a listing of a folder and everything behind it.
    pub(super) fn learn(&mut self, folder: u64, listed: impl Iterator<Item = RangeName>) {
        self.known_from = Some(folder);
        self.ranges.clear();
        for range in listed.filter(|range| range.folder >= folder) {
            self.insert(range);
        }
    }

    /// Notes an object.
    pub(super) fn insert(&mut self, range: RangeName) {
        let to = self.ranges.entry(range.folder).or_default().entry(range.from).or_default();
        *to = range.to.max(*to);
    }

    /// Forgets folders before one: entries come in order, so that they are seldom asked for again.
    pub(super) fn forget_before(&mut self, folder: u64) {
        self.ranges = self.ranges.split_off(&folder);
        self.known_from = self.known_from.max(Some(folder));
    }

    /// The greatest place that is stored: folder and end.
    pub(super) fn end(&self) -> Option<(u64, u64)> {
        let (folder, ranges) = self.ranges.last_key_value()?;
        Some((*folder, ranges.values().copied().max()?))
    }

    /// What of a range is held, and what is missing, in order and without overlaps.
    pub(super) fn parts(&self, wanted: RangeName) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = wanted.from;
        let held = self.ranges.get(&wanted.folder);
        for (&from, &to) in held.into_iter().flat_map(|held| held.range(..wanted.to)) {
            let (start, end) = (from.max(at), to.min(wanted.to));
            if start >= end {
                continue;
            }
            if at < start {
                parts.push(Part::Missing { from: at, to: start });
            }
            let by = RangeName { folder: wanted.folder, from, to };
            parts.push(Part::Held { from: start, to: end, by });
            at = end;
        }
        if at < wanted.to {
            parts.push(Part::Missing { from: at, to: wanted.to });
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(folder: u64, from: u64, to: u64) -> RangeName {
        RangeName { folder, from, to }
    }

    fn series(ranges: &[(u64, u64, u64)]) -> Series {
        let mut series = Series::default();
        series.learn(1, ranges.iter().map(|&(folder, from, to)| range(folder, from, to)));
        series
    }

    #[test]
    fn parts_cover_what_is_wanted_once_and_in_order() {
        let series = series(&[(1, 0, 10), (1, 5, 12), (1, 20, 30), (2, 0, 4)]);
        let held = |from, to, by: (u64, u64)| Part::Held { from, to, by: range(1, by.0, by.1) };
        let missing = |from, to| Part::Missing { from, to };
        assert_eq!(series.parts(range(1, 0, 5)), [held(0, 5, (0, 10))]);
        assert_eq!(
            series.parts(range(1, 2, 25)),
            [held(2, 10, (0, 10)), held(10, 12, (5, 12)), missing(12, 20), held(20, 25, (20, 30))]
        );
        assert_eq!(series.parts(range(1, 30, 40)), [missing(30, 40)]);
        assert_eq!(series.parts(range(3, 0, 1)), [missing(0, 1)]);
        assert_eq!(series.end(), Some((2, 4)));
    }

    #[test]
    fn folders_before_the_first_that_was_listed_are_not_known() {
        let mut series = Series::default();
        assert!(!series.knows(1));
        series.learn(3, [range(2, 0, 9), range(3, 0, 9), range(4, 0, 2)].into_iter());
        assert!(!series.knows(2) && series.knows(3) && series.knows(9));
        series.forget_before(4);
        assert!(!series.knows(3) && series.knows(4));
        assert_eq!(series.end(), Some((4, 2)));
        assert_eq!(series.parts(range(4, 0, 2)), [Part::Held { from: 0, to: 2, by: range(4, 0, 2) }]);
    }
}
