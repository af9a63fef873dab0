//! A full disk: the one failure after which the log is written on.
//!
//! A write that found no room and was not followed by an fsync leaves nothing uncertain: the file is cut back to
//! its durable end, and the same bytes are written once more when there is room. After a failed fsync, and after
//! any other failure, the page cache may show bytes that are not on the disk: that is final until the reopen.

use std::sync::Arc;
use std::time::Duration;

use super::log_writer::{LogEnd, LogWriter, WriteFailed};
use super::sequencer::Order;
use super::waiters::{DurableSlot, Settled};

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_secs(1);

impl LogWriter {
    /// Does work on the log unless the ledger has failed. See [`attempt_for`](Self::attempt_for).
    pub(super) fn attempt(&mut self, work: impl FnMut(&mut LogEnd) -> Result<(), WriteFailed>) -> bool {
        self.attempt_for(&mut Vec::new(), work)
    }

    /// Does work on the log unless the ledger has failed. While the disk is full it is tried again, and those who
    /// wait for it are told that it failed; another failure, and closing while it is full, are final until the
    /// reopen.
    pub(super) fn attempt_for(
        &mut self,
        waiters: &mut Vec<Arc<DurableSlot>>,
        mut work: impl FnMut(&mut LogEnd) -> Result<(), WriteFailed>,
    ) -> bool {
        if self.shared.has_failed() {
            return false;
        }
        let mut retry_after = FIRST_RETRY;
        let mut is_last = false;
        loop {
            let error = match work(&mut self.end) {
                Ok(()) => {
                    if self.shared.has_room_again() {
                        eprintln!("dataset-events: ledger {} writes its log again.", self.shared.ledger_id);
                    }
                    return true;
                }
                Err(error) => error,
            };
            if !error.may_retry || is_last {
                self.give_up(&error);
                return false;
            }
            is_last = self.wait_for_room(&error, waiters, retry_after);
            retry_after = (retry_after * 2).min(LAST_RETRY);
        }
    }

    fn give_up(&self, error: &WriteFailed) {
        let message = error.to_string();
        eprintln!(
            "dataset-events: ledger {} cannot write its log: {message}. Events are kept in the journal as long as \
             it has room; `durable` calls are refused. Mend the cause and open the ledger again.",
            self.shared.ledger_id
        );
        self.shared.fail(message);
    }

    /// Waits a while for room; true when the next attempt is the last.
    fn wait_for_room(
        &mut self,
        error: &WriteFailed,
        waiters: &mut Vec<Arc<DurableSlot>>,
        retry_after: Duration,
    ) -> bool {
        if !self.shared.lacks_room() {
            eprintln!(
                "dataset-events: ledger {} cannot write its log: {error}. It is tried again until there is room; \
                 until then events are kept in the journal as long as that has room, and `durable` calls are \
                 refused.",
                self.shared.ledger_id
            );
        }
        self.shared.lack_room(error.to_string());
        tell_failed(waiters);
        // The sequencer may stand here with a group that it made before: whoever waits for that is told too. What
        // it makes from now on, it tells itself, so one order is all that has to be taken.
        if self.pending.is_none()
            && let Ok(mut order) = self.orders.try_recv()
        {
            if let Order::Group(group) = &mut order {
                tell_failed(&mut group.waiters);
            }
            self.pending = Some(order);
        }
        self.shared.signal.wait_for_room(retry_after) || self.shared.has_failed()
    }
}

/// Tells those who wait that their record is not durable now. It is in the journal, and will be.
pub(super) fn tell_failed(waiters: &mut Vec<Arc<DurableSlot>>) {
    for waiter in waiters.drain(..) {
        waiter.settle(Settled::Failed);
    }
}
