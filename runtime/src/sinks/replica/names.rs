//! How the objects of a ledger are named: fixed width, so that names sort as what they hold.

use crate::ids::LedgerId;
use crate::log::LogPosition;

/// How many checkpoints share a folder, so that looking for some does not list all.
const CHECKPOINTS_A_FOLDER: u64 = 10_000;

/// The folders of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folder {
    Identity,
    Log,
    Heads,
    Checkpoints,
    Cuts,
}

impl Folder {
    pub(crate) fn of(self, ledger_id: LedgerId) -> String {
        let name = match self {
            Self::Identity => "identity",
            Self::Log => "log",
            Self::Heads => "heads",
            Self::Checkpoints => "checkpoints",
            Self::Cuts => "cuts",
        };
        format!("{ledger_id}/{name}")
    }
}

/// A range of a series: bytes `from..to` of a segment, or checkpoints `from..to` of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RangeName {
    /// The segment's number; of checkpoints, the folder's.
    pub(crate) folder: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl RangeName {
    /// The name in the folder of the log.
    pub(crate) fn of_log(self) -> String {
        format!("{:08}/{:020}-{:020}.ndjson", self.folder, self.from, self.to)
    }

    /// The name in the folder of checkpoints: the first number and the last.
    pub(crate) fn of_checkpoints(self) -> String {
        format!("{:016}/{:020}-{:020}.ndjson", self.folder, self.from, self.to - 1)
    }

    /// Reads a name in the folder of the log; `None` for anything that the sink does not write.
    pub(crate) fn parse_log(name: &str) -> Option<Self> {
        let (folder, from, to) = numbers(name)?;
        let range = Self { folder, from, to };
        (folder > 0 && from < to && range.of_log() == name).then_some(range)
    }

    /// Reads a name in the folder of checkpoints.
    pub(crate) fn parse_checkpoints(name: &str) -> Option<Self> {
        let (folder, from, last) = numbers(name)?;
        let range = Self { folder, from, to: last.checked_add(1)? };
        let is_in_folder = checkpoint_folder(from) == folder && checkpoint_folder(last) == folder;
        (is_in_folder && from > 0 && from <= last && range.of_checkpoints() == name).then_some(range)
    }

    /// Where the bytes begin; of a log object.
    pub(crate) fn start(self) -> LogPosition {
        self.at(self.from)
    }

    /// Where they end.
    pub(crate) fn end(self) -> LogPosition {
        self.at(self.to)
    }

    fn at(self, offset: u64) -> LogPosition {
        LogPosition { segment: u32::try_from(self.folder).unwrap_or(u32::MAX), offset }
    }
}

/// The folder that a checkpoint belongs to.
pub(crate) fn checkpoint_folder(number: u64) -> u64 {
    number / CHECKPOINTS_A_FOLDER
}

/// The name of a head table in the folder of those.
pub(crate) fn head_table_object(position: LogPosition) -> String {
    format!("{:08}/{:020}.json", position.segment, position.offset)
}

/// Reads the name of a head table.
pub(crate) fn parse_head_table(name: &str) -> Option<LogPosition> {
    let (segment, offset) = name.strip_suffix(".json")?.split_once('/')?;
    let position = LogPosition { segment: segment.parse().ok()?, offset: offset.parse().ok()? };
    (head_table_object(position) == name).then_some(position)
}

/// The name of a cut in the folder of those.
pub(crate) fn cut_object(number: u64) -> String {
    format!("{number:020}.json")
}

/// Reads the name of a cut.
pub(crate) fn parse_cut(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (cut_object(number) == name).then_some(number)
}

fn numbers(name: &str) -> Option<(u64, u64, u64)> {
    let (folder, range) = name.strip_suffix(".ndjson")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    Some((folder.parse().ok()?, from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_sort_as_what_they_hold() {
        let ranges = [(1, 0, 9), (1, 9, 100), (1, 100, 101), (2, 0, 1), (10, 0, 1)]
            .map(|(folder, from, to)| RangeName { folder, from, to });
        let names = ranges.map(RangeName::of_log);
        assert_eq!(names[0], "00000001/00000000000000000000-00000000000000000009.ndjson");
        assert!(names.is_sorted());
        for (name, range) in names.iter().zip(ranges) {
            assert_eq!(RangeName::parse_log(name), Some(range));
        }
        let range = RangeName { folder: 1, from: 10_000, to: 10_002 };
        assert_eq!(
            range.of_checkpoints(),
            "0000000000000001/00000000000000010000-00000000000000010001.ndjson"
        );
        assert_eq!(RangeName::parse_checkpoints(&range.of_checkpoints()), Some(range));
        let position = LogPosition { segment: 3, offset: 44 };
        assert_eq!(parse_head_table(&head_table_object(position)), Some(position));
        assert_eq!(cut_object(7), "00000000000000000007.json");
        assert_eq!(parse_cut(&cut_object(7)), Some(7));
    }

    #[test]
    fn names_that_the_sink_does_not_write_are_none() {
        for name in [
            "",
            "readme",
            "1/0-9.ndjson",
            "00000000/00000000000000000000-00000000000000000009.ndjson",
            "00000001/00000000000000000009-00000000000000000009.ndjson",
            "00000001/00000000000000000000-00000000000000000009.ndjson#1",
            "00000001/x/00000000000000000000-00000000000000000009.ndjson",
        ] {
            assert_eq!(RangeName::parse_log(name), None, "{name}");
        }
        for name in [
            // Over the end of a folder, of another folder, number 0.
            "0000000000000000/00000000000000009999-00000000000000010000.ndjson",
            "0000000000000001/00000000000000000001-00000000000000000002.ndjson",
            "0000000000000000/00000000000000000000-00000000000000000002.ndjson",
        ] {
            assert_eq!(RangeName::parse_checkpoints(name), None, "{name}");
        }
        assert_eq!(parse_head_table("00000001/9.json"), None);
        assert_eq!((parse_cut("7.json"), parse_cut("00000000000000000007.ndjson")), (None, None));
    }
}
