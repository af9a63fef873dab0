//! Entries as rows: which table, under which key, and what a line says of itself.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{Entry, EntryKey, EntryKind};
use crate::event::LineHash;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::line::LinePrefix;

/// The most bytes of an entry in one row of the second table; a longer entry is spread over several. Never to be
/// changed: rows are recognised by their part.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TableKind {
    /// A row for each event.
    Events,
    /// Everything else: attempts, head tables, checkpoints, cuts, identities.
    Entries,
}

impl TableKind {
    /// Both, in the order of the keys of the saved state.
    pub(crate) const BOTH: [Self; 2] = [Self::Events, Self::Entries];

    /// Where entries of a kind are kept.
    pub(crate) fn of(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Event => Self::Events,
            EntryKind::Attempt
            | EntryKind::HeadTable
            | EntryKind::Checkpoint
            | EntryKind::Cut
            | EntryKind::Identity => Self::Entries,
        }
    }
}

/// A row that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Row<'a> {
    /// The place of its entry in the batch.
    pub(crate) index: usize,
    /// Under what the row is stored once, in a ledger and table.
    pub(crate) key: String,
    pub(crate) ledger_id: LedgerId,
    pub(crate) kind: EntryKind,
    pub(crate) position: LogPosition,
    /// Of a checkpoint or a cut.
    pub(crate) number: Option<u64>,
    /// Which part of the entry, from 0.
    pub(crate) part: u32,
    pub(crate) parts: u32,
    /// SHA-256 of the whole entry.
    pub(crate) hash: LineHash,
    /// The exact bytes, or a part of them.
    pub(crate) text: &'a str,
    pub(crate) envelope: Envelope<'a>,
}

impl Row<'_> {
    /// How many bytes the row takes in a request, roughly and not less.
    pub(crate) fn weight(&self) -> usize {
        let json = [self.envelope.input, self.envelope.output, self.envelope.changes]
            .iter()
            .chain([&self.envelope.source_refs, &self.envelope.synthesized])
            .map(|raw| raw.map_or(0, |raw| raw.get().len()))
            .sum::<usize>();
        // The typed columns repeat what the line begins with, each with its offsets and validity.
        self.text.len() + json + self.text.len().min(2_048) + 512
    }

    /// Leaves out the columns of JSON, which the line holds as well; whether there were any.
    pub(crate) fn strip(&mut self) -> bool {
        let Envelope { synthesized, source_refs, changes, input, output, .. } = &mut self.envelope;
        let columns = [synthesized, source_refs, changes, input, output];
        columns.map(|column| column.take().is_some()).contains(&true)
    }

    /// When the call began, if BigQuery can hold that as a time.
    pub(crate) fn started_at_us(&self) -> Option<i64> {
        self.envelope.started_at.filter(|at| TIMESTAMPS.contains(at))
    }
}

/// What BigQuery's TIMESTAMP holds: the years 1 to 9999, in microseconds since 1970.
pub(crate) const TIMESTAMPS: std::ops::RangeInclusive<i64> =
    -62_135_596_800_000_000..=253_402_300_799_999_999;

/// The rows of an entry: one, but for entries of the second table that are longer than a part.
///
/// # Errors
///
/// When the entry is not text: no ledger stores such a line.
pub(crate) fn rows_of(entry: &Entry, index: usize) -> Result<Vec<Row<'_>>, String> {
    let text =
        std::str::from_utf8(entry.bytes()).map_err(|error| format!("the entry is not UTF-8: {error}"))?;
    let parts = match TableKind::of(entry.kind()) {
        TableKind::Events => vec![text],
        TableKind::Entries => split(text),
    };
    let number = match entry.key() {
        EntryKey::Checkpoint(number) | EntryKey::Cut(number) => Some(number),
        _ => None,
    };
    let hash = entry.hash();
    let count = u32::try_from(parts.len()).map_err(|_| "the entry has too many parts".to_owned())?;
    let row = |(part, text): (u32, _)| Row {
        index,
        key: row_key(entry.key(), part),
        ledger_id: entry.ledger_id(),
        kind: entry.kind(),
        position: entry.position(),
        number,
        part,
        parts: count,
        hash,
        text,
        envelope: if part == 0 { Envelope::of(entry) } else { Envelope::default() },
    };
    Ok((0..count).zip(parts).map(row).collect())
}

