//! Replays the lines: chains each stream, and compares the streams with what checkpoints say.

mod boundary;
mod tables;
mod tail;

use std::collections::BTreeMap;

use self::boundary::Suspect;
use self::tables::NamedTable;
use super::cuts::Begin;
use super::finding::{Finding, Findings, Verdict};
use super::history::{History, Newest};
use super::scan::Message;
use super::snapshot::{Snapshot, StoredTable};
use super::stream::{Expected, Link, StreamCheck};
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::log::checkpoint::Checkpoint;
use crate::log::heads::{Heads, StreamHead, StreamId};
use crate::log::line::{LinePrefix, hash_line};

/// JSON numbers beyond this are not read alike everywhere; no ledger counts so far.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// How many bytes and lines there are, of the wanted scope.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) events: u64,
    pub(super) attempts: u64,
    pub(super) tail_events: u64,
    pub(super) tail_attempts: u64,
    pub(super) tail_bytes: u64,
    pub(super) unfinished_bytes: u64,
}

impl Counts {
    fn add(&mut self, is_event: bool, bytes: u64, is_tail: bool) {
        self.bytes += bytes;
        self.events += u64::from(is_event);
        self.attempts += u64::from(!is_event);
        if is_tail {
            self.tail_bytes += bytes;
            self.tail_events += u64::from(is_event);
            self.tail_attempts += u64::from(!is_event);
        }
    }
}

