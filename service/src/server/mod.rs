//! Serving until a signal: stop intake, let requests finish, tell what was counted, drain, close.

mod connection;
mod in_flight;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use dataset_events::{Drained, Ledger, LedgerError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::connection::{OfPeer, connection};
use self::in_flight::{Activity, Counts};
use crate::admission::{Admission, Suppressed};
use crate::cut::Phase;
use crate::health::HealthChecks;
use crate::identity::BoxFuture;
use crate::linger::Unread;

/// How long answers to cut requests may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often the other side of an HTTP/2 connection is asked whether it is there, and how long it may take to say.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// How a service is served.
#[must_use = "options are for `serve`"]
pub struct ServeOptions {
    deadline: Duration,
    header_time: Duration,
    header_bytes: usize,
    max_connections: usize,
    stop_delay: Duration,
    health: Option<HealthChecks>,
    shutdown: Option<BoxFuture<'static, ()>>,
    admission: Option<Admission>,
    closes_ledger: bool,
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("deadline", &self.deadline)
            .field("header_time", &self.header_time)
            .field("header_bytes", &self.header_bytes)
            .field("max_connections", &self.max_connections)
            .field("stop_delay", &self.stop_delay)
            .finish_non_exhaustive()
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ServeOptions {
    /// Stops at SIGTERM or SIGINT; 30 s for requests in flight, then 30 s for the ledger; 30 s and 64 KiB for a
    /// request's head; at most 10,000 connections; closes the ledger.
    pub fn new() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            header_time: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            max_connections: 10_000,
            stop_delay: Duration::ZERO,
            health: None,
            shutdown: None,
            admission: None,
            closes_ledger: true,
        }
    }

    /// How long requests in flight may take once intake has stopped, and then the ledger to drain.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long the head of a request may take. A connection that is slower, or idle for so long, is closed, be it
    /// HTTP/1 or HTTP/2; nothing is recorded, because there is no request yet.
    pub fn header_time(mut self, time: Duration) -> Self {
        self.header_time = time;
        self
    }

    /// The largest head of a request, in bytes; at least 8 KiB. Above it the server answers 431 and closes the
    /// connection; nothing is recorded.
    pub fn header_bytes(mut self, bytes: usize) -> Self {
        self.header_bytes = bytes.max(8 * 1024);
        self
    }

    /// The most connections at a time, at least 1. Further ones wait in the system's queue until one ends.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// The checks behind `/readyz`: from the signal on they say that the service is not ready. Serve them where
    /// they are reached until the end, on a listener of their own.
    pub fn health(mut self, checks: &HealthChecks) -> Self {
        self.health = Some(checks.clone());
        self
    }

    /// How long requests are still taken after the signal, while `/readyz` says 503 already: as long as it takes
    /// until no more are sent here. Defaults to none.
    pub fn stop_delay(mut self, delay: Duration) -> Self {
        self.stop_delay = delay;
        self
    }

    /// Stops when this future ends, instead of at a signal.
    pub fn shutdown_on(mut self, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(Box::pin(shutdown));
        self
    }

    /// The admission layer, whose counters are told before the ledger is drained.
    pub fn admission(mut self, admission: &Admission) -> Self {
        self.admission = Some(admission.clone());
        self
    }

    /// Leaves the ledger open, drained: for a program that goes on reading it.
    pub fn keep_ledger_open(mut self) -> Self {
        self.closes_ledger = false;
        self
    }
}

/// What was done between the signal and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeReport {
    /// Requests in all.
    pub requests: u64,
    /// Requests that were being answered when intake stopped, up to the end of the answer's body.
    pub in_flight: u64,
    /// Those of them that the deadline cut. Where the answer had not begun, the event reads `cancelled`; where its
    /// body broke off, it says how the answer began.
    pub cut: u64,
    /// What the admission layer had counted and not told.
    pub suppressed: Suppressed,
    /// What the ledger made durable at the end.
    pub drained: Drained,
}

