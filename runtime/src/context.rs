//! The request context: who asks, in which scope, in which trace.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::event::ActorType;
use crate::ids::{
    AuthSubject, Env, InvalidId, InvalidIdReason, RequestId, Scope, SpanId, TenantId, TraceId, UserId,
};
use crate::journal::record;
use crate::ledger::LedgerShared;

/// Which ids of a context were missing and made up. A bit set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Synthesized(pub(crate) u8);

impl Synthesized {
    pub(crate) const REQUEST_ID: u8 = 1;
    pub(crate) const TRACE_ID: u8 = 2;
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

/// Builds a [`RequestContext`].
///
/// Setters keep the first refusal; [`build`](Self::build) returns it.
#[derive(Debug)]
#[must_use = "a context is made by `build()`"]
pub struct ContextBuilder {
    scope: Result<Scope, InvalidId>,
    refused: Option<InvalidId>,
    actor_type: Option<ActorType>,
    user_id: Option<UserId>,
    auth_subject: Option<AuthSubject>,
    on_behalf_of: Option<UserId>,
    client_ip: Option<IpAddr>,
    user_agent: Option<String>,
    request_id: Option<RequestId>,
    trace_id: Option<TraceId>,
    parent_span_id: Option<SpanId>,
    ledger: Option<LedgerBinding>,
}

/// Keeps `Debug` of the builder free of the ledger's insides.
struct LedgerBinding(Arc<LedgerShared>);

impl fmt::Debug for LedgerBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bound")
    }
}

