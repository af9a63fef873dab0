//! What the BigQuery sink stores, read back by queries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use google_cloud_bigquery::error::RowError;
use google_cloud_bigquery::query::Row;
use google_cloud_bigquery_v2::model::QueryParameter;

use super::{Source, SourceError, SourceEvent, SourcePage, SourcePiece, SourceQuery, SourceStart};
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::sinks::bigquery::{
    BigQuerySettings, Connection, Refusal, RefusalKind, Rows, TableKind, integer, text,
};

/// How many segments of the log one query reads: the rows of a query are sorted, and that has its limits.
const SEGMENTS_A_QUERY: i64 = 16;

/// How many bytes of the log a piece holds at least, where there are more.
const PIECE_BYTES: usize = 1 << 20;

/// The most events of a page.
const MAX_LIMIT: usize = 1_000;

/// Reads the tables of a [`BigQuerySink`](crate::sinks::bigquery::BigQuerySink).
///
/// A query of events reads the partitions of all days, clustered by scope and surface; reading a ledger reads
/// the whole events table once for each 16 segments.
#[derive(Debug)]
pub struct BigQuerySource {
    settings: BigQuerySettings,
    connection: Mutex<Option<Connection>>,
}

impl BigQuerySource {
    /// A source on the tables of the settings. Nothing is sent before it is asked for something.
    pub fn new(settings: BigQuerySettings) -> Self {
        Self { settings, connection: Mutex::new(None) }
    }

    fn connection(&self) -> Result<MutexGuard<'_, Option<Connection>>, SourceError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_none() {
            *connection = Some(Connection::open(&self.settings).map_err(unavailable)?);
        }
        Ok(connection)
    }

    /// Runs a query and gives its rows to `take`. A table that is not there holds nothing.
    fn each(
        &self,
        attempted: &str,
        sql: &str,
        parameters: Vec<QueryParameter>,
        take: &mut dyn FnMut(&Cells<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let connection = self.connection()?;
        let Some(connection) = &*connection else { return Ok(()) };
        let attempted = format!("{attempted} in {}", self.settings.full_name("*"));
        let mut rows = match connection.query(&attempted, sql, parameters) {
            Ok(rows) => rows,
            Err(refusal) if refusal.kind == RefusalKind::Gone => return Ok(()),
            Err(refusal) => return Err(unavailable(refusal)),
        };
        while let Some(row) = rows.next().map_err(unavailable)? {
            take(&Cells { row: &row, rows: &rows })?;
        }
        Ok(())
    }

    fn table(&self, table: TableKind) -> String {
        self.settings.quoted(self.settings.table_of(table))
    }

    fn read_log(
        &self,
        ledger_id: LedgerId,
        from: LogPosition,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let (events, entries) = (self.table(TableKind::Events), self.table(TableKind::Entries));
        let bounds = format!(
            "SELECT MIN(log_segment) AS first, MAX(log_segment) AS last FROM (\
             SELECT log_segment FROM {events} WHERE ledger_id = @ledger UNION ALL \
             SELECT log_segment FROM {entries} WHERE ledger_id = @ledger AND kind = 'attempt') \
             WHERE log_segment >= @segment"
        );
        let ledger = || text("ledger", ledger_id.to_string());
        let (mut first, mut last) = (None, None);
        let parameters = vec![ledger(), integer("segment", i64::from(from.segment))];
        self.each("find the segments of a ledger", &bounds, parameters, &mut |cells| {
            (first, last) = (cells.integer("first")?, cells.integer("last")?);
            Ok(())
        })?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
        let place =
            "log_segment BETWEEN @first AND @last AND (log_segment > @segment OR log_offset >= @offset)";
        let lines = format!(
            "SELECT log_segment, log_offset, part, parts, line FROM (\
             SELECT log_segment, log_offset, 0 AS part, 1 AS parts, line FROM {events} \
             WHERE ledger_id = @ledger AND {place} UNION ALL \
             SELECT log_segment, log_offset, part, parts, line FROM {entries} \
             WHERE ledger_id = @ledger AND kind = 'attempt' AND {place}) \
             ORDER BY log_segment, log_offset, part"
        );
        let mut piece = LogPiece::default();
        let mut parts = Parts::default();
        for first in (first..=last).step_by(SEGMENTS_A_QUERY as usize) {
            let parameters = vec![
                ledger(),
                integer("first", first),
                integer("last", last.min(first + SEGMENTS_A_QUERY - 1)),
                integer("segment", i64::from(from.segment)),
                integer("offset", i64::try_from(from.offset).unwrap_or(i64::MAX)),
            ];
            self.each("read the lines of a ledger", &lines, parameters, &mut |cells| match parts
                .join(cells)?
            {
                Some((position, line)) => piece.add(position, &line, take),
                None => Ok(()),
            })?;
        }
        piece.give(take)
    }

    fn read_entries(
        &self,
        ledger_id: LedgerId,
        kind: &str,
        condition: &str,
        more: Vec<QueryParameter>,
        take: &mut dyn FnMut(LogPosition, Option<i64>, String) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let sql = format!(
            "SELECT number, log_segment, log_offset, part, parts, line FROM {} \
             WHERE ledger_id = @ledger AND kind = @kind AND started_at IS NULL AND {condition} \
             ORDER BY number, log_segment, log_offset, line_hash, part",
            self.table(TableKind::Entries)
        );
        let mut parameters = vec![text("ledger", ledger_id.to_string()), text("kind", kind)];
        parameters.extend(more);
        let mut parts = Parts::default();
        self.each("read the entries of a ledger", &sql, parameters, &mut |cells| {
            let number = cells.integer("number")?;
            match parts.join(cells)? {
                Some((position, entry)) => take(position, number, entry),
                None => Ok(()),
            }
        })
    }
}

