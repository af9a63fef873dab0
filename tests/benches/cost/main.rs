//! What does one annotated call cost, and how much can the ledger take?
//!
//! ```text
//! cargo bench -p dataset-events-tests --bench cost                        ours, the floor, the disk
//! cargo bench -p dataset-events-tests --features peers --bench cost       and tracing, fastrace, emit, metrique
//! cargo bench -p dataset-events-tests --bench cost -- --quick             fewer bursts, smaller log
//! cargo bench -p dataset-events-tests --bench cost -- --only hot          or: disk
//! cargo bench -p dataset-events-tests --bench cost -- --dir /mnt/disk     where the ledgers lie
//! ```
//!
//! Each row of the hot path is measured in processes of its own, in rounds with the others, so that what
//! else the machine does meets all of them. A burst is 500 calls with a drain before it: a flush of the
//! ledger for ours, 1.5 ms of rest for the others. A figure is of bursts, not of single calls. The bare
//! function multiplies two integers; every other row does that and records five fields of the request and
//! the two integers, unless its name says otherwise.
#![allow(missing_docs, reason = "a bench has no public items")]

mod calls;
mod disk;
mod measure;
#[cfg(feature = "peers")]
mod peers;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::calls::{FLOOR, FLOOR_2, INTENT, OFF, RECORDED, RECORDED_2, RECORDED_LONG, Variant};
use crate::measure::{Burst, Spread};

#[cfg(feature = "peers")]
const PEERS: &[Variant] = peers::VARIANTS;
#[cfg(not(feature = "peers"))]
const PEERS: &[Variant] = &[];

struct Options {
    is_quick: bool,
    only: Option<String>,
    directory: PathBuf,
    /// A row's name and its count of bursts: this process measures it for its parent.
    row: Option<(String, usize)>,
}

const USAGE: &str = "accepted: --quick, --only hot|disk, --dir DIRECTORY";

fn options() -> Options {
    let mut options = Options {
        is_quick: false,
        only: None,
        directory: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        row: None,
    };
    let mut arguments = std::env::args().skip(1);
    let refuse = |what: &str| -> ! {
        eprintln!("cost: {what}\n{USAGE}");
        std::process::exit(2);
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| refuse(&format!("{argument} needs a value")));
        match argument.as_str() {
            // What cargo says to every bench.
            "--bench" => {}
            "--quick" => options.is_quick = true,
            "--only" => options.only = Some(value()),
            "--dir" => options.directory = PathBuf::from(value()),
            "--row" => {
                let name = value();
                let count =
                    value().parse().unwrap_or_else(|_| refuse("--row NAME COUNT: COUNT is no number"));
                options.row = Some((name, count));
            }
            _ => refuse(&format!("unknown argument `{argument}`")),
        }
    }
    if options.only.as_deref().is_some_and(|only| only != "hot" && only != "disk") {
        refuse("`--only` takes `hot` or `disk`");
    }
    options
}

fn main() {
    let options = options();
    let directory = tempfile::tempdir_in(&options.directory).expect("a directory for the ledgers");
    if let Some((name, count)) = &options.row {
        let row = calls::VARIANTS.iter().chain(PEERS).find(|(known, _)| known == name);
        let (_, measure) = row.expect("a row of this bench");
        for Burst { wall, cpu } in measure(directory.path(), *count) {
            println!("{wall} {cpu}");
        }
        return;
    }
    let start = Instant::now();
    println!("{}", machine());
    let mut verdicts = Vec::new();
    if options.only.as_deref() != Some("disk") {
        hot_path(&options, &mut verdicts);
    }
    if options.only.as_deref() != Some("hot") {
        the_disk(&options, directory.path(), &mut verdicts);
    }
    println!("\n{:<52} {:>16} {:>14}", "budget", "measured", "");
    for Verdict { what, budget, measured, is_met } in &verdicts {
        let verdict = if *is_met { "met" } else { "NOT MET" };
        println!("{:<52} {measured:>16} {verdict:>14}", format!("{what}: {budget}"));
    }
    println!("\ntook {:.0} s; load average at the end {}", start.elapsed().as_secs_f64(), load());
}

struct Verdict {
    what: &'static str,
    budget: &'static str,
    measured: String,
    is_met: bool,
}

impl Verdict {
    fn at_most(what: &'static str, budget: &'static str, ratio: f64, limit: f64) -> Self {
        Self { what, budget, measured: format!("{ratio:.2} x"), is_met: ratio <= limit }
    }

    fn at_least(what: &'static str, budget: &'static str, ratio: f64, limit: f64) -> Self {
        Self { what, budget, measured: format!("{ratio:.2} x"), is_met: ratio >= limit }
    }
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, name)| name);
    format!("{model}, {cores} cores, Linux {}, load average {}", kernel.trim(), load())
}

/// Measures a row in a process of its own.
fn in_own_process(name: &str, count: usize, directory: &Path) -> Vec<Burst> {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["--row", name, &count.to_string(), "--dir"]).arg(directory).stderr(Stdio::inherit());
    command.env_remove("DATASET_EVENTS");
    if name == OFF {
        command.env("DATASET_EVENTS", "off");
    }
    let output = command.output().expect("start a process for a row");
    assert!(output.status.success(), "the row {name:?} failed: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("numbers");
    let burst = |line: &str| {
        let (wall, cpu) = line.split_once(' ')?;
        Some(Burst { wall: wall.parse().ok()?, cpu: cpu.parse().ok()? })
    };
    text.lines().map(|line| burst(line).expect("two numbers a line")).collect()
}

