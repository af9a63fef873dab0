//! The rules. Each reports what it finds; none builds tokens.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::Visit;
use syn::{Expr, Ident, LitStr, Type, TypeParamBound};

use crate::args::{Args, Capture, Form, Keyed};
use crate::bindings::Bindings;
use crate::errors::{Bag, suggest};
use crate::item::Function;
use crate::shape::{Shape, returned, strip};

pub(crate) const ACCESSES: [(&str, &str); 6] = [
    ("read", "Read"),
    ("write", "Write"),
    ("create", "Create"),
    ("update", "Update"),
    ("delete", "Delete"),
    ("execute", "Execute"),
];

pub(crate) const GUARANTEES: [(&str, &str); 3] =
    [("recorded", "Recorded"), ("intent", "Intent"), ("durable", "Durable")];

/// The rules about the item itself.
pub(crate) fn function(function: &Function, bag: &mut Bag) {
    if let Some(constness) = &function.sig.constness {
        bag.push(
            constness.span,
            "`#[dataset_event]` is not supported on a `const fn`",
            "remove `const`, or record at the caller: a call at compile time has no ledger",
        );
    }
    if let Some(variadic) = &function.sig.variadic {
        bag.push(
            variadic.dots.spans[0],
            "`#[dataset_event]` is not supported on a variadic function",
            "annotate the function that it wraps",
        );
    }
    for attr in &function.attrs {
        if attr.path().is_ident("track_caller") {
            bag.push_at(
                attr,
                "`#[track_caller]` is not supported together with `#[dataset_event]`",
                "remove `#[track_caller]`: inside the recorded body the caller's line is lost",
            );
        }
    }
    if function.body.is_none() {
        bag.push(
            function.sig.ident.span(),
            "`#[dataset_event]` is not supported on a method without a body",
            "annotate the implementations, or give the method a default body",
        );
    }
    if let Some(body) = &function.body
        && mentions_generated(&body.tokens)
    {
        bag.push(
            function.sig.ident.span(),
            format!("`{}` is annotated twice", function.sig.ident),
            "keep one `#[dataset_event]`; an annotated `impl` block already covers its methods",
        );
    }
}

fn mentions_generated(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => {
            let text = ident.to_string();
            text.starts_with("__dataset_event_") || text.starts_with("__DATASET_EVENT_")
        }
        TokenTree::Group(group) => mentions_generated(&group.stream()),
        _ => false,
    })
}

/// Arguments that belong to an `impl` block or to its methods.
pub(crate) fn places(args: &Args, is_method: bool, bag: &mut Bag) {
    if let Some(engine) = &args.engine {
        bag.push(
            engine.key.span(),
            "`engine` is not supported on a function",
            "write `surface = \"engine.action\"`; `engine` names the surfaces of a whole `impl` block",
        );
    }
    if let Some(skip) = &args.skip
        && !is_method
    {
        bag.push(
            skip.key.span(),
            "`skip` is not supported outside an annotated `impl` block",
            "remove the attribute, or annotate the block: `#[dataset_event(engine = \"chat\")]`",
        );
    }
}

