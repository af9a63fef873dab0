//! The requests that a gateway's ledger holds, by what became of them.

use std::path::Path;

use dataset_events::{DatasetEvent, OperatorReader, Outcome};

use super::collect::{ReportError, read_error, reader};

/// Tells how many requests without an identity had no event of their own.
const SUPPRESSED: &str = "http.unauthenticated_suppressed";
/// The code of a request whose client left before it was known who asks.
const DISCONNECTED: &str = "http.disconnected";

/// Counts of the requests of all scopes, the ledger's own included.
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
        of_surface(&operator, ledger, "http.request", |event| requests.add(event))?;
        of_surface(&operator, ledger, SUPPRESSED, |event| requests.add_suppressed(event))?;
        Ok(requests)
    }

    fn add(&mut self, event: &DatasetEvent) {
        // Many refusals in a short time are told by one event.
        let stands_for = event.output_value()["stands_for"].as_u64().unwrap_or(1);
        let count = match event.outcome {
            Outcome::Cancelled => &mut self.left,
            Outcome::Interrupted => &mut self.open,
            _ if event.code() == Some(DISCONNECTED) => &mut self.left,
            _ => &mut self.answered,
        };
        *count += stands_for;
    }

    fn add_suppressed(&mut self, event: &DatasetEvent) {
        let input = event.input_value();
        let left = input["codes"][DISCONNECTED].as_u64().unwrap_or(0);
        self.left += left;
        self.answered += input["count"].as_u64().unwrap_or(0).saturating_sub(left);
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

fn of_surface(
    operator: &OperatorReader,
    ledger: &Path,
    surface: &str,
    mut each: impl FnMut(&DatasetEvent),
) -> Result<(), ReportError> {
    for stored in operator.events().surface(surface).iter() {
        each(&stored.map_err(|source| read_error(ledger, source))?.event);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dataset_events::testing::TestLedger;
    use dataset_events::{Code, RequestContext};
    use dataset_events_service::codes;
    use serde_json::json;

    use super::*;

    fn request(ctx: &RequestContext, code: Option<Code>, stands_for: Option<u64>) {
        let mut event = ctx.event("http.request").output("status", &200);
        if let Some(count) = stands_for {
            event = event.output("stands_for", &count);
        }
        if let Some(code) = code {
            event = event.code(code);
        }
        event.record().unwrap();
    }

    /// A run that a limit slowed down failed: it had more answers than events.
    #[test]
    fn an_event_counts_for_as_many_requests_as_it_stands_for() {
        let ledger = TestLedger::on_disk();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        request(&ctx, None, None);
        request(&ctx, Some(codes::RATE_LIMITED), None);
        request(&ctx, Some(codes::RATE_LIMITED), Some(40));
        let nobody = ledger.ledger().unauthenticated().build().unwrap();
        request(&nobody, Some(codes::DISCONNECTED), None);
        let suppressed = json!({"auth.missing": 7, "http.disconnected": 2});
        nobody.event(SUPPRESSED).input("count", &9).input("codes", &suppressed).record().unwrap();
        ledger.flush();
        let requests = Requests::of(ledger.ledger().path().unwrap()).unwrap();
        assert_eq!(requests, Requests { answered: 1 + 1 + 40 + 7, left: 1 + 2, open: 0 });
        assert_eq!(requests.total(), 52);
    }
}
