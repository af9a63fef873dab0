//! A sink in memory: for tests, and for programs that take entries on themselves.
//!
//! # What is written
//!
//! Every entry as it is: kind, key, place, exact bytes. Each key of a ledger once.
//!
//! # When it is durable
//!
//! Never: it ends with the process. The forwarder's cursor does not, so a sink that shall have everything again after
//! a restart is given a ledger without a directory, or is replayed.
//!
//! # What happens when it is full
//!
//! A sink that is bounded refuses the batch for now ([`SinkError::Retry`]), and the rest waits on the ledger's disk
//! until [`MemoryHeld::take`] makes room. Nothing is dropped.
//!
//! # How to read it back
//!
//! Through a [`MemoryHeld`], which can be had any number of times.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::known::Known;
use super::{Ack, Entry, EntryKey, EntryKind, Sink, SinkError};
use crate::ids::LedgerId;
use crate::log::LogPosition;

/// Stores entries in memory. See [the module](self).
///
/// ```
/// use dataset_events::sinks::memory::MemorySink;
/// use dataset_events::sinks::{Entry, EntryKind, Sink};
/// # let ledger_id = "0190b5a0-0000-7000-8000-000000000001".parse()?;
///
/// let mut sink = MemorySink::new();
/// let held = sink.held();
/// let identity = || vec![Entry::identity(ledger_id, b"{}\n".to_vec())];
/// sink.append(&identity())?;
/// assert_eq!(sink.append(&identity())?.duplicates, 1);
/// assert_eq!(held.entries()[0].kind, EntryKind::Identity);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemorySink {
    held: MemoryHeld,
    max_bytes: Option<usize>,
}

impl MemorySink {
    /// A sink that holds everything that it is given.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink that holds at most so many bytes of lines. One batch is taken whatever its size when the sink is empty,
    /// so that a large line cannot stop it for ever.
    pub fn bounded(max_bytes: usize) -> Self {
        Self { held: MemoryHeld::default(), max_bytes: Some(max_bytes) }
    }

    /// What it holds, now and later.
    pub fn held(&self) -> MemoryHeld {
        self.held.clone()
    }
}

impl Sink for MemorySink {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let mut inner = self.held.lock();
        let new: Vec<&Entry> = inner.new_of(batch);
        let bytes: usize = new.iter().map(|entry| entry.bytes().len()).sum();
        let is_over = |max: usize| inner.bytes.saturating_add(bytes) > max && !inner.entries.is_empty();
        if self.max_bytes.is_some_and(is_over) {
            let (holds, max) = (inner.bytes, self.max_bytes.unwrap_or_default());
            let reason = format!("it holds {holds} bytes of at most {max}; MemoryHeld::take makes room");
            return Err(SinkError::retry(format!("store {bytes} bytes in memory"), reason));
        }
        let duplicates = (batch.len() - new.len()) as u64;
        for entry in new {
            inner.push(entry);
        }
        Ok(Ack::all().with_duplicates(duplicates))
    }
}

/// An entry that a [`MemorySink`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldEntry {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// What it is.
    pub kind: EntryKind,
    /// Under what it is stored once.
    pub key: EntryKey,
    /// Its place, as [`Entry::position`] says it.
    pub position: LogPosition,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// What a [`MemorySink`] holds; all handles see the same.
#[derive(Debug, Clone, Default)]
pub struct MemoryHeld(Arc<Mutex<Inner>>);

impl MemoryHeld {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that it holds, in the order in which it came.
    pub fn entries(&self) -> Vec<HeldEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// The lines of the events that it holds, in the order in which they came.
    pub fn event_lines(&self) -> Vec<String> {
        let inner = self.lock();
        let events = inner.entries.iter().filter(|entry| entry.kind == EntryKind::Event);
        events.map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned()).collect()
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes out the oldest entries, at most so many. What was taken counts as stored: when it comes again, it is a
    /// duplicate.
    pub fn take(&self, max_entries: usize) -> Vec<HeldEntry> {
        let mut inner = self.lock();
        let count = max_entries.min(inner.entries.len());
        (0..count).filter_map(|_| inner.pop()).collect()
    }
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<HeldEntry>,
    keys: HashSet<(LedgerId, EntryKey)>,
    bytes: usize,
    /// Up to where entries were taken out. Memory stays bounded, however many were.
    taken: BTreeMap<LedgerId, Known>,
}

impl Inner {
    /// The entries of a batch that are not stored yet, each once.
    fn new_of<'a>(&self, batch: &'a [Entry]) -> Vec<&'a Entry> {
        let mut in_batch = HashSet::new();
        let is_new = |entry: &&Entry| {
            let key = (entry.ledger_id(), entry.key());
            let is_taken = self.taken.get(&key.0).is_some_and(|taken| taken.has(entry));
            !is_taken && !self.keys.contains(&key) && in_batch.insert(key)
        };
        batch.iter().filter(is_new).collect()
    }

    fn push(&mut self, entry: &Entry) {
        let (ledger_id, kind, key) = (entry.ledger_id(), entry.kind(), entry.key());
        self.keys.insert((ledger_id, key));
        self.bytes += entry.bytes().len();
        let bytes = entry.bytes().to_vec();
        self.entries.push_back(HeldEntry { ledger_id, kind, key, position: entry.position(), bytes });
    }

    fn pop(&mut self) -> Option<HeldEntry> {
        let entry = self.entries.pop_front()?;
        self.keys.remove(&(entry.ledger_id, entry.key));
        self.bytes -= entry.bytes.len();
        self.taken.entry(entry.ledger_id).or_default().note(entry.key, entry.position);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints(numbers: std::ops::Range<u64>) -> Vec<Entry> {
        let ledger_id = "0190b5a0-0000-7000-8000-000000000001".parse().unwrap();
        numbers
            .map(|number| Entry::checkpoint(ledger_id, number, LogPosition::START, vec![b'x'; 100]))
            .collect()
    }

    #[test]
    fn a_full_sink_waits_until_room_is_made() {
        let mut sink = MemorySink::bounded(350);
        let held = sink.held();
        assert_eq!(sink.append(&checkpoints(1..4)).unwrap(), Ack::all());
        let error = sink.append(&checkpoints(3..5)).unwrap_err();
        assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
        assert_eq!(error.to_string(), "store 100 bytes in memory");
        assert_eq!(held.len(), 3);
        // What is there already needs no room.
        assert_eq!(sink.append(&checkpoints(1..4)).unwrap().duplicates, 3);
        assert_eq!(held.take(1)[0].key, EntryKey::Checkpoint(1));
        assert_eq!(sink.append(&checkpoints(3..5)).unwrap().duplicates, 1);
        let keys: Vec<EntryKey> = held.entries().iter().map(|entry| entry.key).collect();
        assert_eq!(keys, [2, 3, 4].map(EntryKey::Checkpoint));
    }

    #[test]
    fn a_batch_over_the_bound_is_taken_by_an_empty_sink() {
        let mut sink = MemorySink::bounded(150);
        sink.append(&checkpoints(1..4)).unwrap();
        assert!(sink.append(&checkpoints(4..5)).is_err());
    }

    #[test]
    fn what_was_taken_is_a_duplicate_when_it_comes_again() {
        let mut sink = MemorySink::new();
        sink.append(&checkpoints(1..6)).unwrap();
        assert_eq!(sink.held().take(3).len(), 3);
        assert_eq!(sink.append(&checkpoints(1..7)).unwrap().duplicates, 5);
        assert_eq!(sink.held().take(usize::MAX).len(), 3);
        assert!(sink.held().is_empty());
    }
}
