//! Verification: whether the log is what was written, whole and unchanged, and if not, what happened.
//!
//! The file of checkpoints is checked for itself (`history`), then the log is read once: one thread reads
//! it and hashes the ranges that the checkpoints sign (`scan`), another splits it into lines and replays
//! the streams (`replay`, `stream`). Nothing is written, and the writer need not stop.

mod cuts;
mod finding;
mod history;
mod ledger;
mod options;
mod replay;
mod report;
mod scan;
mod snapshot;
mod stream;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use self::cuts::Begin;
pub use self::cuts::CutReport;
use self::finding::Findings;
pub use self::finding::{Finding, Verdict};
use self::history::{History, Keyring};
pub use self::options::{CheckpointHead, InvalidHead, VerifyOptions};
use self::replay::Replay;
pub use self::report::{Protected, Unprotected, VerifyReport};
use self::snapshot::Snapshot;
use super::checkpoint::CHECKPOINTS_NAME;
use super::cut::CutFile;
use super::storage::{DiskStorage, Storage};

/// How many messages the scan may be ahead of the replay; bounds memory to about 64 chunks of 256 KiB.
const CHANNEL_MESSAGES: usize = 64;

/// How often a verification begins anew because segments were dropped meanwhile.
const MAX_RETRIES: usize = 3;

/// Verifies the ledger in a directory, which may be in use by another process.
///
/// Reads every byte of the log up to its end at the time of the call, on two threads, and writes nothing.
/// Whatever the bytes are, the answer is a report; see [`VerifyReport::is_verified`].
///
/// # Errors
///
/// - [`VerifyError::NotALedger`] when the directory has no `ledger.json`.
/// - [`VerifyError::Identity`] when `ledger.json` cannot be understood.
/// - [`VerifyError::Io`] when a file cannot be read.
pub fn verify(path: impl AsRef<Path>, options: &VerifyOptions) -> Result<VerifyReport, VerifyError> {
    verify_storage(&DiskStorage::new(path.as_ref().to_owned()), options)
}

/// Verifies the ledger in a storage.
pub(crate) fn verify_storage(
    storage: &dyn Storage,
    options: &VerifyOptions,
) -> Result<VerifyReport, VerifyError> {
    for _ in 0..MAX_RETRIES {
        let snapshot = Snapshot::take(storage)?;
        let cuts = snapshot.cuts.lines.len();
        let report = verify_snapshot(storage, snapshot, options);
        // Segments that were read may have been dropped meanwhile: it is another log then.
        let is_doubtful = report.as_ref().map_or(true, |report| !report.verified);
        if !is_doubtful || CutFile::read(storage).is_ok_and(|now| now.lines.len() == cuts) {
            return report;
        }
    }
    verify_snapshot(storage, Snapshot::take(storage)?, options)
}

