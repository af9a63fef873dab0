//! Counters of an open ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Ledger;
use crate::log::storage::Storage;
use crate::log::{LogPosition, segment_name};

/// Counters of an open ledger, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// Events in the log, durable.
    pub events: u64,
    /// Groups that were made durable, each by one fdatasync.
    pub groups: u64,
    /// Bytes of the log that were made durable.
    pub log_bytes: u64,
    /// How long the last group took to write and fsync, in nanoseconds.
    pub last_group_ns: u64,
    /// Calls whose event found no room.
    pub shed: u64,
    /// Times that a call waited for room in the journal.
    pub waits: u64,
    /// Events with ids that were made up, other than the ledger's own.
    pub synthesized: u64,
    /// Those of them whose request id was made up.
    pub synthesized_request_ids: u64,
    /// Those of them whose trace id was made up.
    pub synthesized_trace_ids: u64,
    /// Events of calls whose `tenant = .., env = ..` named `$system`. Each is an error in the program.
    pub synthesized_scopes: u64,
    /// Attempts whose event is not in the log yet.
    pub open_attempts: u64,
    /// Blocks of the journal that threads can lease, in all.
    pub journal_blocks: u32,
    /// Blocks of the journal that are free.
    pub journal_blocks_free: u32,
    /// Bytes of the durable log that the index has not read yet.
    pub index_lag_bytes: u64,
    /// Calls that came after the ledger was closed.
    pub after_close: u64,
    /// Uses of [`current`](crate::current) in this process where no call ran.
    pub outside_of_calls: u64,
}

impl Ledger {
    /// Counters since the ledger was opened.
    pub fn stats(&self) -> LedgerStats {
        let shared = &self.owner.shared;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &shared.counts;
        let (indexed, durable) = self.owner.index.lag();
        LedgerStats {
            events: read(&counts.events),
            groups: read(&counts.groups),
            log_bytes: read(&counts.log_bytes),
            last_group_ns: read(&counts.fsync_ns),
            shed: read(&counts.shed),
            waits: read(&counts.waits),
            synthesized: read(&counts.synthesized),
            synthesized_request_ids: read(&counts.synthesized_request_ids),
            synthesized_trace_ids: read(&counts.synthesized_trace_ids),
            synthesized_scopes: read(&counts.synthesized_scopes),
            open_attempts: read(&counts.open_attempts),
            journal_blocks: shared.arena.layout().lease_blocks(),
            journal_blocks_free: shared.arena.free_blocks(),
            index_lag_bytes: bytes_between(&self.owner.storage, indexed, durable),
            after_close: read(&counts.after_close),
            outside_of_calls: crate::current::uses_outside_of_a_call(),
        }
    }
}

/// The bytes of the log from one place to another. A segment that is gone has none.
pub(crate) fn bytes_between(storage: &Arc<dyn Storage>, from: LogPosition, until: LogPosition) -> u64 {
    if from >= until {
        return 0;
    }
    let len = |segment| storage.open(&segment_name(segment), false).and_then(|file| file.len()).unwrap_or(0);
    let whole: u64 = (from.segment..until.segment).map(len).sum();
    (whole + until.offset).saturating_sub(from.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;
    use crate::testing::TestLedger;

    #[test]
    fn bytes_are_counted_over_segments() {
        let storage = MemoryStorage::default();
        for (segment, len) in [(1, 100), (2, 50), (4, 10)] {
            storage.open(&segment_name(segment), true).unwrap().write_all_at(0, &vec![b'x'; len]).unwrap();
        }
        let storage: Arc<dyn Storage> = Arc::new(storage);
        let at = |segment, offset| LogPosition { segment, offset };
        assert_eq!(bytes_between(&storage, at(1, 30), at(1, 70)), 40);
        assert_eq!(bytes_between(&storage, at(1, 30), at(2, 20)), 90);
        assert_eq!(bytes_between(&storage, at(1, 0), at(4, 10)), 160);
        assert_eq!(bytes_between(&storage, at(2, 5), at(2, 5)), 0);
        assert_eq!(bytes_between(&storage, at(2, 5), at(1, 70)), 0);
    }

    #[test]
    fn made_up_ids_are_counted_by_kind_without_the_ledgers_own() {
        let test = TestLedger::new();
        let (request_id, trace_id) = (test.ledger().new_request_id(), test.ledger().new_trace_id());
        for ctx in [
            test.context("acme", "prod").request_id(request_id.clone()).trace_id(trace_id),
            test.context("acme", "prod").request_id(request_id),
            test.context("acme", "prod").trace_id(trace_id),
            test.context("acme", "prod"),
        ] {
            ctx.build().unwrap().event("probe.ids").record().unwrap();
        }
        drop(test.ledger().operator("an event of its own"));
        test.flush();
        let stats = test.ledger().stats();
        assert_eq!(
            (stats.synthesized, stats.synthesized_request_ids, stats.synthesized_trace_ids),
            (3, 2, 2)
        );
        assert_eq!(stats.index_lag_bytes, 0);
    }
}
