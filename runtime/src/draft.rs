//! One call while it runs: the sections of its record as they grow, and the handing over to the journal.
//!
//! A [`CallState`] is taken from a per-thread pool when a call begins and put back when its record is
//! written, so that a call allocates nothing in steady state. It may move between threads.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::clock::Clock;
use crate::context::{FragmentParts, RequestContext, Synthesized, write_fragment};
use crate::error_code::{LedgerUnavailable, UnavailableReason};
use crate::event::{ActorType, Outcome};
use crate::id_source::{self, IdSource};
use crate::ids::{Env, EventId, RequestId, SpanId, TenantId, TraceId, UserId};
use crate::journal::lease;
use crate::journal::record::{Kind, NO_ITEMS, Record, flag, prefix_sum};
use crate::ledger::waiters::{DurableSlot, Settled};
use crate::ledger::{LedgerShared, Refused};
use crate::pending;
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

impl<'a> LooseScope<'a> {
    /// Tenant and env of the event, and whether that is not what the call named.
    ///
    /// Values of `$system` can be had from a stranger's context, but only that context enters it unmarked.
    /// An event of a tenant stays with the tenant; one that names none can only be the operator's.
    fn names(&self) -> (&'a str, &'a str, bool) {
        let (tenant, env) = (self.tenant_id.as_str(), self.env.as_str());
        match (tenant.starts_with('$'), env.starts_with('$')) {
            (false, false) => (tenant, env, false),
            (false, true) => (tenant, Env::UNKNOWN_NAME, true),
            (true, _) => (TenantId::SYSTEM_NAME, TenantId::SYSTEM_NAME, true),
        }
    }
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

/// What an attempt says of its end.
const UNFINISHED: End<'static> =
    End { outcome: Outcome::Interrupted, code: None, message: None, items: None };

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
    /// Tenant, env, the context's part of the line, surface.
    pub(crate) head: Vec<u8>,
    /// [`prefix_sum`] of the head without its surface.
    prefix_sum: u64,
    /// A complete JSON object, or empty.
    pub(crate) input: Vec<u8>,
    /// A complete JSON object, or empty.
    pub(crate) output: Vec<u8>,
    /// The elements of a JSON array, separated by commas, without its brackets.
    pub(crate) source_refs: Vec<u8>,
    /// The elements of a JSON array, separated by commas, without its brackets.
    pub(crate) changes: Vec<u8>,
    /// Set once the attempt stands in the journal.
    has_attempt: bool,
    /// The wait for the attempt of a `durable` call.
    admission: Option<Arc<DurableSlot>>,
    /// The call around this one on the same thread; managed by `current`.
    pub(crate) outer: Option<Box<CallState>>,
}

impl fmt::Debug for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallState").field("event_id", &self.event_id).finish_non_exhaustive()
    }
}

/// Sections that grew beyond this are given back to the allocator when the call is over.
const KEPT_SECTION_BYTES: usize = 8 * 1024;

impl CallState {
    /// Begins a call; `None` when recording is switched off.
    ///
    /// `parent` is the call that runs on this thread, if any: when it has the same ledger, scope and
    /// trace, the new call becomes its child span; a loose scope also takes request and trace from it.
    #[inline]
    pub(crate) fn begin(
        scope: &ScopeSource<'_>,
        operation: Operation<'_>,
        parent: Option<&Self>,
    ) -> Option<Box<Self>> {
        let mut state = match scope {
            ScopeSource::Context(context) => match &context.inner.ledger {
                Some(ledger) => Self::take(ledger, operation.guarantee),
                None => Self::take_ambient(operation.guarantee)?,
            },
            ScopeSource::Loose(_) => Self::take_ambient(operation.guarantee)?,
        };
        if state.ledger.as_ref().is_some_and(|ledger| ledger.is_off) {
            return None;
        }
        state.fill(scope, operation, parent);
        Some(state)
    }