impl Source for BigQuerySource {
    fn kind(&self) -> &'static str {
        "bigquery"
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError> {
        let sql = format!(
            "SELECT DISTINCT ledger_id FROM {} WHERE kind = 'identity' AND started_at IS NULL",
            self.table(TableKind::Entries)
        );
        let mut ledgers = Vec::new();
        self.each("list the ledgers", &sql, Vec::new(), &mut |cells| {
            let id = cells.text("ledger_id")?;
            let parsed = id.parse();
            ledgers.push(
                parsed.map_err(|_| {
                    SourceError::corrupt("list the ledgers", format!("`{id}` is no ledger id"))
                })?,
            );
            Ok(())
        })?;
        ledgers.sort();
        Ok(ledgers)
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.read_entries(ledger_id, "identity", "TRUE", Vec::new(), &mut |_, _, text| {
            take(SourcePiece::Identity(text.into_bytes()))
        })?;
        self.read_log(ledger_id, from.position, take)?;
        let to_number =
            |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
        // Each was stored before the first line of a log that begins at it.
        self.read_entries(ledger_id, "cut", "TRUE", Vec::new(), &mut |_, number, text| {
            take(SourcePiece::Cut { number: to_number(number), line: text.into_bytes() })
        })?;
        let position = vec![
            integer("segment", i64::from(from.position.segment)),
            integer("offset", i64::try_from(from.position.offset).unwrap_or(i64::MAX)),
        ];
        let behind = "(log_segment > @segment OR (log_segment = @segment AND log_offset >= @offset))";
        self.read_entries(ledger_id, "head_table", behind, position, &mut |position, _, text| {
            take(SourcePiece::HeadTable { position, bytes: text.into_bytes() })
        })?;
        let number = vec![integer("number", i64::try_from(from.checkpoint).unwrap_or(i64::MAX))];
        self.read_entries(ledger_id, "checkpoint", "number > @number", number, &mut |_, number, text| {
            take(SourcePiece::Checkpoint { number: to_number(number), line: text.into_bytes() })
        })
    }

    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError> {
        let limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_LIMIT) };
        let mut conditions = vec!["tenant_id = @tenant", "env = @env", "recorded_at IS NOT NULL"];
        let mut parameters =
            vec![text("tenant", scope.tenant_id().as_str()), text("env", scope.env().as_str())];
        for (value, name, condition) in [
            (&query.surface, "surface", "surface = @surface"),
            (&query.outcome, "outcome", "outcome = @outcome"),
            (&query.trace_id, "trace", "trace_id = @trace"),
            (&query.user_id, "user", "user_id = @user"),
        ] {
            if let Some(value) = value {
                conditions.push(condition);
                parameters.push(text(name, value));
            }
        }
        for (at, name, condition) in [
            (query.since_us, "since", "recorded_at >= TIMESTAMP_MICROS(@since)"),
            (query.until_us, "until", "recorded_at < TIMESTAMP_MICROS(@until)"),
        ] {
            if let Some(at) = at {
                conditions.push(condition);
                parameters.push(integer(name, at));
            }
        }
        if let Some(after) = &query.after {
            let after = After::parse(after)?;
            conditions.push(
                "(recorded_at < TIMESTAMP_MICROS(@at) OR (recorded_at = TIMESTAMP_MICROS(@at) AND \
                 (ledger_id < @ledger OR (ledger_id = @ledger AND seq < @seq))))",
            );
            parameters.extend([
                integer("at", after.recorded_at_us),
                text("ledger", after.ledger_id.to_string()),
                integer("seq", after.seq),
            ]);
        }
        // One more tells whether there is a next page.
        parameters.push(integer("limit", i64::try_from(limit + 1).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT line FROM {} WHERE {} ORDER BY recorded_at DESC, ledger_id DESC, seq DESC LIMIT @limit",
            self.table(TableKind::Events),
            conditions.join(" AND ")
        );
        let mut events: Vec<SourceEvent> = Vec::new();
        let mut has_more = false;
        self.each("query the events of a scope", &sql, parameters, &mut |cells| {
            let found = SourceEvent::of_scope(scope, cells.text("line")?)?;
            has_more = events.len() == limit;
            // A row that is there twice is one event.
            if !has_more && events.last().is_none_or(|last| last.event.event_id != found.event.event_id) {
                events.push(found);
            }
            Ok(())
        })?;
        let next = events.last().filter(|_| has_more).map(|last| {
            After {
                recorded_at_us: last.event.recorded_at,
                ledger_id: last.event.ledger_id,
                seq: i64::try_from(last.event.seq).unwrap_or(i64::MAX),
            }
            .to_text()
        });
        Ok(SourcePage::new(events, next))
    }
}

