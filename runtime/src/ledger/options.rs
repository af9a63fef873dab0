//! How a ledger is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Ledger;
use super::error::OpenError;
use crate::clock::Clock;
use crate::id_source::IdSource;
use crate::ids::LedgerId;
use crate::journal::control::Layout;
use crate::log::signer::Signer;
use crate::log::storage::{MemoryStorage, Storage};
use crate::retention::Settings;
use crate::sinks::SinkSpec;

/// What to do when the disk cannot hold a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// Opening fails. The default: a program that cannot keep its promise does not start.
    #[default]
    RefuseStart,
    /// The ledger lies in memory and ends with the process; a warning says so on stderr.
    Memory,
}

/// Options to open a [`Ledger`] with.
///
/// ```no_run
/// # use dataset_events::Ledger;
/// let ledger = Ledger::options().root("/var/lib/shop").service("shop", "1.4.0").open()?;
/// # Ok::<_, dataset_events::OpenError>(())
/// ```
#[derive(Debug)]
#[must_use = "a ledger is opened by `open()`"]
pub struct LedgerOptions {
    pub(super) root: PathBuf,
    pub(super) service: Option<String>,
    pub(super) version: Option<String>,
    pub(super) build_id: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) journal_dir: Option<PathBuf>,
    pub(super) journal_bytes: usize,
    pub(super) segment_bytes: u64,
    pub(super) group_interval: Duration,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) accept_loss: bool,
    pub(crate) retention: Settings,
    pub(super) sinks: Vec<SinkSpec>,
    #[cfg(feature = "config")]
    pub(super) configured: Option<crate::config::InEffect>,
    pub(crate) fixed: Option<Fixed>,
    pub(crate) memory: Option<Memory>,
}

/// What a reproducible run fixes.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) ledger_id: LedgerId,
    pub(crate) clock: Clock,
    pub(crate) id_source: IdSource,
    pub(crate) secret: [u8; 32],
}

/// Where a ledger that has no directory lies.
#[derive(Clone)]
pub(crate) struct Memory(pub(crate) Arc<dyn Storage>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(MemoryStorage::default()))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            root: PathBuf::from("var/dataset-events"),
            service: None,
            version: None,
            build_id: None,
            instance: None,
            journal_dir: None,
            journal_bytes: 64 * 1024 * 1024,
            segment_bytes: 64 * 1024 * 1024,
            group_interval: Duration::from_millis(50),
            signer: None,
            on_unavailable: OnUnavailable::RefuseStart,
            accept_loss: false,
            retention: Settings::default(),
            sinks: Vec::new(),
            #[cfg(feature = "config")]
            configured: None,
            fixed: None,
            memory: None,
        }
    }
}

