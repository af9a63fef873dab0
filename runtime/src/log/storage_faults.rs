//! A disk that fails, and that loses at a power cut what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{MemoryStorage, Storage, StorageFile};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Default)]
struct Contents {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Whether the name itself would survive.
    is_named: bool,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Arc<Mutex<Contents>>>,
    /// Files whose removal a power cut would undo: their folder was not synced since.
    removed: BTreeMap<String, Arc<Mutex<Contents>>>,
    /// Changes and syncs done so far.
    operations: u64,
    fail_at: Option<u64>,
    /// Only the operation `fail_at` fails, not those behind it.
    fails_once: bool,
    /// Writes that find no room.
    full: Range<u64>,
    /// Also syncs find no room in that range.
    has_full_syncs: bool,
}

/// Files in memory that know what a power cut would leave. From its `fail_at`-th change or sync on,
/// every one fails, as on a disk that is gone.
#[derive(Clone, Default)]
pub(crate) struct FaultyStorage {
    disk: Arc<Mutex<Disk>>,
}

impl FaultyStorage {
    pub(crate) fn failing_at(operation: u64) -> Self {
        let storage = Self::default();
        lock(&storage.disk).fail_at = Some(operation);
        storage
    }

    /// Files of which the `operation`-th change or sync fails, and no other.
    pub(crate) fn failing_once_at(operation: u64) -> Self {
        let storage = Self::failing_at(operation);
        lock(&storage.disk).fails_once = true;
        storage
    }

    /// Files for which there is no room while operations of this range are done.
    pub(crate) fn full_during(operations: Range<u64>) -> Self {
        let storage = Self::default();
        lock(&storage.disk).full = operations;
        storage
    }

    /// The same, where the system says so at a sync as well as at a write.
    pub(crate) fn full_also_at_syncs_during(operations: Range<u64>) -> Self {
        let storage = Self::full_during(operations);
        lock(&storage.disk).has_full_syncs = true;
        storage
    }

    /// Has every change or sync from the `operation`-th on fail.
    pub(crate) fn fail_from(&self, operation: u64) {
        lock(&self.disk).fail_at = Some(operation);
    }

    /// Puts a file there, synced, without counting.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let contents = Contents { now: bytes.clone(), synced: bytes, is_named: true };
        lock(&self.disk).files.insert(name.to_owned(), Arc::new(Mutex::new(contents)));
    }

    pub(crate) fn operations(&self) -> u64 {
        lock(&self.disk).operations
    }

    /// What is left when the power goes: synced bytes of files whose names were synced.
    pub(crate) fn after_power_cut(&self) -> MemoryStorage {
        let left = self.left(|contents| contents.is_named.then(|| contents.synced.clone()));
        for (name, contents) in &lock(&self.disk).removed {
            let contents = lock(contents);
            if contents.is_named && left.read(name).expect("memory can be read").is_none() {
                left.replace(name, &contents.synced).expect("memory takes every file");
            }
        }
        left
    }

    /// What is left when the process goes.
    pub(crate) fn after_process_death(&self) -> MemoryStorage {
        self.left(|contents| Some(contents.now.clone()))
    }

    fn left(&self, of: impl Fn(&Contents) -> Option<Vec<u8>>) -> MemoryStorage {
        let left = MemoryStorage::default();
        for (name, contents) in &lock(&self.disk).files {
            if let Some(bytes) = of(&lock(contents)) {
                left.replace(name, &bytes).expect("memory takes every file");
            }
        }
        left
    }

    fn count(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.operations += 1;
        match disk.fail_at {
            Some(at) if disk.operations == at || disk.operations > at && !disk.fails_once => {
                Err(io::Error::other("the disk is gone"))
            }
            _ => Ok(()),
        }
    }
}

impl FaultyStorage {
    fn count_write(&self) -> io::Result<()> {
        self.count()?;
        let disk = lock(&self.disk);
        if disk.full.contains(&disk.operations) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn count_sync(&self) -> io::Result<()> {
        if lock(&self.disk).has_full_syncs { self.count_write() } else { self.count() }
    }
}

impl Storage for FaultyStorage {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut disk = lock(&self.disk);
        let contents = match disk.files.get(name) {
            Some(contents) => Arc::clone(contents),
            None if create => Arc::clone(disk.files.entry(name.to_owned()).or_default()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(FaultyFile { storage: self.clone(), contents }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{folder}/");
        let disk = lock(&self.disk);
        Ok(disk.files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.count()?;
        let mut disk = lock(&self.disk);
        if let Some(contents) = disk.files.remove(name) {
            disk.removed.insert(name.to_owned(), contents);
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.count_write()?;
        let contents = Contents { now: bytes.to_vec(), synced: bytes.to_vec(), is_named: true };
        lock(&self.disk).files.insert(name.to_owned(), Arc::new(Mutex::new(contents)));
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.count()?;
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let is_in = |name: &str| name.strip_prefix(&prefix).is_some_and(|name| !name.contains('/'));
        let mut disk = lock(&self.disk);
        for (_, contents) in disk.files.iter().filter(|(name, _)| is_in(name)) {
            lock(contents).is_named = true;
        }
        disk.removed.retain(|name, _| !is_in(name));
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}

struct FaultyFile {
    storage: FaultyStorage,
    contents: Arc<Mutex<Contents>>,
}

impl StorageFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.contents).now.len() as u64)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let failed = self.storage.count_write();
        // A write that fails has written some of it.
        let bytes = if failed.is_err() { &bytes[..bytes.len() / 2] } else { bytes };
        let now = &mut lock(&self.contents).now;
        let start = offset as usize;
        if now.len() < start + bytes.len() {
            now.resize(start + bytes.len(), 0);
        }
        now[start..start + bytes.len()].copy_from_slice(bytes);
        failed
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let contents = lock(&self.contents);
        let start = (offset as usize).min(contents.now.len());
        let read = buffer.len().min(contents.now.len() - start);
        buffer[..read].copy_from_slice(&contents.now[start..start + read]);
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.storage.count_sync()?;
        let mut contents = lock(&self.contents);
        contents.synced = contents.now.clone();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.count()?;
        lock(&self.contents).now.resize(len as usize, 0);
        Ok(())
    }
}
