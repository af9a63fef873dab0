//! Does a refresh after 1,000 new events cost the same at 10^4 and at 10^6 events in the scope?
//!
//! Writes the log of one ledger as another process would, in one scope, over the same 60 days at each size;
//! folds it; then appends 1,000 events and refreshes, 15 times. Printed are the medians and their ratio to
//! the smallest size; the budget is 1.2. Beside them: reading a day's window, a page of the newest 50 events,
//! one trace, and writing a snapshot, whose size depends on surfaces and hours, not on events. Arguments set
//! the sizes: `cargo bench -p dataset-events --bench read_models -- 10000 100000`

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataset_events::read_models::{
    Activity, Failures, Field, Folded, Latency, ReadModel, SnapshotStore, Totals, Window,
};
use dataset_events::{Env, LedgerSet, TenantId, TraceId};
use sha2::{Digest, Sha256};

const LEDGER: &str = "01900000-0000-7000-8000-000000000001";
const SPAN_US: u64 = 60 * 24 * 3_600_000_000;
const NEW_EVENTS: u64 = 1_000;
const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000];
    }
    let mut tables = Vec::new();
    for size in &sizes {
        tables.push(measure(*size)?);
        println!("{size} events: done");
    }
    let mut header = format!("{:<28}", "median");
    for size in &sizes {
        write!(header, "{size:>14}{:>8}", "ratio")?;
    }
    println!("{header}");
    for (row, (name, smallest)) in tables[0].iter().enumerate() {
        let mut line = format!("{name:<28}");
        for table in &tables {
            let time = table[row].1;
            write!(line, "{:>11.1} us{:>8.2}", micros(time), micros(time) / micros(*smallest))?;
        }
        println!("{line}");
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn measure(size: u64) -> Result<Vec<(&'static str, Duration)>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut log = Log::new(directory.path(), size)?;
    log.append(size)?;
    let set = LedgerSet::options().directory(directory.path()).open();
    let scope = set.scope(&TenantId::new("acme")?, &Env::new("prod")?);
    let store = SnapshotStore::open(directory.path().join("snapshots"))?;
    let spend = Totals::of("budget.*", Field::Input("cost".into())).group_by(Field::Input("provider".into()));
    let mut activity = Folded::open(&scope, Activity, &store)?;
    let mut failures = Folded::open(&scope, Failures, &store)?;
    let mut latency = Folded::open(&scope, Latency, &store)?;
    let mut totals = Folded::open(&scope, spend, &store)?;
    if let Some(unread) = activity.last_refresh().unread.first() {
        return Err(unread.to_string().into());
    }
    activity.save();
    latency.save();
    let mut rows: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    let mut note = |name, time| match rows.iter_mut().find(|(row, _)| *row == name) {
        Some((_, times)) => times.push(time),
        None => rows.push((name, vec![time])),
    };
    for round in 0..ROUNDS {
        log.append(NEW_EVENTS)?;
        note("read the ledger's new lines", timed(|| drop(set.refresh())));
        note("refresh activity", refreshed(&mut activity)?);
        note("refresh failures", refreshed(&mut failures)?);
        note("refresh latency", refreshed(&mut latency)?);
        note("refresh totals", refreshed(&mut totals)?);
        let end = activity.as_of().unwrap_or_default() + 1;
        note("window of a day", timed(|| drop(activity.state().window(Window::Day, end))));
        let newest = || scope.events().newest_first().page(50).map(|page| page.events.len());
        note("newest 50 events", timed(|| assert!(matches!(newest(), Ok(50)))));
        let trace_id: TraceId = format!("{:032x}", (round as u64 + 1) * size / 100 + 1).parse()?;
        let trace = || scope.trace(trace_id, 100).map(|tree| tree.nodes.len());
        note("one trace", timed(|| assert!(matches!(trace(), Ok(3)))));
        note("write a snapshot (activity)", timed(|| assert!(activity.save().is_saved)));
        note("write a snapshot (latency)", timed(|| assert!(latency.save().is_saved)));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(rows.into_iter().map(|(name, times)| (name, median(times))).collect())
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn refreshed<M: ReadModel>(folded: &mut Folded<M>) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let refreshed = folded.refresh();
    let time = began.elapsed();
    match (refreshed.new_events, &refreshed.unread[..]) {
        (NEW_EVENTS, []) => Ok(time),
        (other, unread) => Err(format!("read {other} new events, not {NEW_EVENTS}; {unread:?}").into()),
    }
}

/// The log of one ledger and one stream.
struct Log {
    path: PathBuf,
    seq: u64,
    prev: String,
    step_us: u64,
}

impl Log {
    fn new(directory: &Path, size: u64) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(directory.join("log"))?;
        let identity = format!(
            "{{\"schema_version\":1,\"kind\":\"ledger\",\"ledger_id\":\"{LEDGER}\",\"created_at\":0,\"keys\":[]}}\n"
        );
        std::fs::write(directory.join("ledger.json"), identity)?;
        let path = directory.join("log/00000001.ndjson");
        File::create(&path)?;
        Ok(Self { path, seq: 0, prev: "0".repeat(64), step_us: SPAN_US / size })
    }

    fn append(&mut self, events: u64) -> Result<(), Box<dyn Error>> {
        let mut out = BufWriter::new(OpenOptions::new().append(true).open(&self.path)?);
        let surfaces = ["chat.send", "chat.list", "budget.record", "kill_switch.check"];
        let mut line = String::new();
        for _ in 0..events {
            self.seq += 1;
            let seq = self.seq;
            let mixed = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = 1_700_000_000_000_000 + seq * self.step_us;
            let (outcome, error) = match mixed >> 59 {
                0 => ("error", r#","error":{"code":"chat.not_found","retryable":false}"#),
                _ => ("ok", ""),
            };
            line.clear();
            write!(
                line,
                concat!(
                    r#"{{"schema_version":1,"kind":"event","ledger_id":"{}","event_id":"01900000-0000-7000-8000-{:012x}","#,
                    r#""tenant_id":"acme","env":"prod","seq":{},"prev":"{}","surface":"{}","access":"write","#,
                    r#""outcome":"{}"{},"started_at":{},"duration_ns":{},"recorded_at":{},"#,
                    r#""actor":{{"type":"user","user_id":"user_{}"}},"request_id":"{:032x}","trace_id":"{:032x}","#,
                    r#""span_id":"{:016x}","writer":{{"service":"bench","version":"1.0.0","instance":"a","epoch":1}},"#,
                    r#""input":{{"provider":"p{}","cost":"0.{:06}"}},"output":{{"message_id":"m_{}"}}}}"#
                ),
                LEDGER,
                seq,
                seq,
                self.prev,
                surfaces[(seq % 4) as usize],
                outcome,
                error,
                at - 50,
                20_000 + (mixed >> 44),
                at,
                mixed % 5_000,
                mixed,
                seq / 3 + 1,
                seq,
                mixed % 5,
                mixed % 1_000_000,
                seq,
            )?;
            self.prev.clear();
            for byte in Sha256::digest(line.as_bytes()) {
                write!(self.prev, "{byte:02x}")?;
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        Ok(())
    }
}
