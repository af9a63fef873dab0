//! Does the index keep up with 100,000 events a second on one core, and does it stay so as it grows?
//!
//! Writes a log of N lines (default 1,000,000; the first argument sets it), 8 streams, one trace and one
//! request for every three events, then builds the index from nothing. CPU time of the process stands beside
//! wall time, because the machine may be shared. `cargo bench -p dataset-events --bench index -- 5000000`

use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

const LEDGER: &str = "01900000-0000-7000-8000-000000000001";

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let events: u64 = numbers.next().unwrap_or(1_000_000);
    let root = tempfile::tempdir()?;
    let directory = root.path().join(LEDGER);
    let bytes = write_log(&directory, events)?;
    let before = cpu_seconds()?;
    let report = dataset_events::rebuild_index(&directory)?;
    let cpu = cpu_seconds()? - before;
    assert_eq!((report.events, report.skipped_lines), (events, 0));
    let wall = report.elapsed.as_secs_f64();
    let index_bytes = std::fs::metadata(directory.join("index.redb"))?.len();
    println!(
        "{events} events, {} bytes a line: {:.0} events/s by CPU time, {:.0} events/s by wall time, {} bytes of index an event",
        bytes / events,
        events as f64 / cpu,
        events as f64 / wall,
        index_bytes / events,
    );
    Ok(())
}

fn write_log(directory: &Path, events: u64) -> Result<u64, Box<dyn Error>> {
    std::fs::create_dir_all(directory.join("log"))?;
    let identity =
        format!(r#"{{"schema_version":1,"kind":"ledger","ledger_id":"{LEDGER}","created_at":1,"keys":[]}}"#);
    std::fs::write(directory.join("ledger.json"), identity)?;
    let mut out = BufWriter::new(File::create(directory.join("log/00000001.ndjson"))?);
    let surfaces = ["chat.send", "chat.list", "budget.check", "kill_switch.check"];
    let mut seqs = [0_u64; 8];
    let (mut line, mut bytes) = (String::new(), 0);
    for at in 0..events {
        let stream = (at % 8) as usize;
        seqs[stream] += 1;
        let mixed = (at / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        line.clear();
        write!(
            line,
            concat!(
                r#"{{"schema_version":1,"kind":"event","ledger_id":"{}","event_id":"01900000-0000-7000-8000-{:012x}","#,
                r#""tenant_id":"tenant_{}","env":"prod","seq":{},"prev":"{:064x}","surface":"{}","access":"write","#,
                r#""outcome":"ok","started_at":{},"duration_ns":40000,"recorded_at":{},"#,
                r#""actor":{{"type":"user","user_id":"user_{}"}},"request_id":"{:032x}","trace_id":"{:016x}{:016x}","#,
                r#""span_id":"{:016x}","writer":{{"service":"bench","version":"1.0.0","instance":"a","epoch":1}},"#,
                r#""input":{{"thread_id":"th_{}","body_len":120}},"output":{{"message_id":"m_{}"}}}}"#
            ),
            LEDGER,
            at,
            stream,
            seqs[stream],
            at,
            surfaces[(at % 4) as usize],
            1_700_000_000_000_000 + at,
            1_700_000_000_000_050 + at,
            mixed % 5_000,
            mixed,
            mixed,
            mixed.rotate_left(32),
            at + 1,
            at % 1_000,
            at,
        )?;
        line.push('\n');
        out.write_all(line.as_bytes())?;
        bytes += line.len() as u64;
    }
    out.flush()?;
    Ok(bytes)
}

/// User and system time of this process so far, from `/proc/self/stat` (clock ticks of 10 ms).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Box<dyn Error>> { Ok(fields.next().unwrap_or_default().parse()?) };
    Ok((ticks()? + ticks()?) / 100.0)
}
