//! Makes ledgers as the sequencer does, line by line.

use std::fmt::Write;

use crate::event::LineHash;
use crate::ids::{LedgerId, Scope};
use crate::log::checkpoint::{
    CHECKPOINTS_NAME, CheckpointBody, CheckpointChain, CheckpointFile, CheckpointReason,
};
use crate::log::cut::{CUTS_NAME, Cut, CutBody, CutFile, DroppedSegment, StoredCut};
use crate::log::head_table::{HeadTable, OpenAttempt};
use crate::log::heads::tests::{ledger_id, scope};
use crate::log::heads::{Head, Heads};
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::line::{LinePrefix, hash_line};
use crate::log::signer::{Ed25519Signer, Signer};
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::verify::{CheckpointHead, VerifyOptions, VerifyReport, verify_storage};
use crate::log::{LogPosition, head_table_name, segment_name};

/// A small generator (xorshift64*), so that every run of a seed is the same.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The text of an event's line.
pub(super) fn event_line(
    ledger_id: LedgerId,
    scope: &Scope,
    seq: u64,
    prev: LineHash,
    epoch: u64,
    payload: u64,
) -> String {
    let (tenant, env) = (scope.tenant_id(), scope.env());
    let at = 1_700_000_000_000_000 + payload;
    let mut line = String::new();
    write!(
        line,
        r#"{{"schema_version":1,"kind":"event","ledger_id":"{ledger_id}","event_id":"0190b5a0-0000-7000-8000-{payload:012x}","tenant_id":"{tenant}","env":"{env}","seq":{seq},"prev":"{prev}","surface":"chat.send_message","access":"create","outcome":"ok","started_at":{at},"duration_ns":1500,"recorded_at":{at},"actor":{{"type":"user","user_id":"u_1"}},"request_id":"r_{payload}","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","writer":{{"service":"test","version":"1.0.0","instance":"i","epoch":{epoch}}},"input":{{"body_len":{payload}}}}}"#
    )
    .unwrap();
    line
}

fn attempt_line(ledger_id: LedgerId, scope: &Scope, epoch: u64, payload: u64) -> String {
    let (tenant, env) = (scope.tenant_id(), scope.env());
    format!(
        r#"{{"schema_version":1,"kind":"attempt","ledger_id":"{ledger_id}","event_id":"0190b5a0-0000-7000-8000-{payload:012x}","tenant_id":"{tenant}","env":"{env}","surface":"kill_switch.update","access":"update","guarantee":"durable","started_at":1700000000000000,"recorded_at":1700000000000000,"actor":{{"type":"system"}},"request_id":"r","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","writer":{{"service":"test","version":"1.0.0","instance":"i","epoch":{epoch}}}}}"#
    )
}

/// A ledger while it is written.
pub(super) struct TestLedger {
    pub(super) storage: MemoryStorage,
    pub(super) heads: Heads,
    pub(super) signer: Ed25519Signer,
    chain: CheckpointChain,
    position: LogPosition,
    attempts: Vec<OpenAttempt>,
    payload: u64,
    pub(super) epoch: u64,
}

impl TestLedger {
    pub(super) fn id() -> LedgerId {
        ledger_id()
    }

    pub(super) fn new() -> Self {
        Self::with_id(ledger_id(), Ed25519Signer::fixed_for_tests())
    }

    pub(super) fn with_id(ledger_id: LedgerId, signer: Ed25519Signer) -> Self {
        let storage = MemoryStorage::default();
        let mut identity = LedgerIdentity::new(ledger_id, 1_700_000_000_000_000);
        identity.add_key(&signer);
        storage.replace(IDENTITY_NAME, &identity.encode().unwrap()).unwrap();
        storage.open(&segment_name(1), true).unwrap();
        storage.open(CHECKPOINTS_NAME, true).unwrap();
        let mut ledger = Self {
            storage,
            heads: Heads::new(ledger_id),
            signer,
            chain: CheckpointChain::new(ledger_id),
            position: LogPosition::START,
            attempts: Vec::new(),
            payload: 0,
            epoch: 1,
        };
        ledger.checkpoint(CheckpointReason::Open);
        ledger
    }

    fn append(&mut self, line: &str) {
        let file = self.storage.open(&segment_name(self.position.segment), true).unwrap();
        for bytes in [line.as_bytes(), b"\n"] {
            file.write_all_at(self.position.offset, bytes).unwrap();
            self.position.offset += bytes.len() as u64;
            self.chain.log_bytes(bytes);
        }
    }

    pub(super) fn event(&mut self, scope: &Scope) {
        let id = self.heads.stream_of(scope);
        let Head { seq, hash, .. } = *self.heads.head(id);
        self.payload += 1;
        let line = event_line(ledger_id(), scope, seq + 1, hash, self.epoch, self.payload);
        self.append(&line);
        let hash = hash_line(line.as_bytes());
        self.heads.advance(id, Head { seq: seq + 1, hash, recorded_at: self.payload as i64 });
    }

