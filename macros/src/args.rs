//! Attribute tokens -> [`Args`]. Syntax only; every value is kept with its key.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token, token};

use crate::errors::{Bag, nearest, suggest};

/// A value with the key that it was given under.
#[derive(Clone)]
pub(crate) struct Keyed<T> {
    pub(crate) key: Ident,
    pub(crate) value: T,
}

/// How a captured value is turned into JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Serialize,
    Display,
    Debug,
    Hashed,
    Masked,
}

/// One entry of `input(..)`, `output(..)` or `source_refs(..)`.
#[derive(Clone)]
pub(crate) struct Capture {
    pub(crate) name: Ident,
    pub(crate) form: Form,
    pub(crate) value: Expr,
    /// Whether the name stands alone, so that it must be a parameter.
    pub(crate) is_bare: bool,
}

/// The arguments as they were written.
#[derive(Clone, Default)]
pub(crate) struct Args {
    pub(crate) surface: Option<Keyed<LitStr>>,
    pub(crate) engine: Option<Keyed<LitStr>>,
    pub(crate) skip: Option<Keyed<LitStr>>,
    pub(crate) access: Option<Keyed<LitStr>>,
    pub(crate) ctx: Option<Keyed<Expr>>,
    pub(crate) tenant: Option<Keyed<Expr>>,
    pub(crate) env: Option<Keyed<Expr>>,
    pub(crate) actor: Option<Keyed<Expr>>,
    pub(crate) input: Option<Keyed<Vec<Capture>>>,
    pub(crate) output: Option<Keyed<Vec<Capture>>>,
    pub(crate) source_refs: Option<Keyed<Vec<Capture>>>,
    pub(crate) error_code: Option<Keyed<Expr>>,
    pub(crate) error_message: Option<Keyed<()>>,
    pub(crate) fails: Option<Keyed<Expr>>,
    pub(crate) cannot_fail: Option<Keyed<LitStr>>,
    pub(crate) guarantee: Option<Keyed<LitStr>>,
    pub(crate) ends: Option<Keyed<LitStr>>,
    pub(crate) krate: Option<Keyed<Path>>,
    /// Arguments that were given in a way that was refused: what asks for them again would only echo.
    broken: Vec<String>,
}

pub(crate) const ACCEPTED: [&str; 18] = [
    "surface",
    "access",
    "ctx",
    "tenant",
    "env",
    "actor",
    "input",
    "output",
    "source_refs",
    "error_code",
    "error_message",
    "fails",
    "cannot_fail",
    "guarantee",
    "ends",
    "crate",
    "engine",
    "skip",
];

impl Args {
    pub(crate) fn parse(tokens: TokenStream, bag: &mut Bag) -> Self {
        let mut args = Self::default();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = args.parse_one(input, bag) {
                    bag.push_error(error);
                    skip_to_comma(input)?;
                }
                if input.is_empty() {
                    break;
                }
                if !input.peek(Token![,]) {
                    bag.push(
                        input.span(),
                        "unexpected token after the value of an argument",
                        "separate arguments by `,`",
                    );
                    skip_to_comma(input)?;
                }
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(())
        };
        if let Err(error) = syn::parse::Parser::parse2(parser, tokens) {
            bag.push_error(error);
        }
        args
    }

    fn parse_one(&mut self, input: ParseStream<'_>, bag: &mut Bag) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            // Most likely the surface without its key.
            self.broken.push("surface".to_owned());
            return Err(help(
                input.span(),
                "expected the name of an argument",
                &format!("write `surface = \"engine.action\"`; {}", suggest("", &ACCEPTED)),
            ));
        }
        let key = Ident::parse_any(input)?;
        let name = key.unraw().to_string();
        let parsed = self.parse_value(key, input, bag);
        if parsed.is_err() {
            self.broken.push(nearest(&name, &ACCEPTED).map_or(name, str::to_owned));
        }
        parsed
    }

    /// Whether one of these was given, and refused.
    pub(crate) fn is_broken(&self, names: &[&str]) -> bool {
        self.broken.iter().any(|broken| names.contains(&broken.as_str()))
    }

    fn parse_value(&mut self, key: Ident, input: ParseStream<'_>, bag: &mut Bag) -> syn::Result<()> {
        match key.to_string().as_str() {
            "surface" => set(&mut self.surface, key, input, bag, text),
            "engine" => set(&mut self.engine, key, input, bag, text),
            "skip" => set(&mut self.skip, key, input, bag, text),
            "access" => set(&mut self.access, key, input, bag, text),
            "ctx" => set(&mut self.ctx, key, input, bag, expression),
            "tenant" => set(&mut self.tenant, key, input, bag, expression),
            "env" => set(&mut self.env, key, input, bag, expression),
            "actor" => set(&mut self.actor, key, input, bag, expression),
            "input" => set(&mut self.input, key, input, bag, captures),
            "output" => set(&mut self.output, key, input, bag, captures),
            "source_refs" => set(&mut self.source_refs, key, input, bag, captures),
            "error_code" => set(&mut self.error_code, key, input, bag, expression),
            "error_message" => set(&mut self.error_message, key, input, bag, flag),
            "fails" => set(&mut self.fails, key, input, bag, expression),
            "cannot_fail" => set(&mut self.cannot_fail, key, input, bag, text),
            "guarantee" => set(&mut self.guarantee, key, input, bag, text),
            "ends" => set(&mut self.ends, key, input, bag, text),
            "crate" => set(&mut self.krate, key, input, bag, absolute_path),
            given => {
                Err(help(key.span(), &format!("unknown argument `{given}`"), &suggest(given, &ACCEPTED)))
            }
        }
    }

    /// Takes from `defaults` (those of the `impl` block) what is not given here, except for the scope,
    /// whose turn comes after the signature.
    /// The scope and the actor are not among them: they go together, see `scope::find`.
    pub(crate) fn or_defaults(mut self, defaults: &Self) -> Self {
        fn take<T: Clone>(own: &mut Option<T>, default: &Option<T>) {
            if own.is_none() {
                own.clone_from(default);
            }
        }
        take(&mut self.access, &defaults.access);
        take(&mut self.error_code, &defaults.error_code);
        take(&mut self.error_message, &defaults.error_message);
        take(&mut self.guarantee, &defaults.guarantee);
        take(&mut self.krate, &defaults.krate);
        self
    }
}

