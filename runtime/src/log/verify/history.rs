//! The chain of checkpoints, checked for itself: numbers, hashes, signatures.
//!
//! Each checkpoint holds the hash of the line before it, signature included, so one valid signature
//! vouches for all lines before it as far back as the chain is whole. Signatures are therefore checked
//! at the newest line and wherever the chain is not whole; if the newest does not hold, at every line.

use std::collections::BTreeSet;
use std::io;

use serde::Deserialize;

use super::cuts::Begin;
use super::finding::{Finding, Findings, Verdict};
use super::options::CheckpointHead;
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::checkpoint::{CheckpointFile, StoredCheckpoint, checkpoint_genesis};
use crate::log::identity::LedgerIdentity;
use crate::log::line::hash_line;

/// Which keys may have signed.
pub(super) struct Keyring<'a> {
    pub(super) identity: &'a LedgerIdentity,
    /// Keys known from outside; when there are any, no other is accepted.
    pub(super) trusted: &'a [[u8; 32]],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    Valid,
    Invalid,
    UnknownKey,
}

impl Keyring<'_> {
    fn check(&self, stored: &StoredCheckpoint) -> Signed {
        let Ok(checkpoint) = stored.parse() else { return Signed::Invalid };
        self.check_signed(&checkpoint.key_id, |key| checkpoint.is_signed_by(&stored.line, key))
    }

    /// Whether what is said to be signed with a key was.
    pub(super) fn check_signed(&self, key_id: &str, is_signed_by: impl Fn(&[u8; 32]) -> bool) -> Signed {
        let listed = self.identity.keys.iter().filter(|key| key.key_id == key_id);
        let listed: Vec<_> = listed.map(|key| key.public_key.0).collect();
        // A trusted key counts under whatever name, also when `ledger.json` no longer lists it.
        let accepted = if self.trusted.is_empty() { &listed } else { self.trusted };
        if accepted.iter().any(is_signed_by) {
            Signed::Valid
        } else if accepted.iter().any(|key| listed.contains(key)) {
            Signed::Invalid
        } else {
            Signed::UnknownKey
        }
    }
}

/// What of a checkpoint makes the chain; the rest is read with the log.
#[derive(Deserialize)]
struct Link {
    number: u64,
    prev: LineHash,
    ledger_id: LedgerId,
    at: i64,
    epoch: u64,
    from: Option<LogPosition>,
    position: LogPosition,
    key_id: String,
}

/// The newest checkpoint that holds.
#[derive(Debug, Clone)]
pub(super) struct Newest {
    pub(super) head: CheckpointHead,
    pub(super) at: i64,
    pub(super) epoch: u64,
    pub(super) position: LogPosition,
    pub(super) key_id: String,
}

/// What the file of checkpoints tells by itself.
#[derive(Debug)]
pub(super) struct History {
    /// How many lines the file has.
    pub(super) count: u64,
    pub(super) newest: Option<Newest>,
    /// The offset of the line from which on the log is compared: the last that covers it from its start, or
    /// the one behind the checkpoint at which the log was cut.
    pub(super) start: u64,
    /// The number of the checkpoint before that line; 0 when it begins a range by itself.
    pub(super) before_start: u64,
    /// Offsets of lines that say nothing, because they were altered or nobody known signed them.
    pub(super) skipped: BTreeSet<u64>,
    /// The checkpoints with which an operator accepted a loss.
    pub(super) accepted_losses: Vec<u64>,
    /// Whether every checkpoint since the first is there and says something.
    pub(super) is_whole: bool,
}

impl History {
    /// The history of a ledger without checkpoints.
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            newest: None,
            start: 0,
            before_start: 0,
            skipped: BTreeSet::new(),
            accepted_losses: Vec::new(),
            is_whole: true,
        }
    }
}

struct Previous {
    stored: StoredCheckpoint,
    number: u64,
    hash: LineHash,
    position: LogPosition,
    /// Its bytes are not those that were signed, so what the next line says of it is no news.
    is_altered: bool,
}

/// A run of neighbouring checkpoints with the same fault of their signature.
struct Unsigned {
    signed: Signed,
    key_id: String,
    first: u64,
    last: u64,
}

