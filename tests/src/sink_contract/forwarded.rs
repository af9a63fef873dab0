//! A ledger that is forwarded to a target by the forwarder itself, run after run, as processes that follow one
//! another would.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataset_events::sinks::{Ack, Entry, EntryKey, EntryKind, Sink, SinkError, SinkSpec, SinkStart};
use dataset_events::{Ledger, LogPosition};
use tempfile::TempDir;

use super::cut::{LedgerCut, Piece};
use super::story::write_orders;
use super::target::Target;
use crate::log::only_ledger;

/// The sink's name in the ledger.
const NAME: &str = "checked";
/// Few enough that a run has several batches.
const BATCH_ENTRIES: usize = 10;
/// How long the sink may go without an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(90);
/// After how long of waiting it is asked for what it acknowledged meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// A ledger with the target as its sink.
#[derive(Debug)]
pub(super) struct Forwarded {
    root: TempDir,
    /// Head tables as they were at the end of each run. The next run can replace one.
    tables: Vec<Piece>,
    acknowledged: HashSet<EntryKey>,
}

/// What the target was given in a run, and acknowledged.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) given: Vec<(EntryKey, LogPosition)>,
}

impl Run {
    /// Whether the log was forwarded from its beginning.
    pub(super) fn is_from_the_start(&self) -> bool {
        let line =
            self.given.iter().find(|(key, _)| matches!(key, EntryKey::Event(_) | EntryKey::Attempt(_)));
        line.is_some_and(|(_, position)| *position == LogPosition::START)
    }

    /// How many of its entries an earlier run had given.
    pub(super) fn repeats(&self, before: &HashSet<EntryKey>) -> usize {
        self.given.iter().filter(|(key, _)| before.contains(key)).count()
    }
}

impl Forwarded {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory for the ledger that is forwarded");
        Self { root, tables: Vec::new(), acknowledged: HashSet::new() }
    }

    /// What was acknowledged so far.
    pub(super) fn acknowledged(&self) -> &HashSet<EntryKey> {
        &self.acknowledged
    }

    /// The folder with the sink's cursor.
    pub(super) fn folder(&self) -> PathBuf {
        only_ledger(self.root.path()).join("sinks").join(NAME)
    }

    /// Opens the ledger, writes orders, and closes it when the target has everything.
    pub(super) fn run(&mut self, target: &dyn Target, orders: usize) -> Run {
        self.run_until(target, orders, usize::MAX)
    }

    /// The same, but the process dies, as far as the target can see, right behind its `batches`-th acknowledgement.
    pub(super) fn run_until(&mut self, target: &dyn Target, orders: usize, batches: usize) -> Run {
        let seen = Seen::default();
        let sink = Mortal { sink: target.sink(), seen: seen.clone(), batches_left: batches };
        let spec = SinkSpec::new(NAME, Box::new(sink))
            .expect("a name")
            .required(true)
            .batch_entries(BATCH_ENTRIES)
            .batch_age(Duration::from_millis(5))
            .backoff(Duration::from_millis(1), Duration::from_millis(100))
            .close_within(PATIENCE);
        let ledger = Ledger::options()
            .root(self.root.path())
            .service("contract", "1")
            .journal_bytes(8 << 20)
            .segment_bytes(64 << 10)
            .group_interval(Duration::from_millis(2))
            .sink(spec)
            .open()
            .expect("open the ledger that is forwarded");
        write_orders(&ledger, orders);
        if batches == usize::MAX {
            let mut progress = Progress::new();
            while !ledger.drain(LOOK).expect("drain").is_complete {
                progress.assert_moves(&ledger);
            }
        } else {
            ledger.flush().expect("flush");
            let mut progress = Progress::new();
            while seen.batches() < batches {
                progress.assert_moves(&ledger);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        ledger.close().expect("close the ledger that is forwarded");
        let lost = crate::log::Log::read(&only_ledger(self.root.path())).lost();
        assert!(lost.is_empty(), "the ledger to forward lost events: {lost:?}");
        let tables = LedgerCut::read(&only_ledger(self.root.path())).pieces.into_iter();
        self.tables.extend(tables.filter(|piece| piece.kind == EntryKind::HeadTable));
        let given = std::mem::take(&mut *seen.given.lock().unwrap_or_else(PoisonError::into_inner));
        self.acknowledged.extend(given.iter().map(|(key, _)| *key));
        Run { given }
    }

    /// What the target must hold now: the ledger as it is, and the head tables that it was given before the ledger
    /// replaced them.
    pub(super) fn expected(&self) -> LedgerCut {
        let mut cut = LedgerCut::read(&only_ledger(self.root.path()));
        for table in &self.tables {
            if self.acknowledged.contains(&table.key)
                && !cut.pieces.iter().any(|piece| piece.key == table.key)
            {
                let is_behind =
                    |piece: &Piece| piece.kind == EntryKind::HeadTable && piece.position > table.position;
                let at = cut.pieces.iter().position(is_behind).unwrap_or(cut.pieces.len());
                cut.pieces.insert(at, table.clone());
            }
        }
        cut
    }
}

/// How much the sink has acknowledged, and since when it is so much.
struct Progress {
    forwarded: u64,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { forwarded: 0, since: Instant::now() }
    }

    fn assert_moves(&mut self, ledger: &Ledger) {
        let statuses = ledger.sinks().statuses();
        let forwarded = statuses.iter().map(|status| status.forwarded).sum();
        if self.forwarded != forwarded {
            *self = Self { forwarded, since: Instant::now() };
        }
        assert!(self.since.elapsed() < PATIENCE, "nothing is forwarded for {PATIENCE:?}: {statuses:?}");
    }
}

