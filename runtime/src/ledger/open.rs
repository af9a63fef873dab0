//! From options to an open ledger.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::error::OpenError;
use super::log_writer::{DurableEnd, Follower, LogWriter};
use super::options::{Fixed, LedgerOptions, Memory, OnUnavailable};
use super::recover::{JournalImage, Recovery, Report};
use super::root::{self, Taken};
use super::sequencer::{Sequencer, SequencerState};
use super::shared::{LedgerShared, OwnEvent, encode_own};
use super::{Ledger, Owner};
use crate::clock::Clock;
use crate::context::write_json_str;
use crate::id_source::IdSource;
use crate::ids::LedgerId;
use crate::index::IndexFollower;
use crate::journal::arena::Arena;
use crate::journal::control::{self, Control, Layout};
use crate::journal::lock::LockFile;
use crate::journal::os::{self, Mapping};
use crate::journal::ticks;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::signer::{Ed25519Signer, Signer};
use crate::log::storage::{DiskStorage, Storage};
use crate::pending::{self, Mode};
use crate::retention::{Retention, RetentionThread};
use crate::sinks::forwarder::Forwarders;

/// Where a ledger lies.
struct Site {
    ledger_id: LedgerId,
    storage: Arc<dyn Storage>,
    lock_file: Option<LockFile>,
    /// The journal's file; `None` for memory.
    journal: Option<PathBuf>,
    signer: Arc<dyn Signer>,
    secret: [u8; 32],
    is_new: bool,
    /// Whose the ledger is from now on, when that changes.
    new_owner: Option<String>,
}

fn new_ledger_id() -> LedgerId {
    LedgerId::from_uuid(IdSource::Random.event_id(ticks::wall_ns() / 1_000_000).as_uuid())
}

pub(crate) fn open(mut options: LedgerOptions) -> Result<Ledger, OpenError> {
    crate::current::install_panic_hook();
    // In a forked child, which must open a ledger of its own, the generator would repeat its parent's ids.
    crate::id_source::reseed();
    let mode = pending::mode();
    if mode != Mode::Disk && options.memory.is_none() && options.fixed.is_none() {
        if let Some(ledger) = pending::self_opened() {
            return Ok(ledger);
        }
        options.memory = Some(Memory::default());
    }
    if let Some(memory) = options.memory.take() {
        return open_in_memory(options, memory.0, mode);
    }
    match disk_site(&mut options).and_then(|site| open_site(&mut options, site, mode)) {
        Err(error) if options.on_unavailable == OnUnavailable::Memory && error.is_about_the_disk() => {
            eprintln!(
                "dataset-events: no ledger on disk ({error}); events are kept in memory and end with this \
                 process, as `on_unavailable` asks."
            );
            open_in_memory(options, Memory::default().0, mode)
        }
        opened => {
            let ledger = opened?;
            recover_leftovers(&options, ledger.id());
            Ok(ledger)
        }
    }
}

fn open_in_memory(
    mut options: LedgerOptions,
    storage: Arc<dyn Storage>,
    mode: Mode,
) -> Result<Ledger, OpenError> {
    let is_new = storage.read(IDENTITY_NAME).ok().flatten().is_none();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| OpenError::Io {
        attempted: "get random bytes for the ledger's secret".to_owned(),
        source: std::io::Error::other(error),
    })?;
    let site = Site {
        ledger_id: options.fixed.as_ref().map_or_else(new_ledger_id, |fixed| fixed.ledger_id),
        storage,
        lock_file: None,
        journal: None,
        signer: match options.signer.take() {
            Some(signer) => signer,
            None => Arc::new(Ed25519Signer::generate().map_err(OpenError::Key)?),
        },
        secret: options.fixed.as_ref().map_or(secret, |fixed| fixed.secret),
        is_new,
        new_owner: None,
    };
    open_site(&mut options, site, mode)
}

