//! A batch: what goes to the sink at once.

use std::time::Duration;

use super::dead_letters::DeadLetter;
use super::follow::{Follow, Next, ReadFailed};
use super::place::{Place, PlacedHash};
use super::spec::Settings;
use crate::ledger::DurableEnd;
use crate::log::line::line_recorded_at;
use crate::sinks::{Entry, EntryKind};

/// Bytes of lines that are passed over before the thread looks up.
const MAX_PASSED_BYTES: usize = 16 << 20;

/// Entries that are appended together.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    /// What no entry could be made of.
    pub(super) unreadable: Vec<DeadLetter>,
    /// Segments that were gone.
    pub(super) missed_segments: u64,
    /// Behind all of it.
    pub(super) after: Place,
    last_line: Option<PlacedHash>,
    /// When it was begun, on the sink's clock.
    pub(super) begun: Duration,
    /// When its first event was recorded.
    pub(super) oldest_us: Option<i64>,
    pub(super) is_full: bool,
}

impl Batch {
    pub(super) fn new(after: Place, begun: Duration) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            unreadable: Vec::new(),
            missed_segments: 0,
            last_line: after.last_line,
            after,
            begun,
            oldest_us: None,
            is_full: false,
        }
    }

    /// Whether there is nothing to append or to note.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unreadable.is_empty() && self.missed_segments == 0
    }

    /// Takes what is there until the batch is full. What does not fit any more is left in `held`.
    pub(super) fn fill(
        &mut self,
        follow: &mut Follow,
        held: &mut Option<Entry>,
        durable: &DurableEnd,
        settings: &Settings,
    ) -> Result<(), ReadFailed> {
        let mut passed = 0;
        while !self.is_full && passed < MAX_PASSED_BYTES {
            let mut is_end = false;
            let next = match held.take() {
                Some(entry) => Next::Entry(entry),
                None => follow.next(durable)?,
            };
            match next {
                Next::Entry(entry) => {
                    let is_over = self.bytes + entry.bytes().len() > settings.batch_bytes;
                    if is_over && !self.entries.is_empty() {
                        *held = Some(entry);
                        self.is_full = true;
                        break;
                    }
                    self.take(entry);
                    self.is_full = is_over || self.entries.len() >= settings.batch_entries;
                }
                Next::Passed(bytes) => passed += bytes,
                Next::Unreadable(line, reason) => {
                    let at_us = settings.time.wall_us();
                    self.bytes += line.bytes.len();
                    self.unreadable.push(DeadLetter::unreadable(line.position, &line.bytes, reason, at_us));
                    self.is_full =
                        self.bytes > settings.batch_bytes || self.unreadable.len() >= settings.batch_entries;
                }
                Next::Missed(segments) => self.missed_segments += u64::from(segments),
                Next::End => is_end = true,
            }
            // Also at the end: behind a full segment it is the start of the next one.
            self.after = follow.place().clone();
            self.after.last_line = self.last_line;
            if is_end {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry) {
        self.bytes += entry.bytes().len();
        if self.oldest_us.is_none() && matches!(entry.kind(), EntryKind::Event | EntryKind::Attempt) {
            self.oldest_us = line_recorded_at(entry.bytes());
        }
        self.entries.push(entry);
    }

    /// Notes by which line the place behind the batch can be known again.
    pub(super) fn seal(&mut self) {
        if let Some(line) = self.entries.iter().rev().find_map(Follow::last_line) {
            self.last_line = Some(line);
            self.after.last_line = Some(line);
        }
    }
}
