//! Serving until a signal: stop intake, let requests finish, tell what was counted, drain, close.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use dataset_events::{Drained, Ledger, LedgerError};
use http::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::Service;

use crate::admission::{Admission, Suppressed};
use crate::codes;
use crate::envelope::ApiError;
use crate::identity::BoxFuture;
use crate::linger::{Lingering, Unread};

/// How long answers to cut requests may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a service is served.
#[must_use = "options are for `serve`"]
pub struct ServeOptions {
    deadline: Duration,
    header_time: Duration,
    header_bytes: usize,
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
    /// request's head; closes the ledger.
    pub fn new() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            header_time: Duration::from_secs(30),
            header_bytes: 64 * 1024,
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

    /// How long the head of a request may take. A connection that is slower, or idle for so long, is closed;
    /// nothing is recorded, because there is no request yet.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeReport {
    /// Requests in all.
    pub requests: u64,
    /// Requests that were being answered when intake stopped.
    pub in_flight: u64,
    /// Those of them that the deadline cut; their events read `cancelled`.
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
/// 1. Intake stops: the listener closes, idle connections close.
/// 2. Requests in flight finish, up to the deadline. Those that do not are answered 503 `http.shutting_down`,
///    and their events read `cancelled`.
/// 3. The admission layer tells what it had only counted.
/// 4. The ledger drains, and is closed.
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
    let ServeOptions { deadline, header_time, header_bytes, shutdown, admission, closes_ledger } = options;
    let mut shutdown = match shutdown {
        Some(shutdown) => shutdown,
        None => signals().map_err(ServeError::Signals)?,
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(header_bytes);
    let list_bytes = u32::try_from(header_bytes).unwrap_or(u32::MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(list_bytes);
    let builder = Arc::new(builder);
    let (cut, _) = watch::channel(false);
    let counts = Arc::new(Counts::default());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let service = OfPeer {
                        router: router.clone(),
                        peer,
                        counts: Arc::clone(&counts),
                        cut: cut.subscribe(),
                        was_used: Arc::default(),
                        unread: Unread::default(),
                    };
                    let watcher = graceful.watcher();
                    let builder = Arc::clone(&builder);
                    connections.spawn(connection(builder, stream, service, watcher, header_time));
                }
                Err(error) => refused_by_the_system(&error).await,
            },
        }
    }
    drop(listener);
    let in_flight = counts.in_flight.load(Ordering::Relaxed);
    let mut finished = Box::pin(graceful.shutdown());
    if tokio::time::timeout(deadline, &mut finished).await.is_err() {
        cut.send_replace(true);
        let _ = tokio::time::timeout(LAST_WORDS, &mut finished).await;
        connections.shutdown().await;
    }
    let suppressed = admission.map(|admission| admission.flush_suppressed()).unwrap_or_default();
    let drained = tokio::task::spawn_blocking(move || {
        let drained = ledger.drain(deadline)?;
        if closes_ledger {
            ledger.close()?;
        }
        Ok(drained)
    });
    let drained = drained.await.map_err(|_| ServeError::Panicked)?.map_err(ServeError::Ledger)?;
    Ok(ServeReport {
        requests: counts.requests.load(Ordering::Relaxed),
        in_flight,
        cut: counts.cut.load(Ordering::Relaxed),
        suppressed,
        drained,
    })
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

async fn connection(
    builder: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    service: OfPeer,
    watcher: hyper_util::server::graceful::Watcher,
    header_time: Duration,
) {
    let _ = stream.set_nodelay(true);
    let was_used = Arc::clone(&service.was_used);
    let stream = Lingering::new(stream, service.unread.clone());
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = std::pin::pin!(watcher.watch(served.into_owned()));
    // The timeout of the head begins when it is known which HTTP this is; before that nothing else bounds it.
    let first = async {
        tokio::time::sleep(header_time).await;
        if was_used.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    // What a connection ends with concerns its client; a request that it cut has its event.
    tokio::select! {
        _ = &mut served => {}
        () = first => {}
    }
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    in_flight: AtomicU64,
    cut: AtomicU64,
}

/// Counts a request as in flight while it lives.
struct InFlight(Arc<Counts>);

impl InFlight {
    fn begin(counts: &Arc<Counts>) -> Self {
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The router for one connection: says the peer, counts, and can be cut.
#[derive(Clone)]
struct OfPeer {
    router: Router,
    peer: SocketAddr,
    counts: Arc<Counts>,
    cut: watch::Receiver<bool>,
    was_used: Arc<AtomicBool>,
    unread: Unread,
}

impl<B> Service<Request<B>> for OfPeer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.was_used.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        // A stream of HTTP/2 ends alone.
        let unread = (request.version() < Version::HTTP_2).then(|| self.unread.clone());
        let in_flight = InFlight::begin(&self.counts);
        let mut cut = self.cut.clone();
        let request = match &unread {
            Some(unread) => request.map(|body| unread.watch(body)),
            None => request.map(Body::new),
        };
        let answer = self.router.call(request);
        Box::pin(async move {
            let InFlight(counts) = &in_flight;
            tokio::select! {
                biased;
                answer = answer => {
                    let Ok(mut answer) = answer;
                    if let Some(unread) = unread {
                        unread.close_after(&mut answer);
                    }
                    Ok(answer)
                }
                Ok(_) = cut.wait_for(|is_cut| *is_cut) => {
                    counts.cut.fetch_add(1, Ordering::Relaxed);
                    let error = ApiError::new(codes::SHUTTING_DOWN, "the service is shutting down: try again");
                    Ok(error.response(None))
                }
            }
        })
    }
}
