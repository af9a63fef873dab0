//! What verification can find, each named by a verdict.

use std::fmt;

use serde::Serialize;

use crate::ids::Scope;
use crate::log::LogPosition;

/// At most this many findings are kept in a report; the others are counted.
pub(crate) const MAX_FINDINGS: usize = 100;

/// The class of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// A line is not the one that the next line of its stream was chained to.
    AlteredLine,
    /// Events of a stream are not there: its sequence has a gap, or ends before its newest known event.
    MissingEvents,
    /// A line claims a place in a stream that another line has, or was added where nothing belongs.
    InsertedLine,
    /// A line stands at another place in its stream than it was written.
    ReorderedLine,
    /// A line belongs to another ledger.
    ForeignLine,
    /// Bytes are not a line of the log.
    UnparsableBytes,
    /// Signed bytes were changed, though every event in them holds: an attempt line was altered, removed
    /// or added, or lines of different streams changed places.
    AlteredRange,
    /// A segment's file is not there.
    SegmentMissing,
    /// The log, or a segment, ends before what a checkpoint covers: its tail was cut, or it was rolled back.
    LogShorter,
    /// A checkpoint is not there.
    CheckpointMissing,
    /// A checkpoint's bytes are not those that were signed.
    CheckpointAltered,
    /// A checkpoint does not name the one before it, though both are signed: two histories were joined.
    CheckpointChainBroken,
    /// A checkpoint contradicts itself or the one before it.
    CheckpointInconsistent,
    /// The newest checkpoint's signature does not fit its bytes.
    SignatureInvalid,
    /// A checkpoint was signed with a key that is not listed, or not trusted.
    UnknownKey,
    /// A stream that a checkpoint lists has no line in the log.
    StreamDeleted,
    /// A stream has lines in signed bytes, yet no checkpoint lists it.
    StreamForged,
    /// A stream's chain holds, but it is not the history that was signed or is expected.
    HeadMismatch,
    /// The ledger ends before an expected head: it is an older state.
    HeadOlder,
    /// A head table is not the one that was signed, or does not agree with the log.
    HeadTableMismatch,
    /// A cut's bytes are not those that were signed, or the key is not listed or trusted.
    CutAltered,
    /// A cut is not there.
    CutMissing,
    /// A cut does not continue the one before it, or names a checkpoint or heads that are not there.
    CutInconsistent,
    /// A segment before the cut is there again, and is not the one that was dropped.
    DroppedSegmentAltered,
}

impl Verdict {
    /// The name in a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlteredLine => "altered_line",
            Self::MissingEvents => "missing_events",
            Self::InsertedLine => "inserted_line",
            Self::ReorderedLine => "reordered_line",
            Self::ForeignLine => "foreign_line",
            Self::UnparsableBytes => "unparsable_bytes",
            Self::AlteredRange => "altered_range",
            Self::SegmentMissing => "segment_missing",
            Self::LogShorter => "log_shorter",
            Self::CheckpointMissing => "checkpoint_missing",
            Self::CheckpointAltered => "checkpoint_altered",
            Self::CheckpointChainBroken => "checkpoint_chain_broken",
            Self::CheckpointInconsistent => "checkpoint_inconsistent",
            Self::SignatureInvalid => "signature_invalid",
            Self::UnknownKey => "unknown_key",
            Self::StreamDeleted => "stream_deleted",
            Self::StreamForged => "stream_forged",
            Self::HeadMismatch => "head_mismatch",
            Self::HeadOlder => "head_older",
            Self::HeadTableMismatch => "head_table_mismatch",
            Self::CutAltered => "cut_altered",
            Self::CutMissing => "cut_missing",
            Self::CutInconsistent => "cut_inconsistent",
            Self::DroppedSegmentAltered => "dropped_segment_altered",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What happened.
    pub verdict: Verdict,
    /// Where in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<LogPosition>,
    /// The checkpoint that is concerned, or that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// The scope of the stream that is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The sequence number that is concerned; the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The last sequence number, when several are concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// The reason in words.
    pub message: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { verdict, position: None, checkpoint: None, scope: None, seq: None, last_seq: None, message }
    }

    pub(super) fn at(mut self, position: LogPosition) -> Self {
        self.position = Some(position);
        self
    }

    pub(super) fn checkpoint(mut self, number: u64) -> Self {
        self.checkpoint = Some(number);
        self
    }

    pub(super) fn stream(mut self, scope: &Scope, seq: u64) -> Self {
        self.scope = Some(scope.clone());
        self.seq = Some(seq);
        self
    }

    pub(super) fn through(mut self, last_seq: u64) -> Self {
        self.last_seq = Some(last_seq).filter(|last| Some(*last) != self.seq);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if let Some(scope) = &self.scope {
            write!(f, " {scope}")?;
        }
        match (self.seq, self.last_seq) {
            (Some(first), Some(last)) => write!(f, " seq {first} to {last}")?,
            (Some(seq), None) => write!(f, " seq {seq}")?,
            _ => {}
        }
        if let Some(position) = self.position {
            write!(f, ", {position}")?;
        }
        if let Some(number) = self.checkpoint {
            write!(f, ", checkpoint {number}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Collects findings: those of the wanted scope and of the ledger itself up to a bound, the others as counts.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Only findings of this scope, and those without one, are kept.
    scope: Option<Scope>,
    kept: Vec<Finding>,
    left_out: u64,
    elsewhere: u64,
}

impl Findings {
    pub(super) fn new(scope: Option<Scope>) -> Self {
        Self { scope, ..Self::default() }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        if self.scope.is_some() && finding.scope.is_some() && finding.scope != self.scope {
            self.elsewhere += 1;
        } else if self.kept.len() < MAX_FINDINGS {
            self.kept.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether nothing was found in any scope.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.elsewhere == 0
    }

    /// The findings in log order, how many more there are, and how many concern other scopes.
    pub(super) fn finish(mut self) -> (Vec<Finding>, u64, u64) {
        self.kept.sort_by_key(|finding| (finding.position.is_none(), finding.position));
        (self.kept, self.left_out, self.elsewhere)
    }
}
