//! Candidates from the index: the rows of one stream, or of all streams in the order of the log.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use super::filter::Filter;
use crate::ids::Scope;
use crate::index::links::Link;
use crate::index::row::{self, Row, UserHash};
use crate::index::{Index, IndexError, Snapshot, guarded};
use crate::log::LogPosition;

/// Rows fetched at once for a query of one stream; of many streams, fewer for each.
const PAGE_ROWS: usize = 256;

/// What a row can tell of a filter.
struct RowFilter {
    surfaces: Option<HashSet<u32>>,
    codes: Option<HashSet<u32>>,
    users: Option<HashSet<UserHash>>,
    filter: Filter,
    /// Leads to few candidates, which the line itself must confirm.
    link: Option<u64>,
}

impl RowFilter {
    fn new(filter: &Filter, snapshot: &Snapshot) -> Result<Self, IndexError> {
        let numbers = |names: Vec<(String, u32)>, is_wanted: &dyn Fn(&str) -> bool| {
            names.into_iter().filter(|(name, _)| is_wanted(name)).map(|(_, number)| number).collect()
        };
        let surfaces = match filter.surfaces.is_empty() {
            true => None,
            false => Some(numbers(snapshot.surfaces()?, &|name| filter.accepts_surface(name))),
        };
        let codes = match filter.codes.is_empty() {
            true => None,
            false => Some(numbers(snapshot.codes()?, &|name| filter.codes.iter().any(|code| code == name))),
        };
        let users = match filter.users.is_empty() {
            true => None,
            false => Some(filter.users.iter().map(|user| row::user_hash(user.as_str())).collect()),
        };
        let link = filter.link().map(Link::hash);
        Ok(Self { surfaces, codes, users, filter: filter.clone(), link })
    }

    fn accepts(&self, row: &Row) -> bool {
        self.filter.accepts_outcome(row.outcome)
            && self.surfaces.as_ref().is_none_or(|surfaces| surfaces.contains(&row.surface))
            && self.codes.as_ref().is_none_or(|codes| codes.contains(&row.code))
            && self.users.as_ref().is_none_or(|users| users.contains(&row.user))
    }

    fn accepts_all(&self) -> bool {
        self.link.is_none()
            && self.filter.outcomes.is_empty()
            && self.surfaces.is_none()
            && self.codes.is_none()
            && self.users.is_none()
    }
}

/// A place where a selected event should lie.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) scope: Arc<Scope>,
    pub(crate) seq: u64,
    pub(crate) row: Row,
    /// Whether only the line can say if it is selected.
    pub(crate) is_unconfirmed: bool,
}

struct Stream {
    number: u32,
    scope: Arc<Scope>,
    /// What was not fetched yet.
    left: Option<RangeInclusive<u64>>,
    fetched: VecDeque<(u64, Row)>,
}

/// The candidates of the part of the log that the index has read.
pub(crate) struct Indexed {
    index: Weak<Index>,
    filter: RowFilter,
    streams: Vec<Stream>,
    is_newest_first: bool,
    /// The next row of each stream that has one, in the order of the log.
    heads: BinaryHeap<(Ordered, usize)>,
    page_rows: usize,
    is_started: bool,
    is_gapless: bool,
}

/// A position, greatest first or smallest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ordered {
    Oldest(Reverse<LogPosition>),
    Newest(LogPosition),
}

impl Indexed {
    /// Prepares a query of one scope, or of all; also says up to where the index has read.
    pub(crate) fn new(
        index: &Weak<Index>,
        scope: Option<&Scope>,
        filter: &Filter,
        is_newest_first: bool,
    ) -> Result<Option<(Self, LogPosition)>, IndexError> {
        let Some(open) = index.upgrade() else { return Ok(None) };
        guarded(|| {
            let snapshot = open.snapshot()?;
            let scopes = match scope {
                Some(scope) => {
                    let number = snapshot.scope_number(scope)?;
                    number.map(|number| (number, scope.clone())).into_iter().collect()
                }
                None => snapshot.scopes()?,
            };
            let row_filter = RowFilter::new(filter, &snapshot)?;
            let mut streams = Vec::with_capacity(scopes.len());
            for (number, scope) in scopes {
                if let Some(left) = bounds(&snapshot, number, filter)? {
                    let scope = Arc::new(scope);
                    streams.push(Stream { number, scope, left: Some(left), fetched: VecDeque::new() });
                }
            }
            let indexed = Self {
                index: index.clone(),
                filter: row_filter,
                page_rows: (4 * PAGE_ROWS / streams.len().max(1)).clamp(16, PAGE_ROWS),
                heads: BinaryHeap::with_capacity(streams.len()),
                streams,
                is_newest_first,
                is_started: false,
                is_gapless: snapshot.meta.irregular_events == 0,
            };
            Ok(Some((indexed, snapshot.meta.cursor)))
        })
    }

