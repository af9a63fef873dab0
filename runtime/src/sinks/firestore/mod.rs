//! Documents in Firestore.
//!
//! **What is written.** A document for each event, `tenants/{tenant}/envs/{env}/events/{event_id}`: its envelope in
//! typed fields, input and output as maps, the ledger's id, its place in the log and the exact line. Attempts, head
//! tables, checkpoints, cuts and identities lie under `ledgers/{ledger id}`.
//!
//! **When it is durable.** When Firestore has answered the write.
//!
//! **Once in effect.** A document is written on the condition that none of its name is there.
//!
//! **When the target is full or away.** [`SinkError::Retry`](super::SinkError::Retry) or `Reopen`; the log keeps what
//! is behind. A document that Firestore refuses for good is a dead letter, and the rest of its batch is stored.
//!
//! **How to read it back.** [`FirestoreSource`](crate::sources::firestore::FirestoreSource), and every other client.

mod client;
mod encoder;
mod names;
mod requests;
mod settings;
#[cfg(test)]
mod tests;
mod value;

use firestore::gcloud_sdk::google::firestore::v1::Write;

pub(crate) use self::client::{BatchWrite, Client, Refusal};
use self::encoder::{NewDocument, documents};
pub(crate) use self::names::{
    ATTEMPTS, CHECKPOINTS, CUTS, EVENTS, HEAD_TABLES, IDENTITIES, LEDGERS, number, of_ledger, of_scope,
    parse_place, place,
};
use self::requests::{Planned, send};
pub use self::settings::FirestoreSettings;
pub(crate) use self::value::{reference, text, timestamp};
use super::{Ack, Entry, EntryKind, Rejected, Sink, SinkError, SinkStart};
use crate::ids::LedgerId;

/// Makes a connection; gives the name under which all documents lie, too.
type Connect = Box<dyn FnMut() -> Result<(Box<dyn BatchWrite>, String), SinkError> + Send>;

/// Holds the log in Firestore.
pub struct FirestoreSink {
    settings: FirestoreSettings,
    connect: Connect,
    open: Option<(Box<dyn BatchWrite>, String)>,
}

impl std::fmt::Debug for FirestoreSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirestoreSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl FirestoreSink {
    /// A sink on the database of the settings. It does not connect before it is opened.
    pub fn new(settings: FirestoreSettings) -> Self {
        let of_client = settings.clone();
        let connect = move || {
            let client = Client::open(&of_client)?;
            let documents = client.documents();
            Ok((Box::new(client) as Box<dyn BatchWrite>, documents))
        };
        Self::with_connect(settings, Box::new(connect))
    }

    fn with_connect(settings: FirestoreSettings, connect: Connect) -> Self {
        Self { settings, connect, open: None }
    }
}

/// The writes of a batch, in the order in which they must be stored.
#[derive(Default)]
struct Steps {
    /// Says that the ledger is there, which it is, and where its log begins.
    first: Vec<Planned>,
    lines: Vec<Planned>,
    /// What speaks of lines, and is stored behind them.
    last: Vec<Planned>,
}

/// The document that every ledger has.
fn probe(documents: &str, ledger_id: LedgerId) -> Write {
    let fields = value::Fields::from([("ledger_id".to_owned(), text(ledger_id.to_string()))]);
    Planned::new(documents, 0, NewDocument { path: of_ledger(ledger_id), fields, is_own: false }).into_write()
}

impl Sink for FirestoreSink {
    fn kind(&self) -> &'static str {
        "firestore"
    }

    fn target(&self) -> String {
        self.settings.address()
    }

    fn open(&mut self, _start: &SinkStart<'_>) -> Result<(), SinkError> {
        // The old connection goes first, with its thread.
        self.open = None;
        self.open = Some((self.connect)()?);
        Ok(())
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let Some((to, root)) = &mut self.open else {
            return Err(SinkError::reopen("append to Firestore", "the sink is not open"));
        };
        let mut steps = Steps::default();
        let mut rejected = Vec::new();
        for (index, entry) in batch.iter().enumerate() {
            let step = match entry.kind() {
                EntryKind::Identity | EntryKind::Cut => &mut steps.first,
                EntryKind::Event | EntryKind::Attempt => &mut steps.lines,
                EntryKind::HeadTable | EntryKind::Checkpoint => &mut steps.last,
            };
            match documents(entry, self.settings.expire_after) {
                Ok(made) => step.extend(made.into_iter().map(|document| Planned::new(root, index, document))),
                Err(reason) => rejected.push(Rejected::new(index, reason)),
            }
        }
        let Some(ledger_id) = batch.first().map(Entry::ledger_id) else { return Ok(Ack::all()) };
        let mut is_new = vec![None; batch.len()];
        for planned in [steps.first, steps.lines, steps.last] {
            let outcome = send(&mut **to, planned, self.settings.limits(), &|| probe(root, ledger_id))?;
            rejected.extend(outcome.rejected);
            for (index, was_there) in outcome.stored {
                let is_new: &mut Option<bool> = &mut is_new[index];
                *is_new = Some(is_new.unwrap_or(false) || !was_there);
            }
        }
        rejected.sort_by_key(|rejected| rejected.index);
        rejected.dedup_by_key(|rejected| rejected.index);
        for rejected in &rejected {
            is_new[rejected.index] = None;
        }
        let duplicates = is_new.into_iter().filter(|is_new| *is_new == Some(false)).count();
        Ok(Ack::all().with_rejected(rejected).with_duplicates(duplicates as u64))
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.open = None;
        Ok(())
    }
}
