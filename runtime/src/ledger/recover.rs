//! What stands between a directory and an open ledger: the end of the log is found and trusted again,
//! and what a dead process left in the journal goes into the log.
//!
//! Everything here may itself be killed at any point: lines that were appended are recognised by their
//! event ids, and bytes are cut only behind the last durable position, into `quarantine/`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

mod begin;

use self::begin::Begin;
use super::error::OpenError;
use super::log_writer::{LogEnd, WriteFailed};
use super::sequencer::{GROUP_BYTES, gap_event};
use super::shared::OwnEvent;
use crate::event::{InterruptCause, Outcome};
use crate::ids::{EventId, LedgerId};
use crate::journal::arena::{Found, scan};
use crate::journal::control::{Control, Layout};
use crate::journal::os::Mapping;
use crate::journal::record::{Kind, Record};
use crate::log::checkpoint::{
    CHECKPOINTS_NAME, Checkpoint, CheckpointChain, CheckpointFile, CheckpointReason,
};
use crate::log::encode::{LineParts, StoredAttempt, append_event};
use crate::log::head_table::HeadTable;
use crate::log::heads::{Head, Heads};
use crate::log::line::{LinePrefix, hash_line};
use crate::log::reader::{LogReader, RawLine};
use crate::log::signer::Signer;
use crate::log::storage::Storage;
use crate::log::{LogPosition, head_table_name, segment_name};
use crate::retention::CUT_SURFACE;

/// The most bytes of a torn tail that are cut: one group and the longest line it can end with.
const MAX_TORN_BYTES: u64 = 2 * GROUP_BYTES as u64;

/// The journal as it was found.
pub(crate) struct JournalImage<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) layout: Layout,
    /// Whether the host was started anew since.
    pub(crate) boot_id: &'a str,
}

pub(crate) struct Recovery<'a> {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) ledger_id: LedgerId,
    pub(crate) signer: Arc<dyn Signer>,
    /// The public keys in `ledger.json`.
    pub(crate) public_keys: Vec<[u8; 32]>,
    pub(crate) journal: Option<JournalImage<'a>>,
    pub(crate) accept_loss: bool,
    /// The time of checkpoints made here, in microseconds since 1970.
    pub(crate) now: i64,
    /// The writer's JSON of this process, for the events that recovery itself makes.
    pub(crate) writer_json: &'a dyn Fn(u64) -> Vec<u8>,
    /// Encodes an event of the ledger's own.
    pub(crate) own_event: &'a dyn Fn(&OwnEvent<'_>) -> Vec<u8>,
}

/// What was done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Events that were in the journal alone.
    pub(crate) completed: u64,
    /// Attempts that became `interrupted` events.
    pub(crate) interrupted: u64,
    /// `recorded` calls that were running when the process died; nothing else is known of them.
    pub(crate) in_flight: u64,
    pub(crate) cut_bytes: u64,
    pub(crate) is_after_crash: bool,
    pub(crate) rolled_back: Option<(u64, LogPosition)>,
}

fn io_error(attempted: impl Into<String>) -> impl FnOnce(std::io::Error) -> OpenError {
    let attempted = attempted.into();
    |source| OpenError::Io { attempted, source }
}

impl From<WriteFailed> for OpenError {
    fn from(failed: WriteFailed) -> Self {
        Self::Io { attempted: failed.attempted, source: failed.source }
    }
}

/// A checkpoint, and its line as it is stored.
type SealedCheckpoint = (Vec<u8>, Checkpoint);

/// The log up to some place.
struct Walk {
    heads: Heads,
    /// Attempt lines whose event has not come.
    open: HashMap<EventId, (LogPosition, Box<[u8]>)>,
}

/// Why a line does not continue the log.
struct BadLine {
    position: LogPosition,
    reason: String,
}

