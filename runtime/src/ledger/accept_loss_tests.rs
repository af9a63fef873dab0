//! A log that lost its end: refused, and opened all the same when the loss is accepted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Ledger, OpenError};
use crate::draft::{CallState, End, Operation, ScopeSource};
use crate::event::Outcome;
use crate::log::segment_name;
use crate::surface::{Access, Guarantee};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dataset-events-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(root: &Path, accept_loss: bool) -> Result<Ledger, OpenError> {
    Ledger::options()
        .root(root)
        .journal_bytes(2 << 20)
        .segment_bytes(64 * 1024)
        .group_interval(Duration::from_millis(1))
        .accept_loss(accept_loss)
        .open()
}

fn begin(ledger: &Ledger, guarantee: Guarantee) -> Box<CallState> {
    let ctx = ledger.context("acme", "prod").build().expect("valid");
    let operation = Operation { surface: "probe.call", access: Access::Write, guarantee, site: None };
    let mut state = CallState::begin(&ScopeSource::Context(&ctx), operation, None).expect("not off");
    state.input.extend_from_slice(format!("{{\"text\":\"{}\"}}", "x".repeat(2_000)).as_bytes());
    state
}

/// Writes several segments.
fn write(ledger: &Ledger) {
    for _ in 0..100 {
        write_one(ledger);
    }
}

fn write_one(ledger: &Ledger) {
    let end = End { outcome: Outcome::Ok, code: None, message: None, items: None };
    begin(ledger, Guarantee::Recorded).finish(&end);
    ledger.flush().expect("flush");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // A temporary file may have been renamed since.
            if let Err(error) = fs::copy(entry.path(), target) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            }
        }
    }
}

fn assert_goes_on(root: &Path) {
    let refused = open(root, false);
    assert!(matches!(refused, Err(OpenError::LogShorterThanCheckpoint { .. })), "{refused:?}");
    let ledger = open(root, true).unwrap_or_else(|error| panic!("{error}"));
    ledger.flush().expect("flush");
    let storage = Arc::clone(&ledger.owner.storage);
    ledger.close().expect("close");
    let told = (1..10).any(|segment| {
        let bytes = storage.read(&segment_name(segment)).expect("read").unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains("ledger.rolled_back")
    });
    assert!(told, "the loss is not told");
    open(root, false).unwrap_or_else(|error| panic!("{error}")).close().expect("close");
}

#[test]
fn a_log_cut_within_a_line_goes_on_when_the_loss_is_accepted() {
    let root = Folder::new("cut-line");
    let ledger = open(&root.0, false).expect("open");
    let folder = ledger.path().expect("on disk").to_owned();
    write(&ledger);
    ledger.close().expect("close");
    let segment = folder.join(segment_name(2));
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("a second segment");
    file.set_len(30_001).expect("cut");
    for later in 3..100 {
        let _ = fs::remove_file(folder.join(segment_name(later)));
    }
    assert_goes_on(&root.0);
}

/// The journal knows what was durable when the newest checkpoint does not cover it yet.
#[test]
fn durable_lines_that_are_gone_are_missed_without_a_checkpoint_of_them() {
    let live = Folder::new("live-tail");
    let root = Folder::new("cut-tail");
    let ledger = open(&live.0, false).expect("open");
    write(&ledger);
    let storage = Arc::clone(&ledger.owner.storage);
    let newest = || storage.list("log").expect("list").into_iter().rfind(|name| name.ends_with(".ndjson"));
    let mut name = newest().expect("a segment");
    while storage.read(&format!("log/{name}")).expect("read").unwrap_or_default().len() < 8_000 {
        write_one(&ledger);
        name = newest().expect("a segment");
    }
    copy(&live.0, &root.0);
    let path = root.0.join(ledger.id().to_string()).join("log").join(name);
    let bytes = fs::read(&path).expect("read");
    let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    fs::write(&path, &bytes[..end]).expect("cut the last line");
    assert_goes_on(&root.0);
}

#[test]
fn a_log_without_the_segments_that_the_journal_speaks_of_goes_on() {
    let live = Folder::new("live");
    let root = Folder::new("cut-segments");
    let ledger = open(&live.0, false).expect("open");
    write(&ledger);
    let mut open_call = begin(&ledger, Guarantee::Intent);
    open_call.attempt();
    ledger.flush().expect("flush");
    // As a process leaves it that is killed here.
    copy(&live.0, &root.0);
    let folder = root.0.join(ledger.id().to_string());
    for later in 2..100 {
        let _ = fs::remove_file(folder.join(segment_name(later)));
    }
    assert_goes_on(&root.0);
}
