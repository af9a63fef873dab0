//! Roots: directories of ledgers, each written by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use crate::ids::LedgerId;
use crate::journal::lock::LockFile;
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::identity::IDENTITY_NAME;

/// The file that names the service which opened the ledger last; only one that was given a name writes it.
pub(crate) const SERVICE_NAME: &str = "service";

/// A ledger's directory, locked for this process.
pub(crate) struct Taken {
    pub(crate) ledger_id: LedgerId,
    pub(crate) directory: PathBuf,
    pub(crate) lock_file: LockFile,
    pub(crate) is_new: bool,
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let attempted = format!("{what} {}", path.display());
    |source| OpenError::Io { attempted, source }
}

/// The root of [`Ledger::dev`](crate::Ledger::dev).
pub(crate) fn dev_root() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = named.or_else(|| {
        let program = std::env::current_exe().ok()?;
        program.ancestors().find(|folder| folder.ends_with("target")).map(Path::to_owned)
    });
    target.unwrap_or_else(|| PathBuf::from("target")).join("dataset-events")
}

/// The ledgers of a root, oldest first.
fn ledgers(root: &Path) -> Result<Vec<(LedgerId, PathBuf)>, OpenError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(failed("list the root", root))? {
        let path = entry.map_err(failed("list the root", root))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Ok(ledger_id) = name.parse::<LedgerId>()
            && path.join("lock").exists()
        {
            found.push((ledger_id, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn lock(directory: &Path) -> Result<Option<LockFile>, OpenError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("open the lock", &path))?;
    LockFile::take(file).map_err(failed("lock", &path))
}

/// Whose a ledger is, from where a service stands. In the order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Itself,
    Nobody,
    Another,
}

fn owner(directory: &Path, service: Option<&str>) -> Result<Owner, OpenError> {
    let path = directory.join(SERVICE_NAME);
    match fs::read(&path) {
        Ok(named) if named.is_empty() => Ok(Owner::Nobody),
        Ok(named) if service.is_some_and(|service| service.as_bytes() == named) => Ok(Owner::Itself),
        Ok(_) => Ok(Owner::Another),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::Nobody),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Takes the oldest ledger of the root that its own service had, else the oldest that none had; or makes a
/// new one. Never one that a process has open, nor one of another service.
pub(crate) fn take(
    root: &Path,
    service: Option<&str>,
    new_id: impl FnOnce() -> LedgerId,
) -> Result<Taken, OpenError> {
    fs::create_dir_all(root).map_err(failed("create the root", root))?;
    let mut fitting = Vec::new();
    for (ledger_id, directory) in ledgers(root)? {
        match owner(&directory, service)? {
            Owner::Another => {}
            owner => fitting.push((owner, ledger_id, directory)),
        }
    }
    fitting.sort_unstable();
    for (_, ledger_id, directory) in fitting {
        // Another service may have had it in the meantime.
        if let Some(lock_file) = lock(&directory)?
            && owner(&directory, service)? != Owner::Another
        {
            // Nothing is written before the identity: where there is more, the identity was removed.
            let is_new =
                [IDENTITY_NAME, CHECKPOINTS_NAME, "log"].iter().all(|name| !directory.join(name).exists());
            return Ok(Taken { ledger_id, directory, lock_file, is_new });
        }
    }
    let ledger_id = new_id();
    let directory = root.join(ledger_id.to_string());
    fs::create_dir_all(&directory).map_err(failed("create the ledger", &directory))?;
    // Its name must outlive a power cut as its lines do.
    File::open(root).and_then(|root| root.sync_all()).map_err(failed("fsync the root", root))?;
    match lock(&directory)? {
        Some(lock_file) => Ok(Taken { ledger_id, directory, lock_file, is_new: true }),
        None => Err(OpenError::Io {
            attempted: format!("lock the new ledger {}", directory.display()),
            source: io::Error::other("another process took it"),
        }),
    }
}

/// The other ledgers of the root, locked or not.
pub(crate) fn others(root: &Path, own: LedgerId) -> Result<Vec<(LedgerId, PathBuf)>, OpenError> {
    let mut others = ledgers(root)?;
    others.retain(|(ledger_id, directory)| *ledger_id != own && directory.join(IDENTITY_NAME).exists());
    Ok(others)
}

/// Locks one of the others; `None` when a process has it open.
pub(crate) fn take_other(ledger_id: LedgerId, directory: &Path) -> Result<Option<Taken>, OpenError> {
    let taken = lock(directory)?;
    let directory = directory.to_owned();
    Ok(taken.map(|lock_file| Taken { ledger_id, directory, lock_file, is_new: false }))
}

fn random(bytes: &mut [u8]) -> Result<(), OpenError> {
    getrandom::fill(bytes).map_err(|error| OpenError::Io {
        attempted: "get random bytes for the root's secret".to_owned(),
        source: io::Error::other(error),
    })
}

/// The secret under which captured values are hashed: one for all ledgers of a root, so that the same
/// value of a tenant has the same hash in each.
pub(crate) fn secret(root: &Path) -> Result<[u8; 32], OpenError> {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    let path = root.join("secret");
    let mut fresh = [0; 32];
    random(&mut fresh)?;
    // A file that appears under its name is whole: another process may read it at once. The name before
    // that is nobody else's, also not that of a process with the same id that died here: in a container
    // every start has the same one.
    let mut tag = [0; 8];
    random(&mut tag)?;
    let temporary = root.join(format!("secret.{:016x}", u64::from_ne_bytes(tag)));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&fresh)?;
        file.sync_all()?;
        match fs::hard_link(&temporary, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::remove_file(&temporary)?,
        }
        File::open(root)?.sync_all()
    };
    if !path.exists() {
        write().map_err(failed("write", &path))?;
    }
    let mut secret = [0; 32];
    File::open(&path)
        .and_then(|mut file| file.read_exact(&mut secret))
        .map_err(failed("read 32 bytes of", &path))?;
    Ok(secret)
}
