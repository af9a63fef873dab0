//! Where a call takes tenant and env from: the first match of a fixed order, or a refusal.

use quote::ToTokens as _;
use syn::{Expr, Ident, Type};

use crate::args::{Args, Keyed};
use crate::bindings::{Binding, Bindings, only_type_argument};
use crate::check;
use crate::errors::{Bag, Spot};
use crate::shape::strip;

/// An expression of the program with the place to report its type at.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) value: Expr,
    pub(crate) spot: Spot,
}

/// Where the scope comes from.
#[derive(Clone)]
pub(crate) enum Scope {
    Context(Box<Source>),
    Loose(Box<Loose>),
}

/// A scope that is put together.
#[derive(Clone)]
pub(crate) struct Loose {
    pub(crate) tenant: Source,
    pub(crate) env: Source,
    pub(crate) request_id: Option<Source>,
    pub(crate) trace_id: Option<Source>,
    pub(crate) actor: Option<Source>,
}

impl Scope {
    /// What the call reads to begin.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Expr> {
        let sources = match self {
            Self::Context(source) => vec![&**source],
            Self::Loose(loose) => {
                let Loose { tenant, env, request_id, trace_id, actor } = &**loose;
                let optional = [request_id, trace_id, actor].into_iter().flatten();
                [tenant, env].into_iter().chain(optional).collect()
            }
        };
        sources.into_iter().map(|source| &source.value)
    }
}

impl Source {
    fn of(value: &Expr) -> Self {
        Self { value: value.clone(), spot: Spot::of(value) }
    }

