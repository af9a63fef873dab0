//! One call while it runs: the sections of its record as they grow, and the handing over to the journal.
//!
//! A [`CallState`] is taken from a per-thread pool when a call begins and put back when its record is
//! written, so that a call allocates nothing in steady state. It may move between threads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::context::RequestContext;
use crate::error_code::LedgerUnavailable;
use crate::event::Outcome;
use crate::ids::{Env, EventId, RequestId, SpanId, TenantId, TraceId, UserId};
use crate::ledger::LedgerShared;
use crate::surface::{Access, Guarantee, Site};

/// Where a call's scope comes from.
pub(crate) enum ScopeSource<'a> {
    /// A request context.
    Context(&'a RequestContext),
    /// A tenant and an env, with what else the signature has.
    Loose(LooseScope<'a>),
}

/// A scope without a request context.
pub(crate) struct LooseScope<'a> {
    pub(crate) tenant_id: &'a TenantId,
    pub(crate) env: &'a Env,
    pub(crate) request_id: Option<&'a RequestId>,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) actor: Option<&'a UserId>,
}

/// What is recorded: a function of the registry, or a hand-made event.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    pub(crate) surface: &'a str,
    pub(crate) access: Access,
    pub(crate) guarantee: Guarantee,
    pub(crate) site: Option<&'static Site>,
}

/// How a call ended.
pub(crate) struct End<'a> {
    pub(crate) outcome: Outcome,
    /// Name and retryability of the code; `None` only for `ok`.
    pub(crate) code: Option<(&'a str, bool)>,
    /// Recorded only where the program opted in.
    pub(crate) message: Option<&'a str>,
    /// For a stream: the items delivered.
    pub(crate) items: Option<u64>,
}

/// One call while it runs.
pub(crate) struct CallState {
    pub(crate) ledger: Option<Arc<LedgerShared>>,
    pub(crate) site: Option<&'static Site>,
    pub(crate) access: Access,
    pub(crate) guarantee: Guarantee,
    pub(crate) event_id: EventId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) trace_id: TraceId,
    pub(crate) synthesized: u8,
    pub(crate) started_ticks: u64,
    pub(crate) tenant_len: u8,
    pub(crate) env_len: u8,
    pub(crate) surface_len: u8,
    /// Tenant, env, surface, then the context's part of the line.
    pub(crate) head: Vec<u8>,
    /// A complete JSON object, or empty.
    pub(crate) input: Vec<u8>,
    /// A complete JSON object, or empty.
    pub(crate) output: Vec<u8>,
    /// The elements of a JSON array, separated by commas, without its brackets.
    pub(crate) source_refs: Vec<u8>,
    /// The elements of a JSON array, separated by commas, without its brackets.
    pub(crate) changes: Vec<u8>,
    /// The call around this one on the same thread; managed by `current`.
    pub(crate) outer: Option<Box<CallState>>,
}

impl CallState {
    /// Begins a call; `None` when recording is switched off.
    ///
    /// `parent` is the call that runs on this thread, if any: when it has the same ledger, scope and
    /// trace, the new call becomes its child span; a loose scope also takes request and trace from it.
    pub(crate) fn begin(
        _scope: &ScopeSource<'_>,
        _operation: Operation<'_>,
        _parent: Option<&Self>,
    ) -> Option<Box<Self>> {
        None
    }

    /// Publishes the attempt of an `intent` call. After the inputs were captured, before the body.
    pub(crate) fn attempt(&mut self) {}

    /// Publishes the attempt of a `durable` call and waits for its fsync on this thread.
    pub(crate) fn admit_blocking(&mut self) -> Result<(), LedgerUnavailable> {
        Ok(())
    }

    /// The same by waker.
    pub(crate) fn poll_admit(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), LedgerUnavailable>> {
        Poll::Ready(Ok(()))
    }

    /// Writes the completion. Never waits for the disk.
    pub(crate) fn finish(self: Box<Self>, _end: &End<'_>) {}

    /// Writes the completion of a `durable` call and waits for its fsync on this thread.
    pub(crate) fn finish_blocking(self: Box<Self>, _end: &End<'_>) {}

    /// The same by waker: the completion is written at once, the future waits for the fsync.
    pub(crate) fn finish_durable(self: Box<Self>, _end: &End<'_>) -> DurableWait {
        DurableWait
    }
}

/// Waits until a completion is durable, or until the ledger has failed. Dropping it waits no longer.
pub(crate) struct DurableWait;

impl Future for DurableWait {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
