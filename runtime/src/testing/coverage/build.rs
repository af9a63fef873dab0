//! Which build of a program wrote a coverage file.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// What the kernel adds to the name of an executable that is not there any more.
const DELETED: &str = " (deleted)";

/// An executable, and what differs when it is built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    path: PathBuf,
    len_bytes: u64,
    modified_ns: u64,
}

impl Build {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let path = std::env::current_exe()?;
        let path = match path.to_str().and_then(|path| path.strip_suffix(DELETED)) {
            Some(path) => PathBuf::from(path),
            None => path,
        };
        // The file that runs: under its name there may be the next build by now.
        Self::at(path, Path::new("/proc/self/exe"))
    }

    fn at(path: PathBuf, file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ns = u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { path, len_bytes: metadata.len(), modified_ns })
    }

    /// Whether the program was built again since.
    ///
    /// One that is gone was not: tests of documentation run from a directory that lives no longer than they.
    pub(super) fn is_outdated(&self) -> bool {
        Self::at(self.path.clone(), &self.path).is_ok_and(|now| now != *self)
    }
}
