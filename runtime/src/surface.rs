//! Surfaces: the named operations of a program, and the link-time registry of all of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error_code::Code;
use crate::seen::Seen;

/// What an operation does to the data of its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Access {
    /// Reads and changes nothing.
    Read,
    /// Changes something. The default.
    Write,
    /// Makes something new.
    Create,
    /// Changes something that is there.
    Update,
    /// Removes something.
    Delete,
    /// Runs something with effects outside the data.
    Execute,
}

impl Access {
    /// The name in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Execute => "execute",
        }
    }

    pub(crate) const ALL: [Self; 6] =
        [Self::Read, Self::Write, Self::Create, Self::Update, Self::Delete, Self::Execute];

    /// Whether the operation changes nothing.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Read)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What survives which failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Guarantee {
    /// When the call returns, its event survives the process. The default for reads.
    Recorded,
    /// The attempt is in the journal before the body runs. The default for writes.
    Intent,
    /// The attempt is fsynced before the body runs, the result before the call returns.
    Durable,
}

impl Guarantee {
    /// The name in the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Intent => "intent",
            Self::Durable => "durable",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a captured value is turned into JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CaptureForm {
    /// By `serde::Serialize`.
    Serialize,
    /// By `Display`, as a string.
    Display,
    /// By `Debug`, as a string.
    Debug,
    /// HMAC-SHA-256 under the tenant's key.
    Hashed,
    /// Only that it was there, and its length.
    Masked,
}

/// One captured name of a surface.
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct CapturedField {
    /// The name in the payload.
    pub name: &'static str,
    /// How its value is turned into JSON.
    pub form: CaptureForm,
    /// The type as written in the signature; empty for an expression.
    pub rust_type: &'static str,
}

impl CapturedField {
    #[doc(hidden)]
    pub const fn new(name: &'static str, form: CaptureForm, rust_type: &'static str) -> Self {
        Self { name, form, rust_type }
    }
}

/// One annotated function of this binary, or one that is left out by `skip`.
///
/// Made by the attribute only; read it through [`surfaces`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Site {
    /// The dotted name. For a skipped method, the name it would have had.
    pub surface: &'static str,
    /// What the operation does to the data.
    pub access: Access,
    /// What survives which failure.
    pub guarantee: Guarantee,
    /// The module path; its first segment is the crate.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function's name.
    pub line: u32,
    /// Captured inputs.
    pub inputs: &'static [CapturedField],
    /// Captured outputs.
    pub outputs: &'static [CapturedField],
    /// The kinds of source refs the attribute names.
    pub source_refs: &'static [&'static str],
    /// The codes that the error type lists, when it lists them.
    pub codes: fn() -> &'static [Code],
    /// Why the function records nothing, for `skip = "reason"`.
    pub skip: Option<&'static str>,
    /// Why no call can fail, for `cannot_fail = "reason"`.
    pub cannot_fail: Option<&'static str>,
    pub(crate) seen: Seen,
}

impl Site {
    #[doc(hidden)]
    #[allow(clippy::too_many_arguments, reason = "called by generated code alone")]
    pub const fn new(
        surface: &'static str,
        access: Access,
        guarantee: Guarantee,
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
        inputs: &'static [CapturedField],
        outputs: &'static [CapturedField],
        source_refs: &'static [&'static str],
        codes: fn() -> &'static [Code],
        skip: Option<&'static str>,
        cannot_fail: Option<&'static str>,
    ) -> Self {
        Self {
            surface,
            access,
            guarantee,
            module,
            function,
            file,
            line,
            inputs,
            outputs,
            source_refs,
            codes,
            skip,
            cannot_fail,
            seen: Seen::new(),
        }
    }

    /// The crate that holds the function.
    pub fn crate_name(&self) -> &'static str {
        self.module.split("::").next().unwrap_or(self.module)
    }

    /// Whether this process has called the function.
    pub fn was_entered(&self) -> bool {
        self.seen.has(Seen::ENTERED)
    }

    /// Whether this process has seen the function succeed.
    pub fn was_ok(&self) -> bool {
        self.seen.has(Seen::OK)
    }

    /// Whether this process has seen the function fail: with a code, or by panic. A future that was dropped
    /// has not failed.
    pub fn has_failed(&self) -> bool {
        self.seen.has(Seen::FAILED)
    }
}

#[doc(hidden)]
#[linkme::distributed_slice]
pub static SITES: [&'static Site];

/// Every annotated function that this binary links, in no particular order.
pub fn surfaces() -> impl ExactSizeIterator<Item = &'static Site> {
    SITES.iter().copied()
}
