//! What the Firestore sink holds, read back.

mod query;
mod scan;

use firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use firestore::gcloud_sdk::google::firestore::v1::{Document, Value};

use self::query::{Order, Query};
use self::scan::Lines;
use super::{Source, SourceError, SourceEvent, SourcePage, SourcePiece, SourceQuery, SourceStart};
use crate::ids::{EventId, LedgerId, Scope};
use crate::log::LogPosition;
use crate::sinks::SinkError;
pub use crate::sinks::firestore::FirestoreSettings;
use crate::sinks::firestore::{
    ATTEMPTS, CHECKPOINTS, CUTS, Client, EVENTS, HEAD_TABLES, IDENTITIES, LEDGERS, Refusal, number,
    of_ledger, of_scope, parse_place, place, reference, text, timestamp,
};

/// How many documents are asked for at once.
const PAGE: usize = 300;

/// How many events a page has when nothing is said, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

/// A Firestore database that a sink writes, read back.
#[derive(Debug)]
pub struct FirestoreSource {
    client: Client,
    documents: String,
}

impl FirestoreSource {
    /// Connects to the database of the settings.
    ///
    /// # Errors
    ///
    /// [`SourceError::Unavailable`] when it cannot be reached, or the credentials cannot be loaded.
    pub fn open(settings: &FirestoreSettings) -> Result<Self, SourceError> {
        let client = Client::open(settings).map_err(|error| match error {
            SinkError::Retry { attempted, source }
            | SinkError::Reopen { attempted, source }
            | SinkError::Fatal { attempted, source } => SourceError::Unavailable { attempted, source },
        })?;
        let documents = client.documents();
        Ok(Self { client, documents })
    }

    /// One page of what a query finds.
    fn page(&self, query: &Query) -> Result<Vec<Found>, SourceError> {
        let parent = match &query.parent {
            Some(parent) => format!("{}/{parent}", self.documents),
            None => self.documents.clone(),
        };
        let unavailable = |refusal: Refusal| {
            let attempted = match refusal.code {
                firestore::gcloud_sdk::tonic::Code::FailedPrecondition => {
                    "read documents from Firestore: deploy firestore.indexes.json, or wait until its indexes are built"
                }
                _ => "read documents from Firestore",
            };
            SourceError::unavailable(attempted, refusal)
        };
        let found = self.client.run_query(&parent, query.to_proto()).map_err(unavailable)?;
        Ok(found.into_iter().map(Found).collect())
    }

