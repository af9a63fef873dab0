//! From a trace or a request to its events.
//!
//! Ids come in no order, so inserting them into one large tree would touch a page for each of them. They are
//! kept in runs instead. A young run has the links of 4,096 events, so that what a transaction of a few events
//! touches is little and does not depend on how many there are; sixteen of them are merged into a middle run,
//! written in order, and sixteen of those into an old one. A look-up probes each run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{Range, RangeInclusive};

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction,
};
use sha2::{Digest, Sha256};

use super::error::IndexError;
use super::meta::Meta;
use super::row::{row_key, u64_at};

/// Run, hash, scope, sequence number; big-endian, so that keys sort in this order.
pub(crate) type LinkKey = [u8; 24];
type LinkTable = TableDefinition<'static, &'static LinkKey, ()>;
type LinkRows = ReadOnlyTable<&'static LinkKey, ()>;

pub(crate) const LEVELS: usize = 3;
/// Events whose links share a run: young, middle, old.
const RUN_EVENTS: [u64; LEVELS] = [1 << 12, 1 << 16, 1 << 20];
/// A transaction of so many events, from a multiple of it, writes a middle run at once.
pub(crate) const MIDDLE_EVENTS: u64 = RUN_EVENTS[1];
/// Runs take turns: those that will be one run of the next level stand in one table, which is dropped as a whole.
const YOUNG: [LinkTable; 2] = [TableDefinition::new("links.young.0"), TableDefinition::new("links.young.1")];
const MIDDLE: [LinkTable; 2] =
    [TableDefinition::new("links.middle.0"), TableDefinition::new("links.middle.1")];
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

/// The run of the event that is number `event` of the index, from 0, on a level.
fn run_of(level: usize, event: u64) -> u32 {
    (event / RUN_EVENTS[level]) as u32
}

/// Which of the two tables of a level a run stands in.
fn turn(level: usize, run: u32) -> usize {
    (u64::from(run) * RUN_EVENTS[level] / RUN_EVENTS[level + 1] % 2) as usize
}

fn table(level: usize, run: u32) -> LinkTable {
    match level {
        0 => YOUNG[turn(level, run)],
        1 => MIDDLE[turn(level, run)],
        _ => OLD,
    }
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

fn put_run(key: &mut LinkKey, run: u32) {
    key[..4].copy_from_slice(&run.to_be_bytes());
}

/// The links of a transaction in the making, by young run.
#[derive(Debug, Default)]
pub(crate) struct FreshLinks(Vec<LinkKey>);

impl FreshLinks {
    pub(crate) fn add(&mut self, event: u64, link: Link<'_>, scope: u32, seq: u64) {
        self.0.push(key(run_of(0, event), link.hash(), scope, seq));
    }

    /// Writes the links of these events, which are the transaction's.
    pub(crate) fn store(
        &mut self,
        transaction: &WriteTransaction,
        events: Range<u64>,
        meta: &mut Meta,
    ) -> Result<(), IndexError> {
        let mut level = 0;
        if meta.merged_events[0] == events.start
            && events.start.is_multiple_of(MIDDLE_EVENTS)
            && events.end == events.start + MIDDLE_EVENTS
        {
            level = 1;
            let run = run_of(level, events.start);
            self.0.iter_mut().for_each(|key| put_run(key, run));
            meta.merged_events[0] = events.end;
        }
        // In key order neighbours share the pages that are copied.
        self.0.sort_unstable();
        let run_of = |key: &LinkKey| u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
        for keys in self.0.chunk_by(|a, b| run_of(a) == run_of(b)) {
            let mut table = transaction.open_table(table(level, run_of(&keys[0])))?;
            for key in keys {
                table.insert(key, ())?;
            }
        }
        Ok(())
    }
}

/// Makes the tables of an empty index.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), IndexError> {
    for table in [YOUNG[0], YOUNG[1], MIDDLE[0], MIDDLE[1], OLD] {
        transaction.open_table(table)?;
    }
    Ok(())
}

/// Merges runs into those of the next level, where there are enough of them.
pub(crate) fn merge(
    database: &Database,
    meta: &mut Meta,
    meta_table: super::MetaTable,
) -> Result<(), IndexError> {
    for level in 0..LEVELS - 1 {
        let next_events = RUN_EVENTS[level + 1];
        loop {
            let there = if level == 0 { meta.events } else { meta.merged_events[level - 1] };
            if there / next_events <= meta.merged_events[level] / next_events {
                break;
            }
            merge_runs(database, level, meta, meta_table)?;
        }
    }
    Ok(())
}

