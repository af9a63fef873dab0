//! The forwarder: a thread a sink that follows the durable log.
//!
//! The calling threads know nothing of it, and the log's writer tells it no more than a position. What a sink has
//! not acknowledged lies in the log; in memory is one batch of it.

mod backoff;
mod batch;
mod checkpoints;
mod control;
mod cursor;
mod cuts;
mod dead_letters;
mod follow;
mod place;
mod rate;
mod scan;
mod sealed;
mod shared;
mod spec;
mod state_file;
mod status;
#[cfg(test)]
mod tests;
mod time;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

pub use self::control::{ReplayFrom, SinkControlError, Sinks};
pub use self::dead_letters::DeadLetter;
use self::shared::{Phase, Shared};
pub use self::spec::{InvalidSinkName, SinkSpec};
use self::state_file::Gate;
pub use self::status::{ForwardState, LastError, SinkBehind, SinkStatus};
use self::worker::Worker;
use crate::ids::LedgerId;
use crate::ledger::{DurableEnd, Ledger, lock};
use crate::log::LogPosition;
use crate::log::storage::Storage;
use crate::retention::Required;

impl Ledger {
    /// The sinks of this ledger: how they fare, and what operators do with them.
    pub fn sinks(&self) -> Sinks {
        Sinks { forwarders: Arc::clone(&self.owner.sinks) }
    }
}

/// All sinks of a ledger.
pub(crate) struct Forwarders {
    ledger_id: LedgerId,
    storage: Arc<dyn Storage>,
    /// The process that has the threads.
    process: u32,
    list: Mutex<List>,
    /// One operator at a time.
    operators: Mutex<()>,
}

struct List {
    sinks: Vec<Arc<Forwarder>>,
    durable: DurableEnd,
    is_closed: bool,
}

/// One sink and its thread.
struct Forwarder {
    shared: Arc<Shared>,
    gate: Gate,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: u32,
}

impl fmt::Debug for Forwarders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarders").field("ledger_id", &self.ledger_id).finish_non_exhaustive()
    }
}

