//! The cap on disk use: a warning before it, and at it the ledger behaves as on a full disk.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{Retention, RetentionError, State, failed};
use crate::ledger::OwnEvent;
use crate::log::storage::Storage;

/// From this part of the cap on it is warned.
const WARN_PERCENT: u64 = 80;
/// Below this part the next warning is a new one.
const CALM_PERCENT: u64 = 70;

/// The bytes of a ledger's files.
pub(super) fn used(storage: &dyn Storage) -> io::Result<u64> {
    match storage.path() {
        Some(directory) => used_below(directory),
        None => {
            let mut bytes = 0;
            for folder in ["log", "quarantine"] {
                for name in storage.list(folder)? {
                    bytes += len(storage, &format!("{folder}/{name}"))?;
                }
            }
            for name in ["checkpoints.ndjson", "cuts.ndjson"] {
                bytes += len(storage, name)?;
            }
            Ok(bytes)
        }
    }
}

fn len(storage: &dyn Storage, name: &str) -> io::Result<u64> {
    match storage.open(name, false).and_then(|file| file.len()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        len => len,
    }
}

fn used_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // What goes while it is looked at uses nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => used_below(&entry.path()).unwrap_or(0),
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

impl Retention {
    /// Measures what is used, says how much the log may still grow, and warns once when it gets close.
    pub(super) fn measure(&self, state: &mut State) -> Result<(), RetentionError> {
        let Some(max) = self.settings.max_disk_bytes else { return Ok(()) };
        let used = used(&*self.storage).map_err(failed("measure", "the ledger's directory"))?;
        state.disk_bytes = used;
        self.shared.log_room.store(max.saturating_sub(used), Ordering::Release);
        let percent = u64::try_from(u128::from(used) * 100 / u128::from(max.max(1))).unwrap_or(u64::MAX);
        if percent < CALM_PERCENT {
            state.is_near_cap = false;
        } else if percent >= WARN_PERCENT && !std::mem::replace(&mut state.is_near_cap, true) {
            eprintln!(
                "dataset-events: ledger {} uses {used} of {max} bytes (`max_disk_bytes`). When they are used up \
                 `durable` calls are refused; make room, let more be dropped, or raise the cap.",
                self.shared.ledger_id
            );
            let input = format!("{{\"bytes\":{used},\"max_disk_bytes\":{max},\"percent\":{percent}}}");
            self.shared.own_event(&OwnEvent::system("ledger.disk_filling", &input));
        }
        Ok(())
    }
}
