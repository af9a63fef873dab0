//! A ledger cut into what is forwarded of it, read from its files by the words of `docs/formats.md` alone.

use std::fs;
use std::path::Path;

use dataset_events::sinks::{Entry, EntryKey, EntryKind};
use dataset_events::{Checkpoint, Cut, LedgerId, LogPosition};
use serde::Deserialize;

use crate::log::segments;

/// A piece of a ledger: what an entry of it is made of, or what a target holds of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: EntryKind,
    /// Under what it is stored once.
    pub key: EntryKey,
    /// Its place, as [`Entry::position`] says it.
    pub position: LogPosition,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        let start: String = text.chars().take(200).collect();
        write!(f, "{:?} at {}, {} bytes: {start}", self.key, self.position, self.bytes.len())
    }
}

impl From<&Entry> for Piece {
    fn from(entry: &Entry) -> Self {
        let (kind, key) = (entry.kind(), entry.key());
        Self { kind, key, position: entry.position(), bytes: entry.bytes().to_vec() }
    }
}

impl Piece {
    /// A line of the log without its newline, and where it begins.
    ///
    /// # Panics
    ///
    /// When it is no line of version 1.
    pub fn line(position: LogPosition, bytes: &[u8]) -> Self {
        let entry = Entry::line(position, bytes.to_vec());
        entry.as_ref().map(Self::from).unwrap_or_else(|| {
            panic!("{position}: not a line of a log: {}", String::from_utf8_lossy(bytes));
        })
    }

    /// The contents of `ledger.json`.
    pub fn identity(ledger_id: LedgerId, bytes: Vec<u8>) -> Self {
        Self::from(&Entry::identity(ledger_id, bytes))
    }

    /// The contents of a head table, and the place that it speaks of.
    pub fn head_table(ledger_id: LedgerId, position: LogPosition, bytes: Vec<u8>) -> Self {
        Self::from(&Entry::head_table(ledger_id, position, bytes))
    }

