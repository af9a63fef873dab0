//! Keeps a read model's state fresh, and persists it.

use std::collections::BTreeMap;
use std::fmt;

use super::snapshot::{LedgerCursor, Snapshot};
use super::{ReadModel, SnapshotStore};
use crate::ids::LedgerId;
use crate::ledger_set::{Member, SetScope, Unread, chain};
use crate::query::{ReadError, Selection};

/// Events read since the last snapshot before the next is written.
const SAVE_EVERY: u64 = 10_000;

/// The state of a read model over one scope.
///
/// [`refresh`](Self::refresh) reads what is new, at a cost that depends on nothing else. A state is what
/// folding all events from the start would give, or it says in [`Refreshed::unread`] what is missing.
pub struct Folded<M: ReadModel> {
    model: M,
    scope: SetScope,
    store: Option<SnapshotStore>,
    save_every: u64,
    snapshot: Snapshot<M::State>,
    /// Of each ledger, under which generation of its log the cursor was found in it.
    checked: BTreeMap<LedgerId, u64>,
    unsaved: u64,
    start: Start,
    last: Refreshed,
}

/// Where a fold began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// From the first event: there was no snapshot.
    Zero,
    /// From a snapshot.
    Snapshot,
    /// From the first event, because what was there could not be used.
    Refused {
        /// Why not.
        reason: String,
    },
}

/// What a refresh did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refreshed {
    /// Events that were read, whether the model selects them or not.
    pub new_events: u64,
    /// What could not be read; the state lacks it. Empty when the state is complete.
    pub unread: Vec<Unread>,
    /// Whether a snapshot was written.
    pub is_saved: bool,
    /// Why a snapshot could not be written. The state is right all the same.
    pub save_error: Option<String>,
}

/// Why a stream could not be folded on.
enum Stopped {
    /// The log is not the one that the state was folded from.
    NotContinued(String),
    /// It cannot be read.
    Unread(Unread),
}

impl<M: ReadModel> Folded<M> {
    /// Begins from the snapshot in a store, or from zero, and folds what there is.
    ///
    /// # Errors
    ///
    /// [`ReadError::OperatorOnly`] for `$system` by its tenant and env. What else cannot be read is in
    /// [`last_refresh`](Self::last_refresh).
    pub fn open(scope: &SetScope, model: M, store: &SnapshotStore) -> Result<Self, ReadError> {
        Self::begin(scope, model, Some(store.clone()), SAVE_EVERY)
    }

