//! The writing side: what the next checkpoint continues.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Checkpoint, CheckpointReason, SignatureHex, checkpoint_genesis, with_signature};
use crate::event::{LineHash, SCHEMA_VERSION};
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::heads::StreamHead;
use crate::log::line::hash_line;
use crate::log::signer::{SignError, Signer};

/// What a checkpoint says, but for what the chain itself knows.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointBody {
    /// In microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) reason: CheckpointReason,
    pub(crate) epoch: u64,
    /// Where the bytes given to [`CheckpointChain::log_bytes`] end. All before it is durable.
    pub(crate) position: LogPosition,
    /// The heads that moved since the checkpoint before, by tenant, then env; all of them for
    /// [`CheckpointReason::AcceptedLoss`].
    pub(crate) heads: Vec<StreamHead>,
    /// How many streams there are, and the root over all of their heads.
    pub(crate) streams: u64,
    pub(crate) root: LineHash,
    pub(crate) surfaces: LineHash,
    /// The hash of the head table that was written at `position`.
    pub(crate) head_table: Option<LineHash>,
}

/// What the next checkpoint continues: its number, the hash of the line before, the log bytes since.
///
/// To write a checkpoint: clone the chain, [`seal`](Self::seal) on the clone, write the line and sync
/// it, then keep the clone. When signing or writing fails, drop the clone: the bytes since the last
/// checkpoint that was written stay counted, and the next one covers them.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointChain {
    ledger_id: LedgerId,
    next_number: u64,
    prev: LineHash,
    from: Option<LogPosition>,
    log_bytes: u64,
    log_hash: Sha256,
}

/// A checkpoint line without its signature; keys in the order of [`Checkpoint`].
#[derive(Serialize)]
struct Unsigned<'a> {
    schema_version: u32,
    kind: &'a str,
    number: u64,
    prev: LineHash,
    ledger_id: LedgerId,
    at: i64,
    reason: CheckpointReason,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<LogPosition>,
    position: LogPosition,
    log_bytes: u64,
    log_hash: LineHash,
    streams: u64,
    root: LineHash,
    heads: &'a [StreamHead],
    surfaces: LineHash,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_table: Option<LineHash>,
    key_id: &'a str,
}

impl CheckpointChain {
    /// The chain of a ledger without checkpoints.
    pub(crate) fn new(ledger_id: LedgerId) -> Self {
        Self {
            ledger_id,
            next_number: 1,
            prev: checkpoint_genesis(ledger_id),
            from: None,
            log_bytes: 0,
            log_hash: Sha256::new(),
        }
    }

    /// The chain after its newest checkpoint. The log bytes from that checkpoint's position on must be
    /// given to [`log_bytes`](Self::log_bytes) before the next is sealed.
    pub(crate) fn resume(newest_line: &[u8], newest: &Checkpoint) -> Self {
        Self {
            ledger_id: newest.ledger_id,
            next_number: newest.number + 1,
            prev: hash_line(newest_line),
            from: None,
            log_bytes: 0,
            log_hash: Sha256::new(),
        }
    }

    /// Makes the next checkpoint cover the log from its beginning anew, because bytes that earlier ones
    /// cover are lost. The whole log must be given to [`log_bytes`](Self::log_bytes) again, and the
    /// checkpoint be sealed with all heads and [`CheckpointReason::AcceptedLoss`].
    pub(crate) fn restart(&mut self, begin: LogPosition) {
        self.from = Some(begin);
        self.log_bytes = 0;
        self.log_hash = Sha256::new();
    }

    /// Takes in bytes of the log, in log order, newlines included.
    pub(crate) fn log_bytes(&mut self, bytes: &[u8]) {
        self.log_bytes += bytes.len() as u64;
        self.log_hash.update(bytes);
    }

