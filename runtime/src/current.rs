//! The call that runs on this thread, and [`current`], the handle to it inside an annotated body.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::capture;
use crate::draft::CallState;
use crate::ids::{EventId, SpanId};

thread_local! {
    /// The innermost call of this thread; the others hang on its `outer`.
    ///
    /// A cell that is emptied while anybody works on its content: there is no borrow that user code could
    /// meet, whatever it calls.
    static CURRENT: Cell<Option<Box<CallState>>> = const { Cell::new(None) };
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

/// How often a method of [`current`] was called where no call runs.
pub(crate) fn uses_outside_of_a_call() -> u64 {
    OUTSIDE.load(Ordering::Relaxed)
}

/// Makes `state` the current call. Gives it back when the thread's storage is gone.
pub(crate) fn push(state: Box<CallState>) -> Result<(), Box<CallState>> {
    let mut slot = Some(state);
    let _ = CURRENT.try_with(|current| {
        if let Some(mut state) = slot.take() {
            state.outer = current.take();
            current.set(Some(state));
        }
    });
    slot.map_or(Ok(()), Err)
}

/// Takes the call with this span back. It is the current one, unless the program switches stacks.
pub(crate) fn pop(span_id: SpanId) -> Option<Box<CallState>> {
    CURRENT
        .try_with(|current| {
            let mut top = current.take()?;
            if top.span_id == span_id {
                current.set(top.outer.take());
                return Some(top);
            }
            let found = unlink(&mut top, span_id);
            current.set(Some(top));
            found
        })
        .ok()
        .flatten()
}

#[cold]
fn unlink(mut above: &mut CallState, span_id: SpanId) -> Option<Box<CallState>> {
    loop {
        if above.outer.as_ref()?.span_id == span_id {
            let mut found = above.outer.take()?;
            above.outer = found.outer.take();
            return Some(found);
        }
        above = above.outer.as_deref_mut()?;
    }
}

/// Lends the current call, if there is one. `work` must not run user code.
pub(crate) fn with<R>(work: impl FnOnce(Option<&mut CallState>) -> R) -> R {
    let mut state = CURRENT.try_with(Cell::take).unwrap_or_default();
    let result = work(state.as_deref_mut());
    if let Some(state) = state {
        let _ = CURRENT.try_with(|current| current.set(Some(state)));
    }
    result
}

/// Takes the whole chain of open calls of this thread, the innermost first.
fn drain(mut each: impl FnMut(Box<CallState>)) {
    let mut next = CURRENT.try_with(Cell::take).unwrap_or_default();
    while let Some(mut state) = next {
        next = state.outer.take();
        each(state);
    }
}

/// With `panic = "abort"`: records the open calls of the panicking thread before the process dies.
/// With unwinding their guards do that, and this installs nothing.
pub(crate) fn install_panic_hook() {
    use std::sync::Once;
    static INSTALLED: Once = Once::new();
    if !cfg!(panic = "abort") {
        return;
    }
    INSTALLED.call_once(|| {
        let chained = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            drain(crate::call::finish_as_panic);
            chained(info);
        }));
    });
}

/// The annotated call that runs here.
///
/// ```
/// # use dataset_events::{RequestContext, dataset_event};
/// # #[derive(Debug)] struct Usage { tokens: u32 }
/// #[dataset_event(surface = "chat.complete", error_code = "chat.internal")]
/// fn complete(ctx: &RequestContext, prompt: &str) -> Result<Usage, std::io::Error> {
///     let usage = Usage { tokens: 7 };
///     dataset_events::current().output("tokens", usage.tokens).source_ref("model", "small-1");
///     Ok(usage)
/// }
/// ```
///
/// The handle is looked up at each use and cannot leave its thread. In an async function it names the
/// call around each poll. Where no call runs its methods do nothing but count.
pub fn current() -> Current {
    Current { not_send: PhantomData }
}

/// Adds to the call that runs here; made by [`current`].
#[derive(Clone, Copy)]
pub struct Current {
    not_send: PhantomData<*const ()>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("event_id", &self.event_id()).finish()
    }
}

impl Current {
    /// Adds a field to the call's output. A field of the same name is replaced.
    ///
    /// A name is 1 to 64 bytes of `[A-Za-z_][A-Za-z0-9_.-]*`; another is refused, and the event says so.
    pub fn output<V: Serialize>(self, name: &str, value: V) -> Self {
        // The value is written before the call is looked up: its `Serialize` may be an annotated caller.
        let field = capture::detached(&capture::Ser(&value));
        Self::add(|state| capture::set_member(&mut state.output, name, &field))
    }

    /// Names a thing that the call read or wrote.
    pub fn source_ref<I: Display>(self, kind: &str, id: I) -> Self {
        let id = capture::detached_id(&id);
        Self::add(|state| capture::push_source_ref(&mut state.source_refs, kind, &id))
    }

    /// Names a field that the call changed, with its values before and after.
    pub fn change<B: Serialize, A: Serialize>(self, field: &str, before: B, after: A) -> Self {
        let before = capture::detached(&capture::Ser(&before));
        let after = capture::detached(&capture::Ser(&after));
        Self::add(|state| capture::push_change(&mut state.changes, field, &before, &after))
    }

    /// The id of the call's event; `None` where no call runs.
    pub fn event_id(self) -> Option<EventId> {
        with(|state| state.map(|state| state.event_id))
    }

    /// The id of the call's span; `None` where no call runs.
    pub fn span_id(self) -> Option<SpanId> {
        with(|state| state.map(|state| state.span_id))
    }

    fn add(work: impl FnOnce(&mut CallState)) -> Self {
        with(|state| match state {
            Some(state) => work(state),
            None => {
                OUTSIDE.fetch_add(1, Ordering::Relaxed);
            }
        });
        current()
    }
}
