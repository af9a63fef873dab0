//! One table's stream: how each row comes to be there once.
//!
//! The reasoning stands in `docs/sinks/bigquery.md`; the names of the steps are the same there.

use std::collections::{BTreeSet, HashSet};

use super::super::{Rejected, SinkError};
use super::encoder;
use super::row::{Row, TableKind};
use super::state::{LaneState, Marks, StreamState};
use super::transport::{Asked, Refusal, RefusalKind, Transport};
use crate::ids::LedgerId;

/// The most rows of one request: the saved state names each of them.
const MAX_REQUEST_ROWS: usize = 5_000;

/// What became of the rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Entries of the batch of which a row was there already, by their place.
    pub(crate) duplicates: BTreeSet<usize>,
    /// Entries of the batch that will never be taken.
    pub(crate) rejected: Vec<Rejected>,
}

/// Writes the rows of one table.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) table: TableKind,
    pub(crate) state: LaneState,
    max_request_bytes: usize,
}

/// Saves the state of all lanes, with this one's as it is now.
pub(crate) type Save<'s> = &'s mut dyn FnMut(&LaneState) -> Result<(), SinkError>;

impl Lane {
    /// A lane that knows nothing.
    pub(crate) fn new(table: TableKind, table_name: String, max_request_bytes: usize) -> Self {
        let state = LaneState { table: table_name, ..LaneState::default() };
        Self { table, state, max_request_bytes }
    }

    /// Takes up what was saved, if it was saved for the same table.
    pub(crate) fn resume(&mut self, saved: LaneState) {
        if saved.table == self.state.table {
            self.state = saved;
        }
    }

    /// Connects to the stream of the state, or makes a new one.
    pub(crate) fn open(&mut self, transport: &mut dyn Transport) -> Result<(), SinkError> {
        if let Some(stream) = &self.state.stream {
            match transport.attach_stream(self.table, &stream.name) {
                Ok(()) => return Ok(()),
                // What was in flight can no longer arrive; the table tells what did.
                Err(refusal) if refusal.kind == RefusalKind::Gone => self.state.stream = None,
                Err(refusal) => return Err(refusal.into()),
            }
        }
        self.new_stream(transport)
    }

    fn new_stream(&mut self, transport: &mut dyn Transport) -> Result<(), SinkError> {
        let name = transport.create_stream(self.table)?;
        self.state.stream = Some(StreamState { name, next: 0, in_flight: None });
        Ok(())
    }

