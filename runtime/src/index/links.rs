//! From a trace or a request to its events.
//!
//! Ids come in no order, so inserting them into one large tree would touch a page for each of them. They are
//! kept in runs instead: 65,536 events share a young run, which stays small while it grows, and sixteen young
//! runs are merged into an old one, written in order. A look-up probes each run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, Table, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};

use super::error::IndexError;
use super::meta::Meta;
use super::row::{row_key, u64_at};

/// Run, hash, scope, sequence number; big-endian, so that keys sort in this order.
pub(crate) type LinkKey = [u8; 24];
type LinkTable = TableDefinition<'static, &'static LinkKey, ()>;

const YOUNG_EVENTS: u64 = 1 << 16;
const OLD_EVENTS: u64 = 1 << 20;
/// Young runs take turns: those of one old run stand in one table, which is dropped as a whole.
const YOUNG: [LinkTable; 2] = [TableDefinition::new("links.young.0"), TableDefinition::new("links.young.1")];
const OLD: LinkTable = TableDefinition::new("links.old");

/// What a link leads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link<'a> {
    Trace(&'a str),
    Request(&'a str),
}

impl Link<'_> {
    /// 64 bits tell ids apart well enough to find candidates; the line read back decides.
    pub(crate) fn hash(self) -> u64 {
        let (kind, id) = match self {
            Self::Trace(id) => (b't', id),
            Self::Request(id) => (b'r', id),
        };
        let hash = Sha256::new().chain_update([kind]).chain_update(id).finalize();
        u64_at(&hash, 0)
    }
}

/// The young run of the event that is number `event` of the index, from 0.
fn young_run(event: u64) -> u32 {
    (event / YOUNG_EVENTS) as u32
}

fn young_table(run: u32) -> LinkTable {
    YOUNG[(u64::from(run) / (OLD_EVENTS / YOUNG_EVENTS) % 2) as usize]
}

fn key(run: u32, hash: u64, scope: u32, seq: u64) -> LinkKey {
    let mut key = [0; 24];
    key[..4].copy_from_slice(&run.to_be_bytes());
    key[4..12].copy_from_slice(&hash.to_be_bytes());
    key[12..].copy_from_slice(&row_key(scope, seq));
    key
}

fn seq_of(key: &LinkKey) -> u64 {
    let mut seq = [0; 8];
    seq.copy_from_slice(&key[16..]);
    u64::from_be_bytes(seq)
}

/// The links of a transaction in the making.
#[derive(Debug, Default)]
pub(crate) struct FreshLinks(Vec<LinkKey>);

impl FreshLinks {
    pub(crate) fn add(&mut self, event: u64, link: Link<'_>, scope: u32, seq: u64) {
        self.0.push(key(young_run(event), link.hash(), scope, seq));
    }

    pub(crate) fn store(&mut self, transaction: &WriteTransaction) -> Result<(), IndexError> {
        // In key order neighbours share the pages that are copied.
        self.0.sort_unstable();
        let run_of = |key: &LinkKey| u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
        let mut open: Option<(u32, Table<'_, &'static LinkKey, ()>)> = None;
        for key in &self.0 {
            let run = run_of(key);
            let table = match &mut open {
                Some((current, table)) if *current == run => table,
                _ => {
                    // The table is closed before another is opened: two runs may share one.
                    open = None;
                    &mut open.insert((run, transaction.open_table(young_table(run))?)).1
                }
            };
            table.insert(key, ())?;
        }
        Ok(())
    }
}

/// Makes the tables of an empty index.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), IndexError> {
    for table in [YOUNG[0], YOUNG[1], OLD] {
        transaction.open_table(table)?;
    }
    Ok(())
}

