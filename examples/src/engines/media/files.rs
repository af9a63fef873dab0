//! The bytes of objects: one file each, named by its content, in a folder for each scope; or in memory.
//!
//! No part of a path comes from outside: the folder of a scope is named by a hash of the scope, the file
//! by the hash of its bytes. A file appears under its name whole and fsynced, or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dataset_events::Scope;
use sha2::{Digest, Sha256};

use super::error::FileError;
use super::model::{Damage, MAX_BYTES, MediaId};
use crate::engines::hex;

/// Where files lie until they are whole.
const INCOMING: &str = "incoming";
/// Older ones are what a process left that died while it wrote.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Where the bytes are. Clones share them.
#[derive(Clone)]
pub(super) enum Files {
    /// Files below a folder.
    Folder(PathBuf),
    /// The counterpart of a nexus in memory.
    Memory(Arc<Mutex<Objects>>),
}

type Objects = BTreeMap<(Scope, MediaId), Arc<[u8]>>;

impl Files {
    /// Files below `folder`, which is made with the first of them; in memory without one.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        folder.map_or_else(|| Self::Memory(Arc::default()), Self::Folder)
    }

    /// What keeps the bytes, as events name it.
    pub(super) const fn backend(&self) -> &'static str {
        match self {
            Self::Folder(_) => "file",
            Self::Memory(_) => "memory",
        }
    }

    /// The file of an object's bytes; `None` in memory.
    pub(super) fn path(&self, scope: &Scope, media_id: &MediaId) -> Option<PathBuf> {
        match self {
            Self::Folder(root) => Some(path(root, scope, media_id)),
            Self::Memory(_) => None,
        }
    }

    /// The bytes of an object, or what is wrong with them.
    pub(super) fn read(
        &self,
        scope: &Scope,
        media_id: &MediaId,
    ) -> Result<Result<Vec<u8>, Damage>, FileError> {
        match self {
            Self::Folder(root) => read(&path(root, scope, media_id), media_id),
            Self::Memory(objects) => {
                let bytes = lock(objects).get(&(scope.clone(), media_id.clone())).map(|bytes| bytes.to_vec());
                Ok(bytes.ok_or(Damage::Missing))
            }
        }
    }

    /// Keeps the bytes under their hash; on disk durable when it returns.
    pub(super) fn write(&self, scope: &Scope, media_id: &MediaId, bytes: Arc<[u8]>) -> Result<(), FileError> {
        match self {
            Self::Folder(root) => write(root, &path(root, scope, media_id), &bytes),
            Self::Memory(objects) => {
                lock(objects).insert((scope.clone(), media_id.clone()), bytes);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(root) => f.debug_tuple("Folder").field(root).finish(),
            Self::Memory(_) => f.debug_tuple("Memory").finish_non_exhaustive(),
        }
    }
}

fn lock(objects: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(root: &Path, scope: &Scope, media_id: &MediaId) -> PathBuf {
    // Neither part of a scope can hold the slash.
    let scope = Sha256::digest(format!("{}/{}", scope.tenant_id(), scope.env()));
    let name = media_id.as_str();
    let fan_out = name.get(..2).unwrap_or(name);
    root.join(hex(&scope)).join(fan_out).join(name)
}

fn read(path: &Path, media_id: &MediaId) -> Result<Result<Vec<u8>, Damage>, FileError> {
    let failed = |source| FileError::new("read", path, source);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(Damage::Missing)),
        file => file.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    // One byte more than any object has is enough to see that it is another.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let found = MediaId::of(&bytes);
    Ok(if found == *media_id { Ok(bytes) } else { Err(Damage::Changed { sha256: found }) })
}

fn write(root: &Path, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(root);
    let incoming = root.join(INCOMING);
    for folder in [folder, &incoming] {
        make(folder)?;
    }
    remove_abandoned(&incoming)?;
    let tag = getrandom::u64()
        .map_err(|error| FileError::new("name a new file in", &incoming, io::Error::other(error)))?;
    let temporary = incoming.join(format!("{tag:016x}"));
    let written = write_whole(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|source| {
        // It may never have been made; what is left is removed with the abandoned ones.
        let _ = fs::remove_file(&temporary);
        FileError::new("write", path, source)
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder and those above it; their names outlive a power cut as the files in them do.
fn make(folder: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::new("make the folder", folder, source);
    if folder.is_dir() {
        return Ok(());
    }
    let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) else {
        return fs::create_dir_all(folder).map_err(failed);
    };
    make(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}

fn remove_abandoned(incoming: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::new("clear", incoming, source);
    for entry in fs::read_dir(incoming).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Another call may have moved or removed the file since it was listed.
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        if age > ABANDONED {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dataset_events::{Env, TenantId};

    use super::*;

    fn scope(tenant: &'static str) -> Scope {
        Scope::new(TenantId::from_static(tenant), Env::from_static("prod"))
    }

    #[test]
    fn no_path_holds_a_part_of_the_scope() {
        let (root, id) = (Path::new("/media"), MediaId::of(b"x"));
        let named = path(root, &scope("..:acme"), &id).display().to_string();
        assert!(!named.contains("acme") && !named.contains(".."), "{named}");
        assert_ne!(path(root, &scope("acme"), &id), path(root, &scope("Acme"), &id));
    }

    #[test]
    fn files_that_a_dead_process_left_are_removed_and_those_of_a_living_one_stay() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(Some(directory.path().join("media")));
        let incoming = directory.path().join("media").join(INCOMING);
        fs::create_dir_all(&incoming).unwrap();
        let (old, young) = (incoming.join("old"), incoming.join("young"));
        for path in [&old, &young] {
            fs::write(path, b"half").unwrap();
        }
        let two_hours_ago = SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&old).unwrap().set_modified(two_hours_ago).unwrap();
        let id = MediaId::of(b"whole");
        files.write(&scope("acme"), &id, Arc::from(*b"whole")).unwrap();
        assert_eq!((old.exists(), young.exists()), (false, true));
        assert_eq!(files.read(&scope("acme"), &id).unwrap(), Ok(b"whole".to_vec()));
        assert_eq!(files.read(&scope("globex"), &id).unwrap(), Err(Damage::Missing));
    }

    #[test]
    fn in_memory_an_object_is_found_in_its_own_scope_only() {
        let (files, id) = (Files::new(None), MediaId::of(b"whole"));
        files.write(&scope("acme"), &id, Arc::from(*b"whole")).unwrap();
        assert_eq!(files.read(&scope("acme"), &id).unwrap(), Ok(b"whole".to_vec()));
        assert_eq!(files.read(&scope("globex"), &id).unwrap(), Err(Damage::Missing));
        assert_eq!((files.path(&scope("acme"), &id), files.backend()), (None, "memory"));
    }
}
