//! What generated code names. No part of the public interface: it changes with the macros crate.

#![allow(missing_docs, missing_debug_implementations, reason = "hidden, for generated code alone")]

use std::task::Poll;

use futures_core::Stream;

pub use linkme;

pub use crate::call::{
    Admit, Call, Drive, DriveOut, DriveStream, InPlace, Loose, Settle, admit, admit_async, call_once, drive,
    drive_out, drive_stream, enter, enter_loose, finish, finish_durable, finish_with_message, in_place,
    inputs, no_outputs, outputs,
};
pub use crate::capture::{Capture, Debuggable, Displayable, Serializable};
pub use crate::error_code::{Code, ErrorCode, LedgerUnavailable};
pub use crate::surface::{Access, CaptureForm, CapturedField, Guarantee, SITES, Site};
pub use std::boxed::Box;

use crate::call::guarded;
use crate::capture::{ByDebug, ByDisplay, Hashed, Masked, Ser};
use crate::context::{AsEnv, AsTenant, HasRequestContext, RequestContext};
use crate::ids::{Env, RequestId, TenantId, TraceId, UserId};

pub fn context<C: HasRequestContext + ?Sized>(value: &C) -> &RequestContext {
    value.request_context()
}

pub fn tenant<T: AsTenant + ?Sized>(value: &T) -> &TenantId {
    value.as_tenant()
}

pub fn env<E: AsEnv + ?Sized>(value: &E) -> &Env {
    value.as_env()
}

pub fn request_id<R: AsRequestId + ?Sized>(value: &R) -> Option<&RequestId> {
    value.as_request_id()
}

pub fn trace_id<T: AsTraceId + ?Sized>(value: &T) -> Option<TraceId> {
    value.as_trace_id()
}

pub fn actor<A: AsActor + ?Sized>(value: &A) -> Option<&UserId> {
    value.as_actor()
}

// These traits are written out and not made by a macro: the compiler quotes them.

/// A request id, or an optional one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a request id",
    label = "expected a `RequestId`",
    note = "help: make one at the edge, where a refusal can be answered: `RequestId::new(text)?`",
    note = "help: or name where the scope comes from: `ctx = <expr>`, or `tenant = <expr>, env = <expr>`"
)]
pub trait AsRequestId {
    fn as_request_id(&self) -> Option<&RequestId>;
}

impl AsRequestId for RequestId {
    fn as_request_id(&self) -> Option<&RequestId> {
        Some(self)
    }
}

/// A trace id, or an optional one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a trace id",
    label = "expected a `TraceId`",
    note = "help: make one at the edge, where a refusal can be answered: `text.parse::<TraceId>()?`",
    note = "help: or name where the scope comes from: `ctx = <expr>`, or `tenant = <expr>, env = <expr>`"
)]
pub trait AsTraceId {
    fn as_trace_id(&self) -> Option<TraceId>;
}

impl AsTraceId for TraceId {
    fn as_trace_id(&self) -> Option<TraceId> {
        Some(*self)
    }
}

/// A user id, or an optional one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as an actor",
    label = "expected a `UserId`",
    note = "help: make one at the edge, where a refusal can be answered: `UserId::new(text)?`"
)]
pub trait AsActor {
    fn as_actor(&self) -> Option<&UserId>;
}

impl AsActor for UserId {
    fn as_actor(&self) -> Option<&UserId> {
        Some(self)
    }
}

macro_rules! forward_optional {
    ($($trait:ident, $method:ident, $out:ty;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: $trait> $trait for Option<T> {
            fn $method(&self) -> $out {
                self.as_ref()?.$method()
            }
        }
        #[diagnostic::do_not_recommend]
        impl<T: $trait + ?Sized> $trait for &T {
            fn $method(&self) -> $out {
                (**self).$method()
            }
        }
    )*};
}

forward_optional! {
    AsRequestId, as_request_id, Option<&RequestId>;
    AsTraceId, as_trace_id, Option<TraceId>;
    AsActor, as_actor, Option<&UserId>;
}

// Opaque results: a value that cannot be captured is reported once, at the value.

pub fn ser<T: Serializable + ?Sized>(value: &T) -> impl Capture {
    Ser(value)
}

pub fn display<T: Displayable + ?Sized>(value: &T) -> impl Capture {
    ByDisplay(value)
}

pub fn debug<T: Debuggable + ?Sized>(value: &T) -> impl Capture {
    ByDebug(value)
}

pub fn hashed<T: Displayable + ?Sized>(value: &T) -> impl Capture {
    Hashed(value)
}

pub fn masked<T: Displayable + ?Sized>(value: &T) -> impl Capture {
    Masked(value)
}

