//! The log writer: the one thread that writes segments and checkpoints, and says what is durable.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::sequencer::{AfterGroup, Buffers, Group, Order};
use super::shared::{LedgerShared, lock};
use super::waiters::Settled;
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::checkpoint::{
    CHECKPOINTS_NAME, CheckpointBody, CheckpointChain, CheckpointReason, surfaces_hash,
};
use crate::log::head_table::{HeadTable, OpenAttempt};
use crate::log::heads::Heads;
use crate::log::signer::Signer;
use crate::log::storage::{Storage, StorageFile};
use crate::log::{LogPosition, head_table_name, segment_name};

/// The most often that checkpoints are made while heads move.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// Up to where a ledger is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DurableEnd {
    /// The end of the log. Every checkpoint before `checkpoints_end` is of a place at or before it, unless log bytes
    /// were lost.
    pub(crate) position: LogPosition,
    /// Events of all streams, those of segments that are gone too.
    pub(crate) events: u64,
    /// Bytes appended to the log since the ledger was opened.
    pub(crate) bytes: u64,
    /// The end of `checkpoints.ndjson`.
    pub(crate) checkpoints_end: u64,
}

/// Hears of each new durable end.
pub(crate) type Follower = Box<dyn Fn(DurableEnd) + Send>;

/// Writes the log at its end. Used by the writer thread, and by recovery before there is one.
pub(crate) struct LogEnd {
    pub(crate) ledger_id: LedgerId,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) segment: Box<dyn StorageFile>,
    pub(crate) position: LogPosition,
    /// Heads of what is durable.
    pub(crate) heads: Heads,
    pub(crate) chain: CheckpointChain,
    pub(crate) checkpoints: Box<dyn StorageFile>,
    pub(crate) checkpoints_end: u64,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) epoch: u64,
}

/// A write that failed: what was attempted, on what, and why.
#[derive(Debug)]
pub(crate) struct WriteFailed {
    pub(crate) attempted: String,
    pub(crate) source: io::Error,
    /// The disk was full, and nothing of what was attempted is there: it can be done once more.
    pub(crate) may_retry: bool,
}

impl std::fmt::Display for WriteFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.attempted, self.source)
    }
}

fn attempted(what: &str, name: &str) -> impl FnOnce(io::Error) -> WriteFailed {
    let attempted = format!("{what} {name}");
    |source| WriteFailed { attempted, source, may_retry: false }
}

/// For what leaves nothing behind when there is no room for it.
fn attempted_whole(what: &str, name: &str) -> impl FnOnce(io::Error) -> WriteFailed {
    let attempted = format!("{what} {name}");
    |source| WriteFailed { may_retry: is_full(&source), attempted, source }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Refuses to grow the log beyond the cap on disk use, as a full disk does.
fn check_cap(shared: &LedgerShared, position: &LogPosition, bytes: usize) -> Result<(), WriteFailed> {
    let bytes = bytes as u64;
    let take = |room: u64| if room == u64::MAX { Some(room) } else { room.checked_sub(bytes) };
    if shared.log_room.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
        return Ok(());
    }
    shared.retention_wake.pass();
    Err(WriteFailed {
        attempted: format!("append to log segment {}", segment_name(position.segment)),
        source: io::Error::new(io::ErrorKind::QuotaExceeded, "the ledger uses all of its `max_disk_bytes`"),
        may_retry: true,
    })
}

/// Writes behind the durable end of a file. Where there is no room, the file is cut back to that end: no fsync
/// was asked for, so nothing is uncertain about it.
fn write_at_end(
    file: &dyn StorageFile,
    end: u64,
    bytes: &[u8],
    what: &str,
    name: &str,
) -> Result<(), WriteFailed> {
    file.write_all_at(end, bytes).map_err(|source| WriteFailed {
        may_retry: is_full(&source) && file.set_len(end).is_ok(),
        attempted: format!("{what} {name}"),
        source,
    })
}

