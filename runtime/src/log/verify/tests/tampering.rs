//! Changes the files of a ledger as somebody would who can write them, but has no key.

use crate::event::LineHash;
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::line::{LinePrefix, genesis, hash_line};
use crate::log::segment_name;
use crate::log::storage::{MemoryStorage, Storage};

use super::ledger::copy;
use crate::ids::Scope;

/// A line of the log, out of its file.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) segment: u32,
    pub(super) bytes: Vec<u8>,
}

impl Line {
    /// Scope and seq; `None` for an attempt.
    pub(super) fn event(&self) -> Option<(Scope, u64)> {
        match LinePrefix::parse(&self.bytes) {
            Some(LinePrefix::Event { tenant_id, env, seq, .. }) => {
                Some((Scope::from_stored(tenant_id, env).unwrap(), seq))
            }
            _ => None,
        }
    }

    pub(super) fn is_of(&self, scope: &Scope) -> bool {
        self.event().is_some_and(|(other, _)| other == *scope)
    }

    pub(super) fn replace(&mut self, from: &str, to: &str) {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.bytes = text.replacen(from, to, 1).into_bytes();
    }

    fn chain_to(&mut self, seq: u64, prev: LineHash) {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        let (head, rest) = text.split_once(",\"seq\":").unwrap();
        let (_, rest) = rest.split_once("\",\"surface\"").unwrap();
        self.bytes = format!("{head},\"seq\":{seq},\"prev\":\"{prev}\",\"surface\"{rest}").into_bytes();
    }
}

/// The files of a ledger, taken apart.
pub(super) struct Files {
    storage: MemoryStorage,
    pub(super) lines: Vec<Line>,
    pub(super) checkpoints: Vec<Vec<u8>>,
}

impl Files {
    pub(super) fn read(storage: &MemoryStorage) -> Self {
        let storage = copy(storage);
        let mut lines = Vec::new();
        for segment in 1.. {
            let Some(bytes) = storage.read(&segment_name(segment)).unwrap() else { break };
            let split = bytes.split_inclusive(|byte| *byte == b'\n');
            lines.extend(split.map(|line| Line { segment, bytes: line[..line.len() - 1].to_vec() }));
        }
        let checkpoints = storage.read(CHECKPOINTS_NAME).unwrap().unwrap();
        let checkpoints = checkpoints.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Self { storage, lines, checkpoints }
    }

    pub(super) fn write(&self) -> &MemoryStorage {
        for segment in (1..).take_while(|segment| self.storage.open(&segment_name(*segment), false).is_ok()) {
            let lines = self.lines.iter().filter(|line| line.segment == segment);
            let bytes: Vec<u8> = lines.flat_map(|line| line.bytes.iter().chain(b"\n")).copied().collect();
            self.storage.replace(&segment_name(segment), &bytes).unwrap();
        }
        self.storage.replace(CHECKPOINTS_NAME, &self.checkpoints.concat()).unwrap();
        &self.storage
    }

    /// The places of the events of a stream.
    pub(super) fn stream(&self, scope: &Scope) -> Vec<usize> {
        (0..self.lines.len()).filter(|at| self.lines[*at].is_of(scope)).collect()
    }

    /// Numbers and chains every stream anew, so that each is whole in itself.
    pub(super) fn chain_anew(&mut self) {
        let mut heads: Vec<(Scope, u64, LineHash)> = Vec::new();
        for line in &mut self.lines {
            let Some((scope, _)) = line.event() else { continue };
            let at = heads.iter().position(|(other, ..)| *other == scope).unwrap_or_else(|| {
                let start = genesis(super::ledger::TestLedger::id(), &scope);
                heads.push((scope.clone(), 0, start));
                heads.len() - 1
            });
            let (_, seq, hash) = &mut heads[at];
            line.chain_to(*seq + 1, *hash);
            *seq += 1;
            *hash = hash_line(&line.bytes);
        }
    }
}
