//! Rows as Arrow, and Arrow as the bytes that the Storage Write API takes.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::row::{Row, TableKind};
use super::schema::{Cell, Column, ColumnType, columns};

/// The Arrow schema of a table.
pub(crate) fn arrow_schema(table: TableKind) -> SchemaRef {
    let field =
        |column: &Column| Field::new(column.name, arrow_type(column.column_type), !column.is_required);
    Arc::new(Schema::new(columns(table).iter().map(field).collect::<Vec<_>>()))
}

fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        // JSON goes as its text.
        ColumnType::String | ColumnType::Json => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// Rows of one table as a batch.
///
/// # Errors
///
/// When a row lacks what its table requires.
pub(crate) fn encode(table: TableKind, rows: &[&Row<'_>]) -> Result<RecordBatch, ArrowError> {
    let arrays = columns(table).iter().map(|column| array(column, rows)).collect();
    RecordBatch::try_new(arrow_schema(table), arrays)
}

fn array(column: &Column, rows: &[&Row<'_>]) -> ArrayRef {
    let cells = rows.iter().map(|row| (column.cell)(row));
    match column.column_type {
        ColumnType::String | ColumnType::Json => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| builder.append_option(text(&cell)));
            Arc::new(builder.finish())
        }
        ColumnType::Integer => {
            let mut builder = Int64Builder::with_capacity(rows.len());
            cells.for_each(|cell| builder.append_option(integer(&cell)));
            Arc::new(builder.finish())
        }
        ColumnType::Timestamp => {
            let mut builder = TimestampMicrosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
            cells.for_each(|cell| builder.append_option(integer(&cell)));
            Arc::new(builder.finish())
        }
        ColumnType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows.len());
            cells.for_each(|cell| builder.append_option(boolean(&cell)));
            Arc::new(builder.finish())
        }
    }
}

fn text<'c>(cell: &'c Cell<'_>) -> Option<&'c str> {
    match cell {
        Cell::Text(text) => text.as_deref(),
        Cell::Integer(_) | Cell::Boolean(_) => None,
    }
}

fn integer(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Integer(integer) => *integer,
        Cell::Text(_) | Cell::Boolean(_) => None,
    }
}

fn boolean(cell: &Cell<'_>) -> Option<bool> {
    match cell {
        Cell::Boolean(boolean) => *boolean,
        Cell::Text(_) | Cell::Integer(_) => None,
    }
}

/// The schema of a table as an IPC message.
///
/// # Errors
///
/// When Arrow cannot write it.
pub(crate) fn ipc_schema(table: TableKind) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default();
    let mut dictionaries = DictionaryTracker::new(true);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        &arrow_schema(table),
        &mut dictionaries,
        &options,
    );
    let mut bytes = Vec::new();
    write_message(&mut bytes, encoded, &options)?;
    Ok(bytes)
}

