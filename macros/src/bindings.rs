//! Which names the parameters bind, with their types.

use syn::{FnArg, Ident, Pat, Signature, Type};

/// A name that a parameter binds.
#[derive(Clone)]
pub(crate) struct Binding {
    pub(crate) ident: Ident,
    /// The type, when it can be read off the signature: of a plain name, or of the one name in an
    /// extractor pattern (`State(ctx): State<T>`).
    pub(crate) ty: Option<Type>,
    /// Whether the parameter stands under `#[cfg]`, so that it may not be there.
    pub(crate) is_conditional: bool,
}

/// A parameter that binds nothing, `_: T`.
pub(crate) struct Unbound {
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
}

/// What the parameters of a signature bind.
#[derive(Default)]
pub(crate) struct Bindings {
    pub(crate) names: Vec<Binding>,
    pub(crate) unbound: Vec<Unbound>,
}

impl Bindings {
    pub(crate) fn of(sig: &Signature) -> Self {
        let mut bindings = Self::default();
        for input in &sig.inputs {
            let FnArg::Typed(parameter) = input else { continue };
            let is_conditional = parameter
                .attrs
                .iter()
                .any(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"));
            bind(&mut bindings, &parameter.pat, &parameter.ty, is_conditional);
        }
        bindings
    }

    pub(crate) fn find(&self, name: &Ident) -> Option<&Binding> {
        self.names.iter().find(|binding| binding.ident == *name)
    }

    /// The names, for a message.
    pub(crate) fn listed(&self) -> Vec<String> {
        self.names.iter().map(|binding| binding.ident.to_string()).collect()
    }
}

fn bind(bindings: &mut Bindings, pat: &Pat, ty: &Type, is_conditional: bool) {
    match pat {
        Pat::Ident(pat) if pat.subpat.is_none() => {
            bindings.names.push(Binding { ident: pat.ident.clone(), ty: Some(ty.clone()), is_conditional })
        }
        Pat::Paren(paren) => bind(bindings, &paren.pat, ty, is_conditional),
        Pat::Wild(_) => bindings.unbound.push(Unbound { pat: pat.clone(), ty: ty.clone() }),
        Pat::TupleStruct(extractor)
            if extractor.elems.len() == 1 && matches!(extractor.elems.first(), Some(Pat::Ident(_))) =>
        {
            if let Some(Pat::Ident(inner)) = extractor.elems.first() {
                bindings.names.push(Binding {
                    ident: inner.ident.clone(),
                    ty: only_type_argument(ty),
                    is_conditional,
                });
            }
        }
        other => collect(bindings, other, is_conditional),
    }
}

fn collect(bindings: &mut Bindings, pat: &Pat, is_conditional: bool) {
    struct Names<'a>(&'a mut Bindings, bool);
    impl<'ast> syn::visit::Visit<'ast> for Names<'_> {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            self.0.names.push(Binding { ident: pat.ident.clone(), ty: None, is_conditional: self.1 });
            syn::visit::visit_pat_ident(self, pat);
        }
    }
    syn::visit::Visit::visit_pat(&mut Names(bindings, is_conditional), pat);
}

/// `T` of `Extractor<T>`.
pub(crate) fn only_type_argument(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let syn::PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    let first = types.next()?;
    types.next().is_none().then(|| first.clone())
}
