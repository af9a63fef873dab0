//! What is called: the bare function, the floor, and the annotated ones.

use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use dataset_events::{ErrorCode, Ledger, LedgerUnavailable, RequestContext, TraceId, dataset_event};
use serde::Serialize;

use crate::measure::{BURST, Burst, bursts};

/// Why a measured function fails; it never does.
#[derive(Debug, ErrorCode)]
pub(crate) enum Failed {
    #[code("bench.failed")]
    #[allow(dead_code, reason = "a function that could not fail would be simpler than what is measured")]
    Work,
    #[code(transparent)]
    Ledger(#[allow(dead_code, reason = "its code is what counts")] LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failed {
    fn from(unavailable: LedgerUnavailable) -> Self {
        Self::Ledger(unavailable)
    }
}

/// The five fields of a request, as the peers take them.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "peers"), allow(dead_code, reason = "only the peers read the fields"))]
pub(crate) struct Fields {
    pub(crate) tenant_id: String,
    pub(crate) env: String,
    pub(crate) user_id: String,
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
}

impl Fields {
    pub(crate) fn example() -> Self {
        Self {
            tenant_id: "tenant-acme-4711".to_owned(),
            env: "production".to_owned(),
            user_id: "usr_01HXYZAB".to_owned(),
            request_id: "0191f3b0-7a1c-7c3e-9d2a-5b6c7d8e9f00".to_owned(),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        }
    }

