//! What the disk is asked for: `durable` calls, the log's throughput, verification.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use dataset_events::{Ledger, RequestContext, VerifyOptions, verify};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::calls::{Fields, durable, open, record};
use crate::measure::{quantile, thread_cpu_ns};

/// Lines that plain appends write between two fdatasyncs.
const GROUP_LINES: usize = 10_000;

fn create(path: &Path) -> File {
    OpenOptions::new().create_new(true).append(true).open(path).expect("create a file to append to")
}

fn append(file: &mut File, bytes: &[u8]) {
    file.write_all(bytes).expect("append");
    file.sync_data().expect("fdatasync");
}

/// `durable` calls against bare appends with fdatasync, in turn. Times are the median, in microseconds.
pub(crate) struct Durable {
    pub(crate) fdatasync_us: f64,
    pub(crate) one_caller_us: f64,
    pub(crate) many_callers_us: f64,
    pub(crate) many_calls_per_s: f64,
    pub(crate) calls_per_group: f64,
}

pub(crate) const MANY: usize = 64;

pub(crate) fn durable_calls(directory: &Path, count: usize) -> Durable {
    let ledger = open(&directory.join("durable"));
    let ctx = Fields::example().context(Some(&ledger));
    let mut file = create(&directory.join("bare"));
    let line = [b'x'; 600];
    let mut bare = Vec::with_capacity(count);
    let mut ours = Vec::with_capacity(count);
    for number in 0..count as u64 {
        let start = Instant::now();
        append(&mut file, &line);
        bare.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        durable(&ctx, number, 7).expect("a durable call");
        ours.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let before = ledger.stats();
    let each = count.div_ceil(4);
    let barrier = Barrier::new(MANY);
    let start = Instant::now();
    let mut many: Vec<f64> = thread::scope(|scope| {
        let callers: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let call = |number| {
                        let start = Instant::now();
                        durable(&ctx, number, 7).expect("a durable call");
                        start.elapsed().as_secs_f64() * 1e6
                    };
                    (0..each as u64).map(call).collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller ends")).collect()
    });
    let took = start.elapsed().as_secs_f64();
    let groups = ledger.stats().groups - before.groups;
    Durable {
        fdatasync_us: quantile(&mut bare, 0.5),
        one_caller_us: quantile(&mut ours, 0.5),
        many_callers_us: quantile(&mut many, 0.5),
        many_calls_per_s: (MANY * each) as f64 / took,
        calls_per_group: (MANY * each) as f64 / groups as f64,
    }
}

/// The log's throughput against plain appends on the same disk.
pub(crate) struct Throughput {
    pub(crate) events: u64,
    pub(crate) line_bytes: f64,
    /// Hashed and fsynced, paced by the journal.
    pub(crate) ours_per_s: f64,
    /// CPU of the calling thread, a call; the clock and the copy into the journal.
    pub(crate) caller_cpu_ns: f64,
    /// CPU of the whole process, an event: caller, sequencer, writer.
    pub(crate) process_cpu_ns: f64,
    /// The same finished lines, appended.
    pub(crate) finished_per_s: f64,
    /// Lines of the same size made by `serde_json` on the way.
    pub(crate) formatted_per_s: f64,
    pub(crate) verify_bytes_per_s: f64,
    pub(crate) sha256_bytes_per_s: f64,
}

fn process_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Calls as fast as the ledger makes them durable: as long as a half of the journal is free.
fn paced(ledger: &Ledger, ctx: &RequestContext, events: u64) {
    const CALLS: u64 = 500;
    let mut number = 0;
    while number < events {
        let stats = ledger.stats();
        if stats.journal_blocks_free * 2 < stats.journal_blocks {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        for _ in 0..CALLS {
            number += 1;
            record(ctx, number);
        }
    }
}

fn segments(ledger: &Path) -> Vec<PathBuf> {
    let log = fs::read_dir(ledger.join("log")).expect("the folder of the log");
    let mut files: Vec<_> = log.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    files.sort();
    files
}

pub(crate) fn throughput(directory: &Path, events: u64) -> Throughput {
    let ledger = open(&directory.join("throughput"));
    let path = ledger.path().expect("on disk").to_owned();
    let ctx = Fields::example().context(Some(&ledger));
    paced(&ledger, &ctx, 10_000);
    ledger.flush().expect("flush the ledger");
    let (start, cpu, all_cpu) = (Instant::now(), thread_cpu_ns(), process_cpu_ns());
    paced(&ledger, &ctx, events);
    ledger.flush().expect("flush the ledger");
    let took = start.elapsed().as_secs_f64();
    let (cpu, all_cpu) = (thread_cpu_ns() - cpu, process_cpu_ns() - all_cpu);
    let stats = ledger.stats();
    assert_eq!((stats.shed, stats.waits), (0, 0), "the paced calls overran the journal");
    ledger.close().expect("close the ledger");

    // Memory of the files is read once before either side is timed.
    let log: Vec<Vec<u8>> = segments(&path).iter().map(|file| fs::read(file).expect("a segment")).collect();
    let bytes: usize = log.iter().map(Vec::len).sum();
    let lines = log.iter().flatten().filter(|byte| **byte == b'\n').count();

    let start = Instant::now();
    let report = verify(&path, &VerifyOptions::new()).expect("readable");
    let verify_took = start.elapsed().as_secs_f64();
    assert!(report.is_verified(), "{report}");
    let start = Instant::now();
    for file in segments(&path) {
        std::hint::black_box(Sha256::digest(fs::read(file).expect("a segment")));
    }
    let sha256_took = start.elapsed().as_secs_f64();

    Throughput {
        events,
        line_bytes: bytes as f64 / lines as f64,
        ours_per_s: events as f64 / took,
        caller_cpu_ns: cpu as f64 / events as f64,
        process_cpu_ns: all_cpu as f64 / events as f64,
        finished_per_s: finished_lines(&directory.join("finished"), &log),
        formatted_per_s: formatted_lines(&directory.join("formatted"), lines, bytes / lines),
        verify_bytes_per_s: bytes as f64 / verify_took,
        sha256_bytes_per_s: bytes as f64 / sha256_took,
    }
}

/// Appends lines that need nothing more done, in groups of 10,000. Lines a second.
fn finished_lines(path: &Path, log: &[Vec<u8>]) -> f64 {
    let mut file = create(path);
    let mut lines = 0;
    let mut group = Vec::new();
    let start = Instant::now();
    for line in log.iter().flat_map(|segment| segment.split_inclusive(|byte| *byte == b'\n')) {
        group.extend_from_slice(line);
        lines += 1;
        if lines % GROUP_LINES == 0 {
            append(&mut file, &group);
            group.clear();
        }
    }
    append(&mut file, &group);
    lines as f64 / start.elapsed().as_secs_f64()
}

/// A line as a program would write it without us: as large, no sequence, no hash.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    tenant_id: &'a str,
    env: &'a str,
    user_id: &'a str,
    request_id: &'a str,
    trace_id: &'a str,
    surface: &'a str,
    outcome: &'a str,
    started_at: u64,
    duration_ns: u64,
    x: u64,
    y: u64,
    rest: &'a str,
}

fn formatted_lines(path: &Path, lines: usize, line_bytes: usize) -> f64 {
    let mut file = create(path);
    let fields = Fields::example();
    let mut group = Vec::new();
    let mut line = |number: u64, rest: &str| -> Vec<u8> {
        let line = Line {
            kind: "event",
            tenant_id: &fields.tenant_id,
            env: &fields.env,
            user_id: &fields.user_id,
            request_id: &fields.request_id,
            trace_id: &fields.trace_id,
            surface: "bench.recorded",
            outcome: "ok",
            started_at: 1_790_000_000_000_000 + number,
            duration_ns: 100 + number % 100,
            x: number,
            y: 7,
            rest,
        };
        group.clear();
        serde_json::to_writer(&mut group, &line).expect("plain data");
        group.push(b'\n');
        std::mem::take(&mut group)
    };
    let filler = "x".repeat(line_bytes.saturating_sub(line(1_000_000, "").len()));
    let mut bytes = Vec::new();
    let start = Instant::now();
    for number in 1..=lines {
        bytes.extend_from_slice(&line(number as u64, &filler));
        if number % GROUP_LINES == 0 {
            append(&mut file, &bytes);
            bytes.clear();
        }
    }
    append(&mut file, &bytes);
    lines as f64 / start.elapsed().as_secs_f64()
}

/// Callers that never pause.
pub(crate) struct Overload {
    pub(crate) calls: u64,
    pub(crate) offered_per_s: f64,
    pub(crate) logged_per_s: f64,
    pub(crate) call_ns: f64,
    pub(crate) waits: u64,
    pub(crate) shed: u64,
}

pub(crate) fn overload(directory: &Path, length: Duration) -> Overload {
    let ledger = open(&directory.join("overload"));
    let ctx = Fields::example().context(Some(&ledger));
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < length {
        for _ in 0..1_000 {
            calls += 1;
            record(&ctx, calls);
        }
    }
    let called = start.elapsed().as_secs_f64();
    ledger.flush().expect("flush the ledger");
    let took = start.elapsed().as_secs_f64();
    let stats = ledger.stats();
    Overload {
        calls,
        offered_per_s: calls as f64 / called,
        logged_per_s: (calls - stats.shed) as f64 / took,
        call_ns: called * 1e9 / calls as f64,
        waits: stats.waits,
        shed: stats.shed,
    }
}