/// Cuts a text that goes into every line; control characters, which would be long as JSON, become `?`.
fn bounded(text: impl Into<String>, max_bytes: usize) -> String {
    let mut text = text.into().replace(char::is_control, "?");
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

impl LedgerOptions {
    /// The root: a directory of ledgers. Defaults to `var/dataset-events`.
    pub fn root(mut self, root: impl AsRef<Path>) -> Self {
        self.root = root.as_ref().to_owned();
        self
    }

    /// The service's name and version, as events say it; each is cut at 64 bytes.
    ///
    /// Defaults to the executable's name and `0`. By the name a service finds its own ledger again in a root that
    /// it shares; without one it takes any ledger that belongs to no service.
    pub fn service(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.service = Some(bounded(name, 64));
        self.version = Some(bounded(version, 64));
        self
    }

    /// As [`service`](Self::service), the name alone.
    #[cfg(feature = "config")]
    pub(crate) fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service = Some(bounded(name, 64));
        self
    }

    /// As [`service`](Self::service), the version alone.
    #[cfg(feature = "config")]
    pub(crate) fn service_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(bounded(version, 64));
        self
    }

    /// The build: a commit or an image digest; cut at 128 bytes. Defaults to none.
    pub fn build_id(mut self, build_id: impl Into<String>) -> Self {
        self.build_id = Some(bounded(build_id, 128));
        self
    }

    /// The running instance; cut at 128 bytes. Defaults to host name and process id.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(bounded(instance, 128));
        self
    }

    /// Where the journal lies, when not in the ledger's directory.
    ///
    /// On tmpfs a call never waits for writeback, but a recorded event then survives the process only,
    /// not the container or the host.
    pub fn journal_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.journal_dir = Some(directory.as_ref().to_owned());
        self
    }

    /// The size of the journal, in bytes. Defaults to 64 MiB; at least 1 MiB, at most 1 GiB.
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes.clamp(Layout::MIN_BYTES, 1 << 30);
        self
    }

    /// The size at which a segment of the log ends, in bytes. Defaults to 64 MiB; at least 64 KiB, at
    /// most 64 GiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.clamp(64 * 1024, 64 << 30);
        self
    }

    /// The longest that records wait in the journal for a group. Defaults to 50 ms; 1 ms to 10 s.
    pub fn group_interval(mut self, interval: Duration) -> Self {
        self.group_interval = interval.clamp(Duration::from_millis(1), Duration::from_secs(10));
        self
    }

    /// What signs checkpoints. Defaults to an Ed25519 key in the ledger's directory, made on first use.
    pub fn signer(mut self, signer: impl Signer + 'static) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// What to do when the disk cannot hold a ledger. Defaults to refusing the start.
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// Goes on with a log that is shorter than its newest checkpoint. The loss becomes a
    /// `ledger.rolled_back` event and stands in the next checkpoint. Defaults to false.
    pub fn accept_loss(mut self, accept_loss: bool) -> Self {
        self.accept_loss = accept_loss;
        self
    }

    /// Drops segments of the log that are older than this, under a signed cut, once all required sinks have them.
    /// By default everything is kept. See [`Ledger::retain`].
    ///
    /// Whole segments are dropped, so what stays is up to [`segment_bytes`](Self::segment_bytes) more. A ledger
    /// without a required sink drops nothing, unless [`drop_without_copy`](Self::drop_without_copy) accepts it.
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.retention.keep_for = Some(age);
        self
    }

    /// Accepts that [`keep_for`](Self::keep_for) drops what no sink holds, so that it is gone for good. Defaults to
    /// false.
    pub fn drop_without_copy(mut self, is_accepted: bool) -> Self {
        self.retention.drops_without_copy = is_accepted;
        self
    }

    /// A cap on what the ledger's directory may use, in bytes; at least 1 MiB. By default there is none.
    ///
    /// At 80 % a warning is given: on stderr, as an event `ledger.disk_filling`, and in [`Ledger::retention`]. At the cap
    /// the ledger behaves as on a full disk: `durable` calls are refused, [`health`](Ledger::health) names the cap, the
    /// rest waits in the journal while that has room, and it goes on by itself once there is room. Nothing is dropped
    /// earlier than [`keep_for`](Self::keep_for) says, because that is a promise too. It is measured at each pass, once
    /// a minute; between passes what the log grows by is counted.
    pub fn max_disk_bytes(mut self, bytes: u64) -> Self {
        self.retention.max_disk_bytes = Some(bytes.max(1 << 20));
        self
    }

    /// Notes what of a configuration these options are.
    #[cfg(feature = "config")]
    pub(crate) fn configured(mut self, in_effect: crate::config::InEffect) -> Self {
        self.configured = Some(in_effect);
        self
    }

    /// Forwards the log to a sink, on a thread of its own. Of two sinks of one name the later counts.
    pub fn sink(mut self, sink: SinkSpec) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Opens the ledger: takes one of the root that no process has open, or makes a new one, and
    /// completes what a dead process left.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing of the ledger's data is lost by it.
    pub fn open(self) -> Result<Ledger, OpenError> {
        super::open::open(self)
    }
}
