//! The attribute and the derive of dataset-events.

mod args;
mod bindings;
mod check;
mod derive;
mod errors;
mod expand;
mod fallback;
mod impl_block;
mod item;
mod model;
mod scope;
mod shape;

use proc_macro::TokenStream;

/// Records each call of a function as one event.
#[proc_macro_attribute]
pub fn dataset_event(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(args.into(), item.into()).into()
}

fn attribute(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut bag = errors::Bag::default();
    let args = args::Args::parse(args, &mut bag);
    match item::Item::parse(item.clone()) {
        Ok(item::Item::Function(function)) => {
            let original = function.as_it_was();
            match model::Model::build(*function, &args, None, &mut bag) {
                Some(model) => expand::function(&model),
                None => fallback::with_errors(original, bag),
            }
        }
        Ok(item::Item::Impl(block)) => impl_block::expand(*block, &args, bag),
        Err(item::Refused::Kind { what, span }) => {
            bag.push(
                span,
                format!("`#[dataset_event]` is not supported on {what}"),
                "annotate a function, a method, or an `impl` block",
            );
            fallback::with_errors(item, bag)
        }
        // The compiler reports the same mistake, at the same place, in its own words.
        Err(item::Refused::Syntax(error)) => {
            bag.push_error(error);
            bag.into_compile_errors()
        }
    }
}

/// Gives each variant of an error type its code.
#[proc_macro_derive(ErrorCode, attributes(code))]
pub fn derive_error_code(item: TokenStream) -> TokenStream {
    derive::error_code(item.into()).into()
}