/// A returned value, to ask whether it is a `Result` and what it says.
///
/// Inherent methods are found before those of [`Fallbacks`]: also through aliases and associated types.
pub struct Ret<'a, T>(pub &'a T);

impl<'a, T, E> Ret<'a, Result<T, E>> {
    pub fn dataset_event_code(self) -> Option<Code>
    where
        E: ErrorCode,
    {
        let error = self.0.as_ref().err()?;
        guarded(|| Some(error.code()))
    }

    pub fn dataset_event_code_literal(self, code: Code) -> Option<Code> {
        self.0.is_err().then_some(code)
    }

    pub fn dataset_event_code_by(self, code: impl FnOnce(&E) -> Code) -> Option<Code> {
        let error = self.0.as_ref().err()?;
        guarded(|| Some(code(error)))
    }

    pub fn dataset_event_value(self) -> Option<&'a T> {
        self.0.as_ref().ok()
    }

    pub fn dataset_event_message(self) -> Option<&'a dyn std::fmt::Display>
    where
        E: HasMessage,
    {
        self.0.as_ref().err().map(HasMessage::message)
    }
}

/// An error that was returned, with the questions of [`Ret`].
pub struct Failure<'a, E>(pub &'a E);

impl<'a, E> Failure<'a, E> {
    pub fn dataset_event_code(self) -> Option<Code>
    where
        E: ErrorCode,
    {
        guarded(|| Some(self.0.code()))
    }

    pub fn dataset_event_code_literal(self, code: Code) -> Option<Code> {
        Some(code)
    }

    pub fn dataset_event_code_by(self, code: impl FnOnce(&E) -> Code) -> Option<Code> {
        guarded(|| Some(code(self.0)))
    }

    pub fn dataset_event_message(self) -> Option<&'a dyn std::fmt::Display>
    where
        E: HasMessage,
    {
        Some(self.0.message())
    }
}

/// An error whose message can be recorded.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` has no message to record: it does not implement `Display`",
    label = "`error_message` records the error's `Display`",
    note = "help: implement `std::fmt::Display` for `{Self}`, or remove `error_message`"
)]
pub trait HasMessage {
    fn message(&self) -> &dyn std::fmt::Display;
}

#[diagnostic::do_not_recommend]
impl<E: std::fmt::Display> HasMessage for E {
    fn message(&self) -> &dyn std::fmt::Display {
        self
    }
}

pub trait Fallbacks<'a, T> {
    fn dataset_event_code(&self) -> Option<Code> {
        None
    }
    fn dataset_event_code_literal(&self, _code: Code) -> Option<Code> {
        None
    }
    fn dataset_event_code_by<F>(&self, _code: F) -> Option<Code> {
        None
    }
    fn dataset_event_value(&self) -> Option<&'a T>;
    fn dataset_event_message(&self) -> Option<&'a dyn std::fmt::Display> {
        None
    }
}

impl<'a, T> Fallbacks<'a, T> for Ret<'a, T> {
    fn dataset_event_value(&self) -> Option<&'a T> {
        Some(self.0)
    }
}

/// The code of a value that is a failure without being an `Err`.
pub fn fails<T>(value: Option<&T>, code: impl FnOnce(&T) -> Option<Code>) -> Option<Code> {
    let value = value?;
    guarded(|| code(value))
}

/// A value that was returned, to ask whether it has really ended when the function returns.
pub struct Probe<'a, T>(pub Option<&'a T>);

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "the returned `{Self}` is a future or a stream, but the signature does not show it",
    label = "the call would be recorded as ended before it has run",
    note = "help: write the type out: `impl Future<Output = ..>`, `Pin<Box<dyn Future<Output = ..>>>`, `BoxFuture<..>` or the like of `Stream`",
    note = "help: or end the call when the function returns: `ends = \"return\"`"
)]
pub trait ShownInSignature {}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "the returned `{Self}` may hold an error that the ledger would record as `ok`",
    label = "only a `Result` shows its failure",
    note = "help: return the `Result` itself",
    note = "help: or say what is a failure: `fails = |ret| <expr of type Option<Code>>`"
)]
pub trait ShowsFailure {}

pub trait HiddenFuture {
    type Value;
    fn dataset_event_settled(self)
    where
        Self::Value: ShownInSignature;
    fn dataset_event_settled_or_fails(self)
    where
        Self::Value: ShownInSignature;
}

impl<F: Future> HiddenFuture for Probe<'_, F> {
    type Value = F;
    fn dataset_event_settled(self)
    where
        F: ShownInSignature,
    {
    }
    fn dataset_event_settled_or_fails(self)
    where
        F: ShownInSignature,
    {
    }
}

