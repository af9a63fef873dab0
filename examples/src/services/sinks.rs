//! The sinks of a service's ledger: how they are chosen, and how they fare.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dataset_events::config::{Config, ReloadError};
use dataset_events::sinks::{ForwardState, SinkStatus};
use dataset_events::{Ledger, LogPosition};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::error::{ServiceError, with_causes};

/// Sinks of these kinds can be read back and verified alone.
const COPIES: [&str; 4] = ["replica", "ndjson", "firestore", "bigquery"];
/// Those of them that may write into a directory.
const INTO_DIRECTORIES: [&str; 2] = ["replica", "ndjson"];
/// Keys at which what a sink holds is dropped again, in time.
const LIMITS: [&str; 3] = ["keep_files", "expire_after", "partition_expiry"];

/// How a sink fares, as the operations address says at `/sinks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkReport {
    /// The operator's name of it.
    pub name: String,
    /// What it is: `firestore`.
    pub kind: String,
    /// Where it writes.
    pub target: String,
    /// Whether retention and the end of the service wait for it.
    pub required: bool,
    /// Whether it is made to hold every line for good, in a form that can be verified alone.
    pub is_copy: bool,
    /// Whether it writes onto the disk that the ledger lies on.
    pub is_on_same_disk: bool,
    /// The globs of the surfaces that it gets; all when there are none.
    pub surfaces: Vec<String>,
    /// The setting by which it drops again what is old: `keep_files = 24`.
    pub limited_by: Option<String>,
    /// What it does: `running`.
    pub state: String,
    /// Why it stopped, or what went wrong last.
    pub error: Option<String>,
    /// Up to where it has the log, what it refused or missed aside.
    pub acknowledged: LogPosition,
    /// Durable events behind that.
    pub lag_events: u64,
    /// Durable bytes of the log behind it.
    pub lag_bytes: u64,
    /// The age of the oldest line behind it; 0 when there is none.
    pub lag_seconds: f64,
    /// Entries that it refused for good.
    pub dead_letters: u64,
    /// Segments that were dropped before it had them.
    pub missed_segments: u64,
}

impl SinkReport {
    fn of(status: SinkStatus, limited_by: Option<String>, ledger: Option<&Path>) -> Self {
        let error = match &status.state {
            ForwardState::Stopped { reason } => Some(reason.clone()),
            _ => status.last_error.map(|error| error.message),
        };
        Self {
            is_copy: COPIES.contains(&status.kind) && status.surfaces.is_empty() && limited_by.is_none(),
            is_on_same_disk: INTO_DIRECTORIES.contains(&status.kind)
                && ledger.is_some_and(|ledger| is_on_disk_of(&status.target, ledger)),
            surfaces: status.surfaces,
            limited_by,
            name: status.name,
            kind: status.kind.to_owned(),
            target: status.target,
            required: status.required,
            state: status.state.as_str().to_owned(),
            error,
            acknowledged: status.acknowledged,
            lag_events: status.lag_events,
            lag_bytes: status.lag_bytes,
            lag_seconds: status.lag_seconds,
            dead_letters: status.dead_letters,
            missed_segments: status.missed_segments,
        }
    }

    /// How the sinks of a ledger fare, by the configuration that is in effect; also of one that is closed.
    pub(super) fn of_ledger(ledger: &Ledger, config: &SharedConfig) -> Vec<Self> {
        let config = config.get();
        let limit = |sink: &str, key: &&str| {
            config.get(&format!("sinks.{sink}.{key}")).map(|value| format!("{key} = {value}"))
        };
        let of = |status: SinkStatus| {
            let limited_by = LIMITS.iter().find_map(|key| limit(&status.name, key));
            Self::of(status, limited_by, ledger.path())
        };
        ledger.sinks().statuses().into_iter().map(of).collect()
    }
}

/// Whether a target is a directory on the device that the ledger lies on; before it is made, that of what it will lie in.
fn is_on_disk_of(target: &str, ledger: &Path) -> bool {
    let target = target.strip_prefix("file://").unwrap_or(target);
    if target.contains("://") {
        return false;
    }
    let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    let of_target = std::path::absolute(target).ok().and_then(|path| path.ancestors().find_map(device));
    of_target.is_some() && of_target == device(ledger)
}

/// The configuration that is in effect.
#[derive(Debug, Clone)]
pub(super) struct SharedConfig(Arc<Mutex<Config>>);

impl SharedConfig {
    pub(super) fn new(config: Config) -> Self {
        Self(Arc::new(Mutex::new(config)))
    }

    fn get(&self) -> Config {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, config: Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// What configures a ledger and its sinks: a file, where one is named, and over it the environment.
///
/// # Errors
///
/// [`ServiceError::Config`]; [`ServiceError::OutputTaken`] when it names a sink of the kind `stdout`.
pub fn ledger_config(file: Option<&Path>) -> Result<Config, ServiceError> {
    let builder = Config::builder().environment();
    let builder = match file {
        Some(file) => builder.file(file),
        None => builder,
    };
    let config = builder.build().map_err(ServiceError::Config)?;
    let is_stdout = |name: &&str| config.get(&format!("sinks.{name}.backend")).as_deref() == Some("stdout");
    let taken = config.sink_names().find(is_stdout).map(str::to_owned);
    match taken {
        Some(sink) => Err(ServiceError::OutputTaken { sink }),
        None => Ok(config),
    }
}

/// Reads the configuration again at each SIGHUP, as [`ledger_config`] does at the start: what is refused there is
/// refused here, and all goes on as before. What came of it stands on stderr.
pub(super) fn reload_on_sighup(
    ledger: Ledger,
    file: Option<PathBuf>,
    config: SharedConfig,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            let (ledger, file, config) = (ledger.clone(), file.clone(), config.clone());
            // It reads files, and waits for sinks that go. A panic is told by the hook.
            let _ = tokio::task::spawn_blocking(move || reload(&ledger, file.as_deref(), &config)).await;
        }
    })
}

fn reload(ledger: &Ledger, file: Option<&Path>, config: &SharedConfig) {
    let read = match ledger_config(file) {
        Ok(read) => read,
        Err(error) => {
            return eprintln!("dataset-events: SIGHUP: {}; all goes on as before", with_causes(&error));
        }
    };
    match ledger.reload(&read) {
        Ok(reloaded) => {
            config.set(read);
            eprintln!("dataset-events: SIGHUP: {reloaded}");
        }
        Err(error @ ReloadError::Sink { .. }) => {
            // Those before it, by name, are changed.
            config.set(read);
            eprintln!("dataset-events: SIGHUP: {}", with_causes(&error));
        }
        Err(error) => eprintln!("dataset-events: SIGHUP: {}; all goes on as before", with_causes(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_disk_of_the_ledger_also_before_it_is_made_and_a_bucket_never() {
        let disk = tempfile::tempdir().expect("make a temporary directory");
        let ledger = disk.path().join("ledger");
        fs::create_dir(&ledger).expect("make the ledger's directory");
        let target = disk.path().join("replica").join("deeper").display().to_string();
        assert!(is_on_disk_of(&target, &ledger));
        assert!(is_on_disk_of(&format!("file://{target}"), &ledger));
        assert!(!is_on_disk_of("s3://audit/chat", &ledger));
        // A file system of its own, on any Linux.
        assert!(!is_on_disk_of("/proc", &ledger));
    }
}
