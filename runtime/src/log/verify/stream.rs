//! One stream while its lines are replayed: what continues it, and what does not fit.
//!
//! The rules decide by the chain, not by the order of lines: a line ahead of its place is accepted once
//! the next line is chained to it, and two lines that claim one place are told apart by the line after.

use std::collections::VecDeque;

use super::finding::{Finding, Verdict};
use crate::event::LineHash;
use crate::ids::Scope;
use crate::log::LogPosition;
use crate::log::heads::Head;

/// Lines ahead of their place that are remembered; more than these are not told apart from inserted ones.
const MAX_AHEAD: usize = 16;

/// An event's place in its stream, and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) prev: LineHash,
    pub(super) hash: LineHash,
    pub(super) at: LogPosition,
}

/// A line that is known from elsewhere to stand in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) seq: u64,
    pub(super) hash: LineHash,
    /// `None`: known from outside the ledger.
    pub(super) checkpoint: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Mismatch {
    seq: u64,
    at: LogPosition,
    checkpoint: Option<u64>,
}

/// An accepted line that is not chained to the one before it.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    link: Link,
    before: Head,
    before_at: LogPosition,
}

/// What is known of a stream besides its head.
#[derive(Debug)]
pub(super) struct StreamCheck {
    /// Where its first line stands.
    pub(super) first: LogPosition,
    /// Whether a checkpoint lists it.
    pub(super) is_listed: bool,
    /// Whether it was reported as forged.
    pub(super) is_forged: bool,
    /// Where the head's line stands.
    at: LogPosition,
    /// A second line with the head's sequence number.
    rival: Option<Link>,
    /// The head's line, while the next line may still show that it was inserted.
    suspect: Option<Suspect>,
    /// Lines ahead of their place.
    ahead: Vec<Link>,
    /// Sequence numbers without a line: first, last, and where the line after them stands.
    gaps: Vec<(u64, u64, LogPosition)>,
    /// By seq.
    expected: VecDeque<Expected>,
    /// The head is not the line that was signed; whether it was altered or chained anew shows later.
    mismatch: Option<Mismatch>,
    /// The stream is known to be another history; further heads of it are no news.
    is_diverged: bool,
    /// The newest event before the cut with which the log begins; 0 when there is none.
    base_seq: u64,
}

impl StreamCheck {
    pub(super) fn new() -> Self {
        Self {
            first: LogPosition::START,
            is_listed: false,
            is_forged: false,
            at: LogPosition::START,
            rival: None,
            suspect: None,
            ahead: Vec::new(),
            gaps: Vec::new(),
            expected: VecDeque::new(),
            mismatch: None,
            is_diverged: false,
            base_seq: 0,
        }
    }

    /// A stream that goes on from a cut; the signed head table of that place lists it.
    pub(super) fn from_cut(position: LogPosition, seq: u64) -> Self {
        Self { first: position, at: position, is_listed: true, base_seq: seq, ..Self::new() }
    }

    /// Whether an event lies before the cut, so that nothing here can tell whether it was there.
    pub(super) fn is_dropped(&self, seq: u64) -> bool {
        seq < self.base_seq
    }

    /// Where the head's line stands.
    pub(super) fn head_at(&self) -> LogPosition {
        self.at
    }

    /// Takes in the next line of the stream, and moves `head` when it continues it.
    #[inline]
    pub(super) fn line(&mut self, link: Link, head: &mut Head, scope: &Scope, out: &mut Vec<Finding>) {
        let is_next = link.seq == head.seq + 1 && link.prev == head.hash;
        let is_expected = self.expected.front().is_some_and(|expected| expected.seq <= link.seq);
        let is_doubtful = self.rival.is_some() || self.suspect.is_some() || self.mismatch.is_some();
        if is_next && !is_expected && !is_doubtful {
            if head.seq == 0 {
                self.first = link.at;
            }
            return self.accept(link, head);
        }
        self.line_in_doubt(link, head, scope, out);
    }

    #[inline]
    fn accept(&mut self, link: Link, head: &mut Head) {
        *head = Head { seq: link.seq, hash: link.hash, recorded_at: 0 };
        self.at = link.at;
    }

