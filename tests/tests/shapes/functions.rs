//! One annotated function for each signature shape. Each ends as its [`Exit`] says.

use std::pin::Pin;
use std::task::Poll;

use dataset_events::{ErrorCode, LedgerUnavailable, RequestContext, dataset_event};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _};

/// How a call is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Exit {
    Ok,
    Err,
    Question,
    Return,
    Panic,
    /// Calls itself this many times more.
    Recurse(u32),
}

#[derive(Debug, PartialEq, ErrorCode)]
pub(crate) enum Failure {
    #[code("shapes.planned", status = 409)]
    Planned,
    #[code(transparent)]
    Unavailable(LedgerUnavailable),
}

impl From<LedgerUnavailable> for Failure {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Unavailable(error)
    }
}

pub(crate) type Outcome = Result<u32, Failure>;

/// How often each async shape waits.
pub(crate) const WAITS: usize = 3;

fn fails() -> Outcome {
    Err(Failure::Planned)
}

/// Is pending once, and asks to be polled again.
pub(crate) async fn wait() {
    let mut was_polled = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

macro_rules! body {
    ($exit:expr, |$inner:ident| $again:expr) => {{
        match $exit {
            Exit::Return => return Ok(1),
            Exit::Question => {
                fails()?;
            }
            Exit::Panic => panic!("planned"),
            Exit::Recurse(left) if left > 0 => {
                let $inner = Exit::Recurse(left - 1);
                $again?;
            }
            _ => {}
        }
        if $exit == Exit::Err { fails() } else { Ok(2) }
    }};
}

macro_rules! async_body {
    ($exit:expr, |$inner:ident| $again:expr) => {{
        for _ in 0..WAITS {
            wait().await;
        }
        body!($exit, |$inner| $again)
    }};
}

#[dataset_event(surface = "shapes.sync")]
pub(crate) fn sync(ctx: &RequestContext, exit: Exit) -> Outcome {
    body!(exit, |inner| sync(ctx, inner))
}

pub(crate) struct Service {
    pub(crate) ctx: RequestContext,
    pub(crate) calls: u32,
}

impl Service {
    #[dataset_event(surface = "shapes.method", ctx = self.ctx)]
    pub(crate) fn method(&mut self, exit: Exit) -> Outcome {
        self.calls += 1;
        body!(exit, |inner| self.method(inner))
    }

    #[dataset_event(surface = "shapes.async_method", ctx = self.ctx)]
    pub(crate) async fn async_method(&mut self, exit: Exit) -> Outcome {
        self.calls += 1;
        async_body!(exit, |inner| Box::pin(self.async_method(inner)).await)
    }
}

pub(crate) trait Defaults {
    fn ctx(&self) -> &RequestContext;

    #[dataset_event(surface = "shapes.trait_default", ctx = self.ctx())]
    fn trait_default(&self, exit: Exit) -> Outcome {
        body!(exit, |inner| self.trait_default(inner))
    }
}

impl Defaults for Service {
    fn ctx(&self) -> &RequestContext {
        &self.ctx
    }
}

pub(crate) trait Plain {
    fn trait_impl(&self, exit: Exit) -> Outcome;
}

#[dataset_event(engine = "shapes", ctx = self.ctx)]
impl Plain for Service {
    fn trait_impl(&self, exit: Exit) -> Outcome {
        body!(exit, |inner| self.trait_impl(inner))
    }
}

#[dataset_event(surface = "shapes.generic")]
pub(crate) fn generic<'a, T, const N: usize>(
    ctx: &'a RequestContext,
    exit: Exit,
    values: &'a [T; N],
) -> Result<&'a T, Failure>
where
    T: Clone + 'a,
{
    let done: Outcome = (|| body!(exit, |inner| generic(ctx, inner, values).map(|_| 1)))();
    done.map(|_| &values[0])
}

#[dataset_event(surface = "shapes.opaque_value")]
pub(crate) fn opaque_value(ctx: &RequestContext, exit: Exit) -> impl Iterator<Item = u32> + use<> {
    match exit {
        Exit::Return => return 0..1,
        Exit::Panic => panic!("planned"),
        Exit::Recurse(left) if left > 0 => drop(opaque_value(ctx, Exit::Recurse(left - 1))),
        _ => {}
    }
    0..2
}

#[dataset_event(surface = "shapes.result_of_opaque")]
pub(crate) fn result_of_opaque(
    ctx: &RequestContext,
    exit: Exit,
) -> Result<impl Iterator<Item = u32> + use<>, Failure> {
    let done: Outcome = (|| body!(exit, |inner| result_of_opaque(ctx, inner).map(|_| 1)))();
    done.map(|end| 0..end)
}

#[dataset_event(surface = "shapes.never")]
pub(crate) fn never(ctx: &RequestContext, exit: Exit) -> ! {
    let _ = (ctx, exit);
    panic!("planned")
}

#[dataset_event(surface = "shapes.durable", guarantee = "durable")]
pub(crate) fn durable(ctx: &RequestContext, exit: Exit) -> Outcome {
    body!(exit, |inner| durable(ctx, inner))
}

#[dataset_event(surface = "shapes.async_fn")]
pub(crate) async fn async_fn(ctx: &RequestContext, exit: Exit) -> Outcome {
    async_body!(exit, |inner| Box::pin(async_fn(ctx, inner)).await)
}

#[dataset_event(surface = "shapes.async_recorded", access = "read")]
pub(crate) async fn async_recorded(ctx: &RequestContext, exit: Exit) -> Outcome {
    async_body!(exit, |inner| Box::pin(async_recorded(ctx, inner)).await)
}

