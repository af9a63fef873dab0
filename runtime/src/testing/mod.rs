//! A ledger for tests: the same code as in production, isolated per test, reproducible.
//!
//! ```
//! use dataset_events::testing::TestLedger;
//! use dataset_events::{ErrorCode, RequestContext, dataset_event};
//!
//! #[derive(Debug, ErrorCode)]
//! enum OrderError {
//!     #[code("orders.empty", status = 422)]
//!     Empty,
//! }
//!
//! #[dataset_event(surface = "orders.create", input(count))]
//! fn create_order(ctx: &RequestContext, count: u32) -> Result<u32, OrderError> {
//!     if count == 0 { Err(OrderError::Empty) } else { Ok(count) }
//! }
//!
//! let ledger = TestLedger::new();
//! let ctx = ledger.context("acme", "prod").build()?;
//! let _ = create_order(&ctx, 0);
//! ledger.assert_one("orders.create").code("orders.empty").input("count", 0);
//! # Ok::<_, dataset_events::InvalidId>(())
//! ```

pub mod coverage;
pub mod isolation;

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::context::ContextBuilder;
use crate::event::{DatasetEvent, Outcome};
use crate::id_source::IdSource;
use crate::ids::{Env, InvalidId, LedgerId, TenantId};
use crate::ledger::{Fixed, Ledger, LedgerShared, Memory};
use crate::log::reader::LogReader;
use crate::log::signer::Ed25519Signer;
use crate::log::{LogPosition, segment_name};
pub use crate::{assert_covered, isolation_contract};

/// The time at which the stepped clock begins: 2026-01-01T00:00:00Z, in nanoseconds since 1970.
const START_NS: u64 = 1_767_225_600_000_000_000;

/// Each reading of the stepped clock is 1 microsecond later.
const STEP_NS: u64 = 1_000;

/// A ledger for one test.
///
/// It lies in memory (or, with [`on_disk`](Self::on_disk), in a directory of its own that goes with it),
/// its clock advances by 1 microsecond at each reading from 2026-01-01, and its ids, its key and its
/// ledger id are fixed: two runs of the same calls on one thread have the same bytes.
#[derive(Debug)]
pub struct TestLedger {
    ledger: Option<Ledger>,
    directory: Option<PathBuf>,
    seed: u64,
}

impl Default for TestLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl TestLedger {
    /// A ledger in memory.
    ///
    /// # Panics
    ///
    /// When the process cannot map memory or start threads.
    pub fn new() -> Self {
        Self::with_seed(1)
    }

    /// A ledger in memory whose ids differ from those of other seeds.
    ///
    /// # Panics
    ///
    /// When the process cannot map memory or start threads.
    pub fn with_seed(seed: u64) -> Self {
        Self { ledger: Some(open(seed, None)), directory: None, seed }
    }

