//! The folded states of the scopes that were asked for, kept fresh.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dataset_events::read_models::{Folded, SnapshotStore};
use dataset_events::{LedgerSet, Scope, Unread};

use super::error::BossmanError;
use crate::read_models::Board;

/// The most scopes whose states are in memory; the one that was not asked for the longest goes.
const MAX_SCOPES: usize = 256;

/// One state a scope, in memory and, with a store, on disk.
pub(super) struct Boards {
    store: Option<SnapshotStore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    scopes: HashMap<Scope, Kept>,
    asked: u64,
}

struct Kept {
    board: Arc<Mutex<Option<Folded<Board>>>>,
    asked: u64,
}

impl Boards {
    pub(super) fn new(store: Option<SnapshotStore>) -> Self {
        Self { store, open: Mutex::new(Open::default()) }
    }

    pub(super) fn store(&self) -> Option<&SnapshotStore> {
        self.store.as_ref()
    }

    /// Folds what is new in a scope, and shows the state. Blocks while it reads.
    ///
    /// Who asks for a scope while it is being read waits, and finds the new state.
    pub(super) fn read<T>(
        &self,
        set: &LedgerSet,
        scope: &Scope,
        body: impl FnOnce(&Folded<Board>, &[Unread]) -> Result<T, BossmanError>,
    ) -> Result<T, BossmanError> {
        let (kept, surplus) = self.take(scope);
        if let Some(surplus) = surplus {
            // Unless somebody reads it, who has it still.
            if let Ok(mut board) = surplus.try_lock()
                && let Some(folded) = board.as_mut()
            {
                folded.save();
            }
        }
        let mut board = kept.lock().unwrap_or_else(|poisoned| {
            // A fold that panicked half-way is of no use; it begins anew.
            let mut board = PoisonError::into_inner(poisoned);
            *board = None;
            board
        });
        kept.clear_poison();
        let folded = match board.take() {
            Some(mut folded) => {
                folded.refresh();
                folded
            }
            None => self.begin(set, scope)?,
        };
        let folded = board.insert(folded);
        body(folded, &folded.last_refresh().unread)
    }

    /// Writes snapshots of what is not in one. Blocks.
    pub(super) fn save(&self) {
        let boards: Vec<_> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.scopes.values().map(|kept| Arc::clone(&kept.board)).collect()
        };
        for board in boards {
            // What a panic left half-way is begun anew by whoever reads it next.
            if let Ok(mut board) = board.lock()
                && let Some(folded) = board.as_mut()
            {
                folded.save();
            }
        }
    }

    fn begin(&self, set: &LedgerSet, scope: &Scope) -> Result<Folded<Board>, BossmanError> {
        let of_scope = set.scope(scope.tenant_id(), scope.env());
        let folded = match &self.store {
            Some(store) => Folded::open(&of_scope, Board, store),
            None => Folded::in_memory(&of_scope, Board),
        };
        folded.map_err(|error| BossmanError::unreadable("the ledgers", error))
    }

    /// The scope's state, and one that has to go for it.
    #[expect(clippy::type_complexity, reason = "two of the same, and used here alone")]
    fn take(
        &self,
        scope: &Scope,
    ) -> (Arc<Mutex<Option<Folded<Board>>>>, Option<Arc<Mutex<Option<Folded<Board>>>>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.asked += 1;
        let asked = open.asked;
        if let Some(kept) = open.scopes.get_mut(scope) {
            kept.asked = asked;
            return (Arc::clone(&kept.board), None);
        }
        let longest = match open.scopes.len() >= MAX_SCOPES {
            true => open.scopes.iter().min_by_key(|(_, kept)| kept.asked).map(|(scope, _)| scope.clone()),
            false => None,
        };
        let surplus = longest.and_then(|scope| open.scopes.remove(&scope)).map(|kept| kept.board);
        let board = Arc::default();
        open.scopes.insert(scope.clone(), Kept { board: Arc::clone(&board), asked });
        (board, surplus)
    }
}

impl fmt::Debug for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boards").field("store", &self.store).finish_non_exhaustive()
    }
}