/// The one way to set an argument: a second one is refused at its key.
fn set<T>(
    slot: &mut Option<Keyed<T>>,
    key: Ident,
    input: ParseStream<'_>,
    bag: &mut Bag,
    parse: fn(&Ident, ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<()> {
    let value = parse(&key, input)?;
    if slot.is_some() {
        bag.push(
            key.span(),
            format!("duplicate argument `{key}`"),
            format!("keep one `{key}`, remove the other"),
        );
        return Ok(());
    }
    *slot = Some(Keyed { key, value });
    Ok(())
}

pub(crate) fn help(span: Span, message: &str, help: &str) -> syn::Error {
    syn::Error::new(span, format!("{message}\nhelp: {help}"))
}

fn example_of(key: &str) -> &'static str {
    match key {
        "surface" => "surface = \"engine.action\"",
        "engine" => "engine = \"chat\"",
        "skip" => "skip = \"reason\"",
        "access" => "access = \"read\"",
        "ctx" => "ctx = self.ctx",
        "tenant" => "tenant = self.tenant",
        "env" => "env = self.env",
        "actor" => "actor = self.user",
        "error_code" => "error_code = \"engine.reason\"",
        "fails" => "fails = |ret| ret.failure()",
        "cannot_fail" => "cannot_fail = \"reason\"",
        "guarantee" => "guarantee = \"durable\"",
        "ends" => "ends = \"return\"",
        _ => "crate = ::my_reexport",
    }
}

fn equals(key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    let key_text = key.unraw().to_string();
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(help(
            key.span(),
            &format!("expected a value for `{key_text}`"),
            &format!("write `{}`", example_of(&key_text)),
        ));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(help(
            key.span(),
            &format!("expected a value for `{key_text}`"),
            &format!("write `{}`", example_of(&key_text)),
        ));
    }
    Ok(())
}

fn text(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    equals(key, input)?;
    let value: Expr = parse_expr(input)?;
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        // A literal that came through a `macro_rules` fragment stands in an invisible group.
        Expr::Group(group) if matches!(&*group.expr, Expr::Lit(ExprLit { lit: Lit::Str(_), .. })) => {
            match *group.expr {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
                other => Err(syn::Error::new_spanned(other, "expected a string literal")),
            }
        }
        other => Err(syn::Error::new_spanned(
            other,
            format!("expected a string literal for `{key}`\nhelp: write `{}`", example_of(&key.to_string())),
        )),
    }
}

fn expression(key: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    equals(key, input)?;
    parse_expr(input)
}

fn parse_expr(input: ParseStream<'_>) -> syn::Result<Expr> {
    let span = input.span();
    input.parse::<Expr>().map_err(|error| {
        help(
            span,
            &format!("expected an expression: {error}"),
            "write an expression, separate arguments by `,`",
        )
    })
}

