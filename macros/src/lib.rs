//! The attribute `#[dataset_event]` and the derive `ErrorCode` of dataset-events.
//!
//! Programs use both through the runtime crate, `dataset_events`, which re-exports them.
//!
//! The stages: `args` and `item` parse, `model` decides with the rules of `check` and `scope`, `expand`
//! builds tokens and cannot fail; `fallback` keeps the item when there are errors.

mod args;
mod bindings;
mod borrowed;
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
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Records each call of a function as one event.
///
/// ```ignore
/// #[dataset_event(
///     surface = "chat.send_message",
///     input(thread_id, body_len = body.len()),
///     output(message_id = ret.id),
///     source_refs(thread = thread_id),
/// )]
/// async fn send_message(ctx: &RequestContext, thread_id: &ThreadId, body: &str) -> Result<Message, ChatError>
/// ```
///
/// # Arguments
///
/// | argument | value | default | effect |
/// |---|---|---|---|
/// | `surface` | literal | required on a function | the name: parts of `[a-z][a-z0-9_]*` joined by `.`, at most 64 bytes |
/// | `access` | `"read"`, `"write"`, `"create"`, `"update"`, `"delete"`, `"execute"` | `"write"` | what the call does to the data |
/// | `guarantee` | `"recorded"`, `"intent"`, `"durable"` | `"recorded"` for reads, else `"intent"` | what survives which failure |
/// | `ctx` | expression | found in the signature | the request context: anything that implements `HasRequestContext` |
/// | `tenant`, `env` | expressions, both | found in the signature | a `TenantId` and an `Env`, instead of a context |
/// | `actor` | expression | none | a `UserId` beside `tenant` and `env`; optional ones too |
/// | `input(..)` | captures | nothing | evaluated before the body |
/// | `output(..)` | captures | nothing | evaluated after it; `ret` is a reference to the `Ok` value, or to the value |
/// | `source_refs(..)` | `kind = id` | none | what the call reads or writes; ids by `Display` |
/// | `error_code` | literal or path | the error's `ErrorCode` | one code for every `Err`, or a `fn(&E) -> Code` |
/// | `error_message` | flag | off | also records the error's `Display`, at most 1 KiB. Messages may hold personal data |
/// | `fails` | closure or path | nothing fails | `Option<Code>` of the value: a failure that is not an `Err` |
/// | `cannot_fail` | literal: the reason | it may fail | no call can fail; coverage then asks for no failure, and reports one that is seen |
/// | `ends` | `"return"` | with the value | ends the call when the function returns, also when it returns a future |
/// | `crate` | absolute path | `::dataset_events` | where the runtime lives |
/// | `engine` | literal | required on an `impl` block | see below |
/// | `skip` | literal | | see below |
///
/// # Captures
///
/// Nothing is captured unless it is named.
///
/// | form | recorded by |
/// |---|---|
/// | `name`, `name = expr` | `serde::Serialize` |
/// | `%name`, `name = %expr` | `Display`, as a string |
/// | `?name`, `name = ?expr` | `Debug`, as a string |
/// | `name = hashed(expr)` | HMAC-SHA-256 of the `Display` form under a key of the tenant: `{"$hashed":".."}` |
/// | `name = masked(expr)` | only its length: `{"$masked":{"chars":N}}` |
///
/// A bare name must be a parameter; `hashed(name)` and `masked(name)` may stand alone. A value whose code
/// fails or panics becomes `{"$error":"capture"}`, a section beyond 64 KiB becomes
/// `{"$omitted":{"bytes":N,"sha256":".."}}` (of the first MiB, with `"partial":true`, when it is larger).
/// Neither changes the call. `return`, `?`, `.await`, `break` are refused: the expressions run beside the
/// body, which they would leave. In async functions `output` may name only `ret` and shared references,
/// because the body takes the other parameters.
///
/// # Where the scope comes from
///
/// The first that matches:
///
/// 1. `ctx = expr`;
/// 2. `tenant = expr, env = expr`;
/// 3. the one parameter whose type ends in `RequestContext`, also behind `&`, `Arc<..>`, or an extractor
///    pattern that binds one name: `State(ctx): State<RequestContext>`;
/// 4. a parameter named `ctx` or `context`;
/// 5. the parameters `tenant_id` and `env`, with `request_id` and `trace_id` where they are there;
/// 6. in an annotated `impl` block, the block's `ctx` (or `tenant` and `env`).
///
/// Two candidates are refused, and so is `_`. Parameters under `#[cfg]` are never candidates. The actor is
/// never taken from a loose parameter `user_id`.
///
/// # When a call begins and ends
///
/// | shape | begins | ends |
/// |---|---|---|
/// | `fn` | when called | with the value, or by panic |
/// | `async fn`; a body that is exactly `Box::pin(async move { .. })` or `async move { .. }` | at the first poll | with the value, by panic, or when dropped: `cancelled` |
/// | a function that builds the future it returns | when called | the same |
/// | a function that returns a stream | when called | with the stream's end; the first `Err` item makes it `error`; dropped before: `cancelled`. The items delivered are counted |
/// | `Result<future or stream, E>` | as above | with `Err`, else as above |
///
/// Futures and streams are recognised by syntax: `async`, `impl Future`, `impl Stream`,
/// `Pin<Box<dyn ..>>`, `BoxFuture`, `BoxStream`, their local forms. A value that is one and does not look
/// like one is a build error. A bare `-> impl Trait` and `-> !` run where they stand; there `output` is
/// not supported. Deep chains of async functions need a `Box::pin` or `#![recursion_limit]` at about 16
/// levels, where bare ones need it at 37. An argument of an async function is held twice in its future.
///
/// # On an `impl` block
///
/// ```ignore
/// #[dataset_event(engine = "chat", ctx = self.ctx)]
/// impl Chat {
///     #[dataset_event(skip = "no data of a tenant")]
///     pub fn new(ctx: RequestContext) -> Self { .. }
///
///     pub fn send(&self, text: &str) -> Result<(), ChatError> { .. }         // chat.send
///
///     #[dataset_event(access = "read", input(limit))]
///     pub fn list(&self, limit: u32) -> Result<Vec<Message>, ChatError> { .. }   // chat.list
/// }
/// ```
///
/// Every non-private method (in a trait impl: every method) becomes `engine.method`. A method's own
/// attribute overrides parts. `skip` leaves one out; the registry keeps the reason. A method without a
/// scope fails the build. `access`, `ctx`, `tenant`, `env`, `actor`, `error_code`, `error_message`,
/// `guarantee`, `crate` may stand on the block.
///
/// # What it expands to
///
/// ```ignore
/// fn send(ctx: &RequestContext, text: &str) -> Result<u64, ChatError> {
///     static SITE: Site = Site::new("chat.send", ..);             // and its entry in the registry
///     let mut call = enter(&SITE, context(&ctx));                 // the guard: at most 32 bytes
///     inputs(&mut call, &[&ser(&text.len())], &[]);               // publishes the attempt of an `intent` call
///     let value = call_once(&mut call, || -> Result<u64, ChatError> { /* the body, once */ });
///     if let Some(ret) = Ret(&value).value() { outputs(&mut call, &[..]); }
///     finish(&mut call, Ret(&value).code());
///     value
/// }
/// ```
///
/// An async function polls its body through a wrapper that makes the call current around each poll. A
/// guard that is dropped unfinished records `panic` when its body was running, else `cancelled`.
///
/// # What is refused, and why
///
/// - `const fn`: a call at compile time has no ledger.
/// - `#[track_caller]`: inside the recorded body the caller's line is lost.
/// - A declaration without a body: annotate the implementations.
/// - `output` on `()`, on bare `impl Trait`; `ret` of a stream: there is no one value.
/// - `cannot_fail` without a reason, beside `error_code`, `error_message` or `fails`, or with `durable`,
///   which the ledger may refuse.
/// - An error type without a code: every failure has one; `error_code = ".."` names it.
/// - `Option<Result<..>>`, `&Result<..>`, `Poll<Result<..>>` without `fails`: an error would pass as `ok`.
/// - `durable` where `E` cannot be made from `LedgerUnavailable`, on streams, and on functions that build
///   the future they return: such a call could not be refused before its body runs.
/// - `impl Stream + Clone` and other bounds beyond auto traits and lifetimes: the recorded stream is a
///   wrapper.
/// - Macro calls and `cfg_attr(.., dataset_event(..))` in an annotated `impl` block: what they make cannot
///   be seen, and nothing may be missed in silence.
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
///
/// ```ignore
/// #[derive(ErrorCode)]
/// enum ChatError {
///     #[code("chat.thread_not_found", status = 404)]
///     ThreadNotFound,
///     #[code("chat.blocked", denied)]
///     Blocked { by: UserId },
///     #[code("chat.busy", status = 503, retryable)]
///     Busy,
///     #[code(transparent)]
///     Store(StoreError),
/// }
/// ```
///
/// | argument | default | effect |
/// |---|---|---|
/// | a literal | required, or `transparent` | the code, `engine.reason`: the form of a surface |
/// | `status = N` | 500 | the HTTP status, 400 to 599 |
/// | `denied`, `denied = false` | for 401, 403, 429 | the outcome is `denied` |
/// | `retryable`, `retryable = false` | off | the same call may succeed later |
/// | `transparent` | | the code of the one field, which implements `ErrorCode` |
/// | `crate = path` | `::dataset_events` | where the runtime lives; on an enum it stands alone: `#[code(crate = ..)]` |
///
/// On a struct the same attribute stands on the struct. `codes()` lists every code, those of transparent
/// variants included when their type lists them.
///
/// Refused: a variant without `#[code(..)]`, a malformed code, a status out of range, `transparent` with
/// another number of fields than one, unions.
#[proc_macro_derive(ErrorCode, attributes(code))]
pub fn derive_error_code(item: TokenStream) -> TokenStream {
    derive::error_code(item.into()).into()
}
