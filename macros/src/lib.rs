//! The attribute and the derive of dataset-events.

use proc_macro::TokenStream;

/// Records each call of a function as one event.
#[proc_macro_attribute]
pub fn dataset_event(_args: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Gives each variant of an error type its code.
#[proc_macro_derive(ErrorCode, attributes(code))]
pub fn derive_error_code(_item: TokenStream) -> TokenStream {
    TokenStream::new()
}
