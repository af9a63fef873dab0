//! Logs made by hand for the tests of index and queries.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use uuid::Uuid;

use crate::event::{LineHash, Outcome};
use crate::ids::{LedgerId, Scope};
use crate::log::line::{genesis, hash_line};
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::{LogPosition, segment_name};

/// A generator that is the same everywhere (splitmix64), seeded from `DATASET_EVENTS_TEST_SEED` or the clock.
pub(crate) struct Random(u64);

impl Random {
    /// The seed is printed, so that a failure can be run again.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("DATASET_EVENTS_TEST_SEED").ok();
        let seed = seed.map(|seed| seed.parse().expect("DATASET_EVENTS_TEST_SEED is a number"));
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        println!("DATASET_EVENTS_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn is_one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

pub(crate) const SURFACES: [&str; 6] =
    ["chat.send", "chat.room.list", "chats.send", "budget.check", "budget.set_policy", "kill_switch.update"];
pub(crate) const CODES: [&str; 4] =
    ["chat.not_found", "budget.exceeded", "kill_switch.blocked", "chat.internal"];

/// A ledger's log, line by line.
pub(crate) struct SyntheticLog {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) ledger_id: LedgerId,
    pub(crate) end: LogPosition,
    heads: HashMap<Scope, (u64, LineHash)>,
    now: i64,
    events: u64,
}

impl SyntheticLog {
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStorage::default()))
    }

    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        let ledger_id = LedgerId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let now = 1_700_000_000_000_000;
        Self { storage, ledger_id, end: LogPosition::START, heads: HashMap::new(), now, events: 0 }
    }

    pub(crate) fn scopes() -> Vec<Scope> {
        let mut scopes = vec![Scope::system()];
        for (tenant, env) in [("acme", "prod"), ("acme", "test"), ("acm", "eprod"), ("Zeta:1", "prod")] {
            scopes.push(Scope::from_stored(tenant, env).unwrap());
        }
        scopes
    }

    /// Appends events of all scopes, with few values of each kind, so that filters meet.
    pub(crate) fn append_random(&mut self, random: &mut Random, events: usize) {
        let scopes = Self::scopes();
        let mut text = String::new();
        for _ in 0..events {
            if random.is_one_in(20) {
                let line = self.attempt(random.pick(&scopes));
                text.push_str(&line);
                text.push('\n');
            }
            self.now += random.below(3) as i64;
            let scope = random.pick(&scopes).clone();
            let outcome = *random.pick(&Outcome::ALL);
            let code = match outcome {
                Outcome::Ok => None,
                Outcome::Panic | Outcome::Cancelled | Outcome::Interrupted => Some(outcome.as_str()),
                _ => Some(*random.pick(&CODES)),
            };
            let user = random.is_one_in(2).then(|| format!("u\\\"{}", random.below(4)));
            let line = self.event(
                &scope,
                random.pick::<&str>(&SURFACES),
                outcome,
                code,
                user.as_deref(),
                &format!("req-{}", random.below(events as u64 / 4 + 1)),
                random.below(events as u64 / 6 + 1) + 1,
            );
            text.push_str(&line);
            text.push('\n');
            if random.is_one_in(700) {
                self.append(&std::mem::take(&mut text));
                self.rotate();
            }
        }
        self.append(&text);
    }

    /// The next event of a stream, as a line.
    #[expect(clippy::too_many_arguments, reason = "one argument for each field that a query selects by")]
    pub(crate) fn event(
        &mut self,
        scope: &Scope,
        surface: &str,
        outcome: Outcome,
        code: Option<&str>,
        user: Option<&str>,
        request: &str,
        trace: u64,
    ) -> String {
        let ledger_id = self.ledger_id;
        let (seq, prev) = self.heads.get(scope).copied().unwrap_or_else(|| (0, genesis(ledger_id, scope)));
        let seq = seq + 1;
        let mut line = self.start(scope, "event");
        write!(line, r#","seq":{seq},"prev":"{prev}","surface":"{surface}","access":"write""#).unwrap();
        write!(line, r#","outcome":"{outcome}""#).unwrap();
        if let Some(code) = code {
            write!(line, r#","error":{{"code":"{code}","retryable":false}}"#).unwrap();
        }
        let started = self.now - 40;
        write!(line, r#","started_at":{started},"duration_ns":40000,"recorded_at":{}"#, self.now).unwrap();
        self.finish(&mut line, user, request, trace);
        self.heads.insert(scope.clone(), (seq, hash_line(line.as_bytes())));
        line
    }

    fn attempt(&mut self, scope: &Scope) -> String {
        let mut line = self.start(scope, "attempt");
        line.push_str(r#","surface":"chat.send","access":"write","guarantee":"intent","started_at":1"#);
        write!(line, r#","recorded_at":{}"#, self.now).unwrap();
        self.finish(&mut line, None, "req-attempt", 1);
        line
    }

    fn start(&mut self, scope: &Scope, kind: &str) -> String {
        self.events += 1;
        let event_id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0001_0000_0000 + u128::from(self.events));
        format!(
            concat!(
                r#"{{"schema_version":1,"kind":"{}","ledger_id":"{}","event_id":"{}","#,
                r#""tenant_id":"{}","env":"{}""#
            ),
            kind,
            self.ledger_id,
            event_id,
            scope.tenant_id(),
            scope.env()
        )
    }

    fn finish(&self, line: &mut String, user: Option<&str>, request: &str, trace: u64) {
        match user {
            Some(user) => {
                let user = serde_json::to_string(user).unwrap();
                write!(line, r#","actor":{{"type":"user","user_id":{user}}}"#).unwrap();
            }
            None => line.push_str(r#","actor":{"type":"anonymous"}"#),
        }
        write!(
            line,
            r#","request_id":"{request}","trace_id":"{trace:032x}","span_id":"{:016x}""#,
            self.events
        )
        .unwrap();
        line.push_str(r#","writer":{"service":"s","version":"1","instance":"i","epoch":1}"#);
        line.push_str(r#","input":{"surface":"chat.send","n":1}}"#);
    }

    /// Appends bytes to the newest segment.
    pub(crate) fn append(&mut self, text: &str) {
        let file = self.storage.open(&segment_name(self.end.segment), true).unwrap();
        file.write_all_at(self.end.offset, text.as_bytes()).unwrap();
        self.end.offset += text.len() as u64;
    }

    pub(crate) fn append_line(&mut self, line: &str) {
        self.append(line);
        self.append("\n");
    }

    pub(crate) fn rotate(&mut self) {
        self.end = LogPosition { segment: self.end.segment + 1, offset: 0 };
        self.storage.open(&segment_name(self.end.segment), true).unwrap();
    }

    /// Every terminated line, by a reader that shares no code with the one under test.
    pub(crate) fn all_lines(&self) -> Vec<(LogPosition, String)> {
        let mut lines = Vec::new();
        for segment in 1..=self.end.segment {
            let bytes = self.storage.read(&segment_name(segment)).unwrap().unwrap_or_default();
            let text = String::from_utf8(bytes).unwrap();
            let mut offset = 0;
            for line in text.split_inclusive('\n') {
                let position = LogPosition { segment, offset };
                lines.push((position, line.trim_end_matches('\n').to_owned()));
                offset += line.len() as u64;
            }
        }
        lines
    }
}