pub trait HiddenStream {
    type Value;
    fn dataset_event_settled(self)
    where
        Self::Value: ShownInSignature;
    fn dataset_event_settled_or_fails(self)
    where
        Self::Value: ShownInSignature;
}

impl<S: Stream> HiddenStream for Probe<'_, S> {
    type Value = S;
    fn dataset_event_settled(self)
    where
        S: ShownInSignature,
    {
    }
    fn dataset_event_settled_or_fails(self)
    where
        S: ShownInSignature,
    {
    }
}

impl<T, E> Probe<'_, Option<Result<T, E>>> {
    pub fn dataset_event_settled(self)
    where
        Option<Result<T, E>>: ShowsFailure,
    {
    }
}

impl<T, E> Probe<'_, Poll<Result<T, E>>> {
    pub fn dataset_event_settled(self)
    where
        Poll<Result<T, E>>: ShowsFailure,
    {
    }
}

impl<T, E> Probe<'_, Poll<Option<Result<T, E>>>> {
    pub fn dataset_event_settled(self)
    where
        Poll<Option<Result<T, E>>>: ShowsFailure,
    {
    }
}

impl<'r, T, E> Probe<'_, &'r Result<T, E>> {
    pub fn dataset_event_settled(self)
    where
        &'r Result<T, E>: ShowsFailure,
    {
    }
}

impl<'r, T, E> Probe<'_, &'r mut Result<T, E>> {
    pub fn dataset_event_settled(self)
    where
        &'r mut Result<T, E>: ShowsFailure,
    {
    }
}

pub trait Settled {
    fn dataset_event_settled(&self) {}
    fn dataset_event_settled_or_fails(&self) {}
}

impl<T> Settled for Probe<'_, T> {}

/// The error codes that the error type of a signature lists, as far as a static can name it.
pub struct Codes<R>(pub std::marker::PhantomData<R>);

impl<T, E: ErrorCode> Codes<Result<T, E>> {
    pub fn dataset_event_codes(self) -> &'static [Code] {
        E::codes()
    }
}

pub trait NoCodes: Sized {
    fn dataset_event_codes(&self) -> &'static [Code] {
        &[]
    }
}

impl<R> NoCodes for Codes<R> {}

/// The codes of an error type with transparent variants, each once.
pub fn joined_codes<E: ?Sized>(own: &'static [Code], others: &[&'static [Code]]) -> &'static [Code] {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};
    // Leaked once for each different list. Names need not be unique: the lists are compared.
    type Lists = HashMap<&'static str, Vec<&'static [Code]>>;
    static JOINED: Mutex<Option<Lists>> = Mutex::new(None);
    let mut all: Vec<Code> = Vec::new();
    for code in own.iter().chain(others.iter().copied().flatten()) {
        if !all.contains(code) {
            all.push(*code);
        }
    }
    let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = joined.get_or_insert_with(HashMap::new).entry(std::any::type_name::<E>()).or_default();
    if let Some(same) = known.iter().find(|codes| ***codes == *all) {
        return same;
    }
    let codes: &'static [Code] = Vec::leak(all);
    known.push(codes);
    codes
}

/// The answer of a `durable` function whose call the ledger cannot take.
#[diagnostic::on_unimplemented(
    message = "`durable` needs a function that returns a `Result`: `{Self}` cannot say that the call was refused",
    label = "a refused call has no value of this type",
    note = "help: return `Result<_, E>` where `E: From<LedgerUnavailable>`",
    note = "help: or use `guarantee = \"intent\"`"
)]
pub trait Refuse {
    fn refuse(error: LedgerUnavailable) -> Self;
}

impl<T, E: FromUnavailable> Refuse for Result<T, E> {
    fn refuse(error: LedgerUnavailable) -> Self {
        Err(E::from_unavailable(error))
    }
}

/// An error type that can say that the ledger refused the call.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot be made from `LedgerUnavailable`",
    label = "a `durable` call is refused with this error type",
    note = "help: add a variant and `impl From<LedgerUnavailable> for {Self}`",
    note = "help: or use `guarantee = \"intent\"`"
)]
pub trait FromUnavailable {
    fn from_unavailable(error: LedgerUnavailable) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<LedgerUnavailable>> FromUnavailable for E {
    fn from_unavailable(error: LedgerUnavailable) -> Self {
        E::from(error)
    }
}

/// What stands after a body that never returns, where the compiler cannot see that.
pub fn never() -> ! {
    unreachable!("a function of type `!` returned")
}