fn disk_site(options: &mut LedgerOptions) -> Result<Site, OpenError> {
    let fixed_id = options.fixed.as_ref().map(|fixed| fixed.ledger_id);
    let service = options.service.as_deref();
    let taken = root::take(&options.root, service, || fixed_id.unwrap_or_else(new_ledger_id))?;
    let is_named = taken.directory.join(root::SERVICE_NAME).exists();
    let secret = match &options.fixed {
        Some(fixed) => fixed.secret,
        None => root::secret(&options.root)?,
    };
    let mut site = site_of(taken, options.signer.clone(), options.journal_dir.as_deref(), secret)?;
    site.new_owner = options.service.clone().filter(|_| !is_named);
    Ok(site)
}

fn site_of(
    taken: Taken,
    signer: Option<Arc<dyn Signer>>,
    journal_dir: Option<&Path>,
    secret: [u8; 32],
) -> Result<Site, OpenError> {
    let journal = match journal_dir {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(|source| OpenError::Io {
                attempted: format!("create journal_dir {}", directory.display()),
                source,
            })?;
            let journal = directory.join(format!("{}.journal", taken.ledger_id));
            std::path::absolute(&journal).unwrap_or(journal)
        }
        None => in_directory(&taken.directory),
    };
    Ok(Site {
        ledger_id: taken.ledger_id,
        signer: match signer {
            Some(signer) => signer,
            None => Arc::new(Ed25519Signer::from_file(taken.directory.join("key")).map_err(OpenError::Key)?),
        },
        storage: Arc::new(DiskStorage::new(taken.directory)),
        lock_file: Some(taken.lock_file),
        journal: Some(journal),
        secret,
        is_new: taken.is_new,
        new_owner: None,
    })
}

/// Reads or writes `ledger.json`, and lists the signer's key in it before it signs anything.
fn identity(site: &Site, now: i64) -> Result<Vec<[u8; 32]>, OpenError> {
    let path = || site.storage.path().map_or_else(|| PathBuf::from("memory"), Path::to_owned);
    let io =
        |attempted: &str, source| OpenError::Io { attempted: format!("{attempted} {IDENTITY_NAME}"), source };
    let stored = site.storage.read(IDENTITY_NAME).map_err(|error| io("read", error))?;
    let mut identity = match &stored {
        None if site.is_new => LedgerIdentity::new(site.ledger_id, now),
        None => return Err(OpenError::Identity { path: path(), reason: "it is missing".to_owned() }),
        Some(bytes) => LedgerIdentity::parse(bytes)
            .map_err(|error| OpenError::Identity { path: path(), reason: error.to_string() })?,
    };
    if identity.ledger_id != site.ledger_id {
        let reason = format!("it is of ledger {}, not {}", identity.ledger_id, site.ledger_id);
        return Err(OpenError::Identity { path: path(), reason });
    }
    if identity.add_key(&*site.signer) {
        let bytes = identity.encode().map_err(|error| io("encode", error.into()))?;
        site.storage.replace(IDENTITY_NAME, &bytes).map_err(|error| io("write", error))?;
    }
    if let Some(service) = &site.new_owner {
        let name = root::SERVICE_NAME;
        site.storage.replace(name, service.as_bytes()).map_err(|source| OpenError::Io {
            attempted: format!("write {}, which says whose the ledger is", path().join(name).display()),
            source,
        })?;
    }
    Ok(identity.keys.iter().map(|key| key.public_key.0).collect())
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// What a dead process left of its journal, if anything.
fn journal_image(path: &Path) -> Result<Option<(Mapping, Layout)>, OpenError> {
    let failed = |source| OpenError::Io { attempted: format!("read the journal {}", path.display()), source };
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let len = file.metadata().map_err(failed)?.len() as usize;
    let layout = Layout::of(len);
    if layout.bytes != len {
        // Its making was cut short: it never held a record.
        return Ok(None);
    }
    Ok(Some((Mapping::file(&file, len).map_err(failed)?, layout)))
}

/// The file that names the journal when it lies, or lay, outside the ledger's directory.
const JOURNAL_PATH_NAME: &str = "journal.path";

/// Where the last process that had the ledger open kept its journal: not where this one is told to.
fn last_journal(storage: &dyn Storage, directory: &Path) -> Result<PathBuf, OpenError> {
    use std::os::unix::ffi::OsStringExt;

    let named = storage.read(JOURNAL_PATH_NAME).map_err(|source| OpenError::Io {
        attempted: format!("read {JOURNAL_PATH_NAME} in {}", directory.display()),
        source,
    })?;
    Ok(match named {
        Some(path) => PathBuf::from(std::ffi::OsString::from_vec(path)),
        None => in_directory(directory),
    })
}

/// The journal's usual place. Absolute, because that is how places are compared.
fn in_directory(directory: &Path) -> PathBuf {
    let journal = directory.join("journal");
    std::path::absolute(&journal).unwrap_or(journal)
}

/// Whether two paths lead to one file: by a link, or by another mount of the same directory.
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let file = |path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    file(one).is_some_and(|found| file(other) == Some(found))
}