impl Walk {
    fn take(&mut self, ledger_id: LedgerId, line: &RawLine) -> Result<(), BadLine> {
        let bad = |reason: String| Err(BadLine { position: line.position, reason });
        if !line.is_terminated {
            return bad("the line has no end".to_owned());
        }
        match LinePrefix::parse(&line.bytes) {
            Some(LinePrefix::Event { ledger_id: of, event_id, tenant_id, env, seq, prev }) => {
                if of != ledger_id {
                    return bad(format!("the line is of ledger {of}"));
                }
                let Ok(stream) = self.heads.stream(tenant_id, env) else {
                    return bad("the line names a scope that cannot be".to_owned());
                };
                let head = *self.heads.head(stream);
                if seq != head.seq + 1 || prev != head.hash {
                    return bad(format!("sequence {seq} of {tenant_id}/{env} does not follow {}", head.seq));
                }
                let recorded_at = recorded_at(&line.bytes).unwrap_or(head.recorded_at);
                self.heads.advance(stream, Head { seq, hash: hash_line(&line.bytes), recorded_at });
                self.open.remove(&event_id);
                Ok(())
            }
            Some(LinePrefix::Attempt { ledger_id: of, event_id, .. }) => {
                if of != ledger_id || StoredAttempt::parse(&line.bytes).is_none() {
                    return bad("the line is not an attempt of this ledger".to_owned());
                }
                self.open.insert(event_id, (line.position, line.bytes.as_slice().into()));
                Ok(())
            }
            None => bad("the line is not an event".to_owned()),
        }
    }
}

/// The value of `recorded_at`, which stands before any free text but the error's message.
fn recorded_at(line: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Fields {
        recorded_at: i64,
    }
    serde_json::from_slice::<Fields>(line).ok().map(|fields| fields.recorded_at)
}

