//! One connection: its requests, its idleness, its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

use super::in_flight::{Activity, Counts, InFlight};
use crate::codes;
use crate::cut::Phase;
use crate::envelope::{ApiError, code_of};

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
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
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
}

impl<B> Service<Request<B>> for OfPeer
where
    Router: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    <Router as Service<Request<B>>>::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut in_flight = InFlight::begin(&self.counts, &self.activity, self.phase.clone());
        let cut = in_flight.cut();
        let has_body = *request.method() != Method::HEAD;
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(cut.clone());
        let answer = self.router.call(request);
        Box::pin(async move {
            // Behind the admission layer the answer itself is the refusal then, with the ids of its event.
            let response = tokio::select! {
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
            Ok(response.map(|body| in_flight.until_end_of(body, has_body)))
        })
    }
}