    /// A ledger on disk, in a directory of its own below the system's directory for temporary files.
    /// The directory is removed when the test ledger is dropped.
    ///
    /// # Panics
    ///
    /// When the directory cannot hold a ledger.
    pub fn on_disk() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dataset-events-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        Self { ledger: Some(open(1, Some(&directory))), directory: Some(directory), seed: 1 }
    }

    /// Closes the ledger and opens it again; for a ledger on disk.
    ///
    /// # Panics
    ///
    /// When the ledger lies in memory, or cannot be opened again.
    pub fn reopen(&mut self) {
        let directory = self.directory.clone().expect("only a ledger on disk can be opened again");
        if let Some(ledger) = self.ledger.take() {
            ledger.close().expect("close the test ledger");
        }
        self.ledger = Some(open(self.seed, Some(&directory)));
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().expect("a test ledger is open until it is dropped")
    }

    fn shared(&self) -> &Arc<LedgerShared> {
        &self.ledger().owner.shared
    }

    /// Begins a context that records here.
    pub fn context<T, E>(&self, tenant: T, env: E) -> ContextBuilder
    where
        T: TryInto<TenantId, Error: Into<InvalidId>>,
        E: TryInto<Env, Error: Into<InvalidId>>,
    {
        self.ledger().context(tenant, env)
    }

    /// Makes calls that bring no ledger of their own record here, on this thread, until the guard goes.
    pub fn enter(&self) -> Entered {
        crate::pending::enter(self.shared());
        Entered { shared: Arc::clone(self.shared()), _not_send: PhantomData }
    }

    /// Waits until everything recorded is in the log.
    ///
    /// # Panics
    ///
    /// When the log could not be written.
    pub fn flush(&self) {
        self.ledger().flush().expect("flush the test ledger");
    }

    /// Every line of the log, in log order: events of all scopes, and attempts.
    ///
    /// # Panics
    ///
    /// When the log cannot be read.
    pub fn lines(&self) -> Vec<String> {
        self.flush();
        let storage = &self.ledger().owner.storage;
        let segments = storage.list("log").expect("list the log of the test ledger");
        let last = segments.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse().ok()).max();
        let last: u32 = last.unwrap_or(1);
        let len = storage.open(&segment_name(last), false).and_then(|file| file.len());
        let end = LogPosition { segment: last, offset: len.expect("the length of the newest segment") };
        let mut reader = LogReader::new(Arc::clone(storage), LogPosition::START, end);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().expect("read the log of the test ledger") {
            lines.push(String::from_utf8(line.bytes).expect("lines are UTF-8"));
        }
        lines
    }

    fn all_events(&self) -> Vec<DatasetEvent> {
        let lines = self.lines();
        let events = lines.iter().filter(|line| line.contains("\"kind\":\"event\""));
        events.map(|line| DatasetEvent::from_line(line).expect("a line of the log is an event")).collect()
    }

    /// The events of all tenants, in log order.
    pub fn events(&self) -> Vec<DatasetEvent> {
        self.all_events().into_iter().filter(|event| !event.scope().is_system()).collect()
    }

    /// The ledger's own events, in log order.
    pub fn system_events(&self) -> Vec<DatasetEvent> {
        self.all_events().into_iter().filter(|event| event.scope().is_system()).collect()
    }

    /// The events of one surface, in log order.
    pub fn events_of(&self, surface: &str) -> Vec<DatasetEvent> {
        self.events().into_iter().filter(|event| event.surface == surface).collect()
    }

    /// The one event of a surface, to be looked at further.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one; the message lists what is there.
    #[track_caller]
    pub fn assert_one(&self, surface: &str) -> EventAssert {
        let mut found = self.events_of(surface);
        let count = found.len();
        match (found.pop(), count) {
            (Some(event), 1) => EventAssert { event },
            _ => panic!("expected one event of `{surface}`, found {count}\n{}", self.listing()),
        }
    }

    /// Asserts how many events of a surface there are.
    ///
    /// # Panics
    ///
    /// When there are more or fewer; the message lists what is there.
    #[track_caller]
    pub fn assert_count(&self, surface: &str, expected: usize) {
        let count = self.events_of(surface).len();
        assert!(
            count == expected,
            "expected {expected} events of `{surface}`, found {count}\n{}",
            self.listing()
        );
    }

    /// Asserts that no tenant has any event.
    ///
    /// # Panics
    ///
    /// When there is one; the message lists what is there.
    #[track_caller]
    pub fn assert_empty(&self) {
        assert!(self.events().is_empty(), "expected no events\n{}", self.listing());
    }

    /// What is in the ledger, an event a line, for messages.
    fn listing(&self) -> String {
        let events = self.events();
        if events.is_empty() {
            return "the ledger is empty".to_owned();
        }
        let mut text = format!("the ledger holds {} events:", events.len());
        for event in &events {
            let _ = write!(
                text,
                "\n  {}/{} #{} {} {} {}",
                event.tenant_id(),
                event.env(),
                event.seq,
                event.surface,
                event.outcome,
                event.code().unwrap_or_default(),
            );
            if let Some(input) = &event.input {
                let _ = write!(text, " input {}", input.get());
            }
            if let Some(output) = &event.output {
                let _ = write!(text, " output {}", output.get());
            }
        }
        text
    }
}