impl Forwarders {
    /// Starts a thread for each sink. Nothing is read or opened here. Of several specs of one name the last counts.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        ledger_id: LedgerId,
        durable: DurableEnd,
        specs: Vec<SinkSpec>,
    ) -> Self {
        let list = List { sinks: Vec::new(), durable, is_closed: false };
        let process = std::process::id();
        let forwarders =
            Self { ledger_id, storage, process, list: Mutex::new(list), operators: Mutex::new(()) };
        let mut list = lock(&forwarders.list);
        let mut specs: Vec<_> = specs.into_iter().map(Some).collect();
        for at in 0..specs.len() {
            let Some(spec) = specs[at].take() else { continue };
            if !specs[at + 1..].iter().flatten().any(|later| later.name() == spec.name()) {
                list.sinks.push(forwarders.spawn(spec, durable));
            }
        }
        drop(list);
        forwarders
    }

    fn spawn(&self, spec: SinkSpec, durable: DurableEnd) -> Arc<Forwarder> {
        let SinkSpec { sink, settings } = spec;
        let shared = Shared::new(settings, durable);
        let gate = Gate::default();
        let worker = Worker {
            shared: Arc::clone(&shared),
            sink,
            ledger_id: self.ledger_id,
            storage: Arc::clone(&self.storage),
            gate: gate.clone(),
        };
        let name = format!("sink-{}", shared.settings.name);
        let thread = match std::thread::Builder::new().name(name).spawn(|| worker.run()) {
            Ok(thread) => Some(thread),
            Err(error) => {
                let reason = format!("start a thread for the sink: {error}");
                shared.note(reason.clone());
                shared.lock().phase = Phase::Stopped { reason };
                None
            }
        };
        Arc::new(Forwarder { shared, gate, thread: Mutex::new(thread), process: self.process })
    }

    /// Tells that the ledger is durable up to here.
    pub(crate) fn advance(&self, durable: DurableEnd) {
        let mut list = lock(&self.list);
        list.durable = durable;
        for forwarder in &list.sinks {
            forwarder.shared.advance(durable);
        }
    }

    /// Up to where every required sink is known to have the log even after a crash; `None` when there are none.
    pub(crate) fn required(&self) -> Option<Required> {
        let mut required = self.all();
        required.retain(|forwarder| forwarder.shared.settings.is_required);
        let position = required.iter().map(|forwarder| forwarder.shared.lock().saved).min()?;
        let sinks = required.iter().map(|forwarder| forwarder.shared.settings.name.clone()).collect();
        Some(Required { position, sinks })
    }

    /// Waits until every required sink has the log up to a place; returns those that have not. One that waits for an
    /// operator is not waited for.
    pub(crate) fn drain(&self, until: LogPosition, deadline: Instant) -> Vec<SinkBehind> {
        let mut required = self.all();
        required.retain(|forwarder| forwarder.shared.settings.is_required);
        for forwarder in &required {
            forwarder.shared.tell(|state| state.is_urgent = true);
        }
        let is_behind = |forwarder: &Arc<Forwarder>| {
            let shared = &forwarder.shared;
            shared.wait_until(deadline, |state| state.acknowledged >= until || state.is_held());
            let acknowledged = shared.lock().acknowledged;
            (acknowledged < until).then(|| {
                let SinkStatus { name, lag_events, lag_bytes, state, .. } = shared.status();
                SinkBehind { name, events: lag_events, bytes: lag_bytes, state }
            })
        };
        required.iter().filter_map(is_behind).collect()
    }

    /// Ends the threads. Each gets its time to forward what is left; one that does not come back is left behind.
    pub(crate) fn close(&self) {
        let sinks = {
            let mut list = lock(&self.list);
            list.is_closed = true;
            list.sinks.clone()
        };
        Self::end(&sinks);
    }

    fn end(sinks: &[Arc<Forwarder>]) {
        let begun = Instant::now();
        for forwarder in sinks {
            forwarder.shared.tell(|state| state.is_closing = true);
        }
        for forwarder in sinks {
            forwarder.end(begun);
        }
    }

    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    fn all(&self) -> Vec<Arc<Forwarder>> {
        // In a forked child the lock may be held by a thread that is not there.
        if self.is_forked() { Vec::new() } else { lock(&self.list).sinks.clone() }
    }

    fn find(&self, name: &str) -> Result<Arc<Forwarder>, SinkControlError> {
        if self.is_forked() {
            return Err(SinkControlError::Forked);
        }
        let list = lock(&self.list);
        let found = list.sinks.iter().find(|forwarder| forwarder.shared.settings.name == name);
        found.cloned().ok_or_else(|| SinkControlError::Unknown {
            name: name.to_owned(),
            names: list.sinks.iter().map(|forwarder| forwarder.shared.settings.name.clone()).collect(),
        })
    }

    fn add(&self, spec: SinkSpec) -> Result<(), SinkControlError> {
        if self.is_forked() {
            return Err(SinkControlError::Forked);
        }
        let _alone = lock(&self.operators);
        if self.find(spec.name()).is_ok() {
            return Err(SinkControlError::Exists { name: spec.name().to_owned() });
        }
        self.attach(spec)
    }

    fn attach(&self, spec: SinkSpec) -> Result<(), SinkControlError> {
        let mut list = lock(&self.list);
        if list.is_closed {
            return Err(SinkControlError::Closed);
        }
        let durable = list.durable;
        let new = self.spawn(spec, durable);
        let name = &new.shared.settings.name;
        match list.sinks.iter_mut().find(|one| one.shared.settings.name == *name) {
            Some(old) => *old = new,
            None => list.sinks.push(new),
        }
        Ok(())
    }

    fn replace(&self, spec: SinkSpec) -> Result<(), SinkControlError> {
        if self.is_forked() {
            return Err(SinkControlError::Forked);
        }
        let _alone = lock(&self.operators);
        if let Ok(old) = self.find(spec.name()) {
            Self::end(&[old]);
        }
        self.attach(spec)
    }

    fn remove(&self, name: &str) -> Result<(), SinkControlError> {
        let old = self.find(name)?;
        let _alone = lock(&self.operators);
        lock(&self.list).sinks.retain(|one| !Arc::ptr_eq(one, &old));
        Self::end(&[old]);
        Ok(())
    }
}

impl Forwarder {
    /// Waits for the thread, and leaves it behind when it does not end in time.
    fn end(&self, begun: Instant) {
        let Some(thread) = lock(&self.thread).take() else { return };
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        if self.shared.wait_for_end(begun + self.shared.settings.close_within) {
            // A panic of the thread has been printed by its hook; the log is untouched by it.
            let _ = thread.join();
        } else {
            self.gate.close();
            self.shared.tell(|state| state.is_abandoned = true);
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // A forked child does not have the thread.
            let thread = self.thread.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::forget(thread.take());
        }
    }
}
