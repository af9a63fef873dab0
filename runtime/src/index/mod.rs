//! The index: where each event lies in the log, and the little that queries select by.
//!
//! Derived from the log and disposable: a missing, foreign or damaged index is deleted and built again. It
//! holds no copy of a line. Most commits are not durable, because what a crash takes is read again; the
//! cursor is written in the transaction of the rows that it speaks of.

mod dictionary;
mod error;
pub(crate) mod fields;
mod follower;
pub(crate) mod links;
mod meta;
mod rebuild;
pub(crate) mod row;
mod snapshot;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::ids::LedgerId;
use crate::log::cut::cut_heads;
use crate::log::line::hash_line;
use crate::log::reader::{LogReader, RawLine};
use crate::log::storage::Storage;
use crate::log::{LogPosition, segment_name};

use dictionary::{Dictionary, DictionaryTable};
use fields::{EventFields, Fields};
use links::{FreshLinks, Link};
use meta::Meta;
use row::{Row, RowBytes, RowKey};

pub(crate) use error::{IndexError, guarded};
pub use follower::IndexHealth;
pub(crate) use follower::{IndexFollower, IndexWait};
pub(crate) use rebuild::log_end;
pub use rebuild::{IndexReport, RebuildError, rebuild_index};
pub(crate) use snapshot::Snapshot;

/// The file of the index, relative to the ledger's directory.
pub(crate) const INDEX_NAME: &str = "index.redb";

const ROWS: TableDefinition<'static, &'static RowKey, &'static RowBytes> = TableDefinition::new("rows");
const SCOPES: DictionaryTable = TableDefinition::new("scopes");
const SURFACES: DictionaryTable = TableDefinition::new("surfaces");
const CODES: DictionaryTable = TableDefinition::new("codes");
type MetaTable = TableDefinition<'static, &'static str, &'static [u8]>;
const META: MetaTable = TableDefinition::new("meta");
const META_KEY: &str = "meta";

/// Lines in one transaction at most. While the index is behind, one ends where a middle run of links does.
const BATCH_LINES: usize = 2 * links::MIDDLE_EVENTS as usize;
/// Rows after which a commit is durable; a crash of the process takes no more than these.
pub(crate) const VOLATILE_ROWS: u64 = 262_144;
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// What is in memory anyway needs little more of it to be found.
const MEMORY_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// At open every page of an index up to this size is checked; of a larger one only after a crash.
const CHECKED_BYTES: u64 = 1024 * 1024 * 1024;

/// The name of a scope in its dictionary; no tenant or env can hold the slash.
fn scope_name(tenant_id: &str, env: &str) -> String {
    format!("{tenant_id}/{env}")
}

/// Why an index was built from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// There was none.
    Missing,
    /// What was there could not be used; the text says why.
    Replaced(String),
}

/// An open index.
pub(crate) struct Index {
    database: Database,
    writer: Mutex<Writer>,
}

struct Writer {
    meta: Meta,
    scopes: Dictionary,
    surfaces: Dictionary,
    codes: Dictionary,
    /// Rows whose commit is not durable.
    volatile_rows: u64,
    ledger_id: String,
    scratch: String,
}

/// The rows of one transaction.
#[derive(Default)]
struct Batch {
    rows: Vec<(RowKey, RowBytes)>,
    links: FreshLinks,
    lines: usize,
}

