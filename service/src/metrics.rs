//! `/metrics` in Prometheus text: counts of events folded from the ledger, and what the `metrics` facade has.

mod text;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use dataset_events::{EventCounts, EventCountsOptions, Ledger, OperatorReader};
use http::header;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

use crate::codes;
use crate::envelope::ApiError;

/// The most series, unless the program says otherwise.
const MAX_SERIES: usize = 100_000;

/// Bounds of the buckets of times, in seconds: an fsync takes from a tenth of a millisecond to seconds.
const SECONDS: [f64; 12] = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How often measured times go from a list into their buckets while nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of the `metrics` facade could not be installed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The program has installed one of its own: hand its handle to [`MetricsEndpoint::with_recorder`].
    #[error("install a recorder for the `metrics` facade; give the endpoint the handle of one that is there")]
    Install(#[source] Arc<BuildError>),
}

/// The recorder of this process, installed on first use.
fn recorder() -> Result<PrometheusHandle, RecorderError> {
    static RECORDER: OnceLock<Result<PrometheusHandle, Arc<BuildError>>> = OnceLock::new();
    let installed = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(PrometheusBuilder::install_recorder)
            .inspect(|handle| {
                begin_at_zero();
                let handle = handle.clone();
                keep_up(UPKEEP, move || handle.run_upkeep());
            })
            .map_err(Arc::new)
    });
    installed.clone().map_err(RecorderError::Install)
}

/// The counters of this crate are served from the start: a rate needs a first value. That of refusals without an
/// identity has one series for each code, from the first on.
fn begin_at_zero() {
    for header in ["traceparent", "tracestate", "x-request-id"] {
        metrics::counter!("dataset_events_http_ids_replaced_total", "header" => header).increment(0);
    }
    metrics::counter!("dataset_events_http_rate_limited_total").increment(0);
    metrics::counter!("dataset_events_http_accept_errors_total").increment(0);
}

/// Does `upkeep` again and again on a thread of its own, as long as the process lives: else what is measured is
/// held in memory until somebody asks for the metrics.
fn keep_up(every: Duration, upkeep: impl Fn() + Send + 'static) {
    let work = move || {
        loop {
            std::thread::sleep(every);
            upkeep();
        }
    };
    let thread = std::thread::Builder::new().name("metrics-upkeep".to_owned());
    if let Err(error) = thread.spawn(work) {
        // Rendering keeps up as well.
        eprintln!(
            "dataset-events: start the thread of the metrics' upkeep: {error}; scrape /metrics instead"
        );
    }
}

/// Serves `/metrics`.
///
/// `dataset_events_total` has one series for each tenant, env, surface, outcome and code that the ledger has
/// events of, exact: it is folded from the ledger, not counted beside it. Beyond the cap, events are counted in
/// one series whose labels are `$other`, so that the sum stays exact, and `dataset_events_series_cut` says how
/// many series that is. The series that came first in the log keep their own.
///
/// The text names tenants: it is for operators alone. That the endpoint reads all scopes is an event of
/// `$system`, once, when it is made.
#[derive(Clone)]
pub struct MetricsEndpoint {
    ledger: Ledger,
    recorder: PrometheusHandle,
    reader: OperatorReader,
    counts: Arc<Mutex<EventCounts>>,
    max_series: usize,
}

impl MetricsEndpoint {
    /// The endpoint of a ledger, with the recorder of this process. Installs one on first use; endpoints of
    /// several ledgers in a process share it.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Install`]: the program has installed a recorder of its own.
    pub fn new(ledger: &Ledger) -> Result<Self, RecorderError> {
        Ok(Self::with_recorder(ledger, recorder()?))
    }

    /// The endpoint of a ledger, with a recorder that the program has installed. Its upkeep between
    /// two requests for the metrics is the program's: see `PrometheusHandle::run_upkeep`.
    pub fn with_recorder(ledger: &Ledger, recorder: PrometheusHandle) -> Self {
        let reader = ledger.operator("the endpoint /metrics counts events by scope");
        let counts = reader.event_counts(EventCountsOptions::default().max_series(MAX_SERIES));
        let counts = Arc::new(Mutex::new(counts));
        Self { ledger: ledger.clone(), recorder, reader, counts, max_series: MAX_SERIES }
    }

    /// The most series of `dataset_events_total`. Defaults to 100,000.
    #[must_use]
    pub fn max_series(mut self, series: usize) -> Self {
        let counts = self.reader.event_counts(EventCountsOptions::default().max_series(series));
        self.counts = Arc::new(Mutex::new(counts));
        self.max_series = series;
        self
    }

    /// The text of now. Reads what became durable since the last time; blocks on the disk.
    pub fn render(&self) -> String {
        self.ledger.publish_metrics();
        self.recorder.run_upkeep();
        let mut out = self.recorder.render();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = counts.refresh().is_ok();
        let rows = counts.iter().map(|count| text::Row {
            tenant: count.scope.tenant_id().as_str(),
            env: count.scope.env().as_str(),
            surface: count.surface,
            outcome: count.outcome.as_str(),
            code: count.code.unwrap_or_default(),
            events: count.events,
        });
        text::events(rows, counts.cut().events, &mut out);
        for (name, help, value) in [
            ("series", "Series of dataset_events_total of their own.", counts.iter().len() as u64),
            ("series_limit", "The most of them.", self.max_series as u64),
            ("series_cut", "Series beyond the limit, counted together as $other.", counts.cut().series),
            ("series_fresh", "1, or 0 while the ledger could not be read for them.", u64::from(is_fresh)),
            ("skipped_lines", "Lines of the log that are no events: run verify.", counts.skipped_lines()),
        ] {
            text::gauge(name, help, value, &mut out);
        }
        out
    }

    /// The route `/metrics`. Merge it into the router after the admission layer, or serve it on a port of its
    /// own.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new().route("/metrics", get(move || async move { self.answer().await }))
    }

    async fn answer(self) -> Response {
        // Thousands of series take milliseconds: not on a thread that serves.
        match tokio::task::spawn_blocking(move || self.render()).await {
            Ok(text) => {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
            }
            Err(_) => ApiError::new(codes::SERVER_ERROR, "the metrics could not be rendered").into_response(),
        }
    }
}

impl fmt::Debug for MetricsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsEndpoint").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}
