//! Reads the log once, hashes the ranges of the checkpoints, and hands lines and checkpoints on.
//!
//! Runs on a thread of its own beside the replay of the lines: each byte is hashed twice, once here as
//! part of its range and once there as part of its line, and both take about as long.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use sha2::{Digest, Sha256};

use super::VerifyError;
use super::history::History;
use super::snapshot::{Snapshot, io_error};
use crate::log::checkpoint::{CHECKPOINTS_NAME, Checkpoint, CheckpointLines};
use crate::log::storage::Storage;
use crate::log::{LogPosition, segment_name};

const CHUNK_BYTES: u64 = 256 * 1024;

/// Checkpoints are announced this many bytes of log before the place where they stand, so that heads can
/// be compared line by line even where bytes were added or removed.
const LOOKAHEAD_BYTES: u64 = 1024 * 1024;

/// Bounds the announced checkpoints, each of which may be as large as its heads are many.
const LOOKAHEAD_CHECKPOINTS: usize = 64;

/// What the scan tells the replay, in log order.
pub(super) enum Message {
    /// A checkpoint stands ahead.
    Expect(Arc<Checkpoint>),
    /// Bytes of the log; a part may end anywhere in a line.
    Part { chunk: Arc<Vec<u8>>, range: Range<usize>, position: LogPosition },
    /// A checkpoint's range ends here.
    Boundary { checkpoint: Arc<Checkpoint>, place: Place, range: RangeState },
    /// A line of the file of checkpoints that is no checkpoint, though its place in the chain holds.
    BadCheckpoint { number: u64, error: String },
    /// A segment ends here.
    SegmentEnd(LogPosition),
    /// Segments that should follow are not there: the first and the last of them.
    SegmentMissing { first: u32, last: u32 },
}

/// Whether a checkpoint's range ends where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Exact,
    /// The log, or the segment, ends before.
    Short(LogPosition),
}

/// Whether the bytes of a range are those that were signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeState {
    Intact,
    Changed,
    /// The checkpoint before says nothing, so nobody knows where the range begins.
    Unknown,
}

/// A checkpoint that is compared with the log.
struct Pending {
    checkpoint: Arc<Checkpoint>,
    is_start_known: bool,
}

/// The checkpoints that are compared with the log, read ahead.
struct Ahead<'a> {
    lines: Option<CheckpointLines<'a>>,
    skipped: &'a BTreeSet<u64>,
    /// Where the log begins; what ends before is not compared.
    begin: LogPosition,
    queue: VecDeque<Pending>,
    /// The last one read; 0 before the first.
    last_number: u64,
    is_last_bad: bool,
}

impl Ahead<'_> {
    /// Announces the checkpoints that stand at most the look-ahead behind `position`.
    fn fill(&mut self, position: LogPosition, send: &mut dyn FnMut(Message)) -> std::io::Result<()> {
        let horizon = LogPosition { offset: position.offset + LOOKAHEAD_BYTES, ..position };
        while self.queue.len() < LOOKAHEAD_CHECKPOINTS
            && self.queue.back().is_none_or(|newest| newest.checkpoint.position <= horizon)
        {
            let Some(lines) = &mut self.lines else { return Ok(()) };
            let Some(stored) = lines.next_line()? else {
                self.lines = None;
                return Ok(());
            };
            if self.skipped.contains(&stored.offset) {
                self.is_last_bad = true;
                continue;
            }
            match stored.parse() {
                Ok(checkpoint) => {
                    let follows =
                        !self.is_last_bad && checkpoint.number == self.last_number.saturating_add(1);
                    let is_start_known = checkpoint.from.is_some() || follows;
                    self.last_number = checkpoint.number;
                    self.is_last_bad = false;
                    if checkpoint.position < self.begin {
                        continue;
                    }
                    let checkpoint = Arc::new(checkpoint);
                    self.queue.push_back(Pending { checkpoint: Arc::clone(&checkpoint), is_start_known });
                    send(Message::Expect(checkpoint));
                }
                Err(error) => {
                    self.last_number = self.last_number.saturating_add(1);
                    self.is_last_bad = true;
                    send(Message::BadCheckpoint { number: self.last_number, error: error.to_string() });
                }
            }
        }
        Ok(())
    }

    /// Takes the next checkpoint if its range ends at or before a place.
    fn take_until(&mut self, place: LogPosition) -> Option<Pending> {
        self.queue.pop_front_if(|pending| pending.checkpoint.position <= place)
    }
}

/// The bytes since the last boundary.
#[derive(Default)]
struct RangeHash {
    hasher: Sha256,
    len: u64,
}

