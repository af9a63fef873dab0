//! Keeps a read model's state fresh, and persists it.

use std::collections::BTreeMap;
use std::fmt;

use super::snapshot::{LedgerCursor, Missing, Snapshot};
use super::store::Kind;
use super::{ReadModel, SnapshotStore};
use crate::ids::LedgerId;
use crate::ledger_set::{Member, SetScope, Unread, chain};
use crate::log::cut::{CUTS_NAME, cut_heads};
use crate::log::heads::Head;
use crate::query::{ReadError, Selection};

/// Events read since the last snapshot before the next is written.
const SAVE_EVERY: u64 = 10_000;

/// The state of a read model over one scope.
///
/// [`refresh`](Self::refresh) reads what is new, at a cost that depends on nothing else. A state is what
/// folding all events from the start would give, or it says what is missing: in [`Refreshed::unread`] what cannot be
/// read, in [`since`](Self::since) what was dropped before it was folded.
pub struct Folded<M: ReadModel> {
    model: M,
    scope: SetScope,
    store: Option<SnapshotStore>,
    save_every: u64,
    snapshot: Snapshot<M::State>,
    /// Of each ledger, under which generation of its log the cursor was found in it.
    checked: BTreeMap<LedgerId, u64>,
    /// Ledgers whose chain is broken, under which generation; they are not folded beyond that.
    broken: BTreeMap<LedgerId, (u64, Unread)>,
    unsaved: u64,
    start: Start,
    last: Refreshed,
    /// Of each ledger that was cut, what the scope's stream goes on from.
    begins: BTreeMap<LedgerId, KnownBegin>,
}

