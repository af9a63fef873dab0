//! The guard that generated code drives, and what drives it: a body, a future, a stream.
//!
//! A [`Call`] ends in exactly one way. Generated code finishes it with a value's code; when it is dropped
//! before that, it was a panic if our own code or the body was running, else the future was dropped.
//! `thread::panicking()` is not asked: it is true for whatever runs during a foreign unwind.

use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::capture::{self, Capture};
use crate::context::RequestContext;
use crate::current;
use crate::draft::{CallState, DurableWait, End, LooseScope, Operation, ScopeSource};
use crate::error_code::{Code, LedgerUnavailable};
use crate::event::Outcome;
use crate::ids::{Env, RequestId, SpanId, TenantId, TraceId, UserId};
use crate::surface::{Guarantee, Site};

const PANIC: (&str, bool) = ("panic", false);
const CANCELLED: (&str, bool) = ("cancelled", false);

/// One call of an annotated function, from its entry to its end.
pub struct Call {
    /// `None` when recording is off, when the call has ended, and while it is the thread's current one.
    state: Option<Box<CallState>>,
    /// The span under which the state stands among the thread's current calls.
    pushed: Option<SpanId>,
    /// Whether the body or our own code runs right now; what tells a panic from a dropped future.
    is_busy: bool,
}

// The state is handed over whole and never seen half-changed: a write into it runs no user code.
impl UnwindSafe for Call {}
impl RefUnwindSafe for Call {}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// A scope that was not found in a request context.
#[derive(Debug)]
pub struct Loose<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The env.
    pub env: &'a Env,
    /// The request, where the signature has one.
    pub request_id: Option<&'a RequestId>,
    /// The trace, where the signature has one.
    pub trace_id: Option<TraceId>,
    /// Who acts, where the attribute says so.
    pub actor: Option<&'a UserId>,
}

/// Begins a call with a request context.
pub fn enter(site: &'static Site, ctx: &RequestContext) -> Call {
    begin(site, &ScopeSource::Context(ctx))
}

/// Begins a call without one.
pub fn enter_loose(site: &'static Site, loose: &Loose<'_>) -> Call {
    begin(
        site,
        &ScopeSource::Loose(LooseScope {
            tenant_id: loose.tenant_id,
            env: loose.env,
            request_id: loose.request_id,
            trace_id: loose.trace_id,
            actor: loose.actor,
        }),
    )
}

fn begin(site: &'static Site, scope: &ScopeSource<'_>) -> Call {
    site.seen.entered(site);
    let operation =
        Operation { surface: site.surface, access: site.access, guarantee: site.guarantee, site: Some(site) };
    let state = current::with(|parent| CallState::begin(scope, operation, parent.as_deref()));
    Call { state, pushed: None, is_busy: true }
}

/// Captures the inputs and source refs that the site names, and publishes the attempt of an `intent` call.
pub fn inputs(call: &mut Call, values: &[&dyn Capture], source_refs: &[&dyn Capture]) {
    let Some(state) = call.state.as_deref_mut() else { return };
    let Some(site) = state.site else { return };
    if !values.is_empty() {
        capture::write_input(state, site.inputs, values);
    }
    for (kind, id) in site.source_refs.iter().zip(source_refs) {
        capture::write_source_ref(&mut state.source_refs, kind, *id);
    }
    if state.guarantee == Guarantee::Intent {
        state.attempt();
    }
}

/// Captures the outputs that the site names.
pub fn outputs(call: &mut Call, values: &[&dyn Capture]) {
    let Some(state) = call.state.as_deref_mut() else { return };
    let Some(site) = state.site else { return };
    capture::write_output(state, site.outputs, values);
}

/// Runs a body as the thread's current call.
pub fn call_once<R>(call: &mut Call, body: impl FnOnce() -> R) -> R {
    let inside = Inside::enter(call);
    let value = body();
    drop(inside);
    value
}

/// Ends a call whose function returned: with a code, or well.
pub fn finish(call: &mut Call, code: Option<Code>) {
    let durable = call.state.as_ref().is_some_and(|state| state.guarantee == Guarantee::Durable);
    call.end(code, None, None, durable);
}

/// The same with the error's message, where the attribute asks for it.
pub fn finish_with_message(call: &mut Call, code: Option<Code>, error: Option<&dyn fmt::Display>) {
    let durable = call.state.as_ref().is_some_and(|state| state.guarantee == Guarantee::Durable);
    let message = error.map(capture::message);
    call.end(code, message.as_deref(), None, durable);
}