/// Merges sixteen full young runs into an old one, once there are so many; true when it did.
pub(crate) fn merge(
    database: &Database,
    meta: &mut Meta,
    meta_table: super::MetaTable,
) -> Result<bool, IndexError> {
    if meta.events / OLD_EVENTS <= meta.merged_events / OLD_EVENTS {
        return Ok(false);
    }
    let first = young_run(meta.merged_events);
    let young = database.begin_read()?.open_table(young_table(first))?;
    let mut runs = (first..first + (OLD_EVENTS / YOUNG_EVENTS) as u32)
        .map(|run| {
            let (low, high) = (key(run, 0, 0, 0), key(run, u64::MAX, u32::MAX, u64::MAX));
            young.range::<&LinkKey>(&low..=&high)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut heads = BinaryHeap::with_capacity(runs.len());
    let mut pull = |at: usize, heads: &mut BinaryHeap<_>| -> Result<(), IndexError> {
        if let Some(entry) = runs[at].next() {
            let mut key = *entry?.0.value();
            key[..4].copy_from_slice(&((meta.merged_events / OLD_EVENTS) as u32).to_be_bytes());
            heads.push(Reverse((key, at)));
        }
        Ok(())
    };
    for at in 0..(OLD_EVENTS / YOUNG_EVENTS) as usize {
        pull(at, &mut heads)?;
    }
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    {
        let mut old = transaction.open_table(OLD)?;
        while let Some(Reverse((key, at))) = heads.pop() {
            old.insert(&key, ())?;
            pull(at, &mut heads)?;
        }
    }
    transaction.delete_table(young_table(first))?;
    transaction.open_table(young_table(first))?;
    meta.merged_events += OLD_EVENTS;
    transaction.open_table(meta_table)?.insert(super::META_KEY, &meta.to_bytes()[..])?;
    transaction.commit()?;
    Ok(true)
}

/// A consistent view of all runs.
pub(crate) struct LinkView {
    young: [ReadOnlyTable<&'static LinkKey, ()>; 2],
    old: ReadOnlyTable<&'static LinkKey, ()>,
    old_runs: u32,
    young_runs: RangeInclusive<u32>,
}

impl LinkView {
    pub(crate) fn new(transaction: &redb::ReadTransaction, meta: &Meta) -> Result<Self, IndexError> {
        Ok(Self {
            young: [transaction.open_table(YOUNG[0])?, transaction.open_table(YOUNG[1])?],
            old: transaction.open_table(OLD)?,
            old_runs: (meta.merged_events / OLD_EVENTS) as u32,
            young_runs: young_run(meta.merged_events)..=young_run(meta.events),
        })
    }

    /// The sequence numbers of one stream that a link may lead to, in the order asked for.
    pub(crate) fn linked(
        &self,
        hash: u64,
        scope: u32,
        seqs: &RangeInclusive<u64>,
        is_newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<u64, IndexError>> + use<>, IndexError> {
        let old = (0..self.old_runs).map(|run| (run, &self.old));
        let young = self.young_runs.clone().map(|run| {
            let turn = u64::from(run) / (OLD_EVENTS / YOUNG_EVENTS) % 2;
            (run, &self.young[turn as usize])
        });
        // A stream's numbers rise from run to run.
        let mut ranges = old
            .chain(young)
            .map(|(run, table)| {
                let (low, high) = (key(run, hash, scope, *seqs.start()), key(run, hash, scope, *seqs.end()));
                table.range::<&LinkKey>(&low..=&high)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !is_newest_first {
            ranges.reverse();
        }
        Ok(std::iter::from_fn(move || {
            loop {
                let range = ranges.last_mut()?;
                let entry = if is_newest_first { range.next_back() } else { range.next() };
                if let Some(entry) = entry {
                    return Some(entry.map(|(key, _)| seq_of(key.value())).map_err(IndexError::from));
                }
                ranges.pop();
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_run_hash_scope_and_number() {
        let keys =
            [key(0, 9, 1, 1), key(1, 2, 5, 300), key(1, 3, 4, 255), key(1, 3, 4, 256), key(1, 3, 5, 1)];
        assert!(keys.is_sorted());
        assert_eq!(seq_of(&keys[3]), 256);
        assert_ne!(Link::Trace("a").hash(), Link::Request("a").hash());
    }

    /// Two and a half old runs, so that old and young ones and both turns of the young table are there.
    #[test]
    fn links_are_found_across_merges_and_in_order() {
        let backend = redb::backends::InMemoryBackend::new();
        let database = redb::Builder::new().create_with_backend(backend).unwrap();
        let mut meta = Meta::new(crate::ids::LedgerId::from_uuid(uuid::Uuid::from_u128(1)));
        let transaction = database.begin_write().unwrap();
        create(&transaction).unwrap();
        transaction.open_table(super::super::META).unwrap();
        transaction.commit().unwrap();
        // One event in 4,096 has a link; each third of those shares one.
        let events = OLD_EVENTS * 5 / 2;
        let mut merges = 0;
        while meta.events < events {
            let mut fresh = FreshLinks::default();
            for event in (meta.events..meta.events + 100_000).filter(|event| event % 4_096 == 0) {
                let id = format!("trace {}", event / 4_096 % 3);
                fresh.add(event, Link::Trace(&id), 7, event + 1);
            }
            let transaction = database.begin_write().unwrap();
            fresh.store(&transaction).unwrap();
            transaction.commit().unwrap();
            meta.events += 100_000;
            merges += usize::from(merge(&database, &mut meta, super::super::META).unwrap());
        }
        assert_eq!((merges, meta.merged_events), (2, 2 * OLD_EVENTS));
        let view = LinkView::new(&database.begin_read().unwrap(), &meta).unwrap();
        for (low, high) in [(1, u64::MAX), (1_000_000, 2_200_000)] {
            for is_newest_first in [false, true] {
                let mut expected: Vec<u64> =
                    (0..meta.events).filter(|event| event % 4_096 == 0 && event / 4_096 % 3 == 1).collect();
                expected.retain(|event| (low..=high).contains(&(event + 1)));
                if is_newest_first {
                    expected.reverse();
                }
                let hash = Link::Trace("trace 1").hash();
                let found = view.linked(hash, 7, &(low..=high), is_newest_first).unwrap();
                let found: Vec<u64> = found.map(|seq| seq.unwrap() - 1).collect();
                assert!(found.len() > 50 && found == expected, "{low} to {high}, {is_newest_first}");
                assert_eq!(view.linked(hash, 8, &(low..=high), is_newest_first).unwrap().count(), 0);
            }
        }
    }
}
