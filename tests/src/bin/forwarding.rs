//! Opens the ledger of a root with a sink that writes to a file, and makes calls until it is killed; or forwards what
//! is left, and ends.
//!
//! `forwarding <root> <target file> calls|finish`

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use dataset_events::sinks::{Ack, Entry, EntryKind, Sink, SinkError, SinkSpec, SinkStart};
use dataset_events::{Ledger, RequestContext, dataset_event};
use dataset_events_tests::child::say_opened;

#[dataset_event(surface = "forwarding.call", input(n))]
fn call(ctx: &RequestContext, n: u64) {}

/// Appends the lines of the log to a file, those that come again too.
struct FileSink {
    path: PathBuf,
    file: Option<File>,
}

impl FileSink {
    fn open_file(&mut self) -> std::io::Result<()> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let mut file = options.open(&self.path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A kill has cut the last line short; it was not acknowledged.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, batch: &[Entry]) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Err(std::io::Error::other("not open")) };
        let mut bytes = Vec::new();
        for entry in batch.iter().filter(|one| matches!(one.kind(), EntryKind::Event | EntryKind::Attempt)) {
            bytes.extend_from_slice(entry.bytes());
            bytes.push(b'\n');
        }
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

impl Sink for FileSink {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn open(&mut self, _start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.open_file().map_err(|error| SinkError::retry("open the target", error))
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        self.write(batch).map_err(|error| SinkError::reopen("write to the target", error))?;
        Ok(Ack::all())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("expected <root> <target file> calls|finish");
    let (root, target, what) = (PathBuf::from(next()?), PathBuf::from(next()?), next()?);
    let sink = SinkSpec::new("file", Box::new(FileSink { path: target, file: None }))?
        .required(true)
        .batch_age(Duration::from_millis(5));
    let ledger = Ledger::options()
        .root(root)
        .service("forwarding", "1")
        .journal_bytes(4 << 20)
        .segment_bytes(256 << 10)
        .group_interval(Duration::from_millis(5))
        .sink(sink)
        .open()?;
    say_opened();
    if what == "finish" {
        let drained = ledger.drain(Duration::from_secs(60))?;
        assert!(drained.is_complete, "{drained:?}");
        ledger.close()?;
        return Ok(());
    }
    let ctx = ledger.context("acme", "prod").build()?;
    for n in 0.. {
        call(&ctx, n);
        if n % 64 == 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(())
}
