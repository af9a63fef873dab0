//! The read models of one scope, kept between requests.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataset_events::read_models::{Folded, ReadModel, SnapshotStore};
use dataset_events::{ReadError, SetScope};

/// One model's state with the time of its last refresh.
struct Kept<M: ReadModel> {
    folded: Folded<M>,
    refreshed_at: Instant,
}

/// `None` until it is first read, and after a model has panicked: then it begins anew.
struct Slot<M: ReadModel>(Mutex<Option<Kept<M>>>);

/// A slot whose model's type is not known here.
trait AnySlot: Any + Send + Sync {
    fn save(&self);
}

impl<M: ReadModel> AnySlot for Slot<M> {
    fn save(&self) {
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A snapshot that cannot be written costs time at the next start, nothing else.
            kept.folded.save();
        }
    }
}

type Key = (TypeId, String);

/// The states of a scope's read models. One refresh of a model at a time: who comes meanwhile waits, and
/// takes what that refresh brought.
pub(super) struct ScopeModels {
    reader: SetScope,
    store: Option<SnapshotStore>,
    /// For so long a state is not refreshed again.
    fresh_for: Duration,
    slots: Mutex<HashMap<Key, Arc<dyn AnySlot>>>,
}

impl ScopeModels {
    pub(super) fn new(reader: SetScope, store: Option<SnapshotStore>, fresh_for: Duration) -> Self {
        Self { reader, store, fresh_for, slots: Mutex::default() }
    }

    pub(super) fn reader(&self) -> &SetScope {
        &self.reader
    }

    /// Folds what is new into the model's state, and reads it. Blocks.
    pub(super) fn fold<M: ReadModel, T>(
        &self,
        model: M,
        read: impl FnOnce(&Folded<M>) -> T,
    ) -> Result<T, ReadError> {
        let asked_at = Instant::now();
        let slot = self.slot::<M>((TypeId::of::<M>(), model.config().into_owned()));
        let mut guard = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic leaves `None`.
        let kept = match guard.take() {
            Some(mut kept) => {
                if kept.refreshed_at < asked_at && kept.refreshed_at.elapsed() >= self.fresh_for {
                    kept.refreshed_at = Instant::now();
                    kept.folded.refresh();
                }
                kept
            }
            None => Kept { refreshed_at: Instant::now(), folded: self.open(model)? },
        };
        let answer = read(&kept.folded);
        *guard = Some(kept);
        Ok(answer)
    }

    fn slot<M: ReadModel>(&self, key: Key) -> Arc<Slot<M>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slots.get(&key) {
            let known: Arc<dyn Any + Send + Sync> = known.clone();
            if let Ok(slot) = known.downcast::<Slot<M>>() {
                return slot;
            }
        }
        let slot = Arc::new(Slot::<M>(Mutex::new(None)));
        slots.insert(key, slot.clone());
        slot
    }

    fn open<M: ReadModel>(&self, model: M) -> Result<Folded<M>, ReadError> {
        match &self.store {
            Some(store) => Folded::open(&self.reader, model, store),
            None => Folded::in_memory(&self.reader, model),
        }
    }

    /// Writes snapshots of what is not in one.
    pub(super) fn save(&self) {
        let slots: Vec<_> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.values().cloned().collect()
        };
        slots.iter().for_each(|slot| slot.save());
    }
}

impl fmt::Debug for ScopeModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeModels").field("reader", &self.reader).finish_non_exhaustive()
    }
}
