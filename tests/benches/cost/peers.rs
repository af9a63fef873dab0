//! The same function under the instrumentation that others offer: five fields of the request, two
//! integers, and one record a call that ends at a sink that throws it away.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::calls::{Fields, Variant, poll_once, rest};
use crate::measure::{BURST, bursts};

#[derive(Debug)]
struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

#[inline(never)]
#[tracing::instrument(skip_all, err, fields(
    tenant_id = %fields.tenant_id,
    env = %fields.env,
    user_id = %fields.user_id,
    request_id = %fields.request_id,
    trace_id = %fields.trace_id,
    x,
    y
))]
fn by_tracing(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
#[tracing::instrument(skip_all, err, fields(
    tenant_id = %fields.tenant_id,
    env = %fields.env,
    user_id = %fields.user_id,
    request_id = %fields.request_id,
    trace_id = %fields.trace_id,
    x,
    y
))]
async fn by_tracing_async(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

/// Each line is made on the calling thread when its span closes, and thrown away.
fn trace_to_nowhere() {
    use tracing_subscriber::fmt::format::FmtSpan;
    tracing_subscriber::fmt().json().with_span_events(FmtSpan::CLOSE).with_writer(std::io::sink).init();
}

#[fastrace::trace(properties = { "x": "{x}", "y": "{y}" })]
fn in_fastrace(x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[inline(never)]
fn by_fastrace(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    use fastrace::Span;
    use fastrace::collector::SpanContext;
    let root = Span::root("bench.recorded", SpanContext::random()).with_properties(|| {
        [
            ("tenant_id", fields.tenant_id.clone()),
            ("env", fields.env.clone()),
            ("user_id", fields.user_id.clone()),
            ("request_id", fields.request_id.clone()),
            ("trace_id", fields.trace_id.clone()),
        ]
    });
    let _guard = root.set_local_parent();
    in_fastrace(x, y)
}

struct ReportNowhere;

impl fastrace::collector::Reporter for ReportNowhere {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        black_box(spans);
    }
}

#[inline(never)]
#[emit::span(
    ok_lvl: emit::Level::Info,
    err_lvl: emit::Level::Error,
    "recorded",
    tenant_id: &fields.tenant_id,
    env: &fields.env,
    user_id: &fields.user_id,
    request_id: &fields.request_id,
    trace: &fields.trace_id,
    x,
    y,
)]
fn by_emit(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    Ok(x.wrapping_mul(y))
}

#[metrique::unit_of_work::metrics]
struct Unit {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    operation: &'static str,
    tenant_id: String,
    env: String,
    user_id: String,
    request_id: String,
    trace_id: String,
    x: u64,
    y: u64,
    is_ok: bool,
    time: metrique::timers::Timer,
}

fn by_metrique<S>(fields: &Fields, x: u64, y: u64, sink: S) -> Result<u64, Failed>
where
    S: metrique::writer::EntrySink<metrique::RootMetric<Unit>> + Send + Sync + 'static,
{
    let mut unit = Unit {
        timestamp: SystemTime::now(),
        operation: "bench.recorded",
        tenant_id: fields.tenant_id.clone(),
        env: fields.env.clone(),
        user_id: fields.user_id.clone(),
        request_id: fields.request_id.clone(),
        trace_id: fields.trace_id.clone(),
        x,
        y,
        is_ok: false,
        time: metrique::timers::Timer::start_now(),
    }
    .append_on_drop(sink);
    let result = Ok(x.wrapping_mul(y));
    unit.is_ok = result.is_ok();
    result
}

#[inline(never)]
fn by_metrique_null(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    by_metrique(fields, x, y, metrique::writer::sink::DevNullSink::new())
}

type Queue = metrique::writer::sink::BackgroundQueue<metrique::RootMetric<Unit>>;
static QUEUE: OnceLock<(Queue, metrique::writer::sink::BackgroundQueueJoinHandle)> = OnceLock::new();

#[inline(never)]
fn by_metrique_queued(fields: &Fields, x: u64, y: u64) -> Result<u64, Failed> {
    let (queue, _) = QUEUE.get().expect("set before the first call");
    by_metrique(fields, x, y, queue.clone())
}

pub(crate) const VARIANTS: &[Variant] = &[
    ("tracing, JSON to a null writer", |_, count| {
        trace_to_nowhere();
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(by_tracing(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("tracing, JSON to a null writer, async", |_, count| {
        trace_to_nowhere();
        let fields = Fields::example();
        let call = |n| drop(black_box(poll_once(by_tracing_async(&fields, black_box(n), black_box(7)))));
        bursts(count, BURST, call, rest)
    }),
    ("tracing, no subscriber", |_, count| {
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(by_tracing(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("fastrace, root and child, null reporter", |_, count| {
        fastrace::set_reporter(ReportNowhere, fastrace::collector::Config::default());
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(by_fastrace(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("emit, null emitter", |_, count| {
        let _runtime = emit::setup().emit_to(emit::emitter::from_fn(|event| drop(black_box(event)))).init();
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(by_emit(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("metrique, null sink", |_, count| {
        let fields = Fields::example();
        bursts(count, BURST, |n| drop(black_box(by_metrique_null(&fields, black_box(n), black_box(7)))), rest)
    }),
    ("metrique, background queue, JSON to a null writer", |_, count| {
        use metrique::writer::FormatExt;
        let stream = metrique::json::Json::new().output_to(std::io::sink());
        if QUEUE.set(Queue::new(stream)).is_err() {
            unreachable!("each variant has a process of its own");
        }
        let fields = Fields::example();
        bursts(
            count,
            BURST,
            |n| drop(black_box(by_metrique_queued(&fields, black_box(n), black_box(7)))),
            rest,
        )
    }),
];