pub(super) struct Replay<'a> {
    ledger_id: LedgerId,
    /// Only this stream is counted.
    wanted: Option<StreamId>,
    newest: Option<&'a Newest>,
    /// Whether every checkpoint is there, so that what none lists does not belong.
    is_history_whole: bool,
    /// Then head tables of before may speak of what was lost.
    has_accepted_loss: bool,
    tables: Vec<&'a StoredTable>,
    next_table: usize,
    named_tables: BTreeMap<u32, NamedTable>,
    heads: Heads,
    streams: Vec<StreamCheck>,
    carry: Vec<u8>,
    carry_at: LogPosition,
    /// Where the log has been read to.
    position: LogPosition,
    boundary: LogPosition,
    /// False once bytes were added or removed, so that checkpoints no longer stand where they say.
    is_aligned: bool,
    suspects: Vec<Suspect>,
    /// The first sum over all heads that differs; a finding only if no line explains it.
    unexplained: Option<Finding>,
    is_epoch_reported: bool,
    short_segment: Option<u32>,
    found: Vec<Finding>,
    positions_found: Vec<LogPosition>,
    findings: &'a mut Findings,
    counts: Counts,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        begin: &Begin,
        wanted: Option<&Scope>,
        history: &'a History,
        tables: &'a [StoredTable],
        findings: &'a mut Findings,
    ) -> Self {
        let mut heads = begin.heads.clone();
        let mut streams = Vec::new();
        let from_cut: Vec<_> = heads.iter().map(|(scope, head)| (scope.clone(), head.seq)).collect();
        for (scope, seq) in from_cut {
            *check_of(&mut streams, heads.stream_of(&scope)) = StreamCheck::from_cut(begin.position, seq);
        }
        let wanted = wanted.map(|scope| {
            let id = heads.stream_of(scope);
            check_of(&mut streams, id);
            id
        });
        let mut readable: Vec<_> = tables.iter().filter(|table| table.content.is_ok()).collect();
        readable.sort_by_key(|table| table.content.as_ref().ok().map(|(position, _)| *position));
        Self {
            ledger_id: heads.ledger_id(),
            wanted,
            newest: history.newest.as_ref(),
            is_history_whole: history.is_whole,
            has_accepted_loss: !history.accepted_losses.is_empty(),
            tables: readable,
            next_table: 0,
            named_tables: BTreeMap::new(),
            heads,
            streams,
            carry: Vec::new(),
            carry_at: begin.position,
            position: begin.position,
            boundary: begin.position,
            is_aligned: true,
            suspects: Vec::new(),
            unexplained: None,
            is_epoch_reported: false,
            short_segment: None,
            found: Vec::new(),
            positions_found: Vec::new(),
            findings,
            counts: Counts::default(),
        }
    }

    /// Notes heads that are known from outside; returns how many of them were dropped.
    pub(super) fn expect_heads(&mut self, heads: &[StreamHead]) -> u64 {
        let mut dropped = 0;
        for head in heads {
            let id = self.heads.stream_of(&head.scope);
            dropped += u64::from(check_of(&mut self.streams, id).is_dropped(head.seq));
            self.expect(head, None);
        }
        dropped
    }

    fn expect(&mut self, head: &StreamHead, checkpoint: Option<u64>) {
        let id = self.heads.stream_of(&head.scope);
        let check = check_of(&mut self.streams, id);
        check.expect(Expected { seq: head.seq, hash: head.hash, checkpoint }, self.heads.head(id));
    }

    pub(super) fn message(&mut self, message: Message) {
        match message {
            Message::Expect(checkpoint) => self.announce(&checkpoint),
            Message::Part { chunk, range, position } => self.part(&chunk[range], position),
            Message::Boundary { checkpoint, place, range } => {
                self.at_boundary(&checkpoint, place, range);
            }
            Message::BadCheckpoint { number, error } => {
                let message = format!("it is no checkpoint: {error}");
                self.push(Finding::new(Verdict::CheckpointAltered, message).checkpoint(number));
            }
            Message::SegmentEnd(position) => self.segment_end(position),
            Message::SegmentMissing { first, last } => {
                let message = match first == last {
                    true => "the file is not there".to_owned(),
                    false => format!("the files of segments {first} to {last} are not there"),
                };
                let position = LogPosition { segment: first, offset: 0 };
                self.push(Finding::new(Verdict::SegmentMissing, message).at(position));
                self.is_aligned = false;
            }
        }
    }

    fn push(&mut self, finding: Finding) {
        if let Some(position) = finding.position {
            self.positions_found.push(position);
        }
        self.findings.push(finding);
    }

    fn announce(&mut self, checkpoint: &Checkpoint) {
        for head in &checkpoint.heads {
            self.expect(head, Some(checkpoint.number));
        }
        if let Some(hash) = checkpoint.head_table {
            let (position, checkpoint) = (checkpoint.position, checkpoint.number);
            self.named_tables.insert(position.segment, NamedTable { hash, position, checkpoint });
        }
    }

    fn part(&mut self, mut bytes: &[u8], mut position: LogPosition) {
        self.position = LogPosition { offset: position.offset + bytes.len() as u64, ..position };
        if !self.carry.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.carry.extend_from_slice(bytes);
                return;
            };
            let mut line = std::mem::take(&mut self.carry);
            line.extend_from_slice(&bytes[..end]);
            self.line(&line, self.carry_at);
            line.clear();
            self.carry = line;
            bytes = &bytes[end + 1..];
            position.offset += end as u64 + 1;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.line(&bytes[..end], position);
            bytes = &bytes[end + 1..];
            position.offset += end as u64 + 1;
        }
        self.carry.extend_from_slice(bytes);
        self.carry_at = position;
    }

    fn line(&mut self, line: &[u8], at: LogPosition) {
        self.check_tables(at, true);
        let is_tail = self.newest.is_none_or(|newest| at >= newest.position);
        let Some(prefix) = LinePrefix::parse(line) else {
            return self.push(unparsable(at, "it does not begin as a line of version 1 does"));
        };
        let (ledger_id, is_event) = match prefix {
            LinePrefix::Event { ledger_id, .. } => (ledger_id, true),
            LinePrefix::Attempt { ledger_id, .. } => (ledger_id, false),
        };
        if ledger_id != self.ledger_id {
            let message = format!("it belongs to ledger {ledger_id}");
            return self.push(Finding::new(Verdict::ForeignLine, message).at(at));
        }
        if is_tail && let Some(message) = self.check_tail_line(line, at, is_event) {
            return self.push(unparsable(at, message));
        }
        let (id, chained) = match prefix {
            LinePrefix::Event { tenant_id, env, seq, prev, .. } => {
                (self.heads.stream(tenant_id, env), Some((seq, prev)))
            }
            LinePrefix::Attempt { tenant_id, env, .. } => (self.heads.stream(tenant_id, env), None),
        };
        let Ok(id) = id else {
            return self.push(unparsable(at, "its tenant or env cannot exist"));
        };
        if self.wanted.is_none_or(|wanted| wanted == id) {
            self.counts.add(chained.is_some(), line.len() as u64 + 1, is_tail);
        }
        match chained {
            Some((seq, _)) if seq > MAX_SEQ => self.push(unparsable(at, "its seq is out of range")),
            Some((seq, prev)) => self.chain(id, Link { seq, prev, hash: hash_line(line), at }),
            None => {}
        }
    }

    fn chain(&mut self, id: StreamId, link: Link) {
        let check = check_of(&mut self.streams, id);
        let before = *self.heads.head(id);
        let mut head = before;
        check.line(link, &mut head, self.heads.scope(id), &mut self.found);
        if head != before {
            self.heads.advance(id, head);
        }
        if !self.found.is_empty() {
            self.push_found();
        }
    }

    fn push_found(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        for finding in found.drain(..) {
            self.push(finding);
        }
        self.found = found;
    }

    fn segment_end(&mut self, position: LogPosition) {
        self.position = position;
        if !self.carry.is_empty() {
            let len = self.carry.len() as u64;
            let at = self.carry_at;
            self.check_tables(at, true);
            self.carry.clear();
            self.counts.unfinished_bytes = len;
            self.unfinished_at(at);
        }
        self.check_tables(position, false);
    }

    /// Bytes without a newline end a segment. Only the newest may have them, behind all that is signed.
    fn unfinished_at(&mut self, at: LogPosition) {
        let is_signed = self.newest.is_some_and(|newest| at < newest.position);
        if is_signed {
            self.counts.unfinished_bytes = 0;
            self.push(unparsable(at, "the line has no end"));
        } else {
            self.carry_at = at;
        }
    }

    /// The log is at its end: decides what was open.
    pub(super) fn finish(mut self, snapshot: &Snapshot) -> Outcome {
        let end = snapshot.end();
        if self.counts.unfinished_bytes > 0 && self.carry_at.segment != end.segment {
            self.counts.unfinished_bytes = 0;
            self.push(unparsable(self.carry_at, "the line has no end, yet a segment follows"));
        }
        for index in 0..self.streams.len() {
            let id = StreamId::from_index(index);
            let before = *self.heads.head(id);
            let mut head = before;
            self.streams[index].finish(&mut head, self.heads.scope(id), &mut self.found);
            if head != before {
                self.heads.advance(id, head);
            }
            let check = &mut self.streams[index];
            let is_signed = self.newest.is_some_and(|newest| check.first < newest.position);
            let is_unlisted = self.is_history_whole && !check.is_listed && !check.is_forged;
            if head.seq > 0 && is_signed && is_unlisted {
                let number = self.newest.map_or(0, |newest| newest.head.number);
                self.found.push(forged(self.heads.scope(id), check.first, head.seq, number));
            }
        }
        self.push_found();
        self.report_suspects();
        self.report_tables(&snapshot.tables, snapshot.is_restored);
        if let Some(finding) = self.unexplained.take().filter(|_| self.findings.is_empty()) {
            self.push(finding);
        }
        let head = self.wanted.and_then(|id| {
            let head = self.heads.head(id);
            let scope = self.heads.scope(id).clone();
            (head.seq > 0).then_some(StreamHead { scope, seq: head.seq, hash: head.hash })
        });
        let streams = if self.wanted.is_some() { u64::from(head.is_some()) } else { self.heads.len() };
        Outcome { counts: self.counts, streams, head }
    }
}

/// What the replay tells, besides its findings.
pub(super) struct Outcome {
    pub(super) counts: Counts,
    pub(super) streams: u64,
    pub(super) head: Option<StreamHead>,
}

fn check_of(streams: &mut Vec<StreamCheck>, id: StreamId) -> &mut StreamCheck {
    if streams.len() <= id.index() {
        streams.resize_with(id.index() + 1, StreamCheck::new);
    }
    &mut streams[id.index()]
}

fn unparsable(at: LogPosition, message: impl Into<String>) -> Finding {
    Finding::new(Verdict::UnparsableBytes, message).at(at)
}

fn forged(scope: &Scope, first: LogPosition, last_seq: u64, checkpoint: u64) -> Finding {
    let message = "it has lines in signed bytes, yet no checkpoint lists it";
    let finding = Finding::new(Verdict::StreamForged, message).at(first).stream(scope, 1);
    finding.through(last_seq).checkpoint(checkpoint)
}