    /// A state for a ledger, from this thread's pool, with its time and ids.
    #[inline]
    fn take(ledger: &Arc<LedgerShared>, guarantee: Guarantee) -> Box<Self> {
        lease::with(ledger, |lease| lease.begin_call(guarantee))
            .unwrap_or_else(|| Self::timed(Some(Arc::clone(ledger)), &ledger.clock, &ledger.id_source))
    }

    /// A new state with its time and ids.
    #[cold]
    fn timed(ledger: Option<Arc<LedgerShared>>, clock: &Clock, ids: &IdSource) -> Box<Self> {
        let mut state = Self::new(ledger);
        state.started_ticks = clock.start_ticks();
        (state.event_id, state.span_id) = ids.call_ids(clock.unix_ms(state.started_ticks));
        state
    }

    /// A state for the ledger of this thread or process; without one, for the pending ring.
    fn take_ambient(guarantee: Guarantee) -> Option<Box<Self>> {
        match pending::ambient()? {
            pending::Ambient::Installed(ledger) => Some(Self::take(ledger, guarantee)),
            pending::Ambient::Entered(ledger) => Some(Self::take(&ledger, guarantee)),
            pending::Ambient::NotYet => Some(Self::timed(None, &Clock::process(), &IdSource::Random)),
        }
    }

    #[cold]
    pub(crate) fn new(ledger: Option<Arc<LedgerShared>>) -> Box<Self> {
        Box::new(Self {
            ledger,
            site: None,
            access: Access::Write,
            guarantee: Guarantee::Recorded,
            event_id: EventId::from_uuid(uuid::Uuid::nil()),
            span_id: FALLBACK_SPAN,
            parent_span_id: None,
            trace_id: FALLBACK_TRACE,
            synthesized: 0,
            started_ticks: 0,
            tenant_len: 0,
            env_len: 0,
            surface_len: 0,
            head: Vec::with_capacity(512),
            prefix_sum: 0,
            input: Vec::with_capacity(256),
            output: Vec::with_capacity(256),
            source_refs: Vec::new(),
            changes: Vec::new(),
            has_attempt: false,
            admission: None,
            outer: None,
        })
    }

    #[inline]
    fn fill(&mut self, scope: &ScopeSource<'_>, operation: Operation<'_>, parent: Option<&Self>) {
        self.site = operation.site;
        self.access = operation.access;
        self.guarantee = operation.guarantee;
        self.surface_len = operation.surface.len() as u8;
        match scope {
            ScopeSource::Context(context) => {
                let context = &*context.inner;
                self.tenant_len = context.scope.tenant_id.as_str().len() as u8;
                self.env_len = context.scope.env.as_str().len() as u8;
                self.head.extend_from_slice(&context.prefix);
                self.prefix_sum = context.prefix_sum;
                self.trace_id = context.trace_id;
                self.synthesized = context.synthesized.0;
                self.parent_span_id = match parent {
                    Some(parent) if parent.trace_id == self.trace_id && self.is_of_scope_of(parent) => {
                        Some(parent.span_id)
                    }
                    _ => context.parent_span_id,
                };
            }
            ScopeSource::Loose(loose) => {
                let (tenant, env, is_made_up) = loose.names();
                self.tenant_len = tenant.len() as u8;
                self.env_len = env.len() as u8;
                self.head.extend_from_slice(tenant.as_bytes());
                self.head.extend_from_slice(env.as_bytes());
                let parent = parent.filter(|parent| self.is_of_scope_of(parent));
                self.fill_loose(loose, parent);
                self.synthesized &= !Synthesized::SCOPE;
                if is_made_up {
                    self.synthesized |= Synthesized::SCOPE;
                }
                self.prefix_sum = prefix_sum(&self.head);
            }
        }
        self.head.extend_from_slice(operation.surface.as_bytes());
    }