    fn line_in_doubt(&mut self, link: Link, head: &mut Head, scope: &Scope, out: &mut Vec<Finding>) {
        if head.seq == 0 && self.ahead.is_empty() {
            self.first = link.at;
        }
        if link.seq > head.seq + 1 && self.settle_ahead(&link, head, scope, out).is_none() {
            return;
        }
        if link.seq != head.seq + 1 {
            return self.line_out_of_place(link, head, scope, out);
        }
        if link.prev == head.hash {
            self.settle(scope, out);
        } else if let Some(rival) = self.rival.take_if(|rival| rival.hash == link.prev) {
            let usurper = Link { seq: head.seq, prev: head.hash, hash: head.hash, at: self.at };
            out.push(inserted(&usurper, scope));
            self.mismatch = None;
            // The usurper was chained to nothing; the line it had displaced is.
            if self.suspect.take_if(|suspect| suspect.before.hash == rival.prev).is_none() {
                self.settle(scope, out);
            }
        } else {
            self.mismatch = None;
            self.settle(scope, out);
            self.suspect = Some(Suspect { link, before: *head, before_at: self.at });
        }
        self.accept(link, head);
        self.meet_expected(&link);
    }

    /// A line ahead of its place: returns `Some` when the lines before it are settled, so that it is the
    /// next one; else keeps it for later.
    fn settle_ahead(
        &mut self,
        link: &Link,
        head: &mut Head,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Option<()> {
        let is_signed = |link: &Link, expected: &VecDeque<Expected>| {
            expected.iter().any(|expected| expected.seq == link.seq && expected.hash == link.hash)
        };
        let bridge = self.ahead.iter().position(|early| early.seq + 1 == link.seq && early.hash == link.prev);
        if let Some(at) = bridge {
            let early = self.ahead.remove(at);
            self.accept_linked(early.seq, head, scope, out);
            self.accept_early(early, head, scope, out);
            return Some(());
        }
        if is_signed(link, &self.expected) {
            self.settle(scope, out);
            self.gaps.push((head.seq + 1, link.seq - 1, link.at));
            // As if the missing lines had been there: the line itself is vouched for.
            *head = Head { seq: link.seq - 1, hash: link.prev, recorded_at: 0 };
            return Some(());
        }
        if self.ahead.len() == MAX_AHEAD {
            let early = self.ahead.remove(0);
            out.push(inserted(&early, scope));
        }
        self.ahead.push(*link);
        None
    }

    /// Accepts remembered lines that are chained to the head, up to a place.
    fn accept_linked(&mut self, before: u64, head: &mut Head, scope: &Scope, out: &mut Vec<Finding>) {
        while head.seq + 1 < before {
            let linked = |early: &Link| early.seq == head.seq + 1 && early.prev == head.hash;
            let Some(at) = self.ahead.iter().position(linked) else { return };
            let early = self.ahead.remove(at);
            self.accept_early(early, head, scope, out);
        }
    }

    /// Accepts a remembered line, and says what is wrong between it and the head.
    fn accept_early(&mut self, early: Link, head: &mut Head, scope: &Scope, out: &mut Vec<Finding>) {
        self.settle(scope, out);
        if early.seq > head.seq + 1 {
            self.gaps.push((head.seq + 1, early.seq - 1, early.at));
        } else if early.prev == head.hash {
            let message = "it stands before lines that it follows";
            out.push(Finding::new(Verdict::ReorderedLine, message).at(early.at).stream(scope, early.seq));
        } else {
            out.push(altered(&early, head, self.at, self.base_seq, scope));
        }
        self.accept(early, head);
        self.meet_expected(&early);
    }

    /// A line at or before the head.
    fn line_out_of_place(&mut self, link: Link, head: &Head, scope: &Scope, out: &mut Vec<Finding>) {
        let gap = self.gaps.iter().position(|(first, last, _)| (*first..=*last).contains(&link.seq));
        if let Some(index) = gap {
            let (first, last, after) = self.gaps.swap_remove(index);
            for (first, last) in [(first, link.seq - 1), (link.seq + 1, last)] {
                if first <= last {
                    self.gaps.push((first, last, after));
                }
            }
            let message = "it stands behind lines that follow it";
            out.push(Finding::new(Verdict::ReorderedLine, message).at(link.at).stream(scope, link.seq));
        } else if link.seq == head.seq && link.hash != head.hash && self.rival.is_none() {
            self.rival = Some(link);
        } else {
            out.push(inserted(&link, scope));
        }
    }

    /// Compares an accepted line with what is known of its place.
    fn meet_expected(&mut self, link: &Link) {
        while let Some(expected) = self.expected.front().copied() {
            if expected.seq > link.seq {
                return;
            }
            self.expected.pop_front();
            if expected.seq == link.seq && expected.hash != link.hash && self.mismatch.is_none() {
                self.mismatch =
                    Some(Mismatch { seq: link.seq, at: link.at, checkpoint: expected.checkpoint });
            }
        }
    }

    /// Notes a line that is known to stand in the stream.
    pub(super) fn expect(&mut self, expected: Expected, head: &Head) {
        self.is_listed |= expected.checkpoint.is_some();
        if expected.seq > head.seq {
            let at = self.expected.partition_point(|other| other.seq <= expected.seq);
            self.expected.insert(at, expected);
        } else if expected.seq == head.seq && expected.hash != head.hash && self.mismatch.is_none() {
            self.mismatch = Some(Mismatch { seq: head.seq, at: self.at, checkpoint: expected.checkpoint });
        }
    }

    /// The head stays: what was in doubt about it and its rival is decided.
    fn settle(&mut self, scope: &Scope, out: &mut Vec<Finding>) {
        if let Some(rival) = self.rival.take() {
            out.push(inserted(&rival, scope));
        }
        if let Some(Suspect { link, before, before_at }) = self.suspect.take() {
            out.push(altered(&link, &before, before_at, self.base_seq, scope));
        }
        self.settle_mismatch(scope, out);
    }

    /// A head that is not the signed one was built upon: the stream was written anew.
    fn settle_mismatch(&mut self, scope: &Scope, out: &mut Vec<Finding>) {
        let Some(mismatch) = self.mismatch.take() else { return };
        if std::mem::replace(&mut self.is_diverged, true) {
            return;
        }
        let message = match mismatch.checkpoint {
            Some(number) => format!("it is not the line that checkpoint {number} signed"),
            None => "it is not the line that is expected from outside".to_owned(),
        };
        let finding =
            Finding::new(Verdict::HeadMismatch, message).at(mismatch.at).stream(scope, mismatch.seq);
        out.push(match mismatch.checkpoint {
            Some(number) => finding.checkpoint(number),
            None => finding,
        });
    }

    /// The log is at its end: what was open is decided.
    pub(super) fn finish(&mut self, head: &mut Head, scope: &Scope, out: &mut Vec<Finding>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.sort_by_key(|early| early.seq);
        for early in ahead {
            if early.seq <= head.seq {
                self.line_out_of_place(early, head, scope, out);
            } else {
                self.accept_early(early, head, scope, out);
            }
        }
        self.settle(scope, out);
        self.gaps.sort_unstable();
        for (first, last, at) in self.gaps.drain(..) {
            let message = match first == last {
                true => format!("event {first} is not there"),
                false => format!("{} events are not there", last - first + 1),
            };
            out.push(Finding::new(Verdict::MissingEvents, message).at(at).stream(scope, first).through(last));
        }
        self.finish_expected(head, scope, out);
    }

    fn finish_expected(&mut self, head: &Head, scope: &Scope, out: &mut Vec<Finding>) {
        let mut signed =
            self.expected.iter().filter_map(|expected| Some((expected.seq, expected.checkpoint?)));
        if let Some((last, number)) = signed.next_back() {
            let finding = if head.seq == 0 {
                let message = format!("the log has no line of it; checkpoint {number} lists {last}");
                Finding::new(Verdict::StreamDeleted, message).stream(scope, 1)
            } else {
                let message = format!("the stream ends with {}; checkpoint {number} lists {last}", head.seq);
                Finding::new(Verdict::MissingEvents, message).at(self.at).stream(scope, head.seq + 1)
            };
            out.push(finding.checkpoint(number).through(last));
        }
        for expected in self.expected.drain(..).filter(|expected| expected.checkpoint.is_none()) {
            let message = format!("the stream ends with {}, {} is expected", head.seq, expected.seq);
            out.push(Finding::new(Verdict::HeadOlder, message).stream(scope, expected.seq));
        }
    }
}

fn inserted(link: &Link, scope: &Scope) -> Finding {
    let message = "another line has this place in the chain";
    Finding::new(Verdict::InsertedLine, message).at(link.at).stream(scope, link.seq)
}

/// A line is not chained to the one before it: either of the two was altered. The one before is named,
/// as the next line bears no other mark; if the line itself was altered, the line after it tells too.
fn altered(link: &Link, head: &Head, at: LogPosition, base_seq: u64, scope: &Scope) -> Finding {
    if head.seq == base_seq {
        let message = match base_seq {
            0 => "it does not begin the stream of this ledger and scope",
            _ => "it does not continue the stream from the cut",
        };
        return Finding::new(Verdict::AlteredLine, message).at(link.at).stream(scope, link.seq);
    }
    let message = format!("it, or `prev` in {}, was altered", link.seq);
    Finding::new(Verdict::AlteredLine, message).at(at).stream(scope, head.seq)
}