/// What was read of the cuts of a ledger.
#[derive(Clone, Copy)]
struct KnownBegin {
    /// The length of the file of cuts by then.
    cuts_bytes: u64,
    head: Option<Head>,
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
            broken: BTreeMap::new(),
            unsaved: 0,
            start: Start::Zero,
            last: Refreshed::default(),
            begins: BTreeMap::new(),
        };
        folded.load();
        folded.refresh();
        Ok(folded)
    }

    /// Begins from what lacks least: the cached snapshot, or the one that was carried over a cut.
    fn load(&mut self) {
        let (cached, carried) = (self.read(Kind::Cache), self.read(Kind::Carried));
        let chosen = match (cached, carried) {
            (Ok(Some(cached)), Ok(Some(carried))) => {
                let members = self.scope.set.members.refresh().members;
                match self.lacks(&carried, &members) < self.lacks(&cached, &members) {
                    true => Ok(Some(carried)),
                    false => Ok(Some(cached)),
                }
            }
            (Ok(Some(snapshot)), _) | (_, Ok(Some(snapshot))) => Ok(Some(snapshot)),
            (Ok(None), other) | (other, _) => other,
        };
        match chosen {
            Ok(None) => {}
            Ok(Some(snapshot)) => (self.snapshot, self.start) = (snapshot, Start::Snapshot),
            Err(reason) => self.start = Start::Refused { reason },
        }
    }

    fn read(&self, kind: Kind) -> Result<Option<Snapshot<M::State>>, String> {
        let Some(store) = &self.store else { return Ok(None) };
        let scope = self.scope.scope();
        match store.load(scope, M::NAME, &self.model.config(), kind) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => Snapshot::decode(&bytes, &self.model, scope).map(Some),
            Err(error) => Err(format!("read the snapshot: {error}")),
        }
    }

    /// How many events a fold from a snapshot on would lack: those that it lacks already, and those dropped since.
    fn lacks(&mut self, snapshot: &Snapshot<M::State>, members: &[Member]) -> u64 {
        let lacking: u64 = snapshot.missing.values().map(|missing| missing.events).sum();
        lacking + self.dropped_behind(&snapshot.ledgers, members)
    }

    fn dropped_behind(&mut self, cursors: &BTreeMap<LedgerId, LedgerCursor>, members: &[Member]) -> u64 {
        let dropped = members.iter().map(|member| {
            let begin = self.begin_of(member).ok().flatten().map_or(0, |head| head.seq);
            begin.saturating_sub(cursors.get(&member.ledger_id).map_or(0, |cursor| cursor.seq))
        });
        dropped.sum()
    }

    /// When events were dropped that are not in the state: takes what was carried over the cut, if that lacks less.
    fn take_carried(&mut self, members: &[Member]) {
        let current = std::mem::take(&mut self.snapshot);
        let is_behind = self.store.is_some() && self.dropped_behind(&current.ledgers, members) > 0;
        let carried = if is_behind { self.read(Kind::Carried).ok().flatten() } else { None };
        let is_better = |folded: &mut Self, carried: &Snapshot<M::State>| {
            folded.lacks(carried, members) < folded.lacks(&current, members)
        };
        match carried.filter(|carried| is_better(self, carried)) {
            Some(carried) => {
                self.snapshot = carried;
                self.checked.clear();
            }
            None => self.snapshot = current,
        }
    }

    /// What the scope's stream in a ledger goes on from, when its log was cut; read again when it is cut again.
    fn begin_of(&mut self, member: &Member) -> Result<Option<Head>, ReadError> {
        let storage = &*member.parts.storage;
        let failed = |source| ReadError::Log { attempted: format!("read {CUTS_NAME}"), source };
        let cuts_bytes = match storage.open(CUTS_NAME, false) {
            Ok(file) => file.len().map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if let Some(known) = self.begins.get(&member.ledger_id)
            && known.cuts_bytes == cuts_bytes
        {
            return Ok(known.head);
        }
        let cut = cut_heads(storage, member.ledger_id).map_err(failed)?;
        let head = cut.and_then(|mut cut| {
            let stream = cut.heads.stream_of(self.scope.scope());
            Some(*cut.heads.head(stream)).filter(|head| head.seq > 0)
        });
        self.begins.insert(member.ledger_id, KnownBegin { cuts_bytes, head });
        Ok(head)
    }

    /// Folds what is new, and writes a snapshot once enough was.
    pub fn refresh(&mut self) -> &Refreshed {
        self.last = Refreshed::default();
        if let Err(reason) = self.fold() {
            self.begin_anew(reason);
        }
        if self.unsaved >= self.save_every {
            self.save_now();
        }
        &self.last
    }

    /// Begins from what was carried over a cut, else from the first event that is there.
    fn begin_anew(&mut self, reason: String) {
        let carried = self.read(Kind::Carried).ok().flatten();
        let mut result = Err(reason.clone());
        for snapshot in carried.into_iter().chain([Snapshot::default()]) {
            self.start = match snapshot.ledgers.is_empty() {
                true => Start::Refused { reason: reason.clone() },
                false => Start::Snapshot,
            };
            self.snapshot = snapshot;
            self.checked.clear();
            self.last = Refreshed::default();
            result = self.fold();
            if result.is_ok() {
                break;
            }
        }
        // No cursor is left that a log could contradict, unless a log changes at this moment.
        if let Err(reason) = result {
            self.last.unread.push(Unread::new(None, None, &reason));
        }
    }

    /// Writes a snapshot now, if anything is not in one: before the process ends, say.
    pub fn save(&mut self) -> &Refreshed {
        if self.unsaved > 0 {
            self.save_now();
        }
        &self.last
    }

    fn save_now(&mut self) {
        if self.store.is_none() {
            return;
        }
        let saved = self.write(Kind::Cache);
        self.last.is_saved = saved.is_ok();
        self.last.save_error = saved.err();
        if self.last.is_saved {
            self.unsaved = 0;
        }
    }

    /// Writes the state to one of the model's files.
    pub(super) fn write(&self, kind: Kind) -> Result<(), String> {
        let Some(store) = &self.store else { return Ok(()) };
        let scope = self.scope.scope();
        match self.snapshot.encode(&self.model, scope) {
            Ok(bytes) => store.save(scope, M::NAME, &self.model.config(), kind, &bytes).map_err(|error| {
                format!("write the snapshot of {} in {}: {error}", M::NAME, store.path().display())
            }),
            Err(error) => Err(format!("serialise the state of {}: {error}", M::NAME)),
        }
    }

    /// Folds each ledger; the order of ledgers does not matter. The error says why to begin anew.
    fn fold(&mut self) -> Result<(), String> {
        let found = self.scope.set.members.refresh();
        if let Some(gone) = self.snapshot.ledgers.keys().find(|ledger_id| !found.knows(**ledger_id)) {
            return Err(format!("ledger {gone} is not in the set any more"));
        }
        self.last.unread = found.unread;
        self.take_carried(&found.members);
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
        if let Some((generation, broken)) = self.broken.get(&ledger_id)
            && *generation == member.generation
            && self.snapshot.ledgers.contains_key(&ledger_id)
        {
            return Err(Stopped::Unread(broken.clone()));
        }
        let begin = self.begin_of(member).map_err(unread)?;
        if let Some(begin) = begin {
            match self.snapshot.ledgers.get(&ledger_id) {
                Some(cursor) if cursor.seq > begin.seq => {}
                Some(cursor) if cursor.seq == begin.seq && cursor.hash != begin.hash => {
                    return Err(stale(cursor.seq));
                }
                cursor => {
                    let known = cursor.map_or(0, |cursor| cursor.seq);
                    self.go_on_from(ledger_id, known, &begin);
                    self.checked.insert(ledger_id, member.generation);
                }
            }
        }
        let mut cursor = self.snapshot.ledgers.get(&ledger_id).copied();
        let carried = cursor;
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
                && (event.prev != cursor.hash || cursor.seq.checked_add(1) != Some(event.seq))
            {
                if self.begin_of(member).map_err(unread)? != begin {
                    // What was to follow was dropped meanwhile.
                    return self.fold_ledger(member);
                }
                if carried == Some(cursor) {
                    return Err(stale(cursor.seq));
                }
                // Both were read just now: it is the log itself that does not hold together.
                let reason =
                    format!("event {} does not follow event {}; run `verify`", event.seq, cursor.seq);
                let unread = Unread::new(Some(ledger_id), member.path.as_deref(), &reason);
                self.broken.insert(ledger_id, (member.generation, unread.clone()));
                return Err(Stopped::Unread(unread));
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

    /// Goes on behind events that were dropped; those that were not folded are missing from now on.
    fn go_on_from(&mut self, ledger_id: LedgerId, known: u64, begin: &Head) {
        let lacking = begin.seq - known;
        if lacking > 0 {
            let missing = self.snapshot.missing.entry(ledger_id).or_insert(Missing { events: 0, until: 0 });
            missing.events += lacking;
            missing.until = missing.until.max(begin.recorded_at);
            self.unsaved += 1;
        }
        self.snapshot.ledgers.insert(ledger_id, LedgerCursor { seq: begin.seq, hash: begin.hash });
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

    /// From when on the state is complete: what was recorded up to then, in microseconds since 1970 (UTC), was in part
    /// dropped before it could be folded. `None`: the state is what folding every event from the first gives.
    ///
    /// [`Snapshot::missing`] says how much is missing, and of which ledgers. A model that is carried over cuts (see
    /// [`Ledger::carry`](crate::Ledger::carry)) misses nothing; a new model, or a new version of one, begins at the cut.
    pub fn since(&self) -> Option<i64> {
        self.snapshot.missing.values().map(|missing| missing.until).max()
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
