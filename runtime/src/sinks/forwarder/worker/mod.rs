//! The thread of a sink.

mod outcome;
mod redeliver;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use self::outcome::panic_text;
use self::redeliver::Redelivery;
use super::backoff::Backoff;
use super::batch::Batch;
use super::cursor::{Cursor, fits};
use super::dead_letters::{DeadLetter, DeadLetters};
use super::follow::Follow;
use super::place::Place;
use super::shared::{Phase, Shared};
use super::state_file::{Gate, StateFile};
use super::status::message_of;
use crate::ids::LedgerId;
use crate::ledger::{DurableEnd, bytes_between};
use crate::log::LogPosition;
use crate::log::storage::Storage;
use crate::sinks::{Ack, Entry, Sink, SinkStart};

/// How long the cursor's file may be behind, and how many batches.
const SAVE_AFTER: Duration = Duration::from_secs(1);
const SAVE_BATCHES: u32 = 64;

/// Forwards the log to one sink until it is told to end.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Box<dyn Sink>,
    pub(super) ledger_id: LedgerId,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) gate: Gate,
}

enum Step {
    Open,
    Fill(DurableEnd),
    Append,
    Save,
    Redeliver,
    Replay(LogPosition),
    End,
}

impl Worker {
    pub(super) fn run(self) {
        let shared = Arc::clone(&self.shared);
        let _ends = Ends(Arc::clone(&shared));
        if let Some(mut forwarding) = Forwarding::begin(self) {
            forwarding.run();
        }
    }
}

/// Tells those who wait when the thread is gone, also when a mistake of ours ended it.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        let is_panic = std::thread::panicking();
        self.0.report(|state| {
            if is_panic {
                state.phase = Phase::Stopped { reason: "the forwarder panicked; its ledger is whole".into() };
            }
            state.is_ended = !is_panic || state.is_closing;
        });
    }
}

struct Forwarding {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    ledger_id: LedgerId,
    storage: Arc<dyn Storage>,
    gate: Gate,
    follow: Follow,
    cursor: Cursor,
    letters: DeadLetters,
    /// The dead letters that are being offered again.
    redelivery: Option<Redelivery>,
    /// Behind what was acknowledged.
    place: Place,
    batch: Option<Batch>,
    /// Read, and for the batch after this one.
    held: Option<Entry>,
    is_open: bool,
    backoff: Backoff,
    attempts: u64,
    /// When the next attempt is made; `None`: at once.
    retry_at: Option<Duration>,
    save_at: Option<Duration>,
    unsaved_batches: u32,
    /// An attempt failed while the ledger is being closed.
    has_given_up: bool,
}

impl Forwarding {
    /// Reads the cursor; tried until it can be read, or the ledger is closed.
    fn begin(worker: Worker) -> Option<Self> {
        let Worker { shared, sink, ledger_id, storage, gate } = worker;
        let settings = &shared.settings;
        let (min, max) = settings.backoff;
        let mut backoff = Backoff::new(min, max);
        let (cursor, letters, place) = loop {
            match read_files(&storage, &shared) {
                Ok(read) => break read,
                Err(error) => shared.note(format!("read the cursor of sink {}: {error}", settings.name)),
            }
            let time = &settings.time;
            let until = time.now() + backoff.next(time.random());
            let mut state = shared.lock();
            while !state.is_closing && time.now() < until {
                state = time.wait(state, &shared.work, Some(until));
            }
            if state.is_closing {
                return None;
            }
        };
        let place = place.unwrap_or(Place::START);
        let follow = Follow::new(Arc::clone(&storage), ledger_id, settings.surfaces.clone(), place.clone());
        backoff.reset();
        let mut forwarding = Self {
            shared: Arc::clone(&shared),
            sink,
            ledger_id,
            storage,
            gate,
            follow,
            cursor,
            letters,
            redelivery: None,
            place,
            batch: None,
            held: None,
            is_open: false,
            backoff,
            attempts: 0,
            retry_at: None,
            save_at: None,
            unsaved_batches: 0,
            has_given_up: false,
        };
        forwarding.measure();
        Some(forwarding)
    }

