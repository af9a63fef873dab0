//! Verification of an open ledger, or of one scope of it, by its own program.

use super::{VerifyError, VerifyOptions, VerifyReport, verify_storage};
use crate::ledger::Ledger;
use crate::scope::ScopedReader;

impl Ledger {
    /// Verifies all of this ledger that is in its log now, beside its writing. To include every call that
    /// has returned, [`flush`](Self::flush) first; they count as unprotected until the next checkpoint.
    ///
    /// # Errors
    ///
    /// As [`verify`](crate::verify).
    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        self.verify_with(&VerifyOptions::new())
    }

    /// The same with options: for one scope, or against heads and keys known from outside.
    ///
    /// # Errors
    ///
    /// As [`verify`](crate::verify).
    pub fn verify_with(&self, options: &VerifyOptions) -> Result<VerifyReport, VerifyError> {
        verify_storage(&*self.owner.storage, options)
    }
}

impl ScopedReader {
    /// Verifies this scope's stream, as [`Ledger::verify`] does. The whole log is read, because a
    /// checkpoint covers all of it; of other scopes the report tells nothing but how many findings they have.
    ///
    /// # Errors
    ///
    /// As [`verify`](crate::verify).
    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        verify_storage(&*self.parts.storage, &VerifyOptions::new().scope(self.scope().clone()))
    }
}
