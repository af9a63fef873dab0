//! Which segments may be dropped now, and what keeps the next one.

use std::sync::Arc;

use super::kept::Kept;
use super::{Required, RetentionError, failed};
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::checkpoint::{CHECKPOINTS_NAME, Checkpoint, CheckpointFile};
use crate::log::head_table::{HeadTable, OpenAttempt};
use crate::log::heads::Heads;
use crate::log::line::hash_line;
use crate::log::storage::{Storage, StorageFile};
use crate::log::verify::CheckpointHead;
use crate::log::{LogPosition, head_table_name, segment_name};

/// What a segment must satisfy to be dropped.
pub(super) struct Rules<'a> {
    /// What was recorded before is old enough, in microseconds since 1970.
    pub(super) older_than: i64,
    /// Up to where the required sinks have the log; `None`: nothing is required, and dropping without a copy is
    /// accepted.
    pub(super) required: Option<&'a Required>,
    /// Up to where the index has read; `None`: it is failing, and nobody waits for it.
    pub(super) indexed: Option<LogPosition>,
    /// Whether a segment must be kept for a reason of its own.
    pub(super) hold: &'a mut dyn FnMut(u32) -> Result<Option<Kept>, RetentionError>,
}

/// The end of a segment as it is signed: where a cut can lie.
pub(super) struct Anchor {
    pub(super) checkpoint: CheckpointHead,
    /// The end of the segment.
    pub(super) end: LogPosition,
    pub(super) head_table: LineHash,
    pub(super) heads: Heads,
    pub(super) root: LineHash,
    /// Behind the checkpoint's line in its file.
    pub(super) behind: u64,
}

/// What can be dropped, and what keeps the rest.
pub(super) struct Plan {
    /// The last segment that can be dropped, if any can.
    pub(super) last: Option<Anchor>,
    pub(super) kept: Kept,
}

/// Looks at the segments from `begin` on, oldest first, up to the newest, which is never dropped.
pub(super) fn plan(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    begin: LogPosition,
    durable: LogPosition,
    rules: &mut Rules<'_>,
) -> Result<Plan, RetentionError> {
    let mut plan = Plan { last: None, kept: Kept::Newest };
    if begin.segment >= durable.segment {
        return Ok(plan);
    }
    let file = CheckpointFile::open(&**storage).map_err(failed("read", CHECKPOINTS_NAME))?;
    let Some(file) = file else { return Ok(plan) };
    let open = newest_open_attempts(storage, ledger_id, durable)?;
    let mut loss = None;
    for segment in begin.segment..durable.segment {
        let name = segment_name(segment);
        let len = storage.open(&name, false).and_then(|file| file.len()).map_err(failed("read", &name))?;
        let end = LogPosition { segment, offset: len };
        let Some(found) = rotation_at(&file, end).map_err(failed("read", CHECKPOINTS_NAME))? else {
            plan.kept = Kept::NotSigned { segment };
            break;
        };
        let kept = match keeps(rules, &found.checkpoint, end)? {
            Some(kept) => Some(kept),
            None => open
                .iter()
                .find(|attempt| attempt.position.segment == segment)
                .map(|attempt| Kept::OpenAttempt { segment, event_id: attempt.event_id }),
        };
        if let Some(kept) = kept {
            plan.kept = kept;
            break;
        }
        let Some(anchor) = anchor(storage, ledger_id, found, end)? else {
            plan.kept = Kept::NotSigned { segment };
            break;
        };
        let newest_at = anchor.heads.iter().map(|(_, head)| head.recorded_at).max();
        if newest_at.is_some_and(|at| at >= rules.older_than) {
            plan.kept = Kept::Young { segment };
            break;
        }
        if let Some(kept) = (rules.hold)(segment)? {
            plan.kept = kept;
            break;
        }
        // A checkpoint that covers the log from its beginning anew could not be compared without that beginning.
        let loss = match loss {
            Some(loss) => loss,
            None => *loss.insert(newest_loss(storage, &file)?),
        };
        if anchor.behind > loss {
            plan.last = Some(anchor);
        }
    }
    Ok(plan)
}

/// What keeps a segment, but for what must be read of it.
fn keeps(
    rules: &Rules<'_>,
    checkpoint: &Checkpoint,
    end: LogPosition,
) -> Result<Option<Kept>, RetentionError> {
    let segment = end.segment;
    if checkpoint.at >= rules.older_than {
        return Ok(Some(Kept::Young { segment }));
    }
    if let Some(required) = rules.required.filter(|required| required.position < end) {
        return Ok(Some(Kept::NotCopied { segment, sinks: required.sinks.clone() }));
    }
    if rules.indexed.is_some_and(|indexed| indexed < end) {
        return Ok(Some(Kept::NotIndexed { segment }));
    }
    Ok(None)
}

