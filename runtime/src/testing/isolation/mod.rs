//! The isolation contract: many tenants at once, each with a canary, and no canary where it does not belong.
//!
//! [`isolation_contract!`](crate::isolation_contract) runs an adopter's own exercise, such as the requests of a
//! client, for 50 tenants concurrently, in several rounds. Each has a canary, a random text that is also in its
//! user id and its request ids; the exercise sends it wherever the service takes data. Then it looks for
//! canaries of others in everything that a tenant observed, for any canary at all in what is shared (metrics,
//! logs), and for canaries of others in each scope of the ledgers, and in the raw bytes of their indexes.
//!
//! An exercise that is refused everywhere sees nothing of others, so it must also show that it was served: in
//! each round the tenant's own canary has to be in what it observed, or in an `ok` event that has the round's
//! request id. There it has to be data: user and request ids do not count, since a refusal echoes them. When
//! ledgers are named, each tenant needs an `ok` event in them.
//!
//! ```
//! use dataset_events::testing::isolation::Observed;
//! use dataset_events::testing::{TestLedger, isolation_contract};
//! use dataset_events::{RequestContext, dataset_event};
//!
//! #[dataset_event(surface = "notes.save", input(text), cannot_fail = "it only measures")]
//! fn save(ctx: &RequestContext, text: &str) -> usize {
//!     text.len()
//! }
//!
//! let ledger = TestLedger::new();
//! isolation_contract!(
//!     exercise: |tenant| {
//!         let ctx = ledger.context(&tenant.tenant_id, &tenant.env).user_id(&tenant.user_id);
//!         let ctx = ctx.request_id(&tenant.request_id).build().expect("valid ids");
//!         Observed::new().saw("length", save(&ctx, &tenant.canary).to_string())
//!     },
//!     tenants: 8,
//!     shared: { "metrics" => format!("events {}", ledger.ledger().stats().events) },
//!     ledgers: [ledger.ledger()],
//! );
//! ```
//!
//! Limits: a canary that was encoded (base64, compression, encryption) or hashed is not recognised; one that was
//! cut to 8 digits or changed to upper case is.

mod canary;
mod ledgers;
mod report;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use self::canary::Owners;
pub use self::report::{Breach, IsolationBroken, IsolationReport};
use crate::ids::{Env, RequestId, TenantId, UserId};
use crate::ledger::Ledger;

/// One tenant of the contract, in one round.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IsolationTenant {
    /// From 0.
    pub index: usize,
    /// From 0.
    pub round: usize,
    /// The tenant; its canary is not in it.
    pub tenant_id: TenantId,
    /// The env.
    pub env: Env,
    /// A user of this tenant; it holds the canary.
    pub user_id: UserId,
    /// The id to send with a request of this round; it holds the canary.
    pub request_id: RequestId,
    /// What no other tenant may see: letters and digits. Send it wherever the service takes data.
    pub canary: String,
}

/// What one tenant saw of the service: bodies, headers, errors.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    parts: Vec<(String, Vec<u8>)>,
}

impl Observed {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was seen, under a name for the report: `body`, `headers`, `error`.
    #[must_use]
    pub fn saw(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.parts.push((name.into(), bytes.into()));
        self
    }
}

/// What to run and where to look. [`isolation_contract!`](crate::isolation_contract) writes it.
#[derive(Debug)]
#[must_use = "nothing runs until `run`"]
pub struct IsolationContract<'a, F> {
    exercise: F,
    tenants: usize,
    rounds: usize,
    ledgers: Vec<&'a Ledger>,
    directories: Vec<PathBuf>,
}

/// The tenants, and whose a canary or a scope is.
struct Tenants {
    all: Vec<IsolationTenant>,
    owners: Owners,
}

impl Tenants {
    fn new(count: usize) -> Self {
        let all: Vec<_> = (0..count).map(IsolationTenant::new).collect();
        let owners = Owners::new(all.iter().map(|tenant| tenant.canary.as_str()));
        Self { all, owners }
    }

    fn of_scope(&self, tenant: &str, env: &str) -> Option<usize> {
        self.all.iter().position(|one| one.tenant_id == tenant && one.env == env)
    }
}

impl IsolationTenant {
    fn new(index: usize) -> Self {
        let canary = canary::make();
        // Letters, digits and dashes of a bounded length: what each of these ids accepts.
        let id = |what: &str| format!("{what}-{canary}");
        Self {
            index,
            round: 0,
            tenant_id: TenantId::new(format!("isolation-{index}")).expect("a valid tenant"),
            env: Env::from_static("contract"),
            user_id: UserId::new(id("u")).expect("a valid user id"),
            request_id: RequestId::new(id("r-0")).expect("a valid request id"),
            canary,
        }
    }

