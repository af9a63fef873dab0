//! The columns of the two tables, and what an existing table must have.

use std::fmt;

use super::row::{Row, TableKind};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    String,
    Integer,
    Boolean,
    Timestamp,
    Json,
}

impl ColumnType {
    /// The name in a table's schema.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Integer => "INTEGER",
            Self::Boolean => "BOOLEAN",
            Self::Timestamp => "TIMESTAMP",
            Self::Json => "JSON",
        }
    }

    /// BigQuery has two names for some types.
    fn is_named(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.as_str())
            || match self {
                Self::Integer => name.eq_ignore_ascii_case("INT64"),
                Self::Boolean => name.eq_ignore_ascii_case("BOOL"),
                Self::String | Self::Timestamp | Self::Json => false,
            }
    }
}

/// What stands in a row's column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Text(Option<std::borrow::Cow<'a, str>>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
}

/// A column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) column_type: ColumnType,
    pub(crate) is_required: bool,
    pub(crate) description: &'static str,
    pub(crate) cell: for<'r> fn(&'r Row<'_>) -> Cell<'r>,
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.column_type.as_str())
    }
}

/// The column that the tables are partitioned by.
pub(crate) const PARTITIONED_BY: &str = "started_at";

/// The columns that a table is clustered by.
pub(crate) fn clustered_by(table: TableKind) -> &'static [&'static str] {
    match table {
        TableKind::Events => &["tenant_id", "env", "surface"],
        TableKind::Entries => &["ledger_id", "kind"],
    }
}

/// The column that holds a row's key.
pub(crate) fn key_column(table: TableKind) -> &'static str {
    match table {
        TableKind::Events => "event_id",
        TableKind::Entries => "row_key",
    }
}

/// The columns of a table.
pub(crate) fn columns(table: TableKind) -> &'static [Column] {
    match table {
        TableKind::Events => EVENTS,
        TableKind::Entries => ENTRIES,
    }
}

macro_rules! column {
    ($name:literal, $column_type:ident, required, $description:literal, |$row:ident| $cell:expr) => {
        column!(@ $name, $column_type, true, $description, $row, $cell)
    };
    ($name:literal, $column_type:ident, $description:literal, |$row:ident| $cell:expr) => {
        column!(@ $name, $column_type, false, $description, $row, $cell)
    };
    (@ $name:literal, $column_type:ident, $required:literal, $description:literal, $row:ident, $cell:expr) => {
        Column {
            name: $name,
            column_type: ColumnType::$column_type,
            is_required: $required,
            description: $description,
            cell: |$row| IntoCell::into_cell($cell),
        }
    };
}

