//! Error codes: the one thing about a failure that is recorded by default.

use std::fmt;

/// A code in the form `engine.reason`, with what an error surface needs to know of it.
///
/// Codes are literals: low in number, stable, without data. `$`-names and one-word codes
/// (`panic`, `cancelled`, `interrupted`) are the framework's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    name: &'static str,
    status: u16,
    is_denied: bool,
    is_retryable: bool,
}

impl Code {
    /// For a failure whose code could not be had, because the program's own code for it panicked.
    pub(crate) const UNCODED: Self =
        Self { name: "ledger.uncoded", status: 500, is_denied: false, is_retryable: false };

    /// Makes a code from a literal, with status 500.
    ///
    /// # Panics
    ///
    /// When `name` is not `[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+` of at most 64 bytes; in a `const`
    /// that is a build error.
    pub const fn new(name: &'static str) -> Self {
        assert!(
            is_dotted_name(name),
            "expected a code like `engine.reason`: [a-z][a-z0-9_]*(.[a-z][a-z0-9_]*)+, at most 64 bytes"
        );
        Self { name, status: 500, is_denied: false, is_retryable: false }
    }

    /// The same code with an HTTP status, 400 to 599. 401, 403 and 429 make it a denial.
    ///
    /// # Panics
    ///
    /// When the status is out of range; in a `const` that is a build error.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        assert!(status >= 400 && status <= 599, "expected a status from 400 to 599");
        self.status = status;
        self.is_denied = matches!(status, 401 | 403 | 429);
        self
    }

    /// The same code, recorded with outcome `denied` (or not).
    #[must_use]
    pub const fn denied(mut self, is_denied: bool) -> Self {
        self.is_denied = is_denied;
        self
    }

    /// The same code, worth a retry by the caller (or not).
    #[must_use]
    pub const fn retryable(mut self, is_retryable: bool) -> Self {
        self.is_retryable = is_retryable;
        self
    }

    /// The dotted name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The HTTP status. Defaults to 500.
    pub const fn http_status(&self) -> u16 {
        self.status
    }

    /// Whether a failure with this code is a denial: the caller was not allowed.
    pub const fn is_denied(&self) -> bool {
        self.is_denied
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Whether `name` is `[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+` of at most 64 bytes: the form of
/// surfaces and codes.
pub(crate) const fn is_dotted_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 {
        return false;
    }
    let mut at = 0;
    let mut dots = 0;
    let mut is_start = true;
    while at < bytes.len() {
        let byte = bytes[at];
        if is_start {
            if !byte.is_ascii_lowercase() {
                return false;
            }
            is_start = false;
        } else if byte == b'.' {
            dots += 1;
            is_start = true;
        } else if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return false;
        }
        at += 1;
    }
    dots > 0 && !is_start
}

/// An error that knows its code. Derive it with `#[derive(ErrorCode)]`.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` has no code for the ledger",
    label = "this error type does not implement `ErrorCode`",
    note = "help: derive it: `#[derive(ErrorCode)]` with `#[code(\"engine.reason\")]` on each variant",
    note = "help: or name one code for every failure of this function: `error_code = \"engine.reason\"`"
)]
pub trait ErrorCode {
    /// The code of this value.
    fn code(&self) -> Code;

    /// Every code that this type can return, for the registry and the coverage report.
    /// Empty when the type does not list them.
    fn codes() -> &'static [Code]
    where
        Self: Sized,
    {
        &[]
    }
}

#[diagnostic::do_not_recommend]
impl<T: ErrorCode + ?Sized> ErrorCode for &T {
    fn code(&self) -> Code {
        (**self).code()
    }
}

#[diagnostic::do_not_recommend]
impl<T: ErrorCode + ?Sized> ErrorCode for Box<T> {
    fn code(&self) -> Code {
        (**self).code()
    }
}

#[diagnostic::do_not_recommend]
impl<T: ErrorCode + ?Sized> ErrorCode for std::sync::Arc<T> {
    fn code(&self) -> Code {
        (**self).code()
    }
}

#[diagnostic::do_not_recommend]
impl ErrorCode for std::convert::Infallible {
    fn code(&self) -> Code {
        match *self {}
    }
}

/// The ledger could not take a `durable` call; its body did not run.
///
/// An error type gets a variant made from this one (`#[from]`, or `impl From`) so that a function
/// with `guarantee = "durable"` can refuse instead of acting without a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerUnavailable {
    /// Why the ledger could not take the call.
    pub reason: UnavailableReason,
}

/// Why a ledger cannot take a `durable` call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnavailableReason {
    /// No ledger is installed in this process.
    NotInstalled,
    /// The ledger was closed.
    Closed,
    /// A write or an fsync failed; the ledger must be reopened.
    Failed,
    /// The disk is full; the ledger goes on by itself when there is room.
    NoRoom,
    /// The journal is full and the bounded wait is over.
    Overloaded,
    /// The process was forked after the ledger was opened.
    Forked,
}

impl LedgerUnavailable {
    /// The code: `ledger.unavailable`, status 503, retryable.
    pub const CODE: Code = Code::new("ledger.unavailable").status(503).retryable(true);

    pub(crate) fn new(reason: UnavailableReason) -> Self {
        Self { reason }
    }
}

impl fmt::Display for LedgerUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was refused because its event cannot be made durable: ")?;
        f.write_str(match self.reason {
            UnavailableReason::NotInstalled => "no ledger is installed in this process",
            UnavailableReason::Closed => "the ledger is closed",
            UnavailableReason::Failed => "the ledger failed to write and must be reopened",
            UnavailableReason::NoRoom => "the disk is full; the ledger goes on when there is room",
            UnavailableReason::Overloaded => "the journal is full",
            UnavailableReason::Forked => "this process was forked after the ledger was opened",
        })
    }
}

impl std::error::Error for LedgerUnavailable {}

#[diagnostic::do_not_recommend]
impl ErrorCode for LedgerUnavailable {
    fn code(&self) -> Code {
        Self::CODE
    }

    fn codes() -> &'static [Code] {
        &[Self::CODE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names() {
        for good in ["a.b", "chat.send_message", "a1.b2.c3"] {
            assert!(is_dotted_name(good), "{good}");
        }
        let long = format!("a.{}", "b".repeat(63));
        for bad in ["", "a", "a.", ".a", "a..b", "A.b", "1.b", "a.1", "a-b.c", "$a.b", &long] {
            assert!(!is_dotted_name(bad), "{bad}");
        }
    }

    #[test]
    fn refusals_are_denied_by_default() {
        assert!(Code::new("a.b").status(403).is_denied());
        assert!(!Code::new("a.b").status(404).is_denied());
        assert!(!Code::new("a.b").status(403).denied(false).is_denied());
    }
}
