//! What is forwarded where, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::time::{MachineTime, Time};
use crate::sinks::Sink;

/// A sink of a ledger, and how it is driven.
///
/// ```
/// # use dataset_events::sinks::{Ack, Entry, Sink, SinkError, SinkSpec};
/// # struct Archive;
/// # impl Sink for Archive {
/// #     fn kind(&self) -> &'static str { "archive" }
/// #     fn append(&mut self, _: &[Entry]) -> Result<Ack, SinkError> { Ok(Ack::all()) }
/// # }
/// let archive = SinkSpec::new("archive", Box::new(Archive))?.required(true);
/// # drop(archive);
/// # Ok::<_, dataset_events::sinks::InvalidSinkName>(())
/// ```
#[must_use = "a sink is given to `LedgerOptions::sink` or to `Sinks::add`"]
pub struct SinkSpec {
    pub(super) sink: Box<dyn Sink>,
    pub(super) settings: Settings,
}

/// All of a [`SinkSpec`] but the sink.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) target: String,
    pub(super) is_required: bool,
    pub(super) surfaces: Vec<String>,
    pub(super) batch_entries: usize,
    pub(super) batch_bytes: usize,
    pub(super) batch_age: Duration,
    pub(super) backoff: (Duration, Duration),
    pub(super) hang_after: Duration,
    pub(super) close_within: Duration,
    pub(super) time: Arc<dyn Time>,
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSpec")
            .field("name", &self.settings.name)
            .field("kind", &self.settings.kind)
            .field("required", &self.settings.is_required)
            .field("surfaces", &self.settings.surfaces)
            .field("batch_entries", &self.settings.batch_entries)
            .field("batch_bytes", &self.settings.batch_bytes)
            .field("batch_age", &self.settings.batch_age)
            .field("backoff", &self.settings.backoff)
            .field("hang_after", &self.settings.hang_after)
            .field("close_within", &self.settings.close_within)
            .finish_non_exhaustive()
    }
}

impl SinkSpec {
    /// A sink under a name of the operator's: `[a-z][a-z0-9_-]*`, at most 64 bytes. By the name it finds its cursor
    /// again when the ledger is opened the next time.
    ///
    /// # Errors
    ///
    /// [`InvalidSinkName`].
    pub fn new(name: &str, sink: Box<dyn Sink>) -> Result<Self, InvalidSinkName> {
        let is_valid = (1..=64).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if !is_valid {
            return Err(InvalidSinkName { name: name.chars().take(80).collect() });
        }
        let settings = Settings {
            name: name.to_owned(),
            kind: sink.kind(),
            target: sink.target(),
            is_required: false,
            surfaces: Vec::new(),
            batch_entries: 500,
            batch_bytes: 4 << 20,
            batch_age: Duration::from_millis(200),
            backoff: (Duration::from_millis(100), Duration::from_secs(30)),
            hang_after: Duration::from_secs(60),
            close_within: Duration::from_secs(5),
            time: Arc::new(MachineTime::new()),
        };
        Ok(Self { sink, settings })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether retention and [`Ledger::drain`](crate::Ledger::drain) wait for it. Defaults to false.
    pub fn required(mut self, is_required: bool) -> Self {
        self.settings.is_required = is_required;
        self
    }

    /// Only lines whose surface one of these globs describes; `*` stands for any run of characters, dots among them.
    /// Defaults to none: the whole log.
    ///
    /// A sink with globs gets the identity and those lines, neither head tables nor checkpoints: what it holds
    /// cannot be verified as a whole log.
    pub fn surfaces<G: Into<String>>(mut self, globs: impl IntoIterator<Item = G>) -> Self {
        self.settings.surfaces = globs.into_iter().map(Into::into).collect();
        self
    }

    /// The most entries of a batch. Defaults to 500; 1 to 100,000.
    pub fn batch_entries(mut self, entries: usize) -> Self {
        self.settings.batch_entries = entries.clamp(1, 100_000);
        self
    }

    /// The most bytes of a batch; an entry that is larger goes alone. Defaults to 4 MiB; 64 KiB to 256 MiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes = bytes.clamp(64 << 10, 256 << 20);
        self
    }

    /// How long an entry waits for others before a batch that is not full goes. Defaults to 200 ms; at most 60 s.
    pub fn batch_age(mut self, age: Duration) -> Self {
        self.settings.batch_age = age.min(Duration::from_secs(60));
        self
    }

    /// The pauses between attempts: each is anything up to a bound, which begins at `min` and doubles up to `max`.
    /// Defaults to 100 ms and 30 s; `min` at least 1 ms, `max` at least `min` and at most an hour.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        let hour = Duration::from_secs(3600);
        let min = min.clamp(Duration::from_millis(1), hour);
        self.settings.backoff = (min, max.clamp(min, hour));
        self
    }

    /// As [`backoff`](Self::backoff), `min` alone.
    #[cfg(feature = "config")]
    pub(crate) fn retry_min(self, min: Duration) -> Self {
        let (_, max) = self.settings.backoff;
        self.backoff(min, max)
    }

    /// As [`backoff`](Self::backoff), `max` alone.
    #[cfg(feature = "config")]
    pub(crate) fn retry_max(self, max: Duration) -> Self {
        let (min, _) = self.settings.backoff;
        self.backoff(min, max)
    }

    /// After how long a call into the sink is shown as hanging. Nothing is done about it. Defaults to 60 s; at
    /// least 10 ms.
    pub fn hang_after(mut self, duration: Duration) -> Self {
        self.settings.hang_after = duration.max(Duration::from_millis(10));
        self
    }

    /// How long closing the ledger, replacing and removing wait for the sink to take what is left. After that its
    /// thread is left behind, and what it did not acknowledge comes again the next time. Defaults to 5 s.
    pub fn close_within(mut self, duration: Duration) -> Self {
        self.settings.close_within = duration.min(Duration::from_secs(3600));
        self
    }

    /// Another time.
    #[cfg(test)]
    pub(crate) fn time(mut self, time: Arc<dyn Time>) -> Self {
        self.settings.time = time;
        self
    }
}

/// A sink's name is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSinkName {
    name: String,
}

impl fmt::Display for InvalidSinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name } = self;
        write!(
            f,
            "sink name {name:?}: expected a to z first, then a to z, 0 to 9, `_` and `-`, 64 bytes at most"
        )
    }
}

impl std::error::Error for InvalidSinkName {}