    /// Brings rows into the table, each once.
    pub(crate) fn append(
        &mut self,
        ledger_id: LedgerId,
        rows: Vec<Row<'_>>,
        transport: &mut dyn Transport,
        save: Save<'_>,
    ) -> Result<Outcome, SinkError> {
        let mut outcome = Outcome::default();
        let mut seen = HashSet::new();
        let mut rows = rows;
        rows.retain(|row| {
            let is_first = seen.insert(row.key.clone());
            if !is_first {
                outcome.duplicates.insert(row.index);
            }
            is_first
        });
        if rows.is_empty() {
            return Ok(outcome);
        }
        let absent = self.settle(&mut rows, transport, &mut outcome)?;
        self.look_up(ledger_id, &mut rows, &absent, transport, &mut outcome)?;
        for request in self.requests(rows, &mut outcome) {
            self.send(request, transport, save, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Finds out what became of the rows in flight, and takes those of them that are stored out of `rows`. Gives the
    /// keys of rows that are certainly not stored.
    fn settle(
        &mut self,
        rows: &mut Vec<Row<'_>>,
        transport: &mut dyn Transport,
        outcome: &mut Outcome,
    ) -> Result<HashSet<String>, SinkError> {
        let Some(StreamState { name, next, in_flight: Some(in_flight) }) = self.state.stream.clone() else {
            return Ok(HashSet::new());
        };
        let in_flight: HashSet<String> = in_flight.into_iter().collect();
        let again: Vec<&Row<'_>> = rows.iter().filter(|row| in_flight.contains(&row.key)).collect();
        // A part of them at this offset would leave a state that says more than is there.
        if again.len() < in_flight.len() {
            self.fence(&name, transport)?;
            return Ok(HashSet::new());
        }
        let batch = encoder::encode(self.table, &again).map_err(|error| {
            SinkError::fatal("encode rows for BigQuery: report this, with the program's version", error)
        })?;
        match transport.append(self.table, &name, next, &batch) {
            // None of the rows in flight had arrived, and now the offset is taken.
            Ok(()) => {
                rows.retain(|row| !in_flight.contains(&row.key));
                self.settled(next + count_of(in_flight.len()));
                Ok(HashSet::new())
            }
            // All of them had: a request is taken as a whole.
            Err(refusal) if refusal.kind == RefusalKind::Taken => {
                outcome.duplicates.extend(again.iter().map(|row| row.index));
                rows.retain(|row| !in_flight.contains(&row.key));
                self.settled(next + count_of(in_flight.len()));
                Ok(HashSet::new())
            }
            // The offset is free, so none of them had; the ordinary way finds out which rows are bad. The first
            // request can still arrive, but holds the same bad rows.
            Err(Refusal { kind: RefusalKind::Rows(_), .. }) => {
                self.settled(next);
                Ok(in_flight)
            }
            Err(refusal) => Err(self.failed(refusal, transport)),
        }
    }

    fn settled(&mut self, next: i64) {
        if let Some(stream) = &mut self.state.stream {
            stream.next = next;
            stream.in_flight = None;
        }
    }

    /// Ends the stream, so that nothing sent to it can still arrive, and goes on with a new one.
    fn fence(&mut self, stream: &str, transport: &mut dyn Transport) -> Result<(), SinkError> {
        match transport.finalize_stream(self.table, stream) {
            Ok(()) => {}
            Err(refusal) if refusal.kind == RefusalKind::Gone => {}
            Err(refusal) => return Err(refusal.into()),
        }
        self.state.stream = None;
        self.new_stream(transport)
    }

    /// Up to where the ledger was ever sent, asking the table when nobody knows.
    pub(crate) fn find_marks(
        &mut self,
        ledger_id: LedgerId,
        transport: &mut dyn Transport,
    ) -> Result<(), SinkError> {
        if self.state.marks.is_none() {
            self.state.marks = Some(transport.marks(self.table, ledger_id)?);
        }
        Ok(())
    }

    /// Takes out the rows that the table holds, where that is possible at all.
    fn look_up(
        &mut self,
        ledger_id: LedgerId,
        rows: &mut Vec<Row<'_>>,
        absent: &HashSet<String>,
        transport: &mut dyn Transport,
        outcome: &mut Outcome,
    ) -> Result<(), SinkError> {
        self.find_marks(ledger_id, transport)?;
        let marks = self.state.marks.get_or_insert_default();
        let is_doubtful = |row: &&Row<'_>| !marks.lie_before(row) && !absent.contains(&row.key);
        let doubtful: Vec<&Row<'_>> = rows.iter().filter(is_doubtful).collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        let times = || doubtful.iter().filter_map(|row| row.started_at_us());
        let asked = Asked {
            ledger_id,
            keys: doubtful.iter().map(|row| row.key.as_str()).collect(),
            started_us: times().min().zip(times().max()),
            some_without_time: doubtful.iter().any(|row| row.started_at_us().is_none()),
        };
        let stored = transport.stored(self.table, &asked)?;
        rows.retain(|row| {
            let is_stored = stored.contains(&row.key);
            if is_stored {
                outcome.duplicates.insert(row.index);
            }
            !is_stored
        });
        Ok(())
    }

    /// Cuts rows into requests that are not too large. A row that is too large alone is rejected.
    fn requests<'a>(&self, rows: Vec<Row<'a>>, outcome: &mut Outcome) -> Vec<Vec<Row<'a>>> {
        let mut requests: Vec<Vec<Row<'_>>> = Vec::new();
        let mut bytes = 0;
        for mut row in rows {
            if row.weight() > self.max_request_bytes {
                row.strip();
            }
            let weight = row.weight();
            if weight > self.max_request_bytes {
                let limit = self.max_request_bytes;
                outcome.rejected.push(Rejected::new(
                    row.index,
                    format!("the row takes {weight} bytes, a request at most {limit}"),
                ));
                continue;
            }
            match requests.last_mut() {
                Some(request)
                    if bytes + weight <= self.max_request_bytes && request.len() < MAX_REQUEST_ROWS =>
                {
                    bytes += weight;
                    request.push(row);
                }
                _ => {
                    bytes = weight;
                    requests.push(vec![row]);
                }
            }
        }
        requests
    }

    /// Sends one request at the next offset. Rows that the server refuses are sent without their JSON, and taken out of
    /// it when they are refused again.
    fn send(
        &mut self,
        mut rows: Vec<Row<'_>>,
        transport: &mut dyn Transport,
        save: Save<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), SinkError> {
        while !rows.is_empty() {
            let Some(stream) = &mut self.state.stream else {
                return Err(SinkError::reopen("append to BigQuery", "there is no write stream"));
            };
            stream.in_flight = Some(rows.iter().map(|row| row.key.clone()).collect());
            let (name, next) = (stream.name.clone(), stream.next);
            let marks = self.state.marks.get_or_insert_default();
            rows.iter().for_each(|row| marks.advance(row));
            // Before anything is sent: whoever comes after a crash must know what may have arrived.
            save(&self.state)?;
            let batch = encoder::encode(self.table, &rows.iter().collect::<Vec<_>>()).map_err(|error| {
                SinkError::fatal("encode rows for BigQuery: report this, with the program's version", error)
            })?;
            match transport.append(self.table, &name, next, &batch) {
                Ok(()) => {
                    self.settled(next + count_of(rows.len()));
                    return Ok(());
                }
                Err(Refusal { kind: RefusalKind::Rows(bad), attempted, source }) => {
                    self.settled(next);
                    if bad.is_empty() || bad.iter().any(|(at, _)| *at >= rows.len()) {
                        return Err(SinkError::retry(attempted, source));
                    }
                    let reasons: std::collections::BTreeMap<_, _> = bad.into_iter().collect();
                    let mut at = 0..;
                    rows.retain_mut(|row| {
                        let Some(reason) = at.next().and_then(|at| reasons.get(&at)) else { return true };
                        // BigQuery's JSON takes less than JSON may hold. The line alone is better than nothing.
                        let is_stripped = row.strip();
                        if !is_stripped {
                            outcome.rejected.push(Rejected::new(row.index, reason.clone()));
                        }
                        is_stripped
                    });
                }
                Err(refusal) => return Err(self.failed(refusal, transport)),
            }
        }
        Ok(())
    }

    /// What an append that failed as a whole leaves behind.
    fn failed(&mut self, refusal: Refusal, transport: &mut dyn Transport) -> SinkError {
        match refusal.kind {
            RefusalKind::Unknown => SinkError::reopen(refusal.attempted, refusal.source),
            // The call did not reach the stream.
            RefusalKind::Denied => SinkError::reopen(refusal.attempted, refusal.source),
            RefusalKind::Blocked => SinkError::fatal(refusal.attempted, refusal.source),
            RefusalKind::Gone => {
                self.state.stream = None;
                SinkError::reopen(refusal.attempted, refusal.source)
            }
            // The stream holds more or less than this state says: the state is not the one that belongs to it. Nothing
            // that it says of what was sent is trusted.
            RefusalKind::Taken | RefusalKind::Beyond | RefusalKind::Rows(_) => {
                if let Some(stream) = self.state.stream.clone() {
                    if let Err(error) = self.fence(&stream.name, transport) {
                        return error;
                    }
                    self.state.marks = None;
                }
                SinkError::reopen(refusal.attempted, refusal.source)
            }
        }
    }
}

/// The marks of a table of which it is known that it holds nothing of the ledger.
pub(crate) fn no_marks() -> Option<Marks> {
    Some(Marks::default())
}

fn count_of(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