fn flag(key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(help(key.span(), &format!("`{key}` takes no value"), &format!("write `{key}` alone")))
}

fn absolute_path(key: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    equals(key, input)?;
    absolute(input)
}

/// A path from the root of a crate.
pub(crate) fn absolute(input: ParseStream<'_>) -> syn::Result<Path> {
    let span = input.span();
    let path = input
        .call(Path::parse_mod_style)
        .map_err(|_| help(span, "expected the path of a crate", "write `crate = ::my_reexport`"))?;
    let first = path.segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
    if path.leading_colon.is_some() || first == "crate" || first == "$crate" {
        return Ok(path);
    }
    let written = quote::quote!(#path).to_string().replace(' ', "");
    let absolute = written.trim_start_matches("self::").trim_start_matches("super::");
    Err(syn::Error::new_spanned(
        &path,
        format!(
            "expected an absolute path for `crate`\nhelp: write `crate = ::{absolute}` for a dependency, or `crate = crate::{absolute}`"
        ),
    ))
}

fn captures(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Capture>> {
    if !input.peek(token::Paren) {
        return Err(help(
            key.span(),
            &format!("expected a list for `{key}`"),
            if key == "source_refs" {
                "write `source_refs(thread = thread_id)`"
            } else {
                "write it like `input(name, total = items.len(), draft = ?draft)`"
            },
        ));
    }
    let content;
    syn::parenthesized!(content in input);
    match content.parse_terminated(Capture::parse, Token![,]) {
        Ok(list) => Ok(list.into_iter().collect()),
        Err(error) => {
            // What is left unread would be reported as well.
            content.parse::<TokenStream>()?;
            Err(error)
        }
    }
}

impl Parse for Capture {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if let Some(form) = sigil(input)? {
            let name = bare_name(input)?;
            return Ok(Self { value: name_as_value(&name), name, form, is_bare: true });
        }
        if input.peek(syn::LitStr) {
            let text: LitStr = input.parse()?;
            return Err(help(
                text.span(),
                "expected a field name without quotes",
                &format!("write `{} = <expr>`", text.value()),
            ));
        }
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) {
            let name = Ident::parse_any(input)?;
            input.parse::<Token![=]>()?;
            if input.is_empty() || input.peek(Token![,]) {
                return Err(help(
                    name.span(),
                    &format!("expected a value for `{name}`"),
                    &format!("write `{name} = <expr>`, or `{name}` alone for a parameter of that name"),
                ));
            }
            let form = sigil(input)?;
            let value = parse_expr(input)?;
            let (form, value) = match form {
                Some(form) => (form, value),
                None => private_form(value),
            };
            return Ok(Self { name, form, value, is_bare: false });
        }
        let value = parse_expr(input)?;
        let (form, value) = private_form(value);
        match ident_of(&value) {
            Some(name) => Ok(Self { name, form, value, is_bare: true }),
            None => Err(syn::Error::new_spanned(
                &value,
                "expected a name for the captured expression\nhelp: write `name = <expr>`",
            )),
        }
    }
}

fn sigil(input: ParseStream<'_>) -> syn::Result<Option<Form>> {
    if input.peek(Token![?]) {
        input.parse::<Token![?]>()?;
        Ok(Some(Form::Debug))
    } else if input.peek(Token![%]) {
        input.parse::<Token![%]>()?;
        Ok(Some(Form::Display))
    } else {
        Ok(None)
    }
}

fn bare_name(input: ParseStream<'_>) -> syn::Result<Ident> {
    let span = input.span();
    let value = parse_expr(input)?;
    ident_of(&value).ok_or_else(|| {
        help(
            span,
            "expected the name of a parameter after `?` or `%`",
            "write `name = ?<expr>` for an expression",
        )
    })
}

fn name_as_value(name: &Ident) -> Expr {
    Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path: name.clone().into() })
}

fn ident_of(value: &Expr) -> Option<Ident> {
    match value {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        Expr::Group(group) => ident_of(&group.expr),
        _ => None,
    }
}

/// `hashed(expr)` and `masked(expr)` are forms, not calls.
fn private_form(value: Expr) -> (Form, Expr) {
    if let Expr::Call(call) = &value
        && let Some(name) = ident_of(&call.func)
        && call.args.len() == 1
        && let Some(inner) = call.args.first()
    {
        if name == "hashed" {
            return (Form::Hashed, inner.clone());
        }
        if name == "masked" {
            return (Form::Masked, inner.clone());
        }
    }
    (Form::Serialize, value)
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