    /// Of which round a request id is.
    fn round_of(&self, request_id: &str) -> Option<usize> {
        request_id.strip_prefix("r-")?.strip_suffix(&self.canary)?.strip_suffix('-')?.parse().ok()
    }

    fn in_round(&self, round: usize) -> Self {
        let request_id = RequestId::new(format!("r-{round}-{}", self.canary)).expect("a valid request id");
        Self { round, request_id, ..self.clone() }
    }
}

/// What was looked at so far.
#[derive(Default)]
struct Checked {
    breaches: Vec<Breach>,
    /// Of each tenant, whether its canary was seen as data where it belongs, in each round.
    own: Vec<Vec<bool>>,
    /// Of each tenant, whether its scope has an `ok` event.
    has_ok: Vec<bool>,
    observed_bytes: u64,
    lines: u64,
    streams: usize,
    index_bytes: u64,
}

impl Checked {
    fn new(tenants: usize, rounds: usize) -> Self {
        let own = vec![vec![false; rounds]; tenants];
        Self { own, has_ok: vec![false; tenants], ..Self::default() }
    }

    fn saw_own(&mut self, tenant: usize, round: usize) {
        if let Some(seen) = self.own[tenant].get_mut(round) {
            *seen = true;
        }
    }

    /// What is missing of an exercise that was served.
    fn not_served(&mut self, tenants: &Tenants, has_ledgers: bool) {
        for (index, tenant) in tenants.all.iter().enumerate() {
            let name = || tenant.tenant_id.to_string();
            let rounds = self.own[index].iter().enumerate();
            let rounds: Vec<_> = rounds.filter_map(|(round, seen)| (!seen).then_some(round)).collect();
            if !rounds.is_empty() {
                self.breaches.push(Breach::NothingOfItsOwn { tenant: name(), rounds });
            }
            if has_ledgers && !self.has_ok[index] {
                self.breaches.push(Breach::NothingSucceeded { tenant: name() });
            }
        }
    }

    fn leak(&mut self, tenants: &Tenants, found: &canary::Found, place: String) {
        let tenant = tenants.all[found.tenant].tenant_id.to_string();
        self.breaches.push(Breach::Leak { tenant, place, excerpt: found.excerpt.clone() });
    }

    fn unreadable(&mut self, place: String, error: &dyn std::error::Error) {
        let mut reason = error.to_string();
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        self.breaches.push(Breach::Unreadable { place, reason });
    }

    fn broken(&mut self, place: &str, what: String) {
        self.breaches.push(Breach::BrokenStream { place: place.to_owned(), what });
    }
}

