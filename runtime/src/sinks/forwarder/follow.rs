//! Reads what comes next: the identity, cuts, lines, head tables, checkpoints, in the order in which sinks get them.

use std::io;
use std::sync::Arc;

use super::checkpoints::CheckpointTail;
use super::cuts::CutTail;
use super::place::{Place, PlacedHash};
use crate::ids::LedgerId;
use crate::ledger::DurableEnd;
use crate::log::checkpoint::Checkpoint;
use crate::log::cut::Cut;
use crate::log::head_table::HeadTable;
use crate::log::identity::IDENTITY_NAME;
use crate::log::line::{hash_line, line_surface};
use crate::log::reader::{LogReader, RawLine};
use crate::log::storage::Storage;
use crate::log::{LogPosition, head_table_name, segment_name};
use crate::query::glob_matches;
use crate::retention::CUT_SURFACE;
use crate::sinks::{Entry, EntryKind};

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Entry(Entry),
    /// A line that the sink does not want: so many bytes of it.
    Passed(usize),
    /// A line that no entry can be made of, and why.
    Unreadable(RawLine, &'static str),
    /// Segments that were dropped before they were read: so many.
    Missed(u32),
    /// All that is durable was read.
    End,
}

/// A read that failed: what was attempted, and why.
#[derive(Debug)]
pub(super) struct ReadFailed {
    attempted: String,
    source: io::Error,
}

impl std::fmt::Display for ReadFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.attempted, self.source)
    }
}

impl ReadFailed {
    pub(super) fn new(attempted: String, source: io::Error) -> Self {
        Self { attempted, source }
    }
}

fn read(what: &str, name: &str) -> impl FnOnce(io::Error) -> ReadFailed {
    let attempted = format!("read {what} {name}");
    |source| ReadFailed { attempted, source }
}

/// A checkpoint that waits until the lines that it covers have been given out.
struct Pending {
    line: Vec<u8>,
    number: u64,
    position: LogPosition,
    has_table: bool,
    /// Where the line after it begins.
    end: u64,
}

/// Reads a ledger from a place on.
pub(super) struct Follow {
    storage: Arc<dyn Storage>,
    ledger_id: LedgerId,
    surfaces: Vec<String>,
    place: Place,
    reader: Option<LogReader>,
    checkpoints: CheckpointTail,
    pending: Option<Pending>,
    is_identity_due: bool,
    cuts: CutTail,
}

