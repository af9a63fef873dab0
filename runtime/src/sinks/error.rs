//! What a sink says when it could not store.

use std::error::Error;
use std::fmt;

/// A batch could not be stored. The kind says what the forwarder does next.
#[derive(Debug)]
#[non_exhaustive]
pub enum SinkError {
    /// It may work later: the target is away, busy, or refuses the credentials for now.
    Retry {
        /// What was attempted, on what.
        attempted: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// As `Retry`, but the connection or the stream is of no more use: open anew first.
    Reopen {
        /// What was attempted, on what.
        attempted: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It cannot work until somebody changes something: a target that is not what the settings say, a table of
    /// another shape. The text says what to do.
    Fatal {
        /// What was attempted, on what, and what to do.
        attempted: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SinkError {
    /// It may work later.
    pub fn retry(attempted: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Retry { attempted: attempted.into(), source: source.into() }
    }

    /// It may work later, on a new connection.
    pub fn reopen(attempted: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Reopen { attempted: attempted.into(), source: source.into() }
    }

    /// It cannot work until somebody changes something.
    pub fn fatal(attempted: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Fatal { attempted: attempted.into(), source: source.into() }
    }

    fn parts(&self) -> (&str, &(dyn Error + Send + Sync + 'static)) {
        match self {
            Self::Retry { attempted, source }
            | Self::Reopen { attempted, source }
            | Self::Fatal { attempted, source } => (attempted, &**source),
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.parts().0)
    }
}

impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.parts().1)
    }
}

/// An entry that a sink will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why, in words for the operator; no secrets.
    pub reason: String,
}

impl Rejected {
    /// Names an entry of the batch and the reason.
    pub fn new(index: usize, reason: impl Into<String>) -> Self {
        Self { index, reason: reason.into() }
    }
}
