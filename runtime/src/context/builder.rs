//! Makes request contexts, checking each part as it comes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{ContextInner, FragmentParts, MAX_USER_AGENT_BYTES, RequestContext, Synthesized, write_fragment};
use crate::event::ActorType;
use crate::ids::{
    AuthSubject, Env, InvalidId, InvalidIdReason, RequestId, Scope, SpanId, TenantId, TraceId, UserId,
};
use crate::journal::record;
use crate::ledger::LedgerShared;
use crate::trace_parent::TraceParent;

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
    /// Ids among those given that the program made up itself.
    synthesized: Synthesized,
    /// Made by [`Ledger::unauthenticated`](crate::Ledger::unauthenticated): the scope is `$system`.
    is_unauthenticated: bool,
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
    ($(#[$doc:meta])* $name:ident: $type:ty $(, $mark:ident)?) => {
        $(#[$doc])*
        pub fn $name<V>(mut self, value: V) -> Self
        where
            V: TryInto<$type, Error: Into<InvalidId>>,
        {
            match value.try_into() {
                Ok(value) => {
                    self.$name = Some(value);
                    $(self.synthesized.0 &= !Synthesized::$mark;)?
                }
                Err(error) => {
                    self.refused.get_or_insert(error.into());
                }
            }
            self
        }
    };
}

/// Refuses `$system`: a value of it can be had from an operator's reads and from an unauthenticated context.
fn of_a_tenant(scope: Scope) -> Result<Scope, InvalidId> {
    let reason = |accepted| InvalidIdReason::Forbidden { at: 0, accepted };
    if scope.tenant_id == TenantId::SYSTEM {
        let reason = reason("a tenant; `$system` is entered by `Ledger::unauthenticated` alone");
        return Err(InvalidId { what: "tenant", reason, len_bytes: scope.tenant_id.as_str().len() });
    }
    if scope.env == Env::SYSTEM {
        let reason = reason("an env; `$system` is entered by `Ledger::unauthenticated` alone");
        return Err(InvalidId { what: "env", reason, len_bytes: scope.env.as_str().len() });
    }
    Ok(scope)
}

impl ContextBuilder {
    pub(crate) fn new<T, E>(tenant: T, env: E, ledger: Option<Arc<LedgerShared>>) -> Self
    where
        T: TryInto<TenantId, Error: Into<InvalidId>>,
        E: TryInto<Env, Error: Into<InvalidId>>,
    {
        let scope = match (tenant.try_into(), env.try_into()) {
            (Ok(tenant_id), Ok(env)) => of_a_tenant(Scope { tenant_id, env }),
            (Err(error), _) => Err(error.into()),
            (_, Err(error)) => Err(error.into()),
        };
        Self::in_scope(scope, ledger)
    }

    /// Begins a context in `$system`.
    pub(crate) fn unauthenticated(ledger: Arc<LedgerShared>) -> Self {
        Self { is_unauthenticated: true, ..Self::in_scope(Ok(Scope::system()), Some(ledger)) }
    }

    fn in_scope(scope: Result<Scope, InvalidId>, ledger: Option<Arc<LedgerShared>>) -> Self {
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
            synthesized: Synthesized::default(),
            is_unauthenticated: false,
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
        request_id: RequestId, REQUEST_ID
    }
    id_setter! {
        /// The trace id; made up and marked when not given. With the feature `opentelemetry`, that of the
        /// current OpenTelemetry span is taken first.
        trace_id: TraceId, TRACE_ID
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

    /// Takes trace id and parent span from a W3C `traceparent`: the header's text, or a [`TraceParent`].
    ///
    /// A malformed header is a refusal of [`build`](Self::build); a service that must go on leaves it
    /// out, so that the trace id is made up and marked.
    pub fn traceparent<V>(mut self, value: V) -> Self
    where
        V: TryInto<TraceParent, Error: Into<InvalidId>>,
    {
        match value.try_into() {
            Ok(parent) => {
                self.trace_id = Some(parent.trace_id());
                self.parent_span_id = Some(parent.span_id());
                self.synthesized.0 &= !Synthesized::TRACE_ID;
            }
            Err(error) => {
                self.refused.get_or_insert(error.into());
            }
        }
        self
    }

    /// A request id that the program made up before it built the context, because none came with the
    /// request: as [`request_id`](Self::request_id), and the events say that it was made up.
    ///
    /// For a service that answers with the id, or records under it, before it knows the scope. Make one
    /// with [`Ledger::new_request_id`](crate::Ledger::new_request_id).
    pub fn synthesized_request_id(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self.synthesized.0 |= Synthesized::REQUEST_ID;
        self
    }

    /// A trace id that the program made up before it built the context: as [`trace_id`](Self::trace_id),
    /// and the events say that it was made up. Make one with
    /// [`Ledger::new_trace_id`](crate::Ledger::new_trace_id).
    pub fn synthesized_trace_id(mut self, id: TraceId) -> Self {
        self.trace_id = Some(id);
        self.synthesized.0 |= Synthesized::TRACE_ID;
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// The first [`InvalidId`] among tenant, env and the ids that were set, with its code.
    pub fn build(mut self) -> Result<RequestContext, InvalidId> {
        let scope = self.scope?;
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if self.is_unauthenticated {
            // Nobody vouches for who they say they are.
            (self.actor_type, self.user_id) = (Some(ActorType::Anonymous), None);
            (self.auth_subject, self.on_behalf_of) = (None, None);
        }
        #[cfg(feature = "opentelemetry")]
        if self.trace_id.is_none()
            && let Some(span) = TraceParent::of_opentelemetry()
        {
            self.trace_id = Some(span.trace_id());
            self.parent_span_id.get_or_insert(span.span_id());
        }
        let mut synthesized = self.synthesized;
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_id_that_the_program_made_up_is_marked_until_a_real_one_replaces_it() {
        let made_up = || {
            RequestContext::builder("acme", "prod")
                .synthesized_request_id(RequestId::from_static("r_1"))
                .synthesized_trace_id(crate::id_source::trace_id(None))
        };
        let ctx = made_up().build().unwrap();
        assert_eq!(ctx.request_id(), &"r_1");
        assert!(ctx.is_request_id_synthesized() && ctx.is_trace_id_synthesized());
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ctx = made_up().request_id("r_2").traceparent(traceparent).build().unwrap();
        assert!(!ctx.is_request_id_synthesized() && !ctx.is_trace_id_synthesized());
    }

    #[test]
    fn no_scope_of_a_tenant_can_be_made_of_the_parts_of_system() {
        let system = Scope::system();
        let (tenant, env) = (system.tenant_id(), system.env());
        for (built, code) in [
            (RequestContext::builder(tenant, env).build(), "context.invalid_tenant"),
            (RequestContext::builder(tenant, "prod").build(), "context.invalid_tenant"),
            (RequestContext::builder("acme", env).build(), "context.invalid_env"),
        ] {
            assert_eq!(built.unwrap_err().code(), code);
        }
    }
}