    pub(crate) fn context(&self, ledger: Option<&Ledger>) -> RequestContext {
        let trace_id: TraceId = self.trace_id.parse().expect("32 hexadecimal digits");
        let builder = match ledger {
            Some(ledger) => ledger.context(&*self.tenant_id, &*self.env),
            None => RequestContext::builder(&*self.tenant_id, &*self.env),
        };
        builder
            .user_id(&*self.user_id)
            .request_id(&*self.request_id)
            .trace_id(trace_id)
            .build()
            .expect("valid ids")
    }
}

#[inline(never)]
fn bare(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    black_box(fields);
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
async fn bare_async(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    black_box(fields);
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[dataset_event(surface = "bench.recorded", guarantee = "recorded", input(x, y))]
fn recorded(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[dataset_event(surface = "bench.intent", guarantee = "intent", input(x, y))]
fn intent(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[dataset_event(surface = "bench.durable", guarantee = "durable", input(x, y))]
pub(crate) fn durable(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[dataset_event(surface = "bench.recorded_async", guarantee = "recorded", input(x, y))]
async fn recorded_async(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[dataset_event(surface = "bench.intent_async", guarantee = "intent", input(x, y))]
async fn intent_async(ctx: &RequestContext, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

/// A struct of about 1 KiB of JSON.
#[derive(Debug, Serialize)]
struct Profile {
    name: &'static str,
    tags: [&'static str; 12],
    sizes: [u64; 24],
    notes: [Note; 4],
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Note {
    author: &'static str,
    text: &'static str,
    at: u64,
    is_open: bool,
}

impl Profile {
    fn example() -> Self {
        const TEXT: &str =
            "the quick brown fox jumps over the lazy dog, twice, and then \"rests\" for a while";
        Self {
            name: "a profile of the usual size",
            tags: [
                "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "mu",
                "nu",
            ],
            sizes: std::array::from_fn(|at| 1_000 + 7_919 * at as u64),
            notes: [Note { author: "usr_01HXYZAB", text: TEXT, at: 1_790_000_000, is_open: true }; 4],
        }
    }
}

const TITLE: &str = "Quarterly report";
const CITY: &str = "Zürich";
const MODEL: &str = "small-2026-10";
const LOCALE: &str = "de-CH";
const REASON: &str = "requested by \"support\"";

#[inline(never)]
#[dataset_event(
    surface = "bench.captured",
    guarantee = "recorded",
    input(title, city, model, locale, reason, profile)
)]
fn captured(
    ctx: &RequestContext,
    title: &str,
    city: &str,
    model: &str,
    locale: &str,
    reason: &str,
    profile: &Profile,
) -> Result<u64, Failed> {
    Ok(profile.sizes[0])
}

#[derive(Serialize)]
struct Captured<'a> {
    title: &'a str,
    city: &'a str,
    model: &'a str,
    locale: &'a str,
    reason: &'a str,
    profile: &'a Profile,
}

/// Polls a future that is ready at once.
pub(crate) fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the measured functions await nothing"),
    }
}

/// Two readings of the clock and a copy of 256 bytes into a ring of 64 KiB: what a record cannot cost
/// less than.
struct Floor {
    record: [u8; 256],
    ring: Box<[u8]>,
    at: usize,
}

impl Floor {
    fn new() -> Self {
        Self { record: [7; 256], ring: vec![0; 64 * 1024].into(), at: 0 }
    }

    #[inline(never)]
    fn call(&mut self) {
        let start = black_box(Instant::now());
        self.at = (self.at + 256) % self.ring.len();
        self.ring[self.at..self.at + 256].copy_from_slice(black_box(&self.record));
        black_box(&mut self.ring);
        black_box((start, Instant::now()));
    }
}

/// Lets a background thread catch up, as long as a drain of a ledger takes.
pub(crate) fn rest() {
    thread::sleep(Duration::from_micros(1_500));
}

fn flush(ledger: &Ledger) {
    ledger.flush().expect("flush the ledger");
}

pub(crate) fn open(root: &Path) -> Ledger {
    Ledger::options().root(root).service("bench", "1").open().expect("open a ledger")
}

fn ours(root: &Path, count: usize, calls: usize, call: impl Fn(&RequestContext, u64)) -> Vec<Burst> {
    let ledger = open(root);
    let ctx = Fields::example().context(Some(&ledger));
    let measured = bursts(count, calls, |number| call(&ctx, number), || flush(&ledger));
    let stats = ledger.stats();
    assert_eq!((stats.shed, stats.waits), (0, 0), "a burst overran the journal");
    measured
}

/// The same burst on two threads at once; every burst of both counts.
fn two_threads<S>(
    count: usize,
    start: impl Fn() -> S + Sync,
    call: impl Fn(&mut S, u64) + Sync,
    between: impl Fn() + Sync,
) -> Vec<Burst> {
    let barrier = Barrier::new(2);
    let run = |is_first: bool| {
        let mut state = start();
        let between = || {
            barrier.wait();
            if is_first {
                between();
            }
            barrier.wait();
        };
        bursts(count, BURST, |number| call(&mut state, number), between)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(false));
        let mut measured = run(true);
        measured.extend(other.join().expect("the second thread ends"));
        measured
    })
}

/// A variant of the hot-path bench: its name, and how it is measured in a process of its own.
pub(crate) type Variant = (&'static str, fn(&Path, usize) -> Vec<Burst>);

pub(crate) const VARIANTS: &[Variant] = &[
    ("bare function", |_, count| {
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(bare(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("bare async function", |_, count| {
        let fields = Fields::example();
        bursts(
            count,
            BURST,
            |n| drop(black_box(poll_once(bare_async(&fields, black_box(n), black_box(7))))),
            rest,
        )
    }),
    (FLOOR, |_, count| {
        let mut floor = Floor::new();
        bursts(count, BURST, |_| floor.call(), rest)
    }),
    (FLOOR_2, |_, count| two_threads(count, Floor::new, |floor, _| floor.call(), rest)),
    (RECORDED, |root, count| {
        ours(root, count, BURST, |ctx, n| drop(black_box(recorded(ctx, black_box(n), black_box(7)))))
    }),
    (RECORDED_2, |root, count| {
        let ledger = open(root);
        let start = || Fields::example().context(Some(&ledger));
        let call = |ctx: &mut RequestContext, n| drop(black_box(recorded(ctx, black_box(n), black_box(7))));
        two_threads(count, start, call, || flush(&ledger))
    }),
    (RECORDED_LONG, |root, count| {
        ours(root, count.div_ceil(10), 20_000, |ctx, n| {
            drop(black_box(recorded(ctx, black_box(n), black_box(7))))
        })
    }),
    (INTENT, |root, count| {
        ours(root, count, BURST, |ctx, n| drop(black_box(intent(ctx, black_box(n), black_box(7)))))
    }),
    ("ours, recorded, async", |root, count| {
        ours(root, count, BURST, |ctx, n| {
            drop(black_box(poll_once(recorded_async(ctx, black_box(n), black_box(7)))))
        })
    }),
    ("ours, intent, async", |root, count| {
        ours(root, count, BURST, |ctx, n| {
            drop(black_box(poll_once(intent_async(ctx, black_box(n), black_box(7)))))
        })
    }),
    ("ours, recorded, 5 strings and a 1 KiB struct", |root, count| {
        let profile = Profile::example();
        ours(root, count, BURST, |ctx, _| {
            drop(black_box(captured(ctx, TITLE, CITY, MODEL, LOCALE, REASON, black_box(&profile))));
        })
    }),
    ("serde_json alone, the same into a kept buffer", |_, count| {
        let profile = Profile::example();
        let mut buffer = Vec::with_capacity(4096);
        let value = Captured {
            title: TITLE,
            city: CITY,
            model: MODEL,
            locale: LOCALE,
            reason: REASON,
            profile: &profile,
        };
        let call = |_| {
            buffer.clear();
            serde_json::to_writer(&mut buffer, black_box(&value)).expect("plain data");
            black_box(&mut buffer);
        };
        bursts(count, BURST, call, rest)
    }),
    (OFF, |_, count| {
        let ctx = Fields::example().context(None);
        bursts(count, BURST, |n| drop(black_box(recorded(&ctx, black_box(n), black_box(7)))), rest)
    }),
];

pub(crate) const FLOOR: &str = "floor: 2 x Instant::now() + 256-byte copy";
pub(crate) const FLOOR_2: &str = "floor, two threads";
pub(crate) const RECORDED: &str = "ours, recorded";
pub(crate) const RECORDED_2: &str = "ours, recorded, two threads";
pub(crate) const RECORDED_LONG: &str = "ours, recorded, bursts of 20,000";
pub(crate) const INTENT: &str = "ours, intent";
/// Runs with `DATASET_EVENTS=off`.
pub(crate) const OFF: &str = "ours, no ledger (DATASET_EVENTS=off)";

/// One recorded call, for the rows that count events.
pub(crate) fn record(ctx: &RequestContext, number: u64) {
    drop(black_box(recorded(ctx, black_box(number), black_box(7))));
}
