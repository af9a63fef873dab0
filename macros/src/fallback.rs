//! What is emitted when the model could not be built: the errors, and the item as it was, so that its
//! callers are not told that it does not exist.

use proc_macro2::TokenStream;

use crate::errors::Bag;

pub(crate) fn with_errors(item: TokenStream, bag: Bag) -> TokenStream {
    let mut tokens = bag.into_compile_errors();
    tokens.extend(item);
    tokens
}