    /// Everything that a query finds, page by page.
    fn each(
        &self,
        mut query: Query,
        take: &mut dyn FnMut(Found) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        query.limit = PAGE;
        loop {
            let page = self.page(&query)?;
            let is_last = page.len() < PAGE;
            if let Some(last) = page.last() {
                query.start_after = Some(query.cursor_at(last)?);
            }
            for found in page {
                take(found)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Whole texts whose parts lie in documents behind each other, with the id of the first.
    fn texts(
        &self,
        query: Query,
        take: &mut dyn FnMut(Found, String) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut open: Option<(Found, String, i64)> = None;
        self.each(query, &mut |found| {
            let (part, parts) = (found.integer("part")?, found.integer("parts")?);
            let mut whole = match (part, open.take()) {
                (0, None) => (found.clone(), String::new(), 0),
                (part, Some(whole)) if part == whole.2 => whole,
                // A batch that was cut short left some of the parts out; they come again.
                (0, Some(_)) => (found.clone(), String::new(), 0),
                _ => return Ok(()),
            };
            whole.1.push_str(found.text("line")?);
            whole.2 += 1;
            if whole.2 == parts {
                return take(whole.0, whole.1);
            }
            open = Some(whole);
            Ok(())
        })
    }

    /// Whole texts with their numbers.
    fn numbered(
        &self,
        query: Query,
        take: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.texts(query, &mut |found, line| {
            let number = u64::try_from(found.integer("number")?);
            take(number.map_err(|_| found.corrupt("its `number` is none"))?, line.into_bytes())
        })
    }

    fn below(&self, ledger_id: LedgerId, collection: &'static str, from: Option<String>) -> Query {
        let parent = of_ledger(ledger_id);
        let start = from.map(|id| vec![reference(format!("{}/{parent}/{collection}/{id}", self.documents))]);
        Query { start_at: start, ..Query::new(Some(parent), collection, Order::by_name()) }
    }
}

/// A document that was found.
#[derive(Debug, Clone)]
pub(super) struct Found(Document);

impl Found {
    fn value(&self, field: &str) -> Result<&ValueType, SourceError> {
        let value = self.0.fields.get(field).and_then(|value| value.value_type.as_ref());
        value.ok_or_else(|| self.corrupt(&format!("it has no field `{field}`")))
    }

    fn text(&self, field: &str) -> Result<&str, SourceError> {
        match self.value(field)? {
            ValueType::StringValue(text) => Ok(text),
            _ => Err(self.corrupt(&format!("its field `{field}` is no text"))),
        }
    }

    fn integer(&self, field: &str) -> Result<i64, SourceError> {
        match self.value(field)? {
            ValueType::IntegerValue(integer) => Ok(*integer),
            _ => Err(self.corrupt(&format!("its field `{field}` is no integer"))),
        }
    }

    fn place(&self) -> Result<LogPosition, SourceError> {
        parse_place(self.text("place")?).ok_or_else(|| self.corrupt("its `place` is none"))
    }

    fn id(&self) -> &str {
        self.0.name.rsplit('/').next().unwrap_or_default()
    }

    fn corrupt(&self, found: &str) -> SourceError {
        SourceError::corrupt(format!("read the document `{}`", self.0.name), found)
    }
}

impl Source for FirestoreSource {
    fn kind(&self) -> &'static str {
        "firestore"
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError> {
        let mut ledgers = Vec::new();
        self.each(Query::new(None, LEDGERS, Order::by_name()), &mut |found| {
            let id = found.id().parse().map_err(|_| found.corrupt("its id is not a ledger's"))?;
            ledgers.push(id);
            Ok(())
        })?;
        ledgers.sort_unstable();
        Ok(ledgers)
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.texts(self.below(ledger_id, IDENTITIES, None), &mut |_, identity| {
            take(SourcePiece::Identity(identity.into_bytes()))
        })?;
        let mut lines = Lines::new(self, ledger_id, from.position);
        while let Some((position, bytes)) = lines.next_piece()? {
            take(SourcePiece::Log { position, bytes })?;
        }
        // Each was stored before the first line of a log that begins at it.
        self.numbered(self.below(ledger_id, CUTS, None), &mut |number, line| {
            take(SourcePiece::Cut { number, line })
        })?;
        let tables = self.below(ledger_id, HEAD_TABLES, Some(place(from.position)));
        self.texts(tables, &mut |found, table| {
            take(SourcePiece::HeadTable { position: found.place()?, bytes: table.into_bytes() })
        })?;
        let checkpoints = self.below(ledger_id, CHECKPOINTS, Some(number(from.checkpoint.saturating_add(1))));
        self.numbered(checkpoints, &mut |number, line| take(SourcePiece::Checkpoint { number, line }))
    }

    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError> {
        let limit = match query.limit {
            0 => DEFAULT_LIMIT,
            limit if limit <= MAX_LIMIT => limit,
            limit => return Err(refused(format!("a page of {limit} events: at most {MAX_LIMIT}"))),
        };
        let mut asked = scoped(scope, query)?;
        if let Some(after) = &query.after {
            asked.start_after = Some(self.cursor(scope, after)?);
        }
        // One more shows whether there is another page.
        asked.limit = limit + 1;
        let mut found = self.page(&asked)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let events =
            found.iter().map(|found| event_of(scope, query, found)).collect::<Result<Vec<_>, _>>()?;
        let last = events.last().filter(|_| has_more);
        let next = last.map(|last| format!("{}.{}", last.event.recorded_at, last.event.event_id));
        Ok(SourcePage::new(events, next))
    }
}

impl FirestoreSource {
    fn cursor(&self, scope: &Scope, after: &str) -> Result<Vec<Value>, SourceError> {
        let parts = after.split_once('.').and_then(|(recorded_at, event_id)| {
            Some((timestamp(recorded_at.parse().ok()?)?, event_id.parse::<EventId>().ok()?))
        });
        let Some((recorded_at, event_id)) = parts else {
            return Err(refused("`after` is not what a page gave as its `next`".to_owned()));
        };
        let document = format!("{}/{}/{EVENTS}/{event_id}", self.documents, of_scope(scope));
        Ok(vec![recorded_at, reference(document)])
    }
}

fn refused(reason: String) -> SourceError {
    SourceError::Refused { reason }
}

/// The query for a scope's events, the newest first.
fn scoped(scope: &Scope, query: &SourceQuery) -> Result<Query, SourceError> {
    let mut asked = Query::new(Some(of_scope(scope)), EVENTS, Order::newest_first());
    let filters = [
        ("surface", &query.surface),
        ("outcome", &query.outcome),
        ("trace_id", &query.trace_id),
        ("user_id", &query.user_id),
    ];
    for (field, wanted) in filters {
        if let Some(wanted) = wanted {
            asked.equals.push((field, text(&**wanted)));
        }
    }
    let time = |unix_us: i64| {
        timestamp(unix_us).ok_or_else(|| refused(format!("{unix_us} is no time of the years 1 to 9999")))
    };
    asked.at_least = query.since_us.map(time).transpose()?.map(|since| ("recorded_at", since));
    asked.below = query.until_us.map(time).transpose()?.map(|until| ("recorded_at", until));
    Ok(asked)
}

/// The event of a document. The fields by which it was found must be what its line says.
fn event_of(scope: &Scope, query: &SourceQuery, found: &Found) -> Result<SourceEvent, SourceError> {
    let stored = SourceEvent::of_scope(scope, found.text("line")?.to_owned())?;
    let event = &stored.event;
    let has = |wanted: &Option<String>, said: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| said == Some(wanted))
    };
    let trace_id = event.trace_id.to_string();
    let holds = event.event_id.to_string() == found.id()
        && has(&query.surface, Some(&event.surface))
        && has(&query.outcome, Some(event.outcome.as_str()))
        && has(&query.trace_id, Some(&trace_id))
        && has(&query.user_id, event.user_id().map(|id| id.as_str()))
        && query.since_us.is_none_or(|since| event.recorded_at >= since)
        && query.until_us.is_none_or(|until| event.recorded_at < until);
    if holds { Ok(stored) } else { Err(found.corrupt("its fields are not those of its line")) }
}

/// The two collections that hold a ledger's lines, in the order of the log.
fn lines_of(ledger_id: LedgerId, kind: &'static str, from: LogPosition) -> Query {
    let order = Order::by_place();
    let mut query = if kind == EVENTS {
        let mut query = Query::new(None, EVENTS, order);
        query.all_descendants = true;
        query.equals.push(("ledger_id", text(ledger_id.to_string())));
        query
    } else {
        Query::new(Some(of_ledger(ledger_id)), ATTEMPTS, order)
    };
    query.at_least = Some(("place", text(place(from))));
    query
}