    /// As [`open`](Self::open), without snapshots: folds from zero.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn in_memory(scope: &SetScope, model: M) -> Result<Self, ReadError> {
        Self::begin(scope, model, None, SAVE_EVERY)
    }

    /// Sets after how many events a refresh writes a snapshot. Defaults to 10,000; at least 1.
    pub fn save_every(mut self, events: u64) -> Self {
        self.save_every = events.max(1);
        self
    }

    fn begin(
        scope: &SetScope,
        model: M,
        store: Option<SnapshotStore>,
        save_every: u64,
    ) -> Result<Self, ReadError> {
        scope.check()?;
        let mut folded = Self {
            model,
            scope: scope.clone(),
            store,
            save_every,
            snapshot: Snapshot::default(),
            checked: BTreeMap::new(),
            unsaved: 0,
            start: Start::Zero,
            last: Refreshed::default(),
        };
        folded.load();
        folded.refresh();
        Ok(folded)
    }

    fn load(&mut self) {
        let Some(store) = &self.store else { return };
        let scope = self.scope.scope();
        let decoded = match store.load(scope, M::NAME, &self.model.config()) {
            Ok(None) => return,
            Ok(Some(bytes)) => Snapshot::decode(&bytes, &self.model, scope),
            Err(error) => Err(format!("read the snapshot: {error}")),
        };
        match decoded {
            Ok(snapshot) => (self.snapshot, self.start) = (snapshot, Start::Snapshot),
            Err(reason) => self.start = Start::Refused { reason },
        }
    }

    /// Folds what is new, and writes a snapshot once enough was.
    pub fn refresh(&mut self) -> &Refreshed {
        self.last = Refreshed::default();
        // Begun anew, no cursor is left that a log could contradict; logs may still change meanwhile.
        for _ in 0..3 {
            match self.fold() {
                Ok(()) => break,
                Err(reason) => {
                    self.snapshot = Snapshot::default();
                    self.checked.clear();
                    self.start = Start::Refused { reason };
                    self.last = Refreshed::default();
                }
            }
        }
        if self.unsaved >= self.save_every {
            self.save_now();
        }
        &self.last
    }

    /// Writes a snapshot now, if anything is not in one: before the process ends, say.
    pub fn save(&mut self) -> &Refreshed {
        if self.unsaved > 0 {
            self.save_now();
        }
        &self.last
    }

    fn save_now(&mut self) {
        let Some(store) = &self.store else { return };
        let scope = self.scope.scope();
        let saved = match self.snapshot.encode(&self.model, scope) {
            Ok(bytes) => store.save(scope, M::NAME, &self.model.config(), &bytes).map_err(|error| {
                format!("write the snapshot of {} in {}: {error}", M::NAME, store.path().display())
            }),
            Err(error) => Err(format!("serialise the state of {}: {error}", M::NAME)),
        };
        self.last.is_saved = saved.is_ok();
        self.last.save_error = saved.err();
        if self.last.is_saved {
            self.unsaved = 0;
        }
    }

    /// Folds each ledger; the order of ledgers does not matter. The error says why to begin anew.
    fn fold(&mut self) -> Result<(), String> {
        let found = self.scope.set.members.refresh();
        if let Some(gone) = self.snapshot.ledgers.keys().find(|ledger_id| !found.knows(**ledger_id)) {
            return Err(format!("ledger {gone} is not in the set any more"));
        }
        self.last.unread = found.unread;
        for member in &found.members {
            match self.fold_ledger(member) {
                Ok(()) => {}
                Err(Stopped::NotContinued(reason)) => return Err(reason),
                Err(Stopped::Unread(unread)) => self.last.unread.push(unread),
            }
        }
        Ok(())
    }

    fn fold_ledger(&mut self, member: &Member) -> Result<(), Stopped> {
        let ledger_id = member.ledger_id;
        let unread = |error: ReadError| {
            Stopped::Unread(Unread::new(Some(ledger_id), member.path.as_deref(), &chain(&error)))
        };
        let stale = |seq: u64| {
            Stopped::NotContinued(format!(
                "ledger {ledger_id} does not continue from event {seq} as it was folded"
            ))
        };
        let mut cursor = self.snapshot.ledgers.get(&ledger_id).copied();
        if let Some(cursor) = cursor
            && self.checked.get(&ledger_id) != Some(&member.generation)
        {
            let mut selection = self.selection(member);
            selection.filter.after_seq = Some(cursor.seq.saturating_sub(1));
            selection.filter.before_seq = cursor.seq.checked_add(1);
            match selection.iter().next().transpose().map_err(unread)? {
                Some(event) if event.hash() == cursor.hash => {}
                _ => return Err(stale(cursor.seq)),
            }
        }
        self.checked.insert(ledger_id, member.generation);
        let mut selection = self.selection(member);
        selection.filter.after_seq = cursor.map(|cursor| cursor.seq);
        for event in selection.iter() {
            let stored = event.map_err(unread)?;
            let event = &stored.event;
            if let Some(cursor) = cursor
                && (event.prev != cursor.hash || event.seq != cursor.seq + 1)
            {
                return Err(stale(cursor.seq));
            }
            if self.model.selects(event) {
                self.model.apply(&mut self.snapshot.state, event);
            }
            let folded = LedgerCursor { seq: event.seq, hash: stored.hash() };
            cursor = Some(folded);
            self.snapshot.ledgers.insert(ledger_id, folded);
            self.snapshot.as_of = self.snapshot.as_of.max(Some(event.recorded_at));
            self.snapshot.events += 1;
            self.unsaved += 1;
            self.last.new_events += 1;
        }
        Ok(())
    }

    fn selection(&self, member: &Member) -> Selection {
        self.scope.selection(member)
    }

    /// The state.
    pub fn state(&self) -> &M::State {
        &self.snapshot.state
    }

    /// When the newest event that was read was recorded, in microseconds since 1970 (UTC).
    pub fn as_of(&self) -> Option<i64> {
        self.snapshot.as_of
    }

    /// The state with how far each ledger was folded.
    pub fn snapshot(&self) -> &Snapshot<M::State> {
        &self.snapshot
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The scope.
    pub fn scope(&self) -> &SetScope {
        &self.scope
    }

    /// What the last refresh did.
    pub fn last_refresh(&self) -> &Refreshed {
        &self.last
    }

    /// Where the fold began.
    pub fn start(&self) -> &Start {
        &self.start
    }
}

impl<M: ReadModel> fmt::Debug for Folded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folded")
            .field("model", &M::NAME)
            .field("scope", self.scope.scope())
            .field("ledgers", &self.snapshot.ledgers)
            .field("as_of", &self.snapshot.as_of)
            .finish_non_exhaustive()
    }
}