fn verify_snapshot(
    storage: &dyn Storage,
    mut snapshot: Snapshot,
    options: &VerifyOptions,
) -> Result<VerifyReport, VerifyError> {
    let mut findings = Findings::new(options.scope.clone());
    let identity = snapshot.identity.clone();
    let keyring = Keyring { identity: &identity, trusted: &options.trusted_keys };
    let begin = cuts::check(storage, &snapshot, &keyring, &mut findings)?;
    snapshot.begin_at(begin.position);
    let history = match &snapshot.checkpoints {
        Some(file) => history::check(file, &keyring, &options.checkpoints, &begin, &mut findings)
            .map_err(|source| snapshot::io_error(storage, "read", CHECKPOINTS_NAME, source))?,
        None => History::empty(),
    };
    if history.count == 0 {
        report_no_checkpoint(&snapshot, options, &mut findings);
    }
    report_unsigned_segment(&snapshot, &history, &mut findings);
    let (outcome, expected_dropped) =
        replay_log(storage, &snapshot, &begin, &history, options, &mut findings)?;
    let is_key_trusted = !options.trusted_keys.is_empty();
    let protected = history.newest.map(|newest| Protected {
        checkpoint: newest.head,
        at: newest.at,
        position: newest.position,
        key_id: newest.key_id,
        is_key_trusted,
    });
    let counts = outcome.counts;
    let torn = snapshot.checkpoints.as_ref().map_or(0, |file| file.torn_bytes());
    let unprotected = Unprotected {
        events: counts.tail_events,
        attempts: counts.tail_attempts,
        bytes: counts.tail_bytes,
        unfinished_bytes: counts.unfinished_bytes,
        unfinished_checkpoint_bytes: torn,
    };
    let (findings, findings_left_out, findings_elsewhere) = findings.finish();
    Ok(VerifyReport {
        ledger_id: snapshot.identity.ledger_id,
        scope: options.scope.clone(),
        verified: findings.is_empty(),
        cut: begin.report,
        bytes: counts.bytes,
        events: counts.events,
        attempts: counts.attempts,
        streams: outcome.streams,
        checkpoints: history.count,
        protected,
        unprotected,
        head: outcome.head,
        accepted_losses: history.accepted_losses,
        expected: (options.heads.len() + options.checkpoints.len()) as u64,
        expected_dropped,
        findings,
        findings_left_out,
        findings_elsewhere,
    })
}

/// A checkpoint is written before the first line, so lines without any are what somebody left of a ledger.
fn report_no_checkpoint(snapshot: &Snapshot, options: &VerifyOptions, findings: &mut Findings) {
    if snapshot.bytes() > 0 {
        let message = "the log has lines, and there is no checkpoint at all";
        findings.push(Finding::new(Verdict::CheckpointMissing, message).checkpoint(1));
    }
    for expected in &options.checkpoints {
        let message = format!("the ledger has no checkpoint, {} is expected", expected.number);
        findings.push(Finding::new(Verdict::HeadOlder, message).checkpoint(expected.number));
    }
}

/// A rotation writes its checkpoint before it begins the next segment.
fn report_unsigned_segment(snapshot: &Snapshot, history: &History, findings: &mut Findings) {
    let Some(newest) = &history.newest else { return };
    if let Some(whole) = snapshot.newest_whole_segment().filter(|whole| newest.position < *whole) {
        let message = "a segment follows, yet no checkpoint covers this one to its end";
        let finding = Finding::new(Verdict::CheckpointMissing, message).at(whole);
        findings.push(finding.checkpoint(newest.head.number.saturating_add(1)));
    }
}

fn replay_log(
    storage: &dyn Storage,
    snapshot: &Snapshot,
    begin: &Begin,
    history: &History,
    options: &VerifyOptions,
    findings: &mut Findings,
) -> Result<(replay::Outcome, u64), VerifyError> {
    let mut replay = Replay::new(begin, options.scope.as_ref(), history, &snapshot.tables, findings);
    let expected_dropped = replay.expect_heads(&options.heads);
    thread::scope(|threads| {
        let (sender, receiver) = sync_channel(CHANNEL_MESSAGES);
        let scan = threads.spawn(move || scan::scan(storage, snapshot, history, &sender));
        for message in receiver {
            replay.message(message);
        }
        match scan.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok((replay.finish(snapshot), expected_dropped))
}

/// A ledger could not be verified at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum VerifyError {
    /// The directory has no `ledger.json`.
    NotALedger {
        /// The directory; empty for a ledger in memory.
        path: PathBuf,
    },
    /// `ledger.json` cannot be understood.
    Identity {
        /// The directory; empty for a ledger in memory.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A file could not be read.
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALedger { path } => write!(
                f,
                "verify {}: it has no ledger.json; name a ledger's own directory, `<root>/<ledger id>`",
                path.display()
            ),
            Self::Identity { path, .. } => {
                write!(f, "verify {}: its ledger.json cannot be understood", path.display())
            }
            Self::Io { attempted, path, .. } => write!(f, "verify: {attempted} {}", path.display()),
        }
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotALedger { .. } => None,
            Self::Identity { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
        }
    }
}