struct Found {
    checkpoint: Checkpoint,
    hash: LineHash,
    /// Behind its line.
    behind: u64,
}

/// The newest checkpoint at the end of a segment: the one that its rotation wrote.
fn rotation_at(file: &CheckpointFile, end: LogPosition) -> std::io::Result<Option<Found>> {
    let before = LogPosition { offset: end.offset.saturating_sub(1), ..end };
    let Some(start) = file.first_offset_beyond(before)? else { return Ok(None) };
    let mut lines = file.lines(start);
    let mut found = None;
    while let Some(stored) = lines.next_line()? {
        let checkpoint = stored.parse().map_err(std::io::Error::other)?;
        if checkpoint.position > end {
            break;
        }
        if checkpoint.position == end {
            let behind = stored.offset + stored.line.len() as u64 + 1;
            found = Some(Found { checkpoint, hash: hash_line(&stored.line), behind });
        }
    }
    Ok(found)
}

fn anchor(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    found: Found,
    end: LogPosition,
) -> Result<Option<Anchor>, RetentionError> {
    let name = head_table_name(end.segment);
    let bytes = storage.read(&name).map_err(failed("read", &name))?;
    let Found { checkpoint, hash, behind } = found;
    let table = bytes.filter(|bytes| Some(HeadTable::hash(bytes)) == checkpoint.head_table);
    let table =
        table.and_then(|bytes| Some((HeadTable::hash(&bytes), HeadTable::parse(&bytes, ledger_id).ok()?)));
    Ok(table.filter(|(_, table)| table.position == end).map(|(head_table, table)| Anchor {
        checkpoint: CheckpointHead { number: checkpoint.number, hash },
        end,
        head_table,
        heads: table.heads,
        root: table.root,
        behind,
    }))
}

/// Attempts that are open now: of those that the newest head table lists, none began before it was written.
fn newest_open_attempts(
    storage: &Arc<dyn Storage>,
    ledger_id: LedgerId,
    durable: LogPosition,
) -> Result<Vec<OpenAttempt>, RetentionError> {
    let name = head_table_name(durable.segment - 1);
    let bytes = storage.read(&name).map_err(failed("read", &name))?;
    let table = bytes.and_then(|bytes| HeadTable::parse(&bytes, ledger_id).ok());
    Ok(table.map(|table| table.attempts).unwrap_or_default())
}

/// Behind the newest checkpoint with which an operator accepted a loss; 0 when there is none.
fn newest_loss(storage: &Arc<dyn Storage>, file: &CheckpointFile) -> Result<u64, RetentionError> {
    let failed = || failed("read", CHECKPOINTS_NAME);
    let bytes = storage.open(CHECKPOINTS_NAME, false).map_err(failed())?;
    newest_line_with(&*bytes, file.end(), b"\"reason\":\"accepted_loss\"").map_err(failed())
}

/// Behind the last occurrence of a text in a file, or 0.
fn newest_line_with(file: &dyn StorageFile, end: u64, text: &[u8]) -> std::io::Result<u64> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let finder = memchr::memmem::FinderRev::new(text);
    let mut until = end;
    while until > 0 {
        let start = until.saturating_sub(CHUNK_BYTES);
        // The text may lie over the boundary of two chunks.
        let len = (until - start + text.len() as u64 - 1).min(end - start) as usize;
        let mut chunk = vec![0; len];
        let read = file.read_at(start, &mut chunk)?;
        if let Some(at) = finder.rfind(&chunk[..read]) {
            return Ok(start + (at + text.len()) as u64);
        }
        until = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;

    #[test]
    fn the_last_occurrence_is_found_over_the_boundary_of_chunks() {
        let storage = MemoryStorage::default();
        for at in [0, 5, 1024 * 1024 - 3, 1024 * 1024, 2_500_000] {
            let mut bytes = vec![b'x'; 2_500_010];
            for at in [0, at] {
                bytes[at..at + 6].copy_from_slice(b"needle");
            }
            storage.replace("file", &bytes).unwrap();
            let file = storage.open("file", false).unwrap();
            let found = newest_line_with(&*file, bytes.len() as u64, b"needle").unwrap();
            assert_eq!(found, at as u64 + 6);
            assert_eq!(newest_line_with(&*file, bytes.len() as u64, b"nowhere").unwrap(), 0);
        }
    }
}
