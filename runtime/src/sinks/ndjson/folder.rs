//! The folder of a ledger: names, access rights, the lock.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::sync::Arc;

use crate::ids::LedgerId;
use crate::log::storage::{Storage, StorageFile};

pub(crate) const PLAIN: &str = ".ndjson";
pub(crate) const COMPRESSED: &str = ".ndjson.zst";

/// A file by its name: `00000012-20261129T150403Z.ndjson`. Names sort by number, and so by time, even where the clock
/// was put back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    pub(crate) number: u64,
    stamp: String,
    pub(crate) is_compressed: bool,
}

impl FileName {
    pub(super) fn new(number: u64, created_at_us: i64) -> Self {
        Self { number, stamp: utc(created_at_us), is_compressed: false }
    }

    pub(super) fn compressed(&self) -> Self {
        Self { is_compressed: true, ..self.clone() }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, is_compressed) = match name.strip_suffix(PLAIN) {
            Some(stem) => (stem, false),
            None => (name.strip_suffix(COMPRESSED)?, true),
        };
        let (number, stamp) = stem.split_once('-')?;
        if number.len() < 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) || stamp.contains('/') {
            return None;
        }
        Some(Self { number: number.parse().ok()?, stamp: stamp.to_owned(), is_compressed })
    }

    /// Relative to the sink's directory.
    pub(crate) fn path(&self, ledger_id: LedgerId) -> String {
        let end = if self.is_compressed { COMPRESSED } else { PLAIN };
        format!("{ledger_id}/{:08}-{}{end}", self.number, self.stamp)
    }
}

/// A time as `20261129T150403Z`.
fn utc(at_us: i64) -> String {
    let seconds = at_us.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let day = days + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{:02}Z", second % 60)
}

/// The files of a ledger, by number; where one is there plain and compressed, both.
pub(crate) fn files(storage: &dyn Storage, ledger_id: LedgerId) -> io::Result<Vec<FileName>> {
    let names = storage.list(&ledger_id.to_string())?;
    let mut names: Vec<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
    names.sort();
    Ok(names)
}

/// Makes the folder of a ledger, for its owner alone, and holds its lock; `None` where there is no disk.
pub(super) fn lock(storage: &dyn Storage, ledger_id: LedgerId) -> io::Result<Option<File>> {
    let Some(directory) = storage.path() else { return Ok(None) };
    let folder = directory.join(ledger_id.to_string());
    let is_new = !folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    if is_new {
        storage.sync_folder("")?;
    }
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another sink writes this ledger's files there"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a file that only its owner may read.
pub(super) fn create(storage: &Arc<dyn Storage>, path: &str) -> io::Result<Box<dyn StorageFile>> {
    let file = storage.open(path, true)?;
    restrict(storage, path)?;
    Ok(file)
}

/// Takes others' right to read a file away.
pub(super) fn restrict(storage: &Arc<dyn Storage>, path: &str) -> io::Result<()> {
    match storage.path() {
        Some(directory) => std::fs::set_permissions(directory.join(path), Permissions::from_mode(0o600)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_time_and_sort_by_it() {
        let ledger_id = "0190b5a0-0000-7000-8000-000000000001".parse().unwrap();
        let times = [0, 951_782_399, 951_782_400, 951_868_800, 1_767_225_600, 1_796_049_124, 4_102_444_799];
        let stamps = times.map(|seconds| utc(seconds * 1_000_000));
        assert_eq!(
            stamps,
            [
                "19700101T000000Z",
                "20000228T235959Z",
                "20000229T000000Z",
                "20000301T000000Z",
                "20260101T000000Z",
                "20261130T143204Z",
                "20991231T235959Z",
            ]
        );
        let paths: Vec<String> = times
            .iter()
            .enumerate()
            .map(|(at, seconds)| FileName::new(at as u64 * 5, seconds * 1_000_000).path(ledger_id))
            .collect();
        assert!(paths.is_sorted(), "{paths:?}");
        for path in &paths {
            let name = path.split_once('/').unwrap().1;
            assert_eq!(FileName::parse(name).unwrap().path(ledger_id), *path);
        }
        for other in ["lock", "a.ndjson", "1-2.ndjson", "torn/00000001-x.ndjson", "00000001-x.json"] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }
}
