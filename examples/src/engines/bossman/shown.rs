//! What every view says besides: how far the ledgers were read, and how they are.

use dataset_events::read_models::{Folded, LedgerCursor};
use dataset_events::sinks::SinkStatus;
use dataset_events::{LedgerId, LedgerStatus, Scope, Unread, current};

use super::Bossman;
use super::model::{Condition, Freshness, LedgerHead, LedgerRow, Shown, SinkRow, UnreadLedger};
use crate::read_models::Board;

impl Bossman {
    pub(super) fn shown<T>(&self, scope: &Scope, folded: &Folded<Board>, as_of_us: i64, view: T) -> Shown<T> {
        let newest_event_us = folded.as_of();
        let unread: &[Unread] = &folded.last_refresh().unread;
        let age_us = newest_event_us.map(|newest| as_of_us.saturating_sub(newest));
        Shown {
            tenant_id: scope.tenant_id().to_string(),
            env: scope.env().to_string(),
            as_of_us,
            freshness: Freshness {
                newest_event_us,
                age_us,
                is_complete: unread.is_empty(),
                unread: UnreadLedger::all(unread),
                ledgers: self.heads(folded),
            },
            view,
        }
    }

    fn heads(&self, folded: &Folded<Board>) -> Vec<LedgerHead> {
        let ledgers = &folded.state().ledgers;
        let head = |(ledger_id, cursor): (&LedgerId, &LedgerCursor)| LedgerHead {
            ledger_id: *ledger_id,
            is_own: *ledger_id == self.own,
            seq: cursor.seq,
            hash: cursor.hash,
            recorded_at_us: ledgers
                .get(ledger_id)
                .and_then(|ledger| ledger.service.place())
                .map(|place| place.recorded_at),
        };
        folded.snapshot().ledgers.iter().map(head).collect()
    }

    pub(super) fn rows(
        &self,
        folded: &Folded<Board>,
        unread: impl Iterator<Item = LedgerId>,
    ) -> Vec<LedgerRow> {
        let unread: Vec<LedgerId> = unread.collect();
        // Its counts are of all scopes and stay here.
        let summaries = self.set.ledgers();
        let condition = |ledger_id: LedgerId| {
            let mut of_ledger = summaries.iter().filter(|summary| summary.ledger_id == Some(ledger_id));
            match of_ledger.find_map(|summary| condition(&summary.status)) {
                Some(condition) if !unread.contains(&ledger_id) => condition,
                _ => Condition::Unreadable,
            }
        };
        let row = |head: LedgerHead| {
            let state = folded.state().ledgers.get(&head.ledger_id).cloned().unwrap_or_default();
            LedgerRow {
                condition: condition(head.ledger_id),
                head,
                service: state.service.get().cloned(),
                events: state.events,
                first_at_us: state.first_at_us,
                interrupted: state.interrupted,
                lost: state.lost,
                gaps: state.gaps,
            }
        };
        self.heads(folded).into_iter().map(row).collect()
    }

    /// The sinks of this process, by the ledgers that they get.
    pub(super) fn sinks(&self) -> Vec<SinkRow> {
        let row = |ledger_id: LedgerId, status: &SinkStatus| SinkRow {
            name: status.name.clone(),
            kind: status.kind,
            ledger_id,
            state: status.state.as_str(),
            required: status.required,
            lag_seconds: status.lag_seconds,
            last_write_us: status.last_write_us,
        };
        let ledgers = self.set.states().ledgers;
        ledgers
            .iter()
            .flat_map(|ledger| ledger.sinks.iter().map(|status| row(ledger.ledger_id, status)))
            .collect()
    }
}

/// `None` for a directory whose ledger is read from another one.
fn condition(status: &LedgerStatus) -> Option<Condition> {
    match status {
        LedgerStatus::Own => Some(Condition::Own),
        LedgerStatus::Live => Some(Condition::Live),
        LedgerStatus::Closed => Some(Condition::Closed),
        LedgerStatus::Restored => Some(Condition::Restored),
        LedgerStatus::Duplicate => None,
        _ => Some(Condition::Unreadable),
    }
}

/// The event of a look says which ledgers it was made from.
pub(super) fn name(freshness: &Freshness) {
    for head in &freshness.ledgers {
        current().source_ref("ledger", head.ledger_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_of_a_ledger_has_its_word() {
        let word = |status: &LedgerStatus| serde_json::to_value(condition(status)).expect("a word");
        for (status, expected) in [
            (LedgerStatus::Own, "own"),
            (LedgerStatus::Live, "live"),
            (LedgerStatus::Closed, "closed"),
            (LedgerStatus::Restored, "restored"),
            (LedgerStatus::Unreadable { reason: "torn".to_owned() }, "unreadable"),
        ] {
            assert_eq!(word(&status), expected, "{status:?}");
        }
        assert_eq!(condition(&LedgerStatus::Duplicate), None);
    }
}
