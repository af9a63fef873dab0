//! Annotated functions of every guarantee, sync and async, with every way to end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// It waits once; who polls it drops it then. As a sync call: with a value.
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

/// Polls a future until it has begun its body and waits there, or has ended; then drops it.
fn poll_and_drop(mut future: LocalBoxFuture<'_, Result<u64, CallError>>, slot: &Slot) -> &'static str {
    let waker = Waker::noop();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(_) => return "ok",
            Poll::Pending if slot.get().is_some() => return "cancelled",
            // A `durable` call waits for its attempt first.
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// Makes one call out of `numbers`, and says when its body began and when it returned.
pub fn any_call(ctx: &RequestContext, numbers: &mut Numbers) {
    const SIZES: [usize; 8] = [0, 10, 40, 40, 100, 300, 1_000, 20_000];
    const ENDINGS: [Ending; 8] = [
        Ending::Ok,
        Ending::Ok,
        Ending::Ok,
        Ending::Ok,
        Ending::Error,
        Ending::Denied,
        Ending::Panic,
        Ending::Wait,
    ];
    let ending = ENDINGS[numbers.below(8) as usize];
    let text = "x".repeat(SIZES[numbers.below(8) as usize]);
    let n = numbers.number();
    let slot = Slot::default();
    let which = numbers.below(6);
    let returned = catch_unwind(AssertUnwindSafe(|| {
        let future: LocalBoxFuture<'_, _> = match which {
            0 => return outcome_of(recorded(ctx, n, &text, &slot, ending)),
            1 => return outcome_of(intent(ctx, n, &text, &slot, ending)),
            2 => return outcome_of(durable(ctx, n, &text, &slot, ending)),
            3 => Box::pin(recorded_async(ctx, n, &text, &slot, ending)),
            4 => Box::pin(intent_async(ctx, n, &text, &slot, ending)),
            _ => Box::pin(durable_async(ctx, n, &text, &slot, ending)),
        };
        if ending == Ending::Wait { poll_and_drop(future, &slot) } else { outcome_of(block_on(future)) }
    }));
    // A refused `durable` call never began: no report, no claim.
    if let Some(event_id) = slot.get() {
        say_returned(event_id, returned.unwrap_or("panic"));
    }
}
