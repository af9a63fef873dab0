//! What a signature returns: a value, a future, a stream, and which of them inside which.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit_mut::VisitMut;
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeParamBound};

/// What a returned type is, read off its syntax.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// The call ends when the function returns.
    Value,
    /// `Result<deferred, E>`: an `Err` ends the call, an `Ok` hands it on.
    Fallible(Box<Shape>),
    /// A future; its output again has a shape.
    Future { is_boxed: bool, output: Box<Shape>, output_ty: Option<Box<Type>> },
    /// A stream: the call ends with it.
    Stream { is_boxed: bool },
}

impl Shape {
    pub(crate) fn has_stream(&self) -> bool {
        match self {
            Self::Value => false,
            Self::Stream { .. } => true,
            Self::Fallible(inner) => inner.has_stream(),
            Self::Future { output, .. } => output.has_stream(),
        }
    }
}

/// The type after `->`.
pub(crate) fn returned(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(strip(ty)),
    }
}

pub(crate) fn strip(ty: &Type) -> &Type {
    match ty {
        Type::Paren(inner) => strip(&inner.elem),
        Type::Group(inner) => strip(&inner.elem),
        other => other,
    }
}

pub(crate) fn shape_of(ty: &Type) -> Shape {
    match strip(ty) {
        Type::ImplTrait(opaque) => by_bounds(opaque.bounds.iter(), false).unwrap_or(Shape::Value),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Shape::Value };
            let types = type_arguments(&last.arguments);
            match (last.ident.to_string().as_str(), &*types) {
                ("Pin", [inner]) => boxed_in_pin(inner).unwrap_or(Shape::Value),
                ("BoxFuture" | "LocalBoxFuture", [output]) => future(true, Some(output)),
                ("BoxStream" | "LocalBoxStream", [_]) => Shape::Stream { is_boxed: true },
                ("Result", [value] | [value, _]) => match shape_of(value) {
                    Shape::Value => Shape::Value,
                    deferred => Shape::Fallible(Box::new(deferred)),
                },
                _ => Shape::Value,
            }
        }
        _ => Shape::Value,
    }
}

fn future(is_boxed: bool, output: Option<&Type>) -> Shape {
    Shape::Future {
        is_boxed,
        output: Box::new(output.map_or(Shape::Value, shape_of)),
        output_ty: output.cloned().map(Box::new),
    }
}

/// `Box<dyn Future<..>>`, the inside of a `Pin`.
fn boxed_in_pin(ty: &Type) -> Option<Shape> {
    let Type::Path(path) = strip(ty) else { return None };
    let last = path.path.segments.last()?;
    if last.ident != "Box" {
        return None;
    }
    match &*type_arguments(&last.arguments) {
        [Type::TraitObject(object)] => by_bounds(object.bounds.iter(), true),
        [Type::ImplTrait(opaque)] => by_bounds(opaque.bounds.iter(), true),
        _ => None,
    }
}

fn by_bounds<'a>(bounds: impl Iterator<Item = &'a TypeParamBound>, is_boxed: bool) -> Option<Shape> {
    for bound in bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let Some(last) = bound.path.segments.last() else { continue };
        match last.ident.to_string().as_str() {
            "Future" => return Some(future(is_boxed, associated(&last.arguments, "Output"))),
            "TryFuture" => return Some(future(is_boxed, None)),
            "Stream" | "TryStream" => return Some(Shape::Stream { is_boxed }),
            _ => {}
        }
    }
    None
}

fn associated<'a>(arguments: &'a PathArguments, name: &str) -> Option<&'a Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(associated) if associated.ident == name => Some(&associated.ty),
        _ => None,
    })
}

pub(crate) fn type_arguments(arguments: &PathArguments) -> Vec<&Type> {
    match arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(strip(ty)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The type with each `impl Trait` left to inference: the form that may stand in an expression.
pub(crate) fn erase_impl(ty: &Type) -> Type {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(opaque) = ty {
                *ty = Type::Infer(syn::TypeInfer {
                    attrs: Vec::new(),
                    underscore_token: syn::Token![_](opaque.impl_token.span),
                });
                return;
            }
            syn::visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut ty = ty.clone();
    Erase.visit_type_mut(&mut ty);
    ty
}

/// The block of a body that is exactly `Box::pin(async move { .. })` or `async move { .. }`: such a
/// function is an async function, written out.
pub(crate) fn exact_async_block(body: &TokenStream, is_boxed: bool) -> Option<TokenStream> {
    let trees: Vec<TokenTree> = body.clone().into_iter().collect();
    if !is_boxed {
        return async_move(&trees);
    }
    let (last, path) = trees.split_last()?;
    let TokenTree::Group(arguments) = last else { return None };
    if arguments.delimiter() != Delimiter::Parenthesis {
        return None;
    }
    let path = path.iter().map(ToString::to_string).collect::<String>();
    if path != "Box::pin" && !path.ends_with("::Box::pin") {
        return None;
    }
    let mut inside: Vec<TokenTree> = arguments.stream().into_iter().collect();
    if matches!(inside.last(), Some(TokenTree::Punct(comma)) if comma.as_char() == ',') {
        inside.pop();
    }
    async_move(&inside)
}

fn async_move(trees: &[TokenTree]) -> Option<TokenStream> {
    match trees {
        [TokenTree::Ident(first), TokenTree::Ident(second), TokenTree::Group(block)]
            if first == "async" && second == "move" && block.delimiter() == Delimiter::Brace =>
        {
            Some(block.stream())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn shape(ty: Type) -> Shape {
        shape_of(&ty)
    }

    #[test]
    fn futures_and_streams_are_read_off_the_syntax() {
        assert_eq!(shape(parse_quote!(Result<u8, E>)), Shape::Value);
        assert_eq!(shape(parse_quote!(impl Stream<Item = u8> + Send)), Shape::Stream { is_boxed: false });
        assert_eq!(
            shape(parse_quote!(std::pin::Pin<Box<dyn Stream<Item = u8> + '_>>)),
            Shape::Stream { is_boxed: true }
        );
        assert_eq!(
            shape(parse_quote!(io::Result<BoxStream<'static, u8>>)),
            Shape::Fallible(Box::new(Shape::Stream { is_boxed: true }))
        );
        let Shape::Future { is_boxed: true, output, .. } =
            shape(parse_quote!(BoxFuture<'a, Result<impl Stream<Item = u8>, E>>))
        else {
            panic!("not a future")
        };
        assert_eq!(*output, Shape::Fallible(Box::new(Shape::Stream { is_boxed: false })));
        assert_eq!(shape(parse_quote!(impl Iterator<Item = BoxFuture<'a, u8>>)), Shape::Value);
    }

    #[test]
    fn only_the_exact_block_is_an_async_function() {
        let exact = |tokens, is_boxed| exact_async_block(&tokens, is_boxed).is_some();
        assert!(exact(quote::quote!(Box::pin(async move { 1 })), true));
        assert!(exact(quote::quote!(::std::boxed::Box::pin(async move { 1 },)), true));
        assert!(exact(quote::quote!(async move { 1 }), false));
        assert!(!exact(quote::quote!(Box::pin(async { 1 })), true));
        assert!(!exact(quote::quote!(let x = 1; Box::pin(async move { x })), true));
        assert!(!exact(quote::quote!(Box::pin(async move { 1 }.boxed())), true));
    }
}
