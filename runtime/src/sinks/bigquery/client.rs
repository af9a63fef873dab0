//! The protocol's calls, over Google's own clients.

use std::collections::{HashMap, HashSet};

use google_cloud_bigquery::client::Write;
use google_cloud_bigquery::error::{AppendError, WriterBuilderError};
use google_cloud_bigquery::model::{ArrowRecordBatch, ArrowSchema};
use google_cloud_bigquery::write::CommittedWriter;
use google_cloud_bigquery::write::format::Arrow;

use arrow_array::RecordBatch;

use super::connection::{Connection, integer, text, texts};
use super::encoder;
use super::row::TableKind;
use super::schema::{PARTITIONED_BY, key_column};
use super::settings::BigQuerySettings;
use super::state::Marks;
use super::tables::Tables;
use super::transport::{Asked, Refusal, RefusalKind, Transport};
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::sinks::google::redact;

/// Above every segment's length, so that a place in the log is one number.
const SEGMENT_STEP: i64 = 1 << 40;

/// A connection that writes.
#[derive(Debug)]
pub(crate) struct Client {
    // Before the connection, whose runtime they run on.
    writers: HashMap<TableKind, CommittedWriter<Arrow>>,
    write: Write,
    tables: Tables,
    connection: Connection,
}

impl Client {
    /// Makes the clients. Nothing is sent.
    pub(crate) fn open(settings: &BigQuerySettings) -> Result<Self, Refusal> {
        let connection = Connection::open(settings)?;
        let attempted = "make the client of the Storage Write API";
        let mut builder = Write::builder().with_credentials(connection.credentials.clone());
        if let Some(endpoint) = &settings.storage_endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let write = connection.run(attempted, settings.timeout, builder.build())?;
        let write = write
            .map_err(|error| Refusal::new(RefusalKind::Unknown, attempted, redact(&error.to_string())))?;
        let tables = Tables::open(&connection)?;
        Ok(Self { writers: HashMap::new(), write, tables, connection })
    }

    fn full_name(&self, table: TableKind) -> String {
        let settings = &self.connection.settings;
        settings.full_name(settings.table_of(table))
    }

    fn quoted(&self, table: TableKind) -> String {
        let settings = &self.connection.settings;
        settings.quoted(settings.table_of(table))
    }

    fn arrow_schema(table: TableKind) -> Result<ArrowSchema, Refusal> {
        let schema = encoder::ipc_schema(table);
        let schema =
            schema.map_err(|error| Refusal::new(RefusalKind::Blocked, "encode the columns", error))?;
        Ok(ArrowSchema::new().set_serialized_schema(schema))
    }

    fn built(
        &mut self,
        attempted: &str,
        table: TableKind,
        built: Result<CommittedWriter<Arrow>, WriterBuilderError>,
    ) -> Result<String, Refusal> {
        match built {
            Ok(writer) => {
                let name = writer.write_stream().to_owned();
                self.writers.insert(table, writer);
                Ok(name)
            }
            Err(WriterBuilderError::Rpc { source, .. }) => Err(self.connection.refusal(attempted, &source)),
            Err(error) => Err(Refusal::new(RefusalKind::Gone, attempted, redact(&error.to_string()))),
        }
    }

    fn writer(&self, table: TableKind, stream: &str) -> Result<&CommittedWriter<Arrow>, Refusal> {
        let writer = self.writers.get(&table).filter(|writer| writer.write_stream() == stream);
        writer
            .ok_or_else(|| Refusal::new(RefusalKind::Unknown, "write to BigQuery", "the stream is not open"))
    }
}

impl Transport for Client {
    fn prepare(&mut self) -> Result<(), Refusal> {
        for table in TableKind::BOTH {
            self.tables.ensure(&self.connection, table)?;
        }
        self.tables.ensure_views(&self.connection)
    }

    fn create_stream(&mut self, table: TableKind) -> Result<String, Refusal> {
        let attempted = format!("make a write stream of {}", self.full_name(table));
        let settings = &self.connection.settings;
        let path = format!(
            "projects/{}/datasets/{}/tables/{}",
            settings.project,
            settings.dataset,
            settings.table_of(table)
        );
        let building = self.write.create_stream(path).build_arrow(Self::arrow_schema(table)?);
        let built = self.connection.run(&attempted, settings.timeout, building)?;
        self.built(&attempted, table, built)
    }

    fn attach_stream(&mut self, table: TableKind, stream: &str) -> Result<(), Refusal> {
        let attempted = format!("open the write stream of {}", self.full_name(table));
        let building = self.write.attach_to_stream(stream).build_arrow(Self::arrow_schema(table)?);
        let built = self.connection.run(&attempted, self.connection.settings.timeout, building)?;
        self.built(&attempted, table, built).map(drop)
    }

    fn finalize_stream(&mut self, table: TableKind, stream: &str) -> Result<(), Refusal> {
        let attempted = format!("end the write stream of {}", self.full_name(table));
        let writer = self.writer(table, stream)?;
        self.connection.call(&attempted, writer.finalize()).map(drop)
    }

