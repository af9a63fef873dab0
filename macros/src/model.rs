//! Arguments and item -> [`Model`]: everything that `expand` needs, nothing that it must look up again.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{Expr, Ident, PathArguments, Type};

use crate::args::{Args, Capture, Form};
use crate::bindings::Bindings;
use crate::borrowed;
use crate::check;
use crate::errors::{Bag, Spot};
use crate::item::Function;
use crate::scope::{self, Scope};
use crate::shape::{Shape, exact_async_block, returned, shape_of, type_arguments};

/// Everything about one annotated function.
pub(crate) struct Model {
    pub(crate) function: Function,
    /// The path of the runtime's hidden module.
    pub(crate) private: TokenStream,
    pub(crate) site: Site,
    pub(crate) scope: Scope,
    pub(crate) inputs: Vec<Capture>,
    pub(crate) outputs: Vec<Capture>,
    pub(crate) source_refs: Vec<Capture>,
    pub(crate) how: How,
    /// What the value is that the body gives, behind what `how` already awaits.
    pub(crate) shape: Shape,
    /// The type of that value, as far as the signature says it.
    pub(crate) value_ty: Option<Type>,
    /// Where a type error about the returned value is shown.
    pub(crate) return_spot: Spot,
    pub(crate) code: CodeSource,
    /// Where `error_message` was asked for.
    pub(crate) message: Option<Span>,
    pub(crate) fails: Option<Expr>,
    pub(crate) probe: Probe,
    pub(crate) is_durable: bool,
}

/// What the registry holds of a function.
pub(crate) struct Site {
    pub(crate) surface: String,
    /// The variants' names.
    pub(crate) access: &'static str,
    pub(crate) guarantee: &'static str,
    pub(crate) function: Ident,
    pub(crate) inputs: Vec<Field>,
    pub(crate) outputs: Vec<Field>,
    pub(crate) source_refs: Vec<String>,
    pub(crate) codes: Codes,
    pub(crate) skip: Option<String>,
    pub(crate) cannot_fail: Option<String>,
}

/// A captured field, for the registry.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) form: Form,
    pub(crate) rust_type: String,
}

/// Where the registry gets the error codes from.
pub(crate) enum Codes {
    None,
    Literal(String),
    /// A type that may list them. Names that the module may not have get a stand-in, each with the number
    /// of its type arguments: a static cannot tell a type from a parameter of an `impl` block around it.
    Of {
        ty: TokenStream,
        stand_ins: Vec<(Ident, usize)>,
    },
}

/// How the body is run.
pub(crate) enum How {
    /// In a closure.
    Sync,
    /// Where it stands: its type cannot be written for a closure. `-> !` and bare `impl Trait`.
    InPlace,
    /// As the body of an async function.
    Async { is_never: bool },
    /// As the block of `Box::pin(async move { .. })` (`is_boxed`), or of `async move { .. }`.
    Exact { block: TokenStream, is_boxed: bool },
}

impl How {
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Async { .. } | Self::Exact { .. })
    }
}

/// How an error becomes a code.
pub(crate) enum CodeSource {
    Trait,
    Literal(String),
    Path(Expr),
}

/// What is asked of the returned value's type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing: `ends = "return"`, or a type that needs no question.
    None,
    /// That it is neither a future nor a stream.
    Deferred,
    /// That, and that it does not hide a `Result`.
    All,
}

/// What a method inherits from its `impl` block.
pub(crate) struct Outer<'a> {
    pub(crate) defaults: &'a Args,
    pub(crate) engine: Option<&'a str>,
    pub(crate) generics: Option<&'a syn::Generics>,
}

