//! What a sink's tests tell the suite of the sink's target.

use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::{EntryKind, Sink};
use dataset_events::sources::Source;

use super::cut::Piece;
use super::held::from_source;

/// Where a sink stores: a fresh one for each check.
///
/// What it has no ability for (a server that can be killed, a network that can fail) it leaves at the default; the
/// checks that need it are then listed as not applicable, with the reason, where the suite is asked for.
pub trait Target {
    /// A new sink on this target, not opened yet. It is made again where a process would start anew: all that it may
    /// know of its forerunner is in the target and in the state that it is given.
    ///
    /// Its time limits must be short: see [`time_limit`](Self::time_limit).
    fn sink(&self) -> Box<dyn Sink>;

    /// What the target holds of a ledger, in the order in which it gives it out.
    ///
    /// By default that is read from its [`source`](Self::source). Without one, say it entry by entry.
    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        let source = self.source().expect("a target without a source says itself what it holds");
        from_source(&*source, ledger_id)
    }

    /// The target, read back by its source.
    fn source(&self) -> Option<Box<dyn Source>> {
        None
    }

    /// What it keeps of what it is given. By default all of it, each entry once.
    fn keeps(&self) -> Keeps {
        Keeps::default()
    }

    /// Within which time an `append` must return when the target does not answer: the sink's own limit, and some room.
    /// Defaults to 10 seconds.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Texts that must be in no error and in no rejection: tokens, passwords.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// The server, which can be killed and started.
    fn server(&mut self) -> Option<&mut dyn Server> {
        None
    }

    /// What lies between the sink and its server, and can fail.
    fn network(&mut self) -> Option<&mut dyn Network> {
        None
    }

    /// What gives the sink its tokens, and can stop to.
    fn credentials(&mut self) -> Option<&mut dyn Credentials> {
        None
    }
}

/// A server that a test can kill.
pub trait Server {
    /// SIGKILL; returns when it is gone.
    fn kill(&mut self);

    /// Starts it again at the same address; returns when it answers.
    fn start(&mut self);

    /// How long the suite leaves it down. Defaults to 20 seconds.
    fn outage(&self) -> Duration {
        Duration::from_secs(20)
    }
}

/// How a network fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// Nothing gets through, and whoever tries is told.
    Refuse,
    /// Requests reach the server and are served; their answers do not come back.
    DropAnswers,
    /// Nothing gets through, and nobody is told.
    Hang,
    /// A part of the next batch reaches the server and is stored; then as [`Refuse`](Self::Refuse).
    CutInBatch,
}

/// What lies between a sink and its server.
pub trait Network {
    /// From now on it fails so. What was under way may still arrive.
    fn set(&mut self, fault: Fault);

    /// How many bytes it has carried to the server.
    fn carried_bytes(&self) -> u64;
}

/// What gives a sink its tokens.
pub trait Credentials {
    /// From now on tokens that were given are no longer accepted, and none is given.
    fn refuse(&mut self);

    /// From now on tokens are given, and accepted.
    fn accept(&mut self);
}

/// What a target keeps of what it is given.
#[derive(Debug, Clone)]
pub struct Keeps {
    /// The kinds of entries; others are acknowledged and not kept.
    pub kinds: Vec<EntryKind>,
    /// Whether it keeps the place of each.
    pub places: bool,
    /// Whether each stands there once. A target that is a stream to others cannot take anything back: there an entry
    /// that comes again stands there again, with the same bytes.
    pub once: bool,
}

impl Default for Keeps {
    fn default() -> Self {
        use EntryKind::{Attempt, Checkpoint, Cut, Event, HeadTable, Identity};
        let kinds = vec![Identity, Event, Attempt, HeadTable, Checkpoint, Cut];
        Self { kinds, places: true, once: true }
    }
}

/// What a check needs of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// [`Target::server`].
    Server,
    /// [`Target::network`].
    Network,
    /// [`Target::credentials`].
    Credentials,
    /// [`Target::source`].
    Source,
    /// [`Keeps::once`].
    Once,
    /// All kinds of entries, with their places.
    Whole,
}

impl Ability {
    /// Whether a target has it.
    pub fn is_of(self, target: &mut dyn Target) -> bool {
        match self {
            Self::Server => target.server().is_some(),
            Self::Network => target.network().is_some(),
            Self::Credentials => target.credentials().is_some(),
            Self::Source => target.source().is_some(),
            Self::Once => target.keeps().once,
            Self::Whole => {
                let keeps = target.keeps();
                keeps.places && keeps.kinds.len() == Keeps::default().kinds.len()
            }
        }
    }
}
