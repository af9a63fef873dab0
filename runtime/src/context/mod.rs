//! The request context: who asks, in which scope, in which trace.

mod builder;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub use self::builder::ContextBuilder;
use crate::current;
use crate::draft::CallState;
use crate::event::ActorType;
use crate::ids::{AuthSubject, Env, InvalidId, RequestId, Scope, SpanId, TenantId, TraceId, UserId};
use crate::ledger::LedgerShared;
use crate::pending::{self, Ambient};

/// Which ids of a context, or whether its scope, were missing and made up. A bit set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Synthesized(pub(crate) u8);

impl Synthesized {
    pub(crate) const REQUEST_ID: u8 = 1;
    pub(crate) const TRACE_ID: u8 = 2;
    /// A loose scope named `$system`, which is nobody's to name.
    pub(crate) const SCOPE: u8 = 4;
}

/// The longest user agent that is kept, in bytes; a longer one is cut.
pub(crate) const MAX_USER_AGENT_BYTES: usize = 256;

/// Tenant, env, user, request and trace of the request that is being served.
///
/// Immutable and cheap to clone. Made by [`Ledger::context`](crate::Ledger::context), which binds it to
/// that ledger, or by [`RequestContext::builder`], which records to the ledger installed in this process.
///
/// ```
/// # use dataset_events::RequestContext;
/// let ctx = RequestContext::builder("acme", "prod").user_id("u_7").build()?;
/// assert_eq!(ctx.tenant_id(), &"acme");
/// assert!(ctx.is_trace_id_synthesized());
/// # Ok::<_, dataset_events::InvalidId>(())
/// ```
#[derive(Clone)]
pub struct RequestContext {
    pub(crate) inner: Arc<ContextInner>,
}

#[derive(Clone)]
pub(crate) struct ContextInner {
    pub(crate) scope: Scope,
    pub(crate) actor_type: ActorType,
    pub(crate) user_id: Option<UserId>,
    pub(crate) auth_subject: Option<AuthSubject>,
    pub(crate) request_id: RequestId,
    pub(crate) trace_id: TraceId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) synthesized: Synthesized,
    /// `None`: the ledger installed in this process, looked up at each call.
    pub(crate) ledger: Option<Arc<LedgerShared>>,
    /// Tenant, env, and the canonical bytes of `"actor":..` to `"trace_id":..`: copied into every record
    /// as they are.
    pub(crate) prefix: Box<[u8]>,
    /// What the prefix brings to the checksum of each of those records.
    pub(crate) prefix_sum: u64,
}

impl RequestContext {
    /// Begins a context that records to the ledger installed in this process.
    ///
    /// Tenant and env are checked when the context is built.
    pub fn builder<T, E>(tenant: T, env: E) -> ContextBuilder
    where
        T: TryInto<TenantId, Error: Into<InvalidId>>,
        E: TryInto<Env, Error: Into<InvalidId>>,
    {
        ContextBuilder::new(tenant, env, None)
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &TenantId {
        &self.inner.scope.tenant_id
    }

    /// The env.
    pub fn env(&self) -> &Env {
        &self.inner.scope.env
    }

    /// The user, if one is known.
    pub fn user_id(&self) -> Option<&UserId> {
        self.inner.user_id.as_ref()
    }

    /// The authenticated subject, if there is one.
    pub fn auth_subject(&self) -> Option<&AuthSubject> {
        self.inner.auth_subject.as_ref()
    }

    /// The kind of actor.
    pub fn actor_type(&self) -> ActorType {
        self.inner.actor_type
    }

    /// The request id.
    pub fn request_id(&self) -> &RequestId {
        &self.inner.request_id
    }

    /// The trace id.
    pub fn trace_id(&self) -> TraceId {
        self.inner.trace_id
    }

    /// The caller's span, if one came with the request.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        self.inner.parent_span_id
    }