impl Index {
    /// Opens the index of a ledger, or makes an empty one where there is none that can be used.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        ledger_id: LedgerId,
    ) -> Result<(Self, Option<Rebuilt>), IndexError> {
        let path = storage.path().map(|directory| directory.join(INDEX_NAME));
        Self::open_at(path.as_deref(), storage, ledger_id)
    }

    /// As [`open`](Self::open), with a file that may lie elsewhere; without one, in memory.
    pub(crate) fn open_at(
        path: Option<&Path>,
        storage: &Arc<dyn Storage>,
        ledger_id: LedgerId,
    ) -> Result<(Self, Option<Rebuilt>), IndexError> {
        let Some(path) = path else {
            let mut builder = builder();
            builder.set_cache_size(MEMORY_CACHE_BYTES);
            let database = builder.create_with_backend(InMemoryBackend::new())?;
            return Ok((Self::create(database, ledger_id)?, Some(Rebuilt::Missing)));
        };
        let rebuilt = match std::fs::metadata(path) {
            Ok(found) if found.len() > 0 => {
                let opened = guarded(|| {
                    let mut builder = builder();
                    builder.set_check_integrity_on_open(found.len() <= CHECKED_BYTES);
                    Self::resume(builder.open(path)?, storage, ledger_id)
                });
                match opened {
                    Ok(index) => return Ok((index, None)),
                    Err(IndexError::Store(error)) if matches!(*error, redb::Error::DatabaseAlreadyOpen) => {
                        return Err(IndexError::Store(error));
                    }
                    Err(error) => Rebuilt::Replaced(error.to_string()),
                }
            }
            _ => Rebuilt::Missing,
        };
        if let Err(source) = std::fs::remove_file(path)
            && source.kind() != std::io::ErrorKind::NotFound
        {
            let attempted = format!("remove {} to build it again", path.display());
            return Err(IndexError::Log { attempted, source });
        }
        Ok((Self::create(builder().create(path)?, ledger_id)?, Some(rebuilt)))
    }

    fn create(database: Database, ledger_id: LedgerId) -> Result<Self, IndexError> {
        let meta = Meta::new(ledger_id);
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?;
        links::create(&transaction)?;
        transaction.open_table(SCOPES)?;
        transaction.open_table(SURFACES)?;
        transaction.open_table(CODES)?;
        transaction.open_table(META)?.insert(META_KEY, &meta.to_bytes()[..])?;
        transaction.commit()?;
        let writer = Writer::new(meta, Dictionary::default(), Dictionary::default(), Dictionary::default());
        Ok(Self { database, writer: Mutex::new(writer) })
    }

    fn resume(
        database: Database,
        storage: &Arc<dyn Storage>,
        ledger_id: LedgerId,
    ) -> Result<Self, IndexError> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?.get(META_KEY)?;
        let meta = meta.and_then(|meta| Meta::from_bytes(meta.value()));
        let meta = meta.ok_or_else(|| IndexError::Damaged("it is of another format".into()))?;
        if meta.ledger_id != ledger_id {
            return Err(IndexError::Damaged(format!("it belongs to ledger {}", meta.ledger_id)));
        }
        check_log_behind(storage, &meta)?;
        let writer = Writer::new(
            meta,
            Dictionary::load(&transaction.open_table(SCOPES)?)?,
            Dictionary::load(&transaction.open_table(SURFACES)?)?,
            Dictionary::load(&transaction.open_table(CODES)?)?,
        );
        drop(transaction);
        Ok(Self { database, writer: Mutex::new(writer) })
    }

    /// Removes the rows of dropped events, and goes on at the beginning of the log where it was behind that. Returns
    /// whether the index is worth building again, because most of it speaks of what is gone.
    pub(crate) fn trim(&self, storage: &Arc<dyn Storage>) -> Result<bool, IndexError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| IndexError::Log { attempted: "read where the log begins".into(), source };
        // The beginning alone is read at a small cost; the heads there may be many.
        let begin = crate::log::cut::log_start(&**storage).map_err(failed)?;
        if begin <= writer.meta.begin || !crate::log::cut::is_dropped(&**storage, begin.segment - 1) {
            return Ok(false);
        }
        let Some(cut) = cut_heads(&**storage, writer.meta.ledger_id).map_err(failed)? else {
            return Ok(false);
        };
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let mut removed = 0;
        {
            let mut rows = transaction.open_table(ROWS)?;
            for (scope, head) in cut.heads.iter() {
                let name = scope_name(scope.tenant_id().as_str(), scope.env().as_str());
                let Some(number) = writer.scopes.find(&name) else { continue };
                let (low, high) = (row::row_key(number, 0), row::row_key(number, head.seq));
                rows.retain_in::<&RowKey, _>(&low..=&high, |_, _| {
                    removed += 1;
                    false
                })?;
            }
            let mut meta = writer.meta;
            meta.begin = cut.position;
            meta.removed_rows += removed;
            if meta.cursor < cut.position {
                (meta.cursor, meta.last_line) = (cut.position, None);
            }
            transaction.open_table(META)?.insert(META_KEY, &meta.to_bytes()[..])?;
            writer.meta = meta;
        }
        transaction.commit()?;
        writer.volatile_rows += removed.max(1);
        Ok(writer.meta.is_mostly_removed())
    }

    /// Reads one batch of the log towards `until`, which must be durable; true when it was reached.
    pub(crate) fn advance(&self, storage: &Arc<dyn Storage>, until: LogPosition) -> Result<bool, IndexError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.meta.cursor >= until {
            return Ok(true);
        }
        // What a crash left undone: tables of runs are only free for the next ones once they were merged.
        links::merge(&self.database, &mut writer.meta, META)?;
        let first = writer.meta.events;
        let from = match writer.meta.cursor {
            LogPosition::START => log_start(storage)?,
            cursor => cursor,
        };
        let mut reader = LogReader::new(storage.clone(), from, until).over_cuts();
        let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: true };
        let mut last = line.clone();
        let mut batch = Batch::default();
        let end = loop {
            let is_run_full =
                writer.meta.events > first && writer.meta.events.is_multiple_of(links::MIDDLE_EVENTS);
            if is_run_full || batch.lines == BATCH_LINES {
                break Ok(false);
            }
            match reader.next_into(&mut line) {
                Ok(true) => {
                    writer.take(&line, &mut batch);
                    std::mem::swap(&mut line, &mut last);
                }
                Ok(false) => break Ok(true),
                Err(source) => {
                    let attempted = format!("read the log behind {} for the index", writer.meta.cursor);
                    break Err(IndexError::Log { attempted, source });
                }
            }
        };
        if batch.lines > 0 {
            writer.meta.last_line = Some((last.position, hash_line(&last.bytes)));
        }
        if matches!(end, Ok(true)) {
            // Also where the range ended with a segment that the next one has yet to follow.
            writer.meta.cursor = until;
        }
        writer.commit(&self.database, batch, first)?;
        links::merge(&self.database, &mut writer.meta, META)?;
        end
    }

    /// Reads the log up to `until`, which must be durable.
    pub(crate) fn catch_up(&self, storage: &Arc<dyn Storage>, until: LogPosition) -> Result<(), IndexError> {
        while !self.advance(storage, until)? {
            if self.volatile_rows() >= VOLATILE_ROWS {
                self.persist()?;
            }
        }
        Ok(())
    }

    /// Refuses to go on where the log is no longer the one that was read.
    pub(crate) fn check_log(&self, storage: &Arc<dyn Storage>) -> Result<(), IndexError> {
        let meta = self.writer.lock().unwrap_or_else(PoisonError::into_inner).meta;
        check_log_behind(storage, &meta)
    }

    /// Everything before it is in the index.
    pub(crate) fn cursor(&self) -> LogPosition {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).meta.cursor
    }

    /// Makes what was committed survive a crash of the host.
    pub(crate) fn persist(&self) -> Result<(), IndexError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.volatile_rows > 0 {
            self.database.begin_write()?.commit()?;
            writer.volatile_rows = 0;
        }
        Ok(())
    }

    /// Rows that a crash of the process would take with it.
    pub(crate) fn volatile_rows(&self) -> u64 {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).volatile_rows
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, IndexError> {
        Snapshot::new(&self.database)
    }
}