/// Notes where the journal lies from now on, and removes the one before, whose records are in the log.
fn move_journal(storage: &dyn Storage, last: &Path, now: &Path) -> Result<(), OpenError> {
    use std::os::unix::ffi::OsStrExt;

    if last == now {
        return Ok(());
    }
    storage.replace(JOURNAL_PATH_NAME, now.as_os_str().as_bytes()).map_err(|source| OpenError::Io {
        attempted: format!("write {JOURNAL_PATH_NAME}, which names {}", now.display()),
        source,
    })?;
    // The new one is made already: what would be removed must not be it.
    if is_same_file(last, now) {
        return Ok(());
    }
    match std::fs::remove_file(last) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(OpenError::Io {
            attempted: format!("remove the journal {}, whose records are in the log", last.display()),
            source,
        }),
        _ => Ok(()),
    }
}

/// Makes the journal's file and maps it.
fn new_journal(path: &Path, layout: Layout) -> Result<Mapping, OpenError> {
    let failed = |source| OpenError::Journal { path: path.to_owned(), bytes: layout.bytes as u64, source };
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let is_unsupported =
        |error: &std::io::Error| matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS));
    os::allocate(&file, layout.bytes as u64).map_err(|error| {
        if is_unsupported(&error) {
            let file_system = "a file system without fallocate".to_owned();
            return OpenError::UnfitFileSystem { path: path.to_owned(), file_system };
        }
        failed(error)
    })?;
    file.set_len(layout.bytes as u64).map_err(failed)?;
    Mapping::file(&file, layout.bytes).map_err(failed)
}

fn check_file_system(journal: &Path) -> Result<(), OpenError> {
    let folder = journal.parent().unwrap_or(Path::new("."));
    let unfit = os::unfit_file_system(folder).map_err(|source| OpenError::Io {
        attempted: format!("ask for the file system of {}", folder.display()),
        source,
    })?;
    match unfit {
        Some(name) => {
            Err(OpenError::UnfitFileSystem { path: folder.to_owned(), file_system: name.to_owned() })
        }
        None => Ok(()),
    }
}

/// The writer's JSON, but for the epoch.
fn writer_json(options: &LedgerOptions) -> impl Fn(u64) -> Vec<u8> + use<> {
    let program = || {
        let path = std::env::current_exe().ok()?;
        Some(path.file_stem()?.to_string_lossy().chars().take(64).collect::<String>())
    };
    let mut json = b"{\"service\":".to_vec();
    let service = options.service.clone().or_else(program).unwrap_or_else(|| "unknown".to_owned());
    write_json_str(&mut json, &service);
    json.extend_from_slice(b",\"version\":");
    write_json_str(&mut json, options.version.as_deref().unwrap_or("0"));
    if let Some(build_id) = &options.build_id {
        json.extend_from_slice(b",\"build\":");
        write_json_str(&mut json, build_id);
    }
    json.extend_from_slice(b",\"instance\":");
    let instance = options.instance.clone();
    let instance = instance.unwrap_or_else(|| format!("{}:{}", os::host_name(), std::process::id()));
    write_json_str(&mut json, &instance);
    move |epoch| {
        let mut json = json.clone();
        json.extend_from_slice(format!(",\"epoch\":{epoch}}}").as_bytes());
        json
    }
}

