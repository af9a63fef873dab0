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
        begin(ledger, Guarantee::Recorded).finish(&End {
            outcome: Outcome::Ok,
            code: None,
            message: None,
            items: None,
        });
        ledger.flush().expect("flush");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
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
