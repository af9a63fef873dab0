//! Rows in BigQuery.
//!
//! **What is written.** Two tables: `events` has a row for each event, its envelope in typed columns, input and
//! output as JSON; `ledger_entries` has the rest of the ledger: attempts, head tables, checkpoints, identities. Each
//! row also has the ledger's id, its place in the log and the exact line.
//!
//! **When it is durable.** Rows go over a committed write stream with offsets. What the stream has acknowledged is
//! stored and can be queried.
//!
//! **Once in effect.** Before rows are sent, their keys, the stream and the offset are saved. After a lost answer or a
//! kill the same rows go to the same offset, which takes them once; where that cannot be done the stream is ended and
//! the table is asked. `docs/sinks/bigquery.md` goes through each crash point.
//!
//! **When the target is full or away.** [`SinkError::Retry`](super::SinkError::Retry) or `Reopen`; the log keeps what
//! is behind.
//!
//! **How to read it back.** SQL, the views, and [`BigQuerySource`](crate::sources::bigquery::BigQuerySource).

mod client;
mod connection;
mod encoder;
mod endpoint;
mod lane;
mod row;
mod schema;
mod settings;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod transport;
mod views;

use self::client::Client;
pub(crate) use self::connection::{Connection, Rows, integer, text};
use self::lane::{Lane, Outcome, no_marks};
pub(crate) use self::row::TableKind;
use self::row::{Row, rows_of};
pub use self::settings::BigQuerySettings;
use self::state::{LaneState, Marks, Saved};
use self::transport::Transport;
pub(crate) use self::transport::{Refusal, RefusalKind};
pub use self::views::BigQueryView;
use super::{Ack, Entry, EntryKind, Rejected, Sink, SinkError, SinkStart, SinkState};
use crate::ids::LedgerId;

/// Makes a connection.
type Connect = Box<dyn FnMut() -> Result<Box<dyn Transport>, SinkError> + Send>;

/// Holds the log in BigQuery.
pub struct BigQuerySink {
    connect: Connect,
    /// The full names of the tables, in the order of [`TableKind::BOTH`].
    tables: [String; 2],
    /// Where they are; empty for Google's own.
    endpoints: String,
    max_request_bytes: usize,
    open: Option<Open>,
}

impl std::fmt::Debug for BigQuerySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BigQuerySink").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// A sink that was opened.
struct Open {
    ledger_id: LedgerId,
    state: Box<dyn SinkState>,
    transport: Box<dyn Transport>,
    events: Lane,
    entries: Lane,
}

impl BigQuerySink {
    /// A sink on the tables of the settings. It does not connect before it is opened.
    pub fn new(settings: BigQuerySettings) -> Self {
        let tables = TableKind::BOTH.map(|table| settings.full_name(settings.table_of(table)));
        let (endpoints, max_request_bytes) = (settings.endpoints_text(), settings.max_request_bytes);
        let connect = move || Ok(Box::new(Client::open(&settings)?) as Box<dyn Transport>);
        Self { endpoints, ..Self::with_connect(Box::new(connect), tables, max_request_bytes) }
    }

    fn with_connect(connect: Connect, tables: [String; 2], max_request_bytes: usize) -> Self {
        Self { connect, tables, endpoints: String::new(), max_request_bytes, open: None }
    }

    /// The schema of the events table and the rows of events, as they are sent: what a bench gives the bare client.
    #[doc(hidden)]
    pub fn arrow_of(events: &[Entry]) -> Result<(Vec<u8>, Vec<u8>), String> {
        let rows = events.iter().enumerate().map(|(at, entry)| rows_of(entry, at));
        let rows = rows.collect::<Result<Vec<_>, _>>()?.concat();
        let encoded = encoder::encode(TableKind::Events, &rows.iter().collect::<Vec<_>>())
            .and_then(|batch| Ok((encoder::ipc_schema(TableKind::Events)?, encoder::ipc_rows(&batch)?)));
        encoded.map_err(|error| error.to_string())
    }

    /// The lanes as they were, or as they were saved, or new ones.
    fn lanes(&mut self, start: &SinkStart<'_>) -> (Lane, Lane) {
        // What is in memory is never older than what was saved.
        if let Some(open) = self.open.take().filter(|open| open.ledger_id == start.ledger_id) {
            return (open.events, open.entries);
        }
        let [events, entries] = self.tables.clone();
        let mut events = Lane::new(TableKind::Events, events, self.max_request_bytes);
        let mut entries = Lane::new(TableKind::Entries, entries, self.max_request_bytes);
        let saved = start.state.load().and_then(|bytes| Saved::read(&bytes, start.ledger_id));
        if let Some(saved) = saved {
            events.resume(saved.events);
            entries.resume(saved.entries);
        }
        (events, entries)
    }
}