    pub(super) fn attempt(&mut self, scope: &Scope) {
        self.payload += 1;
        let line = attempt_line(ledger_id(), scope, self.epoch, self.payload);
        let event_id = format!("0190b5a0-0000-7000-8000-{:012x}", self.payload).parse().unwrap();
        self.attempts.push(OpenAttempt { event_id, position: self.position });
        self.append(&line);
    }

    pub(super) fn checkpoint(&mut self, reason: CheckpointReason) {
        self.checkpoint_with(reason, None);
    }

    fn checkpoint_with(&mut self, reason: CheckpointReason, head_table: Option<LineHash>) {
        let heads = match reason {
            CheckpointReason::AcceptedLoss => self.heads.all(),
            _ => self.heads.moved(),
        };
        let body = CheckpointBody {
            at: 1_700_000_000_000_000,
            reason,
            epoch: self.epoch,
            position: self.position,
            heads,
            streams: self.heads.len(),
            root: self.heads.root(),
            surfaces: LineHash([7; 32]),
            head_table,
        };
        let line = self.chain.seal(&body, &self.signer).unwrap();
        let file = self.storage.open(CHECKPOINTS_NAME, true).unwrap();
        file.write_all_at(file.len().unwrap(), &line).unwrap();
        self.heads.clear_moved();
    }

    pub(super) fn head_table(&mut self) -> LineHash {
        let attempts = self.attempts.clone();
        let (bytes, hash) = HeadTable::encode(ledger_id(), self.position, &mut self.heads, attempts);
        self.storage.replace(&head_table_name(self.position.segment), &bytes).unwrap();
        hash
    }

    pub(super) fn rotate(&mut self) {
        let table = self.head_table();
        self.checkpoint_with(CheckpointReason::Rotation, Some(table));
        self.position = LogPosition { segment: self.position.segment + 1, offset: 0 };
        self.storage.open(&segment_name(self.position.segment), true).unwrap();
    }

    pub(super) fn close(&mut self) {
        let table = self.head_table();
        self.checkpoint_with(CheckpointReason::Close, Some(table));
    }

    pub(super) fn reopen(&mut self) {
        self.epoch += 1;
        self.checkpoint(CheckpointReason::Open);
    }