    fn append(
        &mut self,
        table: TableKind,
        stream: &str,
        offset: i64,
        rows: &RecordBatch,
    ) -> Result<(), Refusal> {
        let attempted = format!("append {} rows to {}", rows.num_rows(), self.full_name(table));
        let writer = self.writer(table, stream)?;
        let bytes = encoder::ipc_rows(rows);
        let bytes = bytes.map_err(|error| Refusal::new(RefusalKind::Blocked, "encode rows", error))?;
        let batch = ArrowRecordBatch::new().set_serialized_record_batch(bytes);
        // The call begins inside the runtime that carries its stream.
        let appending = async { writer.append(batch).set_offset(offset).send().await };
        match self.connection.run(&attempted, self.connection.settings.timeout, appending)? {
            Ok(_) => Ok(()),
            Err(AppendError::RowErrors { row_errors, .. }) => {
                // Rows that do not fit a table that was changed are not to blame.
                self.tables.check(&self.connection, table)?;
                let bad = row_errors
                    .iter()
                    .filter_map(|error| Some((usize::try_from(error.index).ok()?, redact(&error.message))));
                let reason = "BigQuery refuses some of the rows";
                Err(Refusal::new(RefusalKind::Rows(bad.collect()), attempted, reason))
            }
            Err(AppendError::Rpc { source, .. }) => Err(self.connection.refusal(&attempted, &source)),
            Err(error) => Err(Refusal::new(RefusalKind::Unknown, attempted, redact(&error.to_string()))),
        }
    }

    fn stored(&mut self, table: TableKind, asked: &Asked<'_>) -> Result<HashSet<String>, Refusal> {
        let key = key_column(table);
        let mut parameters =
            vec![text("ledger", asked.ledger_id.to_string()), texts("keys", asked.keys.iter().copied())];
        let mut days = Vec::new();
        if let Some((first, last)) = asked.started_us {
            days.push(format!(
                "{PARTITIONED_BY} BETWEEN TIMESTAMP_MICROS(@first) AND TIMESTAMP_MICROS(@last)"
            ));
            parameters.extend([integer("first", first), integer("last", last)]);
        }
        if asked.some_without_time {
            days.push(format!("{PARTITIONED_BY} IS NULL"));
        }
        let sql = format!(
            "SELECT {key} AS k FROM {} WHERE ledger_id = @ledger AND ({}) AND {key} IN UNNEST(@keys)",
            self.quoted(table),
            days.join(" OR ")
        );
        let attempted = format!("look up rows in {}", self.full_name(table));
        let mut rows = self.connection.query(&attempted, &sql, parameters)?;
        let mut stored = HashSet::new();
        while let Some(row) = rows.next()? {
            stored.insert(row.get("k").map_err(|error| rows.strange(error))?);
        }
        Ok(stored)
    }

    fn marks(&mut self, table: TableKind, ledger_id: LedgerId) -> Result<Marks, Refusal> {
        let place = format!("log_segment * {SEGMENT_STEP} + log_offset");
        let columns = match table {
            TableKind::Events => format!(
                "MAX({place}) AS line, CAST(NULL AS INT64) AS head_table, CAST(NULL AS INT64) AS checkpoint, \
                 CAST(NULL AS INT64) AS cut, CAST(NULL AS STRING) AS identities"
            ),
            TableKind::Entries => format!(
                "MAX(IF(kind = 'attempt', {place}, NULL)) AS line, \
                 MAX(IF(kind = 'head_table', {place}, NULL)) AS head_table, \
                 MAX(IF(kind = 'checkpoint', number, NULL)) AS checkpoint, \
                 MAX(IF(kind = 'cut', number, NULL)) AS cut, \
                 STRING_AGG(DISTINCT IF(kind = 'identity', line_hash, NULL)) AS identities"
            ),
        };
        let sql = format!("SELECT {columns} FROM {} WHERE ledger_id = @ledger", self.quoted(table));
        let attempted = format!("look up to where {} holds the ledger", self.full_name(table));
        let ledger = vec![text("ledger", ledger_id.to_string())];
        let mut rows = self.connection.query(&attempted, &sql, ledger)?;
        let Some(row) = rows.next()? else { return Ok(Marks::default()) };
        let number = |name: &str| row.get::<Option<i64>>(name).map_err(|error| rows.strange(error));
        let identities: Option<String> = row.get("identities").map_err(|error| rows.strange(error))?;
        Ok(Marks {
            line: number("line")?.map(position),
            head_table: number("head_table")?.map(position),
            checkpoint: number("checkpoint")?.and_then(|number| u64::try_from(number).ok()).unwrap_or(0),
            cut: number("cut")?.and_then(|number| u64::try_from(number).ok()).unwrap_or(0),
            identities: identities.iter().flat_map(|all| all.split(',')).map(str::to_owned).collect(),
        })
    }
}

fn position(place: i64) -> LogPosition {
    LogPosition {
        segment: u32::try_from(place / SEGMENT_STEP).unwrap_or(u32::MAX),
        offset: u64::try_from(place % SEGMENT_STEP).unwrap_or(u64::MAX),
    }
}
