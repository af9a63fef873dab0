//! The expansion on tokens, without a compiler around it.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;

use crate::attribute;

fn expand(args: TokenStream, item: TokenStream) -> String {
    attribute(args, item).to_string()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

fn idents(tokens: TokenStream, found: &mut Vec<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Ident(ident) => found.push(ident.to_string()),
            TokenTree::Group(group) => idents(group.stream(), found),
            _ => {}
        }
    }
}

#[test]
fn the_body_is_expanded_once_in_every_shape() {
    let args = || quote!(surface = "chat.send", input(text), output(size = 1));
    for item in [
        quote!(
            fn send(ctx: &RequestContext, text: &str) -> u8 {
                marker();
                1
            }
        ),
        quote!(
            async fn send(ctx: &RequestContext, text: &str) -> u8 {
                marker();
                1
            }
        ),
        quote!(
            fn send(ctx: &RequestContext, text: &str) -> BoxFuture<'_, u8> {
                Box::pin(async move {
                    marker();
                    1
                })
            }
        ),
        quote!(
            fn send(ctx: &RequestContext, text: &str) -> BoxFuture<'_, u8> {
                marker();
                built()
            }
        ),
        quote!(
            fn send(ctx: &RequestContext, text: &str) -> impl Stream<Item = u8> {
                marker()
            }
        ),
    ] {
        let expanded = expand(args(), item);
        assert_eq!(count(&expanded, "marker"), 1, "{expanded}");
        assert_eq!(count(&expanded, "distributed_slice"), 1, "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }
}

#[test]
fn attributes_visibility_and_generics_stay() {
    let expanded = expand(
        quote!(surface = "chat.send"),
        quote! {
            /// Sends.
            #[must_use]
            pub(crate) unsafe extern "C" fn send<'a, T: Clone, const N: usize>(ctx: &'a RequestContext, t: [T; N]) -> u8
            where
                T: 'a,
            {
                #![allow(unused)]
                1
            }
        },
    );
    for part in [
        "# [doc = r\" Sends.\"]",
        "# [must_use]",
        "# [allow (unused)]",
        "pub (crate) unsafe extern \"C\" fn send",
        "< 'a , T : Clone , const N : usize >",
        "where T : 'a",
    ] {
        assert!(expanded.contains(part), "no {part} in {expanded}");
    }
}

#[test]
fn with_errors_the_function_stays_as_it_was() {
    let item = quote!(
        fn send(text: &str) -> u8 {
            1
        }
    );
    let expanded = expand(quote!(surfce = "chat.send", acess = "read"), item);
    assert_eq!(count(&expanded, "compile_error"), 3, "{expanded}");
    assert!(expanded.contains("fn send (text : & str) -> u8 { 1 }"), "{expanded}");
    assert!(!expanded.contains("__dataset_event") && !expanded.contains("distributed_slice"), "{expanded}");
}

#[test]
fn an_impl_block_with_an_error_keeps_all_methods_without_our_attributes() {
    let expanded = expand(
        quote!(engine = "chat"),
        quote! {
            impl Chat {
                const MAX: u8 = 1;
                #[dataset_event(acess = "read")]
                pub fn send(&self, ctx: &RequestContext) {}
                pub fn list(&self) {}
                fn private(&self) {}
            }
        },
    );
    assert_eq!(count(&expanded, "compile_error"), 2, "{expanded}");
    assert!(!expanded.contains("# [dataset_event"), "{expanded}");
    for part in ["const MAX", "fn send", "fn list", "fn private"] {
        assert_eq!(count(&expanded, part), 1, "{part} in {expanded}");
    }
}

#[test]
fn generated_locals_have_a_prefix_of_their_own() {
    let expanded = attribute(
        quote!(surface = "chat.send", input(text), output(size = ret.len()), guarantee = "durable"),
        quote!(
            async fn send(ctx: &RequestContext, text: &str) -> Result<String, E> {
                Ok(text.into())
            }
        ),
    );
    let mut found = Vec::new();
    idents(expanded, &mut found);
    let locals: Vec<_> = found
        .windows(2)
        .filter(|pair| pair[0] == "let" || pair[0] == "mut")
        .map(|pair| pair[1].as_str())
        .filter(|name| !matches!(*name, "mut" | "Some" | "core"))
        .collect();
    assert!(!locals.is_empty());
    for local in locals {
        assert!(local.starts_with("__dataset_event_"), "{local}");
    }
}

#[test]
fn the_runtime_is_reached_by_the_path_that_is_given() {
    let item = || {
        quote!(
            fn send(ctx: &RequestContext) -> Result<u8, E> {
                Ok(1)
            }
        )
    };
    let default = expand(quote!(surface = "chat.send"), item());
    assert!(default.contains(":: dataset_events :: __private"));
    let given = expand(quote!(surface = "chat.send", crate = ::other::ledger), item());
    assert!(given.contains(":: other :: ledger :: __private"));
    assert!(!given.contains("dataset_events ::"), "{given}");
}

#[test]
fn nothing_panics_on_odd_input() {
    let args = [
        quote!(),
        quote!(,),
        quote!(= "a.b"),
        quote!(surface = ),
        quote!(surface "a.b"),
        quote!(input()),
        quote!(input(,)),
        quote!(input(?)),
        quote!(input(= 1)),
        quote!(source_refs(a =)),
        quote!(crate = ),
        quote!(surface = "a.b", , access = "read"),
        quote!(surface = concat!("a", ".b")),
        quote!(surface = b"a.b"),
    ];
    let items = [
        quote!(),
        quote!(fn),
        quote!(fn f()),
        quote!(
            fn f();
        ),
        quote!(impl),
        quote!(impl X),
        quote!(impl X {}),
        quote!(impl !Send for X {}),
        quote!(
            use a::b;
        ),
        quote!(
            const X: u8 = 1;
        ),
        quote!(
            static X: u8 = 1;
        ),
        quote!(
            extern "C" {
                fn f();
            }
        ),
        quote!(let x = 1;),
        quote!(1 + 1),
        quote!(pub),
    ];
    for args in args {
        for item in &items {
            let expanded = expand(args.clone(), item.clone());
            assert!(expanded.contains("compile_error"), "{args} on {item}: {expanded}");
        }
    }
}

mod derive {
    use quote::quote;

    #[test]
    fn nothing_panics_on_odd_input() {
        for code in [
            quote!(#[code]),
            quote!(#[code()]),
            quote!(#[code(,)]),
            quote!(#[code("a.b" "c.d")]),
            quote!(#[code("a.b", status = )]),
            quote!(#[code("a.b", status = 99999999999)]),
            quote!(#[code("a.b", denied = 7)]),
            quote!(#[code("a.b", crate = a)]),
            quote!(#[code(transparent)]),
            quote!(#[code(7)]),
        ] {
            let expanded = crate::derive::error_code(quote!(enum E { #code A })).to_string();
            assert!(expanded.contains("compile_error"), "{code}: {expanded}");
            // Its users are not told that it has no code.
            assert!(expanded.contains("ErrorCode for E"), "{code}: {expanded}");
        }
    }
}
