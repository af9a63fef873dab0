//! What an interrupted job says: each request that it sent, and what became of it.

use std::fmt;

use thiserror::Error;

use super::client::Counts;
use super::report::Requests;

/// The account of an interrupted job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interrupted {
    counts: Counts,
    recorded: Requests,
    /// The gateway answered, and the job no longer read it.
    unread: u64,
    /// Cut before the gateway had read them.
    never_arrived: u64,
}

/// The ledger and the client do not agree.
#[derive(Debug, PartialEq, Eq, Error)]
#[error(
    "account for the requests of the interrupted job: {} were answered and {} cut, \
     but the gateway's ledger holds {} that were answered, {} that were left, and {} that a killed process left open",
    counts.answered, counts.cut, recorded.answered, recorded.left, recorded.open
)]
pub(super) struct Unaccounted {
    counts: Counts,
    recorded: Requests,
}

impl Interrupted {
    pub(super) fn of(before: Requests, after: Requests, counts: Counts) -> Result<Self, Unaccounted> {
        let recorded = after.since(before);
        let unread = recorded.answered.checked_sub(counts.answered);
        let never_arrived = unread.and_then(|unread| counts.cut.checked_sub(unread + recorded.left));
        match (unread, never_arrived, recorded.open) {
            (Some(unread), Some(never_arrived), 0) => Ok(Self { counts, recorded, unread, never_arrived }),
            _ => Err(Unaccounted { counts, recorded }),
        }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, recorded, unread, never_arrived } = self;
        write!(
            f,
            "{} requests were answered and {} cut. The gateway's ledger holds {} of them: {} answered, {unread} \
             answered but no longer read, {} left by the client; {never_arrived} never reached it.",
            counts.answered,
            counts.cut,
            recorded.total(),
            counts.answered,
            recorded.left,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(answered: u64, left: u64, open: u64) -> Requests {
        Requests { answered, left, open }
    }

    #[test]
    fn each_request_that_was_cut_is_explained() {
        let (before, after) = (requests(100, 1, 2), requests(111, 4, 2));
        let account = Interrupted::of(before, after, Counts { answered: 10, cut: 5 });
        let account = account.map(|account| (account.unread, account.recorded.left, account.never_arrived));
        assert_eq!(account, Ok((1, 3, 1)));
    }

    #[test]
    fn an_answer_without_its_event_is_an_error() {
        let counts = Counts { answered: 10, cut: 5 };
        for after in [requests(9, 1, 0), requests(12, 4, 0), requests(10, 0, 1)] {
            let account = Interrupted::of(requests(0, 0, 0), after, counts);
            assert_eq!(account, Err(Unaccounted { counts, recorded: after }));
        }
    }
}
