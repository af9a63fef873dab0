//! The local sinks hold to the contract of sinks.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataset_events::sinks::memory::{MemoryHeld, MemorySink};
use dataset_events::sinks::ndjson::{NdjsonSettings, NdjsonSink};
use dataset_events::sinks::stdout::{StdoutSettings, StdoutSink};
use dataset_events::sinks::{EntryKind, Sink};
use dataset_events::sources::Source;
use dataset_events::sources::ndjson::NdjsonSource;
use dataset_events::{LedgerId, LogPosition};
use dataset_events_tests::sink_contract;
use dataset_events_tests::sink_contract::{FaultSwitch, Faulty, Keeps, Network, Piece, Target};
use tempfile::TempDir;

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

/// A pipe that somebody collects.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct StdoutTarget {
    pipe: Pipe,
    switch: FaultSwitch,
}

impl Target for StdoutTarget {
    fn sink(&self) -> Box<dyn Sink> {
        let settings = StdoutSettings::new().kinds([EntryKind::Event, EntryKind::Attempt]);
        let sink = StdoutSink::to("a pipe", self.pipe.clone(), settings);
        Box::new(Faulty::new(sink, self.switch.clone(), TIME_LIMIT))
    }

    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        let bytes = self.pipe.0.lock().unwrap();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\n").expect("a whole line"));
        let id = format!("\"ledger_id\":\"{ledger_id}\"");
        lines
            .filter(|line| String::from_utf8_lossy(&line[..line.len().min(120)]).contains(&id))
            .map(|line| Piece::line(LogPosition::START, line))
            .collect()
    }

    fn keeps(&self) -> Keeps {
        Keeps { kinds: vec![EntryKind::Event, EntryKind::Attempt], places: false, once: false }
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut self.switch)
    }
}

sink_contract! {
    mod stdout {
        target: |_| StdoutTarget::default(),
        not_applicable: {
            server_killed_in_mid_batch: "it writes a stream: there is no server",
            token_expired: "nobody is asked for a token",
            verified_from_the_target_alone: "a stream of lines has no places, head tables or checkpoints",
            source_reads_on: "a stream that was written is with whoever read it",
            source_answers_queries: "a stream that was written is with whoever read it",
        },
    }
}

struct NdjsonTarget {
    settings: NdjsonSettings,
    switch: FaultSwitch,
    directory: TempDir,
}

impl NdjsonTarget {
    fn new(set: impl FnOnce(NdjsonSettings) -> NdjsonSettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the files");
        let settings = set(NdjsonSettings::new(directory.path()));
        Self { settings, switch: FaultSwitch::default(), directory }
    }
}

impl Target for NdjsonTarget {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Faulty::new(NdjsonSink::new(self.settings.clone()), self.switch.clone(), TIME_LIMIT))
    }

    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        let entries = NdjsonSource::new(self.directory.path()).entries(ledger_id).expect("list the files");
        entries.map(|entry| Piece::from(&entry.expect("read a file"))).collect()
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(NdjsonSource::new(self.directory.path())))
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut self.switch)
    }
}

sink_contract! {
    mod ndjson {
        target: |_| NdjsonTarget::new(|settings| settings),
        not_applicable: {
            server_killed_in_mid_batch: "it writes files: there is no server",
            token_expired: "nobody is asked for a token",
        },
    }
}

sink_contract! {
    mod ndjson_in_small_files {
        target: |_| NdjsonTarget::new(|settings| settings.rotate_bytes(64 << 10)),
        not_applicable: {
            server_killed_in_mid_batch: "it writes files: there is no server",
            token_expired: "nobody is asked for a token",
        },
    }
}

#[cfg(feature = "ndjson-zstd")]
sink_contract! {
    mod ndjson_compressed {
        target: |_| NdjsonTarget::new(|settings| settings.rotate_bytes(64 << 10).compress(true)),
        not_applicable: {
            server_killed_in_mid_batch: "it writes files: there is no server",
            token_expired: "nobody is asked for a token",
        },
    }
}