/// The arguments of an `impl` block.
pub(crate) fn impl_args(args: &Args, bag: &mut Bag) {
    let per_method: [(&str, Option<&Ident>); 7] = [
        ("surface", args.surface.as_ref().map(|given| &given.key)),
        ("input", args.input.as_ref().map(|given| &given.key)),
        ("output", args.output.as_ref().map(|given| &given.key)),
        ("source_refs", args.source_refs.as_ref().map(|given| &given.key)),
        ("fails", args.fails.as_ref().map(|given| &given.key)),
        ("cannot_fail", args.cannot_fail.as_ref().map(|given| &given.key)),
        ("skip", args.skip.as_ref().map(|given| &given.key)),
    ];
    for (name, key) in per_method {
        let Some(key) = key else { continue };
        let way = if name == "surface" {
            "write `engine = \"chat\"`: each method becomes the surface `chat.<method>`".to_owned()
        } else {
            let form = if matches!(name, "fails" | "cannot_fail" | "skip") { " = .." } else { "(..)" };
            format!("write it on the method: `#[dataset_event({name}{form})]`")
        };
        bag.push(key.span(), format!("`{name}` is not supported on an `impl` block"), way);
    }
    if let Some(ends) = &args.ends {
        bag.push(
            ends.key.span(),
            "`ends` is not supported on an `impl` block",
            "write it on the method: `#[dataset_event(ends = \"return\")]`",
        );
    }
    for value in [&args.ctx, &args.tenant, &args.env, &args.actor, &args.error_code].into_iter().flatten() {
        expression(&value.value, bag);
    }
    error_code(args, bag);
    match &args.engine {
        None if args.surface.is_none() && !args.is_broken(&["engine"]) => bag.push(
            Span::call_site(),
            "missing `engine` on an `impl` block",
            "write `#[dataset_event(engine = \"chat\")]`: each method becomes the surface `chat.<method>`",
        ),
        None => {}
        Some(engine) => {
            let text = engine.value.value();
            if !is_dotted(&text, 1) {
                bag.push(
                    engine.value.span(),
                    format!("malformed engine `{text}`"),
                    "write `[a-z][a-z0-9_]*` parts joined by `.`, like `chat` or `media.image`",
                );
            }
        }
    }
}

/// Whether `name` is at least `parts` parts of `[a-z][a-z0-9_]*`, joined by dots, of at most 64 bytes.
pub(crate) fn is_dotted(name: &str, parts: usize) -> bool {
    let mut count = 0;
    for part in name.split('.') {
        count += 1;
        let starts = part.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts
            || !part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            return false;
        }
    }
    count >= parts && name.len() <= 64
}

/// The surface as given, or as made from the engine (of the `impl` block around it) and the method.
pub(crate) fn surface(
    args: &Args,
    outer: Option<Option<&str>>,
    name: &Ident,
    bag: &mut Bag,
) -> Option<String> {
    if let Some(given) = &args.surface {
        let text = given.value.value();
        if is_dotted(&text, 2) {
            return Some(text);
        }
        let (message, way) = if text.len() > 64 {
            (format!("the surface is {} bytes long", text.len()), "use at most 64 bytes".to_owned())
        } else {
            let fixed = corrected(&text);
            let way = if is_dotted(&fixed, 2) {
                format!("write `surface = \"{fixed}\"`")
            } else if is_dotted(&fixed, 1) {
                format!("name the engine and the action: `surface = \"{fixed}.{name}\"`")
            } else {
                "write `surface = \"engine.action\"`".to_owned()
            };
            (
                format!("malformed surface `{text}`"),
                format!("{way}: parts of `[a-z][a-z0-9_]*`, joined by `.`"),
            )
        };
        bag.push(given.value.span(), message, way);
        return None;
    }
    let action = name.to_string();
    let action = action.trim_start_matches("r#");
    if args.is_broken(&["surface", "engine"]) {
        return None;
    }
    let Some(engine) = outer else {
        bag.push(
            name.span(),
            format!("missing `surface`: `{name}` has no name in the ledger"),
            format!("write `#[dataset_event(surface = \"engine.{action}\")]`"),
        );
        return None;
    };
    // A block without an engine is reported at the block.
    let engine = engine?;
    let surface = format!("{engine}.{action}");
    if is_dotted(&surface, 2) {
        return Some(surface);
    }
    if is_dotted(engine, 1) {
        bag.push(
            name.span(),
            format!("the method's name does not make a surface: `{surface}`"),
            "name it: `#[dataset_event(surface = \"engine.action\")]`, at most 64 bytes of `[a-z][a-z0-9_]*` joined by `.`",
        );
    }
    None
}

/// `sendMessage` and `send-message` as `send_message`.
fn corrected(text: &str) -> String {
    let mut fixed = String::new();
    for byte in text.chars() {
        match byte {
            'A'..='Z' => {
                if !fixed.is_empty() && !fixed.ends_with(['.', '_']) {
                    fixed.push('_');
                }
                fixed.push(byte.to_ascii_lowercase());
            }
            '-' | ' ' => fixed.push('_'),
            ':' | '/' => {
                if !fixed.ends_with('.') {
                    fixed.push('.');
                }
            }
            other => fixed.push(other),
        }
    }
    fixed
}

