//! Requests in flight: from their head to the end of their answer's body.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cut::{Cut, Phase};
use crate::identity::BoxFuture;

/// Counts of a service.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) cut: AtomicU64,
    in_flight: watch::Sender<u64>,
}

impl Counts {
    pub(super) fn in_flight(&self) -> u64 {
        *self.in_flight.borrow()
    }

    /// Waits until no request is in flight.
    pub(super) async fn is_idle(&self) {
        // The sender is here: it cannot be gone.
        let _ = self.in_flight.subscribe().wait_for(|in_flight| *in_flight == 0).await;
    }
}

/// What happens on one connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Active>);

#[derive(Debug)]
struct Active {
    in_flight: u64,
    /// When the last request ended, or the connection began.
    since: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Active { in_flight: 0, since: Instant::now() }))
    }

    fn change(&self, change: impl FnOnce(&mut u64)) {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut active.in_flight);
        active.since = Instant::now();
    }

    /// Waits until no request has been in flight for so long.
    pub(super) async fn is_idle(&self, time: Duration) {
        loop {
            let now = Instant::now();
            let until = {
                let active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if active.in_flight == 0 { active.since + time } else { now + time }
            };
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Counts a request as in flight while it lives. One that is dropped unfinished once requests are cut, was cut.
#[derive(Debug)]
pub(super) struct InFlight {
    counts: Arc<Counts>,
    activity: Arc<Activity>,
    cut: Cut,
    is_finished: bool,
}

impl InFlight {
    pub(super) fn begin(
        counts: &Arc<Counts>,
        activity: &Arc<Activity>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.in_flight.send_modify(|in_flight| *in_flight += 1);
        activity.change(|in_flight| *in_flight += 1);
        let (counts, activity) = (Arc::clone(counts), Arc::clone(activity));
        Self { counts, activity, cut: Cut::new(phase), is_finished: false }
    }

    pub(super) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    pub(super) fn was_cut(&mut self) {
        self.counts.cut.fetch_add(1, Ordering::Relaxed);
        self.is_finished = true;
    }

    /// The body of the answer; the request is in flight until it ends. `has_body` is false where only the head
    /// is sent.
    pub(super) fn until_end_of(mut self, body: Body, has_body: bool) -> Body {
        self.is_finished |= !has_body || body.is_end_stream();
        Body::new(Answer { body, in_flight: self, cut_comes: None })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_finished && self.cut.has_come() {
            self.counts.cut.fetch_add(1, Ordering::Relaxed);
        }
        self.activity.change(|in_flight| *in_flight -= 1);
        // Last: who waits for it then reads the other counts.
        self.counts.in_flight.send_modify(|in_flight| *in_flight -= 1);
    }
}

/// The body of an answer, which breaks off when requests are cut.
struct Answer {
    body: Body,
    in_flight: InFlight,
    /// Made when the body is waited for: most bodies are there with their head.
    cut_comes: Option<BoxFuture<'static, ()>>,
}

impl Answer {
    fn break_off(&mut self) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.in_flight.was_cut();
        self.body = Body::empty();
        Poll::Ready(Some(Err(axum::Error::new("the service shuts down: the answer breaks off here"))))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if !this.in_flight.is_finished && this.in_flight.cut.has_come() && this.is_endless() {
            return this.break_off();
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.in_flight.is_finished |= !matches!(frame, Some(Ok(_))) || this.body.is_end_stream();
                Poll::Ready(frame)
            }
            Poll::Pending if this.in_flight.is_finished => Poll::Pending,
            Poll::Pending => {
                let cut = &this.in_flight.cut;
                let cut_comes = this.cut_comes.get_or_insert_with(|| Box::pin(cut.clone().comes()));
                match cut_comes.as_mut().poll(cx) {
                    Poll::Ready(()) => this.break_off(),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Answer {
    /// Whether the body may go on as long as it likes. One of a known length is in memory, mostly, and soon sent.
    fn is_endless(&self) -> bool {
        self.body.size_hint().exact().is_none()
    }
}
