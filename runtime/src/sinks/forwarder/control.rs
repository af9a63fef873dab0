//! What operators do with sinks.

use std::fmt;

use super::dead_letters::DeadLetter;
use super::{Forwarders, SinkSpec, SinkStatus, dead_letters, scan};
use crate::ids::Scope;
use crate::log::LogPosition;

/// The sinks of an open ledger. Clones are of the same ledger, and do not keep it open.
#[derive(Debug, Clone)]
pub struct Sinks {
    pub(super) forwarders: std::sync::Arc<Forwarders>,
}

/// From where a sink gets the log again. What it holds already is harmless to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayFrom {
    /// From the first line that the ledger holds.
    Beginning,
    /// From the line that holds a place in the log.
    Position(LogPosition),
    /// From an event of a scope's stream.
    Event {
        /// The scope.
        scope: Scope,
        /// The event's number in the stream.
        seq: u64,
    },
}

/// A sink could not be controlled.
#[derive(Debug)]
#[non_exhaustive]
pub enum SinkControlError {
    /// The ledger has no sink of that name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// There is a sink of that name: replace it instead.
    Exists {
        /// The name.
        name: String,
    },
    /// The place to replay from is not in the log.
    NoSuchPlace {
        /// What was asked for.
        asked: String,
    },
    /// The log or a file beside it could not be read.
    Io {
        /// What was attempted, on what.
        attempted: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The ledger is closed.
    Closed,
    /// This is a forked child: its parent has the sinks.
    Forked,
}

impl fmt::Display for SinkControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, names } if names.is_empty() => {
                write!(f, "sink `{name}`: the ledger has no sinks")
            }
            Self::Unknown { name, names } => {
                write!(f, "sink `{name}`: expected one of `{}`", names.join("`, `"))
            }
            Self::Exists { name } => write!(f, "add sink `{name}`: there is one of that name; replace it"),
            Self::NoSuchPlace { asked } => write!(f, "replay from {asked}: the log does not hold it"),
            Self::Io { attempted, .. } => f.write_str(attempted),
            Self::Closed => f.write_str("control a sink: the ledger is closed"),
            Self::Forked => f.write_str("control a sink: its process is the parent of this one"),
        }
    }
}

impl std::error::Error for SinkControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Sinks {
    /// How each sink fares, in the order in which they were attached. Costs a few locks, and reads nothing.
    pub fn statuses(&self) -> Vec<SinkStatus> {
        self.forwarders.all().iter().map(|forwarder| forwarder.shared.status()).collect()
    }

    /// How a sink fares; `None` when there is none of that name.
    pub fn status(&self, name: &str) -> Option<SinkStatus> {
        self.forwarders.find(name).ok().map(|forwarder| forwarder.shared.status())
    }

    /// Lets a sink rest after the batch at hand. What comes meanwhile lies in the log.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Unknown`], `Closed`, `Forked`.
    pub fn pause(&self, name: &str) -> Result<(), SinkControlError> {
        self.forwarders.find(name)?.shared.tell(|state| state.is_paused = true);
        Ok(())
    }

    /// Lets a sink go on: one that was paused or has stopped, or that waits for its next attempt.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Unknown`], `Closed`, `Forked`.
    pub fn resume(&self, name: &str) -> Result<(), SinkControlError> {
        self.forwarders.find(name)?.shared.tell(|state| {
            state.is_paused = false;
            state.is_resumed = true;
        });
        Ok(())
    }

    /// Forwards a part of the log again; returns from where. A sink that is not there yet is not moved forward:
    /// nothing is skipped. One that is paused or has stopped begins when it is resumed.
    ///
    /// Finding an event reads the log up to it.
    ///
    /// # Errors
    ///
    /// - [`SinkControlError::NoSuchPlace`]: the log does not hold it.
    /// - [`SinkControlError::Io`]: the log could not be read.
    /// - [`SinkControlError::Unknown`], `Closed`, `Forked`.
    pub fn replay(&self, name: &str, from: &ReplayFrom) -> Result<LogPosition, SinkControlError> {
        let forwarder = self.forwarders.find(name)?;
        let storage = &self.forwarders.storage;
        let durable = forwarder.shared.lock().durable.position;
        let failed = |source| SinkControlError::Io { attempted: format!("replay sink `{name}`"), source };
        let position = match from {
            ReplayFrom::Beginning => LogPosition::START,
            ReplayFrom::Position(position) if *position >= durable => {
                return Err(SinkControlError::NoSuchPlace { asked: position.to_string() });
            }
            ReplayFrom::Position(position) => scan::line_start(storage, *position).map_err(failed)?,
            ReplayFrom::Event { scope, seq } => {
                let first = super::follow::segments(&**storage).map_err(failed)?.first().copied();
                let start = LogPosition { segment: first.unwrap_or(1), offset: 0 };
                let found = scan::find_event(storage, scope, *seq, start, durable).map_err(failed)?;
                let asked = || format!("event {seq} of {scope}");
                found.ok_or_else(|| SinkControlError::NoSuchPlace { asked: asked() })?
            }
        };
        forwarder.shared.tell(|state| {
            // Of two replays the one that goes back further counts.
            state.replay = Some(state.replay.map_or(position, |other| other.min(position)));
        });
        Ok(position)
    }

    /// Attaches a sink while the ledger is open. One that was attached under that name before, of the same kind and
    /// target, goes on from its cursor.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Exists`], `Closed`, `Forked`.
    pub fn add(&self, spec: SinkSpec) -> Result<(), SinkControlError> {
        self.forwarders.add(spec)
    }

    /// Puts another sink in the place of the one with its name, or adds it. It goes on from the cursor, unless it is
    /// of another kind or has another target: then it begins anew. The one before gets its `close_within` to finish
    /// what it is at.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Closed`], `Forked`.
    pub fn replace(&self, spec: SinkSpec) -> Result<(), SinkControlError> {
        self.forwarders.replace(spec)
    }

    /// Takes a sink off. Its cursor and its dead letters stay beside the log.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Unknown`], `Closed`, `Forked`.
    pub fn remove(&self, name: &str) -> Result<(), SinkControlError> {
        self.forwarders.remove(name)
    }

    /// Offers the entries that a sink refused for good again, in order, before what comes next; returns how many there
    /// are. Those that it takes leave the dead letters, those that it refuses again stay as they are. A sink that is
    /// paused or has stopped begins when it is resumed. When an attempt fails, what is left of them stays too: ask again.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Unknown`], `Closed`, `Forked`.
    pub fn redeliver(&self, name: &str) -> Result<u64, SinkControlError> {
        let shared = &self.forwarders.find(name)?.shared;
        let mut count = 0;
        shared.tell(|state| {
            state.is_redelivery_asked = true;
            count = state.counts.dead_letters;
        });
        Ok(count)
    }

    /// The newest entries that a sink refused for good, the newest first, at most `limit`. Reads the whole file of
    /// them.
    ///
    /// # Errors
    ///
    /// [`SinkControlError::Io`], `Unknown`, `Closed`, `Forked`.
    pub fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, SinkControlError> {
        self.forwarders.find(name)?;
        dead_letters::newest(&*self.forwarders.storage, name, limit).map_err(|source| SinkControlError::Io {
            attempted: format!("read the dead letters of sink `{name}`"),
            source,
        })
    }
}
