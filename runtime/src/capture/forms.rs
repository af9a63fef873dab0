//! The ways to turn a value into JSON, and what a value needs for each.

use std::fmt::{self, Debug, Display};
use std::io;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::ser::Formatter;
use sha2::Sha256;

use super::{Failed, Sink, Tenant};
use crate::ids::encode_hex;

/// A value of an attribute expression, with the way it is turned into JSON.
pub trait Capture {
    /// Writes the value as one JSON value.
    ///
    /// # Errors
    ///
    /// When the value's own code fails; what was written is rolled back.
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed>;
}

/// A value that can stand in a payload by `Serialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be captured: it does not implement `serde::Serialize`",
    label = "cannot be captured like this",
    note = "help: derive it with `#[derive(serde::Serialize)]`",
    note = "help: or capture it as text, by `Display` with `name = %value` or by `Debug` with `name = ?value`"
)]
pub trait Serializable {
    /// Writes the value.
    fn serialize_into(&self, sink: &mut Sink<'_>) -> Result<(), Failed>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Serializable for T {
    #[inline]
    fn serialize_into(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        let mut serializer = serde_json::Serializer::with_formatter(sink, OneLine);
        self.serialize(&mut serializer).map_err(|_| Failed)
    }
}

/// A value that can stand in a payload by `Display`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be captured as text: it does not implement `Display`",
    label = "cannot be captured like this",
    note = "help: name something that has a text form, or capture it by `Debug` with `name = ?value`",
    note = "help: for an optional id call `current().source_ref(kind, id)` in the body"
)]
pub trait Displayable {
    /// Formats the value.
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

#[diagnostic::do_not_recommend]
impl<T: Display + ?Sized> Displayable for T {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// A value that can stand in a payload by `Debug`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be captured by `Debug`: it does not implement it",
    label = "cannot be captured like this",
    note = "help: derive it with `#[derive(Debug)]`, or capture a part that has it: `name = ?value.part`"
)]
pub trait Debuggable {
    /// Formats the value.
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

#[diagnostic::do_not_recommend]
impl<T: Debug + ?Sized> Debuggable for T {
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(self, f)
    }
}

/// By `Serialize`.
#[derive(Debug)]
pub(crate) struct Ser<'a, T: ?Sized>(pub(crate) &'a T);
/// By `Display`.
#[derive(Debug)]
pub(crate) struct ByDisplay<'a, T: ?Sized>(pub(crate) &'a T);
/// By `Debug`.
#[derive(Debug)]
pub(crate) struct ByDebug<'a, T: ?Sized>(pub(crate) &'a T);
/// The HMAC of the `Display` form under the tenant's key.
#[derive(Debug)]
pub(crate) struct Hashed<'a, T: ?Sized>(pub(crate) &'a T);
/// The length of the `Display` form.
#[derive(Debug)]
pub(crate) struct Masked<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Displayable + ?Sized> Display for ByDisplay<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display(f)
    }
}

impl<T: Debuggable + ?Sized> Display for ByDebug<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(f)
    }
}

impl<T: Serializable + ?Sized> Capture for Ser<'_, T> {
    #[inline]
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        self.0.serialize_into(sink)
    }
}

impl<T: Displayable + ?Sized> Capture for ByDisplay<'_, T> {
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        text(sink, self)
    }
}

impl<T: Debuggable + ?Sized> Capture for ByDebug<'_, T> {
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        text(sink, self)
    }
}

impl<T: Displayable + ?Sized> Capture for Hashed<'_, T> {
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        // Without a ledger there is no key, and a bare hash of a short text can be guessed.
        let Some(key) = sink.tenant().and_then(Tenant::key) else { return masked(sink, &ByDisplay(self.0)) };
        hashed(sink, &key, &ByDisplay(self.0))
    }
}

impl<T: Displayable + ?Sized> Capture for Masked<'_, T> {
    fn capture(&self, sink: &mut Sink<'_>) -> Result<(), Failed> {
        masked(sink, &ByDisplay(self.0))
    }
}

fn text(sink: &mut Sink<'_>, value: &dyn Display) -> Result<(), Failed> {
    let mut serializer = serde_json::Serializer::with_formatter(sink, OneLine);
    serde::Serializer::collect_str(&mut serializer, value).map_err(|_| Failed)
}

fn hashed(sink: &mut Sink<'_>, key: &[u8; 32], value: &dyn Display) -> Result<(), Failed> {
    let mut mac = HashText(<Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| Failed)?);
    fmt::write(&mut mac, format_args!("{value}")).map_err(|_| Failed)?;
    let mut hex = [0; 64];
    encode_hex(&mac.0.finalize().into_bytes(), &mut hex);
    sink.put(br#"{"$hashed":""#)?;
    sink.put(&hex)?;
    sink.put(br#""}"#)
}

fn masked(sink: &mut Sink<'_>, value: &dyn Display) -> Result<(), Failed> {
    let mut count = CountChars(0);
    fmt::write(&mut count, format_args!("{value}")).map_err(|_| Failed)?;
    sink.put(br#"{"$masked":{"chars":"#)?;
    Ser(&count.0).capture(sink)?;
    sink.put(b"}}")
}

struct HashText(Hmac<Sha256>);

impl fmt::Write for HashText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

struct CountChars(u64);

impl fmt::Write for CountChars {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.chars().count() as u64;
        Ok(())
    }
}

/// Compact JSON whose every value stays on the line, also one that is written as raw text.
struct OneLine;

impl Formatter for OneLine {
    fn write_raw_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if serde_json::from_str::<serde::de::IgnoredAny>(fragment).is_err() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // In valid JSON a raw control character can only be white space between tokens.
        for part in fragment.split(|byte: char| byte < ' ') {
            writer.write_all(part.as_bytes())?;
        }
        Ok(())
    }
}
