//! How fast is `verify`, held against plain SHA-256 over the same bytes in the same run?
//!
//! `cargo bench -p dataset-events-tests --bench verify [-- EVENTS]` writes a ledger of 400,000 events
//! (about 250 MB) of 8 streams, reads its log once so that it is cached, and then measures in turn:
//! SHA-256 over all bytes of the log on one thread, and `verify` of the directory. The budget is a ratio
//! of at least 0.5.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataset_events::{Ledger, RequestContext, VerifyOptions, dataset_event, verify};
use sha2::{Digest, Sha256};

const ROUNDS: usize = 5;

#[dataset_event(surface = "chat.send_message", input(thread, body_len), output(message = *ret))]
fn send(ctx: &RequestContext, thread: &str, body_len: u64) -> u64 {
    body_len.wrapping_mul(31) ^ thread.len() as u64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let events: u64 = arguments.unwrap_or(400_000);
    let root = tempfile::tempdir()?;
    let path = write_ledger(root.path(), events)?;
    let log = segments(&path)?;
    let bytes: u64 =
        log.iter().map(|segment| Ok(fs::metadata(segment)?.len())).sum::<std::io::Result<_>>()?;
    hash(&log)?;
    let (mut plain, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        hash(&log)?;
        plain.push(start.elapsed());
        let start = Instant::now();
        let report = verify(&path, &VerifyOptions::new())?;
        verified.push(start.elapsed());
        assert!(report.is_verified() && report.bytes == bytes, "{report}");
    }
    let (plain, verified) = (median(plain), median(verified));
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!("{events} events, {:.0} MB, median of {ROUNDS}", bytes as f64 / 1e6);
    println!("plain SHA-256  {:>8.0} MB/s", rate(plain));
    println!("verify         {:>8.0} MB/s", rate(verified));
    println!("ratio          {:>8.2}  (budget: at least 0.5)", plain.as_secs_f64() / verified.as_secs_f64());
    Ok(())
}

fn write_ledger(root: &Path, events: u64) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let ledger = Ledger::open(root)?;
    let path = ledger.path().ok_or("the ledger is not on disk")?.to_owned();
    let mut contexts = Vec::new();
    for tenant in ["acme", "globex", "initech", "umbrella"] {
        for env in ["prod", "staging"] {
            contexts.push(ledger.context(tenant, env).user_id("u_42").auth_subject("idp|42").build()?);
        }
    }
    for number in 0..events {
        send(&contexts[(number % 8) as usize], "th_0123456789", number);
        // Fewer than the journal holds, so that nothing is shed.
        if number % 20_000 == 0 {
            ledger.flush()?;
        }
    }
    ledger.close()?;
    Ok(path)
}

fn segments(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(path.join("log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            segments.push(path);
        }
    }
    segments.sort();
    Ok(segments)
}

fn hash(segments: &[PathBuf]) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    for segment in segments {
        let mut file = File::open(segment)?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok(hasher.finalize().into())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
