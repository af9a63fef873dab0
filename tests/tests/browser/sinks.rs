//! Sinks of the gateway that fare differently, for who looks at them.

use std::time::{Duration, Instant};

use dataset_events::Ledger;
use dataset_events::sinks::memory::MemorySink;
use dataset_events::sinks::{Ack, Entry, EntryKind, Rejected, Sink, SinkError, SinkSpec};

/// How long a sink may take until it is as it is waited for.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);

/// What a sink answers to each batch.
#[derive(Clone, Copy)]
enum Answer {
    /// Not now.
    Retry,
    /// Never.
    Fatal,
    /// All but events.
    NoEvents,
}

struct Troubled {
    kind: &'static str,
    target: String,
    error: String,
    answer: Answer,
}

impl Sink for Troubled {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn target(&self) -> String {
        self.target.clone()
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let attempted = format!("append {} entries to {}", batch.len(), self.target);
        match self.answer {
            Answer::Retry => Err(SinkError::retry(attempted, self.error.as_str())),
            Answer::Fatal => Err(SinkError::fatal(attempted, self.error.as_str())),
            Answer::NoEvents => {
                let events = batch.iter().enumerate().filter(|(_, entry)| entry.kind() == EntryKind::Event);
                let rejected = events.map(|(at, _)| Rejected::new(at, self.error.as_str()));
                Ok(Ack::all().with_rejected(rejected.collect()))
            }
        }
    }
}

/// Gives a ledger a sink of each kind of trouble, and one without. Returns when each has met its own.
///
/// `text` is in the targets, and in the errors.
pub(crate) async fn add_to(ledger: &Ledger, text: &str) {
    let sinks = ledger.sinks();
    let archive = SinkSpec::new("archive", Box::new(MemorySink::new())).expect("a name");
    sinks.add(archive.required(true)).expect("added");
    for (name, kind, target, error, answer) in [
        ("warehouse", "bigquery", "project/audit", "the server answers 503", Answer::Retry),
        ("search", "firestore", "events", "permission denied: the role may not write", Answer::Fatal),
        ("partner", "otlp", "https://collector.example/v1/logs", "an event is too long", Answer::NoEvents),
    ] {
        let (target, error) = (format!("{target}{text}"), format!("{error}{text}"));
        let troubled = Box::new(Troubled { kind, target, error, answer });
        sinks.add(SinkSpec::new(name, troubled).expect("a name")).expect("added");
    }
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let status = |name| sinks.status(name).expect("it was added");
        let is_settled = status("archive").lag_events == 0
            && status("warehouse").retries > 0
            && status("search").state.as_str() == "stopped"
            && status("partner").dead_letters > 0;
        if is_settled {
            return;
        }
        assert!(Instant::now() < deadline, "{:?}", sinks.statuses());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