impl RangeHash {
    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn boundary(&mut self, pending: Pending, place: Place) -> Message {
        let Pending { checkpoint, is_start_known } = pending;
        let hash: [u8; 32] = self.hasher.finalize_reset().into();
        let len = std::mem::take(&mut self.len);
        let range = if hash == checkpoint.log_hash.0 && len == checkpoint.log_bytes {
            RangeState::Intact
        } else if is_start_known {
            RangeState::Changed
        } else {
            RangeState::Unknown
        };
        Message::Boundary { checkpoint, place, range }
    }
}

/// Buffers that are used again once the replay has let go of them: fresh ones would cost a page fault
/// for every 4 KiB that is read.
#[derive(Default)]
struct Chunks {
    used: VecDeque<Arc<Vec<u8>>>,
}

impl Chunks {
    fn take(&mut self) -> Arc<Vec<u8>> {
        // The oldest is the first to be let go of.
        match self.used.pop_front_if(|chunk| Arc::strong_count(chunk) == 1) {
            Some(chunk) => chunk,
            None => Arc::new(Vec::with_capacity(CHUNK_BYTES as usize)),
        }
    }

    fn give_back(&mut self, chunk: Arc<Vec<u8>>) {
        self.used.push_back(chunk);
    }
}

/// Scans the log of a snapshot.
pub(super) fn scan(
    storage: &dyn Storage,
    snapshot: &Snapshot,
    history: &History,
    sender: &SyncSender<Message>,
) -> Result<(), VerifyError> {
    // A closed channel means that the replay has panicked; the panic is passed on where it is joined.
    let mut send = |message| drop(sender.send(message));
    let lines = snapshot.checkpoints.as_ref().map(|file| file.lines(history.start));
    let mut ahead = Ahead {
        lines,
        skipped: &history.skipped,
        begin: snapshot.begin,
        queue: VecDeque::new(),
        last_number: history.before_start,
        is_last_bad: false,
    };
    let checkpoint_error = |source| io_error(storage, "read", CHECKPOINTS_NAME, source);
    let mut range = RangeHash::default();
    let mut chunks = Chunks::default();
    let mut end = snapshot.begin;
    let mut next_segment = snapshot.begin.segment;
    for segment in &snapshot.segments {
        if next_segment < segment.number {
            send(Message::SegmentMissing { first: next_segment, last: segment.number - 1 });
        }
        next_segment = segment.number.saturating_add(1);
        let name = segment_name(segment.number);
        let segment_error = |source| io_error(storage, "read", &name, source);
        let file = storage.open(&name, false).map_err(segment_error)?;
        let mut position = LogPosition { segment: segment.number, offset: 0 };
        while position.offset < segment.len {
            let want = CHUNK_BYTES.min(segment.len - position.offset) as usize;
            let mut chunk = chunks.take();
            let bytes = Arc::make_mut(&mut chunk);
            bytes.resize(want, 0);
            let read = file.read_at(position.offset, bytes).map_err(segment_error)?;
            if read < want {
                let kind = std::io::ErrorKind::UnexpectedEof;
                let source = std::io::Error::new(kind, "the segment became shorter while it was read");
                return Err(segment_error(source));
            }
            let chunk_at = position;
            let chunk_end = LogPosition { offset: position.offset + want as u64, ..position };
            while position < chunk_end {
                ahead.fill(position, &mut send).map_err(checkpoint_error)?;
                let boundary = ahead.take_until(chunk_end);
                let cut = boundary.as_ref().map_or(chunk_end, |next| next.checkpoint.position.max(position));
                let part =
                    (position.offset - chunk_at.offset) as usize..(cut.offset - chunk_at.offset) as usize;
                if !part.is_empty() {
                    send(Message::Part { chunk: Arc::clone(&chunk), range: part.clone(), position });
                    range.update(&chunk[part]);
                }
                position = cut;
                if let Some(pending) = boundary {
                    // One that names a place already passed stands in an earlier segment that was cut.
                    let is_exact = pending.checkpoint.position == position;
                    let place = if is_exact { Place::Exact } else { Place::Short(end) };
                    send(range.boundary(pending, place));
                }
            }
            chunks.give_back(chunk);
        }
        end = position;
        // Boundaries at the very end, and in an empty segment; the start of the next segment is the same place.
        ahead.fill(position, &mut send).map_err(checkpoint_error)?;
        while let Some(pending) = ahead.take_until(position) {
            send(range.boundary(pending, Place::Exact));
            ahead.fill(position, &mut send).map_err(checkpoint_error)?;
        }
        send(Message::SegmentEnd(position));
    }
    ahead.fill(end, &mut send).map_err(checkpoint_error)?;
    while let Some(pending) = ahead.queue.pop_front() {
        // An empty segment that is not there yet leaves no byte behind.
        let place = pending.checkpoint.position;
        let is_exact = place == end || place == snapshot.begin;
        let place = if is_exact { Place::Exact } else { Place::Short(end) };
        send(range.boundary(pending, place));
        ahead.fill(end, &mut send).map_err(checkpoint_error)?;
    }
    Ok(())
}