const EVENTS: &[Column] = &[
    column!("ledger_id", String, required, "the ledger that holds the event", |row| row
        .ledger_id
        .to_string()),
    column!("event_id", String, required, "the event's own id", |row| &row.envelope.event_id),
    column!("tenant_id", String, required, "the tenant; $system: the ledger's own", |row| &row
        .envelope
        .tenant_id),
    column!("env", String, required, "the env of the tenant", |row| &row.envelope.env),
    column!("seq", Integer, required, "place in the stream, from 1, without gaps", |row| row.envelope.seq),
    column!("prev", String, required, "SHA-256 of the stream's line before", |row| &row.envelope.prev),
    column!("surface", String, "the operation", |row| &row.envelope.surface),
    column!("access", String, "what the operation does to the data", |row| &row.envelope.access),
    column!("outcome", String, "how the call ended", |row| &row.envelope.outcome),
    column!("error_code", String, "why it failed", |row| row
        .envelope
        .error
        .as_ref()
        .map(|error| &error.code)),
    column!("error_message", String, "the message, if messages are recorded", |row| {
        row.envelope.error.as_ref().map(|error| &error.message)
    }),
    column!("error_retryable", Boolean, "whether trying again may help", |row| {
        row.envelope.error.as_ref().and_then(|error| error.retryable)
    }),
    column!("items", Integer, "items that a stream delivered", |row| {
        row.envelope.detail.as_ref().and_then(|detail| detail.items)
    }),
    column!("cause", String, "what died under an interrupted call", |row| {
        row.envelope.detail.as_ref().map(|detail| &detail.cause)
    }),
    column!("started_at", Timestamp, "when the call began; null outside the years 1 to 9999", |row| {
        row.started_at_us()
    }),
    column!("duration_ns", Integer, "how long the call took, in nanoseconds", |row| row.envelope.duration_ns),
    column!("recorded_at", Timestamp, "when the ledger took the event", |row| {
        row.envelope.recorded_at.filter(|at| super::row::TIMESTAMPS.contains(at))
    }),
    column!("actor_type", String, "who acted: user, service, agent, ..", |row| {
        row.envelope.actor.as_ref().map(|actor| &actor.actor_type)
    }),
    column!("user_id", String, "the user", |row| row.envelope.actor.as_ref().map(|actor| &actor.user_id)),
    column!("auth_subject", String, "the subject of the token", |row| {
        row.envelope.actor.as_ref().map(|actor| &actor.auth_subject)
    }),
    column!("on_behalf_of", String, "for whom the actor acted", |row| {
        row.envelope.actor.as_ref().map(|actor| &actor.on_behalf_of)
    }),
    column!("client_ip", String, "where the request came from", |row| {
        row.envelope.client.as_ref().map(|client| &client.ip)
    }),
    column!("user_agent", String, "what sent the request", |row| {
        row.envelope.client.as_ref().map(|client| &client.user_agent)
    }),
    column!("request_id", String, "the request", |row| &row.envelope.request_id),
    column!("trace_id", String, "the trace", |row| &row.envelope.trace_id),
    column!("span_id", String, "the span of the call", |row| &row.envelope.span_id),
    column!("parent_span_id", String, "the span that the call ran in", |row| &row.envelope.parent_span_id),
    column!("synthesized", Json, "which ids were missing and made up", |row| row.envelope.synthesized),
    column!("source_refs", Json, "what the call read or wrote: [{kind, id}]", |row| row.envelope.source_refs),
    column!("changes", Json, "what the call changed: [{field, before, after}]", |row| row.envelope.changes),
    column!("service", String, "the program that wrote the event", |row| {
        row.envelope.writer.as_ref().map(|writer| &writer.service)
    }),
    column!("service_version", String, "its version", |row| {
        row.envelope.writer.as_ref().map(|writer| &writer.version)
    }),
    column!("service_build", String, "its build", |row| {
        row.envelope.writer.as_ref().map(|writer| &writer.build)
    }),
    column!("instance", String, "its instance", |row| {
        row.envelope.writer.as_ref().map(|writer| &writer.instance)
    }),
    column!("epoch", Integer, "how often the ledger had been opened", |row| {
        row.envelope.writer.as_ref().and_then(|writer| writer.epoch)
    }),
    column!("input", Json, "the captured input, or what stands in its place", |row| row.envelope.input),
    column!("output", Json, "the captured output, or what stands in its place", |row| row.envelope.output),
    column!("log_segment", Integer, required, "the segment of the log", |row| u64::from(
        row.position.segment
    )),
    column!("log_offset", Integer, required, "where the line begins in it, in bytes", |row| row
        .position
        .offset),
    column!("line_hash", String, required, "SHA-256 of the line", |row| row.hash.to_string()),
    column!("line", String, required, "the exact line, without its newline", |row| row.text),
];

