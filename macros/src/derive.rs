//! `#[derive(ErrorCode)]`: a code for each variant, or for the struct.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Fields, LitBool, LitInt, LitStr, Path, Token, Type, parse::ParseStream,
};

use crate::args::help;
use crate::check::is_dotted;
use crate::errors::{Bag, suggest};
use crate::shape::{strip, type_arguments};

const ACCEPTED: [&str; 5] = ["status", "denied", "retryable", "transparent", "crate"];

/// What `#[code(..)]` says.
#[derive(Default)]
struct CodeArgs {
    name: Option<LitStr>,
    transparent: Option<Span>,
    status: Option<(Span, u16)>,
    denied: Option<(Span, bool)>,
    retryable: Option<(Span, bool)>,
    krate: Option<Path>,
}

/// Where a variant's code comes from.
enum Source {
    Literal(TokenStream),
    /// The one field, by member name and type.
    Transparent {
        member: TokenStream,
        ty: Box<Type>,
    },
}

pub(crate) fn error_code(item: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut bag = Bag::default();
    let runtime = runtime_path(&input, &mut bag);
    let body = match &input.data {
        Data::Enum(data) => of_enum(&input, data, &runtime, &mut bag),
        Data::Struct(data) => of_struct(&input, &data.fields, &runtime, &mut bag),
        Data::Union(data) => {
            bag.push(
                data.union_token.span,
                "`#[derive(ErrorCode)]` is not supported on a union",
                "derive it on an enum or a struct",
            );
            None
        }
    };
    match body {
        Some(body) if bag.is_empty() => body,
        _ => {
            // An implementation keeps the errors of its users away; its body is never run.
            let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
            let name = &input.ident;
            let errors = bag.into_compile_errors();
            quote! {
                #errors
                #[diagnostic::do_not_recommend]
                impl #impl_generics #runtime::ErrorCode for #name #ty_generics #where_clause {
                    fn code(&self) -> #runtime::Code {
                        ::core::unreachable!()
                    }
                }
            }
        }
    }
}

/// `#[code(crate = ..)]` on an enum; on a struct it stands beside the code.
fn runtime_path(input: &DeriveInput, bag: &mut Bag) -> TokenStream {
    let is_enum = matches!(input.data, Data::Enum(_));
    for attr in codes_in(&input.attrs) {
        let mut own = Bag::default();
        let args = parse(attr, &mut own);
        if is_enum {
            bag.push_bag(own);
            if let Some(name) = &args.name {
                bag.push(
                    name.span(),
                    "expected a code on each variant, not on the enum",
                    "move `#[code(..)]` to the variants",
                );
            } else if args.krate.is_none() {
                bag.push_at(
                    attr,
                    "expected a code on each variant, not on the enum",
                    "move `#[code(..)]` to the variants",
                );
            }
        }
        if let Some(krate) = args.krate {
            return quote!(#krate);
        }
    }
    quote!(::dataset_events)
}

fn codes_in(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("code"))
}

