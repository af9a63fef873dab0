//! The requests that a gateway's ledger holds, by what became of them.

use std::path::Path;

use dataset_events::Outcome;

use super::collect::{ReportError, read_error, reader};

/// The code of a request whose client left before it was known who asks.
const DISCONNECTED: &str = "http.disconnected";

/// Counts of `http.request`, the ledger's own scope included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    /// The gateway answered.
    pub(crate) answered: u64,
    /// The client left before there was an answer.
    pub(crate) left: u64,
    /// The process died before there was an answer.
    pub(crate) open: u64,
}

impl Requests {
    /// Counts the requests of a ledger.
    pub(crate) fn of(ledger: &Path) -> Result<Self, ReportError> {
        let operator = reader(ledger)?.unrecorded_operator();
        let mut requests = Self { answered: 0, left: 0, open: 0 };
        for stored in operator.events().surface("http.request").iter() {
            let event = stored.map_err(|source| read_error(ledger, source))?.event;
            let count = match event.outcome {
                Outcome::Cancelled => &mut requests.left,
                Outcome::Interrupted => &mut requests.open,
                _ if event.code() == Some(DISCONNECTED) => &mut requests.left,
                _ => &mut requests.answered,
            };
            *count += 1;
        }
        Ok(requests)
    }

    /// What has come since an earlier count.
    pub(crate) fn since(self, before: Self) -> Self {
        let Self { answered, left, open } = before;
        Self { answered: self.answered - answered, left: self.left - left, open: self.open - open }
    }

    /// All of them.
    pub(crate) fn total(self) -> u64 {
        self.answered + self.left + self.open
    }
}