/// Merges the first sixteen runs of a level into one of the next.
fn merge_runs(
    database: &Database,
    level: usize,
    meta: &mut Meta,
    meta_table: super::MetaTable,
) -> Result<(), IndexError> {
    let first = run_of(level, meta.merged_events[level]);
    let merged = run_of(level + 1, meta.merged_events[level]);
    let short = database.begin_read()?.open_table(table(level, first))?;
    let mut runs = (first..first + (RUN_EVENTS[level + 1] / RUN_EVENTS[level]) as u32)
        .map(|run| {
            let (low, high) = (key(run, 0, 0, 0), key(run, u64::MAX, u32::MAX, u64::MAX));
            short.range::<&LinkKey>(&low..=&high)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut heads = BinaryHeap::with_capacity(runs.len());
    let mut pull = |at: usize, heads: &mut BinaryHeap<_>| -> Result<(), IndexError> {
        if let Some(entry) = runs[at].next() {
            let mut key = *entry?.0.value();
            put_run(&mut key, merged);
            heads.push(Reverse((key, at)));
        }
        Ok(())
    };
    for at in 0..(RUN_EVENTS[level + 1] / RUN_EVENTS[level]) as usize {
        pull(at, &mut heads)?;
    }
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    {
        let mut long = transaction.open_table(table(level + 1, merged))?;
        while let Some(Reverse((key, at))) = heads.pop() {
            long.insert(&key, ())?;
            pull(at, &mut heads)?;
        }
    }
    transaction.delete_table(table(level, first))?;
    transaction.open_table(table(level, first))?;
    meta.merged_events[level] += RUN_EVENTS[level + 1];
    transaction.open_table(meta_table)?.insert(super::META_KEY, &meta.to_bytes()[..])?;
    transaction.commit()?;
    Ok(())
}

/// A consistent view of all runs.
pub(crate) struct LinkView {
    young: [LinkRows; 2],
    middle: [LinkRows; 2],
    old: LinkRows,
    /// The runs of each level.
    runs: [Range<u32>; LEVELS],
}

impl LinkView {
    pub(crate) fn new(transaction: &ReadTransaction, meta: &Meta) -> Result<Self, IndexError> {
        let [in_middle, in_old] = meta.merged_events;
        Ok(Self {
            young: [transaction.open_table(YOUNG[0])?, transaction.open_table(YOUNG[1])?],
            middle: [transaction.open_table(MIDDLE[0])?, transaction.open_table(MIDDLE[1])?],
            old: transaction.open_table(OLD)?,
            runs: [
                run_of(0, in_middle)..run_of(0, meta.events) + 1,
                run_of(1, in_old)..run_of(1, in_middle),
                0..run_of(2, in_old),
            ],
        })
    }

    fn rows(&self, level: usize, run: u32) -> &LinkRows {
        match level {
            0 => &self.young[turn(level, run)],
            1 => &self.middle[turn(level, run)],
            _ => &self.old,
        }
    }

    /// The sequence numbers of one stream that a link may lead to, in the order asked for.
    pub(crate) fn linked(
        &self,
        hash: u64,
        scope: u32,
        seqs: &RangeInclusive<u64>,
        is_newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<u64, IndexError>> + use<>, IndexError> {
        // A stream's numbers rise from run to run, and old runs lie before young ones.
        let mut ranges = (0..LEVELS)
            .rev()
            .flat_map(|level| self.runs[level].clone().map(move |run| (level, run)))
            .map(|(level, run)| {
                let (low, high) = (key(run, hash, scope, *seqs.start()), key(run, hash, scope, *seqs.end()));
                self.rows(level, run).range::<&LinkKey>(&low..=&high)
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

    /// Two and a half old runs, so that runs of all levels and both turns of their tables are there; written in
    /// small transactions, and in ones of a whole middle run.
    #[test]
    fn links_are_found_across_merges_and_in_order() {
        for step in [10_000, MIDDLE_EVENTS] {
            let backend = redb::backends::InMemoryBackend::new();
            let database = redb::Builder::new().create_with_backend(backend).unwrap();
            let mut meta = Meta::new(crate::ids::LedgerId::from_uuid(uuid::Uuid::from_u128(1)));
            let transaction = database.begin_write().unwrap();
            create(&transaction).unwrap();
            transaction.open_table(super::super::META).unwrap();
            transaction.commit().unwrap();
            // One event in 4,096 has a link; each third of those shares one.
            let events = RUN_EVENTS[2] * 5 / 2;
            while meta.events < events {
                let range = meta.events..meta.events + step;
                let mut fresh = FreshLinks::default();
                for event in range.clone().filter(|event| event % 4_096 == 0) {
                    let id = format!("trace {}", event / 4_096 % 3);
                    fresh.add(event, Link::Trace(&id), 7, event + 1);
                }
                let transaction = database.begin_write().unwrap();
                fresh.store(&transaction, range, &mut meta).unwrap();
                transaction.commit().unwrap();
                meta.events += step;
                merge(&database, &mut meta, super::super::META).unwrap();
            }
            assert_eq!(meta.merged_events, [meta.events / MIDDLE_EVENTS * MIDDLE_EVENTS, 2 * RUN_EVENTS[2]]);
            let view = LinkView::new(&database.begin_read().unwrap(), &meta).unwrap();
            for (low, high) in [(1, u64::MAX), (1_000_000, 2_200_000)] {
                for is_newest_first in [false, true] {
                    let mut expected: Vec<u64> = (0..meta.events)
                        .filter(|event| event % 4_096 == 0 && event / 4_096 % 3 == 1)
                        .filter(|event| (low..=high).contains(&(event + 1)))
                        .collect();
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
}
