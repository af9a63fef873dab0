//! Whether a returned future can keep what the attribute names, or must outlive it.

use syn::visit::Visit;
use syn::{Expr, GenericArgument, Lifetime, PathArguments, ReceiverKind, Signature, Type, TypeParamBound};

use crate::bindings::Bindings;
use crate::check;
use crate::shape::{strip, type_arguments};

/// Whether `values` read a borrowed parameter while the returned future is `'static`: then they are read
/// when the function is called, because the future cannot hold them until it is polled.
pub(crate) fn outlived(values: &[&Expr], sig: &Signature, bindings: &Bindings, ret: &Type) -> bool {
    if !is_static(ret) {
        return false;
    }
    let mut names: Vec<String> = bindings
        .names
        .iter()
        .filter(|binding| binding.ty.as_ref().is_some_and(borrows))
        .map(|binding| binding.ident.to_string())
        .collect();
    if sig.receiver().is_some_and(|receiver| match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, _) => !lifetime.as_ref().is_some_and(named_static),
        ReceiverKind::Typed(_, ty) => borrows(ty),
        _ => false,
    }) {
        names.push("self".to_owned());
    }
    values.iter().any(|value| names.iter().any(|name| check::mentions(value, name)))
}

/// Whether a future type, as written, is `'static`. In a signature a boxed `dyn` without a lifetime is.
fn is_static(ty: &Type) -> bool {
    let lifetime = match strip(ty) {
        Type::ImplTrait(opaque) => return lifetime_in(opaque.bounds.iter()).is_some_and(named_static),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return false };
            if let [Type::Path(inner)] = &*type_arguments(&last.arguments)
                && let Some(inner) = inner.path.segments.last()
                && let [Type::TraitObject(object)] = &*type_arguments(&inner.arguments)
            {
                return lifetime_in(object.bounds.iter()).is_none_or(named_static);
            }
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Lifetime(lifetime) => Some(lifetime),
                _ => None,
            })
        }
        _ => None,
    };
    lifetime.is_some_and(named_static)
}

fn lifetime_in<'a>(mut bounds: impl Iterator<Item = &'a TypeParamBound>) -> Option<&'a Lifetime> {
    bounds.find_map(|bound| match bound {
        TypeParamBound::Lifetime(lifetime) => Some(lifetime),
        _ => None,
    })
}

fn named_static(lifetime: &Lifetime) -> bool {
    lifetime.ident == "static"
}

/// Whether a type shows a lifetime other than `'static`.
fn borrows(ty: &Type) -> bool {
    struct Shown(bool);
    impl<'ast> Visit<'ast> for Shown {
        fn visit_type_reference(&mut self, node: &'ast syn::TypeReference) {
            self.0 |= node.lifetime.is_none();
            syn::visit::visit_type_reference(self, node);
        }
        fn visit_lifetime(&mut self, node: &'ast Lifetime) {
            self.0 |= !named_static(node);
        }
        // The lifetimes of `fn(&T)` and `Fn(&T)` belong to its callers.
        fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}
        fn visit_parenthesized_generic_arguments(&mut self, _: &'ast syn::ParenthesizedGenericArguments) {}
    }
    let mut shown = Shown(false);
    shown.visit_type(ty);
    shown.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens as _;
    use syn::parse_quote;

    #[test]
    fn a_static_future_is_read_off_its_type() {
        for (ty, expected) in [
            (parse_quote!(BoxFuture<'static, u8>), true),
            (parse_quote!(BoxFuture<'_, u8>), false),
            (parse_quote!(Pin<Box<dyn Future<Output = u8> + Send>>), true),
            (parse_quote!(Pin<Box<dyn Future<Output = u8> + Send + 'static>>), true),
            (parse_quote!(Pin<Box<dyn Future<Output = u8> + 'async_trait>>), false),
            (parse_quote!(impl Future<Output = u8> + Send + 'static), true),
            (parse_quote!(impl Future<Output = u8> + Send), false),
        ] {
            let ty: Type = ty;
            assert_eq!(is_static(&ty), expected, "{}", ty.to_token_stream());
        }
    }

    #[test]
    fn a_borrow_is_read_off_its_type() {
        for (ty, expected) in [
            (parse_quote!(&RequestContext), true),
            (parse_quote!(&'static RequestContext), false),
            (parse_quote!(Arc<RequestContext>), false),
            (parse_quote!(Cow<'_, str>), true),
            (parse_quote!(fn(&str)), false),
        ] {
            let ty: Type = ty;
            assert_eq!(borrows(&ty), expected, "{}", ty.to_token_stream());
        }
    }
}
