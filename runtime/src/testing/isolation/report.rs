//! What the isolation contract found.

use std::fmt;

use super::Checked;

/// At most this many findings are written out; the rest is counted.
const SHOWN: usize = 40;

/// One way in which isolation is broken, or could not be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// A canary is where it does not belong.
    Leak {
        /// Whose canary it is.
        tenant: String,
        /// Where it was found.
        place: String,
        /// The bytes around it.
        excerpt: String,
    },
    /// Events of a stream do not follow each other within their scope.
    BrokenStream {
        /// Where.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The exercise panicked.
    Panicked {
        /// Whose exercise.
        tenant: String,
        /// In which round, from 0.
        round: usize,
        /// With which message.
        message: String,
    },
    /// In some rounds a tenant's canary was, as data, neither in what it observed nor in an `ok` event of its
    /// scope: they show nothing.
    NothingOfItsOwn {
        /// The tenant.
        tenant: String,
        /// The rounds, from 0.
        rounds: Vec<usize>,
    },
    /// The ledgers hold no event of a tenant's scope with the outcome `ok`: whatever it asked was refused.
    NothingSucceeded {
        /// The tenant.
        tenant: String,
    },
    /// A place could not be looked at.
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak { tenant, place, excerpt } => {
                write!(f, "the canary of {tenant} is in {place}: {excerpt}")
            }
            Self::BrokenStream { place, what } => write!(f, "{place}: {what}"),
            Self::Panicked { tenant, round, message } => {
                write!(f, "the exercise of {tenant} panicked in round {round}: {message}")
            }
            Self::NothingOfItsOwn { tenant, rounds } => {
                let rounds: Vec<String> = rounds.iter().map(usize::to_string).collect();
                write!(
                    f,
                    "nothing of {tenant}'s own came back in round {}: its canary, other than in its user and \
                     request ids, is neither in what it observed nor in an ok event of its scope. Were its \
                     requests refused? Let the exercise assert that they succeed, send the canary as data, and \
                     return what came back, or send the round's request id and name the ledger",
                    rounds.join(", ")
                )
            }
            Self::NothingSucceeded { tenant } => write!(
                f,
                "the ledgers hold no ok event of {tenant}: its requests were refused, or went to a service \
                 whose ledger is not named. Let the exercise assert the status of each, sign in as the \
                 tenant's user, and name the ledgers of the services that it calls"
            ),
            Self::Unreadable { place, reason } => write!(f, "could not look into {place}: {reason}"),
        }
    }
}

/// How much was looked at, of an isolation contract that held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationReport {
    /// Tenants that ran at once.
    pub tenants: usize,
    /// Times that each ran the exercise.
    pub rounds: usize,
    /// Bytes that tenants observed, and shared ones.
    pub observed_bytes: u64,
    /// Lines of the ledgers' logs.
    pub lines: u64,
    /// Streams of the ledgers.
    pub streams: usize,
    /// Bytes of the ledgers' indexes.
    pub index_bytes: u64,
}

/// Isolation is broken. `Display` lists the findings, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsolationBroken {
    /// Everything that was found.
    pub breaches: Vec<Breach>,
}

impl fmt::Display for IsolationBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the isolation contract is broken, {} findings:", self.breaches.len())?;
        for breach in self.breaches.iter().take(SHOWN) {
            write!(f, "\n- {breach}")?;
        }
        match self.breaches.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n- and {more} more"),
        }
    }
}

impl std::error::Error for IsolationBroken {}

pub(super) fn conclude(
    tenants: usize,
    rounds: usize,
    checked: Checked,
) -> Result<IsolationReport, IsolationBroken> {
    let Checked { breaches, observed_bytes, lines, streams, index_bytes, .. } = checked;
    if !breaches.is_empty() {
        return Err(IsolationBroken { breaches });
    }
    Ok(IsolationReport { tenants, rounds, observed_bytes, lines, streams, index_bytes })
}
