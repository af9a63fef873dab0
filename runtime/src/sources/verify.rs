//! Verification from a source alone.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::restored::{LogGap, RestoreError, restore};
use super::{Source, SourceError};
use crate::ids::LedgerId;
use crate::log::storage::DiskStorage;
use crate::log::verify::{VerifyError, VerifyOptions, VerifyReport, verify_storage};

/// What verifying a ledger from a source found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SourceVerification {
    /// The report over what the source holds, up to the gap.
    pub report: VerifyReport,
    /// What the source lacks in the middle of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<LogGap>,
}

impl SourceVerification {
    /// Whether nothing was found and nothing is missing.
    pub fn is_verified(&self) -> bool {
        self.report.verified && self.gap.is_none()
    }
}

/// A ledger could not be verified from a source.
#[derive(Debug)]
#[non_exhaustive]
pub enum VerifySourceError {
    /// It could not be put together. A source that contradicts itself is [`SourceError::Corrupt`].
    Restore(RestoreError),
    /// What was put together could not be read.
    Verify(VerifyError),
}

impl VerifySourceError {
    /// Whether the source holds what no sink stores there: somebody changed it.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Restore(RestoreError::Source(SourceError::Corrupt { .. })))
    }
}

impl fmt::Display for VerifySourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restore(error) => error.fmt(f),
            Self::Verify(error) => error.fmt(f),
        }
    }
}

impl Error for VerifySourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Restore(error) => error.source(),
            Self::Verify(error) => error.source(),
        }
    }
}

/// Verifies a ledger from what a source holds and nothing else: chain, checkpoints and signatures.
///
/// The ledger is put together in a temporary directory, so that its log must fit there, and removed afterwards. A
/// ledger that is verified often is kept by [`Restored`](super::Restored).
///
/// # Errors
///
/// - [`VerifySourceError::Restore`] when the source cannot be read or contradicts itself.
/// - [`VerifySourceError::Verify`] when what was put together cannot be read.
pub fn verify_source(
    source: &dyn Source,
    ledger_id: LedgerId,
    options: &VerifyOptions,
) -> Result<SourceVerification, VerifySourceError> {
    let directory = Temporary::make().map_err(|source| {
        let attempted = "make a temporary directory".to_owned();
        VerifySourceError::Restore(RestoreError::Directory { attempted, source })
    })?;
    let storage = DiskStorage::new(directory.0.clone());
    let restored = restore(&storage, source, ledger_id).map_err(VerifySourceError::Restore)?;
    let report = verify_storage(&storage, options).map_err(VerifySourceError::Verify)?;
    Ok(SourceVerification { report, gap: restored.gap })
}

/// A directory that goes with this.
struct Temporary(PathBuf);

impl Temporary {
    fn make() -> std::io::Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(std::io::Error::other)?;
        let name = format!("dataset-events-{:032x}", u128::from_le_bytes(name));
        let path = std::env::temp_dir().join(name);
        let mut builder = std::fs::DirBuilder::new();
        // It holds what tenants did.
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