impl Writer {
    fn new(meta: Meta, scopes: Dictionary, surfaces: Dictionary, codes: Dictionary) -> Self {
        let ledger_id = meta.ledger_id.to_string();
        Self { meta, scopes, surfaces, codes, volatile_rows: 0, ledger_id, scratch: String::new() }
    }

    fn take(&mut self, line: &RawLine, batch: &mut Batch) {
        batch.lines += 1;
        match Fields::parse(&line.bytes) {
            Some(Fields::Event(event)) if line.is_terminated && event.ledger_id == self.ledger_id => {
                self.take_event(line, &event, batch);
            }
            Some(Fields::Attempt) if line.is_terminated => {}
            _ => self.meta.skipped_lines += 1,
        }
        self.meta.cursor = LogPosition {
            segment: line.position.segment,
            offset: line.position.offset + line.bytes.len() as u64 + u64::from(line.is_terminated),
        };
    }

    fn take_event(&mut self, line: &RawLine, event: &EventFields<'_>, batch: &mut Batch) {
        self.scratch.clear();
        self.scratch.push_str(event.tenant_id);
        self.scratch.push('/');
        self.scratch.push_str(event.env);
        let scope = self.scopes.number(&self.scratch);
        let row = Row {
            position: line.position,
            len_bytes: u32::try_from(line.bytes.len()).unwrap_or(u32::MAX),
            recorded_at: event.recorded_at,
            surface: self.surfaces.number(&event.surface),
            code: event.code.as_deref().map_or(0, |code| self.codes.number(code)),
            outcome: event.outcome,
            user: event.user_id.as_deref().map_or(row::NO_USER, row::user_hash),
        };
        batch.rows.push((row::row_key(scope, event.seq), row.to_bytes()));
        let (number, seq) = (self.meta.events, event.seq);
        batch.links.add(number, Link::Trace(event.trace_id), scope, seq);
        batch.links.add(number, Link::Request(&event.request_id), scope, seq);
        self.meta.events += 1;
    }