impl LogEnd {
    /// Appends lines and makes them durable.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFailed> {
        let name = segment_name(self.position.segment);
        write_at_end(&*self.segment, self.position.offset, bytes, "append to log segment", &name)?;
        self.segment.sync_data().map_err(attempted("fdatasync log segment", &name))?;
        self.position.offset += bytes.len() as u64;
        Ok(())
    }

    /// Takes durable bytes into what the next checkpoint covers.
    pub(crate) fn cover(&mut self, bytes: &[u8]) {
        self.chain.log_bytes(bytes);
    }

    /// Writes a checkpoint of all that is durable.
    pub(crate) fn checkpoint(
        &mut self,
        reason: CheckpointReason,
        at: i64,
        head_table: Option<LineHash>,
    ) -> Result<(), WriteFailed> {
        let is_accepted_loss = reason == CheckpointReason::AcceptedLoss;
        let body = CheckpointBody {
            at,
            reason,
            epoch: self.epoch,
            position: self.position,
            heads: if is_accepted_loss { self.heads.all() } else { self.heads.moved() },
            streams: self.heads.len(),
            root: self.heads.root(),
            surfaces: surfaces_hash(),
            head_table,
        };
        let mut chain = self.chain.clone();
        let line = chain.seal(&body, &*self.signer).map_err(|error| WriteFailed {
            attempted: format!("sign checkpoint {}", self.chain.next_number()),
            source: io::Error::other(error),
            may_retry: false,
        })?;
        write_at_end(&*self.checkpoints, self.checkpoints_end, &line, "append to", CHECKPOINTS_NAME)?;
        self.checkpoints.sync_data().map_err(attempted("fdatasync", CHECKPOINTS_NAME))?;
        self.checkpoints_end += line.len() as u64;
        self.chain = chain;
        self.heads.clear_moved();
        Ok(())
    }

    /// Writes the head table of the current segment; returns its hash.
    pub(crate) fn head_table(&mut self, attempts: Vec<OpenAttempt>) -> Result<LineHash, WriteFailed> {
        let ledger_id = self.ledger_id;
        let (bytes, hash) = HeadTable::encode(ledger_id, self.position, &mut self.heads, attempts);
        let name = head_table_name(self.position.segment);
        self.storage.replace(&name, &bytes).map_err(attempted_whole("write head table", &name))?;
        Ok(hash)
    }

    /// Begins the next segment.
    fn next_segment(&mut self) -> Result<(), WriteFailed> {
        let next = self.position.segment + 1;
        let name = segment_name(next);
        self.segment =
            self.storage.open(&name, true).map_err(attempted_whole("create log segment", &name))?;
        // Lines count as durable only when the name of their file is.
        self.storage.sync_folder("log").map_err(attempted("fsync", "the folder log"))?;
        self.position = LogPosition { segment: next, offset: 0 };
        Ok(())
    }
}

/// The thread that owns the end of the log.
pub(crate) struct LogWriter {
    pub(crate) shared: Arc<LedgerShared>,
    pub(crate) end: LogEnd,
    pub(crate) orders: Receiver<Order>,
    /// An order that came while the disk was full.
    pub(crate) pending: Option<Order>,
    pub(crate) buffers: Buffers,
    pub(crate) followers: Vec<Follower>,
    /// Events of all streams that are durable.
    pub(crate) events: u64,
    /// Bytes appended since the ledger was opened.
    pub(crate) bytes: u64,
    /// Writes each durable line to stderr: `DATASET_EVENTS=stderr`.
    pub(crate) is_echoing: bool,
}

