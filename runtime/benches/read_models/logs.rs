//! Two ways to have events of one scope: a ledger of this process, and the log of one as another would leave it.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dataset_events::{Code, Ledger, TraceId};
use sha2::{Digest, Sha256};

const LEDGER: &str = "01900000-0000-7000-8000-000000000001";
const SPAN_US: u64 = 60 * 24 * 3_600_000_000;
const SURFACES: [&str; 4] = ["chat.send", "chat.list", "budget.record", "kill_switch.check"];
const NOT_FOUND: Code = Code::new("chat.not_found").status(404);
/// Events of one trace.
pub(crate) const IN_TRACE: u64 = 3;

fn mixed(seq: u64) -> u64 {
    seq.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn is_failure(seq: u64) -> bool {
    mixed(seq) >> 59 == 0
}

/// A ledger of this process.
pub(crate) struct OwnLog {
    pub(crate) ledger: Ledger,
    seq: u64,
    /// The trace of the first events after each append.
    pub(crate) trace_id: Option<TraceId>,
}

impl OwnLog {
    pub(crate) fn new(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let ledger = Ledger::options().root(directory).service("bench", "1.0.0").open()?;
        Ok(Self { ledger, seq: 0, trace_id: None })
    }

    pub(crate) fn append(&mut self, events: u64) -> Result<(), Box<dyn Error>> {
        let end = self.seq + events;
        self.trace_id = None;
        while self.seq < end {
            let user = format!("user_{}", mixed(self.seq) % 5_000);
            let trace_id = self.ledger.new_trace_id();
            let ctx =
                self.ledger.context("acme", "prod").user_id(&user).synthesized_trace_id(trace_id).build()?;
            let len = IN_TRACE.min(end - self.seq);
            if len == IN_TRACE && self.trace_id.is_none() {
                self.trace_id = Some(trace_id);
            }
            for _ in 0..len {
                self.seq += 1;
                let seq = self.seq;
                let event = ctx
                    .event(SURFACES[(seq % 4) as usize])
                    .input("provider", &format!("p{}", mixed(seq) % 5))
                    .input("cost", &format!("0.{:06}", mixed(seq) % 1_000_000));
                match is_failure(seq) {
                    true => event.code(NOT_FOUND).record()?,
                    false => event.record()?,
                };
            }
            if self.seq % 19_998 < IN_TRACE {
                self.ledger.flush()?;
            }
        }
        self.ledger.flush()?;
        Ok(())
    }
}

/// The log of one ledger and one stream, over the same 60 days at each size.
pub(crate) struct ForeignLog {
    path: PathBuf,
    seq: u64,
    prev: String,
    step_us: u64,
}

impl ForeignLog {
    pub(crate) fn new(directory: &Path, size: u64) -> Result<Self, Box<dyn Error>> {
        std::fs::create_dir_all(directory.join("log"))?;
        let identity = format!(
            "{{\"schema_version\":1,\"kind\":\"ledger\",\"ledger_id\":\"{LEDGER}\",\"created_at\":0,\"keys\":[]}}\n"
        );
        std::fs::write(directory.join("ledger.json"), identity)?;
        let path = directory.join("log/00000001.ndjson");
        File::create(&path)?;
        Ok(Self { path, seq: 0, prev: "0".repeat(64), step_us: SPAN_US / size })
    }

    /// The trace of some events in the middle of what there was before the first round.
    pub(crate) fn trace_id(&self, round: u64, size: u64) -> Result<TraceId, Box<dyn Error>> {
        Ok(format!("{:032x}", (round + 1) * size / 100 + 1).parse()?)
    }

    pub(crate) fn append(&mut self, events: u64) -> Result<(), Box<dyn Error>> {
        let mut out = BufWriter::new(OpenOptions::new().append(true).open(&self.path)?);
        let mut line = String::new();
        for _ in 0..events {
            self.seq += 1;
            let seq = self.seq;
            let mixed = mixed(seq);
            let at = 1_700_000_000_000_000 + seq * self.step_us;
            let (outcome, error) = match is_failure(seq) {
                true => ("error", r#","error":{"code":"chat.not_found","retryable":false}"#),
                false => ("ok", ""),
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
                SURFACES[(seq % 4) as usize],
                outcome,
                error,
                at - 50,
                20_000 + (mixed >> 44),
                at,
                mixed % 5_000,
                mixed,
                seq / IN_TRACE + 1,
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
