//! The local sinks hold to the contract of sinks.

use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::Sink;
use dataset_events::sinks::memory::{MemoryHeld, MemorySink};
use dataset_events_tests::sink_contract;
use dataset_events_tests::sink_contract::{FaultSwitch, Faulty, Network, Piece, Target};

/// A call that meets a hanging network gives up after this.
const TIME_LIMIT: Duration = Duration::from_millis(300);

/// A sink in memory that is made again holds what it held: the same memory.
#[derive(Default)]
struct MemoryTarget {
    sink: MemorySink,
    switch: FaultSwitch,
}

fn pieces(held: &MemoryHeld, ledger_id: LedgerId) -> Vec<Piece> {
    let entries = held.entries().into_iter().filter(|entry| entry.ledger_id == ledger_id);
    entries
        .map(|entry| Piece { kind: entry.kind, key: entry.key, position: entry.position, bytes: entry.bytes })
        .collect()
}

impl Target for MemoryTarget {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Faulty::new(self.sink.clone(), self.switch.clone(), TIME_LIMIT))
    }

    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        pieces(&self.sink.held(), ledger_id)
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut self.switch)
    }
}

sink_contract! {
    mod memory {
        target: |_| MemoryTarget::default(),
        not_applicable: {
            server_killed_in_mid_batch: "it stores in its own process: there is no server",
            token_expired: "nobody is asked for a token",
            source_reads_on: "what it holds is read by its handle",
            source_answers_queries: "what it holds is read by its handle",
        },
    }
}
