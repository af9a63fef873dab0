//! Queries of sources that have none of their own: everything is read.

use std::collections::BTreeMap;

use super::{Source, SourceError, SourceEvent, SourcePage, SourcePiece, SourceQuery, SourceStart};
use crate::event::{DatasetEvent, EventPlace, Outcome};
use crate::ids::{LedgerId, Scope};
use crate::log::LogPosition;
use crate::log::line::LinePrefix;

/// Answers a query by reading every line that a source holds. Keeps no more than the events of one page.
///
/// # Errors
///
/// - [`SourceError::Refused`] when the outcome or the cursor of the query is none.
/// - [`SourceError::Corrupt`] when a line is not one of the log, or when lines are missing between others.
/// - [`SourceError::Unavailable`] when the source cannot be read.
pub fn scan_events(
    source: &dyn Source,
    scope: &Scope,
    query: &SourceQuery,
) -> Result<SourcePage, SourceError> {
    let wanted = Wanted::new(query)?;
    let mut newest = BTreeMap::new();
    for ledger_id in source.ledgers()? {
        let mut scan = Scan { ledger_id, scope, wanted: &wanted, newest: &mut newest, end: None };
        source.read(ledger_id, &SourceStart::default(), &mut |piece| match piece {
            SourcePiece::Log { position, bytes } => scan.piece(position, &bytes),
            _ => Ok(()),
        })?;
    }
    let has_more = newest.len() > wanted.limit;
    if has_more {
        newest.pop_first();
    }
    let next = newest.first_key_value().map(|(place, _)| place.to_string()).filter(|_| has_more);
    Ok(SourcePage::new(newest.into_values().rev().collect(), next))
}

/// A query, checked.
struct Wanted<'a> {
    query: &'a SourceQuery,
    limit: usize,
    before: Option<EventPlace>,
}

impl<'a> Wanted<'a> {
    fn new(query: &'a SourceQuery) -> Result<Self, SourceError> {
        let refused = |reason: String| Err(SourceError::Refused { reason });
        if let Some(outcome) = &query.outcome
            && !Outcome::ALL.iter().any(|known| known.as_str() == outcome)
        {
            let known: Vec<_> = Outcome::ALL.iter().map(|known| known.as_str()).collect();
            return refused(format!("unknown outcome {outcome:?}; accepted: {}", known.join(", ")));
        }
        let before = match query.after.as_deref().map(str::parse) {
            None => None,
            Some(Ok(place)) => Some(place),
            Some(Err(error)) => return refused(format!("{error}")),
        };
        let limit = if query.limit == 0 { 50 } else { query.limit.min(1_000) };
        Ok(Self { query, limit, before })
    }

    fn selects(&self, event: &DatasetEvent) -> bool {
        let query = self.query;
        let is = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
        };
        self.before.is_none_or(|before| EventPlace::of(event) < before)
            && query.since_us.is_none_or(|since| event.recorded_at >= since)
            && query.until_us.is_none_or(|until| event.recorded_at < until)
            && is(&query.surface, Some(event.surface.as_str()))
            && is(&query.outcome, Some(event.outcome.as_str()))
            && query.trace_id.as_deref().is_none_or(|wanted| event.trace_id.to_string() == wanted)
            && is(&query.user_id, event.user_id().map(|user| user.as_str()))
    }
}

/// The reading of one ledger.
struct Scan<'a> {
    ledger_id: LedgerId,
    scope: &'a Scope,
    wanted: &'a Wanted<'a>,
    newest: &'a mut BTreeMap<EventPlace, SourceEvent>,
    /// Up to where lines were read.
    end: Option<LogPosition>,
}

impl Scan<'_> {
    fn piece(&mut self, position: LogPosition, bytes: &[u8]) -> Result<(), SourceError> {
        let ledger_id = self.ledger_id;
        let corrupt =
            |found: String| SourceError::corrupt(format!("read the log of ledger {ledger_id}"), found);
        let end = LogPosition { segment: position.segment, offset: position.offset + bytes.len() as u64 };
        let mut new = bytes;
        if let Some(known) = self.end {
            if end <= known {
                return Ok(());
            }
            if position < known && position.segment == known.segment {
                let read = usize::try_from(known.offset - position.offset).unwrap_or(usize::MAX);
                new = bytes.get(read..).unwrap_or_default();
            } else if position != known && (position.segment, position.offset) != (known.segment + 1, 0) {
                return Err(corrupt(format!("lines are missing between {known} and {position}")));
            }
        } else if position.offset > 0 {
            return Err(corrupt(format!("lines are missing before {position}")));
        }
        self.end = Some(end);
        let mut offset = end.offset - new.len() as u64;
        for line in new.split_inclusive(|byte| *byte == b'\n') {
            let at = LogPosition { segment: position.segment, offset };
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.line(line).map_err(|found| corrupt(format!("{at}: {found}")))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let (ledger_id, tenant_id, env, is_event) = match LinePrefix::parse(line) {
            Some(LinePrefix::Event { ledger_id, tenant_id, env, .. }) => (ledger_id, tenant_id, env, true),
            Some(LinePrefix::Attempt { ledger_id, tenant_id, env, .. }) => (ledger_id, tenant_id, env, false),
            None => return Err("it is no line of the log".to_owned()),
        };
        if ledger_id != self.ledger_id {
            return Err(format!("a line of ledger {ledger_id}"));
        }
        if !is_event || self.scope.tenant_id().as_str() != tenant_id || self.scope.env().as_str() != env {
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        let event = SourceEvent::of_scope(self.scope, line.to_owned()).map_err(|error| error.to_string())?;
        if self.wanted.selects(&event.event) {
            self.newest.insert(EventPlace::of(&event.event), event);
            if self.newest.len() > self.wanted.limit + 1 {
                self.newest.pop_first();
            }
        }
        Ok(())
    }
}
