//! One connection: its requests, its idleness, its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::{Method, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

use super::in_flight::{Activity, Counts, InFlight};
use crate::codes;
use crate::cut::Phase;
use crate::envelope::{ApiError, code_of};
use crate::linger::{Lingering, Unread};

/// How long a connection that is told to end may take, when nothing is in flight on it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, is idle for `idle_time`, or the service drains and it has finished.
pub(super) async fn connection(
    builder: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    service: OfPeer,
    mut idle_time: Duration,
) {
    let _ = stream.set_nodelay(true);
    let activity = Arc::clone(&service.activity);
    let mut phase = service.phase.clone();
    let stream = Lingering::new(stream, service.unread.clone());
    let served = builder.serve_connection(TokioIo::new(stream), AtOnce(service));
    let mut served = std::pin::pin!(served);
    let (mut is_idle, mut is_draining) = (false, false);
    loop {
        tokio::select! {
            // What a connection ends with concerns its client; a request that it cut has its event.
            _ = served.as_mut() => return,
            Ok(_) = phase.wait_for(|phase| *phase >= Phase::Draining), if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
            // Also before it is known which HTTP this is, where nothing else bounds a head that does not come.
            () = activity.is_idle(idle_time) => {
                if is_idle {
                    return;
                }
                is_idle = true;
                idle_time += GOODBYE;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The router for one connection: says the peer, counts, and can be cut.
#[derive(Clone)]
pub(super) struct OfPeer {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    pub(super) counts: Arc<Counts>,
    pub(super) activity: Arc<Activity>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) unread: Unread,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Begins each request when its head is there.
///
/// A client may close its side with the head: hyper then drops what serves the request, and would do so before
/// it was polled even once, so that a whole request left no event.
struct AtOnce(OfPeer);

impl<B> hyper::service::Service<Request<B>> for AtOnce
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<B>) -> Answering {
        let mut answering = self.0.clone().call(request);
        // Polled again by the connection, which brings the waker.
        match answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
            Poll::Pending => answering,
        }
    }
}

impl<B> Service<Request<B>> for OfPeer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut in_flight = InFlight::begin(&self.counts, &self.activity, self.phase.clone());
        let cut = in_flight.cut();
        let has_body = *request.method() != Method::HEAD;
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(cut.clone());
        // A stream of HTTP/2 ends alone.
        let unread = (request.version() < Version::HTTP_2).then(|| self.unread.clone());
        let request = match &unread {
            Some(unread) => request.map(|body| unread.watch(body)),
            None => request.map(Body::new),
        };
        let answer = self.router.call(request);
        Box::pin(async move {
            // Behind the admission layer the answer itself is the refusal then, with the ids of its event.
            let mut response = tokio::select! {
                biased;
                answer = answer => answer?,
                () = cut.clone().comes() => {
                    let text = "the service is shutting down: try again";
                    ApiError::new(codes::SHUTTING_DOWN, text).response(None)
                }
            };
            if cut.has_come() && code_of(&response).is_some_and(|code| code == codes::SHUTTING_DOWN) {
                in_flight.was_cut();
            }
            if let Some(unread) = unread {
                unread.close_after(&mut response);
            }
            Ok(response.map(|body| in_flight.until_end_of(body, has_body)))
        })
    }
}