    /// The same context for a task that is spawned here: its calls are children of the call that runs now.
    ///
    /// A task runs outside of the call that spawns it. With the context as it is, calls of the task would be
    /// children of the span that the request came from. Where no call with this trace, scope and ledger runs,
    /// the context is the same.
    ///
    /// ```
    /// # use dataset_events::{RequestContext, dataset_event, testing::TestLedger};
    /// #[dataset_event(surface = "orders.ship")]
    /// fn ship(ctx: &RequestContext) {}
    ///
    /// #[dataset_event(surface = "orders.place")]
    /// fn place(ctx: &RequestContext) {
    ///     let ctx = ctx.for_task();
    ///     std::thread::spawn(move || ship(&ctx)).join().expect("no panic");
    /// }
    ///
    /// # let ledger = TestLedger::new();
    /// place(&ledger.context("acme", "prod").build()?);
    /// let (ship, place) = (ledger.events_of("orders.ship"), ledger.events_of("orders.place"));
    /// assert_eq!(ship[0].parent_span_id, Some(place[0].span_id));
    /// # Ok::<(), dataset_events::InvalidId>(())
    /// ```
    #[must_use]
    pub fn for_task(&self) -> Self {
        let parent = current::with(|call| {
            let call = call.filter(|call| self.is_of(call));
            call.map(|call| call.span_id)
        });
        match parent {
            None => self.clone(),
            Some(_) => {
                let inner = ContextInner { parent_span_id: parent, ..ContextInner::clone(&self.inner) };
                Self { inner: Arc::new(inner) }
            }
        }
    }

    /// Whether a call has the trace, the scope and the ledger of this context.
    fn is_of(&self, call: &CallState) -> bool {
        let records_to = |ledger: &Arc<LedgerShared>| {
            call.ledger.as_ref().is_some_and(|of_call| Arc::ptr_eq(of_call, ledger))
        };
        let is_same_ledger = match &self.inner.ledger {
            Some(ledger) => records_to(ledger),
            None => match pending::ambient() {
                Some(Ambient::Installed(ledger)) => records_to(ledger),
                Some(Ambient::Entered(ledger)) => records_to(&ledger),
                Some(Ambient::NotYet) => call.ledger.is_none(),
                None => false,
            },
        };
        let (tenant, env) = (self.tenant_id().as_str(), self.env().as_str());
        is_same_ledger
            && call.trace_id == self.inner.trace_id
            && (usize::from(call.tenant_len), usize::from(call.env_len)) == (tenant.len(), env.len())
            && call.head.starts_with(&self.inner.prefix[..tenant.len() + env.len()])
    }

    /// Whether the request id was missing and made up.
    pub fn is_request_id_synthesized(&self) -> bool {
        self.inner.synthesized.0 & Synthesized::REQUEST_ID != 0
    }

    /// Whether the trace id was missing and made up.
    pub fn is_trace_id_synthesized(&self) -> bool {
        self.inner.synthesized.0 & Synthesized::TRACE_ID != 0
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("scope", &format_args!("{}", self.inner.scope))
            .field("user_id", &self.inner.user_id)
            .field("request_id", &self.inner.request_id)
            .field("trace_id", &self.inner.trace_id)
            .finish_non_exhaustive()
    }
}

/// What the context's part of a line is made of.
pub(crate) struct FragmentParts<'a> {
    pub(crate) actor_type: ActorType,
    pub(crate) user_id: Option<&'a UserId>,
    pub(crate) auth_subject: Option<&'a AuthSubject>,
    pub(crate) on_behalf_of: Option<&'a UserId>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) trace_id: TraceId,
}

