//! Where snapshots are kept: one folder for each scope, one file for each model, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, process};

use sha2::{Digest, Sha256};

use crate::event::LineHash;
use crate::ids::Scope;

/// How old a file of a write that never ended is before it is removed.
const STALE_AFTER: Duration = Duration::from_secs(3_600);

/// A directory of snapshots.
///
/// Each scope has a folder of its own, named by a hash, so that no tenant's name is in a path and no file
/// holds two tenants. Several processes may share a directory: a file is written under a name of its own and
/// renamed, and the last one stays. Files are readable by their owner alone.
#[derive(Clone)]
pub struct SnapshotStore {
    directory: PathBuf,
    files: Arc<dyn Files>,
}

/// Which of a model's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What saves time; it can be deleted.
    Cache,
    /// What was saved before segments were dropped, and holds what no log holds any more.
    Carried,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Cache => "snapshot",
            Self::Carried => "carried",
        }
    }
}

/// The file operations of a save, one by one, so that a test can stop the world after each.
pub(super) trait Files: Send + Sync {
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

pub(super) struct DiskFiles;

impl Files for DiskFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl SnapshotStore {
    /// Opens a directory of snapshots, and makes it when it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_files(directory.as_ref(), Arc::new(DiskFiles))
    }

    pub(super) fn with_files(directory: &Path, files: Arc<dyn Files>) -> io::Result<Self> {
        files.create_folder(directory)?;
        Ok(Self { directory: directory.to_owned(), files })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn folder(&self, scope: &Scope) -> PathBuf {
        self.directory.join(short_hash(&format!("{}\n{}", scope.tenant_id(), scope.env()), 32))
    }

    fn file(&self, scope: &Scope, model: &str, config: &str, kind: Kind) -> PathBuf {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let name = match !model.is_empty() && model.len() <= 64 && model.bytes().all(is_safe) {
            true => model.to_owned(),
            false => short_hash(model, 32),
        };
        self.folder(scope).join(format!("{name}-{}.{}", short_hash(config, 16), kind.extension()))
    }

    /// The bytes of a snapshot; `None` when there is none.
    pub(super) fn load(
        &self,
        scope: &Scope,
        model: &str,
        config: &str,
        kind: Kind,
    ) -> io::Result<Option<Vec<u8>>> {
        self.remove_stale(&self.folder(scope));
        match fs::read(self.file(scope, model, config, kind)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a snapshot. Afterwards it is the old or the new one, also after power loss.
    pub(super) fn save(
        &self,
        scope: &Scope,
        model: &str,
        config: &str,
        kind: Kind,
        bytes: &[u8],
    ) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = self.folder(scope);
        self.files.create_folder(&folder)?;
        let mut tag = [0; 8];
        getrandom::fill(&mut tag).map_err(io::Error::other)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}-{}-{number}.unfinished", u64::from_ne_bytes(tag), process::id());
        let unfinished = folder.join(name);
        let written = self
            .files
            .create(&unfinished, bytes)
            .and_then(|()| self.files.sync(&unfinished))
            .and_then(|()| self.files.rename(&unfinished, &self.file(scope, model, config, kind)));
        if let Err(error) = written {
            // When this fails too, it is removed once it is stale.
            let _ = self.files.remove(&unfinished);
            return Err(error);
        }
        self.files.sync(&folder)
    }

    /// Waits until no other process carries states over a cut in this directory, and keeps others out.
    pub(super) fn lock_carried(&self) -> io::Result<File> {
        let path = self.directory.join("carried.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Removes what writes of dead processes left.
    fn remove_stale(&self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let is_unfinished = entry.path().extension().is_some_and(|extension| extension == "unfinished");
            let modified = entry.metadata().and_then(|data| data.modified()).ok();
            let age = modified.and_then(|modified| modified.elapsed().ok());
            if is_unfinished && age.is_some_and(|age| age > STALE_AFTER) {
                // It disturbs nobody; the next reader tries again.
                let _ = self.files.remove(&entry.path());
            }
        }
    }
}

fn short_hash(text: &str, digits: usize) -> String {
    let mut hex = LineHash(Sha256::digest(text.as_bytes()).into()).to_string();
    hex.truncate(digits);
    hex
}

impl fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}