fn open_site(options: &mut LedgerOptions, site: Site, mode: Mode) -> Result<Ledger, OpenError> {
    let (clock, id_source) = match options.fixed.take() {
        Some(Fixed { clock, id_source, .. }) => (clock, id_source),
        None => (Clock::process(), IdSource::Random),
    };
    let now = clock.anchor().wall_us(clock.cut_ticks());
    if let Some(journal) = &site.journal {
        check_file_system(journal)?;
    }
    let public_keys = identity(&site, now)?;
    let boot_id = boot_id();
    let last_journal = match site.storage.path() {
        Some(directory) => Some(last_journal(&*site.storage, directory)?),
        None => None,
    };
    let image = match &last_journal {
        Some(path) => journal_image(path)?,
        None => None,
    };
    let writer_json = writer_json(options);
    let (end, report) = Recovery {
        storage: Arc::clone(&site.storage),
        ledger_id: site.ledger_id,
        signer: Arc::clone(&site.signer),
        public_keys,
        journal: image.as_ref().map(|(mapping, layout)| JournalImage {
            mapping,
            layout: *layout,
            boot_id: &boot_id,
        }),
        accept_loss: options.accept_loss,
        now,
        writer_json: &writer_json,
        own_event: &|own| encode_own(own, &clock, &id_source),
    }
    .run()?;
    drop(image);
    let layout = Layout::of(options.journal_bytes);
    let mapping = match &site.journal {
        Some(path) => new_journal(path, layout)?,
        None => Mapping::anonymous(layout.bytes).map_err(|source| OpenError::Io {
            attempted: format!("map {} bytes of memory for the journal", layout.bytes),
            source,
        })?,
    };
    let writer = writer_json(end.epoch);
    let control = Control::new(&mapping, layout);
    control.format(site.ledger_id, end.epoch, &boot_id, &writer);
    control.set_anchor(clock.anchor());
    control.set_durable(end.position);
    control.set_open(true);
    if let (Some(last), Some(now)) = (&last_journal, &site.journal) {
        move_journal(&*site.storage, last, now)?;
    }
    let arena = Arena::new(mapping, layout, site.ledger_id, end.epoch).map_err(|source| OpenError::Io {
        attempted: "map the page that tells a forked child".to_owned(),
        source,
    })?;
    let shared = Arc::new(LedgerShared::new(
        site.ledger_id,
        arena,
        clock,
        id_source,
        site.secret,
        writer,
        mode == Mode::Off,
    ));
    let _: Report = report;
    shared.own_event(&OwnEvent::system("ledger.opened", &format!("{{\"epoch\":{}}}", end.epoch)));
    start(options, site, shared, end, mode)
}