impl Follow {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        ledger_id: LedgerId,
        surfaces: Vec<String>,
        place: Place,
    ) -> Self {
        let mut follow = Self {
            checkpoints: CheckpointTail::new(Arc::clone(&storage), 0),
            storage,
            ledger_id,
            surfaces,
            place: Place::START,
            reader: None,
            pending: None,
            is_identity_due: true,
            cuts: CutTail::default(),
        };
        follow.go_to(place);
        follow
    }

    /// Goes on from another place.
    pub(super) fn go_to(&mut self, place: Place) {
        self.reader = None;
        self.pending = None;
        self.is_identity_due = true;
        self.cuts = CutTail::default();
        self.checkpoints = CheckpointTail::new(Arc::clone(&self.storage), place.checkpoints_offset);
        self.place = place;
    }

    /// Behind what was given out.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Looks at the identity and the cuts again before anything else.
    pub(super) fn check_identity(&mut self) {
        self.is_identity_due = true;
        self.cuts.look();
    }

    /// Whether there may be more than was given out.
    pub(super) fn has_more(&self, durable: &DurableEnd) -> bool {
        self.is_identity_due
            || self.place.position < durable.position
            || self.surfaces.is_empty()
                && (self.place.checkpoints_offset < durable.checkpoints_end || self.cuts.may_have_more())
    }

    /// The next piece. After an error it is tried again.
    pub(super) fn next(&mut self, durable: &DurableEnd) -> Result<Next, ReadFailed> {
        if self.is_identity_due {
            let identity = self.identity()?;
            self.is_identity_due = false;
            if let Some(entry) = identity {
                return Ok(Next::Entry(entry));
            }
        }
        if self.surfaces.is_empty() {
            if let Some(cut) = self.cuts.next(&*self.storage, &mut self.place)? {
                return Ok(self.cut(cut));
            }
            if let Some(next) = self.due_checkpoint(durable)? {
                return Ok(next);
            }
        }
        if self.place.position < durable.position { self.line(durable) } else { Ok(Next::End) }
    }

    fn identity(&mut self) -> Result<Option<Entry>, ReadFailed> {
        let bytes = self.storage.read(IDENTITY_NAME).map_err(read("the identity", IDENTITY_NAME))?;
        let bytes = bytes
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .map_err(read("the identity", IDENTITY_NAME))?;
        let hash = hash_line(&bytes);
        if self.place.identity == Some(hash) {
            return Ok(None);
        }
        self.place.identity = Some(hash);
        Ok(Some(Entry::identity(self.ledger_id, bytes)))
    }

    fn cut(&self, line: Vec<u8>) -> Next {
        match Cut::from_line(&line) {
            Ok(cut) => Next::Entry(Entry::cut(self.ledger_id, cut.number, cut.position, line)),
            Err(_) => {
                let line = RawLine { position: self.place.position, bytes: line, is_terminated: true };
                Next::Unreadable(line, "not a cut of version 1")
            }
        }
    }

    /// The head table or the checkpoint whose turn it is.
    fn due_checkpoint(&mut self, durable: &DurableEnd) -> Result<Option<Next>, ReadFailed> {
        loop {
            if self.pending.is_none() {
                match self.next_checkpoint(durable)? {
                    Ok(pending) => self.pending = pending,
                    Err(unreadable) => return Ok(Some(unreadable)),
                }
            }
            let Some(pending) = &mut self.pending else { return Ok(None) };
            // A checkpoint beyond the log covers bytes that were lost, and whose loss was accepted: what is left of
            // them is here.
            if self.place.position < pending.position.min(durable.position) {
                return Ok(None);
            }
            if std::mem::take(&mut pending.has_table)
                && let Some(table) = head_table(&*self.storage, self.ledger_id, pending)?
            {
                return Ok(Some(Next::Entry(table)));
            }
            let Some(Pending { line, number, position, end, .. }) = self.pending.take() else { continue };
            self.place.checkpoints_offset = end;
            if self.place.checkpoints_from.is_some_and(|from| position <= from) {
                continue;
            }
            self.place.checkpoints_from = None;
            return Ok(Some(Next::Entry(Entry::checkpoint(self.ledger_id, number, position, line))));
        }
    }

    /// The next line of the file; as an error one that is no checkpoint, which only a file that somebody changed has.
    fn next_checkpoint(&mut self, durable: &DurableEnd) -> Result<Result<Option<Pending>, Next>, ReadFailed> {
        let Some((line, end)) = self.checkpoints.next(durable.checkpoints_end)? else { return Ok(Ok(None)) };
        let Ok(checkpoint) = Checkpoint::from_line(&line) else {
            self.place.checkpoints_offset = end;
            let line = RawLine { position: self.place.position, bytes: line, is_terminated: true };
            return Ok(Err(Next::Unreadable(line, "not a checkpoint of version 1")));
        };
        Ok(Ok(Some(Pending {
            number: checkpoint.number,
            position: checkpoint.position,
            // A replay does not begin with tables of places before it.
            has_table: checkpoint.head_table.is_some()
                && self.place.checkpoints_from.is_none_or(|from| checkpoint.position > from),
            line,
            end,
        })))
    }

    fn line(&mut self, durable: &DurableEnd) -> Result<Next, ReadFailed> {
        let position = self.place.position;
        let reader = match &mut self.reader {
            Some(reader) => {
                reader.extend(durable.position);
                reader
            }
            None => self.reader.insert(LogReader::new(Arc::clone(&self.storage), position, durable.position)),
        };
        let line = match reader.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => {
                // The end of a segment and the start of the next are one place.
                self.place.position = durable.position;
                self.place.events = durable.events;
                return Ok(Next::End);
            }
            Err(error) => {
                self.reader = None;
                return self.skip_dropped(error);
            }
        };
        let ends = u64::from(line.is_terminated);
        let end = line.position.offset + line.bytes.len() as u64 + ends;
        self.place.position = LogPosition { segment: line.position.segment, offset: end };
        let next =
            if line.is_terminated { self.entry(line) } else { Next::Unreadable(line, "the line has no end") };
        if self.place.position >= durable.position {
            // What was miscounted, over lines that cannot be read or segments that are gone, is no more.
            self.place.events = durable.events;
        }
        Ok(next)
    }

    fn entry(&mut self, line: RawLine) -> Next {
        let RawLine { position, bytes, .. } = line;
        let is_wanted = self.surfaces.is_empty()
            || line_surface(&bytes)
                .is_none_or(|surface| self.surfaces.iter().any(|glob| glob_matches(glob, surface)));
        if line_surface(&bytes) == Some(CUT_SURFACE) {
            self.cuts.look();
        }
        let len = bytes.len();
        let is_event = bytes.starts_with(b"{\"schema_version\":1,\"kind\":\"event\"");
        self.place.events += u64::from(is_event);
        if !is_wanted {
            return Next::Passed(len);
        }
        // Only a log that somebody changed has lines of which no entry can be made.
        let kept = RawLine { position, bytes: Vec::new(), is_terminated: true };
        match Entry::try_line(position, bytes) {
            Ok(entry) if entry.ledger_id() == self.ledger_id => Next::Entry(entry),
            Ok(entry) => {
                Next::Unreadable(RawLine { bytes: entry.into_bytes(), ..kept }, "a line of another ledger")
            }
            Err(bytes) => Next::Unreadable(RawLine { bytes, ..kept }, "not a line of version 1"),
        }
    }

    /// Notes what a cursor is known by.
    pub(super) fn last_line(entry: &Entry) -> Option<PlacedHash> {
        let is_line = matches!(entry.kind(), EntryKind::Event | EntryKind::Attempt);
        is_line.then(|| PlacedHash { position: entry.position(), hash: entry.hash() })
    }

    /// Goes on with the first segment that is there, when the one to be read was dropped.
    fn skip_dropped(&mut self, error: io::Error) -> Result<Next, ReadFailed> {
        let segment = self.place.position.segment;
        let failed = |error| read("log segment", &segment_name(segment))(error);
        if error.kind() != io::ErrorKind::NotFound {
            return Err(failed(error));
        }
        let segments = segments(&*self.storage).map_err(read("the folder", "log"))?;
        match segments.into_iter().find(|there| *there >= segment) {
            Some(first) if first > segment => {
                self.place.position = LogPosition { segment: first, offset: 0 };
                // The log begins at a cut now, which comes before its first line.
                self.cuts.look();
                Ok(Next::Missed(first - segment))
            }
            _ => Err(failed(error)),
        }
    }
}

/// The numbers of the segments that are there, in order.
pub(super) fn segments(storage: &dyn Storage) -> io::Result<Vec<u32>> {
    let names = storage.list("log")?;
    let mut numbers: Vec<u32> =
        names.iter().filter_map(|name| name.strip_suffix(".ndjson")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The head table that a checkpoint names; `None` when it was written anew since: a later one names that.
fn head_table(
    storage: &dyn Storage,
    ledger_id: LedgerId,
    pending: &Pending,
) -> Result<Option<Entry>, ReadFailed> {
    let name = head_table_name(pending.position.segment);
    let bytes = storage.read(&name).map_err(read("head table", &name))?;
    let named = Checkpoint::from_line(&pending.line).ok().and_then(|checkpoint| checkpoint.head_table);
    Ok(bytes
        .filter(|bytes| Some(HeadTable::hash(bytes)) == named)
        .map(|bytes| Entry::head_table(ledger_id, pending.position, bytes)))
}
