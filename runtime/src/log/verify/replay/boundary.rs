//! Where a checkpoint's range ends: what the log holds against what the checkpoint says.

use super::{Replay, check_of, forged};
use crate::log::LogPosition;
use crate::log::checkpoint::Checkpoint;
use crate::log::verify::finding::{Finding, Verdict};
use crate::log::verify::scan::{Place, RangeState};

/// How many ranges that do not hold are remembered until it is known whether other findings explain them.
const MAX_SUSPECTS: usize = 1000;

/// A range whose bytes are not those that were signed.
pub(super) struct Suspect {
    from: LogPosition,
    to: LogPosition,
    checkpoint: u64,
}

impl Replay<'_> {
    pub(super) fn at_boundary(&mut self, checkpoint: &Checkpoint, place: Place, range: RangeState) {
        let number = checkpoint.number;
        let was_aligned = self.is_aligned;
        if let Place::Short(end) = place {
            self.is_aligned = false;
            // The log is shorter by all that follows too: one finding for a segment says it.
            if self.short_segment.replace(end.segment) != Some(end.segment) {
                let message = format!("it ends here, yet was signed up to {}", checkpoint.position);
                self.push(Finding::new(Verdict::LogShorter, message).at(end).checkpoint(number));
            }
        }
        if !self.carry.is_empty() {
            self.is_aligned = false;
        }
        let is_root_intact = self.heads.root() == checkpoint.root && self.heads.len() == checkpoint.streams;
        let mut is_explained = false;
        if !is_root_intact && self.is_aligned {
            is_explained = self.compare_heads(checkpoint, range);
        }
        if range == RangeState::Changed && was_aligned && !is_explained && self.suspects.len() < MAX_SUSPECTS
        {
            let (from, to) = (self.boundary, self.position);
            self.suspects.push(Suspect { from, to, checkpoint: number });
        }
        if range == RangeState::Intact && is_root_intact && place == Place::Exact && self.carry.is_empty() {
            self.is_aligned = true;
        }
        self.boundary = self.position;
        self.heads.clear_moved();
    }

    /// The heads are not those that the checkpoint lists: says which streams have more than they should.
    /// Streams that have less are told by the lines that are expected and never come.
    /// True when a listed line is another one, which explains that the bytes are others too.
    fn compare_heads(&mut self, checkpoint: &Checkpoint, range: RangeState) -> bool {
        let mut is_explained = false;
        for id in self.heads.moved_streams().to_vec() {
            let check = check_of(&mut self.streams, id);
            let (head, scope) = (*self.heads.head(id), self.heads.scope(id));
            let listed = checkpoint.heads.iter().find(|listed| listed.scope == *scope);
            match listed {
                Some(listed) if listed.seq == head.seq => is_explained |= listed.hash != head.hash,
                Some(_) => self.is_aligned = false,
                // A checkpoint that is not there may have listed it.
                None if !self.is_history_whole => self.is_aligned = false,
                None if !check.is_listed => {
                    if !std::mem::replace(&mut check.is_forged, true) {
                        self.found.push(forged(scope, check.first, head.seq, checkpoint.number));
                    }
                    self.is_aligned = false;
                }
                None => {
                    let message = "the checkpoint lists no new event of the stream";
                    let finding = Finding::new(Verdict::InsertedLine, message);
                    let finding = finding.at(check.head_at()).stream(scope, head.seq);
                    self.found.push(finding.checkpoint(checkpoint.number));
                    self.is_aligned = false;
                }
            }
        }
        self.push_found();
        if !is_explained && self.is_aligned && range != RangeState::Changed {
            let message = "the root over all heads is not the one that was signed";
            let finding = Finding::new(Verdict::HeadMismatch, message);
            let finding = finding.at(self.position).checkpoint(checkpoint.number);
            self.unexplained.get_or_insert(finding);
        }
        is_explained
    }

    /// Ranges that do not hold and in which nothing else was found.
    pub(super) fn report_suspects(&mut self) {
        self.positions_found.sort_unstable();
        for Suspect { from, to, checkpoint } in std::mem::take(&mut self.suspects) {
            let first = self.positions_found.partition_point(|position| *position < from);
            // A line that is missing at the very end is reported where the stream's last line stands, which
            // may be earlier; then the log is also shorter, which is reported at the end.
            if self.positions_found.get(first).is_some_and(|position| *position <= to) {
                continue;
            }
            let message =
                format!("the bytes from here to {to} are not those that were signed, yet its events hold");
            self.push(Finding::new(Verdict::AlteredRange, message).at(from).checkpoint(checkpoint));
        }
    }
}