const ENTRIES: &[Column] = &[
    column!("ledger_id", String, required, "the ledger", |row| row.ledger_id.to_string()),
    column!("kind", String, required, "identity, attempt, head_table or checkpoint", |row| row.kind.as_str()),
    column!("row_key", String, required, "under what the row is stored once, in a ledger", |row| row
        .key
        .as_str()),
    column!("number", Integer, "of a checkpoint: its number", |row| row.number),
    column!("log_segment", Integer, required, "the segment of the log", |row| u64::from(
        row.position.segment
    )),
    column!(
        "log_offset",
        Integer,
        required,
        "where an attempt begins in it, or up to where the entry speaks of it, in bytes",
        |row| row.position.offset
    ),
    column!("event_id", String, "of an attempt: the id that its event will have", |row| {
        &row.envelope.event_id
    }),
    column!("tenant_id", String, "of an attempt: the tenant", |row| &row.envelope.tenant_id),
    column!("env", String, "of an attempt: the env of the tenant", |row| &row.envelope.env),
    column!("surface", String, "of an attempt: the operation", |row| &row.envelope.surface),
    column!("started_at", Timestamp, "of an attempt: when the call began; null: kept for ever", |row| {
        row.started_at_us()
    }),
    column!("part", Integer, required, "which part of the entry the row holds, from 0", |row| u64::from(
        row.part
    )),
    column!("parts", Integer, required, "how many parts the entry has", |row| u64::from(row.parts)),
    column!("line_hash", String, required, "SHA-256 of the whole entry", |row| row.hash.to_string()),
    column!("line", String, required, "the exact bytes, or a part of them", |row| row.text),
];

/// What stands in a column of an existing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) mode: String,
}

/// What an existing table needs: columns to add.
///
/// # Errors
///
/// What is wrong with it, and the way out, when adding columns cannot help.
pub(crate) fn missing_columns(table: TableKind, found: &[Found]) -> Result<Vec<&'static Column>, String> {
    let wanted = columns(table);
    let mut missing = Vec::new();
    for column in wanted {
        match found.iter().find(|found| found.name.eq_ignore_ascii_case(column.name)) {
            None => missing.push(column),
            Some(found)
                if !column.column_type.is_named(&found.type_name)
                    || found.mode.eq_ignore_ascii_case("REPEATED") =>
            {
                return Err(format!(
                    "column `{}` has type {} {}, expected {}; rename or drop that column, or name another table",
                    column.name,
                    found.mode,
                    found.type_name,
                    column.column_type.as_str()
                ));
            }
            Some(_) => {}
        }
    }
    for found in found.iter().filter(|found| found.mode.eq_ignore_ascii_case("REQUIRED")) {
        if !wanted.iter().any(|column| column.name.eq_ignore_ascii_case(&found.name) && column.is_required) {
            return Err(format!(
                "column `{}` is required, and rows may come without it; relax it to nullable, or name another table",
                found.name
            ));
        }
    }
    Ok(missing)
}

/// What can stand in a column.
trait IntoCell<'a> {
    fn into_cell(self) -> Cell<'a>;
}

impl<'a> IntoCell<'a> for String {
    fn into_cell(self) -> Cell<'a> {
        Cell::Text(Some(self.into()))
    }
}

impl<'a> IntoCell<'a> for &'a str {
    fn into_cell(self) -> Cell<'a> {
        Cell::Text(Some(self.into()))
    }
}

impl<'a> IntoCell<'a> for &'a Option<std::borrow::Cow<'_, str>> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Text(self.as_deref().map(Into::into))
    }
}

impl<'a> IntoCell<'a> for Option<&'a Option<std::borrow::Cow<'_, str>>> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Text(self.and_then(|text| text.as_deref()).map(Into::into))
    }
}

impl<'a> IntoCell<'a> for Option<&'a serde_json::value::RawValue> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Text(self.map(|raw| raw.get().into()))
    }
}

impl<'a> IntoCell<'a> for Option<i64> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Integer(self)
    }
}

impl<'a> IntoCell<'a> for Option<u64> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Integer(self.and_then(|number| i64::try_from(number).ok()))
    }
}

impl<'a> IntoCell<'a> for u64 {
    fn into_cell(self) -> Cell<'a> {
        Cell::Integer(i64::try_from(self).ok())
    }
}

impl<'a> IntoCell<'a> for Option<bool> {
    fn into_cell(self) -> Cell<'a> {
        Cell::Boolean(self)
    }
}