    /// A line of `checkpoints.ndjson` without its newline.
    ///
    /// # Panics
    ///
    /// When it is no checkpoint.
    pub fn checkpoint(line: &[u8]) -> Self {
        let checkpoint = Checkpoint::from_line(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        let (number, position) = (checkpoint.number, checkpoint.position);
        Self::from(&Entry::checkpoint(checkpoint.ledger_id, number, position, line.to_vec()))
    }

    /// A line of `cuts.ndjson` without its newline.
    ///
    /// # Panics
    ///
    /// When it is no cut.
    pub fn cut(line: &[u8]) -> Self {
        let cut =
            Cut::from_line(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        Self::from(&Entry::cut(cut.ledger_id, cut.number, cut.position, line.to_vec()))
    }

    /// The entry that is forwarded.
    ///
    /// # Panics
    ///
    /// When the bytes of a line are none.
    pub fn entry(&self, ledger_id: LedgerId) -> Entry {
        let bytes = self.bytes.clone();
        match self.key {
            EntryKey::Identity(_) => Entry::identity(ledger_id, bytes),
            EntryKey::HeadTable(position) => Entry::head_table(ledger_id, position, bytes),
            EntryKey::Checkpoint(number) => Entry::checkpoint(ledger_id, number, self.position, bytes),
            EntryKey::Cut(number) => Entry::cut(ledger_id, number, self.position, bytes),
            _ => Entry::line(self.position, bytes).expect("a piece of the log is a line of it"),
        }
    }
}

/// A whole ledger in the order in which it is forwarded: the identity; the cuts, when it begins at one; each line; a head table behind the last line
/// of its place; a checkpoint behind the lines that it covers.
#[derive(Debug, Clone)]
pub struct LedgerCut {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// What is forwarded of it.
    pub pieces: Vec<Piece>,
}

#[derive(Deserialize)]
struct Identity {
    ledger_id: LedgerId,
}

#[derive(Deserialize)]
struct HeadTable {
    position: LogPosition,
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

impl LedgerCut {
    /// Cuts the ledger in a directory. Nobody may be writing it.
    ///
    /// # Panics
    ///
    /// When it cannot be read, or is no ledger.
    pub fn read(directory: &Path) -> Self {
        let identity = read(&directory.join("ledger.json"));
        let ledger_id = serde_json::from_slice::<Identity>(&identity).expect("an identity").ledger_id;
        let (mut logged, mut told) = (Vec::new(), Vec::new());
        let cuts = directory.join("cuts.ndjson");
        let cuts = if cuts.exists() { read(&cuts) } else { Vec::new() };
        let cuts: Vec<Piece> = lines(&cuts).map(Piece::cut).collect();
        // The table that the newest cut names lies beside no segment any more.
        if let Some(cut) = cuts.last() {
            let heads = directory.join(format!("log/{:08}.heads.json", cut.position.segment - 1));
            let bytes = read(&heads);
            let position = serde_json::from_slice::<HeadTable>(&bytes).expect("a head table").position;
            told.push(Piece::head_table(ledger_id, position, bytes));
        }
        for path in segments(directory) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a segment's name");
            let segment = name.parse().expect("a segment's number");
            logged.extend(segment_lines(segment, &read(&path)));
            let heads = path.with_extension("heads.json");
            if heads.exists() {
                let bytes = read(&heads);
                let position = serde_json::from_slice::<HeadTable>(&bytes).expect("a head table").position;
                told.push(Piece::head_table(ledger_id, position, bytes));
            }
        }
        told.extend(lines(&read(&directory.join("checkpoints.ndjson"))).map(Piece::checkpoint));
        // Stable: a head table stays before the checkpoint of its place, and checkpoints in their order.
        told.sort_by_key(|piece| piece.position);
        let mut pieces = vec![Piece::identity(ledger_id, identity)];
        pieces.extend(cuts);
        let mut told = told.into_iter().peekable();
        for line in logged {
            while let Some(piece) = told.next_if(|piece| piece.position <= line.position) {
                pieces.push(piece);
            }
            pieces.push(line);
        }
        pieces.extend(told);
        Self { ledger_id, pieces }
    }

    /// Its entries, made anew.
    pub fn entries(&self) -> Vec<Entry> {
        self.pieces.iter().map(|piece| piece.entry(self.ledger_id)).collect()
    }

    /// Where its events stand among the pieces, those of the ledger itself left out.
    pub fn events(&self) -> Vec<usize> {
        let is_event = |piece: &Piece| {
            piece.kind == EntryKind::Event && !contains(&piece.bytes, b"\"tenant_id\":\"$system\"")
        };
        (0..self.pieces.len()).filter(|at| is_event(&self.pieces[*at])).collect()
    }

    /// The same ledger with other bytes in place of one line; the lines that follow in the segment move.
    ///
    /// # Panics
    ///
    /// When the piece is no line, or the bytes are none.
    #[must_use]
    pub fn with_line(&self, at: usize, bytes: &[u8]) -> Self {
        let mut changed = self.clone();
        let (position, old_len) = (self.pieces[at].position, self.pieces[at].bytes.len() as u64);
        changed.pieces[at] = Piece::line(position, bytes);
        for piece in &mut changed.pieces {
            // Head tables and checkpoints say their places in their bytes, which stay.
            let is_line = matches!(piece.kind, EntryKind::Event | EntryKind::Attempt);
            if is_line && piece.position.segment == position.segment && piece.position > position {
                piece.position.offset = piece.position.offset + bytes.len() as u64 - old_len;
            }
        }
        changed
    }

    /// The same ledger without some of its pieces.
    #[must_use]
    pub fn without(&self, left_out: &[usize]) -> Self {
        let kept = self.pieces.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
        Self { ledger_id: self.ledger_id, pieces: kept.map(|(_, piece)| piece.clone()).collect() }
    }
}

/// Whether some bytes stand in others.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The lines of a segment, or of a part of one that begins at an offset.
pub(super) fn lines_at(mut position: LogPosition, bytes: &[u8]) -> Vec<Piece> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{position}: the bytes end inside a line");
    let mut pieces = Vec::new();
    for line in lines(bytes) {
        pieces.push(Piece::line(position, line));
        position.offset += line.len() as u64 + 1;
    }
    pieces
}

fn segment_lines(segment: u32, bytes: &[u8]) -> Vec<Piece> {
    lines_at(LogPosition { segment, offset: 0 }, bytes)
}
