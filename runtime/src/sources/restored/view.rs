//! What a ledger set sees of restored ledgers, looked at anew only now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{LogGap, Restored};
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::sources::{SourceError, SourcePiece, SourceStart};

/// Whether a set has a ledger from elsewhere, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    No,
    /// A process writes it: what it holds is the newest.
    Written,
    /// Nobody does, and its log ends here.
    Until(LogPosition),
}

/// What the last look found.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The ledgers that are to be read from here, with what their logs lack.
    pub(crate) ledgers: BTreeMap<LedgerId, Option<LogGap>>,
    /// What could not be restored; without a ledger: the list of them.
    pub(crate) failed: Vec<(Option<LedgerId>, String)>,
}

#[derive(Default)]
pub(super) struct Looks {
    /// Held while somebody looks, so that it is done once.
    looking: Mutex<()>,
    last: Mutex<Option<(Instant, Arc<View>)>>,
    /// Whether the source has more of a log than ends at a place.
    longer: Mutex<BTreeMap<LedgerId, (LogPosition, bool)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Looks {
    fn last(&self, age: Duration) -> Option<Arc<View>> {
        let last = lock(&self.last);
        last.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, view)| Arc::clone(view))
    }
}

impl Restored {
    /// Restores what is not read from elsewhere, unless that was done lately. While another thread looks, what was
    /// found before it began is good enough.
    pub(crate) fn view(&self, elsewhere: &dyn Fn(LedgerId) -> Elsewhere) -> Arc<View> {
        if let Some(view) = self.looks.last(self.refresh_every) {
            return view;
        }
        let _looking = match (self.looks.looking.try_lock(), self.looks.last(Duration::MAX)) {
            (Ok(looking), _) => looking,
            (Err(_), Some(view)) => return view,
            (Err(_), None) => lock(&self.looks.looking),
        };
        if let Some(view) = self.looks.last(self.refresh_every) {
            return view;
        }
        let view = Arc::new(self.look(elsewhere));
        *lock(&self.looks.last) = Some((Instant::now(), Arc::clone(&view)));
        view
    }

    fn look(&self, elsewhere: &dyn Fn(LedgerId) -> Elsewhere) -> View {
        let mut view = View::default();
        let (listed, is_away) = match self.source.ledgers() {
            Ok(listed) => (listed, false),
            Err(error) => {
                let reason = crate::ledger_set::chain(&error);
                view.failed.push((None, format!("list the ledgers of the {}: {reason}", self.source.kind())));
                (self.kept(), true)
            }
        };
        if !is_away {
            // What was there before must not vanish in silence.
            for ledger_id in self.kept().into_iter().filter(|kept| !listed.contains(kept)) {
                if elsewhere(ledger_id) == Elsewhere::No {
                    let reason = format!("the {} does not hold it any more", self.source.kind());
                    view.failed.push((Some(ledger_id), reason));
                    view.ledgers.insert(ledger_id, None);
                }
            }
        }
        for ledger_id in listed {
            let wanted = match elsewhere(ledger_id) {
                Elsewhere::No => true,
                Elsewhere::Written => false,
                Elsewhere::Until(end) => !is_away && self.is_longer(ledger_id, end),
            };
            if !wanted {
                continue;
            }
            if is_away {
                view.ledgers.insert(ledger_id, None);
                continue;
            }
            match self.refresh_ledger(ledger_id) {
                Ok(ledger) => {
                    view.ledgers.insert(ledger_id, ledger.gap);
                }
                Err(error) => {
                    view.failed.push((Some(ledger_id), crate::ledger_set::chain(&error)));
                    // What was restored before can be read.
                    view.ledgers.insert(ledger_id, None);
                }
            }
        }
        view
    }

    /// The ledgers that are in the directory.
    fn kept(&self) -> Vec<LedgerId> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut kept: Vec<LedgerId> = entries
            .filter(|entry| entry.path().join(crate::log::RESTORED_NAME).exists())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        kept.sort_unstable();
        kept
    }

    /// Whether the source has bytes behind the end of a log that nobody writes. Asked once for each end.
    fn is_longer(&self, ledger_id: LedgerId, end: LogPosition) -> bool {
        if let Some((known, is_longer)) = lock(&self.looks.longer).get(&ledger_id)
            && *known == end
        {
            return *is_longer;
        }
        let mut is_longer = false;
        let start = SourceStart::new(end, u64::MAX);
        let read = self.source.read(ledger_id, &start, &mut |piece| match piece {
            SourcePiece::Log { position, bytes } => {
                let until = LogPosition { offset: position.offset + bytes.len() as u64, ..position };
                is_longer |= until > end;
                match is_longer {
                    true => Err(SourceError::Refused { reason: "enough is known".to_owned() }),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        });
        if read.is_ok() || is_longer {
            lock(&self.looks.longer).insert(ledger_id, (end, is_longer));
        }
        is_longer
    }
}