macro_rules! id_setter {
    ($(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        pub fn $name<V>(mut self, value: V) -> Self
        where
            V: TryInto<$type, Error: Into<InvalidId>>,
        {
            match value.try_into() {
                Ok(value) => self.$name = Some(value),
                Err(error) => {
                    self.refused.get_or_insert(error.into());
                }
            }
            self
        }
    };
}

impl ContextBuilder {
    pub(crate) fn new<T, E>(tenant: T, env: E, ledger: Option<Arc<LedgerShared>>) -> Self
    where
        T: TryInto<TenantId, Error: Into<InvalidId>>,
        E: TryInto<Env, Error: Into<InvalidId>>,
    {
        let scope = match (tenant.try_into(), env.try_into()) {
            (Ok(tenant_id), Ok(env)) => Ok(Scope { tenant_id, env }),
            (Err(error), _) => Err(error.into()),
            (_, Err(error)) => Err(error.into()),
        };
        Self {
            scope,
            refused: None,
            actor_type: None,
            user_id: None,
            auth_subject: None,
            on_behalf_of: None,
            client_ip: None,
            user_agent: None,
            request_id: None,
            trace_id: None,
            parent_span_id: None,
            ledger: ledger.map(LedgerBinding),
        }
    }

    id_setter! {
        /// The user on whose behalf the request runs.
        user_id: UserId
    }
    id_setter! {
        /// The subject that was authenticated.
        auth_subject: AuthSubject
    }
    id_setter! {
        /// The user for whom the actor acts, when it is not the actor.
        on_behalf_of: UserId
    }
    id_setter! {
        /// The request id; made up and marked when not given.
        request_id: RequestId
    }
    id_setter! {
        /// The trace id; made up and marked when not given.
        trace_id: TraceId
    }
    id_setter! {
        /// The caller's span.
        parent_span_id: SpanId
    }

    /// The kind of actor. Defaults to `user` when a user id is given, else `anonymous`.
    pub fn actor_type(mut self, actor_type: ActorType) -> Self {
        self.actor_type = Some(actor_type);
        self
    }

    /// The client's address.
    pub fn client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// The client's user agent; cut at 256 bytes.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        let mut user_agent = user_agent.into();
        let mut end = MAX_USER_AGENT_BYTES.min(user_agent.len());
        while !user_agent.is_char_boundary(end) {
            end -= 1;
        }
        user_agent.truncate(end);
        self.user_agent = Some(user_agent);
        self
    }

    /// Takes trace id and parent span from a W3C `traceparent` header.
    ///
    /// A malformed header is a refusal of [`build`](Self::build); a service that must go on leaves it
    /// out, so that the trace id is made up and marked.
    pub fn traceparent(mut self, header: &str) -> Self {
        match parse_traceparent(header) {
            Some((trace_id, span_id)) => {
                self.trace_id = Some(trace_id);
                self.parent_span_id = Some(span_id);
            }
            None => {
                self.refused.get_or_insert(InvalidId {
                    what: "traceparent",
                    reason: InvalidIdReason::NotHex { digits: 55 },
                    len_bytes: header.len(),
                });
            }
        }
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// The first [`InvalidId`] among tenant, env and the ids that were set, with its code.
    pub fn build(self) -> Result<RequestContext, InvalidId> {
        let scope = self.scope?;
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let mut synthesized = Synthesized::default();
        let ids = self.ledger.as_ref().map(|ledger| &ledger.0.id_source);
        let request_id = self.request_id.unwrap_or_else(|| {
            synthesized.0 |= Synthesized::REQUEST_ID;
            crate::id_source::request_id(ids)
        });
        let trace_id = self.trace_id.unwrap_or_else(|| {
            synthesized.0 |= Synthesized::TRACE_ID;
            crate::id_source::trace_id(ids)
        });
        let actor_type = self.actor_type.unwrap_or(match self.user_id {
            Some(_) => ActorType::User,
            None => ActorType::Anonymous,
        });
        let mut prefix = Vec::with_capacity(256);
        prefix.extend_from_slice(scope.tenant_id.as_str().as_bytes());
        prefix.extend_from_slice(scope.env.as_str().as_bytes());
        write_fragment(
            &mut prefix,
            &FragmentParts {
                actor_type,
                user_id: self.user_id.as_ref(),
                auth_subject: self.auth_subject.as_ref(),
                on_behalf_of: self.on_behalf_of.as_ref(),
                client_ip: self.client_ip,
                user_agent: self.user_agent.as_deref(),
                request_id: request_id.as_str(),
                trace_id,
            },
        );
        Ok(RequestContext {
            inner: Arc::new(ContextInner {
                scope,
                actor_type,
                user_id: self.user_id,
                auth_subject: self.auth_subject,
                request_id,
                trace_id,
                parent_span_id: self.parent_span_id,
                synthesized,
                ledger: self.ledger.map(|binding| binding.0),
                prefix_sum: record::prefix_sum(&prefix),
                prefix: prefix.into_boxed_slice(),
            }),
        })
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

/// Reads version 00 of a W3C `traceparent`, and the same fields of later versions.
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
pub(crate) fn parse_traceparent(header: &str) -> Option<(TraceId, SpanId)> {
    let bytes = header.as_bytes();
    if bytes.len() < 55 || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
        return None;
    }
    let version = crate::ids::decode_hex::<1>(header.get(0..2)?)?[0];
    if version == 0xff || (version == 0 && bytes.len() != 55) || (bytes.len() > 55 && bytes[55] != b'-') {
        return None;
    }
    crate::ids::decode_hex::<1>(header.get(53..55)?)?;
    Some((header.get(3..35)?.parse().ok()?, header.get(36..52)?.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_follows_the_specification() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(parse_traceparent(&good).unwrap().0.to_string(), trace);
        assert!(parse_traceparent(&format!("01-{trace}-00f067aa0ba902b7-01-later")).is_some());
        for bad in [
            String::new(),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{trace}-00f067aa0ba902b7-01-x"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}-00f067aa0ba902b7-0g"),
            format!("01-{trace}-00f067aa0ba902b7-01.later"),
            format!("00_{trace}-00f067aa0ba902b7-01"),
        ] {
            assert!(parse_traceparent(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn bad_input_is_a_coded_error() {
        let error = RequestContext::builder("acme", "prod").request_id("a b").build().unwrap_err();
        assert_eq!(error.code(), "context.invalid_request_id");
        let error = RequestContext::builder("../", "prod").build().unwrap_err();
        assert_eq!(error.code(), "context.invalid_tenant");
        let error = RequestContext::builder("acme", "Prod!").user_id("u").build().unwrap_err();
        assert_eq!(error.code(), "context.invalid_env");
    }

    #[test]
    fn a_user_agent_is_escaped_and_cut_at_a_character() {
        let agent = format!("{}ä\"\u{0}", "x".repeat(255));
        let ctx = RequestContext::builder("acme", "prod").user_agent(agent).build().unwrap();
        let text = String::from_utf8(ctx.inner.prefix.to_vec()).unwrap();
        assert!(text.contains(&format!("\"user_agent\":\"{}\"", "x".repeat(255))), "{text}");
    }
}