    /// Whether another call has the same ledger, tenant and env.
    fn is_of_scope_of(&self, other: &Self) -> bool {
        let is_same_ledger = match (&self.ledger, &other.ledger) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        is_same_ledger
            && self.tenant_len == other.tenant_len
            && self.env_len == other.env_len
            && self.head[..self.scope_len()] == other.head[..other.scope_len()]
    }

    fn fill_loose(&mut self, loose: &LooseScope<'_>, parent: Option<&Self>) {
        let parent = parent.filter(|parent| loose.trace_id.is_none_or(|trace| trace == parent.trace_id));
        self.parent_span_id = parent.map(|parent| parent.span_id);
        if let Some(parent) = parent
            && loose.request_id.is_none()
            && loose.actor.is_none()
        {
            self.head.extend_from_slice(parent.fragment());
            self.trace_id = parent.trace_id;
            self.synthesized = parent.synthesized;
            return;
        }
        let ids = self.ledger.as_ref().map(|ledger| &ledger.id_source);
        let inherited = parent.and_then(Self::request_id);
        self.synthesized = parent.map_or(0, |parent| parent.synthesized);
        if loose.request_id.is_some() {
            self.synthesized &= !Synthesized::REQUEST_ID;
        }
        let request_id = loose.request_id.cloned().or(inherited).unwrap_or_else(|| {
            self.synthesized |= Synthesized::REQUEST_ID;
            id_source::request_id(ids)
        });
        self.trace_id = match (loose.trace_id, parent) {
            (Some(trace_id), _) => {
                self.synthesized &= !Synthesized::TRACE_ID;
                trace_id
            }
            (None, Some(parent)) => parent.trace_id,
            (None, None) => {
                self.synthesized |= Synthesized::TRACE_ID;
                id_source::trace_id(ids)
            }
        };
        write_fragment(
            &mut self.head,
            &FragmentParts {
                actor_type: if loose.actor.is_some() { ActorType::User } else { ActorType::Anonymous },
                user_id: loose.actor,
                auth_subject: None,
                on_behalf_of: None,
                client_ip: None,
                user_agent: None,
                request_id: request_id.as_str(),
                trace_id: self.trace_id,
            },
        );
    }

    fn scope_len(&self) -> usize {
        usize::from(self.tenant_len) + usize::from(self.env_len)
    }

    /// The context's part of the line.
    fn fragment(&self) -> &[u8] {
        &self.head[self.scope_len()..self.head.len() - usize::from(self.surface_len)]
    }

    /// The request id, taken back from the context's part of the line.
    fn request_id(&self) -> Option<RequestId> {
        const KEY: &[u8] = b",\"request_id\":";
        const TRACE_BYTES: usize = b",\"trace_id\":\"\"".len() + 32;
        let fragment = self.fragment();
        let fragment = &fragment[..fragment.len().checked_sub(TRACE_BYTES)?];
        // In a JSON string a quote is escaped, so the key can only be found where it is a key.
        let at = fragment.windows(KEY.len()).rposition(|window| window == KEY)?;
        let text: String = serde_json::from_slice(&fragment[at + KEY.len()..]).ok()?;
        RequestId::new(text).ok()
    }

    /// The record of this call.
    #[inline(always)]
    pub(crate) fn record<'a>(&'a self, kind: Kind, end: &End<'a>) -> Record<'a> {
        let (code, is_retryable) = end.code.unwrap_or_default();
        Record {
            kind,
            outcome: end.outcome,
            access: self.access,
            guarantee: self.guarantee,
            flags: if is_retryable { flag::RETRYABLE } else { 0 }
                | if self.has_attempt { flag::HAS_ATTEMPT } else { 0 },
            cause: None,
            synthesized: self.synthesized,
            completed_ticks: 0,
            started_ticks: self.started_ticks,
            event_id: self.event_id,
            span_id: u64::from_be_bytes(self.span_id.to_bytes()),
            parent_span_id: self.parent_span_id.map_or(0, |span| u64::from_be_bytes(span.to_bytes())),
            items: end.items.unwrap_or(NO_ITEMS),
            tenant_len: self.tenant_len,
            env_len: self.env_len,
            surface_len: self.surface_len,
            head: &self.head,
            prefix_sum: Some(self.prefix_sum),
            code: code.as_bytes(),
            message: end.message.unwrap_or_default().as_bytes(),
            source_refs: &self.source_refs,
            changes: &self.changes,
            input: &self.input,
            output: &self.output,
        }
    }

