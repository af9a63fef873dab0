//! What verification is asked to look at, and what it is told from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::LineHash;
use crate::ids::Scope;
use crate::log::heads::StreamHead;

/// A checkpoint's number and the hash of its line: enough to recognise the whole history before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointHead {
    /// The checkpoint's number.
    pub number: u64,
    /// SHA-256 of its line.
    pub hash: LineHash,
}

impl fmt::Display for CheckpointHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// A text is not a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHead {
    expected: &'static str,
}

impl fmt::Display for InvalidHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a head in the form `{}`", self.expected)
    }
}

impl std::error::Error for InvalidHead {}

impl FromStr for CheckpointHead {
    type Err = InvalidHead;

    /// Reads `number:hash`, as `Display` writes it.
    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let parse = || {
            let (number, hash) = text.split_once(':')?;
            Some(Self { number: number.parse().ok()?, hash: hash.parse().ok()? })
        };
        parse().ok_or(InvalidHead { expected: "<number>:<64 hexadecimal digits>" })
    }
}

impl fmt::Display for StreamHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.scope, self.seq, self.hash)
    }
}

impl FromStr for StreamHead {
    type Err = InvalidHead;

    /// Reads `tenant/env:seq:hash`, as `Display` writes it.
    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let parse = || {
            let (tenant, rest) = text.split_once('/')?;
            let (env, rest) = rest.split_once(':')?;
            let (seq, hash) = rest.split_once(':')?;
            let scope = Scope::from_stored(tenant, env).ok()?;
            Some(Self { scope, seq: seq.parse().ok()?, hash: hash.parse().ok()? })
        };
        parse().ok_or(InvalidHead { expected: "<tenant>/<env>:<seq>:<64 hexadecimal digits>" })
    }
}

/// What to verify, and what is known from outside the ledger's directory.
///
/// Without anything from outside, a directory that was rolled back as a whole, or made anew with another
/// key, cannot be told from an honest one.
///
/// ```
/// # use dataset_events::{Env, Scope, TenantId, VerifyOptions};
/// let scope = Scope::new(TenantId::from_static("acme"), Env::from_static("prod"));
/// let options = VerifyOptions::new()
///     .scope(scope)
///     .expect_head("acme/prod:1:6f1ed002ab5595859014ebf0951522d9cc3d7e1a4b2f0e6d8a7b6c5d4e3f2a10".parse()?);
/// # let _ = options;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct VerifyOptions {
    pub(super) scope: Option<Scope>,
    pub(super) heads: Vec<StreamHead>,
    pub(super) checkpoints: Vec<CheckpointHead>,
    pub(super) trusted_keys: Vec<[u8; 32]>,
}

impl VerifyOptions {
    /// The whole ledger, with nothing known from outside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports on one scope only. The whole log is read all the same, because a checkpoint covers all of
    /// it; what is found in other scopes is counted, not shown.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Expects that a stream holds this line: a head that was noted earlier, outside the ledger.
    pub fn expect_head(mut self, head: StreamHead) -> Self {
        self.heads.push(head);
        self
    }

    /// Expects that the ledger holds this checkpoint.
    pub fn expect_checkpoint(mut self, head: CheckpointHead) -> Self {
        self.checkpoints.push(head);
        self
    }

    /// Accepts checkpoints signed with this Ed25519 public key. Once one key is given, the keys that
    /// `ledger.json` lists are trusted no longer unless they are given too.
    pub fn trust_key(mut self, public_key: [u8; 32]) -> Self {
        self.trusted_keys.push(public_key);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::heads::tests::scope;

    #[test]
    fn heads_are_read_as_they_are_printed() {
        let hash = LineHash([0xab; 32]);
        for scope in [scope("a:b.c", "prod"), Scope::system()] {
            let head = StreamHead { scope, seq: 42, hash };
            assert_eq!(head.to_string().parse(), Ok(head));
        }
        let head = CheckpointHead { number: 7, hash };
        assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn other_texts_are_refused_with_the_form() {
        for text in ["", "acme", "acme/prod", "acme/prod:1", "acme/prod:x:00", "../x/prod:1:00"] {
            let error = text.parse::<StreamHead>().unwrap_err();
            assert!(error.to_string().contains("<tenant>/<env>:<seq>:"), "{error}");
        }
        assert!("7".parse::<CheckpointHead>().is_err());
    }
}