struct Walk<'a> {
    keyring: &'a Keyring<'a>,
    expected: &'a [CheckpointHead],
    begin: &'a Begin,
    is_anchored: bool,
    findings: &'a mut Findings,
    history: History,
    previous: Option<Previous>,
    unsigned: Option<Unsigned>,
    checks_every_signature: bool,
}

/// Checks the chain of checkpoints.
pub(super) fn check(
    file: &CheckpointFile,
    keyring: &Keyring<'_>,
    expected: &[CheckpointHead],
    begin: &Begin,
    findings: &mut Findings,
) -> io::Result<History> {
    let newest = file.newest()?;
    let checks_every_signature = newest.is_some_and(|newest| keyring.check(&newest) != Signed::Valid);
    let mut walk = Walk {
        keyring,
        expected,
        begin,
        is_anchored: begin.anchor.is_none(),
        findings,
        history: History::empty(),
        previous: None,
        unsigned: None,
        checks_every_signature,
    };
    let mut lines = file.lines(0);
    while let Some(stored) = lines.next_line()? {
        walk.line(stored);
    }
    Ok(walk.finish())
}

impl Walk<'_> {
    fn line(&mut self, stored: StoredCheckpoint) {
        self.history.count += 1;
        let hash = hash_line(&stored.line);
        let expected = self.previous.as_ref().map_or(1, |previous| previous.number.saturating_add(1));
        let genesis = checkpoint_genesis(self.keyring.identity.ledger_id);
        let prev = self.previous.as_ref().map_or(genesis, |previous| previous.hash);
        let Ok(link) = serde_json::from_slice::<Link>(&stored.line) else {
            self.altered(expected, "it is no checkpoint");
            return self.advance_altered(stored, expected, hash);
        };
        if self.checks_every_signature {
            let signed = self.keyring.check(&stored);
            if signed != Signed::Valid {
                self.unsigned(signed, &link);
                self.history.skipped.insert(stored.offset);
            }
        }
        if (link.number, link.prev) != (expected, prev) && self.irregular(&stored, &link, expected) {
            return self.advance_altered(stored, expected, hash);
        }
        self.contents(&stored, &link, hash);
        let (number, position) = (link.number, link.position);
        self.previous = Some(Previous { stored, number, hash, position, is_altered: false });
    }

    fn advance_altered(&mut self, stored: StoredCheckpoint, number: u64, hash: LineHash) {
        self.history.skipped.insert(stored.offset);
        let position = self.previous.as_ref().map_or(LogPosition::START, |previous| previous.position);
        self.previous = Some(Previous { stored, number, hash, position, is_altered: true });
    }

    /// A line does not follow the one before it: says why. True when the line itself was altered.
    fn irregular(&mut self, stored: &StoredCheckpoint, link: &Link, expected: u64) -> bool {
        let is_altered = self.keyring.check(stored) != Signed::Valid;
        if is_altered && !self.checks_every_signature {
            self.altered(expected, "its signature does not fit its bytes");
            return true;
        }
        let has_previous = self.previous.is_some();
        // The line before ends a whole part of the chain that only its own signature can vouch for.
        let before = self.previous.as_ref().filter(|previous| !previous.is_altered);
        let before = before.map(|previous| (previous.number, &previous.stored));
        let is_before_altered = before.is_some_and(|(_, stored)| {
            !self.checks_every_signature && self.keyring.check(stored) != Signed::Valid
        });
        let is_before_intact = before.is_some() && !is_before_altered;
        if let Some((number, offset)) = before.map(|(number, stored)| (number, stored.offset))
            && is_before_altered
        {
            self.history.skipped.insert(offset);
            self.altered(number, "its signature does not fit its bytes");
        }
        if link.number > expected {
            let last = link.number - 1;
            let message = match expected == last {
                true => format!("checkpoint {expected} is not there"),
                false => format!("checkpoints {expected} to {last} are not there"),
            };
            self.fault(Verdict::CheckpointMissing, expected, message);
        } else if link.number < expected {
            let message = format!("it stands where checkpoint {expected} belongs");
            self.fault(Verdict::CheckpointChainBroken, link.number, message);
        } else if !has_previous {
            let message = "it does not begin the chain of this ledger";
            self.fault(Verdict::CheckpointChainBroken, link.number, message);
        } else if is_before_intact {
            let message = "it names another line before it";
            self.fault(Verdict::CheckpointChainBroken, link.number, message);
        }
        false
    }

    /// What a line says of itself and of the log.
    fn contents(&mut self, stored: &StoredCheckpoint, link: &Link, hash: LineHash) {
        let number = link.number;
        for expected in self.expected.iter().filter(|expected| expected.number == number) {
            if expected.hash != hash {
                let message = format!("another checkpoint {number} is expected: {}", expected.hash);
                self.findings.push(Finding::new(Verdict::HeadMismatch, message).checkpoint(number));
            }
        }
        if link.ledger_id != self.keyring.identity.ledger_id {
            let message = format!("it is a checkpoint of ledger {}", link.ledger_id);
            self.fault(Verdict::CheckpointInconsistent, number, message);
            self.history.skipped.insert(stored.offset);
            return;
        }
        let before = self.previous.as_ref().map_or(LogPosition::START, |previous| previous.position);
        if link.from.is_none() && link.position < before {
            let message = format!("it covers less than the one before it, which ends {before}");
            self.fault(Verdict::CheckpointInconsistent, number, message);
            self.history.skipped.insert(stored.offset);
            return;
        }
        if self.history.skipped.contains(&stored.offset) {
            return;
        }
        if link.from.is_some_and(|from| from <= self.begin.position) {
            (self.history.start, self.history.before_start) = (stored.offset, 0);
            self.history.accepted_losses.push(number);
        }
        self.anchor(stored, number, hash);
        self.history.newest = Some(Newest {
            head: CheckpointHead { number, hash },
            at: link.at,
            epoch: link.epoch,
            position: link.position,
            key_id: link.key_id.clone(),
        });
    }

    /// Behind the checkpoint that the cut names, the log is compared.
    fn anchor(&mut self, stored: &StoredCheckpoint, number: u64, hash: LineHash) {
        let Some(anchor) = self.begin.anchor.as_ref().filter(|anchor| anchor.head.number == number) else {
            return;
        };
        let Ok(checkpoint) = stored.parse() else { return };
        self.is_anchored = true;
        self.history.start = stored.offset + stored.line.len() as u64 + 1;
        self.history.before_start = number;
        if let Some(finding) = anchor.differs(&checkpoint, hash) {
            self.findings.push(finding);
        }
    }

    /// Reports a fault of the chain itself.
    fn fault(&mut self, verdict: Verdict, number: u64, message: impl Into<String>) {
        self.history.is_whole = false;
        self.findings.push(Finding::new(verdict, message).checkpoint(number));
    }

    fn altered(&mut self, number: u64, message: &str) {
        self.fault(Verdict::CheckpointAltered, number, message);
    }

    fn unsigned(&mut self, signed: Signed, link: &Link) {
        match &mut self.unsigned {
            Some(run) if run.signed == signed && run.key_id == link.key_id && run.last + 1 == link.number => {
                run.last = link.number;
            }
            _ => {
                self.report_unsigned();
                let (first, key_id) = (link.number, link.key_id.clone());
                self.unsigned = Some(Unsigned { signed, key_id, first, last: first });
            }
        }
    }

    fn report_unsigned(&mut self) {
        let Some(Unsigned { signed, key_id, first, last }) = self.unsigned.take() else { return };
        let which = match first == last {
            true => format!("checkpoint {first}"),
            false => format!("checkpoints {first} to {last}"),
        };
        let (verdict, message) = match signed {
            Signed::UnknownKey if self.keyring.trusted.is_empty() => (
                Verdict::UnknownKey,
                format!("{which} signed with key {key_id}, which ledger.json does not list"),
            ),
            Signed::UnknownKey => {
                (Verdict::UnknownKey, format!("{which} signed with key {key_id}, which is not trusted"))
            }
            _ => (Verdict::SignatureInvalid, format!("{which} not signed with key {key_id}")),
        };
        self.fault(verdict, first, message);
    }

    fn finish(mut self) -> History {
        self.report_unsigned();
        if let Some(anchor) = self.begin.anchor.as_ref().filter(|_| !self.is_anchored) {
            self.findings.push(anchor.missing());
        }
        let last = self.previous.as_ref().map_or(0, |previous| previous.number);
        for expected in self.expected.iter().filter(|expected| expected.number > last) {
            let message = format!("the ledger ends with checkpoint {last}, {} is expected", expected.number);
            self.findings.push(Finding::new(Verdict::HeadOlder, message).checkpoint(expected.number));
        }
        self.history
    }
}