/// The files of a folder.
pub(super) fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let paths = files.map(|file| file.expect("list the sink's folder").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("read a file of the sink's folder"))).collect()
}

/// Puts the files whose names are wanted back as they were: those that were not there go.
pub(super) fn put_back(folder: &Path, before: &[(PathBuf, Vec<u8>)], is_wanted: impl Fn(&Path) -> bool) {
    for (path, _) in snapshot(folder).iter().filter(|(path, _)| is_wanted(path)) {
        fs::remove_file(path).expect("remove a file of the sink's folder");
    }
    for (path, bytes) in before.iter().filter(|(path, _)| is_wanted(path)) {
        fs::write(path, bytes).expect("write a file of the sink's folder");
    }
}

#[derive(Debug, Clone, Default)]
struct Seen {
    given: Arc<Mutex<Vec<(EntryKey, LogPosition)>>>,
    batches: Arc<AtomicUsize>,
}

impl Seen {
    fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }
}

/// A sink that hands on so many batches, and then nothing any more: its process is gone, and nobody closes it.
struct Mortal {
    sink: Box<dyn Sink>,
    seen: Seen,
    batches_left: usize,
}

impl Sink for Mortal {
    fn kind(&self) -> &'static str {
        self.sink.kind()
    }

    fn target(&self) -> String {
        self.sink.target()
    }

    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.sink.open(start)
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        if self.batches_left == 0 {
            return Err(SinkError::retry("append after the process has died", "it is gone"));
        }
        let ack = self.sink.append(batch)?;
        assert!(ack.rejected.is_empty(), "rejected what a ledger writes: {ack:?}");
        let given = batch.iter().map(|entry| (entry.key(), entry.position()));
        self.seen.given.lock().unwrap_or_else(PoisonError::into_inner).extend(given);
        self.batches_left -= 1;
        self.seen.batches.fetch_add(1, Ordering::SeqCst);
        Ok(ack)
    }

    fn close(&mut self) -> Result<(), SinkError> {
        if self.batches_left == 0 { Ok(()) } else { self.sink.close() }
    }
}
