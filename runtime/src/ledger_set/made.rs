//! Ledgers made by hand, on disk, as another process would leave them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::event::{DatasetEvent, LineHash, Outcome};
use crate::ids::{LedgerId, Scope};
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::line::{genesis, hash_line};
use crate::log::segment_name;
use crate::query::synthetic::{CODES, Random, SURFACES};

/// 2026-01-01T00:00:00Z.
pub(crate) const START_US: i64 = 1_767_225_600_000_000;

/// One ledger's directory, line by line.
pub(crate) struct MadeLedger {
    pub(crate) path: PathBuf,
    pub(crate) ledger_id: LedgerId,
    pub(crate) now: i64,
    /// Every event, in log order.
    pub(crate) events: Vec<DatasetEvent>,
    segment: u32,
    heads: HashMap<Scope, (u64, LineHash)>,
}

/// What a test says of an event.
pub(crate) struct Made<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) surface: &'a str,
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<&'a str>,
    pub(crate) duration_ns: u64,
    pub(crate) trace: u64,
    /// Span and parent; 0 for none.
    pub(crate) spans: (u64, u64),
    pub(crate) rest: &'a str,
}

impl<'a> Made<'a> {
    pub(crate) fn ok(scope: &'a Scope, surface: &'a str) -> Self {
        Self {
            scope,
            surface,
            outcome: Outcome::Ok,
            code: None,
            duration_ns: 1_000,
            trace: 1,
            spans: (1, 0),
            rest: "",
        }
    }
}

pub(crate) fn scope(tenant: &str) -> Scope {
    Scope::from_stored(tenant, "prod").unwrap()
}

impl MadeLedger {
    pub(crate) fn new(root: &Path, number: u128) -> Self {
        let ledger_id =
            LedgerId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number));
        let path = root.join(ledger_id.to_string());
        fs::create_dir_all(path.join("log")).unwrap();
        fs::write(path.join("lock"), "").unwrap();
        fs::write(path.join(IDENTITY_NAME), LedgerIdentity::new(ledger_id, 0).encode().unwrap()).unwrap();
        let ledger =
            Self { path, ledger_id, now: START_US, events: Vec::new(), segment: 1, heads: HashMap::new() };
        ledger.append("");
        ledger
    }

    /// The next event of a stream: its line, with the newline.
    pub(crate) fn line(&mut self, made: &Made<'_>) -> String {
        let (ledger_id, scope) = (self.ledger_id, made.scope);
        let (seq, prev) = self.heads.get(scope).copied().unwrap_or_else(|| (0, genesis(ledger_id, scope)));
        let seq = seq + 1;
        let id = Uuid::from_u128(ledger_id.as_u128() + ((self.events.len() as u128 + 1) << 32));
        let mut line = format!(
            concat!(
                r#"{{"schema_version":1,"kind":"event","ledger_id":"{}","event_id":"{}","tenant_id":"{}","#,
                r#""env":"{}","seq":{},"prev":"{}","surface":"{}","access":"write","outcome":"{}""#
            ),
            ledger_id,
            id,
            scope.tenant_id(),
            scope.env(),
            seq,
            prev,
            made.surface,
            made.outcome
        );
        if let Some(code) = made.code {
            write!(line, r#","error":{{"code":"{code}","retryable":false}}"#).unwrap();
        }
        write!(
            line,
            concat!(
                r#","started_at":{},"duration_ns":{},"recorded_at":{},"actor":{{"type":"anonymous"}},"#,
                r#""request_id":"r","trace_id":"{:032x}","span_id":"{:016x}""#
            ),
            self.now - (made.duration_ns / 1_000) as i64,
            made.duration_ns,
            self.now,
            made.trace,
            made.spans.0
        )
        .unwrap();
        if made.spans.1 != 0 {
            write!(line, r#","parent_span_id":"{:016x}""#, made.spans.1).unwrap();
        }
        write!(
            line,
            r#","writer":{{"service":"made","version":"1","instance":"i","epoch":1}}{}}}"#,
            made.rest
        )
        .unwrap();
        self.heads.insert(scope.clone(), (seq, hash_line(line.as_bytes())));
        self.events.push(DatasetEvent::from_line(&line).unwrap());
        line.push('\n');
        line
    }

    pub(crate) fn write(&mut self, made: &Made<'_>) {
        let line = self.line(made);
        self.append(&line);
    }

    /// Appends events of the given scopes, up to `step_us` apart.
    pub(crate) fn write_random(
        &mut self,
        random: &mut Random,
        scopes: &[Scope],
        events: usize,
        step_us: u64,
    ) {
        let mut text = String::new();
        for _ in 0..events {
            self.now += random.below(step_us) as i64;
            let outcome = if random.is_one_in(2) { Outcome::Ok } else { *random.pick(&Outcome::ALL) };
            let surface = match random.below(20) {
                0 => "ledger.read",
                1 => "bossman.overview",
                _ => random.pick::<&str>(&SURFACES),
            };
            let cost = match random.below(12) {
                0 => "null".to_owned(),
                1 => "\"many\"".to_owned(),
                2 => format!("\"-0.{:09}\"", random.below(1_000_000_000)),
                _ => format!("{}.{:06}", random.below(900), random.below(1_000_000)),
            };
            let rest = format!(
                concat!(
                    r#","source_refs":[{{"kind":"sensor","id":"s{}"}}],"input":{{"provider":"p{}","#,
                    r#""cost":{}}},"output":{{"celsius":{}}}"#
                ),
                random.below(40),
                random.below(3),
                cost,
                random.below(60)
            );
            let span = self.events.len() as u64 + 1;
            text += &self.line(&Made {
                scope: random.pick(scopes),
                surface,
                outcome,
                code: outcome.is_failure().then(|| *random.pick(&CODES)),
                duration_ns: 1 << random.below(40),
                trace: random.below(30) + 1,
                spans: (span, span.saturating_sub(random.below(4))),
                rest: &rest,
            });
            if random.is_one_in(400) {
                self.append(&std::mem::take(&mut text));
                self.rotate();
            }
        }
        self.append(&text);
    }

    fn segment_path(&self) -> PathBuf {
        self.path.join(segment_name(self.segment))
    }

    /// Appends bytes to the newest segment.
    pub(crate) fn append(&self, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.segment_path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn rotate(&mut self) {
        self.segment += 1;
        self.append("");
    }

    /// Cuts the newest segment to its first `keep` lines, and forgets the events behind them.
    pub(crate) fn cut(&mut self, keep: usize) {
        assert_eq!(self.segment, 1, "only a ledger of one segment is cut");
        let text = fs::read_to_string(self.segment_path()).unwrap();
        let kept: Vec<&str> = text.split_inclusive('\n').take(keep).collect();
        fs::write(self.segment_path(), kept.concat()).unwrap();
        self.events.truncate(keep);
        self.heads.clear();
        for (event, line) in self.events.iter().zip(&kept) {
            self.heads.insert(event.scope().clone(), (event.seq, hash_line(line.trim_end().as_bytes())));
        }
    }
}