impl<'a, F> IsolationContract<'a, F>
where
    F: Fn(&IsolationTenant) -> Observed + Sync,
{
    /// The contract for an exercise. It runs on a thread for each tenant; an exercise of an async service
    /// blocks on a runtime of its own.
    pub fn new(exercise: F) -> Self {
        Self { exercise, tenants: 50, rounds: 3, ledgers: Vec::new(), directories: Vec::new() }
    }

    /// How many tenants run at once. Defaults to 50; at least 2.
    pub fn tenants(mut self, tenants: usize) -> Self {
        self.tenants = tenants.max(2);
        self
    }

    /// How many times each tenant runs the exercise, all of them together each time. Defaults to 3; at least 1.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Also looks into a ledger that this process has open. Reading it is an event of its `$system`.
    pub fn ledger(mut self, ledger: &'a Ledger) -> Self {
        self.ledgers.push(ledger);
        self
    }

    /// Also looks into a ledger's own directory, `<root>/<ledger id>`: one that another process writes, or a
    /// closed one.
    pub fn ledger_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directories.push(directory.as_ref().to_owned());
        self
    }

    /// Runs the exercise and looks for canaries. `shared` is called when all rounds are over and gives what is
    /// not of one tenant, each with a name: metrics, logs.
    ///
    /// # Errors
    ///
    /// [`IsolationBroken`], which lists every [`Breach`].
    pub fn run(
        self,
        shared: impl FnOnce() -> Vec<(String, Vec<u8>)>,
    ) -> Result<IsolationReport, IsolationBroken> {
        let tenants = Tenants::new(self.tenants);
        let mut checked = Checked::new(self.tenants, self.rounds);
        for (tenant, round, result) in self.exercise_all(&tenants) {
            let name = &tenants.all[tenant].tenant_id;
            let observed = result.unwrap_or_else(|panic| {
                // That is finding enough for the round.
                checked.saw_own(tenant, round);
                let (tenant, message) = (name.to_string(), message_of(&*panic));
                checked.breaches.push(Breach::Panicked { tenant, round, message: message.clone() });
                Observed::new().saw("panic", message)
            });
            for (what, bytes) in observed.parts {
                checked.observed_bytes += bytes.len() as u64;
                for found in tenants.owners.find_in(&bytes) {
                    if found.tenant == tenant {
                        if !found.is_in_id {
                            checked.saw_own(tenant, round);
                        }
                    } else {
                        checked.leak(&tenants, &found, format!("{what} that {name} saw in round {round}"));
                    }
                }
            }
        }
        for (what, bytes) in shared() {
            checked.observed_bytes += bytes.len() as u64;
            for found in tenants.owners.find_in(&bytes) {
                checked.leak(&tenants, &found, format!("shared {what}"));
            }
        }
        for ledger in &self.ledgers {
            ledgers::open(ledger, &tenants, &mut checked);
        }
        for directory in &self.directories {
            ledgers::directory(directory, &tenants, &mut checked);
        }
        checked.not_served(&tenants, !(self.ledgers.is_empty() && self.directories.is_empty()));
        report::conclude(self.tenants, self.rounds, checked)
    }

    #[allow(clippy::type_complexity, reason = "used once, right above")]
    fn exercise_all(&self, tenants: &Tenants) -> Vec<(usize, usize, Result<Observed, Box<dyn Any + Send>>)> {
        let start = Barrier::new(tenants.all.len());
        let run = |tenant: &IsolationTenant| {
            let rounds = (0..self.rounds).map(|round| {
                let tenant = tenant.in_round(round);
                // All tenants begin a round together, also when one of them panicked in the last.
                start.wait();
                let observed = catch_unwind(AssertUnwindSafe(|| (self.exercise)(&tenant)));
                (tenant.index, round, observed)
            });
            rounds.collect::<Vec<_>>()
        };
        let run = &run;
        std::thread::scope(|threads| {
            let running: Vec<_> =
                tenants.all.iter().map(|tenant| threads.spawn(move || run(tenant))).collect();
            let done = running.into_iter().map(|thread| thread.join().expect("panics are caught inside"));
            done.flatten().collect()
        })
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_owned(),
    }
}

/// Asserts that no tenant sees anything of another: see [`testing::isolation`](crate::testing::isolation).
///
/// Arguments in this order, all but the first may be left out:
///
/// | argument | default | meaning |
/// |---|---|---|
/// | `exercise: closure` | required | `Fn(&IsolationTenant) -> Observed`, called on a thread for each tenant |
/// | `tenants: n` | 50 | how many at once |
/// | `rounds: n` | 3 | how many times |
/// | `shared: { "name" => bytes, .. }` | none | what is not of one tenant, evaluated when all rounds are over |
/// | `ledgers: [&Ledger, ..]` | none | ledgers that this process has open |
/// | `ledger_directories: [path, ..]` | none | ledgers of other processes |
///
/// Gives the [`IsolationReport`](crate::testing::isolation::IsolationReport).
///
/// # Panics
///
/// When a canary is where it does not belong, a stream is not of one scope, an exercise panicked, or a tenant
/// was not served: it saw nothing of its own in a round, or the ledgers hold no `ok` event of it. The message
/// lists every finding and says what to do.
#[macro_export]
macro_rules! isolation_contract {
    (
        exercise: $exercise:expr
        $(, tenants: $tenants:expr)?
        $(, rounds: $rounds:expr)?
        $(, shared: { $($name:expr => $bytes:expr),* $(,)? })?
        $(, ledgers: [$($ledger:expr),* $(,)?])?
        $(, ledger_directories: [$($directory:expr),* $(,)?])?
        $(,)?
    ) => {
        match $crate::testing::isolation::IsolationContract::new($exercise)
            $(.tenants($tenants))?
            $(.rounds($rounds))?
            $($(.ledger($ledger))*)?
            $($(.ledger_directory($directory))*)?
            .run(|| ::std::vec![
                $($((::std::string::String::from($name), ::std::vec::Vec::<u8>::from($bytes)),)*)?
            ])
        {
            ::core::result::Result::Ok(report) => report,
            ::core::result::Result::Err(broken) => ::core::panic!("{broken}"),
        }
    };
}