    fn attempt_record(&self) -> Record<'_> {
        self.record(Kind::Attempt, &UNFINISHED)
    }

    /// Publishes the attempt of an `intent` call. After the inputs were captured, before the body.
    ///
    /// An attempt that finds no room is let go: its completion is self-contained.
    pub(crate) fn attempt(&mut self) {
        self.has_attempt = lease::attempt_call(self, &UNFINISHED) || self.attempt_slowly();
    }

    #[cold]
    fn attempt_slowly(&self) -> bool {
        let Some(ledger) = &self.ledger else { return false };
        ledger.publish(&mut self.attempt_record(), true).is_ok()
    }

    /// Publishes the attempt of a `durable` call and begins to wait for its fsync.
    fn ask_admission(&mut self) -> Result<Arc<DurableSlot>, LedgerUnavailable> {
        let Some(ledger) = &self.ledger else {
            return Err(LedgerUnavailable::new(UnavailableReason::NotInstalled));
        };
        if let Some(reason) = ledger.unavailable() {
            return Err(LedgerUnavailable::new(reason));
        }
        let slot = ledger.await_durable(self.event_id, Kind::Attempt);
        let mut record = self.attempt_record();
        record.flags |= flag::IS_AWAITED;
        if let Err(Refused(reason)) = ledger.publish(&mut record, true) {
            ledger.waiters.take(self.event_id, Kind::Attempt);
            return Err(LedgerUnavailable::new(reason));
        }
        self.has_attempt = true;
        // The ledger may have failed between the first look and the registration.
        if ledger.unavailable().is_some() {
            slot.settle(Settled::Failed);
        }
        ledger.signal.awaited();
        Ok(slot)
    }

    fn admitted(&self, settled: Settled) -> Result<(), LedgerUnavailable> {
        match settled {
            Settled::Durable => Ok(()),
            Settled::Failed => {
                let reason = self.ledger.as_ref().and_then(|ledger| ledger.unavailable());
                Err(LedgerUnavailable::new(reason.unwrap_or(UnavailableReason::Failed)))
            }
        }
    }

    /// Publishes the attempt of a `durable` call and waits for its fsync on this thread.
    pub(crate) fn admit_blocking(&mut self) -> Result<(), LedgerUnavailable> {
        let slot = self.ask_admission()?;
        self.admitted(slot.wait())
    }

    /// The same by waker.
    pub(crate) fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LedgerUnavailable>> {
        let slot = match self.admission.take() {
            Some(slot) => slot,
            None => self.ask_admission()?,
        };
        match slot.poll(cx) {
            Poll::Ready(settled) => Poll::Ready(self.admitted(settled)),
            Poll::Pending => {
                self.admission = Some(slot);
                Poll::Pending
            }
        }
    }

    fn mark_site(&self, end: &End<'_>) {
        if let Some(site) = self.site {
            match end.outcome {
                Outcome::Ok => site.seen.ok(site),
                Outcome::Cancelled => site.seen.cancelled(site),
                _ => site.seen.failed(site, end.code.map_or("", |(name, _)| name)),
            }
        }
    }

    /// Writes the completion. Never waits for the disk; waits for room in the journal, within the
    /// thread's budget, unless the call was dropped or is unwinding.
    #[inline]
    pub(crate) fn finish(self: Box<Self>, end: &End<'_>) {
        self.mark_site(end);
        if self.ledger.is_some() {
            // The common way: one look-up of the thread's lease writes the record and takes the state back.
            if let Err(state) = lease::finish_call(self, end) {
                state.finish_slowly(end);
            }
        } else {
            pending::keep(&mut self.record(Kind::Completion, end));
        }
    }

    #[cold]
    fn finish_slowly(self: Box<Self>, end: &End<'_>) {
        let may_wait = !matches!(end.outcome, Outcome::Panic | Outcome::Cancelled);
        if let Some(ledger) = &self.ledger {
            // What is refused is counted by `publish`.
            let _ = ledger.publish(&mut self.record(Kind::Completion, end), may_wait);
        }
        self.put_back();
    }

    /// Writes the completion of a call without an attempt, if that can be done without waiting.
    ///
    /// One that is refused is not counted as lost.
    pub(crate) fn try_finish(self: Box<Self>, end: &End<'_>) -> Result<(), LedgerUnavailable> {
        let Some(ledger) = self.ledger.clone() else {
            self.finish(end);
            return Ok(());
        };
        let taken = ledger.try_publish(&mut self.record(Kind::Completion, end));
        if taken.is_ok() {
            self.mark_site(end);
        }
        self.put_back();
        taken.map(|_| ()).map_err(|Refused(reason)| LedgerUnavailable::new(reason))
    }

    fn finish_awaited(self: Box<Self>, end: &End<'_>) -> Option<Arc<DurableSlot>> {
        self.mark_site(end);
        let slot = match &self.ledger {
            None => {
                pending::keep(&mut self.record(Kind::Completion, end));
                None
            }
            Some(ledger) => {
                let slot = ledger.await_durable(self.event_id, Kind::Completion);
                let mut record = self.record(Kind::Completion, end);
                record.flags |= flag::IS_AWAITED;
                let is_taken = ledger.publish(&mut record, true).is_ok();
                if !is_taken || ledger.unavailable().is_some() {
                    ledger.waiters.take(self.event_id, Kind::Completion);
                    slot.settle(Settled::Failed);
                }
                ledger.signal.awaited();
                Some(slot)
            }
        };
        self.put_back();
        slot
    }

    /// Writes the completion of a `durable` call and waits for its fsync on this thread.
    pub(crate) fn finish_blocking(self: Box<Self>, end: &End<'_>) {
        if let Some(slot) = self.finish_awaited(end) {
            slot.wait();
        }
    }

    /// The same by waker: the completion is written at once, the future waits for the fsync.
    pub(crate) fn finish_durable(self: Box<Self>, end: &End<'_>) -> DurableWait {
        DurableWait { slot: self.finish_awaited(end) }
    }

    /// Gives the state back to this thread's pool.
    fn put_back(mut self: Box<Self>) {
        self.clear();
        lease::put_back(self);
    }

    /// Makes the state fit for the next call of its ledger.
    #[inline]
    pub(crate) fn clear(&mut self) {
        for section in
            [&mut self.head, &mut self.input, &mut self.output, &mut self.source_refs, &mut self.changes]
        {
            section.clear();
            if section.capacity() > KEPT_SECTION_BYTES {
                section.shrink_to(KEPT_SECTION_BYTES);
            }
        }
        self.site = None;
        self.has_attempt = false;
        self.admission = None;
        self.parent_span_id = None;
    }
}

const FALLBACK_SPAN: SpanId = match SpanId::from_bytes([1; 8]) {
    Some(id) => id,
    None => panic!("not zero"),
};

const FALLBACK_TRACE: TraceId = match TraceId::from_bytes([1; 16]) {
    Some(id) => id,
    None => panic!("not zero"),
};

/// Waits until a completion is durable, or until the ledger has failed. Dropping it waits no longer.
#[derive(Default)]
pub(crate) struct DurableWait {
    slot: Option<Arc<DurableSlot>>,
}

impl Future for DurableWait {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.slot {
            Some(slot) => slot.poll(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }
}