    /// Cuts the log behind a segment, as retention does before it removes anything.
    pub(super) fn cut(&mut self, last: u32) -> StoredCut {
        let file = CheckpointFile::open(&self.storage).unwrap().unwrap();
        let mut lines = file.lines(0);
        let mut anchor = None;
        while let Some(stored) = lines.next_line().unwrap() {
            let checkpoint = stored.parse().unwrap();
            if checkpoint.position.segment == last && checkpoint.head_table.is_some() {
                anchor = Some((checkpoint, hash_line(&stored.line)));
            }
        }
        let (checkpoint, hash) = anchor.expect("the segment was rotated");
        let table = |segment| {
            let bytes = self.storage.read(&head_table_name(segment)).unwrap().unwrap();
            HeadTable::parse(&bytes, ledger_id()).unwrap()
        };
        let cuts = CutFile::read(&self.storage).unwrap();
        let before = cuts.newest().unwrap();
        let first = before.as_ref().map_or(1, |before| before.cut.position.segment);
        let events = |heads: &Heads| heads.iter().map(|(_, head)| head.seq).sum::<u64>();
        let known = if first == 1 { 0 } else { events(&table(first - 1).heads) };
        let segments = (first..=last).map(|segment| {
            let bytes = self.storage.read(&segment_name(segment)).unwrap().unwrap();
            DroppedSegment::new(segment, bytes.len() as u64, hash_line(&bytes))
        });
        let body = CutBody {
            at: 1_700_000_000_000_000,
            writer: serde_json::from_str(r#"{"service":"s","version":"1","instance":"i","epoch":1}"#)
                .unwrap(),
            keep_for_s: 60,
            held_by: vec!["replica".to_owned()],
            position: LogPosition { segment: last + 1, offset: 0 },
            log_end: self.position,
            checkpoint: CheckpointHead { number: checkpoint.number, hash },
            head_table: checkpoint.head_table.unwrap(),
            streams: checkpoint.streams,
            root: checkpoint.root,
            events: events(&table(last).heads) - known,
            segments: segments.collect(),
        };
        let line = Cut::seal(ledger_id(), before.as_ref(), body, &self.signer).unwrap();
        self.storage.replace(CUTS_NAME, &[cuts.bytes(), line].concat()).unwrap();
        CutFile::read(&self.storage).unwrap().newest().unwrap().unwrap()
    }

    /// Removes what the newest cut dropped.
    pub(super) fn remove_dropped(&self) {
        let newest = CutFile::read(&self.storage).unwrap().newest().unwrap().unwrap();
        crate::retention::remove_dropped(&self.storage, &newest.cut).unwrap();
    }

    /// Loses the log behind a cut, but for its beginning, and goes on as an operator does who accepts it.
    pub(super) fn accept_loss_behind_cut(&mut self, segment: u32) {
        for lost in segment + 1..=self.position.segment {
            self.storage.remove(&segment_name(lost)).unwrap();
            self.storage.remove(&head_table_name(lost)).unwrap();
        }
        self.storage.remove(&head_table_name(segment)).unwrap();
        let bytes = self.storage.read(&head_table_name(segment - 1)).unwrap().unwrap();
        let mut heads = HeadTable::parse(&bytes, ledger_id()).unwrap().heads;
        let text = self.storage.read(&segment_name(segment)).unwrap().unwrap();
        let kept: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').take(5).collect();
        for line in &kept {
            let line = &line[..line.len() - 1];
            if let Some(LinePrefix::Event { tenant_id, env, seq, .. }) = LinePrefix::parse(line) {
                let id = heads.stream(tenant_id, env).unwrap();
                heads.advance(id, Head { seq, hash: hash_line(line), recorded_at: 0 });
            }
        }
        let kept = kept.concat();
        self.storage.replace(&segment_name(segment), &kept).unwrap();
        heads.clear_moved();
        self.heads = heads;
        self.position = LogPosition { segment, offset: kept.len() as u64 };
        self.chain.restart(LogPosition { segment, offset: 0 });
        self.chain.log_bytes(&kept);
        self.epoch += 1;
        self.checkpoint(CheckpointReason::AcceptedLoss);
    }

    /// Cuts the log to its first `offset` bytes, and goes on as an operator does who accepts the loss.
    pub(super) fn accept_loss(&mut self, heads: Heads, offset: u64) {
        let file = self.storage.open(&segment_name(1), false).unwrap();
        file.set_len(offset).unwrap();
        self.position.offset = offset;
        self.heads = heads;
        self.heads.clear_moved();
        self.chain.restart(LogPosition::START);
        self.chain.log_bytes(&self.storage.read(&segment_name(1)).unwrap().unwrap());
        self.epoch += 1;
        self.checkpoint(CheckpointReason::AcceptedLoss);
    }

    pub(super) fn end(&self) -> u64 {
        self.position.offset
    }

    /// An independent copy of the files as they are now.
    pub(super) fn copy(&self) -> MemoryStorage {
        copy(&self.storage)
    }
}

pub(super) fn copy(storage: &MemoryStorage) -> MemoryStorage {
    let copy = MemoryStorage::default();
    let in_log = storage.list("log").unwrap().into_iter().map(|name| format!("log/{name}"));
    for name in [IDENTITY_NAME, CHECKPOINTS_NAME, CUTS_NAME].map(str::to_owned).into_iter().chain(in_log) {
        if let Some(bytes) = storage.read(&name).unwrap() {
            copy.replace(&name, &bytes).unwrap();
        }
    }
    copy
}

/// The scopes of the ledgers that [`build`] makes.
pub(super) fn scopes() -> Vec<Scope> {
    let mut scopes = vec![Scope::system()];
    for tenant in ["acme", "globex", "initech"] {
        for env in ["prod", "staging"] {
            scopes.push(scope(tenant, env));
        }
    }
    scopes
}

/// A ledger of about 120 lines in three segments and 15 checkpoints, open, with a tail of 7 lines.
pub(super) fn build_open(seed: u64) -> TestLedger {
    let mut random = Random::new(seed);
    let mut ledger = TestLedger::new();
    let scopes = scopes();
    // Every stream is old enough to be listed, whatever the draw.
    for scope in &scopes {
        ledger.event(scope);
    }
    for step in 0..113 {
        let scope = &scopes[random.below(scopes.len())];
        match random.below(10) {
            0 => ledger.attempt(scope),
            _ => ledger.event(scope),
        }
        match step {
            40 | 80 => ledger.rotate(),
            60 => ledger.reopen(),
            _ if step % 9 == 0 && step < 106 => ledger.checkpoint(CheckpointReason::Interval),
            _ => {}
        }
    }
    ledger
}

/// The same, closed: every byte is covered.
pub(super) fn build(seed: u64) -> TestLedger {
    let mut ledger = build_open(seed);
    ledger.close();
    ledger
}

pub(super) fn check(storage: &MemoryStorage) -> VerifyReport {
    verify_storage(storage, &VerifyOptions::new()).unwrap()
}

pub(super) fn public_key(signer: &dyn Signer) -> [u8; 32] {
    signer.public_key()
}