/// Behind which event the next page begins.
#[derive(Debug, PartialEq, Eq)]
struct After {
    recorded_at_us: i64,
    ledger_id: LedgerId,
    seq: i64,
}

impl After {
    fn parse(text: &str) -> Result<Self, SourceError> {
        let parsed = || {
            let mut parts = text.splitn(3, '_');
            Some(Self {
                recorded_at_us: parts.next()?.parse().ok()?,
                ledger_id: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
            })
        };
        parsed().ok_or_else(|| SourceError::Refused {
            reason: "`after` is not what a page of this source gave as `next`".to_owned(),
        })
    }

    fn to_text(&self) -> String {
        format!("{}_{}_{}", self.recorded_at_us, self.ledger_id, self.seq)
    }
}

/// A row of a query.
struct Cells<'r> {
    row: &'r Row,
    rows: &'r Rows<'r>,
}

impl Cells<'_> {
    fn text(&self, name: &str) -> Result<String, SourceError> {
        self.row.get(name).map_err(|error| self.strange(error))
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, SourceError> {
        self.row.get(name).map_err(|error| self.strange(error))
    }

    fn strange(&self, error: RowError) -> SourceError {
        unavailable(self.rows.strange(error))
    }

    fn position(&self) -> Result<LogPosition, SourceError> {
        let (segment, offset) = (self.integer("log_segment")?, self.integer("log_offset")?);
        let place = || Some((u32::try_from(segment?).ok()?, u64::try_from(offset?).ok()?));
        match place() {
            Some((segment, offset)) => Ok(LogPosition { segment, offset }),
            None => Err(SourceError::corrupt(
                "read a row of a ledger",
                format!("segment {segment:?}, offset {offset:?} are no place in a log"),
            )),
        }
    }
}

/// Puts entries together that are spread over rows.
#[derive(Debug, Default)]
struct Parts {
    text: String,
    next: i64,
}

impl Parts {
    /// The entry, when this row ends it.
    fn join(&mut self, cells: &Cells<'_>) -> Result<Option<(LogPosition, String)>, SourceError> {
        let position = cells.position()?;
        let (part, parts) = (cells.integer("part")?.unwrap_or(0), cells.integer("parts")?.unwrap_or(1));
        // A row that is there twice.
        if part + 1 == self.next {
            return Ok(None);
        }
        if part != self.next || part >= parts {
            let found = format!("part {part} of {parts} of an entry, {} was expected", self.next);
            return Err(SourceError::corrupt("read an entry", found));
        }
        self.text.push_str(&cells.text("line")?);
        self.next = part + 1;
        if self.next < parts {
            return Ok(None);
        }
        self.next = 0;
        Ok(Some((position, std::mem::take(&mut self.text))))
    }
}

/// Lines that follow each other in the log, joined.
#[derive(Debug, Default)]
struct LogPiece {
    begin: Option<LogPosition>,
    bytes: Vec<u8>,
}

impl LogPiece {
    fn add(
        &mut self,
        position: LogPosition,
        line: &str,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let end = self.begin.map(|begin| LogPosition {
            segment: begin.segment,
            offset: begin.offset + self.bytes.len() as u64,
        });
        if end != Some(position) || self.bytes.len() >= PIECE_BYTES {
            self.give(take)?;
            self.begin = Some(position);
        }
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
        Ok(())
    }

    fn give(
        &mut self,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        match self.begin.take() {
            Some(position) => take(SourcePiece::Log { position, bytes: std::mem::take(&mut self.bytes) }),
            None => Ok(()),
        }
    }
}

fn unavailable(refusal: Refusal) -> SourceError {
    SourceError::unavailable(refusal.attempted, refusal.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_page_ends_is_told_and_read_back() {
        let after = After {
            recorded_at_us: -5,
            ledger_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            seq: 12,
        };
        assert_eq!(After::parse(&after.to_text()).unwrap(), after);
        for wrong in [
            "",
            "5",
            "5_x_1",
            "a_01900000-0000-7000-8000-000000000001_1",
            "5_01900000-0000-7000-8000-000000000001_",
        ] {
            assert!(matches!(After::parse(wrong), Err(SourceError::Refused { .. })), "{wrong}");
        }
    }

    #[test]
    fn lines_are_joined_up_to_a_hole() {
        let mut pieces = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            Ok(())
        };
        let mut piece = LogPiece::default();
        for (segment, offset, line) in [(1, 0, "aa"), (1, 3, "b"), (1, 9, "c"), (2, 0, "d")] {
            piece.add(LogPosition { segment, offset }, line, &mut take).unwrap();
        }
        piece.give(&mut take).unwrap();
        let expected = [(1, 0, "aa\nb\n"), (1, 9, "c\n"), (2, 0, "d\n")].map(|(segment, offset, bytes)| {
            SourcePiece::Log { position: LogPosition { segment, offset }, bytes: bytes.into() }
        });
        assert_eq!(pieces, expected);
    }
}