/// Starts the threads.
fn start(
    options: &mut LedgerOptions,
    site: Site,
    shared: Arc<LedgerShared>,
    end: super::log_writer::LogEnd,
    mode: Mode,
) -> Result<Ledger, OpenError> {
    let (to_writer, orders) = mpsc::sync_channel(0);
    let buffers = Arc::new(Mutex::new(Vec::new()));
    let index = IndexFollower::start(Arc::clone(&site.storage), site.ledger_id, end.position);
    let index = Arc::new(index);
    let to_index = Arc::clone(&index);
    let events = end.heads.iter().map(|(_, head)| head.seq).sum();
    let durable =
        DurableEnd { position: end.position, events, bytes: 0, checkpoints_end: end.checkpoints_end };
    let specs = std::mem::take(&mut options.sinks);
    let sinks = Forwarders::start(Arc::clone(&site.storage), site.ledger_id, durable, specs);
    let sinks = Arc::new(sinks);
    let to_sinks = Arc::clone(&sinks);
    let followers: Vec<Follower> = vec![
        Box::new(move |durable| to_index.advance(durable.position)),
        Box::new(move |durable| to_sinks.advance(durable)),
    ];
    let sequencer = Sequencer {
        state: SequencerState::new(&shared.arena),
        shared: Arc::clone(&shared),
        heads: end.heads.clone(),
        position: end.position,
        segment_bytes: options.segment_bytes,
        interval: options.group_interval,
        to_writer,
        buffers: Arc::clone(&buffers),
        handed_cut: 0,
        is_closing: false,
    };
    let writer = LogWriter {
        shared: Arc::clone(&shared),
        end,
        orders,
        pending: None,
        buffers,
        followers,
        events,
        bytes: 0,
        is_echoing: mode == Mode::Stderr,
    };
    let shared_by_threads = Arc::clone(&shared);
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        let ends = ThreadEnds(Arc::clone(&shared_by_threads));
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ends = ends;
                run();
            })
            .map_err(|source| OpenError::Io { attempted: format!("start the thread {name}"), source })
    };
    let threads = vec![
        spawn("dataset-events-log", Box::new(move || writer.run()))?,
        spawn("dataset-events-seq", Box::new(move || sequencer.run()))?,
    ];
    let retention = Arc::new(Retention::new(
        Arc::clone(&shared),
        Arc::clone(&site.storage),
        Arc::clone(&index),
        site.signer,
        options.retention,
    ));
    let to_retention = Arc::clone(&sinks);
    retention.set_required(Box::new(move || to_retention.required()));
    let has_work = options.retention.keep_for.is_some() || options.retention.max_disk_bytes.is_some();
    let retaining = match has_work {
        true => Some(RetentionThread::start(Arc::clone(&retention)).map_err(|source| OpenError::Io {
            attempted: "start the thread dataset-events-retain".to_owned(),
            source,
        })?),
        false => None,
    };
    if options.retention.max_disk_bytes.is_some() {
        // Before the first group, so that the cap counts what is there.
        retention.measure_now().map_err(|error| OpenError::Io {
            attempted: "measure what the ledger uses".to_owned(),
            source: std::io::Error::other(error),
        })?;
    }
    Ok(Ledger {
        owner: Arc::new(Owner {
            shared,
            storage: site.storage,
            index,
            retention,
            retaining,
            sinks,
            #[cfg(feature = "config")]
            configured: Mutex::new(options.configured.take()),
            threads: Mutex::new(threads),
            lock_file: Mutex::new(site.lock_file),
        }),
    })
}

/// Tells those who wait on a ledger when one of its threads dies.
struct ThreadEnds(Arc<LedgerShared>);

impl Drop for ThreadEnds {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or_default().to_owned();
            self.0.fail(format!("the thread {name} panicked"));
            self.0.signal.over();
        }
    }
}

/// Whether a journal says that a process has, or had, the ledger open.
fn is_left_open(ledger_id: LedgerId, directory: &Path) -> bool {
    let journal = last_journal(&DiskStorage::new(directory.to_owned()), directory);
    let Some(file) = journal.ok().and_then(|journal| std::fs::File::open(journal).ok()) else { return false };
    control::is_file_left_open(&file, ledger_id)
}

/// Completes the ledgers that dead processes left in the root. One that cannot be is reported and left
/// as it is: it must not keep this process from starting.
fn recover_leftovers(options: &LedgerOptions, own: LedgerId) {
    let others = match root::others(&options.root, own) {
        Ok(others) => others,
        Err(error) => {
            eprintln!("dataset-events: the root's other ledgers were not looked at: {error}");
            return;
        }
    };
    for (ledger_id, directory) in others {
        // A ledger that was closed is not locked even for a moment: its service may be about to take it.
        if !is_left_open(ledger_id, &directory) {
            continue;
        }
        let taken = match root::take_other(ledger_id, &directory) {
            Ok(Some(taken)) if is_left_open(ledger_id, &directory) => taken,
            Ok(_) => continue,
            Err(error) => {
                eprintln!("dataset-events: the ledger {} was not looked at: {error}", directory.display());
                continue;
            }
        };
        let mut again = LedgerOptions {
            journal_bytes: Layout::MIN_BYTES,
            service: options.service.clone(),
            version: options.version.clone(),
            instance: options.instance.clone(),
            ..LedgerOptions::default()
        };
        let recovered = root::secret(&options.root)
            .and_then(|secret| site_of(taken, options.signer.clone(), options.journal_dir.as_deref(), secret))
            .and_then(|site| open_site(&mut again, site, Mode::Disk));
        match recovered.map(Ledger::close) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                eprintln!("dataset-events: the ledger {} was not closed: {error}", directory.display());
            }
            Err(error) => {
                eprintln!("dataset-events: the ledger {} was not recovered: {error}", directory.display());
            }
        }
    }
}