/// The key of a row: of an event its id; of the rest the kind, what it is known by, and the part.
fn row_key(key: EntryKey, part: u32) -> String {
    match key {
        EntryKey::Event(id) => id.to_string(),
        EntryKey::Attempt(id) => format!("attempt:{id}/{part}"),
        EntryKey::HeadTable(at) => format!("head_table:{}:{}/{part}", at.segment, at.offset),
        EntryKey::Checkpoint(number) => format!("checkpoint:{number}/{part}"),
        EntryKey::Cut(number) => format!("cut:{number}/{part}"),
        EntryKey::Identity(hash) => format!("identity:{hash}/{part}"),
    }
}

fn split(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > PART_BYTES {
        let (part, rest) = text.split_at(text.floor_char_boundary(PART_BYTES));
        parts.push(part);
        text = rest;
    }
    parts.push(text);
    parts
}

/// What a line says of itself. Everything may be missing: a line of a later version is stored all the same.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(default, borrow)]
    pub(crate) event_id: Option<Cow<'a, str>>,
    pub(crate) tenant_id: Option<Cow<'a, str>>,
    pub(crate) env: Option<Cow<'a, str>>,
    pub(crate) seq: Option<u64>,
    pub(crate) prev: Option<Cow<'a, str>>,
    pub(crate) surface: Option<Cow<'a, str>>,
    pub(crate) access: Option<Cow<'a, str>>,
    pub(crate) outcome: Option<Cow<'a, str>>,
    pub(crate) error: Option<ErrorPart<'a>>,
    pub(crate) detail: Option<DetailPart<'a>>,
    pub(crate) started_at: Option<i64>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) recorded_at: Option<i64>,
    #[serde(default)]
    pub(crate) actor: Option<ActorPart<'a>>,
    pub(crate) client: Option<ClientPart<'a>>,
    pub(crate) request_id: Option<Cow<'a, str>>,
    pub(crate) trace_id: Option<Cow<'a, str>>,
    pub(crate) span_id: Option<Cow<'a, str>>,
    pub(crate) parent_span_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) synthesized: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) source_refs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) changes: Option<&'a RawValue>,
    pub(crate) writer: Option<WriterPart<'a>>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) output: Option<&'a RawValue>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ErrorPart<'a> {
    #[serde(default, borrow)]
    pub(crate) code: Option<Cow<'a, str>>,
    pub(crate) message: Option<Cow<'a, str>>,
    pub(crate) retryable: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct DetailPart<'a> {
    pub(crate) items: Option<u64>,
    #[serde(default, borrow)]
    pub(crate) cause: Option<Cow<'a, str>>,
}

/// An actor that is sealed has none of these names.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ActorPart<'a> {
    #[serde(default, borrow, rename = "type")]
    pub(crate) actor_type: Option<Cow<'a, str>>,
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) auth_subject: Option<Cow<'a, str>>,
    pub(crate) on_behalf_of: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ClientPart<'a> {
    #[serde(default, borrow)]
    pub(crate) ip: Option<Cow<'a, str>>,
    pub(crate) user_agent: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct WriterPart<'a> {
    #[serde(default, borrow)]
    pub(crate) service: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) build: Option<Cow<'a, str>>,
    pub(crate) instance: Option<Cow<'a, str>>,
    pub(crate) epoch: Option<u64>,
}

impl<'a> Envelope<'a> {
    fn of(entry: &'a Entry) -> Self {
        let Some(prefix) = LinePrefix::parse(entry.bytes()) else { return Self::default() };
        if let Ok(envelope) = serde_json::from_slice(entry.bytes()) {
            return envelope;
        }
        let (event_id, tenant_id, env, chained) = match prefix {
            LinePrefix::Event { event_id, tenant_id, env, seq, prev, .. } => {
                (event_id, tenant_id, env, Some((seq, prev)))
            }
            LinePrefix::Attempt { event_id, tenant_id, env, .. } => (event_id, tenant_id, env, None),
        };
        Self {
            event_id: Some(event_id.to_string().into()),
            tenant_id: Some(tenant_id.into()),
            env: Some(env.into()),
            seq: chained.map(|(seq, _)| seq),
            prev: chained.map(|(_, prev)| prev.to_string().into()),
            ..Self::default()
        }
    }
}
