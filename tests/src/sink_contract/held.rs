//! What a target holds, held against the ledger.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use dataset_events::sinks::{EntryKey, EntryKind};
use dataset_events::sources::{Source, SourcePiece, SourceStart};
use dataset_events::{LedgerId, Scope};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cut::{LedgerCut, Piece, lines_at};
use super::target::{Keeps, Target};

/// What a source gives of a ledger, in its order. A piece that it gives again, with the same bytes, counts once: a
/// source may do that.
///
/// # Panics
///
/// When it cannot be read, or gives two different things for one key.
pub fn from_source(source: &dyn Source, ledger_id: LedgerId) -> Vec<Piece> {
    from_source_after(source, ledger_id, &SourceStart::default())
}

/// The same, of what lies behind a start.
///
/// # Panics
///
/// When it cannot be read, or gives two different things for one key.
pub fn from_source_after(source: &dyn Source, ledger_id: LedgerId, start: &SourceStart) -> Vec<Piece> {
    let (mut held, mut known) = (Vec::new(), HashMap::new());
    let mut take = |piece: SourcePiece| {
        let pieces = match piece {
            SourcePiece::Identity(bytes) => vec![Piece::identity(ledger_id, bytes)],
            SourcePiece::Log { position, bytes } => lines_at(position, &bytes),
            SourcePiece::HeadTable { position, bytes } => vec![Piece::head_table(ledger_id, position, bytes)],
            SourcePiece::Checkpoint { number, line } => {
                let piece = Piece::checkpoint(&line);
                assert_eq!(piece.key, EntryKey::Checkpoint(number), "the number of a checkpoint");
                vec![piece]
            }
            SourcePiece::Cut { number, line } => {
                let piece = Piece::cut(&line);
                assert_eq!(piece.key, EntryKey::Cut(number), "the number of a cut");
                vec![piece]
            }
            other => panic!("a piece that the suite does not know: {other:?}"),
        };
        for piece in pieces {
            if let Some(at) = known.get(&piece.key) {
                assert_eq!(&held[*at], &piece, "the source gives two things for one key");
            } else {
                known.insert(piece.key, held.len());
                held.push(piece);
            }
        }
        Ok(())
    };
    source.read(ledger_id, start, &mut take).unwrap_or_else(|error| panic!("read the source: {error:?}"));
    held
}

/// Asserts that a target holds a ledger: each entry of the kinds that it keeps once in effect, none missing and none
/// besides, with the exact bytes and places, in the ledger's order; and every stream without a gap.
///
/// # Panics
///
/// When it does not; the message names the first entries that are missing, altered, repeated or foreign.
pub fn assert_holds_exactly(target: &dyn Target, cut: &LedgerCut) {
    assert_holds(target, cut, &[]);
    assert_streams_are_whole(&target.held(cut.ledger_id));
}

/// The same, where some pieces of the ledger may be missing because they were rejected. Nothing is said of streams.
///
/// # Panics
///
/// As [`assert_holds_exactly`].
pub fn assert_holds(target: &dyn Target, cut: &LedgerCut, rejected: &[EntryKey]) {
    let keeps = target.keeps();
    let held = target.held(cut.ledger_id);
    let wanted: Vec<&Piece> = cut
        .pieces
        .iter()
        .filter(|piece| keeps.kinds.contains(&piece.kind) && !rejected.contains(&piece.key))
        .collect();
    let problems = problems(&keeps, &held, &wanted);
    assert!(
        problems.is_empty(),
        "the target holds {} entries, {} were forwarded to it:\n{}",
        held.len(),
        wanted.len(),
        problems.join("\n")
    );
}

fn problems(keeps: &Keeps, held: &[Piece], wanted: &[&Piece]) -> Vec<String> {
    let mut found: HashMap<EntryKey, &Piece> = HashMap::new();
    let mut problems = Vec::new();
    let mut first_of_each = Vec::new();
    for piece in held {
        match found.insert(piece.key, piece) {
            None => first_of_each.push(piece.key),
            Some(_) if keeps.once => problems.push(format!("stands there again: {piece:?}")),
            Some(before) if before.bytes != piece.bytes => {
                problems.push(format!("two things under one key: {before:?}\n  and {piece:?}"));
            }
            Some(_) => {}
        }
    }
    for piece in wanted {
        match found.remove(&piece.key) {
            None => problems.push(format!("is missing: {piece:?}")),
            Some(held) if held.bytes != piece.bytes => {
                problems.push(format!("has other bytes: {held:?}\n  in the ledger: {piece:?}"));
            }
            Some(held) if keeps.places && held.position != piece.position => {
                problems.push(format!("has another place: {held:?}\n  in the ledger: {}", piece.position));
            }
            Some(_) => {}
        }
    }
    problems.extend(found.values().map(|piece| format!("was never forwarded, or was rejected: {piece:?}")));
    if problems.is_empty() {
        // Sources give log, head tables and checkpoints apart; within each the order is the ledger's.
        for kinds in [
            &[EntryKind::Event, EntryKind::Attempt][..],
            &[EntryKind::HeadTable],
            &[EntryKind::Checkpoint],
            &[EntryKind::Cut],
        ] {
            let of_kinds = |key: &&EntryKey| kinds.iter().any(|kind| is_of(key, *kind));
            let there = first_of_each.iter().filter(of_kinds);
            let here = wanted.iter().map(|piece| &piece.key).filter(of_kinds);
            let displaced = there.zip(here).position(|(there, here)| there != here);
            problems.extend(displaced.map(|at| format!("not in order from number {at} of {kinds:?} on")));
        }
    }
    problems.truncate(10);
    problems
}