/// The path of the runtime's hidden module.
pub(crate) fn private_path(args: &Args) -> TokenStream {
    match &args.krate {
        Some(krate) => {
            let path = &krate.value;
            quote!(#path::__private)
        }
        None => quote!(::dataset_events::__private),
    }
}

impl Model {
    pub(crate) fn build(
        function: Function,
        own: &Args,
        outer: Option<&Outer<'_>>,
        bag: &mut Bag,
    ) -> Option<Self> {
        let args = match outer {
            Some(outer) => own.clone().or_defaults(outer.defaults),
            None => own.clone(),
        };
        check::places(&args, outer.is_some(), bag);
        check::function(&function, bag);
        let name = &function.sig.ident;
        let bindings = Bindings::of(&function.sig);
        let surface = check::surface(&args, outer.map(|outer| outer.engine), name, bag);
        let access = check::word(args.access.as_ref(), &check::ACCESSES, "Write", bag);
        let default = if access == "Read" { "Recorded" } else { "Intent" };
        let guarantee = check::word(args.guarantee.as_ref(), &check::GUARANTEES, default, bag);
        let ends_at_return = ends_at_return(&args, bag);
        for list in [&args.input, &args.output, &args.source_refs].into_iter().flatten() {
            check::captures(list, &bindings, bag);
        }
        check::error_code(own, bag);
        check::fails(&args, bag);
        check::cannot_fail(&args, own, bag);
        let scope = scope::find(
            &args,
            outer.map(|outer| outer.defaults),
            &bindings,
            name,
            function.sig.receiver().is_some(),
            bag,
        );

        let ret = returned(&function.sig.output).cloned();
        let is_durable = guarantee == "Durable";
        let captured = [&args.input, &args.source_refs].into_iter().flatten().flat_map(|list| &list.value);
        let mut read_at_entry: Vec<&Expr> = captured.map(|capture| &capture.value).collect();
        read_at_entry.extend(scope.iter().flat_map(Scope::values));
        let must_read_early = !is_durable
            && ret
                .as_ref()
                .is_some_and(|ty| borrowed::outlived(&read_at_entry, &function.sig, &bindings, ty));
        let (how, shape, value_ty) = how(&function, ret.as_ref(), ends_at_return, must_read_early);
        if let Some(ty) = &ret {
            opaque_bounds(ty, ends_at_return, bag);
        }
        let is_in_place = matches!(how, How::InPlace | How::Async { is_never: true });
        let is_deferred = how.is_awaited() || shape != Shape::Value;
        check::outputs(&args, &function, &bindings, &shape, is_deferred, is_in_place, bag);
        check::fallible(&args, own, &function, is_in_place, bag);
        if is_durable && let Some(given) = &args.guarantee {
            check::durable(given, &function, &shape, how.is_awaited(), is_in_place, bag);
        }
        if !bag.is_empty() {
            return None;
        }

        let list = |given: Option<crate::args::Keyed<Vec<Capture>>>| {
            given.map(|given| given.value).unwrap_or_default()
        };
        let inputs = list(args.input.clone());
        let outputs = list(args.output.clone());
        let source_refs = list(args.source_refs.clone());
        let code = match args.error_code.as_ref().map(|given| check::ungroup(&given.value)) {
            None => CodeSource::Trait,
            Some(Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) => {
                CodeSource::Literal(text.value())
            }
            Some(path) => CodeSource::Path(path.clone()),
        };
        let codes = match &code {
            CodeSource::Literal(code) => Codes::Literal(code.clone()),
            CodeSource::Trait => {
                let is_parameter = |ident: &Ident| {
                    let of_the_block = outer.and_then(|outer| outer.generics).into_iter();
                    of_the_block
                        .chain([&function.sig.generics])
                        .flat_map(|generics| generics.type_params())
                        .any(|parameter| parameter.ident == *ident)
                };
                value_ty.as_ref().map_or(Codes::None, |ty| codes_of(ty, is_parameter))
            }
            CodeSource::Path(_) => Codes::None,
        };
        let fields =
            |captures: &[Capture]| captures.iter().map(|capture| field(capture, &bindings)).collect();
        let site = Site {
            surface: surface?,
            access,
            guarantee,
            function: name.clone(),
            inputs: fields(&inputs),
            outputs: fields(&outputs),
            source_refs: source_refs.iter().map(|capture| unraw(&capture.name)).collect(),
            codes,
            skip: None,
            cannot_fail: args.cannot_fail.as_ref().map(|given| given.value.value()),
        };
        let probe = match &value_ty {
            None => Probe::None,
            Some(_) if ends_at_return => Probe::None,
            Some(ty) if is_plain(ty) => Probe::None,
            Some(_) if args.fails.is_some() => Probe::Deferred,
            Some(_) => Probe::All,
        };
        Some(Self {
            private: private_path(&args),
            site,
            scope: scope?,
            inputs,
            outputs,
            source_refs,
            how,
            shape,
            return_spot: ret.as_ref().map_or_else(|| Spot::of(name), Spot::of),
            value_ty,
            code,
            message: args.error_message.map(|given| given.key.span()),
            fails: args.fails.map(|fails| fails.value),
            probe,
            is_durable,
            function,
        })
    }
}

fn ends_at_return(args: &Args, bag: &mut Bag) -> bool {
    let Some(ends) = &args.ends else { return false };
    if ends.value.value() == "return" {
        return true;
    }
    bag.push(
        ends.value.span(),
        format!("unknown end `{}`", ends.value.value()),
        "accepted: `return`, which ends the call when the function returns",
    );
    false
}

/// Which skeleton runs the body, the shape behind it, and the type of that value.
///
/// With `must_read_early` the call begins when the function is called, not when its future is polled.
fn how(
    function: &Function,
    ret: Option<&Type>,
    ends_at_return: bool,
    must_read_early: bool,
) -> (How, Shape, Option<Type>) {
    if function.sig.asyncness.is_some() {
        let is_never = matches!(ret, Some(Type::Never(_)));
        let shape = match ret {
            Some(ty) if !ends_at_return => shape_of(ty),
            _ => Shape::Value,
        };
        return (How::Async { is_never }, shape, ret.cloned());
    }
    let Some(ty) = ret else { return (How::Sync, Shape::Value, None) };
    if matches!(ty, Type::Never(_)) {
        return (How::InPlace, Shape::Value, ret.cloned());
    }
    let shape = if ends_at_return { Shape::Value } else { shape_of(ty) };
    if let (Shape::Future { is_boxed, output, output_ty }, Some(body)) = (&shape, &function.body)
        && !must_read_early
        && let Some(block) = exact_async_block(&body.tokens, *is_boxed)
    {
        return (
            How::Exact { block, is_boxed: *is_boxed },
            (**output).clone(),
            output_ty.as_deref().cloned(),
        );
    }
    if shape == Shape::Value && matches!(ty, Type::ImplTrait(_)) {
        return (How::InPlace, shape, ret.cloned());
    }
    (How::Sync, shape, ret.cloned())
}

fn opaque_bounds(ty: &Type, allows_hidden: bool, bag: &mut Bag) {
    check::opaque_bounds(ty, allows_hidden, bag);
    if let Type::Path(path) = crate::shape::strip(ty)
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let Some(value) = type_arguments(&last.arguments).first()
    {
        opaque_bounds(value, allows_hidden, bag);
    }
}

/// Types that are certainly neither futures nor hidden results: asking costs build time.
fn is_plain(ty: &Type) -> bool {
    if check::is_unit(ty) {
        return true;
    }
    let Type::Path(path) = crate::shape::strip(ty) else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let arguments = type_arguments(&last.arguments);
    match last.ident.to_string().as_str() {
        "Result" => arguments.first().is_some_and(|value| is_plain(value)),
        "bool" | "char" | "String" | "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16"
        | "i32" | "i64" | "i128" | "isize" | "f32" | "f64" | "Vec" => path.qself.is_none(),
        _ => false,
    }
}

fn unraw(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

fn field(capture: &Capture, bindings: &Bindings) -> Field {
    let named = match check::ungroup(&capture.value) {
        Expr::Path(path) if path.qself.is_none() => {
            path.path.get_ident().and_then(|ident| bindings.find(ident))
        }
        _ => None,
    };
    let ty = named.and_then(|binding| binding.ty.as_ref());
    Field {
        name: unraw(&capture.name),
        form: capture.form,
        rust_type: ty.map(|ty| tidy(&ty.to_token_stream())).unwrap_or_default(),
    }
}

/// Tokens as a person would write them.
pub(crate) fn tidy(tokens: &TokenStream) -> String {
    let mut text = tokens.to_string();
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// The codes that the error type of a returned type may list. Only plain paths can be named in a static.
/// A type parameter cannot either, and the module may have another item of its name.
fn codes_of(ty: &Type, is_parameter: impl Fn(&Ident) -> bool) -> Codes {
    let Type::Path(path) = crate::shape::strip(ty) else { return Codes::None };
    let Some(last) = path.path.segments.last() else { return Codes::None };
    let (named, is_alias) = match &*type_arguments(&last.arguments) {
        [_, Type::Path(error)] if last.ident == "Result" => (error.clone(), false),
        // An alias with the error type inside: `io::Result<T>`.
        [_] if last.ident == "Result" => {
            let mut alias = path.clone();
            if let Some(last) = alias.path.segments.last_mut() {
                last.arguments = PathArguments::AngleBracketed(syn::parse_quote!(<()>));
            }
            (alias, true)
        }
        _ => return Codes::None,
    };
    if named.qself.is_some()
        || named.path.leading_colon.is_none() && named.path.segments.len() > 1 && {
            let first = named.path.segments[0].ident.to_string();
            // `Self::Error`, `T::Error`: not nameable; modules and crates are lower case.
            first.starts_with(|first: char| first.is_uppercase())
        }
    {
        return Codes::None;
    }
    let arguments_are_ours =
        is_alias && named.path.segments.iter().rev().skip(1).all(|segment| segment.arguments.is_none());
    let has_arguments = named.path.segments.iter().any(|segment| !segment.arguments.is_none());
    if has_arguments && !arguments_are_ours {
        return Codes::None;
    }
    let stand_ins = match named.path.get_ident() {
        Some(ident) if ident == "Self" || is_parameter(ident) => return Codes::None,
        Some(ident) => vec![(ident.clone(), 0)],
        None if named.path.segments.len() == 1 && named.path.leading_colon.is_none() => {
            vec![(named.path.segments[0].ident.clone(), 1)]
        }
        None => Vec::new(),
    };
    let ty = if is_alias { quote!(#named) } else { quote!(::core::result::Result<(), #named>) };
    Codes::Of { ty, stand_ins }
}
