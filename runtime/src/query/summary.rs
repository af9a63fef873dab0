//! Which scopes a ledger has, how many events each, and where each ends.

use std::collections::BTreeMap;
use std::sync::Weak;

use super::lines::{LineStore, Lines};
use super::{ReadError, ReadParts, StoredEvent};
use crate::ids::Scope;
use crate::index::fields::Fields;
use crate::index::{Index, IndexError, guarded, log_start};
use crate::log::LogPosition;
use crate::log::cut::is_dropped;
use crate::log::reader::RawLine;
use crate::operator::ScopeSummary;

struct Found {
    events: u64,
    position: LogPosition,
    len_bytes: u32,
}

/// Reads the index once, the log behind it once, and one line of each stream.
pub(crate) fn summarize(parts: &ReadParts) -> Result<Vec<ScopeSummary>, ReadError> {
    let (index, until) = parts.source();
    let (mut found, indexed_until) = indexed(&index).unwrap_or_else(|error| {
        parts.distrust(&error);
        (BTreeMap::new(), LogPosition::START)
    });
    if indexed_until < until {
        scan(parts, indexed_until, until, &mut found)?;
    }
    let mut store = LineStore::new(parts.storage.clone());
    let mut summaries = Vec::with_capacity(found.len());
    for (scope, found) in found {
        let line = match store.read(found.position, found.len_bytes) {
            Err(_) if is_dropped(&*parts.storage, found.position.segment) => continue,
            line => line?,
        };
        let event = line.map(|line| StoredEvent::new(found.position, line)).transpose()?;
        let Some(event) = event.filter(|event| *event.event.scope() == scope) else {
            let error = ReadError::NotTheEvent {
                position: found.position,
                scope: scope.to_string(),
                seq: found.events,
            };
            parts.distrust(&IndexError::Damaged(error.to_string()));
            return Err(error);
        };
        summaries.push(ScopeSummary { head: event.head(), scope, events: found.events });
    }
    Ok(summaries)
}

fn indexed(index: &Weak<Index>) -> Result<(BTreeMap<Scope, Found>, LogPosition), IndexError> {
    let mut found = BTreeMap::new();
    let Some(index) = index.upgrade() else { return Ok((found, LogPosition::START)) };
    guarded(|| {
        let snapshot = index.snapshot()?;
        for (number, scope) in snapshot.scopes()? {
            let Some(seqs) = snapshot.seqs(number)? else { continue };
            let row = snapshot.row(number, *seqs.end())?;
            let events = match snapshot.meta.irregular_events {
                0 => seqs.end() - seqs.start() + 1,
                _ => snapshot.rows(number, &seqs, false)?.count() as u64,
            };
            found.insert(scope, Found { events, position: row.position, len_bytes: row.len_bytes });
        }
        Ok((found, snapshot.meta.cursor))
    })
}

fn scan(
    parts: &ReadParts,
    from: LogPosition,
    until: LogPosition,
    found: &mut BTreeMap<Scope, Found>,
) -> Result<(), ReadError> {
    let ledger_id = parts.ledger_id.to_string();
    let from = log_start(&parts.storage)?.max(from);
    let mut lines = Lines::new(parts.storage.clone(), from, until, false);
    let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
    while lines.next_into(&mut line)? {
        let Some(Fields::Event(event)) = Fields::parse(&line.bytes) else { continue };
        let scope = Scope::from_stored(event.tenant_id, event.env);
        if let (true, true, Ok(scope)) = (line.is_terminated, event.ledger_id == ledger_id, scope) {
            let position = line.position;
            let found = found.entry(scope).or_insert(Found { events: 0, position, len_bytes: 0 });
            found.events += 1;
            found.position = position;
            found.len_bytes = u32::try_from(line.bytes.len()).unwrap_or(u32::MAX);
        }
    }
    Ok(())
}
