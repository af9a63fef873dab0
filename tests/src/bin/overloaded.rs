//! Fills its journal until calls are shed, says how many it made, and waits to be killed.
//!
//! `overloaded <root>`
//!
//! The log cannot take anything meanwhile: its file may not grow (RLIMIT_FSIZE), as on a disk that is full.
//! So the records stay in the journal, and the counts of what was lost beside them.
#![allow(unsafe_code, reason = "setrlimit(2) is not in std; it makes this process's disk full")]

use std::path::PathBuf;

use dataset_events::{Health, Ledger, RequestContext, dataset_event};
use dataset_events_tests::child::say_else;

#[dataset_event(surface = "overload.call", access = "read", input(n, text))]
fn call(ctx: &RequestContext, n: u64, text: &str) {}

/// Lets no file of this process grow beyond `bytes`; what was longer stays.
fn limit_files(bytes: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit outlives the call; ignoring the signal makes the write fail with EFBIG instead.
    let result = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::args().nth(1).ok_or("expected <root>")?);
    let ledger = Ledger::options().root(root).journal_bytes(1 << 20).open()?;
    ledger.flush()?;
    let ctx = ledger.context("acme", "prod").build()?;
    let text = "x".repeat(2_000);
    limit_files(64 * 1024)?;
    let mut calls = 0_u64;
    while ledger.stats().shed < 500 {
        call(&ctx, calls, &text);
        calls += 1;
    }
    if !matches!(ledger.health(), Health::Failed { .. }) {
        return Err(format!("the log took it all: {:?}", ledger.health()).into());
    }
    say_else(&calls.to_string());
    loop {
        std::thread::park();
    }
}