impl Open {
    /// Learns up to where the ledger was ever sent, when nobody knows.
    ///
    /// The identity is stored before anything else. So when the second table holds nothing of the ledger and the
    /// identity comes now, the first table, which may be huge, need not be asked.
    fn find_marks(&mut self, batch: &[Entry]) -> Result<(), SinkError> {
        if self.events.state.marks.is_some() {
            return Ok(());
        }
        self.entries.find_marks(self.ledger_id, &mut *self.transport)?;
        let begins = batch.iter().any(|entry| entry.kind() == EntryKind::Identity);
        if begins && self.entries.state.marks.as_ref() == Some(&Marks::default()) {
            self.events.state.marks = no_marks();
        }
        Ok(())
    }

    fn append(&mut self, table: TableKind, rows: Vec<Row<'_>>) -> Result<Outcome, SinkError> {
        let Self { ledger_id, state, transport, events, entries } = self;
        let (lane, other) = match table {
            TableKind::Events => (events, entries.state.clone()),
            TableKind::Entries => (entries, events.state.clone()),
        };
        let mut save = |mine: &LaneState| {
            let saved = match table {
                TableKind::Events => Saved::new(*ledger_id, mine.clone(), other.clone()),
                TableKind::Entries => Saved::new(*ledger_id, other.clone(), mine.clone()),
            };
            save(&mut **state, &saved)
        };
        lane.append(*ledger_id, rows, &mut **transport, &mut save)
    }
}

fn save(state: &mut dyn SinkState, saved: &Saved) -> Result<(), SinkError> {
    let written = saved.to_bytes().and_then(|bytes| state.save(&bytes));
    written.map_err(|error| SinkError::retry("save what the BigQuery sink is about to send", error))
}

impl Sink for BigQuerySink {
    fn kind(&self) -> &'static str {
        "bigquery"
    }

    fn target(&self) -> String {
        self.tables.join(", ") + &self.endpoints
    }

    fn open(&mut self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let (mut events, mut entries) = self.lanes(start);
        let mut connected = || {
            let mut transport = (self.connect)()?;
            transport.prepare().map_err(SinkError::from)?;
            events.open(&mut *transport)?;
            entries.open(&mut *transport)?;
            Ok(transport)
        };
        let transport = connected();
        let (transport, result) = match transport {
            Ok(transport) => (transport, Ok(())),
            Err(error) => (Box::new(transport::Closed) as Box<dyn Transport>, Err(error)),
        };
        let (ledger_id, state) = (start.ledger_id, start.state.handle());
        self.open = Some(Open { ledger_id, state, transport, events, entries });
        result
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let Some(open) = &mut self.open else {
            return Err(SinkError::reopen("append to BigQuery", "the sink is not open"));
        };
        open.find_marks(batch)?;
        let mut rejected: Vec<Rejected> = Vec::new();
        let (mut first, mut events, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (index, entry) in batch.iter().enumerate() {
            let rows = match rows_of(entry, index) {
                Ok(rows) => rows,
                Err(reason) => {
                    rejected.push(Rejected::new(index, reason));
                    continue;
                }
            };
            match entry.kind() {
                EntryKind::Identity | EntryKind::Cut => first.extend(rows),
                EntryKind::Event => events.extend(rows),
                EntryKind::Attempt | EntryKind::HeadTable | EntryKind::Checkpoint => rest.extend(rows),
            }
        }
        // A checkpoint is stored after the events that it covers.
        let steps = [(TableKind::Entries, first), (TableKind::Events, events), (TableKind::Entries, rest)];
        let mut duplicates = 0;
        for (table, rows) in steps {
            let outcome = open.append(table, rows)?;
            duplicates += outcome.duplicates.len() as u64;
            rejected.extend(outcome.rejected);
        }
        rejected.sort_by_key(|rejected| rejected.index);
        rejected.dedup_by_key(|rejected| rejected.index);
        Ok(Ack::all().with_rejected(rejected).with_duplicates(duplicates))
    }

    fn close(&mut self) -> Result<(), SinkError> {
        // Without this the next run would end the stream and ask the table what became of the last request.
        let Some(mut open) = self.open.take() else { return Ok(()) };
        save(&mut *open.state, &Saved::new(open.ledger_id, open.events.state, open.entries.state))
    }
}
