//! Verification of an open ledger by its own program.

use super::{VerifyError, VerifyOptions, VerifyReport, verify_storage};
use crate::ledger::Ledger;

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