#[dataset_event(surface = "shapes.async_generic")]
pub(crate) async fn async_generic<T: Clone + Send + Sync + 'static>(
    ctx: &RequestContext,
    exit: Exit,
    value: T,
) -> Result<T, Failure> {
    let again = value.clone();
    let done: Outcome =
        async { async_body!(exit, |inner| Box::pin(async_generic(ctx, inner, again)).await.map(|_| 1)) }
            .await;
    done.map(|_| value)
}

#[dataset_event(surface = "shapes.moved_context")]
pub(crate) async fn moved_context(ctx: RequestContext, exit: Exit) -> Outcome {
    let owned = ctx;
    async_body!(exit, |inner| Box::pin(moved_context(owned, inner)).await)
}

#[dataset_event(surface = "shapes.boxed_exact")]
pub(crate) fn boxed_exact<'a>(
    ctx: &'a RequestContext,
    exit: Exit,
) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
    Box::pin(async move { async_body!(exit, |inner| boxed_exact(ctx, inner).await) })
}

#[dataset_event(surface = "shapes.boxed_built")]
pub(crate) fn boxed_built(ctx: &RequestContext, exit: Exit) -> BoxFuture<'_, Outcome> {
    let built = async move { async_body!(exit, |inner| boxed_built(ctx, inner).await) };
    Box::pin(built)
}

#[dataset_event(surface = "shapes.impl_future_exact")]
pub(crate) fn impl_future_exact(ctx: &RequestContext, exit: Exit) -> impl Future<Output = Outcome> + Send {
    async move {
        let again = |inner| -> BoxFuture<'_, Outcome> { Box::pin(impl_future_exact(ctx, inner)) };
        async_body!(exit, |inner| again(inner).await)
    }
}

#[dataset_event(surface = "shapes.impl_future_built")]
pub(crate) fn impl_future_built(ctx: &RequestContext, exit: Exit) -> impl Future<Output = Outcome> + Send {
    let built = async move {
        let again = |inner| -> BoxFuture<'_, Outcome> { Box::pin(impl_future_built(ctx, inner)) };
        async_body!(exit, |inner| again(inner).await)
    };
    built.fuse()
}

#[dataset_event(surface = "shapes.result_of_future")]
pub(crate) fn result_of_future(ctx: &RequestContext, exit: Exit) -> Result<BoxFuture<'_, Outcome>, Failure> {
    if exit == Exit::Question {
        fails()?;
    }
    Ok(Box::pin(async move { async_body!(exit, |inner| result_of_future(ctx, inner)?.await) }))
}

#[async_trait::async_trait]
pub(crate) trait Asynchronous {
    async fn async_trait_above(&self, exit: Exit) -> Outcome;
}

#[async_trait::async_trait]
impl Asynchronous for Service {
    #[dataset_event(surface = "shapes.async_trait_above", ctx = self.ctx)]
    async fn async_trait_above(&self, exit: Exit) -> Outcome {
        async_body!(exit, |inner| self.async_trait_above(inner).await)
    }
}

#[async_trait::async_trait]
pub(crate) trait AsynchronousBelow {
    async fn async_trait_below(&self, exit: Exit) -> Outcome;
}

#[dataset_event(engine = "shapes", ctx = self.ctx)]
#[async_trait::async_trait]
impl AsynchronousBelow for Service {
    async fn async_trait_below(&self, exit: Exit) -> Outcome {
        async_body!(exit, |inner| self.async_trait_below(inner).await)
    }
}

#[async_trait::async_trait]
pub(crate) trait AsynchronousDefault: Sync {
    fn ctx(&self) -> &RequestContext;

    #[dataset_event(surface = "shapes.async_trait_default", ctx = self.ctx())]
    async fn async_trait_default(&self, exit: Exit) -> Outcome {
        async_body!(exit, |inner| self.async_trait_default(inner).await)
    }
}

impl AsynchronousDefault for Service {
    fn ctx(&self) -> &RequestContext {
        &self.ctx
    }
}

/// Two items with a wait before each, then the end; the second item is where the exit shows.
fn items(exit: Exit) -> impl Stream<Item = Outcome> + Send {
    futures::stream::iter(0..2).then(move |number| async move {
        wait().await;
        match (number, exit) {
            (1, Exit::Err) => fails(),
            (1, Exit::Panic) => panic!("planned"),
            _ => Ok(number),
        }
    })
}

#[dataset_event(surface = "shapes.impl_stream")]
pub(crate) fn impl_stream(ctx: &RequestContext, exit: Exit) -> impl Stream<Item = Outcome> + Send {
    let _ = ctx;
    items(exit)
}

#[dataset_event(surface = "shapes.box_stream")]
pub(crate) fn box_stream(ctx: &RequestContext, exit: Exit) -> BoxStream<'static, Outcome> {
    let _ = ctx;
    items(exit).boxed()
}

#[dataset_event(surface = "shapes.result_of_stream")]
pub(crate) fn result_of_stream(
    ctx: &RequestContext,
    exit: Exit,
) -> Result<impl Stream<Item = Outcome> + Send + use<>, Failure> {
    let _ = ctx;
    if exit == Exit::Question {
        fails()?;
    }
    Ok(items(exit))
}

#[dataset_event(surface = "shapes.async_result_of_stream")]
pub(crate) async fn async_result_of_stream(
    ctx: &RequestContext,
    exit: Exit,
) -> Result<BoxStream<'static, Outcome>, Failure> {
    let _ = ctx;
    wait().await;
    if exit == Exit::Question {
        fails()?;
    }
    Ok(items(exit).boxed())
}

#[dataset_event(surface = "shapes.outer", access = "read")]
pub(crate) async fn outer<T>(ctx: &RequestContext, inner: impl Future<Output = T> + Send) -> T {
    let _ = ctx;
    wait().await;
    let value = inner.await;
    wait().await;
    value
}
