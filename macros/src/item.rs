//! The annotated item: signatures as syn types, bodies as raw tokens.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Attribute, ItemImpl, Signature, Token, Visibility};

/// What an attribute can stand on.
pub(crate) enum Item {
    Function(Box<Function>),
    Impl(Box<ImplBlock>),
}

/// A function or method.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// `None` for a declaration that ends in `;`.
    pub(crate) body: Option<Body>,
}

/// The body of a function. Its inner attributes stand with the function's.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) tokens: TokenStream,
    pub(crate) span: Span,
}

/// An `impl` block.
pub(crate) struct ImplBlock {
    /// Everything before the braces, as written.
    pub(crate) head: TokenStream,
    /// The same, parsed; without items.
    pub(crate) parsed: ItemImpl,
    pub(crate) brace_span: Span,
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) members: Vec<Member>,
}

pub(crate) enum Member {
    Function(Box<Function>),
    /// A macro call, with its path.
    Macro(TokenStream),
    Other(TokenStream),
}

/// Why an item is not one of those.
pub(crate) enum Refused {
    /// It is of another kind.
    Kind { what: &'static str, span: Span },
    /// It does not parse; the compiler will say so better.
    Syntax(syn::Error),
}

impl Item {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self, Refused> {
        match Function::parse.parse2(tokens.clone()) {
            Ok(function) => return Ok(Self::Function(Box::new(function))),
            Err(error) => {
                let kind = kind_of.parse2(tokens.clone()).unwrap_or(("", Span::call_site()));
                match kind.0 {
                    "impl" => {}
                    "fn" | "" => return Err(Refused::Syntax(error)),
                    what => return Err(Refused::Kind { what, span: kind.1 }),
                }
            }
        }
        ImplBlock::parse(tokens).map(|block| Self::Impl(Box::new(block))).map_err(Refused::Syntax)
    }
}

/// The keyword that says what the item is.
fn kind_of(input: ParseStream<'_>) -> syn::Result<(&'static str, Span)> {
    input.call(Attribute::parse_outer)?;
    input.parse::<Visibility>()?;
    let mut found = ("", Span::call_site());
    while !input.is_empty() {
        let tree: TokenTree = input.parse()?;
        let TokenTree::Ident(word) = &tree else { continue };
        let what = match word.to_string().as_str() {
            "fn" => "fn",
            "impl" => "impl",
            "struct" => "a struct",
            "enum" => "an enum",
            "union" => "a union",
            "trait" => "a trait",
            "mod" => "a module",
            "static" => "a static",
            "type" => "a type alias",
            "use" => "an import",
            "macro_rules" => "a macro",
            "let" => "a statement",
            "const" if found.0.is_empty() => {
                found = ("a constant", word.span());
                continue;
            }
            "extern" | "unsafe" | "async" | "auto" | "default" | "safe" => continue,
            _ if found.0.is_empty() => continue,
            _ => break,
        };
        found = (what, word.span());
        break;
    }
    let rest: TokenStream = input.parse()?;
    drop(rest);
    Ok(found)
}

impl Function {
    pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let defaultness =
            if input.peek(Token![default]) && !input.peek2(Token![!]) { Some(input.parse()?) } else { None };
        let sig: Signature = input.parse()?;
        let mut function = Self { attrs, vis, defaultness, sig, body: None };
        if input.parse::<Option<Token![;]>>()?.is_some() {
            return Ok(function);
        }
        let tree: TokenTree = input.parse()?;
        let span = tree.span();
        let Some(group) = braces(tree) else {
            return Err(syn::Error::new(span, "expected the body of the function"));
        };
        let (inner, tokens) = split_inner_attributes.parse2(group.stream())?;
        // Written as outer ones, so that they also cover what is generated.
        function.attrs.extend(inner.into_iter().map(|mut attr| {
            attr.style = syn::AttrStyle::Outer;
            attr
        }));
        function.body = Some(Body { tokens, span: group.span() });
        Ok(function)
    }

    /// What is emitted beside errors: without warnings that would only follow from them.
    pub(crate) fn as_it_was(&self) -> TokenStream {
        let mut function = self.clone();
        function.attrs.push(syn::parse_quote!(#[allow(unused_variables, unused_mut, dead_code)]));
        function.into_token_stream()
    }

    /// The attributes `#[dataset_event(..)]` of a method, taken out.
    pub(crate) fn take_own_attributes(&mut self) -> Vec<Attribute> {
        let (own, others) = std::mem::take(&mut self.attrs).into_iter().partition(is_ours);
        self.attrs = others;
        own
    }
}

fn is_ours(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|segment| segment.ident == "dataset_event")
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.defaultness.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        match &self.body {
            Some(body) => {
                let mut group = Group::new(Delimiter::Brace, body.tokens.clone());
                group.set_span(body.span);
                group.to_tokens(tokens);
            }
            None => <Token![;]>::default().to_tokens(tokens),
        }
    }
}

/// The braces of a body, also of one that `macro_rules` passed on as `$body:block`.
fn braces(tree: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = tree else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => {
            let mut inner = group.stream().into_iter();
            let only = inner.next()?;
            if inner.next().is_some() { None } else { braces(only) }
        }
        _ => None,
    }
}

fn split_inner_attributes(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, TokenStream)> {
    Ok((input.call(Attribute::parse_inner)?, input.parse()?))
}

impl ImplBlock {
    fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let mut head: Vec<TokenTree> = tokens.into_iter().collect();
        let body = match head.pop() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => group,
            Some(other) => return Err(syn::Error::new(other.span(), "expected the body of the impl block")),
            None => return Err(syn::Error::new(Span::call_site(), "expected an impl block")),
        };
        let head: TokenStream = head.into_iter().collect();
        let mut alone = head.clone();
        alone.extend([TokenTree::Group(Group::new(Delimiter::Brace, TokenStream::new()))]);
        let parsed = syn::parse2(alone)?;
        let (inner_attrs, members) = members.parse2(body.stream())?;
        Ok(Self { head, parsed, brace_span: body.span(), inner_attrs, members })
    }
}

fn members(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, Vec<Member>)> {
    let inner = input.call(Attribute::parse_inner)?;
    let mut members = Vec::new();
    while !input.is_empty() {
        if Function::parse(&input.fork()).is_ok() {
            members.push(Member::Function(Box::new(Function::parse(input)?)));
            continue;
        }
        let item: syn::ImplItem = input.parse()?;
        members.push(match &item {
            syn::ImplItem::Macro(_) => Member::Macro(item.to_token_stream()),
            _ => Member::Other(item.to_token_stream()),
        });
    }
    Ok((inner, members))
}

/// Lets [`Function::parse`] be used where a `Parse` type is asked for.
impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Self::parse(input)
    }
}