    fn commit(&mut self, database: &Database, mut batch: Batch, first: u64) -> Result<(), IndexError> {
        // In key order neighbours share the pages that are copied.
        batch.rows.sort_unstable();
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        {
            let mut rows = transaction.open_table(ROWS)?;
            let mut before: Option<RowKey> = None;
            for (key, row) in &batch.rows {
                let follows = match before {
                    Some(before) if row::scope_of(&before) == row::scope_of(key) => {
                        row::follows(key, &before)
                    }
                    _ => follows_stored(&rows, key)?,
                };
                let is_new = rows.insert(key, row)?.is_none();
                self.meta.irregular_events += u64::from(!follows || !is_new);
                before = Some(*key);
            }
            let events = first..self.meta.events;
            batch.links.store(&transaction, events, &mut self.meta)?;
            self.scopes.store(&mut transaction.open_table(SCOPES)?)?;
            self.surfaces.store(&mut transaction.open_table(SURFACES)?)?;
            self.codes.store(&mut transaction.open_table(CODES)?)?;
            transaction.open_table(META)?.insert(META_KEY, &self.meta.to_bytes()[..])?;
        }
        transaction.commit()?;
        self.volatile_rows += batch.rows.len().max(1) as u64;
        Ok(())
    }
}

/// Whether an event follows the last one of its stream that is in the index, or is the first of it.
fn follows_stored(
    rows: &impl ReadableTable<&'static RowKey, &'static RowBytes>,
    key: &RowKey,
) -> Result<bool, IndexError> {
    let first = row::row_key(row::scope_of(key), 0);
    let last = rows.range::<&RowKey>(&first..key)?.next_back().transpose()?;
    Ok(last.is_none_or(|(last, _)| row::follows(key, last.value())))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Where the log begins: earlier segments may have been dropped.
pub(crate) fn log_start(storage: &Arc<dyn Storage>) -> Result<LogPosition, IndexError> {
    crate::log::cut::log_start(&**storage)
        .map_err(|source| IndexError::Log { attempted: "look where the log begins".into(), source })
}

/// Refuses an index that has read more than the log holds, or something else than what it holds.
fn check_log_behind(storage: &Arc<dyn Storage>, meta: &Meta) -> Result<(), IndexError> {
    let Some((position, hash)) = meta.last_line else { return Ok(()) };
    if position.segment < log_start(storage)?.segment {
        return Ok(());
    }
    let failed = |source| IndexError::Log { attempted: format!("read the log at {position}"), source };
    let cursor = meta.cursor;
    let end = match storage.open(&segment_name(cursor.segment), false) {
        Ok(file) => file.len().map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed(error)),
    };
    if end < cursor.offset {
        return Err(IndexError::Damaged(format!("it has read up to {cursor}, where the log does not reach")));
    }
    let mut reader = LogReader::new(storage.clone(), position, cursor);
    match reader.next_line().map_err(failed)? {
        Some(line) if hash_line(&line.bytes) == hash => Ok(()),
        _ => Err(IndexError::Damaged(format!("the log holds another line at {position}"))),
    }
}
