//! [`Model`] -> tokens. Cannot fail.
//!
//! Generated names and braces resolve at the macro (`mixed_site`), so that no lint of the program and no
//! name of the body meets them; type errors keep the place of what the program wrote.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::Type;

use crate::args::{Capture, Form};
use crate::check;
use crate::errors::Spot;
use crate::item::{Body, Function};
use crate::model::{CodeSource, Codes, Field, How, Model, Probe, Site};
use crate::scope::{Loose, Scope, Source};
use crate::shape::{Shape, erase_impl};

fn mixed(span: Span) -> Span {
    span.resolved_at(Span::mixed_site())
}

/// The same tokens at another place: a type error in a path is shown from its first segment on.
fn at(span: Span, tokens: &TokenStream) -> TokenStream {
    tokens
        .clone()
        .into_iter()
        .map(|mut tree| {
            // `crate` and `$crate` resolve by their own hygiene.
            tree.set_span(span.resolved_at(tree.span()));
            tree
        })
        .collect()
}

/// `function(&(value))`, so placed that an error about the argument underlines the whole spot.
fn call_at(spot: Spot, private: &TokenStream, function: &str, value: &impl quote::ToTokens) -> TokenStream {
    let (first, last) = (mixed(spot.first), mixed(spot.last));
    let private = at(first, private);
    let function = Ident::new(function, first);
    let mut inner = Group::new(Delimiter::Parenthesis, value.to_token_stream());
    inner.set_span(last);
    let reference = quote_spanned!(first=> &);
    let mut arguments = Group::new(Delimiter::Parenthesis, quote!(#reference #inner));
    arguments.set_span(last);
    quote_spanned!(first=> #private::#function #arguments)
}

fn local(name: &str) -> Ident {
    Ident::new(&format!("__dataset_event_{name}"), Span::mixed_site())
}

/// The function with a body that records.
pub(crate) fn function(model: &Model) -> TokenStream {
    let mut function = model.function.clone();
    let Some(body) = function.body.take() else { return function.into_token_stream() };
    let tokens = match &model.how {
        How::Sync => model.sync(&body),
        How::InPlace => model.in_place(&body),
        How::Async { is_never } => model.async_body(&block(body.tokens.clone(), body.span), *is_never),
        How::Exact { block: inner, is_boxed } => {
            let inner = block(inner.clone(), body.span);
            let recorded = model.async_body(&inner, false);
            let private = &model.private;
            if *is_boxed {
                quote!(#private::Box::pin(async move { #recorded }))
            } else {
                quote!(async move { #recorded })
            }
        }
    };
    let site = site(&model.site, &model.private);
    function.body = Some(Body { tokens: quote!(#site #tokens), span: mixed(body.span) });
    function.into_token_stream()
}

/// A method that is left out, with its entry in the registry.
pub(crate) fn skipped(mut function: Function, entry: &Site, private: &TokenStream) -> TokenStream {
    if let Some(body) = &mut function.body {
        let entry = site(entry, private);
        let tokens = &body.tokens;
        body.tokens = quote!(#entry #tokens);
    }
    function.into_token_stream()
}

fn block(tokens: TokenStream, span: Span) -> TokenStream {
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(mixed(span));
    group.into_token_stream()
}

/// The entry in the registry. Inside the function, so that `#[cfg]` covers both.
fn site(site: &Site, private: &TokenStream) -> TokenStream {
    let Site { surface, access, guarantee, function, inputs, outputs, source_refs, codes, skip, cannot_fail } =
        site;
    let access = format_ident!("{access}");
    let guarantee = format_ident!("{guarantee}");
    let fields = |fields: &[Field]| -> TokenStream {
        fields
            .iter()
            .map(|field| {
                let Field { name, form, rust_type } = field;
                let form = format_ident!("{form:?}");
                quote!(#private::CapturedField::new(#name, #private::CaptureForm::#form, #rust_type),)
            })
            .collect()
    };
    let inputs = fields(inputs);
    let outputs = fields(outputs);
    let name = function.to_string();
    // The macro reports the line of its own span: that of the function's name.
    let line = quote_spanned!(function.span()=> ::core::line!());
    let codes = codes_of(codes, private);
    let optional = |reason: &Option<String>| match reason {
        Some(reason) => quote!(::core::option::Option::Some(#reason)),
        None => quote!(::core::option::Option::None),
    };
    let skip = optional(skip);
    let cannot_fail = optional(cannot_fail);
    quote! {
        static __DATASET_EVENT_SITE: #private::Site = #private::Site::new(
            #surface,
            #private::Access::#access,
            #private::Guarantee::#guarantee,
            ::core::module_path!(),
            #name,
            ::core::file!(),
            #line,
            &[#inputs],
            &[#outputs],
            &[#(#source_refs),*],
            #codes,
            #skip,
            #cannot_fail,
        );
        #[#private::linkme::distributed_slice(#private::SITES)]
        #[linkme(crate = #private::linkme)]
        static __DATASET_EVENT_ENTRY: &#private::Site = &__DATASET_EVENT_SITE;
    }
}

fn codes_of(codes: &Codes, private: &TokenStream) -> TokenStream {
    match codes {
        Codes::None => quote!(|| &[]),
        Codes::Literal(code) => quote!(|| const { &[#private::Code::new(#code)] }),
        Codes::Of { ty, stand_ins } => {
            let stand_ins: TokenStream = stand_ins
                .iter()
                .map(|(name, arguments)| match arguments {
                    0 => quote!(#[allow(dead_code, non_camel_case_types)] struct #name;),
                    _ => quote!(#[allow(dead_code, non_camel_case_types)] struct #name<T>(::core::marker::PhantomData<T>);),
                })
                .collect();
            // The inner block sees the module's names before the stand-ins.
            quote! {{
                fn __dataset_event_codes() -> &'static [#private::Code] {
                    #stand_ins
                    {
                        #[allow(unused_imports)]
                        use self::*;
                        #[allow(unused_imports)]
                        use #private::NoCodes as _;
                        #private::Codes::<#ty>(::core::marker::PhantomData).dataset_event_codes()
                    }
                }
                __dataset_event_codes
            }}
        }
    }
}

impl Model {
    /// The guard, the captured inputs, the admission.
    fn enter(&self, call: &Ident) -> TokenStream {
        let private = &self.private;
        let from = |function: &str, source: &Source| call_at(source.spot, private, function, &source.value);
        let optional = |function: &str, source: &Option<Source>| match source {
            Some(source) => from(function, source),
            None => quote!(::core::option::Option::None),
        };
        let enter = match &self.scope {
            Scope::Context(source) => {
                let context = from("context", source);
                quote!(#private::enter(&__DATASET_EVENT_SITE, #context))
            }
            Scope::Loose(loose) => {
                let Loose { tenant, env, request_id, trace_id, actor } = &**loose;
                let tenant = from("tenant", tenant);
                let env = from("env", env);
                let request_id = optional("request_id", request_id);
                let trace_id = optional("trace_id", trace_id);
                let actor = optional("actor", actor);
                quote!(#private::enter_loose(&__DATASET_EVENT_SITE, &#private::Loose {
                    tenant_id: #tenant,
                    env: #env,
                    request_id: #request_id,
                    trace_id: #trace_id,
                    actor: #actor,
                }))
            }
        };
        let captures =
            if self.inputs.is_empty() && self.source_refs.is_empty() && self.site.guarantee != "Intent" {
                TokenStream::new()
            } else {
                let inputs = self.inputs.iter().map(|capture| self.capture(capture));
                let source_refs = self.source_refs.iter().map(|capture| {
                    let capture = Capture { form: Form::Display, ..capture.clone() };
                    self.capture(&capture)
                });
                quote!(#private::inputs(&mut #call, &[#(#inputs),*], &[#(#source_refs),*]);)
            };
        let admission = if self.is_durable {
            let refused = local("refused");
            let admit = if self.how.is_awaited() {
                quote!(#private::admit_async(&mut #call).await)
            } else {
                quote!(#private::admit(&mut #call))
            };
            let span = mixed(self.return_spot.first);
            let private = at(span, private);
            let refuse = quote_spanned!(span=> #private::Refuse::refuse(#refused));
            quote! {
                if let ::core::result::Result::Err(#refused) = #admit {
                    return #refuse;
                }
            }
        } else {
            TokenStream::new()
        };
        quote! {
            // A context that the body does not use may be called `_ctx`.
            #[allow(clippy::used_underscore_binding)]
            let mut #call = #enter;
            #captures
            #admission
        }
    }

    /// `&ser(&(value))`, the reference included: else the compiler reports a missing trait a second time.
    fn capture(&self, capture: &Capture) -> TokenStream {
        let form = match capture.form {
            Form::Serialize => "ser",
            Form::Display => "display",
            Form::Debug => "debug",
            Form::Hashed => "hashed",
            Form::Masked => "masked",
        };
        let spot = Spot::of(&capture.value);
        let captured = call_at(spot, &self.private, form, &capture.value);
        quote_spanned!(mixed(spot.first)=> &#captured)
    }

    fn sync(&self, body: &Body) -> TokenStream {
        let private = &self.private;
        let call = local("call");
        let ret = local("ret");
        let enter = self.enter(&call);
        let ty = self.value_ty.as_ref().map_or_else(|| quote!(()), |ty| erase_impl(ty).into_token_stream());
        let body = block(body.tokens.clone(), body.span);
        let conclude = self.conclude(&self.shape, &ret, &call, false);
        quote! {
            #enter
            let #ret = #private::call_once(&mut #call, || -> #ty #body);
            #conclude
        }
    }

    fn in_place(&self, body: &Body) -> TokenStream {
        let private = &self.private;
        let call = local("call");
        let guard = local("guard");
        let enter = self.enter(&call);
        let body = block(body.tokens.clone(), body.span);
        quote! {
            #enter
            let #guard = #private::in_place(#call);
            #body
        }
    }

    fn async_body(&self, body: &TokenStream, is_never: bool) -> TokenStream {
        let private = &self.private;
        let call = local("call");
        let ret = local("ret");
        let enter = self.enter(&call);
        if is_never {
            return quote! {
                #enter
                let (_, _) = #private::drive(#call, async move #body).await;
                #private::never()
            };
        }
        let expectation = self.expectation();
        // Only a value that is changed on its way out needs the type at the outer block.
        let outer =
            if matches!(self.how, How::Exact { .. }) && (self.shape != Shape::Value || self.is_durable) {
                self.expectation()
            } else {
                TokenStream::new()
            };
        let conclude = self.conclude(&self.shape, &ret, &call, true);
        quote! {
            #outer
            #enter
            let (#ret, mut #call) = #private::drive(#call, async move { #expectation #body }).await;
            #conclude
        }
    }

    /// Tells an async block the type of its value, which errors in the body are held against.
    fn expectation(&self) -> TokenStream {
        let expected = local("expected");
        match &self.value_ty {
            Some(Type::Infer(_)) => TokenStream::new(),
            ty => {
                let ty = ty.as_ref().map_or_else(|| quote!(()), |ty| erase_impl(ty).into_token_stream());
                let (first, last) = (mixed(self.return_spot.first), mixed(self.return_spot.last));
                // The compiler points here when it says where the type comes from.
                let give = quote_spanned!(first=> return);
                let expected_at_end = Ident::new(&expected.to_string(), last);
                quote! {
                    if let ::core::option::Option::Some(#expected) = ::core::option::Option::None::<#ty> {
                        #give #expected_at_end;
                    }
                }
            }
        }
    }

    /// From the body's value to the function's: records the end, or hands the call on.
    fn conclude(&self, shape: &Shape, ret: &Ident, call: &Ident, can_await: bool) -> TokenStream {
        let private = &self.private;
        match shape {
            Shape::Value => {
                let outputs = self.outputs(ret, call);
                let probe = self.probe(ret);
                let finish = self.finish(ret, call, can_await);
                quote!(#outputs #probe #finish #ret)
            }
            Shape::Fallible(inner) => {
                let value = local("value");
                let error = local("error");
                let inner = self.conclude(inner, &value, call, false);
                let code =
                    self.code(&quote_spanned!(mixed(self.return_spot.first)=> #private::Failure(&#error)));
                let message = self.message("Failure", &error);
                let finish = self.finish_with(call, &code, message.as_ref(), false);
                quote! {
                    match #ret {
                        ::core::result::Result::Ok(#value) => ::core::result::Result::Ok({ #inner }),
                        ::core::result::Result::Err(#error) => {
                            #finish
                            ::core::result::Result::Err(#error)
                        }
                    }
                }
            }
            Shape::Stream { is_boxed } => {
                let item = local("item");
                let code = self.code(&quote_spanned!(mixed(self.return_spot.first)=> #private::Ret(#item)));
                let outputs = if self.outputs.is_empty() {
                    quote!(#private::no_outputs)
                } else {
                    let end = local("end");
                    let captures = self.outputs.iter().map(|capture| self.capture(capture));
                    quote!(move |#end: &mut #private::Call| #private::outputs(#end, &[#(#captures),*]))
                };
                let stream = quote! {
                    #private::drive_stream(
                        #call,
                        #ret,
                        |#item: &_| {
                            #[allow(unused_imports)]
                            use #private::Fallbacks as _;
                            #code
                        },
                        #outputs,
                    )
                };
                if *is_boxed { quote!(#private::Box::pin(#stream)) } else { stream }
            }
            Shape::Future { is_boxed, output, output_ty } => {
                let value = local("output");
                let inner_call = local("driven");
                let inner = self.conclude(output, &value, &inner_call, false);
                let ty = match output_ty {
                    Some(ty) => {
                        let ty = erase_impl(ty);
                        quote!(-> #ty)
                    }
                    None => TokenStream::new(),
                };
                let future =
                    quote!(#private::drive_out(#call, #ret, move |#value, mut #inner_call| #ty { #inner }));
                if *is_boxed { quote!(#private::Box::pin(#future)) } else { future }
            }
        }
    }

    fn outputs(&self, ret: &Ident, call: &Ident) -> TokenStream {
        if self.outputs.is_empty() {
            return TokenStream::new();
        }
        let private = &self.private;
        let captures = self.outputs.iter().map(|capture| self.capture(capture));
        let write = quote!(#private::outputs(&mut #call, &[#(#captures),*]));
        // The program's own `ret`, so that it resolves where the expression was written.
        let named = self.outputs.iter().find_map(|capture| check::first_mention(&capture.value, "ret"));
        let pattern = named.map_or_else(|| quote!(_), |named| named.into_token_stream());
        quote! {
            if let ::core::option::Option::Some(#pattern) = {
                #[allow(unused_imports)]
                use #private::Fallbacks as _;
                #private::Ret(&#ret).dataset_event_value()
            } {
                #write;
            }
        }
    }

    fn probe(&self, ret: &Ident) -> TokenStream {
        let private = &self.private;
        let span = mixed(self.return_spot.first);
        let ask = match self.probe {
            Probe::None => return TokenStream::new(),
            Probe::Deferred => quote_spanned!(span=> .dataset_event_settled_or_fails()),
            Probe::All => quote_spanned!(span=> .dataset_event_settled()),
        };
        let value = quote_spanned!(span=> #private::Probe(#private::Ret(&#ret).dataset_event_value()));
        quote! {
            {
                #[allow(unused_imports)]
                use #private::{Fallbacks as _, HiddenFuture as _, HiddenStream as _, Settled as _};
                #value #ask;
            }
        }
    }

    fn finish(&self, ret: &Ident, call: &Ident, can_await: bool) -> TokenStream {
        let private = &self.private;
        if self.value_ty.as_ref().is_none_or(check::is_unit) && self.fails.is_none() {
            let none = quote!(::core::option::Option::None);
            return self.finish_with(call, &none, None, can_await);
        }
        let span = mixed(self.return_spot.first);
        let target = quote_spanned!(span=> #private::Ret(&#ret));
        let mut code = self.code(&target);
        if let Some(fails) = &self.fails {
            let span = mixed(Spot::of(fails).first);
            let private = at(span, private);
            let failed = local("failed");
            code = quote_spanned! {span=>
                match #code {
                    ::core::option::Option::None => #private::fails(#private::Ret(&#ret).dataset_event_value(), #fails),
                    #failed => #failed,
                }
            };
        }
        let code = quote! {{
            #[allow(unused_imports)]
            use #private::Fallbacks as _;
            #code
        }};
        let message = self.message("Ret", ret).map(|message| {
            quote! {{
                #[allow(unused_imports)]
                use #private::Fallbacks as _;
                #message
            }}
        });
        self.finish_with(call, &code, message.as_ref(), can_await)
    }

    fn finish_with(
        &self,
        call: &Ident,
        code: &TokenStream,
        message: Option<&TokenStream>,
        can_await: bool,
    ) -> TokenStream {
        let private = &self.private;
        if self.is_durable && can_await {
            let message = message.map_or_else(|| quote!(::core::option::Option::None), Clone::clone);
            return quote!(#private::finish_durable(&mut #call, #code, #message).await;);
        }
        match message {
            Some(message) => quote!(#private::finish_with_message(&mut #call, #code, #message);),
            None => quote!(#private::finish(&mut #call, #code);),
        }
    }

    /// The code of what `target` (a `Ret` or a `Failure`) holds.
    fn code(&self, target: &TokenStream) -> TokenStream {
        let private = &self.private;
        let span = mixed(self.return_spot.first);
        match &self.code {
            CodeSource::Trait => quote_spanned!(span=> #target.dataset_event_code()),
            CodeSource::Literal(code) => {
                quote_spanned!(span=> #target.dataset_event_code_literal(const { #private::Code::new(#code) }))
            }
            CodeSource::Path(path) => {
                let span = mixed(Spot::of(path).first);
                quote_spanned!(span=> #target.dataset_event_code_by(#path))
            }
        }
    }

    fn message(&self, holder: &str, value: &Ident) -> Option<TokenStream> {
        let span = mixed(self.message?);
        let private = at(span, &self.private);
        let holder = Ident::new(holder, span);
        Some(quote_spanned!(span=> #private::#holder(&#value).dataset_event_message()))
    }
}
