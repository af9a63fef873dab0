//! The chain of cuts, checked for itself, and where the log begins by it.
//!
//! Every cut is checked with its signature: there are few. The newest that holds says where the log begins,
//! which checkpoint ends there, and by the head table of that place what each stream goes on from.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::finding::{Finding, Findings, Verdict};
use super::history::{Keyring, Signed};
use super::snapshot::{Segment, Snapshot, io_error};
use super::{CheckpointHead, VerifyError};
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::checkpoint::Checkpoint;
use crate::log::cut::{Cut, DroppedSegment, StoredCut, cut_genesis};
use crate::log::head_table::HeadTable;
use crate::log::heads::Heads;
use crate::log::line::hash_line;
use crate::log::storage::Storage;
use crate::log::{LogPosition, head_table_name, segment_name};

const CHUNK_BYTES: usize = 256 * 1024;

/// The cut with which the log begins, and what was dropped before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CutReport {
    /// The cut's number.
    pub number: u64,
    /// The hash of its line.
    pub hash: LineHash,
    /// When it was made, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Where the log begins.
    pub position: LogPosition,
    /// How many segments were dropped, by all cuts.
    pub dropped_segments: u64,
    /// How many bytes.
    pub dropped_bytes: u64,
    /// How many events, of all scopes.
    pub dropped_events: u64,
}

/// Where the log begins.
pub(super) struct Begin {
    pub(super) position: LogPosition,
    /// The checkpoint that ends there, and what it must say; `None` at the start of the first segment.
    pub(super) anchor: Option<Anchor>,
    /// The heads there; empty when they are not known.
    pub(super) heads: Heads,
    pub(super) report: Option<CutReport>,
}

/// What a cut says of the checkpoint at whose end the log begins.
pub(super) struct Anchor {
    pub(super) head: CheckpointHead,
    cut: u64,
    head_table: LineHash,
    streams: u64,
    root: LineHash,
    /// The end of the last segment that was dropped.
    end: Option<LogPosition>,
}

impl Anchor {
    /// Why a checkpoint with the anchor's number is not the one that the cut means.
    pub(super) fn differs(&self, checkpoint: &Checkpoint, hash: LineHash) -> Option<Finding> {
        let message = if hash != self.head.hash {
            format!("cut {} names another checkpoint {}: {}", self.cut, self.head.number, self.head.hash)
        } else if checkpoint.head_table != Some(self.head_table) {
            format!("cut {} names another head table than its checkpoint", self.cut)
        } else if (checkpoint.streams, checkpoint.root) != (self.streams, self.root) {
            format!("cut {} has other heads than its checkpoint", self.cut)
        } else if Some(checkpoint.position) != self.end {
            format!("cut {} does not lie where its checkpoint ends", self.cut)
        } else {
            return None;
        };
        Some(Finding::new(Verdict::CutInconsistent, message).checkpoint(self.head.number))
    }

    pub(super) fn missing(&self) -> Finding {
        let message = format!("cut {} names a checkpoint that is not there", self.cut);
        Finding::new(Verdict::CutInconsistent, message).checkpoint(self.head.number)
    }
}

/// Checks the cuts, and says where the log begins by them.
pub(super) fn check(
    storage: &dyn Storage,
    snapshot: &Snapshot,
    keyring: &Keyring<'_>,
    findings: &mut Findings,
) -> Result<Begin, VerifyError> {
    let ledger_id = snapshot.identity.ledger_id;
    let mut dropped = BTreeMap::new();
    let mut events = 0;
    let mut newest: Option<StoredCut> = None;
    let mut prev = cut_genesis(ledger_id);
    for (line, number) in snapshot.cuts.lines.iter().zip(1..) {
        let hash = hash_line(line);
        match check_line(line, number, prev, newest.as_ref(), keyring) {
            Ok(cut) => {
                dropped.extend(cut.segments.iter().map(|segment| (segment.segment, *segment)));
                events += cut.events;
                newest = Some(StoredCut { cut, line: line.clone(), hash });
            }
            Err((verdict, message)) => findings.push(Finding::new(verdict, message)),
        }
        prev = hash;
    }
    let Some(newest) = newest else { return Ok(Begin::at_start(ledger_id)) };
    report_left_over(storage, snapshot, newest.cut.position, &dropped, findings)?;
    let report = CutReport {
        number: newest.cut.number,
        hash: newest.hash,
        at: newest.cut.at,
        position: newest.cut.position,
        dropped_segments: dropped.len() as u64,
        dropped_bytes: dropped.values().map(|dropped| dropped.bytes).sum(),
        dropped_events: events,
    };
    let last = newest.cut.segments.last();
    let anchor = Anchor {
        head: newest.cut.checkpoint,
        cut: newest.cut.number,
        head_table: newest.cut.head_table,
        streams: newest.cut.streams,
        root: newest.cut.root,
        end: last.map(|last| LogPosition { segment: last.segment, offset: last.bytes }),
    };
    let heads = heads_at(storage, ledger_id, &newest.cut, findings)?;
    Ok(Begin { position: newest.cut.position, anchor: Some(anchor), heads, report: Some(report) })
}