impl Recovery<'_> {
    /// Finds the end of the log, completes it from the journal, and writes a checkpoint.
    pub(crate) fn run(&self) -> Result<(LogEnd, Report), OpenError> {
        let mut report = Report::default();
        let begin = self.begin()?;
        let segments = self.segments(begin.position)?;
        let (mut checkpoint_file_end, newest) = self.newest_checkpoint()?;
        let end = self.end_of_log(&segments, begin.position)?;
        let control = self.control();
        report.is_after_crash = control.as_ref().is_some_and(Control::is_open);
        begin.check(newest.as_ref().map(|(_, checkpoint)| checkpoint))?;
        // The end of the last segment that was dropped is the same place as the beginning of the log.
        let covered = newest.as_ref().map_or(begin.position, |(_, checkpoint)| checkpoint.position);
        let covered = covered.max(begin.position);
        let mut chain = match &newest {
            Some((line, checkpoint)) => CheckpointChain::resume(line, checkpoint),
            None => CheckpointChain::new(self.ledger_id),
        };
        // What the journal says was durable, unless a later process has completed the log from it.
        let newest_epoch = newest.as_ref().map_or(0, |(_, checkpoint)| checkpoint.epoch);
        let promised = control.as_ref().filter(|control| control.epoch() >= newest_epoch);
        let promised = promised.map_or(covered, |control| control.durable().max(covered));
        let is_short = end < promised || self.is_short(&segments, begin.position, end, covered)?;
        if is_short {
            let number = newest.as_ref().map_or(0, |(_, checkpoint)| checkpoint.number);
            if !self.accept_loss {
                return Err(OpenError::LogShorterThanCheckpoint {
                    checkpoint: number,
                    expected: promised,
                    found: end,
                });
            }
            report.rolled_back = Some((number, promised));
        }
        let mut walk = if is_short {
            Walk { heads: begin.heads.clone(), open: HashMap::new() }
        } else {
            self.walk_to(&begin, covered, newest.as_ref().map(|(_, checkpoint)| checkpoint))?
        };
        let trusted = if is_short { begin.position } else { covered };
        let durable = control.as_ref().map_or(trusted, Control::durable).max(trusted);
        let end = self.walk_tail(&mut walk, trusted, end, durable, is_short, &mut report)?;
        self.rewrite(trusted, end, &mut chain, is_short)?;
        let epoch = control.as_ref().map_or(0, Control::epoch).max(newest_epoch) + 1;
        let checkpoints = self
            .storage
            .open(CHECKPOINTS_NAME, true)
            .map_err(io_error(format!("open {CHECKPOINTS_NAME}")))?;
        // Its name, and that of the folder of the log.
        self.storage.sync_folder("").map_err(io_error("fsync the ledger's directory"))?;
        if newest.is_none() {
            checkpoint_file_end = 0;
        }
        let mut log_end = LogEnd {
            ledger_id: self.ledger_id,
            storage: Arc::clone(&self.storage),
            segment: self
                .storage
                .open(&segment_name(end.segment), true)
                .map_err(io_error(format!("open {}", segment_name(end.segment))))?,
            position: end,
            heads: walk.heads,
            chain,
            checkpoints,
            checkpoints_end: checkpoint_file_end,
            signer: Arc::clone(&self.signer),
            epoch,
        };
        self.storage.sync_folder("log").map_err(io_error("fsync the folder log"))?;
        self.complete(&begin, &mut log_end, walk.open, &mut report)?;
        let reason = match &report {
            Report { rolled_back: Some(_), .. } => CheckpointReason::AcceptedLoss,
            Report { is_after_crash: true, .. } => CheckpointReason::Recovery,
            _ => CheckpointReason::Open,
        };
        log_end.checkpoint(reason, self.now, None)?;
        begin.finish(&*self.storage)?;
        Ok((log_end, report))
    }

    fn control(&self) -> Option<Control<'_>> {
        let image = self.journal.as_ref()?;
        let control = Control::new(image.mapping, image.layout);
        control.is_of(self.ledger_id).then_some(control)
    }

    /// The segments' numbers, which must follow each other from where the log begins.
    fn segments(&self, begin: LogPosition) -> Result<Vec<u32>, OpenError> {
        let names = self.storage.list("log").map_err(io_error("list the folder log"))?;
        let mut segments: Vec<u32> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".ndjson")?.parse().ok())
            .filter(|segment| *segment >= begin.segment)
            .collect();
        segments.sort_unstable();
        let expected = begin.segment..;
        if let Some((missing, _)) = expected.zip(&segments).find(|(expected, found)| expected != *found) {
            return Err(OpenError::Corrupt {
                position: LogPosition { segment: missing, offset: 0 },
                reason: "the segment is missing".to_owned(),
            });
        }
        Ok(segments)
    }

    /// Where the checkpoint file ends, and its newest line. A torn line behind it goes to quarantine.
    fn newest_checkpoint(&self) -> Result<(u64, Option<SealedCheckpoint>), OpenError> {
        let read = || io_error(format!("read {CHECKPOINTS_NAME}"));
        let Some(file) = CheckpointFile::open(&*self.storage).map_err(read())? else {
            return Ok((0, None));
        };
        if file.torn_bytes() > 0 {
            self.cut(CHECKPOINTS_NAME, file.end(), file.end() + file.torn_bytes())?;
        }
        let Some(stored) = file.newest().map_err(read())? else { return Ok((file.end(), None)) };
        let checkpoint =
            stored.parse().map_err(|error| OpenError::Checkpoint { reason: error.to_string() })?;
        if checkpoint.ledger_id != self.ledger_id {
            return Err(OpenError::Checkpoint {
                reason: format!("it is of ledger {}", checkpoint.ledger_id),
            });
        }
        if !self.public_keys.iter().any(|key| checkpoint.is_signed_by(&stored.line, key)) {
            return Err(OpenError::Checkpoint {
                reason: format!(
                    "checkpoint {} is not signed by a key that ledger.json lists",
                    checkpoint.number
                ),
            });
        }
        Ok((file.end(), Some((stored.line, checkpoint))))
    }

    fn segment_len(&self, segment: u32) -> Result<u64, OpenError> {
        let name = segment_name(segment);
        let file = self.storage.open(&name, false).map_err(io_error(format!("open {name}")))?;
        file.len().map_err(io_error(format!("read the length of {name}")))
    }

    fn end_of_log(&self, segments: &[u32], begin: LogPosition) -> Result<LogPosition, OpenError> {
        match segments.last() {
            None => Ok(begin),
            Some(segment) => Ok(LogPosition { segment: *segment, offset: self.segment_len(*segment)? }),
        }
    }

    /// Whether bytes that a checkpoint covers are gone.
    fn is_short(
        &self,
        segments: &[u32],
        begin: LogPosition,
        end: LogPosition,
        covered: LogPosition,
    ) -> Result<bool, OpenError> {
        if covered == begin {
            return Ok(false);
        }
        if end < covered || !segments.contains(&covered.segment) {
            return Ok(true);
        }
        Ok(self.segment_len(covered.segment)? < covered.offset)
    }

    /// The heads at the newest checkpoint: from the newest head table before it, and the lines between.
    fn walk_to(
        &self,
        begin: &Begin,
        covered: LogPosition,
        newest: Option<&Checkpoint>,
    ) -> Result<Walk, OpenError> {
        let (mut walk, from) = self.newest_table(begin, covered)?;
        let mut reader = LogReader::new(Arc::clone(&self.storage), from, covered);
        while let Some(line) = reader.next_line().map_err(io_error("read the log"))? {
            walk.take(self.ledger_id, &line)
                .map_err(|bad| OpenError::Corrupt { position: bad.position, reason: bad.reason })?;
        }
        if let Some(checkpoint) = newest
            && walk.heads.root() != checkpoint.root
        {
            return Err(OpenError::Corrupt {
                position: covered,
                reason: format!("the streams do not have the heads of checkpoint {}", checkpoint.number),
            });
        }
        walk.heads.clear_moved();
        Ok(walk)
    }

    fn newest_table(&self, begin: &Begin, covered: LogPosition) -> Result<(Walk, LogPosition), OpenError> {
        for segment in (begin.position.segment..=covered.segment).rev() {
            let name = head_table_name(segment);
            let bytes = self.storage.read(&name).map_err(io_error(format!("read {name}")))?;
            let Some(table) = bytes.and_then(|bytes| HeadTable::parse(&bytes, self.ledger_id).ok()) else {
                continue;
            };
            if table.position > covered {
                continue;
            }
            let mut open = HashMap::new();
            // Those before the cut had ended when it was made, or it would not have been.
            let attempts = table.attempts.iter().filter(|attempt| attempt.position >= begin.position);
            for attempt in attempts {
                let mut reader = LogReader::new(Arc::clone(&self.storage), attempt.position, table.position);
                let line = reader.next_line().map_err(io_error("read an open attempt"))?;
                let line = line.filter(|line| StoredAttempt::parse(&line.bytes).is_some());
                let Some(line) = line else {
                    return Err(OpenError::Corrupt {
                        position: attempt.position,
                        reason: format!("attempt {} is not there", attempt.event_id),
                    });
                };
                open.insert(attempt.event_id, (attempt.position, line.bytes.into_boxed_slice()));
            }
            return Ok((Walk { heads: table.heads, open }, table.position));
        }
        Ok((Walk { heads: begin.heads.clone(), open: HashMap::new() }, begin.position))
    }

    /// Follows the lines behind the newest checkpoint; cuts a torn tail.
    fn walk_tail(
        &self,
        walk: &mut Walk,
        from: LogPosition,
        end: LogPosition,
        durable: LogPosition,
        is_short: bool,
        report: &mut Report,
    ) -> Result<LogPosition, OpenError> {
        let mut reader = LogReader::new(Arc::clone(&self.storage), from, end);
        while let Some(line) = reader.next_line().map_err(io_error("read the log"))? {
            let Err(bad) = walk.take(self.ledger_id, &line) else { continue };
            // The last line of a log whose end is gone is torn wherever it lies; the loss was accepted.
            let is_torn = (bad.position >= durable || is_short && !line.is_terminated)
                && bad.position.segment == end.segment
                && end.offset - bad.position.offset <= MAX_TORN_BYTES;
            if !is_torn {
                return Err(OpenError::Corrupt { position: bad.position, reason: bad.reason });
            }
            report.cut_bytes = end.offset - bad.position.offset;
            self.cut(&segment_name(end.segment), bad.position.offset, end.offset)?;
            return Ok(bad.position);
        }
        Ok(end)
    }

    /// Moves the end of a file to `quarantine/`.
    pub(super) fn cut(&self, name: &str, from: u64, to: u64) -> Result<(), OpenError> {
        let failed = || io_error(format!("cut {name} at byte {from}"));
        let file = self.storage.open(name, false).map_err(failed())?;
        let mut bytes = vec![0; (to - from) as usize];
        let read = file.read_at(from, &mut bytes).map_err(failed())?;
        let kept = format!("quarantine/{}-{from}-{}", name.replace('/', "-"), self.now);
        self.storage.replace(&kept, &bytes[..read]).map_err(io_error(format!("write {kept}")))?;
        file.set_len(from).map_err(failed())?;
        file.sync_data().map_err(failed())
    }

    /// Writes the bytes behind the newest checkpoint once more and makes them durable: after a failed
    /// fsync they may be in the page cache alone. Gives them to the chain.
    fn rewrite(
        &self,
        from: LogPosition,
        end: LogPosition,
        chain: &mut CheckpointChain,
        is_whole_log: bool,
    ) -> Result<(), OpenError> {
        if is_whole_log {
            chain.restart(from);
        }
        for segment in from.segment..=end.segment {
            let name = segment_name(segment);
            let failed = || io_error(format!("rewrite {name}"));
            let file = self.storage.open(&name, true).map_err(failed())?;
            let len = file.len().map_err(failed())?;
            let mut offset = if segment == from.segment { from.offset } else { 0 };
            let mut buffer = vec![0; 1 << 20];
            let has_bytes = offset < len;
            while offset < len {
                let read = file.read_at(offset, &mut buffer).map_err(failed())?;
                if read == 0 {
                    break;
                }
                file.write_all_at(offset, &buffer[..read]).map_err(failed())?;
                chain.log_bytes(&buffer[..read]);
                offset += read as u64;
            }
            if has_bytes {
                file.sync_data().map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Appends what the journal holds and the log does not.
    fn complete(
        &self,
        begin: &Begin,
        end: &mut LogEnd,
        mut open: HashMap<EventId, (LogPosition, Box<[u8]>)>,
        report: &mut Report,
    ) -> Result<(), OpenError> {
        let mut left = Left::default();
        let control = self.control();
        let mut is_same_boot = false;
        if let (Some(image), Some(control)) = (&self.journal, &control) {
            is_same_boot = control.boot_id() == image.boot_id;
            scan(image.mapping, image.layout, self.ledger_id, |found| left.take(found));
            report.in_flight = if control.is_open() { control.in_flight() } else { 0 };
        }
        self.drop_known(&mut left, begin.position, end.position)?;
        let cause = if is_same_boot { InterruptCause::Process } else { InterruptCause::Host };
        let anchor = control.as_ref().map(Control::anchor);
        let writer = control.as_ref().map(Control::writer).unwrap_or_default();
        let mut lines = Vec::new();
        let mut chunks = Vec::new();
        let mut push = |heads: &mut Heads, parts: &LineParts<'_>, recorded_at: i64| {
            append_event(&mut lines, heads, self.ledger_id, parts, recorded_at);
            if lines.len() >= GROUP_BYTES {
                chunks.push(std::mem::take(&mut lines));
            }
        };
        if let Some(anchor) = anchor {
            for bytes in left.completions.values() {
                let Some(record) = Record::decode(bytes, None) else { continue };
                open.remove(&record.event_id);
                left.attempts.remove(&record.event_id);
                let duration = record.completed_ticks.saturating_sub(record.started_ticks);
                let parts = LineParts::of(
                    &record,
                    anchor.wall_us(record.started_ticks),
                    anchor.ticks_to_ns(duration),
                    &writer,
                );
                push(&mut end.heads, &parts, anchor.wall_us(record.completed_ticks));
                report.completed += 1;
            }
            let mut attempts: Vec<_> = left.attempts.values().collect();
            attempts.sort_unstable_by_key(|(key, _)| *key);
            for (_, bytes) in attempts {
                let Some(record) = Record::decode(bytes, None) else { continue };
                if open.contains_key(&record.event_id) {
                    continue;
                }
                let started_at = anchor.wall_us(record.started_ticks);
                let parts = LineParts::of(&record, started_at, 0, &writer).interrupted(cause);
                push(&mut end.heads, &parts, self.now);
                report.interrupted += 1;
            }
        }
        let mut logged: Vec<_> = open.into_values().collect();
        logged.sort_unstable_by_key(|(position, _)| *position);
        for (_, line) in &logged {
            if let Some(stored) = StoredAttempt::parse(line) {
                push(&mut end.heads, &stored.parts.interrupted(cause), self.now);
                report.interrupted += 1;
            }
        }
        let mut own = self.own_events(control.as_ref(), report, end.epoch);
        if let Some(input) = begin.untold(&self.storage, end.position)? {
            own.push((self.own_event)(&OwnEvent::system(CUT_SURFACE, &input)));
        }
        let writer = (self.writer_json)(end.epoch);
        for bytes in &own {
            if let Some(record) = Record::decode(bytes, None) {
                push(&mut end.heads, &LineParts::of(&record, self.now, 0, &writer), self.now);
            }
        }
        chunks.push(lines);
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            end.append(chunk)?;
            end.cover(chunk);
        }
        Ok(())
    }

    /// Takes out what the log holds already.
    fn drop_known(&self, left: &mut Left, begin: LogPosition, end: LogPosition) -> Result<(), OpenError> {
        // Behind the end there is nothing; the journal may speak of segments whose loss was accepted. Before the
        // beginning there is nothing either: what was dropped had been marked in the journal long before.
        let Some(from) = left.from.filter(|from| *from < end) else { return Ok(()) };
        let from = from.max(begin);
        let mut reader = LogReader::new(Arc::clone(&self.storage), from, end);
        let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
        while reader.next_into(&mut line).map_err(io_error("read the log"))? {
            if let Some(LinePrefix::Event { event_id, .. }) = LinePrefix::parse(&line.bytes) {
                if let Some(key) = left.completion_of.remove(&event_id) {
                    left.completions.remove(&key);
                }
                left.attempts.remove(&event_id);
            }
        }
        Ok(())
    }

    fn own_events(&self, control: Option<&Control<'_>>, report: &Report, epoch: u64) -> Vec<Vec<u8>> {
        let mut own = Vec::new();
        if let Some(control) = control {
            for loss in control.unreported_losses() {
                own.push((self.own_event)(&gap_event(
                    &loss,
                    loss.reported,
                    control.anchor(),
                    &mut String::new(),
                )));
            }
        }
        if let Some((checkpoint, position)) = &report.rolled_back {
            let input = format!(
                "{{\"checkpoint\":{checkpoint},\"segment\":{},\"offset\":{},\"epoch\":{epoch}}}",
                position.segment, position.offset
            );
            own.push((self.own_event)(&OwnEvent {
                outcome: Outcome::Error,
                code: "ledger.log_shorter_than_checkpoint",
                ..OwnEvent::system("ledger.rolled_back", &input)
            }));
        }
        if report.is_after_crash || report.completed + report.interrupted + report.cut_bytes > 0 {
            let Report { completed, interrupted, in_flight, cut_bytes, .. } = report;
            let input = format!(
                "{{\"completed\":{completed},\"interrupted\":{interrupted},\"in_flight\":{in_flight},\
                 \"cut_bytes\":{cut_bytes},\"epoch\":{epoch}}}"
            );
            own.push((self.own_event)(&OwnEvent::system("ledger.recovered", &input)));
        }
        own
    }
}

/// Records found in the journal that the log may not hold.
#[derive(Default)]
struct Left {
    /// By completion time; the second number tells equal times apart.
    completions: BTreeMap<(u64, usize), Vec<u8>>,
    completion_of: HashMap<EventId, (u64, usize)>,
    attempts: HashMap<EventId, ((u64, usize), Vec<u8>)>,
    /// From where on the log may hold them.
    from: Option<LogPosition>,
}

impl Left {
    fn take(&mut self, found: &Found<'_>) {
        let record = &found.record;
        let from = match record.kind {
            Kind::Completion if !found.is_consumed => found.consumed_at,
            Kind::Attempt if !found.is_closed => found.lease,
            _ => return,
        };
        self.from = Some(self.from.map_or(from, |lowest| lowest.min(from)));
        let mut bytes = vec![0; record.len() - 4];
        record.encode(&mut bytes, 0);
        let key = (record.completed_ticks, self.completions.len() + self.attempts.len());
        match record.kind {
            Kind::Completion => {
                self.completions.insert(key, bytes);
                self.completion_of.insert(record.event_id, key);
            }
            Kind::Attempt => {
                self.attempts.insert(record.event_id, (key, bytes));
            }
        }
    }
}
