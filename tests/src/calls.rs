//! Annotated functions of every guarantee, sync and async, with every way to end.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use dataset_events::{ErrorCode, EventId, LedgerUnavailable, RequestContext, dataset_event};
use futures::executor::block_on;
use futures::future::LocalBoxFuture;

use crate::child::{say_began, say_returned};
use crate::seed::Numbers;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a value.
    Ok,
    /// With an error.
    Error,
    /// With an error whose code is a denial.
    Denied,
    /// By panic.
    Panic,
    /// It waits until it is dropped. As a sync call: with a value.
    Wait,
}

/// Why a call failed.
#[derive(Debug, ErrorCode)]
pub enum CallError {
    /// It could not.
    #[code("load.failed")]
    Failed,
    /// It may not.
    #[code("load.forbidden", status = 403)]
    Forbidden,
    /// The ledger did not take it.
    #[code(transparent)]
    Ledger(LedgerUnavailable),
}

impl From<LedgerUnavailable> for CallError {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Ledger(error)
    }
}

/// Where a body leaves the id of its event.
type Slot = Cell<Option<EventId>>;

fn end(ending: Ending, n: u64) -> Result<u64, CallError> {
    match ending {
        Ending::Ok | Ending::Wait => Ok(n),
        Ending::Error => Err(CallError::Failed),
        Ending::Denied => Err(CallError::Forbidden),
        Ending::Panic => panic!("as the test asks"),
    }
}

async fn wait_if_asked(ending: Ending) {
    if ending == Ending::Wait {
        std::future::pending::<()>().await;
    }
}

macro_rules! load {
    ($sync:ident, $async:ident, $guarantee:literal, $surface:literal, $async_surface:literal) => {
        #[dataset_event(surface = $surface, guarantee = $guarantee, input(n, text), output(n = ret))]
        fn $sync(
            ctx: &RequestContext,
            n: u64,
            text: &str,
            slot: &Slot,
            ending: Ending,
        ) -> Result<u64, CallError> {
            slot.set(Some(say_began($guarantee)));
            end(ending, n)
        }

        #[dataset_event(surface = $async_surface, guarantee = $guarantee, input(n, text), output(n = ret))]
        async fn $async(
            ctx: &RequestContext,
            n: u64,
            text: &str,
            slot: &Slot,
            ending: Ending,
        ) -> Result<u64, CallError> {
            slot.set(Some(say_began($guarantee)));
            wait_if_asked(ending).await;
            end(ending, n)
        }
    };
}

load!(recorded, recorded_async, "recorded", "load.recorded", "load.recorded_async");
load!(intent, intent_async, "intent", "load.intent", "load.intent_async");
load!(durable, durable_async, "durable", "load.durable", "load.durable_async");

fn outcome_of(result: Result<u64, CallError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CallError::Forbidden) => "denied",
        Err(CallError::Failed | CallError::Ledger(_)) => "error",
    }
}

/// A call that waits inside its body.
type Waiting = LocalBoxFuture<'static, Result<u64, CallError>>;

/// Polls a call until it waits inside its body; the result if it ends before that.
fn poll_into_body(future: &mut Waiting, slot: &Slot) -> Option<Result<u64, CallError>> {
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => return Some(result),
            Poll::Pending if slot.get().is_some() => return None,
            // A `durable` call waits for its attempt first.
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// At most this many calls of a thread wait inside their bodies: what a kill finds there.
const MAX_WAITING: usize = 4;

/// Makes calls, one thread's.
#[derive(Default)]
pub struct Caller {
    waiting: VecDeque<(EventId, Waiting)>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("waiting", &self.waiting.len()).finish()
    }
}

impl Caller {
    /// Makes one call out of `numbers`, and says when its body began and when it returned. One that waits
    /// is dropped some calls later.
    pub fn call(&mut self, ctx: &RequestContext, numbers: &mut Numbers) {
        const SIZES: [usize; 8] = [0, 10, 40, 40, 100, 300, 1_000, 20_000];
        const ENDINGS: [Ending; 8] = [
            Ending::Ok,
            Ending::Ok,
            Ending::Ok,
            Ending::Wait,
            Ending::Error,
            Ending::Denied,
            Ending::Panic,
            Ending::Wait,
        ];
        let ending = ENDINGS[numbers.below(8) as usize];
        let text = "x".repeat(SIZES[numbers.below(8) as usize]);
        let n = numbers.number();
        let slot = Rc::<Slot>::default();
        let which = numbers.below(6);
        if which >= 3 && ending == Ending::Wait {
            return self.wait(future(which, ctx, n, text, &slot, ending), &slot);
        }
        let returned = catch_unwind(AssertUnwindSafe(|| match which {
            0 => recorded(ctx, n, &text, &slot, ending),
            1 => intent(ctx, n, &text, &slot, ending),
            2 => durable(ctx, n, &text, &slot, ending),
            which => block_on(future(which, ctx, n, text, &slot, ending)),
        }));
        // A refused `durable` call never began: no report, no claim.
        if let Some(event_id) = slot.get() {
            say_returned(event_id, returned.map_or("panic", outcome_of));
        }
    }

    fn wait(&mut self, mut future: Waiting, slot: &Slot) {
        let ended = poll_into_body(&mut future, slot);
        match (ended, slot.get()) {
            (None, Some(event_id)) => self.waiting.push_back((event_id, future)),
            (Some(result), Some(event_id)) => say_returned(event_id, outcome_of(result)),
            (_, None) => {}
        }
        if self.waiting.len() > MAX_WAITING
            && let Some((event_id, future)) = self.waiting.pop_front()
        {
            drop(future);
            say_returned(event_id, "cancelled");
        }
    }
}

fn future(
    which: u64,
    ctx: &RequestContext,
    n: u64,
    text: String,
    slot: &Rc<Slot>,
    ending: Ending,
) -> Waiting {
    let (ctx, slot) = (ctx.clone(), Rc::clone(slot));
    match which {
        3 => Box::pin(async move { recorded_async(&ctx, n, &text, &slot, ending).await }),
        4 => Box::pin(async move { intent_async(&ctx, n, &text, &slot, ending).await }),
        _ => Box::pin(async move { durable_async(&ctx, n, &text, &slot, ending).await }),
    }
}
