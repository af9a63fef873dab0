//! Finds up to where the files of a ledger go, and mends what a crash left.

use std::io;
use std::sync::Arc;

use super::failed;
use super::folder::{self, FileName};
use super::line::{Header, Lines, is_whole};
use super::read::FileLines;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::storage::Storage;
use crate::sinks::SinkError;
use crate::sinks::known::Known;

/// The newest file of a ledger, and what stands in all of them.
pub(super) struct Newest {
    pub(super) name: FileName,
    pub(super) header: Header,
    /// Up to where it is whole; the rest is gone when this is given.
    pub(super) len: u64,
    pub(super) lines: Lines,
    pub(super) known: Known,
    /// Where the log goes on, when more than a torn last line was cut off.
    pub(super) damaged_from: Option<LogPosition>,
}

/// A file, read from its start up to where it is whole.
struct Scan {
    header: Option<Header>,
    whole_bytes: u64,
    /// Bytes behind them, and whether there is more among them than one line without an end.
    torn_bytes: u64,
    is_damaged: bool,
    lines: Lines,
    known: Known,
}

impl Newest {
    /// Finds it; `None` when there is no file.
    pub(super) fn find(storage: &Arc<dyn Storage>, ledger_id: LedgerId) -> Result<Option<Self>, SinkError> {
        let folder = ledger_id.to_string();
        let text = |what| failed(&**storage, what, &folder);
        let files = folder::files(&**storage, ledger_id)
            .map_err(|error| SinkError::retry(text("list the files in"), error))?;
        for (at, name) in files.iter().rev().enumerate() {
            let path = name.path(ledger_id);
            let text = |what| failed(&**storage, what, &path);
            let scan = scan(&**storage, ledger_id, name)?;
            let torn = || keep_aside(storage, ledger_id, name, &scan);
            let Some(header) = scan.header.clone() else {
                if at > 0 || name.is_compressed {
                    let reason = "it does not begin as a file of this sink; take it out of the folder";
                    return Err(SinkError::fatal(text("read"), reason));
                }
                // The process died while it made it: nothing was stored there yet.
                torn().map_err(|error| SinkError::retry(text("keep aside what was begun of"), error))?;
                storage.remove(&path).map_err(|error| SinkError::retry(text("remove"), error))?;
                continue;
            };
            if header.ledger_id != ledger_id || header.number != name.number {
                let reason = "it is of another ledger, or has another number; take it out of the folder";
                return Err(SinkError::fatal(text("read"), reason));
            }
            if name.is_compressed && scan.torn_bytes > 0 {
                return Err(SinkError::fatal(text("read"), "it is damaged; take it out of the folder"));
            }
            if !name.is_compressed {
                mend(storage, &path, &folder, &scan, torn)
                    .map_err(|error| SinkError::retry(text("cut the torn end off"), error))?;
            }
            let damaged_from = if scan.is_damaged { scan.lines.next() } else { None };
            let (len, lines, known) = (scan.whole_bytes, scan.lines, scan.known);
            return Ok(Some(Self { name: name.clone(), header, len, lines, known, damaged_from }));
        }
        Ok(None)
    }
}

fn scan(storage: &dyn Storage, ledger_id: LedgerId, name: &FileName) -> Result<Scan, SinkError> {
    let path = name.path(ledger_id);
    let retry = |error: io::Error| match error.kind() {
        io::ErrorKind::Unsupported => SinkError::fatal(failed(storage, "read", &path), error),
        _ => SinkError::retry(failed(storage, "read", &path), error),
    };
    let mut file = FileLines::open(storage, ledger_id, name).map_err(retry)?;
    let mut scan = Scan {
        header: None,
        whole_bytes: 0,
        torn_bytes: 0,
        is_damaged: false,
        lines: Lines::new(ledger_id),
        known: Known::default(),
    };
    let mut line = Vec::new();
    while let Some(is_ended) = file.next_into(&mut line).map_err(retry)? {
        if !is_ended || !is_whole(&line) {
            scan.is_damaged = is_ended;
            break;
        }
        // What a crash leaves is no line at all; a line of another kind is somebody's.
        let other = |error| {
            let reason = "a later version wrote it, or somebody changed it; give the sink a new directory";
            let text = failed(storage, "read", &path);
            SinkError::fatal(format!("{text} at byte {}: {reason}", scan.whole_bytes), error)
        };
        if scan.header.is_none() {
            let header = Header::parse(&line).map_err(other)?;
            scan.known = header.after.clone();
            scan.header = Some(header);
        } else if let Some(entry) = scan.lines.take(&line).map_err(other)? {
            scan.known.note(entry.key(), entry.position());
        }
        scan.whole_bytes = file.offset();
    }
    while file.next_into(&mut line).map_err(retry)?.is_some() {
        scan.is_damaged = true;
    }
    scan.torn_bytes = file.offset() - scan.whole_bytes;
    Ok(scan)
}

/// Copies what is not whole to the folder `torn`.
fn keep_aside(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    name: &FileName,
    scan: &Scan,
) -> io::Result<()> {
    if scan.torn_bytes == 0 {
        return Ok(());
    }
    let mut bytes = vec![0; usize::try_from(scan.torn_bytes).map_err(io::Error::other)?];
    let read = storage.open(&name.path(ledger_id), false)?.read_at(scan.whole_bytes, &mut bytes)?;
    let aside = format!("{ledger_id}/torn/{:08}-at-{}", name.number, scan.whole_bytes);
    storage.replace(&aside, &bytes[..read])?;
    folder::restrict(storage, &aside)
}

/// Cuts a file to what is whole. That, and the file's name, may have been written and not synced, which is made up for.
fn mend(
    storage: &Arc<dyn Storage>,
    path: &str,
    folder: &str,
    scan: &Scan,
    keep_aside: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let file = storage.open(path, false)?;
    if scan.torn_bytes > 0 {
        keep_aside()?;
        file.set_len(scan.whole_bytes)?;
    }
    file.sync_data()?;
    storage.sync_folder(folder)
}
