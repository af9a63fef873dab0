//! The cursor of a sink: two files that are written in turn, so that one is whole whatever happens to the other.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::sealed;
use super::spec::Settings;
use crate::ledger::DurableEnd;
use crate::log::line::hash_line;
use crate::log::reader::LogReader;
use crate::log::segment_name;
use crate::log::storage::Storage;

/// The folder of a sink, relative to the ledger's directory.
pub(super) fn folder(name: &str) -> String {
    format!("sinks/{name}")
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    kind: String,
    /// What the sink is, and where it writes: the cursor says nothing of another one.
    sink: String,
    target: String,
    /// Counted up by every save.
    save: u64,
    place: Place,
}

const VERSION: u32 = 1;

/// Where a sink's place is kept.
pub(super) struct Cursor {
    storage: Arc<dyn Storage>,
    folder: String,
    sink: &'static str,
    target: String,
    saves: u64,
    /// Whether the names of the folders are durable.
    is_named: bool,
}

impl Cursor {
    /// The cursor of a sink, and what was saved last; `None` when nothing was, or nothing that holds.
    pub(super) fn open(storage: Arc<dyn Storage>, settings: &Settings) -> io::Result<(Self, Option<Place>)> {
        let mut cursor = Self {
            storage,
            folder: folder(&settings.name),
            sink: settings.kind,
            target: settings.target.clone(),
            saves: 0,
            is_named: false,
        };
        let mut newest: Option<Stored> = None;
        for slot in 0..2 {
            let Some(bytes) = sealed::load(&*cursor.storage, &cursor.name(slot))? else { continue };
            let Ok(stored) = serde_json::from_slice::<Stored>(&bytes) else { continue };
            if newest.as_ref().is_none_or(|newest| newest.save < stored.save) {
                newest = Some(stored);
            }
        }
        let Some(stored) = newest else { return Ok((cursor, None)) };
        cursor.saves = stored.save;
        let is_ours = stored.version == VERSION
            && stored.kind == "cursor"
            && stored.sink == cursor.sink
            && stored.target == cursor.target;
        Ok((cursor, is_ours.then_some(stored.place)))
    }

    fn name(&self, slot: u64) -> String {
        format!("{}/cursor-{slot}.json", self.folder)
    }

    /// Saves a place; durable when this returns.
    pub(super) fn save(&mut self, place: &Place) -> io::Result<()> {
        let stored = Stored {
            version: VERSION,
            kind: "cursor".to_owned(),
            sink: self.sink.to_owned(),
            target: self.target.clone(),
            save: self.saves + 1,
            place: place.clone(),
        };
        let mut bytes = serde_json::to_vec(&stored)?;
        bytes.push(b'\n');
        sealed::save(&*self.storage, &self.name(stored.save % 2), &bytes)?;
        if !self.is_named {
            self.storage.sync_folder("sinks")?;
            self.storage.sync_folder("")?;
            self.is_named = true;
        }
        self.saves = stored.save;
        Ok(())
    }
}

/// Whether a place is one of this log: it lies in it, behind a line, and what was forwarded last is still there.
pub(super) fn fits(storage: &Arc<dyn Storage>, place: &Place, durable: &DurableEnd) -> io::Result<bool> {
    if place.position > durable.position || place.checkpoints_offset > durable.checkpoints_end {
        return Ok(false);
    }
    if !is_behind_newline(&**storage, &segment_name(place.position.segment), place.position.offset)? {
        return Ok(false);
    }
    let checkpoints = crate::log::checkpoint::CHECKPOINTS_NAME;
    if !is_behind_newline(&**storage, checkpoints, place.checkpoints_offset)? {
        return Ok(false);
    }
    let Some(last) = &place.last_line else { return Ok(true) };
    if last.position >= place.position {
        return Ok(false);
    }
    let mut reader = LogReader::new(Arc::clone(storage), last.position, place.position);
    match reader.next_line() {
        Ok(line) => Ok(line.is_some_and(|line| line.is_terminated && hash_line(&line.bytes) == last.hash)),
        // Its segment was dropped by retention; what is read next is there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a line begins at an offset. In a file that was dropped one does.
fn is_behind_newline(storage: &dyn Storage, name: &str, offset: u64) -> io::Result<bool> {
    let Some(before) = offset.checked_sub(1) else { return Ok(true) };
    match storage.open(name, false) {
        Ok(file) => {
            let mut byte = [0];
            Ok(file.read_at(before, &mut byte)? == 1 && byte == *b"\n")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