    /// The next candidate in the order asked for; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Candidate>, IndexError> {
        if !self.is_started {
            self.is_started = true;
            for at in 0..self.streams.len() {
                self.push_head(at)?;
            }
        }
        let Some((_, at)) = self.heads.pop() else { return Ok(None) };
        let stream = &mut self.streams[at];
        let Some((seq, row)) = stream.fetched.pop_front() else { return Ok(None) };
        let scope = stream.scope.clone();
        self.push_head(at)?;
        Ok(Some(Candidate { scope, seq, row, is_unconfirmed: self.filter.link.is_some() }))
    }

    fn push_head(&mut self, at: usize) -> Result<(), IndexError> {
        if self.streams[at].fetched.is_empty() {
            self.fetch(at)?;
        }
        if let Some((_, row)) = self.streams[at].fetched.front() {
            let ordered = match self.is_newest_first {
                false => Ordered::Oldest(Reverse(row.position)),
                true => Ordered::Newest(row.position),
            };
            self.heads.push((ordered, at));
        }
        Ok(())
    }

    /// Fetches the next page of a stream from a snapshot of its own, so that none lives between pages.
    fn fetch(&mut self, at: usize) -> Result<(), IndexError> {
        let (stream, filter, is_newest_first) = (&mut self.streams[at], &self.filter, self.is_newest_first);
        let Some(left) = stream.left.take() else { return Ok(()) };
        let open = self.index.upgrade().ok_or_else(|| IndexError::Damaged("it was closed".into()))?;
        guarded(|| {
            let snapshot = open.snapshot()?;
            let Some(left) = left_of(&snapshot, stream.number, left)? else { return Ok(()) };
            let mut take = |seq, row| {
                if filter.accepts(&row) {
                    stream.fetched.push_back((seq, row));
                }
                if stream.fetched.len() < self.page_rows {
                    return false;
                }
                stream.left = match is_newest_first {
                    false => (seq < *left.end()).then(|| seq + 1..=*left.end()),
                    true => (seq > *left.start()).then(|| *left.start()..=seq - 1),
                };
                true
            };
            match filter.link {
                Some(hash) => {
                    for seq in snapshot.links.linked(hash, stream.number, &left, is_newest_first)? {
                        let seq = seq?;
                        if take(seq, snapshot.row(stream.number, seq)?) {
                            break;
                        }
                    }
                }
                None => {
                    for entry in snapshot.rows(stream.number, &left, is_newest_first)? {
                        let (seq, row) = entry?;
                        if take(seq, row) {
                            break;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Counts without reading a line, where rows decide alone; `None` where lines must be read.
    pub(crate) fn count(&self) -> Result<Option<u64>, IndexError> {
        if self.filter.link.is_some() {
            return Ok(None);
        }
        let open = self.index.upgrade().ok_or_else(|| IndexError::Damaged("it was closed".into()))?;
        guarded(|| {
            let snapshot = open.snapshot()?;
            let mut count = 0;
            for stream in &self.streams {
                let Some(left) = stream.left.clone() else { continue };
                let Some(left) = left_of(&snapshot, stream.number, left)? else { continue };
                if self.filter.accepts_all() && self.is_gapless {
                    count += left.end() - left.start() + 1;
                    continue;
                }
                for entry in snapshot.rows(stream.number, &left, false)? {
                    count += u64::from(self.filter.accepts(&entry?.1));
                }
            }
            Ok(Some(count))
        })
    }
}

/// What is left of a range of a stream whose first events may have been dropped meanwhile.
fn left_of(
    snapshot: &Snapshot,
    stream: u32,
    range: RangeInclusive<u64>,
) -> Result<Option<RangeInclusive<u64>>, IndexError> {
    if snapshot.meta.begin == LogPosition::START {
        return Ok(Some(range));
    }
    let Some(there) = snapshot.seqs(stream)? else { return Ok(None) };
    let start = *range.start().max(there.start());
    Ok((start <= *range.end()).then_some(start..=*range.end()))
}

/// The sequence numbers of a stream that lie within the filter's numbers, times and positions. Times and
/// positions never decrease in a stream, so their bounds are found by halving.
fn bounds(
    snapshot: &Snapshot,
    stream: u32,
    filter: &Filter,
) -> Result<Option<RangeInclusive<u64>>, IndexError> {
    let Some(there) = snapshot.seqs(stream)? else { return Ok(None) };
    let Some(mut range) = filter.bound_seqs(there) else { return Ok(None) };
    if filter.since.is_some() || filter.after.is_some() {
        let low = first_where(snapshot, stream, &range, |row| {
            filter.since.is_none_or(|since| row.recorded_at >= since)
                && filter.after.is_none_or(|after| row.position > after)
        })?;
        let Some(low) = low else { return Ok(None) };
        range = low..=*range.end();
    }
    if filter.until.is_some() || filter.before.is_some() {
        let behind = first_where(snapshot, stream, &range, |row| {
            filter.until.is_some_and(|until| row.recorded_at >= until)
                || filter.before.is_some_and(|before| row.position >= before)
        })?;
        if let Some(behind) = behind {
            if behind == *range.start() {
                return Ok(None);
            }
            range = *range.start()..=behind - 1;
        }
    }
    Ok(Some(range))
}

/// The first number whose row satisfies a condition that stays true once it is.
fn first_where(
    snapshot: &Snapshot,
    stream: u32,
    range: &RangeInclusive<u64>,
    condition: impl Fn(&Row) -> bool,
) -> Result<Option<u64>, IndexError> {
    let (mut low, mut high) = (*range.start(), *range.end());
    let mut found = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        // A number may be missing where the log itself is not gapless.
        match snapshot.row_from(stream, middle..=high)? {
            Some((seq, row)) if !condition(&row) => low = seq + 1,
            _ => {
                found = Some(middle);
                if middle == low {
                    break;
                }
                high = middle - 1;
            }
        }
    }
    // `found` may be the number of a missing row; the rows behind it are what counts.
    Ok(found.filter(|found| found <= range.end()))
}