    fn run(&mut self) {
        loop {
            match self.next_step() {
                Step::Open => self.open(),
                Step::Fill(durable) => self.fill(&durable),
                Step::Append => self.append(),
                Step::Save => self.save(),
                Step::Redeliver => self.redeliver(),
                Step::Replay(position) => self.replay(position),
                Step::End => break,
            }
        }
        if self.save_at.is_some() {
            self.save();
        }
        self.report_call(true);
        let closed = catch_unwind(AssertUnwindSafe(|| self.sink.close()));
        self.report_call(false);
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.shared.note(format!("close: {}", message_of(&error))),
            Err(panic) => {
                self.shared.note(format!("the sink panicked when it was closed: {}", panic_text(&*panic)))
            }
        }
    }

    /// Sleeps until there is something to do.
    fn next_step(&mut self) -> Step {
        let shared = Arc::clone(&self.shared);
        let time = &shared.settings.time;
        let mut state = shared.lock();
        loop {
            let now = time.now();
            if state.is_abandoned || state.is_closing && (self.has_given_up || state.is_held()) {
                return Step::End;
            }
            if let Some(position) = state.replay.take() {
                return Step::Replay(position);
            }
            if std::mem::take(&mut state.is_resumed) {
                self.retry_at = None;
                if matches!(state.phase, Phase::Stopped { .. }) {
                    state.phase = Phase::Running;
                    self.is_open = false;
                }
            }
            let mut until = self.save_at;
            if until.is_some_and(|at| at <= now) || self.unsaved_batches >= SAVE_BATCHES {
                return Step::Save;
            }
            if state.is_held() {
                state.is_urgent = false;
                // How old the oldest line is can be told only when it was read.
                let has_room = self.batch.as_ref().is_none_or(|batch| !batch.is_full);
                if has_room && self.retry_at.is_none() && self.has_more(&state.durable) {
                    return Step::Fill(state.durable);
                }
            } else if let Some(at) = self.retry_at.filter(|at| *at > now) {
                if state.is_closing {
                    return Step::End;
                }
                until = earlier(until, at);
            } else {
                let has_more = self.has_more(&state.durable);
                let is_hurried = state.is_closing || state.is_urgent;
                let has_letters =
                    !state.is_closing && (state.is_redelivery_asked || self.redelivery.is_some());
                match &self.batch {
                    _ if has_letters => return if self.is_open { Step::Redeliver } else { Step::Open },
                    None if has_more => return Step::Fill(state.durable),
                    _ if !self.is_open => return Step::Open,
                    Some(batch) if batch.is_full => return Step::Append,
                    Some(_) if has_more => return Step::Fill(state.durable),
                    Some(batch) => {
                        let due = batch.begun + shared.settings.batch_age;
                        if is_hurried || due <= now {
                            return Step::Append;
                        }
                        until = earlier(until, due);
                    }
                    None if state.is_closing => return Step::End,
                    None => state.is_urgent = false,
                }
            }
            state = time.wait(state, &shared.work, until);
        }
    }

    fn has_more(&self, durable: &DurableEnd) -> bool {
        self.held.is_some() || self.follow.has_more(durable)
    }

    fn open(&mut self) {
        self.report_call(true);
        let mut file = StateFile::new(Arc::clone(&self.storage), &self.shared.settings, self.gate.clone());
        let start = SinkStart::new(self.ledger_id, &mut file);
        let opened = catch_unwind(AssertUnwindSafe(|| self.sink.open(&start)));
        self.report_call(false);
        match opened {
            Ok(Ok(())) => {
                self.is_open = true;
                self.follow.check_identity();
                self.succeeded();
            }
            Ok(Err(error)) => self.failed(&error),
            Err(panic) => self.panicked("when it was opened", &*panic),
        }
    }

    fn fill(&mut self, durable: &DurableEnd) {
        let settings = &self.shared.settings;
        let batch = self.batch.get_or_insert_with(|| Batch::new(self.place.clone(), settings.time.now()));
        if let Err(error) = batch.fill(&mut self.follow, &mut self.held, durable, settings) {
            self.retry(error.to_string());
            return;
        }
        if batch.is_empty() {
            // Nothing but lines that the sink does not want, or the end of a segment.
            let after = batch.after.clone();
            self.batch = None;
            if after != self.place {
                self.moved(after);
            }
            return;
        }
        let oldest_us = batch.oldest_us;
        let mut state = self.shared.lock();
        if state.oldest_us.is_none() {
            state.oldest_us = oldest_us;
        }
    }

    fn append(&mut self) {
        let Some(batch) = &mut self.batch else { return };
        batch.seal();
        if batch.entries.is_empty() {
            self.acknowledged(&Ack::all());
            return;
        }
        self.report_call(true);
        let Some(batch) = &self.batch else { return };
        let appended = catch_unwind(AssertUnwindSafe(|| self.sink.append(&batch.entries)));
        self.report_call(false);
        match appended {
            Ok(Ok(ack)) => self.acknowledged(&ack),
            Ok(Err(error)) => self.failed(&error),
            Err(panic) => self.panicked("when it was given a batch", &*panic),
        }
    }

    /// The sink has the batch, but for what it refused: that is kept before the cursor moves.
    fn acknowledged(&mut self, ack: &Ack) {
        let Some(batch) = &self.batch else { return };
        let settings = &self.shared.settings;
        let at_us = settings.time.wall_us();
        let mut letters = batch.unreadable.clone();
        for rejected in &ack.rejected {
            let Some(entry) = batch.entries.get(rejected.index) else {
                let (index, len) = (rejected.index, batch.entries.len());
                self.stop(format!(
                    "the sink refused entry {index} of a batch of {len}, which is a mistake in the sink"
                ));
                return;
            };
            letters.push(DeadLetter::of_entry(entry, rejected.reason.clone(), at_us));
        }
        if !letters.is_empty() {
            let Some(_open) = self.gate.pass() else { return };
            if let Err(error) = self.letters.keep(&letters) {
                drop(_open);
                self.retry(format!("write the dead letters of sink {}: {error}", settings.name));
                return;
            }
        }
        let Some(batch) = self.batch.take() else { return };
        let stored = (batch.entries.len() - ack.rejected.len()) as u64;
        let events = batch.after.events.saturating_sub(self.place.events);
        let dead_letters = self.letters.count();
        let now = settings.time.now();
        let mut state = self.shared.lock();
        state.last_write_us = Some(at_us);
        state.rate.count(now, events);
        state.counts.forwarded += stored;
        state.counts.duplicates += ack.duplicates;
        state.counts.dead_letters = dead_letters;
        state.counts.missed_segments += batch.missed_segments;
        drop(state);
        self.succeeded();
        self.moved(batch.after);
    }

    /// What lies before a place is done with.
    fn moved(&mut self, place: Place) {
        let bytes = bytes_between(&self.storage, self.place.position, place.position);
        self.place = place;
        self.unsaved_batches += 1;
        self.save_at.get_or_insert(self.shared.settings.time.now() + SAVE_AFTER);
        let dead_letters = self.letters.count();
        self.shared.report(|state| {
            state.acknowledged = self.place.position;
            state.acknowledged_events = self.place.events;
            state.acknowledged_bytes += i64::try_from(bytes).unwrap_or(i64::MAX);
            state.oldest_us = None;
            state.counts.dead_letters = dead_letters;
        });
    }

    /// Reports the place, wherever it was before.
    fn measure(&mut self) {
        let durable = self.shared.lock().durable;
        let behind = bytes_between(&self.storage, self.place.position, durable.position);
        let dead_letters = self.letters.count();
        self.shared.report(|state| {
            state.acknowledged = self.place.position;
            state.acknowledged_events = self.place.events;
            let (all, behind) = (i64::try_from(durable.bytes), i64::try_from(behind));
            state.acknowledged_bytes = all.unwrap_or(i64::MAX) - behind.unwrap_or(i64::MAX);
            state.oldest_us = None;
            state.counts.dead_letters = dead_letters;
        });
    }

    fn save(&mut self) {
        self.unsaved_batches = 0;
        let Some(_open) = self.gate.pass() else {
            self.save_at = None;
            return;
        };
        let saved = self.cursor.save(&self.place);
        drop(_open);
        match saved {
            Ok(()) => {
                self.save_at = None;
                self.shared.report(|state| state.saved = self.place.position);
            }
            Err(error) => {
                self.shared.note(format!("write the cursor of sink {}: {error}", self.shared.settings.name));
                let state = self.shared.lock();
                let is_closing = state.is_closing;
                drop(state);
                // It is only behind: what it does not say comes again.
                self.save_at = (!is_closing).then(|| self.shared.settings.time.now() + SAVE_AFTER);
            }
        }
    }

    fn replay(&mut self, position: LogPosition) {
        match self.place_at(position) {
            Ok(place) => {
                self.batch = None;
                self.held = None;
                self.follow.go_to(place.clone());
                self.place = place;
                self.measure();
                self.save();
            }
            Err(error) => self.shared.note(format!("replay from {position}: {error}")),
        }
    }

    /// The place at a position that lies before the present one.
    fn place_at(&self, position: LogPosition) -> std::io::Result<Place> {
        if position == LogPosition::START {
            return Ok(Place::START);
        }
        let events = super::scan::count_events(&self.storage, position, self.place.position)?;
        Ok(Place {
            position,
            events: self.place.events.saturating_sub(events),
            checkpoints_from: Some(position),
            ..Place::START
        })
    }

    fn report_call(&self, is_running: bool) {
        let time = &self.shared.settings.time;
        let call = is_running.then(|| (time.now(), time.wall_us()));
        self.shared.report(|state| state.call = call);
    }
}

type Files = (Cursor, DeadLetters, Option<Place>);

fn read_files(storage: &Arc<dyn Storage>, shared: &Shared) -> std::io::Result<Files> {
    let (cursor, place) = Cursor::open(Arc::clone(storage), &shared.settings)?;
    let letters = DeadLetters::open(Arc::clone(storage), &shared.settings.name)?;
    let durable = shared.lock().durable;
    let place = match place {
        Some(place) if fits(storage, &place, &durable)? => Some(place),
        Some(_) => {
            let name = &shared.settings.name;
            shared.note(format!("the cursor of sink {name} is of another log: it begins anew"));
            None
        }
        None => None,
    };
    shared.lock().saved = place.as_ref().map_or(LogPosition::START, |place| place.position);
    Ok((cursor, letters, place))
}

fn earlier(until: Option<Duration>, at: Duration) -> Option<Duration> {
    Some(until.map_or(at, |until| until.min(at)))
}
