//! One event of a scope: by its number, by its id, and with the checkpoint that covers it.

use serde::Serialize;

use super::scope::SetScope;
use super::unread::{Unread, chain};
use super::{LedgerSet, LedgerStatus, Member};
use crate::event::{EventPlace, LineHash};
use crate::ids::{EventId, LedgerId};
use crate::index::IndexHealth;
use crate::log::LogPosition;
use crate::log::checkpoint::{CheckpointFile, CheckpointReason};
use crate::log::line::hash_line;
use crate::query::{ReadError, StoredEvent};
use crate::sinks::SinkStatus;

/// The first checkpoint that covers an event: which one, without the other scopes that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CoveringCheckpoint {
    /// Its number, from 1.
    pub number: u64,
    /// The hash of its line.
    pub hash: LineHash,
    /// When it was made, in microseconds since 1970 (UTC).
    pub at: i64,
    /// Why it was made.
    pub reason: CheckpointReason,
    /// Every byte of the log before this is covered.
    pub position: LogPosition,
    /// The key that signed it.
    pub key_id: String,
}

/// How a ledger of a set is, without a look at its events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerState {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Whether this process, another or nobody has it open.
    pub status: LedgerStatus,
    /// How far its index is, for an own ledger; those of others are read up to their end by each query.
    pub index: Option<IndexHealth>,
    /// How its sinks fare, for an own ledger.
    pub sinks: Vec<SinkStatus>,
}

/// The ledgers of a set, and what could not be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerStates {
    /// Those that can be read.
    pub ledgers: Vec<LedgerState>,
    /// What could not be read; empty when all can.
    pub unread: Vec<Unread>,
}

impl LedgerSet {
    /// How each ledger is: open or closed, and how far its index is. Names no events and no scopes.
    pub fn states(&self) -> LedgerStates {
        let found = self.members.refresh();
        let own = |ledger_id| self.members.sources.own.iter().find(|ledger| ledger.id() == ledger_id);
        let ledgers = found.members.iter().map(|member| {
            let status = member.status();
            let own = own(member.ledger_id).filter(|_| member.is_own);
            let index = own.map(|ledger| ledger.index_health());
            let sinks = own.map(|ledger| ledger.sinks().statuses()).unwrap_or_default();
            LedgerState { ledger_id: member.ledger_id, status, index, sinks }
        });
        LedgerStates { ledgers: ledgers.collect(), unread: found.unread }
    }
}

impl SetScope {
    /// The event with a sequence number in a ledger's stream of this scope; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Unread`]: the ledger cannot be read.
    pub fn event(&self, ledger_id: LedgerId, seq: u64) -> Result<Option<StoredEvent>, Unread> {
        let Some(member) = self.member(ledger_id)? else { return Ok(None) };
        let mut selection = self.selection(&member);
        selection.filter.after_seq = Some(seq.saturating_sub(1));
        selection.filter.before_seq = seq.checked_add(1);
        selection.limit = 1;
        let event = selection.iter().next().transpose();
        event.map_err(|error| unread(&member, &error)).map(|event| event.filter(|_| seq > 0))
    }

    /// The event at a place; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`event`](Self::event).
    pub fn event_at(&self, place: EventPlace) -> Result<Option<StoredEvent>, Unread> {
        let event = self.event(place.ledger_id, place.seq)?;
        Ok(event.filter(|stored| EventPlace::of(&stored.event) == place))
    }