/// Serving could not begin or not end well.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The signals could not be listened for.
    #[error("listen for SIGTERM and SIGINT")]
    Signals(#[source] io::Error),
    /// The ledger could not be drained or closed. What the journal holds is recovered at the next open.
    #[error("drain and close the ledger")]
    Ledger(#[source] LedgerError),
    /// The thread that drains the ledger panicked.
    #[error("drain and close the ledger: the thread panicked")]
    Panicked,
}

/// Serves a router until a signal, then stops in order.
///
/// 1. `/readyz` says 503; the listener stays open for [`ServeOptions::stop_delay`].
/// 2. Intake stops: the listener closes, idle connections close.
/// 3. Requests in flight finish, up to the deadline. Those that do not are answered 503 `http.shutting_down`,
///    and their events read `cancelled`; bodies that stream on break off.
/// 4. The admission layer tells what it had only counted.
/// 5. The ledger drains, and is closed.
///
/// # Errors
///
/// [`ServeError`]. A connection that fails is no error of the service.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    ledger: Ledger,
    options: ServeOptions,
) -> Result<ServeReport, ServeError> {
    let ServeOptions { deadline, stop_delay, health, shutdown, admission, closes_ledger, .. } = options;
    let mut shutdown = match shutdown {
        Some(shutdown) => shutdown,
        None => signals().map_err(ServeError::Signals)?,
    };
    let mut intake = Intake {
        listener,
        router,
        builder: Arc::new(builder(options.header_time, options.header_bytes)),
        idle_time: options.header_time,
        max_connections: options.max_connections,
        phase: watch::Sender::new(Phase::Serving),
        counts: Arc::default(),
        connections: JoinSet::new(),
    };
    intake.take_until(&mut shutdown).await;
    if let Some(health) = health {
        health.stop();
    }
    if !stop_delay.is_zero() {
        intake.take_until(tokio::time::sleep(stop_delay)).await;
    }
    let Intake { listener, phase, counts, mut connections, .. } = intake;
    drop(listener);
    let in_flight = counts.in_flight();
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(deadline, all_ended(&mut connections)).await.is_err() {
        phase.send_replace(Phase::Cut);
        let _ = tokio::time::timeout(LAST_WORDS, all_ended(&mut connections)).await;
        connections.shutdown().await;
        // The tasks of HTTP/2's streams are not among the connections, and end with them.
        if tokio::time::timeout(LAST_WORDS, counts.is_idle()).await.is_err() {
            counts.cut.fetch_add(counts.in_flight(), Ordering::Relaxed);
        }
    }
    let ended = tokio::task::spawn_blocking(move || end(ledger, admission.as_ref(), deadline, closes_ledger));
    let (suppressed, drained) = ended.await.map_err(|_| ServeError::Panicked)?.map_err(ServeError::Ledger)?;
    Ok(ServeReport {
        requests: counts.requests.load(Ordering::Relaxed),
        in_flight,
        cut: counts.cut.load(Ordering::Relaxed),
        suppressed,
        drained,
    })
}

/// Tells what was only counted, drains the ledger, and closes it.
fn end(
    ledger: Ledger,
    admission: Option<&Admission>,
    deadline: Duration,
    closes_ledger: bool,
) -> Result<(Suppressed, Drained), LedgerError> {
    let mut suppressed = admission.map(Admission::flush_suppressed).unwrap_or_default();
    let mut drained = ledger.drain(deadline)?;
    if let Some(admission) = admission.filter(|_| suppressed.untold > 0) {
        // The journal was full; now there is room.
        let later = admission.flush_suppressed();
        suppressed.rate_limited += later.rate_limited;
        suppressed.unauthenticated += later.unauthenticated;
        suppressed.untold = later.untold;
        drained = ledger.drain(deadline)?;
    }
    if closes_ledger {
        ledger.close()?;
    }
    Ok((suppressed, drained))
}

fn builder(header_time: Duration, header_bytes: usize) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(header_bytes);
    let list_bytes = u32::try_from(header_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(list_bytes)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// What takes connections.
struct Intake {
    listener: TcpListener,
    router: Router,
    builder: Arc<auto::Builder<TokioExecutor>>,
    idle_time: Duration,
    max_connections: usize,
    phase: watch::Sender<Phase>,
    counts: Arc<Counts>,
    connections: JoinSet<()>,
}

impl Intake {
    async fn take_until(&mut self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => {}
                accepted = self.listener.accept(), if self.connections.len() < self.max_connections => {
                    match accepted {
                        Ok((stream, peer)) => {
                            let service = OfPeer {
                                router: self.router.clone(),
                                peer,
                                counts: Arc::clone(&self.counts),
                                activity: Arc::new(Activity::new()),
                                phase: self.phase.subscribe(),
                                unread: Unread::default(),
                            };
                            let builder = Arc::clone(&self.builder);
                            self.connections.spawn(connection(builder, stream, service, self.idle_time));
                        }
                        Err(error) => refused_by_the_system(&error).await,
                    }
                }
            }
        }
    }
}

fn signals() -> io::Result<BoxFuture<'static, ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }))
}

/// A connection that is gone before it was taken is nothing; else the process has no file descriptors left, and
/// trying at once would spin.
async fn refused_by_the_system(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    metrics::counter!("dataset_events_http_accept_errors_total").increment(1);
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
