//! Dead letters are offered again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Forwarding;
use crate::sinks::{Ack, Entry};

/// How far a pass over the dead letters is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redelivery {
    /// Where the next one stands in their file.
    next: u64,
    /// Those that are kept from here on came after it was asked for.
    end: u64,
}

impl Forwarding {
    /// Offers the next batch of dead letters. What the sink takes is marked before the next batch; a failure ends the
    /// pass, so that an entry that a sink can never take holds up no other for longer than an attempt.
    pub(super) fn redeliver(&mut self) {
        let is_asked = std::mem::take(&mut self.shared.lock().is_redelivery_asked);
        let begin = Redelivery { next: 0, end: self.letters.end() };
        let pass = match self.redelivery.take() {
            Some(pass) if !is_asked => pass,
            _ => begin,
        };
        let settings = &self.shared.settings;
        let taken = self.letters.batch(pass.next..pass.end, settings.batch_entries, settings.batch_bytes);
        let (letters, next) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                return self.end_pass(format!("read the dead letters of sink {}: {error}", settings.name));
            }
        };
        let entries = letters.iter().filter_map(|(at, letter)| Some((*at, letter.entry(self.ledger_id)?)));
        let (places, entries): (Vec<u64>, Vec<Entry>) = entries.unzip();
        if !entries.is_empty() {
            self.report_call(true);
            let appended = catch_unwind(AssertUnwindSafe(|| self.sink.append(&entries)));
            self.report_call(false);
            match appended {
                Ok(Ok(ack)) => {
                    if !self.taken(&places, &ack) {
                        return;
                    }
                }
                // Their places in the file stay as they were: whoever asks again offers them again.
                Ok(Err(error)) => return self.failed(&error),
                Err(panic) => return self.panicked("when it was given dead letters", &*panic),
            }
        }
        self.redelivery =
            (next < pass.end && self.letters.count() > 0).then_some(Redelivery { next, ..pass });
    }

    /// The sink has these letters, but for what it refused again; whether that is marked.
    fn taken(&mut self, places: &[u64], ack: &Ack) -> bool {
        let is_refused = |at: usize| ack.rejected.iter().any(|rejected| rejected.index == at);
        let accepted = places.iter().enumerate().filter(|(at, _)| !is_refused(*at));
        let accepted: Vec<u64> = accepted.map(|(_, place)| *place).collect();
        let settings = &self.shared.settings;
        let (now_us, count) = (settings.time.wall_us(), accepted.len() as u64);
        let Some(open) = self.gate.pass() else { return false };
        if let Err(error) = self.letters.mark(accepted, now_us) {
            drop(open);
            self.end_pass(format!("mark the dead letters of sink {} that it took: {error}", settings.name));
            return false;
        }
        drop(open);
        let dead_letters = self.letters.count();
        self.succeeded();
        self.shared.report(|state| {
            state.last_write_us = Some(now_us);
            state.counts.forwarded += count;
            state.counts.redelivered += count;
            state.counts.duplicates += ack.duplicates;
            state.counts.dead_letters = dead_letters;
        });
        true
    }

    fn end_pass(&mut self, reason: String) {
        self.redelivery = None;
        self.retry(reason);
    }
}
