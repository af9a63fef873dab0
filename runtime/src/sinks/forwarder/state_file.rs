//! What a sink keeps between runs, in a file beside its cursor.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::cursor::folder;
use super::sealed;
use super::spec::Settings;
use crate::log::storage::Storage;
use crate::sinks::SinkState;

/// Closed when nobody waits for a sink's thread any more: from then on it must not change files of the ledger, which
/// may be another process's.
#[derive(Debug, Default, Clone)]
pub(super) struct Gate(Arc<Mutex<bool>>);

impl Gate {
    /// Passes, unless it is closed; it stays open as long as the guard lives.
    pub(super) fn pass(&self) -> Option<MutexGuard<'_, bool>> {
        let is_closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!*is_closed).then_some(is_closed)
    }

    /// Closes it. Waits for who is passing: for the time of a file's write.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// The state file of a sink. The first line says whose it is, the rest is the sink's.
#[derive(Clone)]
pub(super) struct StateFile {
    storage: Arc<dyn Storage>,
    name: String,
    owner: Vec<u8>,
    gate: Gate,
}

#[derive(Serialize, Deserialize)]
struct Owner<'a> {
    version: u32,
    kind: &'a str,
    sink: &'a str,
    target: &'a str,
}

impl StateFile {
    pub(super) fn new(storage: Arc<dyn Storage>, settings: &Settings, gate: Gate) -> Self {
        let owner = Owner { version: 1, kind: "state", sink: settings.kind, target: &settings.target };
        let mut owner = serde_json::to_vec(&owner).unwrap_or_default();
        owner.push(b'\n');
        Self { storage, name: format!("{}/state", folder(&settings.name)), owner, gate }
    }
}

impl fmt::Debug for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SinkState for StateFile {
    fn load(&self) -> Option<Vec<u8>> {
        let bytes = sealed::load(&*self.storage, &self.name).ok().flatten()?;
        // Of another sink, or of the same kind at another place, it is of no use.
        Some(bytes.strip_prefix(&self.owner[..])?.to_vec())
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(_open) = self.gate.pass() else {
            return Err(io::Error::other("save the state of a sink that was closed"));
        };
        let mut contents = self.owner.clone();
        contents.extend_from_slice(bytes);
        sealed::save(&*self.storage, &self.name, &contents)
    }

    fn handle(&self) -> Box<dyn SinkState> {
        Box::new(self.clone())
    }
}