    /// How many log bytes no checkpoint covers yet.
    pub(crate) fn uncovered_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// The number that the next checkpoint will have.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Makes the next checkpoint: its line, newline included. The chain then continues after it.
    ///
    /// # Errors
    ///
    /// When the signer fails. The chain is then as it was.
    pub(crate) fn seal(&mut self, body: &CheckpointBody, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let unsigned = Unsigned {
            schema_version: SCHEMA_VERSION,
            kind: "checkpoint",
            number: self.next_number,
            prev: self.prev,
            ledger_id: self.ledger_id,
            at: body.at,
            reason: body.reason,
            epoch: body.epoch,
            from: self.from,
            position: body.position,
            log_bytes: self.log_bytes,
            log_hash: LineHash(self.log_hash.clone().finalize().into()),
            streams: body.streams,
            root: body.root,
            heads: &body.heads,
            surfaces: body.surfaces,
            head_table: body.head_table,
            key_id: signer.key_id(),
        };
        let message =
            serde_json::to_vec(&unsigned).map_err(|error| SignError::new(signer.key_id(), error))?;
        let signature = signer.sign(&message)?;
        let mut line = with_signature(message, SignatureHex(signature));
        self.prev = hash_line(&line);
        self.next_number += 1;
        self.from = None;
        self.log_bytes = 0;
        self.log_hash = Sha256::new();
        line.push(b'\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::heads::Heads;
    use crate::log::heads::tests::ledger_id;
    use crate::log::signer::Ed25519Signer;

    fn body(reason: CheckpointReason, offset: u64) -> CheckpointBody {
        CheckpointBody {
            at: 1_700_000_000_000_000,
            reason,
            epoch: 1,
            position: LogPosition { segment: 1, offset },
            heads: Vec::new(),
            streams: 0,
            root: Heads::new(ledger_id()).root(),
            surfaces: LineHash([0; 32]),
            head_table: None,
        }
    }

    fn parse(line: &[u8]) -> (Checkpoint, &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap();
        (Checkpoint::from_line(line).unwrap(), line)
    }

    #[test]
    fn checkpoints_name_the_one_before_and_the_bytes_since() {
        let signer = Ed25519Signer::fixed_for_tests();
        let mut chain = CheckpointChain::new(ledger_id());
        let first = chain.seal(&body(CheckpointReason::Open, 0), &signer).unwrap();
        chain.log_bytes(b"one\n");
        chain.log_bytes(b"two\n");
        let second = chain.seal(&body(CheckpointReason::Interval, 8), &signer).unwrap();
        let (first, first_line) = parse(&first);
        let (second, second_line) = parse(&second);
        assert_eq!((first.number, first.prev, first.log_bytes), (1, checkpoint_genesis(ledger_id()), 0));
        assert_eq!((second.number, second.prev, second.log_bytes), (2, hash_line(first_line), 8));
        assert_eq!(second.log_hash, hash_line(b"one\ntwo\n"));
        assert!(first.is_signed_by(first_line, &signer.public_key()));
        assert!(second.is_signed_by(second_line, &signer.public_key()));
        assert!(!second.is_signed_by(first_line, &signer.public_key()));
        assert_eq!(serde_json::to_vec(&second).unwrap(), second_line, "reading keeps the order of keys");
    }

    #[test]
    fn a_dropped_clone_leaves_the_chain_as_it_was() {
        let signer = Ed25519Signer::fixed_for_tests();
        let mut chain = CheckpointChain::new(ledger_id());
        chain.log_bytes(b"one\n");
        let lost = chain.clone().seal(&body(CheckpointReason::Interval, 4), &signer).unwrap();
        assert_eq!(parse(&lost).0.number, 1);
        chain.log_bytes(b"two\n");
        let line = chain.seal(&body(CheckpointReason::Interval, 8), &signer).unwrap();
        let (checkpoint, _) = parse(&line);
        assert_eq!((checkpoint.number, checkpoint.log_hash), (1, hash_line(b"one\ntwo\n")));
    }

    #[derive(Debug)]
    struct Refusing;

    impl Signer for Refusing {
        fn key_id(&self) -> &str {
            "refusing"
        }
        fn public_key(&self) -> [u8; 32] {
            [0; 32]
        }
        fn sign(&self, _message: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError::new("refusing", "the key service does not answer"))
        }
    }

    #[test]
    fn a_signer_that_fails_leaves_the_chain_as_it_was() {
        let mut chain = CheckpointChain::new(ledger_id());
        chain.log_bytes(b"one\n");
        let error = chain.seal(&body(CheckpointReason::Interval, 4), &Refusing).unwrap_err();
        assert_eq!(error.to_string(), "sign a checkpoint with key refusing");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the key service does not answer");
        assert_eq!((chain.next_number(), chain.uncovered_bytes()), (1, 4));
        let line = chain.seal(&body(CheckpointReason::Interval, 4), &Ed25519Signer::fixed_for_tests());
        assert_eq!(parse(&line.unwrap()).0.log_hash, hash_line(b"one\n"));
    }

    #[test]
    fn a_chain_resumes_after_the_newest_line() {
        let signer = Ed25519Signer::fixed_for_tests();
        let mut chain = CheckpointChain::new(ledger_id());
        let line = chain.seal(&body(CheckpointReason::Open, 0), &signer).unwrap();
        let (newest, newest_line) = parse(&line);
        let mut resumed = CheckpointChain::resume(newest_line, &newest);
        for chain in [&mut chain, &mut resumed] {
            chain.log_bytes(b"x\n");
        }
        let next = body(CheckpointReason::Close, 2);
        assert_eq!(chain.seal(&next, &signer).unwrap(), resumed.seal(&next, &signer).unwrap());
    }

    #[test]
    fn an_accepted_loss_covers_the_log_from_its_start() {
        let signer = Ed25519Signer::fixed_for_tests();
        let mut chain = CheckpointChain::new(ledger_id());
        chain.log_bytes(b"one\ntwo\n");
        chain.seal(&body(CheckpointReason::Interval, 8), &signer).unwrap();
        chain.restart(LogPosition::START);
        chain.log_bytes(b"one\n");
        let line = chain.seal(&body(CheckpointReason::AcceptedLoss, 4), &signer).unwrap();
        let (checkpoint, _) = parse(&line);
        assert_eq!(checkpoint.from, Some(LogPosition::START));
        assert_eq!(checkpoint.log_hash, hash_line(b"one\n"));
        let line = chain.seal(&body(CheckpointReason::Open, 4), &signer).unwrap();
        assert_eq!(parse(&line).0.from, None);
    }

    #[test]
    fn no_altered_byte_of_a_line_keeps_its_signature() {
        let signer = Ed25519Signer::fixed_for_tests();
        let mut chain = CheckpointChain::new(ledger_id());
        let line = chain.seal(&body(CheckpointReason::Open, 0), &signer).unwrap();
        let (_, line) = parse(&line);
        for at in 0..line.len() {
            let mut altered = line.to_vec();
            altered[at] ^= 1;
            let holds = Checkpoint::from_line(&altered)
                .is_ok_and(|read| read.is_signed_by(&altered, &signer.public_key()));
            assert!(!holds, "byte {at} can be altered");
        }
    }
}