    fn of_binding(binding: &Binding) -> Self {
        let ident = &binding.ident;
        Self {
            value: syn::parse_quote!(#ident),
            spot: binding.ty.as_ref().map_or_else(|| Spot::of(ident), Spot::of),
        }
    }
}

/// Finds the scope, or reports why there is none.
pub(crate) fn find(
    args: &Args,
    defaults: Option<&Args>,
    bindings: &Bindings,
    name: &Ident,
    has_receiver: bool,
    bag: &mut Bag,
) -> Option<Scope> {
    // The actor of an `impl` block is for its methods without a context: beside one it is not asked.
    let actor = args.actor.as_ref().or_else(|| defaults?.actor.as_ref());
    if args.ctx.is_some() || args.tenant.is_some() || args.env.is_some() {
        return named(args, actor, bag);
    }
    if args.is_broken(&["ctx", "tenant", "env"]) {
        return None;
    }
    let found = match in_signature(bindings, bag) {
        Found::One(scope) => Some(scope),
        Found::Refused => return None,
        Found::Nothing => defaults.and_then(|defaults| of_the_impl(defaults, has_receiver, bag)),
    };
    match found {
        Some(Scope::Context(source)) => {
            check_actor(args, bag);
            Some(Scope::Context(source))
        }
        Some(Scope::Loose(mut loose)) => {
            if let Some(actor) = actor {
                check::expression(&actor.value, bag);
                loose.actor = Some(Source::of(&actor.value));
            }
            Some(Scope::Loose(loose))
        }
        None => {
            report_missing(bindings, defaults, name, bag);
            None
        }
    }
}

fn named(args: &Args, actor: Option<&Keyed<Expr>>, bag: &mut Bag) -> Option<Scope> {
    if let Some(ctx) = &args.ctx {
        for other in [&args.tenant, &args.env].into_iter().flatten() {
            bag.push(
                other.key.span(),
                format!("`ctx` and `{}` both name the scope", other.key),
                format!(
                    "keep `ctx`, which has the tenant and the env, or remove it and keep `{}`",
                    other.key
                ),
            );
        }
        check_actor(args, bag);
        check::expression(&ctx.value, bag);
        return Some(Scope::Context(Box::new(Source::of(&ctx.value))));
    }
    for (given, missing, ty) in [(&args.tenant, &args.env, "env"), (&args.env, &args.tenant, "tenant")] {
        if let (Some(given), None) = (given, missing) {
            let ty_name = if ty == "env" { "Env" } else { "TenantId" };
            bag.push(
                given.key.span(),
                format!("missing `{ty}`: `{}` alone does not make a scope", given.key),
                format!("add `{ty} = <expr of type {ty_name}>`"),
            );
        }
    }
    let (tenant, env) = (args.tenant.as_ref()?, args.env.as_ref()?);
    for value in [Some(tenant), Some(env), actor].into_iter().flatten() {
        check::expression(&value.value, bag);
    }
    Some(Scope::Loose(Box::new(Loose {
        tenant: Source::of(&tenant.value),
        env: Source::of(&env.value),
        request_id: None,
        trace_id: None,
        actor: actor.map(|actor| Source::of(&actor.value)),
    })))
}

fn check_actor(args: &Args, bag: &mut Bag) {
    if let Some(actor) = &args.actor {
        bag.push(
            actor.key.span(),
            "`actor` is not supported beside a request context, which has its own",
            "remove `actor`, or set the user when the context is built: `.user_id(..)`",
        );
    }
}

enum Found {
    One(Scope),
    Refused,
    Nothing,
}

fn in_signature(bindings: &Bindings, bag: &mut Bag) -> Found {
    let always = || bindings.names.iter().filter(|binding| !binding.is_conditional);
    let by_type: Vec<_> =
        always().filter(|binding| binding.ty.as_ref().is_some_and(is_request_context)).collect();
    let by_name: Vec<_> =
        always().filter(|binding| binding.ident == "ctx" || binding.ident == "context").collect();
    for candidates in [&by_type, &by_name] {
        match &**candidates {
            [] => {}
            [one] => return Found::One(Scope::Context(Box::new(Source::of_binding(one)))),
            [first, second, ..] => {
                bag.push(
                    second.ident.span(),
                    format!("two request contexts in scope: `{}` and `{}`", first.ident, second.ident),
                    format!("name the one that the call belongs to: `ctx = {}`", first.ident),
                );
                return Found::Refused;
            }
        }
        if let Some(unbound) = bindings.unbound.iter().find(|unbound| is_request_context(&unbound.ty)) {
            bag.push_at(
                &unbound.pat,
                "the request context is not bound to a name",
                format!("write `ctx: {}`", type_text(&unbound.ty)),
            );
            return Found::Refused;
        }
    }
    let named = |name: &str| always().find(|binding| binding.ident == name);
    let (Some(tenant), Some(env)) = (named("tenant_id"), named("env")) else { return Found::Nothing };
    Found::One(Scope::Loose(Box::new(Loose {
        tenant: Source::of_binding(tenant),
        env: Source::of_binding(env),
        request_id: named("request_id").map(Source::of_binding),
        trace_id: named("trace_id").map(Source::of_binding),
        actor: None,
    })))
}

/// The scope that the `impl` block names: for a method that has what the expression needs.
fn of_the_impl(defaults: &Args, has_receiver: bool, bag: &mut Bag) -> Option<Scope> {
    let given = [&defaults.ctx, &defaults.tenant, &defaults.env];
    if given.iter().all(|given| given.is_none()) {
        return None;
    }
    let needs_self = given.into_iter().flatten().any(|given| check::mentions_self(&given.value));
    if needs_self && !has_receiver {
        return None;
    }
    // What is wrong with the defaults themselves is reported once, where the block is checked.
    let mut seen = Bag::default();
    let scope = named(defaults, defaults.actor.as_ref(), &mut seen);
    if scope.is_none() && bag.is_empty() {
        bag.push_bag(seen);
    }
    scope
}

fn report_missing(bindings: &Bindings, defaults: Option<&Args>, name: &Ident, bag: &mut Bag) {
    let has = |wanted: &str| bindings.names.iter().any(|binding| binding.ident == wanted);
    let in_impl = if defaults.is_some() {
        ", or leave the method out with `#[dataset_event(skip = \"reason\")]`"
    } else {
        ""
    };
    let ways = format!(
        "`ctx: &RequestContext`, or name the context with `ctx = <expr>`, or the two with `tenant = <expr>, env = <expr>`{in_impl}"
    );
    match (has("tenant_id"), has("env")) {
        (true, false) => bag.push(
            name.span(),
            format!("no env in scope: `{name}` has a parameter `tenant_id` but neither `env` nor a request context"),
            format!("add `env: &Env` or {ways}"),
        ),
        (false, true) => bag.push(
            name.span(),
            format!("no tenant in scope: `{name}` has a parameter `env` but neither `tenant_id` nor a request context"),
            format!("add `tenant_id: &TenantId` or {ways}"),
        ),
        _ => bag.push(
            name.span(),
            format!("no tenant and no env in scope: `{name}` has neither a request context nor the parameters `tenant_id` and `env`"),
            format!("add {ways}"),
        ),
    }
}

/// Whether the last segment of the type is `RequestContext`, through references and shared pointers.
fn is_request_context(ty: &Type) -> bool {
    match strip(ty) {
        Type::Reference(reference) => is_request_context(&reference.elem),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return false };
            if matches!(last.ident.to_string().as_str(), "Arc" | "Rc" | "Box") {
                return only_type_argument(strip(ty)).is_some_and(|inner| is_request_context(&inner));
            }
            last.ident == "RequestContext"
        }
        _ => false,
    }
}

fn type_text(ty: &Type) -> String {
    crate::model::tidy(&ty.to_token_stream())
}