    /// Looks for an event by its id among the first `within` that were recorded since the id was minted.
    ///
    /// Ids are not indexed: their time says where to begin. An event of a call that outlasted that many others
    /// is not found.
    ///
    /// # Errors
    ///
    /// [`ReadError::OperatorOnly`] for `$system` by its tenant and env.
    pub fn find_event(&self, event_id: EventId, within: usize) -> Result<Option<StoredEvent>, ReadError> {
        // The first 48 bits of a UUIDv7 are milliseconds, rounded down.
        let minted_ms = event_id.as_uuid().as_u128() >> 80;
        let minted_us = i64::try_from(minted_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let mut events = self.events().since(minted_us).oldest_first().limit(within).iter()?;
        Ok(events.find_map(|event| event.ok().filter(|stored| stored.event.event_id == event_id)))
    }

    /// The first checkpoint that covers an event of this scope; `None` while none does.
    ///
    /// It says which one claims to; whether its claim holds is for `verify` to tell.
    ///
    /// # Errors
    ///
    /// [`Unread`]: the ledger or its checkpoints cannot be read.
    pub fn checkpoint_of(&self, stored: &StoredEvent) -> Result<Option<CoveringCheckpoint>, Unread> {
        if stored.event.scope() != self.scope() {
            return Ok(None);
        }
        let Some(member) = self.member(stored.event.ledger_id)? else { return Ok(None) };
        let covering = CheckpointFile::open(&*member.parts.storage)
            .and_then(|file| file.map_or(Ok(None), |file| file.first_beyond(stored.position)));
        let covering = covering.map_err(|error| unread(&member, &error))?;
        Ok(covering.map(|(line, checkpoint)| CoveringCheckpoint {
            number: checkpoint.number,
            hash: hash_line(&line),
            at: checkpoint.at,
            reason: checkpoint.reason,
            position: checkpoint.position,
            key_id: checkpoint.key_id,
        }))
    }

    fn member(&self, ledger_id: LedgerId) -> Result<Option<Member>, Unread> {
        let found = self.set.members.refresh();
        // One that lacks a part is in both.
        if let Some(member) = found.members.into_iter().find(|member| member.ledger_id == ledger_id) {
            return Ok(Some(member));
        }
        let unread = found.unread.into_iter().find(|unread| unread.ledger_id == Some(ledger_id));
        unread.map_or(Ok(None), Err)
    }
}

fn unread(member: &Member, error: &dyn std::error::Error) -> Unread {
    Unread::new(Some(member.ledger_id), member.path.as_deref(), &chain(error))
}

#[cfg(test)]
mod tests {
    use crate::event::EventPlace;
    use crate::ledger::Ledger;
    use crate::ledger_set::LedgerSet;
    use crate::{Env, StoredEvent, TenantId};

    fn all(set: &LedgerSet, tenant: &'static str) -> Vec<StoredEvent> {
        let scope = set.scope(&TenantId::from_static(tenant), &Env::from_static("prod"));
        scope.events().iter().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_event_is_found_by_number_place_and_id_in_its_own_scope_alone() {
        let root = tempfile::tempdir().unwrap();
        let ledger = Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
        let set = LedgerSet::of(&ledger);
        for tenant in ["acme", "globex"] {
            let ctx = ledger.context(tenant, "prod").build().unwrap();
            for _ in 0..5 {
                ctx.event("order.ship").record().unwrap();
            }
        }
        ledger.flush().unwrap();
        let acme = set.scope(&TenantId::from_static("acme"), &Env::from_static("prod"));
        let globex = set.scope(&TenantId::from_static("globex"), &Env::from_static("prod"));
        let events = all(&set, "acme");
        assert_eq!(events.len(), 5);
        for (at, stored) in events.iter().enumerate() {
            let (place, id) = (EventPlace::of(&stored.event), stored.event.event_id);
            let by_number = acme.event(ledger.id(), at as u64 + 1).unwrap().unwrap();
            assert_eq!(by_number.line, stored.line);
            assert_eq!(acme.event_at(place).unwrap().unwrap().line, stored.line);
            assert_eq!(acme.find_event(id, 100).unwrap().unwrap().line, stored.line);
            assert!(globex.event_at(place).unwrap().is_none());
            assert!(globex.find_event(id, 100).unwrap().is_none());
            assert_eq!(globex.checkpoint_of(stored).unwrap(), None);
        }
        assert!(acme.event(ledger.id(), 0).unwrap().is_none());
        assert!(acme.event(ledger.id(), 6).unwrap().is_none());
    }

    #[test]
    fn the_first_checkpoint_behind_an_event_covers_it() {
        let root = tempfile::tempdir().unwrap();
        let mut opened = Vec::new();
        for _ in 0..3 {
            let ledger = Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
            ledger.context("acme", "prod").build().unwrap().event("order.ship").record().unwrap();
            ledger.flush().unwrap();
            opened.push(ledger.id());
            // Its close makes a checkpoint.
            ledger.close().unwrap();
        }
        let set = LedgerSet::options().root(root.path()).open();
        let acme = set.scope(&TenantId::from_static("acme"), &Env::from_static("prod"));
        let events = all(&set, "acme");
        assert_eq!(events.len(), 3);
        let mut numbers = Vec::new();
        for stored in &events {
            let covering = acme.checkpoint_of(stored).unwrap().expect("a checkpoint");
            assert!(covering.position > stored.position);
            numbers.push(covering.number);
        }
        let is_one_ledger = opened.windows(2).all(|pair| pair[0] == pair[1]);
        assert!(is_one_ledger, "a closed ledger of the root is taken again");
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }

    #[test]
    fn states_tell_own_ledgers_and_how_far_their_index_is() {
        let root = tempfile::tempdir().unwrap();
        let ledger = Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
        let states = LedgerSet::of(&ledger).states();
        assert!(states.unread.is_empty());
        let [state] = &states.ledgers[..] else { panic!("one ledger: {states:?}") };
        assert_eq!((state.ledger_id, &state.status), (ledger.id(), &crate::LedgerStatus::Own));
        assert!(state.index.as_ref().is_some_and(|index| index.is_ok));
    }
}
