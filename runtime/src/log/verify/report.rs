//! What verification tells.

use std::fmt;

use serde::Serialize;

use super::cuts::CutReport;
use super::finding::Finding;
use super::options::CheckpointHead;
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::log::heads::StreamHead;

/// The newest checkpoint that holds, and what it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Protected {
    /// The checkpoint.
    #[serde(flatten)]
    pub checkpoint: CheckpointHead,
    /// When it was made, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Every byte of the log before this is covered.
    pub position: LogPosition,
    /// The key that signed it.
    pub key_id: String,
    /// Whether that key was given from outside, not merely listed in the ledger's own directory.
    pub is_key_trusted: bool,
}

/// What no signature covers yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Unprotected {
    /// Events behind the newest checkpoint. Their chain was checked.
    pub events: u64,
    /// Attempt lines behind the newest checkpoint. Their form was checked.
    pub attempts: u64,
    /// Bytes behind the newest checkpoint, unfinished ones left out.
    pub bytes: u64,
    /// Bytes at the very end that are no whole line: a write in progress, or one cut short by a crash.
    pub unfinished_bytes: u64,
    /// The same at the end of the file of checkpoints.
    pub unfinished_checkpoint_bytes: u64,
}

/// What was verified, what was found, and what could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// The scope that the report is limited to. Then bytes, events, attempts and streams are counted of it
    /// alone, though the whole log was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Whether nothing was found. See [`is_verified`](Self::is_verified).
    pub verified: bool,
    /// The cut with which the log begins; `None` when it begins with the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutReport>,
    /// Bytes of the lines that were read.
    pub bytes: u64,
    /// Events.
    pub events: u64,
    /// Attempt lines.
    pub attempts: u64,
    /// Streams with at least one event.
    pub streams: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// What the newest checkpoint covers; `None` when nothing is covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<Protected>,
    /// What no checkpoint covers yet.
    pub unprotected: Unprotected,
    /// The newest line of the scope's stream, worth noting outside: see
    /// [`VerifyOptions::expect_head`](crate::VerifyOptions::expect_head).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<StreamHead>,
    /// Checkpoints with which an operator went on although the log had lost signed bytes.
    pub accepted_losses: Vec<u64>,
    /// How many heads and checkpoints were expected from outside.
    pub expected: u64,
    /// How many of those heads are of events before the cut, which nothing here can tell of any more.
    pub expected_dropped: u64,
    /// What does not hold, in log order; at most 100.
    pub findings: Vec<Finding>,
    /// How many findings were left out beyond those.
    pub findings_left_out: u64,
    /// How many findings concern other scopes than the one reported on.
    pub findings_elsewhere: u64,
}

impl VerifyReport {
    /// Whether nothing was found: every byte up to the newest checkpoint is as it was signed, and every
    /// event behind it is chained to the one before. What is found in other scopes does not count for a
    /// report on one scope.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// What this report cannot tell, because only something from outside the directory could.
    pub fn cannot_tell(&self) -> Vec<&'static str> {
        let mut limits = Vec::new();
        if self.expected == 0 {
            limits.push(
                "whether the whole directory was put back to an earlier state: give a head that was noted outside",
            );
        }
        if self.expected_dropped > 0 {
            limits.push(
                "whether expected heads before the cut were there: verify a copy that holds what was dropped",
            );
        }
        if self.protected.as_ref().is_none_or(|protected| !protected.is_key_trusted) {
            limits
                .push("whether the ledger was made anew with another key: give the public key from outside");
        }
        if self.unprotected.events + self.unprotected.attempts > 0 {
            limits.push(
                "whether lines at the end of the unprotected tail were cut or altered: a checkpoint will cover them",
            );
        }
        limits
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.verified { "verified" } else { "NOT VERIFIED" };
        write!(f, "{verdict}: ledger {}", self.ledger_id)?;
        if let Some(scope) = &self.scope {
            write!(f, ", scope {scope}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  read: {} events and {} attempts in {} streams, {} bytes, {} checkpoints",
            self.events, self.attempts, self.streams, self.bytes, self.checkpoints
        )?;
        if let Some(cut) = &self.cut {
            let CutReport { number, hash, position, .. } = cut;
            writeln!(f, "  begins: at {position}, by cut {number}:{hash}")?;
            writeln!(
                f,
                "  dropped before: {} events in {} segments, {} bytes",
                cut.dropped_events, cut.dropped_segments, cut.dropped_bytes
            )?;
        }
        match &self.protected {
            Some(protected) => {
                let Protected { checkpoint, position, key_id, is_key_trusted, .. } = protected;
                let trust = if *is_key_trusted { "trusted" } else { "listed in ledger.json" };
                writeln!(
                    f,
                    "  protected: up to {position}, by checkpoint {checkpoint}, key {key_id} ({trust})"
                )?;
            }
            None => writeln!(f, "  protected: nothing, no checkpoint holds")?,
        }
        let Unprotected { events, attempts, bytes, .. } = self.unprotected;
        writeln!(f, "  unprotected tail: {events} events, {attempts} attempts, {bytes} bytes")?;
        let unfinished = self.unprotected.unfinished_bytes;
        if unfinished > 0 {
            writeln!(f, "  unfinished line at the end of the log: {unfinished} bytes")?;
        }
        let unfinished = self.unprotected.unfinished_checkpoint_bytes;
        if unfinished > 0 {
            writeln!(f, "  unfinished line at the end of the checkpoints: {unfinished} bytes")?;
        }
        if let Some(head) = &self.head {
            writeln!(f, "  head: {head}")?;
        }
        for number in &self.accepted_losses {
            writeln!(
                f,
                "  loss accepted: with checkpoint {number} the ledger went on without signed bytes that were lost"
            )?;
        }
        for finding in &self.findings {
            writeln!(f, "  found: {finding}")?;
        }
        if self.findings_left_out > 0 {
            writeln!(f, "  and {} findings more", self.findings_left_out)?;
        }
        if self.findings_elsewhere > 0 {
            writeln!(f, "  {} findings concern other scopes", self.findings_elsewhere)?;
        }
        for limit in self.cannot_tell() {
            writeln!(f, "  cannot tell {limit}")?;
        }
        Ok(())
    }
}
