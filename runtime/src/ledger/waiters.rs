//! Callers that wait for an fsync: by thread or by waker.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::shared::lock;
use crate::ids::EventId;
use crate::journal::record::Kind;

/// The state of one wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Durable,
    Failed,
}

/// One caller's wait for one record.
#[derive(Default)]
pub(crate) struct DurableSlot {
    state: Mutex<(Option<Settled>, Option<Waker>)>,
    changed: Condvar,
}

impl DurableSlot {
    pub(crate) fn settle(&self, settled: Settled) {
        let waker = {
            let mut state = lock(&self.state);
            if state.0.is_none() {
                state.0 = Some(settled);
            }
            state.1.take()
        };
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn wait(&self) -> Settled {
        let mut state = lock(&self.state);
        loop {
            if let Some(settled) = state.0 {
                return settled;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Settled> {
        let mut state = lock(&self.state);
        if let Some(settled) = state.0 {
            return Poll::Ready(settled);
        }
        match &mut state.1 {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Waits by record.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Mutex<HashMap<(EventId, u8), Arc<DurableSlot>>>,
}

impl Waiters {
    pub(crate) fn register(&self, event_id: EventId, kind: Kind) -> Arc<DurableSlot> {
        let slot = Arc::<DurableSlot>::default();
        lock(&self.waiting).insert((event_id, kind as u8), Arc::clone(&slot));
        slot
    }

    /// Takes the wait for a record, to be settled when its line is durable.
    pub(crate) fn take(&self, event_id: EventId, kind: Kind) -> Option<Arc<DurableSlot>> {
        lock(&self.waiting).remove(&(event_id, kind as u8))
    }

    pub(crate) fn fail_all(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for slot in waiting.into_values() {
            slot.settle(Settled::Failed);
        }
    }
}