/// One of a few words; gives the variant's name.
pub(crate) fn word<'a>(
    given: Option<&Keyed<LitStr>>,
    words: &[(&str, &'a str)],
    default: &'a str,
    bag: &mut Bag,
) -> &'a str {
    let Some(given) = given else { return default };
    let text = given.value.value();
    if let Some((_, variant)) = words.iter().find(|(word, _)| *word == text) {
        return variant;
    }
    let accepted: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    bag.push(given.value.span(), format!("unknown {} `{text}`", given.key), suggest(&text, &accepted));
    default
}

/// An attribute expression is evaluated beside the body, so it must not leave it.
pub(crate) fn expression(value: &Expr, bag: &mut Bag) {
    struct Leaving<'a>(&'a mut Bag);
    impl Leaving<'_> {
        fn refuse(&mut self, span: Span, what: &str) {
            self.0.push(
                span,
                format!("`{what}` is not supported in an attribute expression"),
                "compute the value in the body and record it there: `dataset_events::current().output(name, value)`",
            );
        }

        fn in_tokens(&mut self, tokens: TokenStream) {
            for tree in tokens {
                match tree {
                    TokenTree::Group(group) => self.in_tokens(group.stream()),
                    TokenTree::Punct(punct) if punct.as_char() == '?' => self.refuse(punct.span(), "?"),
                    TokenTree::Ident(word) => {
                        let text = word.to_string();
                        if matches!(&*text, "return" | "break" | "continue" | "await" | "yield") {
                            self.refuse(word.span(), if text == "await" { ".await" } else { &text });
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    impl<'ast> Visit<'ast> for Leaving<'_> {
        fn visit_expr_return(&mut self, node: &'ast syn::ExprReturn) {
            self.refuse(node.return_token.span, "return");
        }
        fn visit_expr_break(&mut self, node: &'ast syn::ExprBreak) {
            self.refuse(node.break_token.span, "break");
        }
        fn visit_expr_continue(&mut self, node: &'ast syn::ExprContinue) {
            self.refuse(node.continue_token.span, "continue");
        }
        fn visit_expr_yield(&mut self, node: &'ast syn::ExprYield) {
            self.refuse(node.yield_token.span, "yield");
        }
        fn visit_expr_try(&mut self, node: &'ast syn::ExprTry) {
            self.refuse(node.question_token.span, "?");
        }
        fn visit_expr_await(&mut self, node: &'ast syn::ExprAwait) {
            self.refuse(node.await_token.span, ".await");
        }
        fn visit_macro(&mut self, node: &'ast syn::Macro) {
            self.in_tokens(node.tokens.clone());
        }
        // These have a body of their own, which `return` and `?` leave.
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
        fn visit_item(&mut self, _: &'ast syn::Item) {}
    }
    Leaving(bag).visit_expr(value);
}

pub(crate) fn mentions_self(value: &Expr) -> bool {
    mentions(value, "self")
}

/// Whether an identifier occurs anywhere in an expression.
pub(crate) fn mentions(value: &Expr, name: &str) -> bool {
    first_mention(value, name).is_some()
}

/// The first occurrence of an identifier, also in the text of a macro: `format!("{name}")`.
pub(crate) fn first_mention(value: &Expr, name: &str) -> Option<Ident> {
    fn find(tokens: TokenStream, name: &str) -> Option<Ident> {
        tokens.into_iter().find_map(|tree| match tree {
            TokenTree::Ident(ident) if ident == name => Some(ident),
            TokenTree::Group(group) => find(group.stream(), name),
            _ => None,
        })
    }
    struct Inlined<'a>(&'a str, Option<Ident>);
    impl<'ast> Visit<'ast> for Inlined<'_> {
        fn visit_macro(&mut self, node: &'ast syn::Macro) {
            let literal = node.tokens.clone().into_iter().find_map(|tree| match tree {
                TokenTree::Literal(literal) if names_inline(&literal.to_string(), self.0) => Some(literal),
                _ => None,
            });
            if let Some(literal) = literal {
                self.1.get_or_insert(Ident::new(self.0, literal.span()));
            }
        }
    }
    find(quote::ToTokens::to_token_stream(value), name).or_else(|| {
        let mut inlined = Inlined(name, None);
        inlined.visit_expr(value);
        inlined.1
    })
}

/// Whether a format string has the argument `{name}` or `{name:..}`.
fn names_inline(literal: &str, name: &str) -> bool {
    literal.replace("{{", "").split('{').skip(1).any(|argument| {
        argument.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with([':', '}']))
    })
}

/// `input(..)`, `output(..)` and `source_refs(..)`.
pub(crate) fn captures(list: &Keyed<Vec<Capture>>, bindings: &Bindings, bag: &mut Bag) {
    let is_refs = list.key == "source_refs";
    let mut seen: Vec<String> = Vec::new();
    for capture in &list.value {
        // A call may read two threads: a kind may repeat, a field may not.
        let name = capture.name.unraw().to_string();
        if !is_refs && seen.contains(&name) {
            bag.push(
                capture.name.span(),
                format!("duplicate field `{}` in `{}`", capture.name, list.key),
                "give each field its own name: `name = <expr>`",
            );
        }
        seen.push(name);
        expression(&capture.value, bag);
        if is_refs {
            if capture.form != Form::Serialize {
                bag.push(
                    capture.value.span(),
                    "source refs are captured by `Display` and take no other form",
                    format!("write `{} = <expr>`", capture.name),
                );
            } else if capture.is_bare {
                bag.push(
                    capture.name.span(),
                    format!("expected `kind = id` in `source_refs`, found `{}` alone", capture.name),
                    format!("write `{} = {}`", kind_of(&capture.name), capture.name),
                );
            }
            continue;
        }
        if capture.is_bare && bindings.find(&capture.name).is_none() {
            if list.key == "output" && capture.name == "ret" {
                bag.push(
                    capture.name.span(),
                    "expected a name for `ret` in `output`",
                    "write `result = ret`, or name a part: `message_id = ret.id`",
                );
                continue;
            }
            let names = bindings.listed();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let way = if names.is_empty() {
                format!("write `{} = <expr>`", capture.name)
            } else {
                format!(
                    "{}; or write `{} = <expr>`",
                    suggest(&capture.name.to_string(), &names),
                    capture.name
                )
            };
            bag.push(
                capture.name.span(),
                format!("unknown name `{}` in `{}`: no parameter binds it", capture.name, list.key),
                way,
            );
        }
    }
}

fn kind_of(name: &Ident) -> String {
    let text = name.to_string();
    text.strip_suffix("_id").filter(|kind| !kind.is_empty()).unwrap_or("kind").to_owned()
}

/// What `output` and `fails` may name, given what the function returns.
pub(crate) fn outputs(
    args: &Args,
    function: &Function,
    bindings: &Bindings,
    shape: &Shape,
    is_deferred: bool,
    is_in_place: bool,
    bag: &mut Bag,
) {
    let ty = returned(&function.sig.output);
    if is_in_place {
        let what = match ty {
            Some(Type::Never(_)) => "a function that never returns",
            _ => "a function that returns a bare `impl Trait`",
        };
        let way = match ty {
            Some(Type::Never(_)) => "record inside the body: `dataset_events::current().output(name, value)`",
            _ => {
                "record inside the body: `dataset_events::current().output(name, value)`, or return a `Result<impl Trait, E>`"
            }
        };
        for key in [args.output.as_ref().map(|given| &given.key), args.fails.as_ref().map(|given| &given.key)]
            .into_iter()
            .flatten()
        {
            bag.push(key.span(), format!("`{key}` is not supported on {what}"), way);
        }
        return;
    }
    if let Some(fails) = &args.fails
        && shape.has_stream()
    {
        bag.push(
            fails.key.span(),
            "`fails` is not supported on a function that returns a stream",
            "let the stream's items be `Result`s: the first `Err` is the failure",
        );
    }
    let Some(output) = &args.output else { return };
    if shape.has_stream() {
        for capture in &output.value {
            if let Some(ret) = first_mention(&capture.value, "ret") {
                bag.push(
                    ret.span(),
                    "a stream has no single value that `ret` could name",
                    "record inside the stream: `dataset_events::current().output(name, value)`",
                );
            }
        }
    } else if ty.is_none_or(is_unit) {
        bag.push(
            output.key.span(),
            format!(
                "`output` is not supported on a function that returns `()`: `{}` has no value",
                function.sig.ident
            ),
            "remove `output`, or record inside the body: `dataset_events::current().output(name, value)`",
        );
    }
    if let Some(ret) = bindings.names.iter().find(|binding| binding.ident == "ret") {
        bag.push(
            ret.ident.span(),
            "a parameter called `ret` hides the returned value that `output` names",
            "rename the parameter",
        );
    }
    if !is_deferred {
        return;
    }
    for capture in &output.value {
        for binding in &bindings.names {
            let is_shared = binding.ty.as_ref().is_some_and(is_shared_reference);
            if is_shared && !binding.is_conditional {
                continue;
            }
            if let Some(name) = first_mention(&capture.value, &binding.ident.to_string()) {
                bag.push(
                    name.span(),
                    format!("`output` of an async function cannot name the parameter `{name}`, which the body takes"),
                    "capture it with `input(..)`, or name only `ret` and shared references",
                );
            }
        }
    }
}

fn is_shared_reference(ty: &Type) -> bool {
    matches!(strip(ty), Type::Reference(reference) if reference.mutability.is_none())
}

pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(strip(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// `error_code`: a literal code, or a path to a function.
pub(crate) fn error_code(args: &Args, bag: &mut Bag) {
    let Some(given) = &args.error_code else { return };
    match ungroup(&given.value) {
        Expr::Path(_) => {}
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
            let name = text.value();
            if !is_dotted(&name, 2) {
                bag.push(
                    text.span(),
                    format!("malformed error code `{name}`"),
                    "write `engine.reason`: at most 64 bytes of `[a-z][a-z0-9_]*` parts, joined by `.`",
                );
            }
        }
        other => bag.push_at(
            other,
            "expected a literal code or a path for `error_code`",
            "write `error_code = \"engine.reason\"`, or `error_code = code_of` with `fn code_of(error: &E) -> Code`",
        ),
    }
}

pub(crate) fn ungroup(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => ungroup(&group.expr),
        Expr::Paren(paren) => ungroup(&paren.expr),
        other => other,
    }
}

/// `fails`: a closure over the value, or a path.
pub(crate) fn fails(args: &Args, bag: &mut Bag) {
    let Some(given) = &args.fails else { return };
    match ungroup(&given.value) {
        Expr::Closure(closure) if closure.inputs.len() == 1 => {}
        Expr::Path(_) => {}
        other => bag.push_at(
            other,
            "expected a closure with one argument for `fails`",
            "write `fails = |ret| <expr of type Option<Code>>`",
        ),
    }
}

/// `cannot_fail`: a reason, and nothing beside it that speaks of a failure.
pub(crate) fn cannot_fail(args: &Args, own: &Args, bag: &mut Bag) {
    let Some(given) = &args.cannot_fail else { return };
    if given.value.value().trim().is_empty() {
        bag.push(
            given.value.span(),
            "the reason of `cannot_fail` is empty",
            "say why no call can fail: `cannot_fail = \"reads a constant\"`",
        );
    }
    let failures = [
        own.error_code.as_ref().map(|given| &given.key),
        own.error_message.as_ref().map(|given| &given.key),
        own.fails.as_ref().map(|given| &given.key),
    ];
    for key in failures.into_iter().flatten() {
        bag.push(
            key.span(),
            format!("`cannot_fail` and `{key}` contradict each other"),
            format!("keep `cannot_fail`, or remove it and keep `{key}`"),
        );
    }
    if let Some(guarantee) = &args.guarantee
        && guarantee.value.value() == "durable"
    {
        bag.push(
            given.key.span(),
            "`cannot_fail` and `guarantee = \"durable\"` contradict each other: the ledger may refuse the call",
            "remove `cannot_fail`, or use another guarantee",
        );
    }
}

/// Arguments that say how a failure is read, on a function that cannot fail.
pub(crate) fn fallible(args: &Args, own: &Args, function: &Function, is_in_place: bool, bag: &mut Bag) {
    let ty = returned(&function.sig.output);
    if !is_in_place && !ty.is_none_or(is_unit) {
        return;
    }
    let what = if is_in_place { "does not return a `Result`" } else { "returns `()`" };
    let keys =
        [own.error_code.as_ref().map(|given| &given.key), own.error_message.as_ref().map(|given| &given.key)];
    for key in keys.into_iter().flatten() {
        bag.push(
            key.span(),
            format!(
                "`{key}` is not supported on a function that cannot fail: `{}` {what}",
                function.sig.ident
            ),
            format!("remove `{key}`, or return a `Result`"),
        );
    }
    if !is_in_place && let Some(fails) = &args.fails {
        bag.push(
            fails.key.span(),
            format!(
                "`fails` is not supported on a function that returns `()`: `{}` has no value",
                function.sig.ident
            ),
            "remove `fails`, or return a value",
        );
    }
}

/// The rules of `durable` that the syntax shows.
pub(crate) fn durable(
    guarantee: &Keyed<LitStr>,
    function: &Function,
    shape: &Shape,
    is_awaited: bool,
    is_in_place: bool,
    bag: &mut Bag,
) {
    let name = &function.sig.ident;
    let span = guarantee.value.span();
    if shape.has_stream() {
        bag.push(
            span,
            format!("`durable` is not supported on a function that returns a stream: `{name}`"),
            "use `guarantee = \"intent\"`, or make the step that must be durable a function of its own",
        );
    } else if !is_awaited && *shape != Shape::Value {
        bag.push(
            span,
            format!("`durable` is not supported on a function that builds the future it returns: `{name}`"),
            "write an `async fn`, or let the body be exactly `Box::pin(async move { .. })`",
        );
    } else if is_in_place || returned(&function.sig.output).is_none_or(is_unit) {
        bag.push(
            span,
            format!("`durable` needs a function that returns a `Result`: `{name}` cannot say that the call was refused"),
            "return `Result<_, E>` where `E: From<LedgerUnavailable>`, or use `guarantee = \"intent\"`",
        );
    }
}

/// Bounds on a returned future or stream that the recorded one does not have.
pub(crate) fn opaque_bounds(ty: &Type, allows_hidden: bool, bag: &mut Bag) {
    let Type::ImplTrait(opaque) = strip(ty) else { return };
    let names: Vec<(String, &TypeParamBound)> = opaque
        .bounds
        .iter()
        .filter_map(|bound| match bound {
            TypeParamBound::Trait(path) => {
                path.path.segments.last().map(|last| (last.ident.to_string(), bound))
            }
            _ => None,
        })
        .collect();
    let is_deferred =
        names.iter().any(|(name, _)| matches!(&**name, "Future" | "TryFuture" | "Stream" | "TryStream"));
    for (name, bound) in &names {
        let accepted = matches!(
            &**name,
            "Future"
                | "TryFuture"
                | "Stream"
                | "TryStream"
                | "Send"
                | "Sync"
                | "Unpin"
                | "UnwindSafe"
                | "RefUnwindSafe"
        );
        if is_deferred && !accepted {
            bag.push_at(
                bound,
                format!("the recorded future or stream does not implement `{name}`"),
                format!("remove `{name}` from the returned type; auto traits and lifetimes are kept"),
            );
        } else if !is_deferred && !allows_hidden && (name.ends_with("Future") || name.ends_with("Stream")) {
            bag.push_at(
                bound,
                format!("`impl {name}` looks like a future or a stream that the ledger cannot follow"),
                "write `impl Future<Output = ..>` or `impl Stream<Item = ..>`, or end the call when the function returns: `ends = \"return\"`",
            );
        }
    }
}