/// A batch as an IPC message, without its schema.
///
/// # Errors
///
/// When Arrow cannot write it.
pub(crate) fn ipc_rows(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default();
    let (_, encoded) = IpcDataGenerator::default().encode(
        batch,
        &mut DictionaryTracker::new(true),
        &options,
        &mut IpcWriteContext::default(),
    )?;
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size());
    write_message(&mut bytes, encoded, &options)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};

    use super::super::super::{Entry, EntryKind};
    use super::super::row::{PART_BYTES, rows_of};
    use super::*;
    use crate::ids::LedgerId;
    use crate::log::LogPosition;

    const LINE: &str = concat!(
        r#"{"schema_version":1,"kind":"event","ledger_id":"01900000-0000-7000-8000-000000000001","#,
        r#""event_id":"01900000-0000-7000-8000-000000000002","tenant_id":"acme","env":"prod","seq":3,"#,
        r#""prev":"abababababababababababababababababababababababababababababababab","#,
        r#""surface":"chat.send","access":"create","outcome":"interrupted","#,
        r#""error":{"code":"interrupted","message":"a \"b\"","retryable":false},"#,
        r#""detail":{"items":3,"cause":"process"},"started_at":-5,"duration_ns":1,"recorded_at":7,"#,
        r#""actor":{"type":"agent","user_id":"u","auth_subject":"s","on_behalf_of":"o"},"#,
        r#""client":{"ip":"::1","user_agent":"x\ty"},"request_id":"r","#,
        r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
        r#""parent_span_id":"00f067aa0ba902b8","synthesized":["request_id"],"#,
        r#""source_refs":[{"kind":"thread","id":"th_1"}],"#,
        r#""changes":[{"field":"limit","before":1.50,"after":null}],"#,
        r#""writer":{"service":"s","version":"1","build":"b","instance":"i","epoch":2},"#,
        r#""input":{"n":1e3,"s":"\u00e4","t":"日本"},"output":{}}"#
    );

    fn event(line: &str) -> Entry {
        Entry::line(LogPosition { segment: 2, offset: 400 }, line.as_bytes().to_vec()).expect("a line")
    }

    fn ledger() -> LedgerId {
        "01900000-0000-7000-8000-000000000001".parse().unwrap()
    }

    /// The columns of a single row, as they print; null is left out.
    fn printed(batch: &RecordBatch) -> Vec<(String, String)> {
        let mut cells = Vec::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if column.is_null(0) {
                continue;
            }
            let value = match field.data_type() {
                DataType::Utf8 => column.as_string::<i32>().value(0).to_owned(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(0).to_string(),
                DataType::Boolean => column.as_boolean().value(0).to_string(),
                _ => column.as_primitive::<TimestampMicrosecondType>().value(0).to_string(),
            };
            cells.push((field.name().clone(), value));
        }
        cells
    }

    fn one(entry: &Entry) -> Vec<(String, String)> {
        let rows = rows_of(entry, 0).unwrap();
        assert_eq!(rows.len(), 1);
        printed(&encode(TableKind::of(entry.kind()), &[&rows[0]]).unwrap())
    }

    #[test]
    fn an_event_fills_every_column_with_what_its_line_says() {
        let entry = event(LINE);
        let hash = entry.hash().to_string();
        let expected = [
            ("ledger_id", "01900000-0000-7000-8000-000000000001"),
            ("event_id", "01900000-0000-7000-8000-000000000002"),
            ("tenant_id", "acme"),
            ("env", "prod"),
            ("seq", "3"),
            ("prev", "abababababababababababababababababababababababababababababababab"),
            ("surface", "chat.send"),
            ("access", "create"),
            ("outcome", "interrupted"),
            ("error_code", "interrupted"),
            ("error_message", "a \"b\""),
            ("error_retryable", "false"),
            ("items", "3"),
            ("cause", "process"),
            ("started_at", "-5"),
            ("duration_ns", "1"),
            ("recorded_at", "7"),
            ("actor_type", "agent"),
            ("user_id", "u"),
            ("auth_subject", "s"),
            ("on_behalf_of", "o"),
            ("client_ip", "::1"),
            ("user_agent", "x\ty"),
            ("request_id", "r"),
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("span_id", "00f067aa0ba902b7"),
            ("parent_span_id", "00f067aa0ba902b8"),
            ("synthesized", r#"["request_id"]"#),
            ("source_refs", r#"[{"kind":"thread","id":"th_1"}]"#),
            ("changes", r#"[{"field":"limit","before":1.50,"after":null}]"#),
            ("service", "s"),
            ("service_version", "1"),
            ("service_build", "b"),
            ("instance", "i"),
            ("epoch", "2"),
            ("input", "{\"n\":1e3,\"s\":\"\\u00e4\",\"t\":\"日本\"}"),
            ("output", "{}"),
            ("log_segment", "2"),
            ("log_offset", "400"),
            ("line_hash", &hash),
            ("line", LINE),
        ];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(one(&entry), expected);
        assert_eq!(expected.len(), columns(TableKind::Events).len());
    }

    #[test]
    fn a_line_of_a_later_version_keeps_its_ids_and_its_bytes() {
        let later = LINE.replace(r#""access":"create""#, r#""access":{"verbs":["create"]}"#);
        let entry = event(&later);
        assert!(entry.event().is_none());
        let cells = one(&entry);
        let names: Vec<_> = cells.iter().map(|(name, _)| name.as_str()).collect();
        let kept = ["ledger_id", "event_id", "tenant_id", "env", "seq", "prev"];
        let bytes = ["log_segment", "log_offset", "line_hash", "line"];
        assert_eq!(names, [&kept[..], &bytes[..]].concat());
        assert_eq!(cells.last().unwrap().1, later);
    }

    #[test]
    fn a_time_that_bigquery_cannot_hold_is_null_and_the_row_is_kept() {
        for started_at in ["-62135596800000001", "253402300800000000"] {
            let entry = event(&LINE.replace(r#""started_at":-5"#, &format!(r#""started_at":{started_at}"#)));
            let cells = one(&entry);
            assert!(!cells.iter().any(|(name, _)| name == "started_at"), "{started_at}");
            assert!(cells.iter().any(|(name, value)| name == "line" && value.contains(started_at)));
        }
    }

    #[test]
    fn sealed_and_omitted_parts_stand_as_they_are() {
        let sealed = r#"{"$sealed":{"alg":"a","key_id":"k","nonce":"n","ct":"c"}}"#;
        let line =
            LINE.replace(r#"{"type":"agent","user_id":"u","auth_subject":"s","on_behalf_of":"o"}"#, sealed);
        let line = line.replace(r#"[{"kind":"thread","id":"th_1"}]"#, sealed);
        let cells = one(&event(&line));
        assert!(cells.contains(&("source_refs".to_owned(), sealed.to_owned())));
        assert!(!cells.iter().any(|(name, _)| name == "user_id" || name == "actor_type"));
    }

    #[test]
    fn the_other_kinds_stand_in_the_second_table() {
        let position = LogPosition { segment: 1, offset: 7 };
        let attempt = LINE.replace(r#""kind":"event""#, r#""kind":"attempt""#);
        let entries = [
            (Entry::identity(ledger(), b"{}\n".to_vec()), "identity", "{}\n"),
            (event(&attempt), "attempt", attempt.as_str()),
            (Entry::head_table(ledger(), position, b"[]\n".to_vec()), "head_table", "[]\n"),
            (
                Entry::checkpoint(ledger(), 12, position, b"{\"number\":12}".to_vec()),
                "checkpoint",
                "{\"number\":12}",
            ),
            (Entry::cut(ledger(), 12, position, b"{\"cut\":12}".to_vec()), "cut", "{\"cut\":12}"),
        ];
        for (entry, kind, line) in &entries {
            let cells: std::collections::BTreeMap<_, _> = one(entry).into_iter().collect();
            assert_eq!(cells["kind"], *kind);
            assert_eq!(cells["line"], *line);
            assert_eq!(cells["parts"], "1");
            assert_eq!(
                cells.get("number").map(String::as_str),
                matches!(*kind, "checkpoint" | "cut").then_some("12")
            );
            assert_eq!(cells.contains_key("started_at"), *kind == "attempt");
            assert_eq!(cells.contains_key("tenant_id"), *kind == "attempt");
        }
        assert_eq!(entries[0].0.kind(), EntryKind::Identity);
    }

    #[test]
    fn a_long_entry_is_spread_over_rows_that_join_to_its_bytes() {
        let text = "日".repeat(PART_BYTES);
        let entry = Entry::head_table(ledger(), LogPosition::START, text.clone().into_bytes());
        let rows = rows_of(&entry, 4).unwrap();
        assert_eq!(rows.len(), 4, "a character is not cut");
        assert_eq!(rows.iter().map(|row| row.text).collect::<String>(), text);
        assert!(rows.iter().all(|row| row.text.len() <= PART_BYTES && row.index == 4 && row.parts == 4));
        let keys: std::collections::HashSet<_> = rows.iter().map(|row| &row.key).collect();
        assert_eq!(keys.len(), 4);
    }

    #[test]
    fn what_goes_over_the_wire_reads_back_as_the_batch_and_weighs_no_more_than_it_was_said_to() {
        let (first, second) = (event(LINE), event(&LINE.replace("acme", "umbrella")));
        let rows = [rows_of(&first, 0).unwrap().remove(0), rows_of(&second, 1).unwrap().remove(0)];
        let batch = encode(TableKind::Events, &[&rows[0], &rows[1]]).unwrap();
        let (schema, message) = (ipc_schema(TableKind::Events).unwrap(), ipc_rows(&batch).unwrap());
        // A stream is the two messages and an end.
        let stream = [&schema[..], &message[..], &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]].concat();
        let mut reader = arrow_ipc::reader::StreamReader::try_new(&stream[..], None).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), batch);
        let many: Vec<_> = std::iter::repeat_n(&rows[0], 1_000).collect();
        let weight: usize = many.iter().map(|row| row.weight()).sum();
        let bytes = ipc_rows(&encode(TableKind::Events, &many).unwrap()).unwrap().len();
        assert!(bytes <= weight, "{bytes} bytes were said to be at most {weight}");
    }
}
