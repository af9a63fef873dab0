//! Refusing a request before its body was read, so that the refusal arrives.
//!
//! The connection is of no use afterwards, and the answer says so: a client would send its next request into
//! the closing socket. And closing a socket with unread bytes resets it, so that a client which still sends
//! may lose the answer: what it sends is read first, for a while (RFC 9112, section 9.6).

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long a client may take to notice that it was answered.
const LONGEST: Duration = Duration::from_secs(2);

/// Whether the body of the request that a connection serves was read to its end.
#[derive(Clone, Default)]
pub(crate) struct Unread {
    /// Of the newest request.
    body: Arc<AtomicBool>,
    /// Once the connection was given up for it.
    is_last: Arc<AtomicBool>,
}

impl Unread {
    /// Watches the body of a request.
    pub(crate) fn watch<B>(&self, body: B) -> Body
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let is_unread = !body.is_end_stream();
        self.body.store(is_unread, Ordering::Relaxed);
        if !is_unread {
            return Body::new(body);
        }
        Body::new(Watched { body: Box::pin(body), is_unread: Arc::clone(&self.body) })
    }

    /// Gives the connection up, and says so, where the answer is a refusal and the body is unread.
    pub(crate) fn close_after(&self, answer: &mut Response) {
        if answer.status().as_u16() >= 400 && self.body.load(Ordering::Relaxed) {
            self.is_last.store(true, Ordering::Relaxed);
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// A body that says when it was read.
struct Watched<B> {
    body: Pin<Box<B>>,
    is_unread: Arc<AtomicBool>,
}

impl<B: HttpBody> HttpBody for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.is_unread.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that, where a body was left unread, is read to its end before it is closed.
pub(crate) struct Lingering {
    stream: TcpStream,
    unread: Unread,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    pub(crate) fn new(stream: TcpStream, unread: Unread) -> Self {
        Self { stream, unread, closing: None }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.unread.is_last.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let closing = this.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST)));
        let mut unread = [0; 16 * 1024];
        loop {
            if closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut into = ReadBuf::new(&mut unread);
            match Pin::new(&mut this.stream).poll_read(cx, &mut into) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                // The client has closed too, or has broken off: nothing is left to be lost.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
