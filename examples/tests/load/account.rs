//! What the client sent and was answered, held against the events of the ledger, request by request.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use dataset_events::{DatasetEvent, LedgerReader, Outcome};
use serde_json::Value;

/// What the client wrote down.
pub(crate) struct Sent {
    /// When each request was sent, in nanoseconds since 1970.
    pub(crate) ids: BTreeMap<String, u128>,
    /// The status of each answer.
    pub(crate) answered: BTreeMap<String, u64>,
}

impl Sent {
    /// Reads the files of all threads of the client.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut sent = Self { ids: BTreeMap::new(), answered: BTreeMap::new() };
        for entry in fs::read_dir(directory).expect("the client's files") {
            let path = entry.expect("an entry").path();
            let is_answers =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("answered"));
            for line in fs::read_to_string(&path).expect("a file of the client").lines() {
                let (id, rest) = line.split_once(' ').expect("an id and a number");
                let is_new = if is_answers {
                    sent.answered.insert(id.to_owned(), rest.parse().expect("a status")).is_none()
                } else {
                    sent.ids.insert(id.to_owned(), rest.parse().expect("a time")).is_none()
                };
                assert!(is_new, "{id} is there twice in the files like {}", path.display());
            }
        }
        let unsent = sent.answered.keys().find(|id| !sent.ids.contains_key(*id));
        assert_eq!(unsent, None, "answered, but never sent");
        sent
    }
}

/// How many answers `wrk` says that it counted.
pub(crate) fn requests_of_wrk(told: &str) -> u64 {
    let line = told.lines().find_map(|line| line.split_once(" requests in "));
    let (count, _) = line.unwrap_or_else(|| panic!("no count in {told}"));
    count.trim().parse().unwrap_or_else(|_| panic!("no number: {count:?}"))
}

/// Every request of the client, and what became of it.
#[derive(Debug)]
pub(crate) struct Account {
    /// Sent while there was a gateway.
    pub(crate) sent: usize,
    pub(crate) answered: usize,
    /// The answers by status.
    by_status: BTreeMap<u64, usize>,
    /// Events in the ledger.
    pub(crate) events: usize,
    /// Cut: the process died before there was an answer.
    pub(crate) interrupted: usize,
    /// Cut: there was an answer, and it was lost on the way.
    pub(crate) unread: usize,
    /// Cut: the gateway had not read it.
    pub(crate) never_arrived: usize,
}

impl Account {
    /// Looks each request up in the ledger of a gateway that was `gone_at` that time. The client goes on trying
    /// for a moment; what it sent then, it sent to nobody.
    ///
    /// # Panics
    ///
    /// When an answer has no event, or more than one, or one that says otherwise; when an event is of no request.
    pub(crate) fn of(sent: &Sent, ledger: &Path, gone_at: u128) -> Self {
        let mut events: BTreeMap<String, DatasetEvent> = BTreeMap::new();
        let operator = LedgerReader::open(ledger).expect("open the ledger").unrecorded_operator();
        for stored in operator.events().surface("http.request").iter() {
            let event = stored.expect("a readable event").event;
            let id = event.request_id.to_string();
            assert!(sent.ids.contains_key(&id), "an event of a request that was not sent: {event:?}");
            if let Some(first) = events.insert(id, event) {
                panic!("two events of one request, the first: {first:?}");
            }
        }
        let mut account = Self {
            sent: 0,
            answered: sent.answered.len(),
            by_status: BTreeMap::new(),
            events: events.len(),
            interrupted: 0,
            unread: 0,
            never_arrived: 0,
        };
        for (id, sent_at) in &sent.ids {
            if *sent_at > gone_at {
                assert!(!sent.answered.contains_key(id), "{id} was sent to nobody, and answered");
                assert!(!events.contains_key(id), "{id} was sent to nobody, and has an event");
                continue;
            }
            account.sent += 1;
            match (sent.answered.get(id), events.get(id)) {
                (Some(status), Some(event)) => {
                    assert_eq!(status_of(event), Some(*status), "{event:?}");
                    *account.by_status.entry(*status).or_default() += 1;
                }
                (Some(status), None) => panic!("{id} was answered {status} and has no event"),
                (None, Some(event)) if event.outcome == Outcome::Interrupted => account.interrupted += 1,
                (None, Some(event)) => {
                    assert!(status_of(event).is_some(), "neither answered nor interrupted: {event:?}");
                    account.unread += 1;
                }
                (None, None) => account.never_arrived += 1,
            }
        }
        account
    }

    /// The requests that were sent and not answered.
    pub(crate) fn cut(&self) -> usize {
        self.interrupted + self.unread + self.never_arrived
    }
}

/// The status that an event says was answered.
fn status_of(event: &DatasetEvent) -> Option<u64> {
    let output: Value = serde_json::from_str(event.output.as_ref()?.get()).expect("JSON");
    output["status"].as_u64()
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, answered, by_status, events, interrupted, unread, never_arrived } = self;
        let statuses: Vec<_> =
            by_status.iter().map(|(status, count)| format!("{count} with {status}")).collect();
        writeln!(f, "requests sent            {sent}")?;
        writeln!(f, "answers counted          {answered} ({}), each with its event", statuses.join(", "))?;
        writeln!(f, "requests cut             {}", self.cut())?;
        writeln!(f, "  the gateway died in it {interrupted} (outcome `interrupted`)")?;
        writeln!(f, "  answered, answer lost  {unread}")?;
        writeln!(f, "  never reached it       {never_arrived} (no event)")?;
        write!(f, "events in the ledger     {events} = {answered} + {interrupted} + {unread}")
    }
}