/// Appends `"actor":{..},"client":{..},"request_id":"..","trace_id":".."`.
pub(crate) fn write_fragment(out: &mut Vec<u8>, parts: &FragmentParts<'_>) {
    out.extend_from_slice(b"\"actor\":{\"type\":\"");
    out.extend_from_slice(parts.actor_type.as_str().as_bytes());
    out.push(b'"');
    let ids = [
        (&b",\"user_id\":"[..], parts.user_id.map(UserId::as_str)),
        (b",\"auth_subject\":", parts.auth_subject.map(AuthSubject::as_str)),
        (b",\"on_behalf_of\":", parts.on_behalf_of.map(UserId::as_str)),
    ];
    for (key, id) in ids {
        if let Some(id) = id {
            out.extend_from_slice(key);
            write_json_str(out, id);
        }
    }
    out.push(b'}');
    if parts.client_ip.is_some() || parts.user_agent.is_some() {
        out.extend_from_slice(b",\"client\":{");
        if let Some(ip) = parts.client_ip {
            out.extend_from_slice(b"\"ip\":");
            write_json_str(out, &ip.to_string());
        }
        if let Some(user_agent) = parts.user_agent {
            if parts.client_ip.is_some() {
                out.push(b',');
            }
            out.extend_from_slice(b"\"user_agent\":");
            write_json_str(out, user_agent);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"request_id\":");
    write_json_str(out, parts.request_id);
    out.extend_from_slice(b",\"trace_id\":\"");
    out.extend_from_slice(&parts.trace_id.to_hex());
    out.push(b'"');
}

/// Appends `text` as a JSON string.
pub(crate) fn write_json_str(out: &mut Vec<u8>, text: &str) {
    // Writing a str into a Vec has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

/// Gives the request context of a value that holds one.
///
/// Implement it for an application's own context, so that the attribute finds tenant and env in it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request context",
    label = "no tenant and env can be taken from this",
    note = "help: use `&RequestContext`, or implement `HasRequestContext` for `{Self}`",
    note = "help: or name the two: `tenant = <expr of type TenantId>, env = <expr of type Env>`"
)]
pub trait HasRequestContext {
    /// The request context.
    fn request_context(&self) -> &RequestContext;
}

impl HasRequestContext for RequestContext {
    fn request_context(&self) -> &RequestContext {
        self
    }
}

macro_rules! forward_context {
    ($($pointer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: HasRequestContext + ?Sized> HasRequestContext for $pointer {
            fn request_context(&self) -> &RequestContext {
                (**self).request_context()
            }
        }
    )*};
}

forward_context!(&T, &mut T, Box<T>, std::rc::Rc<T>, Arc<T>);

/// Gives the tenant of a value that is or holds one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a tenant",
    label = "expected a `TenantId`",
    note = "help: make one at the edge, where a refusal can be answered: `TenantId::new(text)?`",
    note = "help: for a literal: `const TENANT: TenantId = TenantId::from_static(\"acme\");`",
    note = "help: for a `Uuid`: `TenantId::from(uuid)`"
)]
pub trait AsTenant {
    /// The tenant.
    fn as_tenant(&self) -> &TenantId;
}

/// Gives the env of a value that is or holds one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as an env",
    label = "expected an `Env`",
    note = "help: make one at the edge, where a refusal can be answered: `Env::new(text)?`",
    note = "help: for a literal: `const ENV: Env = Env::from_static(\"prod\");`"
)]
pub trait AsEnv {
    /// The env.
    fn as_env(&self) -> &Env;
}

impl AsTenant for TenantId {
    fn as_tenant(&self) -> &TenantId {
        self
    }
}

impl AsEnv for Env {
    fn as_env(&self) -> &Env {
        self
    }
}

macro_rules! forward_scope {
    ($($pointer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: AsTenant + ?Sized> AsTenant for $pointer {
            fn as_tenant(&self) -> &TenantId {
                (**self).as_tenant()
            }
        }
        #[diagnostic::do_not_recommend]
        impl<T: AsEnv + ?Sized> AsEnv for $pointer {
            fn as_env(&self) -> &Env {
                (**self).as_env()
            }
        }
    )*};
}

forward_scope!(&T, &mut T, Box<T>, std::rc::Rc<T>, Arc<T>);