impl Drop for TestLedger {
    fn drop(&mut self) {
        drop(self.ledger.take());
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

fn open(seed: u64, directory: Option<&Path>) -> Ledger {
    let ledger_id = LedgerId::from_uuid(uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000));
    let mut options = Ledger::options()
        .service("test", "0.0.0")
        .instance("test:1")
        .signer(Ed25519Signer::fixed_for_tests())
        .journal_bytes(2 * 1024 * 1024);
    match directory {
        Some(directory) => options = options.root(directory),
        None => options.memory = Some(Memory::default()),
    }
    options.fixed = Some(Fixed {
        ledger_id,
        clock: Clock::Stepped { start_ns: START_NS, step_ns: STEP_NS, now: AtomicU64::new(0) },
        id_source: IdSource::Stepped { seed, next: AtomicU64::new(0) },
        secret: [7; 32],
    });
    options.open().expect("open the test ledger")
}

/// Makes calls on this thread record to a [`TestLedger`]; see [`TestLedger::enter`].
#[derive(Debug)]
#[must_use = "calls record to the test ledger until this is dropped"]
pub struct Entered {
    shared: Arc<LedgerShared>,
    /// Leaving is for the thread that entered.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        crate::pending::leave(&self.shared);
    }
}

/// One event under assertion. Each method panics with the whole event when it does not hold.
#[derive(Debug)]
pub struct EventAssert {
    event: DatasetEvent,
}

impl EventAssert {
    /// The event.
    pub fn event(&self) -> &DatasetEvent {
        &self.event
    }

    #[track_caller]
    fn expect(self, what: &str, is_so: bool, expected: &dyn std::fmt::Debug) -> Self {
        assert!(is_so, "expected {what} {expected:?}; the event is\n{:#?}", self.event);
        self
    }

    /// The call ended so.
    #[track_caller]
    pub fn outcome(self, expected: Outcome) -> Self {
        let is_so = self.event.outcome == expected;
        self.expect("outcome", is_so, &expected)
    }