fn is_of(key: &EntryKey, kind: EntryKind) -> bool {
    match key {
        EntryKey::Identity(_) => kind == EntryKind::Identity,
        EntryKey::Event(_) => kind == EntryKind::Event,
        EntryKey::Attempt(_) => kind == EntryKind::Attempt,
        EntryKey::HeadTable(_) => kind == EntryKind::HeadTable,
        EntryKey::Checkpoint(_) => kind == EntryKind::Checkpoint,
        EntryKey::Cut(_) => kind == EntryKind::Cut,
        _ => false,
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    ledger_id: &'a str,
    tenant_id: &'a str,
    env: &'a str,
    seq: u64,
    prev: &'a str,
}

#[derive(Deserialize)]
struct HeadTable {
    heads: Vec<TableHead>,
}

#[derive(Deserialize)]
struct TableHead {
    tenant_id: String,
    env: String,
    seq: u64,
    hash: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that the events follow one another in each stream, in the order in which they are held: from 1, or from the
/// heads at the cut with which the log begins, without a gap, each with the hash of the one before it.
///
/// # Panics
///
/// When they do not.
pub fn assert_streams_are_whole(held: &[Piece]) {
    let mut heads: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    let cuts = held.iter().filter(|piece| piece.kind == EntryKind::Cut);
    if let Some(cut) = cuts.max_by_key(|piece| piece.position) {
        let is_named = |table: &&Piece| {
            table.kind == EntryKind::HeadTable && table.position.segment + 1 == cut.position.segment
        };
        // A later table of that segment there is not: it had ended.
        if let Some(table) = held.iter().filter(is_named).max_by_key(|table| table.position) {
            let table: HeadTable = serde_json::from_slice(&table.bytes).expect("a head table");
            let head = |head: TableHead| ((head.tenant_id, head.env), (head.seq, head.hash));
            heads.extend(table.heads.into_iter().map(head));
        }
    }
    let mut seen = std::collections::HashSet::new();
    for piece in held.iter().filter(|piece| piece.kind == EntryKind::Event && seen.insert(piece.key)) {
        let event: Event<'_> =
            serde_json::from_slice(&piece.bytes).unwrap_or_else(|error| panic!("{error}: {piece:?}"));
        let genesis = || {
            let (ledger_id, tenant_id, env) = (event.ledger_id, event.tenant_id, event.env);
            let text = format!("dataset-events genesis v1\n{ledger_id}\n{tenant_id}\n{env}\n");
            (0, hex(&Sha256::digest(text.as_bytes())))
        };
        let stream = (event.tenant_id.to_owned(), event.env.to_owned());
        let head = heads.entry(stream).or_insert_with(genesis);
        assert_eq!((event.seq, event.prev), (head.0 + 1, &*head.1), "follows in its stream: {piece:?}");
        *head = (event.seq, hex(&Sha256::digest(&piece.bytes)));
    }
    assert!(!heads.is_empty(), "the target holds no event");
}

/// Puts a ledger's directory together from what a target holds, so that it can be verified.
///
/// # Panics
///
/// When there is a hole in the log, or the directory cannot be written.
pub fn put_together(held: &[Piece], directory: &Path) {
    let mut log: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let (mut checkpoints, mut cuts, mut files) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for piece in held {
        match piece.key {
            EntryKey::Identity(_) => files.push(("ledger.json".to_owned(), piece.bytes.clone())),
            EntryKey::HeadTable(position) => {
                files.push((format!("log/{:08}.heads.json", position.segment), piece.bytes.clone()));
            }
            EntryKey::Cut(number) => {
                cuts.insert(number, &piece.bytes);
            }
            EntryKey::Checkpoint(number) => {
                checkpoints.insert(number, &piece.bytes);
                // A segment that was begun and has no line yet can be signed already.
                log.entry(piece.position.segment).or_default();
            }
            _ => {
                let segment = log.entry(piece.position.segment).or_default();
                assert_eq!(segment.len() as u64, piece.position.offset, "a hole before {piece:?}");
                segment.extend_from_slice(&piece.bytes);
                segment.push(b'\n');
            }
        }
    }
    let segments = log.into_iter().map(|(segment, bytes)| (format!("log/{segment:08}.ndjson"), bytes));
    files.extend(segments);
    let lines = checkpoints.values().flat_map(|line| [line.as_slice(), b"\n"].concat());
    files.push(("checkpoints.ndjson".to_owned(), lines.collect()));
    let lines = cuts.values().flat_map(|line| [line.as_slice(), b"\n"].concat());
    files.extend(Some(("cuts.ndjson".to_owned(), lines.collect::<Vec<u8>>())).filter(|_| !cuts.is_empty()));
    std::fs::create_dir_all(directory.join("log")).expect("a directory to put the ledger together in");
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }
}

/// The scopes of the events that a ledger has.
///
/// # Panics
///
/// When a line is none of the ledger's.
pub fn scopes(cut: &LedgerCut) -> Vec<Scope> {
    let mut scopes: Vec<Scope> =
        cut.entries().iter().filter_map(|entry| entry.scope().expect("a scope")).collect();
    scopes.sort_by_key(ToString::to_string);
    scopes.dedup();
    scopes
}
