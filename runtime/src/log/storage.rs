//! The few file operations that a ledger needs, behind a trait: the disk, memory, and disks that fail.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A directory of files, addressed by paths relative to it.
pub(crate) trait Storage: Send + Sync {
    /// Opens a file for reading and writing; makes it when `create` is set.
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>>;
    /// The files of a folder, by name, sorted. An absent folder is empty.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Removes a file; an absent one is no error.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Replaces a file as a whole: afterwards it holds the old or the new bytes, also after power loss. An error of
    /// the kinds `StorageFull` and `QuotaExceeded` says that there was no room, and never that a sync failed.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes the names in a folder durable; `""` is the directory itself.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// The directory, when there is one on a disk.
    fn path(&self) -> Option<&Path>;

    /// The whole of a file; `None` when it is absent.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(name, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }
}

/// An open file of a [`Storage`].
pub(crate) trait StorageFile: Send + Sync {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads until `buffer` is full or the file ends; returns the bytes read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Makes contents and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A directory of the operating system.
pub(crate) struct DiskStorage {
    directory: PathBuf,
}

impl DiskStorage {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }
}

impl Storage for DiskStorage {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let path = self.directory.join(name);
        if create && let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = match OpenOptions::new().read(true).write(true).create(create).truncate(false).open(&path)
        {
            // A ledger on a read-only file system can still be read and verified.
            Err(error) if !create && error.kind() != io::ErrorKind::NotFound => File::open(&path)?,
            file => file?,
        };
        Ok(Box::new(DiskFile(file)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.directory.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.join(name);
        let temporary = path.with_extension("new");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create(&temporary)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all().map_err(not_synced)?;
        fs::rename(&temporary, &path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all().map_err(not_synced),
            None => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.directory.join(folder))?.sync_all()
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

/// A failed fsync, as an error that nobody takes for a write that found no room.
fn not_synced(error: io::Error) -> io::Error {
    io::Error::other(error)
}

struct DiskFile(File);

impl StorageFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Files in memory. Cloning shares them, so that a test can reopen what another ledger left.
#[derive(Clone, Default)]
pub(crate) struct MemoryStorage {
    files: Arc<Mutex<BTreeMap<String, MemoryFile>>>,
}

#[derive(Clone, Default)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Storage for MemoryStorage {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(name) {
            return Ok(Box::new(file.clone()));
        }
        if !create {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {name} in memory")));
        }
        let file = MemoryFile::default();
        files.insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{folder}/");
        let files = lock(&self.files);
        Ok(files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.files).remove(name);
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        lock(&self.files).insert(name.to_owned(), MemoryFile(Arc::new(Mutex::new(bytes.to_vec()))));
        Ok(())
    }

    fn sync_folder(&self, _folder: &str) -> io::Result<()> {
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }
}

impl StorageFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = lock(&self.0);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = lock(&self.0);
        let start = usize::try_from(offset).map_err(io::Error::other)?.min(file.len());
        let read = buffer.len().min(file.len() - start);
        buffer[..read].copy_from_slice(&file[start..start + read]);
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }
}