    /// The call succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.outcome(Outcome::Ok)
    }

    /// The call failed with this code.
    #[track_caller]
    pub fn code(self, expected: &str) -> Self {
        let is_so = self.event.code() == Some(expected);
        self.expect("code", is_so, &expected)
    }

    /// The call was of this tenant and env.
    #[track_caller]
    pub fn scope(self, tenant: &str, env: &str) -> Self {
        let is_so = self.event.tenant_id() == tenant && self.event.env() == env;
        self.expect("scope", is_so, &(tenant, env))
    }

    /// The call was by this user.
    #[track_caller]
    pub fn user(self, expected: &str) -> Self {
        let is_so = self.event.user_id().is_some_and(|user| user == expected);
        self.expect("user", is_so, &expected)
    }

    /// The input has this value under this name.
    #[track_caller]
    pub fn input(self, name: &str, expected: impl Into<serde_json::Value>) -> Self {
        let expected = expected.into();
        let is_so = self.event.input_value().get(name) == Some(&expected);
        self.expect(&format!("input `{name}`"), is_so, &expected)
    }

    /// The output has this value under this name.
    #[track_caller]
    pub fn output(self, name: &str, expected: impl Into<serde_json::Value>) -> Self {
        let expected = expected.into();
        let is_so = self.event.output_value().get(name) == Some(&expected);
        self.expect(&format!("output `{name}`"), is_so, &expected)
    }

    /// The call read or wrote this thing.
    #[track_caller]
    pub fn source_ref(self, kind: &str, id: &str) -> Self {
        let is_so = self.event.source_refs.iter().any(|one| one.kind == kind && one.id == id);
        self.expect("source ref", is_so, &(kind, id))
    }

    /// The call changed this field so.
    #[track_caller]
    pub fn change(
        self,
        field: &str,
        before: impl Into<serde_json::Value>,
        after: impl Into<serde_json::Value>,
    ) -> Self {
        let expected = (before.into(), after.into());
        let value = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
        let is_so =
            self.event.changes.iter().any(|change| {
                change.field == field && (value(&change.before), value(&change.after)) == expected
            });
        self.expect(&format!("change of `{field}`"), is_so, &expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{CallState, End, Operation, ScopeSource};
    use crate::surface::{Access, Guarantee};

    fn call(ctx: &crate::RequestContext, guarantee: Guarantee, input: &str) {
        let operation = Operation { surface: "probe.call", access: Access::Write, guarantee, site: None };
        let mut state = CallState::begin(&ScopeSource::Context(ctx), operation, None).unwrap();
        state.input.extend_from_slice(input.as_bytes());
        let end = End { outcome: Outcome::Ok, code: None, message: None, items: None };
        match guarantee {
            Guarantee::Recorded => state.finish(&end),
            Guarantee::Intent => {
                state.attempt();
                state.finish(&end);
            }
            Guarantee::Durable => {
                state.admit_blocking().unwrap();
                state.finish_blocking(&end);
            }
        }
    }

    #[test]
    fn calls_of_every_guarantee_are_in_the_log_once() {
        for ledger in [TestLedger::new(), TestLedger::on_disk()] {
            let ctx = ledger.context("acme", "prod").user_id("u_1").build().unwrap();
            for guarantee in [Guarantee::Recorded, Guarantee::Intent, Guarantee::Durable] {
                call(&ctx, guarantee, "{\"n\":1}");
            }
            let events = ledger.events();
            assert_eq!(events.len(), 3, "{}", ledger.listing());
            assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!(events[0].input_value()["n"], 1);
            assert_eq!(events[0].writer.epoch, 1);
            let attempts = ledger.lines().iter().filter(|line| line.contains("\"kind\":\"attempt\"")).count();
            assert_eq!(attempts, 1, "a durable attempt has a line of its own, an intent in time has none");
        }
    }

    #[test]
    fn large_records_take_runs_and_everything_survives_many_groups() {
        let ledger = TestLedger::new();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        let large = format!("{{\"text\":\"{}\"}}", "x".repeat(60_000));
        for at in 0..2_000 {
            let input = if at % 50 == 0 { &*large } else { "{}" };
            call(&ctx, if at % 3 == 0 { Guarantee::Intent } else { Guarantee::Recorded }, input);
        }
        let events = ledger.events();
        assert_eq!(events.len(), 2_000);
        assert!(events.iter().enumerate().all(|(at, event)| event.seq == at as u64 + 1));
    }

    #[test]
    fn a_reopened_ledger_goes_on() {
        let mut ledger = TestLedger::on_disk();
        for round in 1..=3 {
            let ctx = ledger.context("acme", "prod").build().unwrap();
            call(&ctx, Guarantee::Intent, "{}");
            assert_eq!(ledger.events().len(), round);
            drop(ctx);
            ledger.reopen();
        }
        let epochs: Vec<_> = ledger.events().iter().map(|event| event.writer.epoch).collect();
        assert_eq!(epochs, [1, 2, 3]);
    }

    #[test]
    fn a_record_of_before_the_ledger_is_on_its_clock() {
        let ledger = TestLedger::new();
        let process = Clock::process();
        let own = crate::ledger::OwnEvent {
            tenant: "acme",
            env: "prod",
            ..crate::ledger::OwnEvent::system("probe.early", "{}")
        };
        let bytes = crate::ledger::shared::encode_own(&own, &process, &IdSource::Random);
        crate::pending::hand_over(ledger.shared(), &bytes);
        let ctx = ledger.context("acme", "prod").build().unwrap();
        call(&ctx, Guarantee::Recorded, "{}");
        ledger.assert_count("probe.call", 1);
        let early = ledger.assert_one("probe.early");
        assert!(early.event().started_at <= ledger.events_of("probe.call")[0].started_at);
    }

    #[test]
    fn a_forked_child_sees_no_ledger() {
        let ledger = TestLedger::on_disk();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        call(&ctx, Guarantee::Recorded, "{}");
        let code = crate::journal::os::in_forked_child(|| {
            call(&ctx, Guarantee::Recorded, "{}");
            call(&ctx, Guarantee::Intent, "{}");
            i32::from(ledger.ledger().flush().is_ok())
        });
        assert_eq!(code, 0);
        ledger.assert_count("probe.call", 1);
    }

    #[test]
    fn an_attempt_left_open_is_interrupted_after_reopening() {
        let mut ledger = TestLedger::on_disk();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        let operation = Operation {
            surface: "probe.open",
            access: Access::Write,
            guarantee: Guarantee::Intent,
            site: None,
        };
        let mut state = CallState::begin(&ScopeSource::Context(&ctx), operation, None).unwrap();
        state.attempt();
        std::mem::forget(state);
        drop(ctx);
        ledger.reopen();
        ledger.assert_one("probe.open").outcome(Outcome::Interrupted).code("interrupted");
        ledger.reopen();
        ledger.assert_count("probe.open", 1);
    }
}