fn hot_path(options: &Options, verdicts: &mut Vec<Verdict>) {
    let (rounds, count) = if options.is_quick { (2, 60) } else { (5, 120) };
    let rows: Vec<&str> = calls::VARIANTS.iter().chain(PEERS).map(|(name, _)| *name).collect();
    let mut measured: HashMap<&str, Vec<Burst>> = HashMap::new();
    for _ in 0..rounds {
        for name in &rows {
            measured.entry(name).or_default().extend(in_own_process(name, count, &options.directory));
        }
    }
    let spreads: HashMap<&str, Spread> =
        measured.iter().map(|(name, bursts)| (*name, Spread::of(bursts))).collect();
    let floor = spreads[FLOOR];
    println!(
        "\n{:<52} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "nanoseconds a call", "p50", "min", "p99", "cpu p50", "x floor", "min/min"
    );
    for name in &rows {
        let Spread { p50, min, p99, cpu_p50 } = spreads[name];
        println!(
            "{name:<52} {p50:>8.1} {min:>8.1} {p99:>8.1} {cpu_p50:>8.1} {:>9.2} {:>9.2}",
            p50 / floor.p50,
            min / floor.min
        );
    }
    if PEERS.is_empty() {
        println!("(peers: build with `--features peers`)");
    }
    let to_floor = |name| spreads[name].p50 / floor.p50;
    verdicts.push(Verdict::at_most("recorded call, p50", "<= 1.5 x floor", to_floor(RECORDED), 1.5));
    verdicts.push(Verdict::at_most(
        "recorded call, bursts of 20,000, p50",
        "<= 1.5 x floor",
        to_floor(RECORDED_LONG),
        1.5,
    ));
    verdicts.push(Verdict::at_most("intent call, p50", "<= 2.5 x floor", to_floor(INTENT), 2.5));
    let two = spreads[RECORDED_2].cpu_p50 / spreads[RECORDED].cpu_p50;
    verdicts.push(Verdict::at_most("two threads, thread CPU time", "<= 1.1 x one", two, 1.1));
    let floors = spreads[FLOOR_2].cpu_p50 / floor.cpu_p50;
    println!("two threads against one, thread CPU time: ours {two:.2} x, the floor itself {floors:.2} x");
}

fn the_disk(options: &Options, directory: &Path, verdicts: &mut Vec<Verdict>) {
    let (calls, events, overload) = if options.is_quick { (100, 200_000, 1) } else { (300, 1_000_000, 3) };
    let durable = disk::durable_calls(directory, calls);
    let unit = durable.fdatasync_us;
    println!("\n{:<52} {:>8} {:>16}", "durable calls, p50", "us", "x fdatasync");
    println!("{:<52} {unit:>8.0} {:>16.2}", "append 600 bytes + fdatasync, bare", 1.0);
    println!("{:<52} {:>8.0} {:>16.2}", "1 caller", durable.one_caller_us, durable.one_caller_us / unit);
    println!(
        "{:<52} {:>8.0} {:>16.2}   {:.0} calls/s, {:.1} calls a group",
        format!("{} callers", disk::MANY),
        durable.many_callers_us,
        durable.many_callers_us / unit,
        durable.many_calls_per_s,
        durable.calls_per_group,
    );
    verdicts.push(Verdict::at_most(
        "durable call at 1 caller, p50",
        "<= 2.5 x fdatasync",
        durable.one_caller_us / unit,
        2.5,
    ));

    let log = disk::throughput(directory, events);
    println!(
        "\n{:<52} {:>10} {:>10}",
        format!("{} events, {:.0} bytes a line", log.events, log.line_bytes),
        "lines/s",
        "x plain"
    );
    let row =
        |name: &str, per_s: f64| println!("{name:<52} {per_s:>10.0} {:>10.2}", per_s / log.finished_per_s);
    row("finished lines, groups of 10,000 with fdatasync", log.finished_per_s);
    row("the same, each line made by serde_json", log.formatted_per_s);
    row("ours: sequenced, hashed, fsynced; nothing shed", log.ours_per_s);
    println!(
        "CPU an event: {:.0} ns of the caller (with pacing), {:.0} ns of the process",
        log.caller_cpu_ns, log.process_cpu_ns
    );
    verdicts.push(Verdict::at_least(
        "events/s into the log",
        ">= 0.7 x plain append",
        log.ours_per_s / log.finished_per_s,
        0.7,
    ));

    let over = disk::overload(directory, Duration::from_secs(overload));
    println!(
        "overload, 1 caller that never pauses: {:.0} calls/s offered ({:.0} ns each, waits included), {:.0} \
         events/s logged; of {} calls {} waited, {} were shed and counted",
        over.offered_per_s, over.call_ns, over.logged_per_s, over.calls, over.waits, over.shed
    );

    let ratio = log.verify_bytes_per_s / log.sha256_bytes_per_s;
    println!(
        "\nverify {:.0} MB/s, SHA-256 over the same bytes {:.0} MB/s",
        log.verify_bytes_per_s / 1e6,
        log.sha256_bytes_per_s / 1e6
    );
    verdicts.push(Verdict::at_least("verify", ">= 0.5 x SHA-256", ratio, 0.5));
}