impl LogWriter {
    /// Runs until the ledger is closed.
    pub(crate) fn run(mut self) {
        let mut next_checkpoint = Instant::now() + CHECKPOINT_INTERVAL;
        loop {
            let is_due = self.end.chain.uncovered_bytes() > 0;
            let wait = if is_due {
                next_checkpoint.saturating_duration_since(Instant::now())
            } else {
                Duration::from_secs(3600)
            };
            let order = self.pending.take().map_or_else(|| self.orders.recv_timeout(wait), Ok);
            match order {
                Ok(Order::Group(group)) => self.group(*group),
                Ok(Order::Rotate(attempts)) => {
                    self.rotate(&attempts);
                    self.shared.arena.control().set_durable(self.end.position);
                    self.shared.signal.writer_ends();
                    self.tell_followers();
                }
                Ok(Order::Close(attempts)) => {
                    self.close(attempts);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if is_due && Instant::now() >= next_checkpoint {
                let at = self.now();
                self.attempt(|end| end.checkpoint(CheckpointReason::Interval, at, None));
                self.tell_followers();
                next_checkpoint = Instant::now() + CHECKPOINT_INTERVAL;
            }
        }
        self.shared.waiters.fail_all();
        self.shared.signal.over();
    }

    fn now(&self) -> i64 {
        self.shared.clock.anchor().wall_us(self.shared.clock.cut_ticks())
    }

    fn rotate(&mut self, attempts: &[OpenAttempt]) {
        let at = self.now();
        let mut table = None;
        // One by one: what is done is not done again when there is no room for the next.
        let _ = self.attempt(|end| end.head_table(attempts.to_vec()).map(|hash| table = Some(hash)))
            && self.attempt(|end| end.checkpoint(CheckpointReason::Rotation, at, table))
            && self.attempt(LogEnd::next_segment);
    }

    fn group(&mut self, mut group: Group) {
        let mut is_durable = !self.shared.has_failed();
        if is_durable && !group.bytes.is_empty() {
            let start = Instant::now();
            let bytes = std::mem::take(&mut group.bytes);
            let shared = Arc::clone(&self.shared);
            is_durable = self.attempt_for(&mut group.waiters, |end| {
                check_cap(&shared, &end.position, bytes.len())?;
                end.append(&bytes)
            });
            group.bytes = bytes;
            let elapsed = start.elapsed();
            self.shared.counts.fsync_ns.store(elapsed.as_nanos() as u64, Ordering::Relaxed);
            #[cfg(feature = "metrics")]
            if is_durable {
                crate::metrics::group(self.shared.ledger_id, &group, elapsed);
            }
        }
        if is_durable {
            self.now_durable(&group);
        }
        let settled = if is_durable { Settled::Durable } else { Settled::Failed };
        for waiter in group.waiters.drain(..) {
            waiter.settle(settled);
        }
        self.shared.signal.writer_ends();
        if is_durable && !group.bytes.is_empty() {
            self.events += group.events;
            self.bytes += group.bytes.len() as u64;
            self.tell_followers();
            if self.is_echoing {
                eprint!("{}", String::from_utf8_lossy(&group.bytes));
            }
            self.end.cover(&group.bytes);
        }
        if group.after.cut > 0 {
            self.shared.signal.cut_done(group.after.cut);
        }
        group.bytes.clear();
        let mut buffers = lock(&self.buffers);
        if buffers.len() < 4 {
            buffers.push(std::mem::take(&mut group.bytes));
        }
    }

    fn tell_followers(&self) {
        let durable = DurableEnd {
            position: self.end.position,
            events: self.events,
            bytes: self.bytes,
            checkpoints_end: self.end.checkpoints_end,
        };
        for follower in &self.followers {
            follower(durable);
        }
    }

    fn now_durable(&mut self, group: &Group) {
        for (scope, head) in &group.heads {
            let id = self.end.heads.stream_of(scope);
            self.end.heads.advance(id, *head);
        }
        let arena = &self.shared.arena;
        let control = arena.control();
        control.set_durable(self.end.position);
        let AfterGroup { closed, consumed, freed, reported, largest_scope, .. } = &group.after;
        for place in closed {
            arena.close_attempt(*place);
        }
        for place in consumed {
            arena.set_consumed(*place, self.end.position);
        }
        for block in freed {
            arena.release(*block);
        }
        for (slot, lost) in reported {
            control.set_reported(*slot, *lost);
        }
        if !freed.is_empty() {
            self.shared.room_made(*largest_scope);
        }
        let counts = &self.shared.counts;
        counts.groups.fetch_add(1, Ordering::Relaxed);
        counts.events.fetch_add(group.events, Ordering::Relaxed);
        counts.log_bytes.fetch_add(group.bytes.len() as u64, Ordering::Relaxed);
    }

    fn close(&mut self, attempts: Vec<OpenAttempt>) {
        let at = self.now();
        let is_closed = self.attempt(|end| {
            let table = end.head_table(attempts.clone())?;
            end.checkpoint(CheckpointReason::Close, at, Some(table))
        });
        if is_closed {
            self.shared.arena.control().set_open(false);
        }
        self.tell_followers();
    }
}
