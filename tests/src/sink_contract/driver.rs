//! Drives a sink by hand, as the forwarder would.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use dataset_events::LedgerId;
use dataset_events::sinks::{Ack, Entry, EntryKey, MemoryState, Sink, SinkError, SinkStart};

use super::cut::LedgerCut;
use super::target::Target;

/// How long a batch is tried for.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// A sink, and what it said so far.
pub struct Driver {
    sink: Option<Box<dyn Sink>>,
    ledger_id: LedgerId,
    state: MemoryState,
    is_open: bool,
    time_limit: Duration,
    secrets: Vec<String>,
    /// The keys of the entries that were rejected, with the reasons.
    pub rejected: Vec<(EntryKey, String)>,
    /// The entries that were said to be there already.
    pub duplicates: u64,
    /// What failed so far, the newest last.
    pub errors: Vec<String>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("rejected", &self.rejected).field("errors", &self.errors).finish()
    }
}

impl Driver {
    /// Drives a new sink on a target, which remembers nothing.
    pub fn new(target: &dyn Target, ledger_id: LedgerId) -> Self {
        Self::with_state(target, ledger_id, MemoryState::default())
    }

    /// Drives a new sink on a target, which remembers what an earlier one saved.
    pub fn with_state(target: &dyn Target, ledger_id: LedgerId, state: MemoryState) -> Self {
        Self {
            sink: Some(target.sink()),
            ledger_id,
            state,
            is_open: false,
            time_limit: target.time_limit(),
            secrets: target.secrets(),
            rejected: Vec::new(),
            duplicates: 0,
            errors: Vec::new(),
        }
    }

    /// The sink goes without being closed, as in a process that dies; what it saved remains.
    pub fn killed(self) -> MemoryState {
        self.state
    }

    /// Opens the sink if it has to be, and appends once.
    ///
    /// # Errors
    ///
    /// What the sink says.
    ///
    /// # Panics
    ///
    /// When the sink does not return within the target's time limit, rejects what is not in the batch, or tells a
    /// secret.
    pub fn try_append(&mut self, batch: Vec<Entry>) -> Result<Ack, SinkError> {
        let (keys, len) = (batch.iter().map(Entry::key).collect::<Vec<_>>(), batch.len());
        // Opening and appending are a limit each.
        let within = self.time_limit * if self.is_open { 1 } else { 2 };
        let mut sink = self.sink.take().expect("the sink came back from the call before");
        let (mut state, ledger_id, is_open) = (self.state.clone(), self.ledger_id, self.is_open);
        let (done, returned) = channel();
        thread::spawn(move || {
            let opened = if is_open { Ok(()) } else { sink.open(&SinkStart::new(ledger_id, &mut state)) };
            let is_open = opened.is_ok();
            let result = opened.and_then(|()| sink.append(&batch));
            // Whoever waited too long is gone.
            let _ = done.send((sink, is_open, result));
        });
        let (sink, is_open, result) = match returned.recv_timeout(within) {
            Ok(returned) => returned,
            Err(RecvTimeoutError::Timeout) => panic!("an append of {len} did not return within {within:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the sink panicked"),
        };
        self.sink = Some(sink);
        self.is_open = is_open && !matches!(result, Err(SinkError::Reopen { .. }));
        match &result {
            Ok(ack) => self.note(ack, &keys),
            Err(error) => self.note_error(error),
        }
        result
    }

    fn note(&mut self, ack: &Ack, keys: &[EntryKey]) {
        let mut places: Vec<usize> = ack.rejected.iter().map(|rejected| rejected.index).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), ack.rejected.len(), "an entry is rejected once: {ack:?}");
        let len = keys.len();
        assert!(places.last().is_none_or(|place| *place < len), "rejected what is not in the batch: {ack:?}");
        assert!(ack.duplicates <= len as u64, "more duplicates than entries, {len}: {ack:?}");
        self.duplicates += ack.duplicates;
        for rejected in &ack.rejected {
            assert!(
                !rejected.reason.trim().is_empty(),
                "a rejection without a reason: {:?}",
                keys[rejected.index]
            );
            self.assert_no_secret(&rejected.reason);
            self.rejected.push((keys[rejected.index], rejected.reason.clone()));
        }
    }

    fn note_error(&mut self, error: &SinkError) {
        let mut text = error.to_string();
        assert!(!text.trim().is_empty(), "an error that does not say what was attempted: {error:?}");
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        self.assert_no_secret(&text);
        self.assert_no_secret(&format!("{error:?}"));
        self.errors.push(text);
    }

    fn assert_no_secret(&self, text: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "a secret is told: {text}");
        }
    }

    /// Appends until it is acknowledged.
    ///
    /// # Panics
    ///
    /// When the sink says `Fatal`, or does not acknowledge within 90 seconds.
    pub fn append(&mut self, batch: impl Fn() -> Vec<Entry>) -> Ack {
        let since = Instant::now();
        loop {
            match self.try_append(batch()) {
                Ok(ack) => return ack,
                Err(SinkError::Fatal { .. }) => panic!("the sink gave up: {:?}", self.errors.last()),
                Err(_) if since.elapsed() > PATIENCE => {
                    panic!("the sink did not acknowledge within {PATIENCE:?}: {:?}", self.errors.last())
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Appends a part of a ledger in batches of `batch_entries`, each until it is acknowledged.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn forward(&mut self, cut: &LedgerCut, part: std::ops::Range<usize>, batch_entries: usize) {
        for pieces in cut.pieces[part].chunks(batch_entries) {
            self.append(|| pieces.iter().map(|piece| piece.entry(cut.ledger_id)).collect());
        }
    }

    /// Appends a whole ledger in batches of `batch_entries`.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append), and when an entry was rejected.
    pub fn forward_all(&mut self, cut: &LedgerCut, batch_entries: usize) {
        self.forward(cut, 0..cut.pieces.len(), batch_entries);
        self.assert_nothing_rejected();
    }

    /// Asserts that every entry was taken.
    ///
    /// # Panics
    ///
    /// When one was rejected.
    pub fn assert_nothing_rejected(&self) {
        assert!(self.rejected.is_empty(), "rejected what a ledger writes: {:?}", self.rejected);
    }

    /// Closes the sink.
    ///
    /// # Panics
    ///
    /// When it cannot be closed.
    pub fn close(mut self) {
        let mut sink = self.sink.take().expect("the sink came back from the call before");
        sink.close().unwrap_or_else(|error| panic!("close the sink: {error:?}"));
    }
}