/// Ends a `durable` call by waker.
pub fn finish_durable(call: &mut Call, code: Option<Code>, error: Option<&dyn fmt::Display>) -> Settle {
    let message = error.map(capture::message);
    let wait = call.state.take().map(|state| {
        state.finish_durable(&End {
            outcome: outcome_of(code),
            code: code.map(|code| (code.name(), code.is_retryable())),
            message: message.as_deref(),
            items: None,
        })
    });
    Settle { wait }
}

/// Publishes the attempt of a `durable` call and waits for its fsync on this thread.
pub fn admit(call: &mut Call) -> Result<(), LedgerUnavailable> {
    let Some(state) = call.state.as_deref_mut() else { return Ok(()) };
    let admitted = state.admit_blocking();
    if admitted.is_err() {
        call.end(Some(LedgerUnavailable::CODE), None, None, false);
    }
    admitted
}

/// The same by waker.
pub fn admit_async(call: &mut Call) -> Admit<'_> {
    Admit { call }
}

/// Waits for the fsync of an attempt.
#[derive(Debug)]
pub struct Admit<'a> {
    call: &'a mut Call,
}

impl Future for Admit<'_> {
    type Output = Result<(), LedgerUnavailable>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self.call;
        let Some(state) = call.state.as_deref_mut() else { return Poll::Ready(Ok(())) };
        call.is_busy = true;
        let polled = state.poll_admit(cx);
        match &polled {
            Poll::Pending => call.is_busy = false,
            Poll::Ready(Err(_)) => call.end(Some(LedgerUnavailable::CODE), None, None, false),
            Poll::Ready(Ok(())) => {}
        }
        polled
    }
}

pin_project! {
    /// Waits for the fsync of a completion.
    pub struct Settle {
        #[pin]
        wait: Option<DurableWait>,
    }
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

impl Future for Settle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().wait.as_pin_mut() {
            Some(wait) => wait.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// Ends a call by panic: for the hook of `panic = "abort"`.
pub(crate) fn finish_as_panic(state: Box<CallState>) {
    state.finish(&End { outcome: Outcome::Panic, code: Some(PANIC), message: None, items: None });
}

fn outcome_of(code: Option<Code>) -> Outcome {
    match code {
        None => Outcome::Ok,
        Some(code) if code.is_denied() => Outcome::Denied,
        Some(_) => Outcome::Error,
    }
}

impl Call {
    const ENDED: Self = Self { state: None, pushed: None, is_busy: false };

    fn end(&mut self, code: Option<Code>, message: Option<&str>, items: Option<u64>, waits: bool) {
        let outcome = outcome_of(code);
        let Some(state) = self.state.take() else { return };
        let code = code.map(|code| (code.name(), code.is_retryable()));
        let end = End { outcome, code, message, items };
        if waits { state.finish_blocking(&end) } else { state.finish(&end) }
    }

    /// Ends a call that did not return.
    fn abandon(&mut self, items: Option<u64>) {
        self.leave();
        let (outcome, code) =
            if self.is_busy { (Outcome::Panic, PANIC) } else { (Outcome::Cancelled, CANCELLED) };
        if let Some(state) = self.state.take() {
            state.finish(&End { outcome, code: Some(code), message: None, items });
        }
    }

    /// Makes the call the thread's current one.
    fn go_inside(&mut self) {
        let Some(state) = self.state.take() else { return };
        let span_id = state.span_id;
        match current::push(state) {
            Ok(()) => self.pushed = Some(span_id),
            Err(state) => self.state = Some(state),
        }
    }

    fn leave(&mut self) {
        if let Some(span_id) = self.pushed.take() {
            self.state = current::pop(span_id);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.state.is_some() || self.pushed.is_some() {
            self.abandon(None);
        }
    }
}

/// The call is the thread's current one while this lives.
struct Inside<'a>(&'a mut Call);

impl<'a> Inside<'a> {
    fn enter(call: &'a mut Call) -> Self {
        call.go_inside();
        Self(call)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// For bodies that cannot be put into a closure: the rest of the function's scope is the call.
#[derive(Debug)]
pub struct InPlace {
    call: Call,
    was_panicking: bool,
}

/// Makes the rest of the scope the call; leaving it normally is `ok`.
pub fn in_place(mut call: Call) -> InPlace {
    call.go_inside();
    InPlace { call, was_panicking: std::thread::panicking() }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        // Here alone nothing else can be asked: the body may leave by `return`. A body that was entered
        // during an unwind is taken to have returned.
        if std::thread::panicking() && !self.was_panicking {
            self.call.abandon(None);
        } else {
            self.call.leave();
            finish(&mut self.call, None);
        }
    }
}

pin_project! {
    /// Polls a future as the thread's current call; gives its value and the call.
    pub struct Drive<F> {
        // Dropped before the call, which `PinnedDrop` has made current: what the future drops belongs to it.
        #[pin]
        future: F,
        call: Call,
    }
    impl<F> PinnedDrop for Drive<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().call.go_inside();
        }
    }
}

/// Drives a body that is a future.
pub fn drive<F: Future>(mut call: Call, future: F) -> Drive<F> {
    call.is_busy = false;
    Drive { future, call }
}

impl<F> fmt::Debug for Drive<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Drive<F> {
    type Output = (F::Output, Call);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.call.is_busy = true;
        let inside = Inside::enter(this.call);
        let polled = this.future.poll(cx);
        drop(inside);
        match polled {
            Poll::Ready(value) => Poll::Ready((value, std::mem::replace(this.call, Call::ENDED))),
            Poll::Pending => {
                this.call.is_busy = false;
                Poll::Pending
            }
        }
    }
}

