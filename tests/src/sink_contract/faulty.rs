//! A network for sinks that have none: it fails between the driver and the sink.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dataset_events::sinks::{Ack, Entry, Sink, SinkError, SinkStart};

use super::target::{Fault, Network};

/// Says how every sink that is wrapped with it fails.
#[derive(Debug, Clone)]
pub struct FaultSwitch(Arc<(Mutex<Switch>, Condvar)>);

#[derive(Debug)]
struct Switch {
    fault: Fault,
    carried_bytes: u64,
}

impl Default for FaultSwitch {
    fn default() -> Self {
        Self(Arc::new((Mutex::new(Switch { fault: Fault::None, carried_bytes: 0 }), Condvar::new())))
    }
}

impl FaultSwitch {
    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, entries: &[Entry]) {
        self.lock().carried_bytes += entries.iter().map(|entry| entry.bytes().len() as u64).sum::<u64>();
    }
}

impl Network for FaultSwitch {
    fn set(&mut self, fault: Fault) {
        self.lock().fault = fault;
        self.0.1.notify_all();
    }

    fn carried_bytes(&self) -> u64 {
        self.lock().carried_bytes
    }
}

/// A sink whose calls fail as the switch says.
pub struct Faulty<S> {
    sink: S,
    switch: FaultSwitch,
    time_limit: Duration,
}

impl<S> std::fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").field("switch", &self.switch).finish_non_exhaustive()
    }
}

fn failed(why: &str) -> SinkError {
    SinkError::retry("reach the sink over the test's network", why)
}

impl<S> Faulty<S> {
    /// Wraps a sink. While its network hangs, a call fails after `time_limit`.
    pub fn new(sink: S, switch: FaultSwitch, time_limit: Duration) -> Self {
        Self { sink, switch, time_limit }
    }

    fn wait_while_hanging(&self) -> Fault {
        let is_hanging = |switch: &mut Switch| switch.fault == Fault::Hang;
        let waited = self.switch.0.1.wait_timeout_while(self.switch.lock(), self.time_limit, is_hanging);
        waited.unwrap_or_else(PoisonError::into_inner).0.fault
    }
}

impl<S: Sink> Sink for Faulty<S> {
    fn kind(&self) -> &'static str {
        self.sink.kind()
    }

    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        match self.wait_while_hanging() {
            Fault::Refuse => Err(failed("refused")),
            Fault::Hang => Err(failed("no answer")),
            _ => self.sink.open(start),
        }
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        match self.wait_while_hanging() {
            Fault::None => {
                self.switch.carry(batch);
                self.sink.append(batch)
            }
            Fault::Refuse => Err(failed("refused")),
            Fault::Hang => Err(failed("no answer")),
            Fault::DropAnswers => {
                self.switch.carry(batch);
                self.sink.append(batch)?;
                Err(failed("the answer was lost"))
            }
            Fault::CutInBatch => {
                let part = &batch[..batch.len() / 2];
                self.switch.lock().fault = Fault::Refuse;
                self.switch.carry(part);
                if !part.is_empty() {
                    self.sink.append(part)?;
                }
                Err(failed("cut in the batch"))
            }
        }
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.sink.close()
    }
}