fn of_enum(
    input: &DeriveInput,
    data: &syn::DataEnum,
    runtime: &TokenStream,
    bag: &mut Bag,
) -> Option<TokenStream> {
    let mut arms = TokenStream::new();
    let mut sources = Vec::new();
    for variant in &data.variants {
        let Some(source) = source(&variant.attrs, &variant.fields, &variant.ident, runtime, bag) else {
            continue;
        };
        let name = &variant.ident;
        arms.extend(match &source {
            Source::Literal(code) => quote!(Self::#name { .. } => const { #code },),
            Source::Transparent { member, ty } => {
                let inner = Ident::new("__dataset_event_inner", ty.span().resolved_at(Span::mixed_site()));
                let call = code_of(ty, runtime, &quote!(#inner));
                quote!(Self::#name { #member: #inner } => #call,)
            }
        });
        sources.push(source);
    }
    let body = if data.variants.is_empty() { quote!(match *self {}) } else { quote!(match self { #arms }) };
    Some(implementation(input, &body, &sources, runtime))
}

fn of_struct(
    input: &DeriveInput,
    fields: &Fields,
    runtime: &TokenStream,
    bag: &mut Bag,
) -> Option<TokenStream> {
    let source = source(&input.attrs, fields, &input.ident, runtime, bag)?;
    let body = match &source {
        Source::Literal(code) => quote!(const { #code }),
        Source::Transparent { member, ty } => {
            code_of(ty, runtime, &quote_spanned!(ty.span()=> &self.#member))
        }
    };
    Some(implementation(input, &body, &[source], runtime))
}

/// The code of the inner error; a missing one is reported at its type.
fn code_of(ty: &Type, runtime: &TokenStream, inner: &TokenStream) -> TokenStream {
    let span = ty.span();
    let path = quote_spanned!(span=> ::ErrorCode::code);
    let runtime: TokenStream = runtime
        .clone()
        .into_iter()
        .map(|mut tree| {
            tree.set_span(span.resolved_at(tree.span()));
            tree
        })
        .collect();
    let mut arguments = proc_macro2::Group::new(proc_macro2::Delimiter::Parenthesis, inner.clone());
    arguments.set_span(span);
    quote!(#runtime #path #arguments)
}

fn implementation(
    input: &DeriveInput,
    body: &TokenStream,
    sources: &[Source],
    runtime: &TokenStream,
) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    let parameters: Vec<String> =
        generics.type_params().map(|parameter| parameter.ident.to_string()).collect();
    let mut literals = Vec::new();
    let mut listed = Vec::new();
    for source in sources {
        match source {
            Source::Literal(code) => literals.push(code),
            Source::Transparent { ty, .. } => {
                if mentions_any(ty, &parameters) {
                    generics.make_where_clause().predicates.push(syn::parse_quote!(#ty: #runtime::ErrorCode));
                }
                listed.push(without_pointers(ty));
            }
        }
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let codes = if listed.is_empty() {
        quote!(const { &[#(#literals),*] })
    } else {
        // Built once for each type that the parameters make of this one.
        quote! {
            #runtime::__private::joined_codes::<Self>(
                const { &[#(#literals),*] },
                &[#({
                    #[allow(unused_imports)]
                    use #runtime::__private::NoCodes as _;
                    #runtime::__private::Codes::<::core::result::Result<(), #listed>>(::core::marker::PhantomData).dataset_event_codes()
                }),*],
            )
        }
    };
    quote! {
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        #[allow(deprecated)]
        impl #impl_generics #runtime::ErrorCode for #name #ty_generics #where_clause {
            fn code(&self) -> #runtime::Code {
                #body
            }

            fn codes() -> &'static [#runtime::Code] {
                #codes
            }
        }
    }
}

fn mentions_any(ty: &Type, names: &[String]) -> bool {
    fn find(tokens: TokenStream, names: &[String]) -> bool {
        tokens.into_iter().any(|tree| match tree {
            proc_macro2::TokenTree::Ident(ident) => names.contains(&ident.to_string()),
            proc_macro2::TokenTree::Group(group) => find(group.stream(), names),
            _ => false,
        })
    }
    find(quote!(#ty), names)
}

/// `T` of `Box<T>`, `Arc<T>`, `&T`: the pointer's own implementation cannot list codes of an unsized `T`.
fn without_pointers(ty: &Type) -> Type {
    match strip(ty) {
        Type::Reference(reference) => without_pointers(&reference.elem),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return ty.clone() };
            match &*type_arguments(&last.arguments) {
                [inner] if matches!(last.ident.to_string().as_str(), "Box" | "Arc" | "Rc") => match inner {
                    Type::TraitObject(_) => ty.clone(),
                    _ => without_pointers(inner),
                },
                _ => ty.clone(),
            }
        }
        _ => ty.clone(),
    }
}

fn source(
    attrs: &[Attribute],
    fields: &Fields,
    owner: &Ident,
    runtime: &TokenStream,
    bag: &mut Bag,
) -> Option<Source> {
    let mut given = codes_in(attrs);
    let Some(attr) = given.next() else {
        bag.push(
            owner.span(),
            format!("missing code: `{owner}` has no `#[code(..)]`"),
            "add `#[code(\"engine.reason\")]`, or `#[code(transparent)]` for a wrapper",
        );
        return None;
    };
    if let Some(second) = given.next() {
        bag.push_at(second, format!("duplicate `#[code(..)]` on `{owner}`"), "keep one");
    }
    let mut found = Bag::default();
    let args = parse(attr, &mut found);
    let is_malformed = !found.is_empty();
    bag.push_bag(found);
    if is_malformed {
        return None;
    }
    match (&args.name, args.transparent) {
        (Some(name), None) => literal(name, &args, runtime, bag),
        (None, Some(span)) => transparent(span, &args, fields, owner, bag),
        (Some(name), Some(_)) => {
            bag.push(
                name.span(),
                "a code and `transparent` contradict each other",
                "keep the code, or keep `transparent` to take the code of the inner error",
            );
            None
        }
        (None, None) => {
            bag.push_at(
                attr,
                format!("missing code: `#[code(..)]` of `{owner}` names none"),
                "write `#[code(\"engine.reason\")]`, or `#[code(transparent)]` for a wrapper",
            );
            None
        }
    }
}

fn literal(name: &LitStr, args: &CodeArgs, runtime: &TokenStream, bag: &mut Bag) -> Option<Source> {
    let text = name.value();
    if !is_dotted(&text, 2) {
        bag.push(
            name.span(),
            format!("malformed error code `{text}`"),
            "write `engine.reason`: at most 64 bytes of `[a-z][a-z0-9_]*` parts, joined by `.`",
        );
        return None;
    }
    let mut code = quote!(#runtime::Code::new(#text));
    if let Some((_, status)) = args.status {
        code.extend(quote!(.status(#status)));
    }
    if let Some((_, denied)) = args.denied {
        code.extend(quote!(.denied(#denied)));
    }
    if let Some((_, retryable)) = args.retryable {
        code.extend(quote!(.retryable(#retryable)));
    }
    Some(Source::Literal(code))
}

fn transparent(span: Span, args: &CodeArgs, fields: &Fields, owner: &Ident, bag: &mut Bag) -> Option<Source> {
    let others = [
        ("status", args.status.map(|(span, _)| span)),
        ("denied", args.denied.map(|(span, _)| span)),
        ("retryable", args.retryable.map(|(span, _)| span)),
    ];
    for (name, other) in others {
        if let Some(other) = other {
            bag.push(
                other,
                format!(
                    "`{name}` is not supported beside `transparent`, which takes it from the inner error"
                ),
                format!("remove `{name}`"),
            );
        }
    }
    let mut members = fields.iter().enumerate();
    let (Some((at, field)), None) = (members.next(), members.next()) else {
        bag.push(
            span,
            format!("`transparent` needs exactly one field: `{owner}` has {}", fields.len()),
            "keep one field, the inner error, or write a code of its own: `#[code(\"engine.reason\")]`",
        );
        return None;
    };
    let member = match &field.ident {
        Some(ident) => quote!(#ident),
        None => {
            let index = syn::Index::from(at);
            quote!(#index)
        }
    };
    Some(Source::Transparent { member, ty: Box::new(field.ty.clone()) })
}

fn parse(attr: &Attribute, bag: &mut Bag) -> CodeArgs {
    let mut args = CodeArgs::default();
    let is_list = matches!(attr.meta, syn::Meta::List(_));
    if !is_list {
        bag.push_at(attr, "expected a code in `#[code(..)]`", "write `#[code(\"engine.reason\")]`");
        return args;
    }
    let parsed = attr.parse_args_with(|input: ParseStream<'_>| {
        while !input.is_empty() {
            parse_one(&mut args, input)?;
            if !input.is_empty() {
                let span = input.span();
                input.parse::<Token![,]>().map_err(|_| {
                    help(
                        span,
                        "expected `,` between the arguments of `code`",
                        "write `#[code(\"engine.reason\", status = 404)]`",
                    )
                })?;
            }
        }
        Ok(())
    });
    if let Err(error) = parsed {
        bag.push_error(error);
    }
    args
}

fn parse_one(args: &mut CodeArgs, input: ParseStream<'_>) -> syn::Result<()> {
    if input.peek(LitStr) {
        let name: LitStr = input.parse()?;
        if args.name.is_some() {
            return Err(help(name.span(), "duplicate code", "keep one code"));
        }
        args.name = Some(name);
        return Ok(());
    }
    let span = input.span();
    let key = input.call(Ident::parse_any).map_err(|_| {
        help(
            span,
            "expected a code in quotes, or an argument",
            "write `#[code(\"engine.reason\", status = 404)]`",
        )
    })?;
    let name = key.to_string();
    let is_set = match &*name {
        "transparent" => args.transparent.replace(key.span()).is_some(),
        "status" => args.status.replace((key.span(), status(&key, input)?)).is_some(),
        "denied" => args.denied.replace((key.span(), flag(&key, input)?)).is_some(),
        "retryable" => args.retryable.replace((key.span(), flag(&key, input)?)).is_some(),
        "crate" => {
            input.parse::<Token![=]>().map_err(|_| {
                help(key.span(), "expected a value for `crate`", "write `crate = ::my_reexport`")
            })?;
            args.krate.replace(crate::args::absolute(input)?).is_some()
        }
        given => {
            return Err(help(key.span(), &format!("unknown argument `{given}`"), &suggest(given, &ACCEPTED)));
        }
    };
    if is_set {
        return Err(help(
            key.span(),
            &format!("duplicate argument `{name}`"),
            &format!("keep one `{name}`, remove the other"),
        ));
    }
    Ok(())
}

fn status(key: &Ident, input: ParseStream<'_>) -> syn::Result<u16> {
    let way = "write an HTTP status from 400 to 599: `status = 404`";
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Err(help(key.span(), "expected a value for `status`", way));
    }
    let span = input.span();
    let value: LitInt = input.parse().map_err(|_| help(span, "expected a number for `status`", way))?;
    match value.base10_parse::<u16>() {
        Ok(status) if (400..=599).contains(&status) => Ok(status),
        _ => Err(help(value.span(), &format!("the status {value} is out of range"), way)),
    }
}

fn flag(key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Ok(true);
    }
    let span = input.span();
    let value: LitBool = input.parse().map_err(|_| {
        help(
            span,
            &format!("expected `true` or `false` for `{key}`"),
            &format!("write `{key}` alone for true"),
        )
    })?;
    Ok(value.value)
}