pin_project! {
    /// Polls a future that the function returned, then concludes the call with its value.
    pub struct DriveOut<F, C> {
        #[pin]
        drive: Drive<F>,
        conclude: Option<C>,
    }
}

/// Drives a future that the function returned.
pub fn drive_out<F, C, R>(call: Call, future: F, conclude: C) -> DriveOut<F, C>
where
    F: Future,
    C: FnOnce(F::Output, Call) -> R,
{
    DriveOut { drive: drive(call, future), conclude: Some(conclude) }
}

impl<F, C> fmt::Debug for DriveOut<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveOut").finish_non_exhaustive()
    }
}

impl<F, C, R> Future for DriveOut<F, C>
where
    F: Future,
    C: FnOnce(F::Output, Call) -> R,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        match this.drive.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((value, call)) => match this.conclude.take() {
                Some(conclude) => Poll::Ready(conclude(value, call)),
                None => panic!("future polled after it was ready"),
            },
        }
    }
}

pin_project! {
    /// Polls a stream as the thread's current call, which ends with it.
    pub struct DriveStream<S, V, O> {
        #[pin]
        stream: S,
        call: StreamCall,
        verdict: V,
        outputs: Option<O>,
    }
    impl<S, V, O> PinnedDrop for DriveStream<S, V, O> {
        fn drop(this: Pin<&mut Self>) {
            this.project().call.call.go_inside();
        }
    }
}

/// The call of a stream: what was delivered, and the code of the first failed item.
#[derive(Debug)]
struct StreamCall {
    call: Call,
    items: u64,
    code: Option<Code>,
}

impl StreamCall {
    fn end(&mut self) {
        self.call.end(self.code, None, Some(self.items), false);
    }
}

impl Drop for StreamCall {
    fn drop(&mut self) {
        self.call.leave();
        if self.code.is_some() && !self.call.is_busy {
            self.end();
        } else {
            self.call.abandon(Some(self.items));
        }
    }
}

/// Drives a stream that the function returned.
///
/// `verdict` gives the code of a failed item; `outputs` runs when the stream has ended.
pub fn drive_stream<S, V, O>(mut call: Call, stream: S, verdict: V, outputs: O) -> DriveStream<S, V, O>
where
    S: Stream,
    V: Fn(&S::Item) -> Option<Code>,
    O: FnOnce(&mut Call),
{
    call.is_busy = false;
    DriveStream { stream, call: StreamCall { call, items: 0, code: None }, verdict, outputs: Some(outputs) }
}

/// For a stream without outputs.
pub fn no_outputs(_call: &mut Call) {}

impl<S, V, O> fmt::Debug for DriveStream<S, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveStream").finish_non_exhaustive()
    }
}

impl<S, V, O> Stream for DriveStream<S, V, O>
where
    S: Stream,
    V: Fn(&S::Item) -> Option<Code>,
    O: FnOnce(&mut Call),
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        this.call.call.is_busy = true;
        let inside = Inside::enter(&mut this.call.call);
        let polled = this.stream.poll_next(cx);
        drop(inside);
        match &polled {
            Poll::Ready(Some(item)) => match (this.verdict)(item) {
                Some(code) => {
                    this.call.code.get_or_insert(code);
                }
                None => this.call.items += 1,
            },
            Poll::Ready(None) => {
                if let Some(outputs) = this.outputs.take() {
                    outputs(&mut this.call.call);
                }
                this.call.end();
            }
            Poll::Pending => {}
        }
        this.call.call.is_busy = false;
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

/// Runs the program's own code for a verdict. It must not change what the call returns, so a panic in it
/// becomes a code of its own.
pub(crate) fn guarded(code: impl FnOnce() -> Option<Code>) -> Option<Code> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or(Some(Code::UNCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_small_and_keeps_auto_traits() {
        fn has_auto_traits<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
        has_auto_traits::<Call>();
        has_auto_traits::<Settle>();
        assert!(size_of::<Call>() <= 32, "{}", size_of::<Call>());
    }
}
