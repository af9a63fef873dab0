//! A sink that writes files of lines: for a disk beside the ledger's, for collectors that follow files.
//!
//! # What is written
//!
//! Below the directory a folder for each ledger, in it files by number and time: `00000012-20261129T150403Z.ndjson`.
//! Their lines are the ledger's own, bit by bit, in its order: its identity, events, attempts, head tables,
//! checkpoints; each says by its key `kind` what it is, so that `jq 'select(.kind == "event")'` reads them. Two kinds
//! are the sink's: the first line of a file (`ndjson_file`) says what stands in the files before it, and a `place` says
//! where in the log the next line begins, where that is not just behind the line before.
//!
//! A file ends at [`rotate_bytes`](NdjsonSettings::rotate_bytes) or [`rotate_age`](NdjsonSettings::rotate_age), both
//! looked at when something is written. With the feature `ndjson-zstd`, files that have ended can be compressed.
//! Folders are for their owner alone (0700), and so are files (0600).
//!
//! # When it is durable
//!
//! A batch is acknowledged after one `fdatasync` behind its last line. Each entry stands once: a sink that is opened
//! reads its newest file to know up to where it has stored, and what comes again changes nothing. So a replay into the
//! same directory adds nothing either; for a second copy give another directory. A last line that is torn, as a
//! crash leaves it, is cut off and kept in `torn/`; the forwarder has not seen it acknowledged, and sends it again.
//!
//! What is no line that a ledger of this version writes (a line with control characters, an entry that could not be
//! read back) is rejected alone.
//!
//! # What happens when it is full
//!
//! The file is cut back to its last whole batch, and the batch is tried again until there is room. With
//! [`keep_files`](NdjsonSettings::keep_files) the oldest files go when new ones are made: then the directory is not
//! the whole ledger any more. Nothing else is ever removed.
//!
//! # How to read it back
//!
//! By eye, by `jq`, or by [`NdjsonSource`](crate::sources::ndjson::NdjsonSource), which gives the entries with their
//! places and answers queries.

pub(crate) mod folder;
pub(crate) mod line;
mod newest;
pub(crate) mod read;
mod settings;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use self::newest::Newest;
pub use self::settings::NdjsonSettings;
use self::writer::Writer;
use super::{Ack, Entry, Sink, SinkError, SinkStart};
use crate::log::storage::{DiskStorage, Storage};

/// Writes files of lines. See [the module](self).
///
/// ```
/// use dataset_events::sinks::ndjson::{NdjsonSettings, NdjsonSink};
/// let sink = NdjsonSink::new(NdjsonSettings::new("/var/log/dataset-events").keep_files(30));
/// # drop(sink);
/// ```
pub struct NdjsonSink {
    settings: NdjsonSettings,
    storage: Arc<dyn Storage>,
    now_us: fn() -> i64,
    writer: Option<Writer>,
    /// A file whose end could not be made sure of, and up to where it could.
    unsure: Option<(String, u64)>,
}

impl fmt::Debug for NdjsonSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdjsonSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl NdjsonSink {
    /// Writes below the directory of the settings. Nothing is touched before the sink is opened.
    pub fn new(settings: NdjsonSettings) -> Self {
        let storage = Arc::new(DiskStorage::new(settings.directory.clone()));
        Self { settings, storage, now_us, writer: None, unsure: None }
    }

    #[cfg(test)]
    fn on(storage: Arc<dyn Storage>, settings: NdjsonSettings, now_us: fn() -> i64) -> Self {
        Self { settings, storage, now_us, writer: None, unsure: None }
    }

    /// Cuts off what a failed sync may have left: pages that the system takes for written.
    fn settle(&mut self) -> io::Result<()> {
        if let Some((path, len)) = &self.unsure {
            let file = self.storage.open(path, false)?;
            if file.len()? > *len {
                file.set_len(*len)?;
            }
            file.sync_data()?;
        }
        self.unsure = None;
        Ok(())
    }
}

/// What failed, on which path.
fn failed(storage: &dyn Storage, what: &str, path: &str) -> String {
    let directory = storage.path().unwrap_or(Path::new("memory"));
    format!("{what} {}", directory.join(path).display())
}

impl Sink for NdjsonSink {
    fn kind(&self) -> &'static str {
        "ndjson"
    }

    fn target(&self) -> String {
        self.settings.directory.display().to_string()
    }

    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        // The lock of an earlier opening goes first.
        self.writer = None;
        let ledger_id = start.ledger_id;
        let storage = &*self.storage;
        let text = |what| failed(storage, what, &ledger_id.to_string());
        let lock = folder::lock(storage, ledger_id)
            .map_err(|error| SinkError::retry(text("take the folder"), error))?;
        self.settle().map_err(|error| SinkError::retry("cut off what a failed sync left", error))?;
        let newest = Newest::find(&self.storage, ledger_id)?;
        let writer = Writer::open(Arc::clone(&self.storage), ledger_id, newest, lock, (self.now_us)())?;
        writer.tidy(&self.settings)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let Some(writer) = &mut self.writer else {
            return Err(SinkError::reopen(
                "append to files that are not open",
                "the sink must be opened first",
            ));
        };
        let result = writer.append(batch, &self.settings, (self.now_us)());
        if let Err(SinkError::Reopen { .. }) = &result {
            self.unsure = Some(writer.sure());
            self.writer = None;
        }
        result
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.writer = None;
        Ok(())
    }
}
