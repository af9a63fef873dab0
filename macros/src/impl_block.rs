//! The attribute on an `impl` block: every method that others can call is a surface, or says why not.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::ToTokens as _;
use syn::{Attribute, Meta, Visibility};

use crate::args::Args;
use crate::check;
use crate::errors::Bag;
use crate::expand;
use crate::item::{Function, ImplBlock, Member};
use crate::model::{Codes, Model, Outer, Site, private_path};

pub(crate) fn expand(block: ImplBlock, args: &Args, mut bag: Bag) -> TokenStream {
    check::impl_args(args, &mut bag);
    let engine = args.engine.as_ref().map(|engine| engine.value.value());
    let outer = Outer { defaults: args, engine: engine.as_deref(), generics: Some(&block.parsed.generics) };
    let is_trait_impl = block.parsed.trait_.is_some();
    let mut members = TokenStream::new();
    let mut recorded = 0;
    for attr in &block.inner_attrs {
        attr.to_tokens(&mut members);
    }
    for member in block.members {
        match member {
            Member::Other(tokens) => members.extend(tokens),
            Member::Macro(tokens) => {
                bag.push_at(
                    &tokens,
                    "a macro call is not supported in an annotated `impl` block: its methods cannot be seen",
                    "move it to an `impl` block of its own, or write the methods out",
                );
                members.extend(tokens);
            }
            Member::Function(function) => {
                let (tokens, is_recorded) = method(*function, &outer, is_trait_impl, &mut bag);
                members.extend(tokens);
                recorded += usize::from(is_recorded);
            }
        }
    }
    if recorded == 0 && bag.is_empty() {
        bag.push(
            block.parsed.impl_token.span,
            "nothing in this `impl` block is recorded: it has no method that others can call",
            "remove the attribute, make a method `pub`, or annotate a private one with `#[dataset_event]`",
        );
    }
    let mut tokens = bag.into_compile_errors();
    tokens.extend(block.head);
    let mut group = Group::new(Delimiter::Brace, members);
    group.set_span(block.brace_span);
    tokens.extend([proc_macro2::TokenTree::Group(group)]);
    tokens
}

/// The method as it is emitted, and whether it stands in the registry.
fn method(
    mut function: Function,
    outer: &Outer<'_>,
    is_trait_impl: bool,
    bag: &mut Bag,
) -> (TokenStream, bool) {
    refuse_conditional(&mut function, bag);
    let own_attrs = function.take_own_attributes();
    let is_public = is_trait_impl || !matches!(function.vis, Visibility::Inherited);
    if own_attrs.is_empty() && !is_public {
        return (function.into_token_stream(), false);
    }
    let mut found = Bag::default();
    if let [_, second, ..] = &*own_attrs {
        found.push_at(
            second,
            format!("`{}` is annotated twice", function.sig.ident),
            "put all arguments into one `#[dataset_event(..)]`",
        );
    }
    let own = match own_attrs.first() {
        Some(attr) => own_args(attr, &mut found),
        None => Args::default(),
    };
    let original = function.clone();
    let tokens = if own.skip.is_some() {
        skipped(function, &own, outer, &mut found)
    } else {
        Model::build(function, &own, Some(outer), &mut found).map(|model| expand::function(&model))
    };
    let tokens = tokens.unwrap_or_else(|| original.as_it_was());
    bag.push_bag(found);
    (tokens, true)
}

fn own_args(attr: &Attribute, bag: &mut Bag) -> Args {
    match &attr.meta {
        Meta::Path(_) => Args::default(),
        Meta::List(list) => Args::parse(list.tokens.clone(), bag),
        Meta::NameValue(value) => {
            bag.push_at(value, "expected a list of arguments", "write `#[dataset_event(skip = \"reason\")]`");
            Args::default()
        }
    }
}

fn skipped(function: Function, own: &Args, outer: &Outer<'_>, bag: &mut Bag) -> Option<TokenStream> {
    let skip = own.skip.as_ref()?;
    let reason = skip.value.value();
    if reason.trim().is_empty() {
        bag.push(
            skip.value.span(),
            "the reason of `skip` is empty",
            "say why the method records nothing: `skip = \"no data of a tenant\"`",
        );
    }
    let others = [
        own.access.as_ref().map(|given| &given.key),
        own.ctx.as_ref().map(|given| &given.key),
        own.tenant.as_ref().map(|given| &given.key),
        own.env.as_ref().map(|given| &given.key),
        own.actor.as_ref().map(|given| &given.key),
        own.input.as_ref().map(|given| &given.key),
        own.output.as_ref().map(|given| &given.key),
        own.source_refs.as_ref().map(|given| &given.key),
        own.error_code.as_ref().map(|given| &given.key),
        own.error_message.as_ref().map(|given| &given.key),
        own.fails.as_ref().map(|given| &given.key),
        own.cannot_fail.as_ref().map(|given| &given.key),
        own.guarantee.as_ref().map(|given| &given.key),
        own.ends.as_ref().map(|given| &given.key),
        own.engine.as_ref().map(|given| &given.key),
    ];
    for key in others.into_iter().flatten() {
        bag.push(
            key.span(),
            format!("`skip` and `{key}` contradict each other: a skipped method records nothing"),
            format!("keep `skip`, or remove it and keep `{key}`"),
        );
    }
    let surface = own.surface.as_ref().map(|given| given.value.value()).or_else(|| {
        let name = function.sig.ident.to_string();
        Some(format!("{}.{}", outer.engine?, name.trim_start_matches("r#")))
    });
    if !bag.is_empty() {
        return None;
    }
    let entry = Site {
        surface: surface?,
        access: "Write",
        guarantee: "Recorded",
        function: function.sig.ident.clone(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        source_refs: Vec::new(),
        codes: Codes::None,
        skip: Some(reason),
        cannot_fail: None,
    };
    let args = own.clone().or_defaults(outer.defaults);
    Some(expand::skipped(function, &entry, &private_path(&args)))
}

/// A `cfg_attr` on a method is not expanded yet when the block is.
fn refuse_conditional(function: &mut Function, bag: &mut Bag) {
    function.attrs.retain(|attr| {
        let is_ours = attr.path().is_ident("cfg_attr")
            && matches!(&attr.meta, Meta::List(list) if mentions_us(list.tokens.clone()));
        if is_ours {
            bag.push_at(
                attr,
                "`dataset_event` under `cfg_attr` is not supported in an annotated `impl` block",
                "write two methods under `#[cfg(..)]`, or move this one to an `impl` block of its own",
            );
        }
        !is_ours
    });
}

fn mentions_us(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|tree| match tree {
        proc_macro2::TokenTree::Ident(ident) => ident == "dataset_event",
        proc_macro2::TokenTree::Group(group) => mentions_us(group.stream()),
        _ => false,
    })
}