impl Begin {
    fn at_start(ledger_id: LedgerId) -> Self {
        Self { position: LogPosition::START, anchor: None, heads: Heads::new(ledger_id), report: None }
    }
}

type Fault = (Verdict, String);

fn check_line(
    line: &[u8],
    number: u64,
    prev: LineHash,
    before: Option<&StoredCut>,
    keyring: &Keyring<'_>,
) -> Result<Cut, Fault> {
    let cut = Cut::from_line(line)
        .map_err(|error| (Verdict::CutAltered, format!("line {number} of the cuts is no cut: {error}")))?;
    match keyring.check_signed(&cut.key_id, |key| cut.is_signed_by(line, key)) {
        Signed::Valid => {}
        Signed::Invalid => {
            return Err((Verdict::CutAltered, format!("cut {number}: its signature does not fit its bytes")));
        }
        Signed::UnknownKey => {
            let message =
                format!("cut {number} is signed with key {}, which is not listed or trusted", cut.key_id);
            return Err((Verdict::UnknownKey, message));
        }
    }
    if cut.ledger_id != keyring.identity.ledger_id {
        return Err((Verdict::CutInconsistent, format!("cut {number} is of ledger {}", cut.ledger_id)));
    }
    if cut.number != number {
        let message = format!("cut {} stands where cut {number} belongs", cut.number);
        return Err((Verdict::CutMissing, message));
    }
    if cut.prev != prev {
        return Err((Verdict::CutInconsistent, format!("cut {number} names another cut before it")));
    }
    let first = before.map_or(LogPosition::START, |before| before.cut.position);
    let mut next = first.segment;
    for dropped in &cut.segments {
        if dropped.segment != next {
            return Err((Verdict::CutInconsistent, format!("cut {number} does not name segment {next}")));
        }
        next = next.saturating_add(1);
    }
    if cut.position != (LogPosition { segment: next, offset: 0 }) || cut.segments.is_empty() {
        let message = format!("cut {number} does not lie behind the segments that it names");
        return Err((Verdict::CutInconsistent, message));
    }
    Ok(cut)
}

/// The heads that the streams go on from: the head table that the cut names.
fn heads_at(
    storage: &dyn Storage,
    ledger_id: LedgerId,
    cut: &Cut,
    findings: &mut Findings,
) -> Result<Heads, VerifyError> {
    let name = head_table_name(cut.table_segment());
    let bytes = storage.read(&name).map_err(|source| io_error(storage, "read", &name, source))?;
    let reason = match bytes {
        None => "the head table of the cut is not there".to_owned(),
        Some(bytes) if HeadTable::hash(&bytes) != cut.head_table => {
            "the head table of the cut is not the one that was signed".to_owned()
        }
        Some(bytes) => match HeadTable::parse(&bytes, ledger_id) {
            Ok(table) if (table.root, table.heads.len()) == (cut.root, cut.streams) => return Ok(table.heads),
            Ok(_) => "the head table of the cut does not have its heads".to_owned(),
            Err(error) => error.to_string(),
        },
    };
    let place = LogPosition { segment: cut.table_segment(), offset: 0 };
    let finding = Finding::new(Verdict::HeadTableMismatch, reason).at(place);
    findings.push(finding.checkpoint(cut.checkpoint.number));
    Ok(Heads::new(ledger_id))
}

/// Segments before the cut that are there are harmless if they are what was dropped.
fn report_left_over(
    storage: &dyn Storage,
    snapshot: &Snapshot,
    begin: LogPosition,
    dropped: &BTreeMap<u32, DroppedSegment>,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    for segment in snapshot.segments.iter().filter(|segment| segment.number < begin.segment) {
        let is_intact = match dropped.get(&segment.number) {
            None => false,
            Some(dropped) => {
                dropped.bytes == segment.len
                    // One that vanishes meanwhile is removed by the process that dropped it.
                    && hash_segment(storage, *segment)?.is_none_or(|hash| hash == dropped.hash)
            }
        };
        if !is_intact {
            let message = "the segment lies before the cut, and is not the one that was dropped";
            let place = LogPosition { segment: segment.number, offset: 0 };
            findings.push(Finding::new(Verdict::DroppedSegmentAltered, message).at(place));
        }
    }
    Ok(())
}

fn hash_segment(storage: &dyn Storage, segment: Segment) -> Result<Option<LineHash>, VerifyError> {
    let name = segment_name(segment.number);
    let failed = |source| io_error(storage, "read", &name, source);
    let file = match storage.open(&name, false) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < segment.len {
        let want = buffer.len().min(usize::try_from(segment.len - offset).unwrap_or(usize::MAX));
        let read = file.read_at(offset, &mut buffer[..want]).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        offset += read as u64;
    }
    Ok(Some(LineHash(hasher.finalize().into())))
}
